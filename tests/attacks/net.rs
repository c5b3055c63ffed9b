//! Endpoints in one box, by address: a datagram takes a millisecond, and a test may read, change, hold back or
//! forge any. What an attacker of RFC 9000 §21.1 can do, on the path or beside it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use integration::{FileClient, FileServer, certificates};
use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event, FourTuple};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::error::ConnectionError;
use quic_lite::io::Application;
use quic_lite::tls::{ClientTls, ServerTls};
use quic_lite::{Side, Time};

/// What all here speak.
pub const ALPN: &[&[u8]] = &[b"test"];

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flying {
    /// Where it says it comes from.
    pub from: SocketAddr,
    /// Who gets it.
    pub to: SocketAddr,
    /// Its UDP payload.
    pub bytes: Vec<u8>,
}

/// One endpoint: a file server for those who come to it, a client where it connects.
pub struct Node {
    /// Where it is.
    pub address: SocketAddr,
    /// Its connections.
    pub endpoint: Endpoint,
    /// What it wants of servers.
    pub files: FileClient,
    /// What it has for clients.
    pub server: FileServer,
    /// Reads nothing and writes nothing.
    pub is_idle: bool,
    /// What happened.
    pub events: Vec<(Handle, Event)>,
    /// Its clock is so far behind the others'.
    pub behind: Duration,
}

impl Node {
    /// The connection that it has, when it has one.
    pub fn connection(&self) -> &Connection {
        let handle = self.endpoint.handles().next().unwrap();
        self.endpoint.connection(handle).unwrap()
    }

    /// The same, to act on.
    pub fn connection_mut(&mut self) -> &mut Connection {
        let handle = self.endpoint.handles().next().unwrap();
        self.endpoint.connection_mut(handle).unwrap()
    }

    /// Why its first connection to end ended.
    pub fn closed(&self) -> Option<&ConnectionError> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Closed(error) => Some(error),
            _ => None,
        })
    }

    /// How often this happened.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| wanted(event))
            .count()
    }

    fn now(&self, now: Time) -> Time {
        now - self.behind
    }

    fn work(&mut self, now: Time) {
        let now = self.now(now);
        while let Some((handle, event)) = self.endpoint.poll_event() {
            self.events.push((handle, event.clone()));
            let side = self.endpoint.connection(handle).map(Connection::side);
            match side.filter(|_| !self.is_idle) {
                Some(Side::Client) => self.files.on_event(now, &mut self.endpoint, handle, event),
                Some(Side::Server) => self.server.on_event(now, &mut self.endpoint, handle, event),
                None => {}
            }
        }
        if !self.is_idle {
            self.files.on_tick(now, &mut self.endpoint);
        }
    }

    /// All that it has to send now.
    pub fn datagrams(&mut self, now: Time) -> Vec<Flying> {
        let (mut buffer, mut all) = (vec![0; SEGMENTS * 1500], Vec::new());
        let now = self.now(now);
        while let Some(transmit) = self.endpoint.transmit(now, &mut buffer, SEGMENTS) {
            let size = transmit.segment_size.unwrap_or(transmit.len);
            all.extend(buffer[..transmit.len].chunks(size).map(|bytes| Flying {
                from: self.address,
                to: transmit.path.remote,
                bytes: bytes.to_vec(),
            }));
        }
        all
    }
}

/// Decides whether a datagram travels on; it may change it.
pub type Filter = Box<dyn FnMut(&mut Flying) -> bool>;

/// The box.
pub struct Net {
    /// The virtual time.
    pub now: Time,
    /// Who is in it.
    pub nodes: Vec<Node>,
    /// What stands between them.
    pub filter: Filter,
    /// All that was sent, as it was sent.
    pub sent: Vec<Flying>,
    flying: VecDeque<Flying>,
}

impl Net {
    /// A box with a client (0) and a server (1) of these settings, and no connection.
    pub fn new(server: EndpointConfig) -> Self {
        let mut net = Self {
            now: Time::from_micros(1_000_000_000),
            nodes: Vec::new(),
            filter: Box::new(|_| true),
            sent: Vec::new(),
            flying: VecDeque::new(),
        };
        net.add(address(1, 1111), EndpointConfig::default());
        net.add(address(2, 4433), as_server(server));
        net
    }

