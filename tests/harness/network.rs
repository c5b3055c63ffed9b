//! Two links between a client behind a NAT and a server, and the datagrams under way. No RFC.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use quic_lite::rng::Rng;
use quic_lite::{Side, Time};

use crate::link::{Datagram, Link, LinkConfig};

/// The address that the client believes to have, unless a scenario says otherwise.
pub const CLIENT: SocketAddr = address(2, 40_000);
/// The server's address, unless a scenario says otherwise.
pub const SERVER: SocketAddr = address(1, 4433);

/// An address of the simulated network.
pub const fn address(host: u8, port: u16) -> SocketAddr {
    let ip = std::net::Ipv4Addr::new(10, 0, 0, host);
    SocketAddr::V4(std::net::SocketAddrV4::new(ip, port))
}

/// The same, of IPv6.
pub const fn address6(host: u16, port: u16) -> SocketAddr {
    let ip = std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host);
    SocketAddr::V6(std::net::SocketAddrV6::new(ip, port, 0, 0))
}

/// A datagram that has reached an endpoint.
#[derive(Debug)]
pub struct Arrival {
    /// Who gets it.
    pub to: Side,
    /// Where it seems to come from.
    pub source: SocketAddr,
    /// What it is.
    pub datagram: Datagram,
    /// Its ordinal among all datagrams that the two endpoints sent; copies have the same.
    pub ordinal: Option<u64>,
}

/// Decides whether a datagram may enter the network.
pub type Filter = Box<dyn FnMut(Side, &[u8]) -> bool>;

/// The network between one client and one server.
pub struct Network {
    /// From the client to the server.
    pub to_server: Link,
    /// From the server to the client.
    pub to_client: Link,
    /// Drops what it returns false for, before the link sees it.
    pub filter: Option<Filter>,
    /// The client's address as the server sees it.
    outside: SocketAddr,
    server: SocketAddr,
    /// By time, then by order of sending.
    under_way: BTreeMap<u64, (SocketAddr, Arrival)>,
    times: BinaryHeap<Reverse<(Time, u64)>>,
    sent: u64,
}

impl Network {
    /// A network without datagrams, with these links to the server and to the client.
    pub fn new(
        [to_server, to_client]: [LinkConfig; 2],
        [client, server]: [SocketAddr; 2],
        rng: &mut Rng,
    ) -> Self {
        Self {
            to_server: Link::new(to_server, rng.fork()),
            to_client: Link::new(to_client, rng.fork()),
            filter: None,
            outside: client,
            server,
            under_way: BTreeMap::new(),
            times: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// The client's address as the server sees it now.
    pub const fn outside(&self) -> SocketAddr {
        self.outside
    }

    /// Gives the client another address. The former one leads nowhere from now on.
    pub const fn rebind(&mut self, outside: SocketAddr) {
        self.outside = outside;
    }

    /// Switches both links off or on.
    pub const fn set_blackhole(&mut self, blackhole: bool) {
        self.to_server.blackhole = blackhole;
        self.to_client.blackhole = blackhole;
    }

    /// Sends a datagram; `ordinal` is returned with it. `destination` counts for datagrams to the client.
    pub fn send(
        &mut self,
        now: Time,
        from: Side,
        destination: SocketAddr,
        ordinal: u64,
        datagram: Datagram,
    ) {
        if let Some(filter) = &mut self.filter
            && !filter(from, &datagram.bytes)
        {
            return;
        }
        let (link, source) = match from {
            Side::Client => (&mut self.to_server, self.outside),
            Side::Server => (&mut self.to_client, self.server),
        };
        let (under_way, times, sent) = (&mut self.under_way, &mut self.times, &mut self.sent);
        link.carry(now, datagram, |at, datagram| {
            let to = from.peer();
            let arrival = Arrival {
                to,
                source,
                datagram,
                ordinal: Some(ordinal),
            };
            under_way.insert(*sent, (destination, arrival));
            times.push(Reverse((at, *sent)));
            *sent += 1;
        });
    }

    /// Lets somebody else's datagram arrive at one side, seemingly from `source`, at `at`.
    pub fn inject(&mut self, at: Time, to: Side, source: SocketAddr, bytes: Vec<u8>) {
        let arrival = Arrival {
            to,
            source,
            datagram: Datagram { bytes, ecn: None },
            ordinal: None,
        };
        self.under_way.insert(self.sent, (self.outside, arrival));
        self.times.push(Reverse((at, self.sent)));
        self.sent += 1;
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Time> {
        self.times.peek().map(|Reverse((at, _))| *at)
    }

    /// A datagram that has arrived by now. Those for an address that the client no longer has are gone.
    pub fn arrive(&mut self, now: Time) -> Option<Arrival> {
        while self.next_arrival().is_some_and(|at| at <= now) {
            let Reverse((_, key)) = self.times.pop()?;
            let (destination, arrival) = self.under_way.remove(&key)?;
            if arrival.to == Side::Server || destination == self.outside {
                return Some(arrival);
            }
        }
        None
    }
}
