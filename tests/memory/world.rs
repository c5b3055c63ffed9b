//! A relay with its endpoint, and parties of clients, in one box: virtual time, every datagram arrives
//! after a millisecond. QUIC and TLS are real (RFC 9000, RFC 9001); there are no sockets.
//!
//! Unlike the network of the harness it has many clients, and no tap: a record of all packets would
//! be most of the memory that is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use integration::certificates;
use integration::network::address;
use quic_lite::Time;
use quic_lite::connection::{Ecn, FourTuple};
use quic_lite::endpoint::{Endpoint, EndpointConfig};
use quic_lite::io::Application;
use quic_lite::tls::ServerTls;
use quic_relay::moqt::ALPN;
use quic_relay::serve::RelayConfig;
use quic_relay::serve::server::{self, Server};

use super::party::{Part, Party};

/// The relay's address.
pub const RELAY: SocketAddr = address(1, 443);

/// All that a relay is.
pub struct Node {
    /// Its connections.
    pub endpoint: Endpoint,
    /// The relay on them.
    pub server: Server,
}

/// A relay and its clients.
pub struct World {
    /// The virtual time.
    pub now: Time,
    /// The relay.
    pub relay: Node,
    /// Who is connected, or was.
    pub parties: Vec<Party>,
    /// Datagrams to nobody here, and their bytes.
    pub strays: (u64, u64),
    next_port: u16,
    under_way: Vec<Datagram>,
    buffer: Vec<u8>,
}

struct Datagram {
    path: FourTuple,
    ecn: Option<Ecn>,
    bytes: Vec<u8>,
}

impl World {
    /// A relay without clients.
    pub fn new(config: RelayConfig) -> Self {
        let chain = certificates::short();
        let tls = ServerTls::new_single(chain.certificates, chain.key, &[ALPN]).unwrap();
        let config_of_endpoint = EndpointConfig {
            server: Some(tls),
            transport: Arc::new(server::transport()),
            ..EndpointConfig::default()
        };
        let mut endpoint = Endpoint::new(config_of_endpoint, [1; 32]);
        endpoint.set_local_addresses(&[RELAY]);
        let server = Server::new(config, None);
        Self {
            now: Time::from_micros(1_000_000),
            relay: Node { endpoint, server },
            parties: Vec::new(),
            strays: (0, 0),
            next_port: 1024,
            under_way: Vec::new(),
            buffer: vec![0; SEGMENTS * 1500],
        }
    }

    /// A party of so many, connected and with their requests answered. Its place in `parties`.
    pub fn join(&mut self, part: Part, count: usize) -> usize {
        self.next_port = self.next_port.checked_add(1).unwrap_or(1024);
        let mut party = Party::new(part, address(2, self.next_port));
        (0..count).for_each(|_| party.connect(self.now));
        self.parties.push(party);
        self.run(Duration::from_secs(1));
        let tally = self.parties.last().unwrap().tally;
        assert_eq!((tally.confirmed, tally.accepted), (count, count));
        self.parties.len() - 1
    }

    /// Everybody goes in one way or another, and the relay has time to notice.
    pub fn disperse(&mut self) {
        let now = self.now;
        self.parties.iter_mut().for_each(|party| party.leave(now));
        self.settle();
        self.parties.clear();
        self.run(Duration::from_secs(90));
    }

    /// Lets so much time pass, timers included.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        let mut calls = 0..MAX_CALLS;
        while let Some(next) = self.next_timeout().filter(|next| *next <= end) {
            calls.next().expect("a deadline is never served");
            self.now = self.now.max(next);
            let now = self.now;
            self.relay.endpoint.on_timeout(now);
            let parties = self.parties.iter_mut();
            parties.for_each(|party| party.endpoint.on_timeout(now));
            self.settle();
        }
        self.now = self.now.max(end);
    }

    fn next_timeout(&mut self) -> Option<Time> {
        let parties = self.parties.iter_mut();
        parties
            .filter_map(|party| party.endpoint.next_timeout())
            .chain(self.relay.endpoint.next_timeout())
            .chain(self.relay.server.next_timeout())
            .min()
    }

    /// Carries datagrams until nobody has any.
    fn settle(&mut self) {
        let mut calls = 0..MAX_CALLS;
        loop {
            self.work();
            if self.under_way.is_empty() {
                return;
            }
            calls.next().expect("the world never comes to rest");
            self.now = self.now + Duration::from_millis(1);
            for datagram in std::mem::take(&mut self.under_way) {
                self.deliver(datagram);
            }
        }
    }

    /// Everybody hears what happened and sends.
    fn work(&mut self) {
        let now = self.now;
        let Node { endpoint, server } = &mut self.relay;
        while let Some((handle, event)) = endpoint.poll_event() {
            server.on_event(now, endpoint, handle, event);
        }
        server.on_tick(now, endpoint);
        send(endpoint, now, &mut self.buffer, &mut self.under_way);
        for party in &mut self.parties {
            party.work(now);
            send(
                &mut party.endpoint,
                now,
                &mut self.buffer,
                &mut self.under_way,
            );
        }
    }

    fn deliver(&mut self, datagram: Datagram) {
        let Datagram {
            path,
            ecn,
            mut bytes,
        } = datagram;
        // Seen from the other end. A party that is gone hears nothing.
        let (local, remote) = (path.remote, path.local);
        let mut parties = self.parties.iter_mut();
        let endpoint = match parties.find(|party| party.address == local) {
            Some(party) => &mut party.endpoint,
            None if local == RELAY => &mut self.relay.endpoint,
            None => {
                self.strays.0 += 1;
                self.strays.1 += bytes.len() as u64;
                return;
            }
        };
        endpoint.receive(self.now, FourTuple { local, remote }, ecn, &mut bytes);
    }
}

fn send(endpoint: &mut Endpoint, now: Time, buffer: &mut [u8], under_way: &mut Vec<Datagram>) {
    while let Some(transmit) = endpoint.transmit(now, buffer, SEGMENTS) {
        let size = transmit.segment_size.unwrap_or(transmit.len);
        let datagrams = buffer[..transmit.len].chunks(size);
        under_way.extend(datagrams.map(|bytes| Datagram {
            path: transmit.path,
            ecn: transmit.ecn,
            bytes: bytes.to_vec(),
        }));
    }
}

/// Datagrams that one call may write, at most.
const SEGMENTS: usize = 10;
/// Rounds in one stretch of time: far more than any has.
const MAX_CALLS: u32 = 1_000_000;