    /// The same, with a connection that both have confirmed.
    pub fn connected(server: EndpointConfig) -> Self {
        let mut net = Self::new(server);
        net.connect(Config::default());
        net.run(Duration::from_secs(1));
        assert!(
            net.nodes
                .iter()
                .all(|node| node.count(|event| *event == Event::HandshakeConfirmed) == 1)
        );
        net
    }

    /// Adds an endpoint; its place.
    pub fn add(&mut self, address: SocketAddr, config: EndpointConfig) -> usize {
        let place = self.nodes.len();
        let mut endpoint = Endpoint::new(config, [place as u8 + 1; 32]);
        endpoint.set_local_addresses(&[address]);
        self.nodes.push(Node {
            address,
            endpoint,
            files: FileClient::staying([]),
            server: FileServer::default(),
            is_idle: false,
            events: Vec::new(),
            behind: Duration::ZERO,
        });
        place
    }

    /// The client begins a connection to the server.
    pub fn connect(&mut self, config: Config) -> Handle {
        let tls = ClientTls::with_roots([certificates::short().root], ALPN).unwrap();
        let (to, now) = (self.nodes[1].address, self.now);
        let endpoint = &mut self.nodes[0].endpoint;
        endpoint
            .connect(now, &tls, to, "localhost", config)
            .unwrap()
    }

    /// The first datagram of a client that wants to connect.
    pub fn first_flight(&mut self) -> Vec<u8> {
        self.connect(Config::default());
        let now = self.now;
        self.nodes[0].datagrams(now).swap_remove(0).bytes
    }

    /// Lets a datagram arrive now.
    pub fn deliver(&mut self, mut datagram: Flying) {
        let mut nodes = self.nodes.iter_mut();
        if let Some(node) = nodes.find(|node| node.address == datagram.to) {
            let path = FourTuple {
                local: datagram.to,
                remote: datagram.from,
            };
            let now = node.now(self.now);
            node.endpoint.receive(now, path, None, &mut datagram.bytes);
        }
    }

    /// Lets a datagram arrive at the server, seemingly from there; what the server then has to send to anybody.
    pub fn ask(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (to, now) = (self.nodes[1].address, self.now);
        self.deliver(Flying {
            from,
            to,
            bytes: bytes.to_vec(),
        });
        let answers = self.nodes[1].datagrams(now);
        answers.into_iter().map(|answer| answer.bytes).collect()
    }

    /// Carries datagrams until all are silent, without letting timers go off.
    pub fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let now = self.now;
            for node in &mut self.nodes {
                node.work(now);
                let datagrams = node.datagrams(now);
                self.sent.extend(datagrams.iter().cloned());
                self.flying.extend(datagrams);
            }
            if self.flying.is_empty() {
                return;
            }
            self.now = self.now + Duration::from_millis(1);
            let mut flying = std::mem::take(&mut self.flying);
            flying.retain_mut(|datagram| (self.filter)(datagram));
            flying.into_iter().for_each(|it| self.deliver(it));
        }
        panic!("they never fall silent");
    }

    /// Lets so much time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        for _ in 0..MAX_ROUNDS {
            let next = self.nodes.iter_mut().filter_map(|node| {
                let next = node.endpoint.next_timeout()?;
                Some(next + node.behind)
            });
            let next = next.min().filter(|next| *next <= end);
            let Some(next) = next else {
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(next);
            for node in &mut self.nodes {
                let now = node.now(self.now);
                node.endpoint.on_timeout(now);
            }
            self.settle();
        }
        panic!("a deadline is never served");
    }
}

/// The same settings with a certificate for `localhost`.
pub fn as_server(config: EndpointConfig) -> EndpointConfig {
    let chain = certificates::short();
    let tls = ServerTls::new_single(chain.certificates, chain.key, ALPN).unwrap();
    EndpointConfig {
        server: Some(tls),
        ..config
    }
}

/// An address of the documentation's (RFC 5737).
pub fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// One of very many addresses.
pub fn stranger(number: u32) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    SocketAddr::from(([10, b, c, d], 20_000 + (number % 40_000) as u16))
}

/// Datagrams that one call may write, at most.
const SEGMENTS: usize = 10;
/// Rounds in one stretch of time: far more than any has.
const MAX_ROUNDS: u32 = 100_000;
