//! The harness: a client, a server and a link with delay and loss, driven until something is true.
//! After every step the invariants that no schedule may break are checked.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use core::time::Duration;

use crate::config::Config;
use crate::connection::{Accepted, Connection, Ecn, Event, FourTuple, Parts, Transmit};
use crate::error::ConnectionError;
use crate::observer::Observer;
use crate::rng::Rng;
use crate::stream::StreamEvent;
use crate::time::Time;
use crate::tls::{ClientTls, ServerTls, rustls};
use crate::token::ResetKey;
use crate::wire::connection_id::ConnectionId;
use crate::wire::header::{Header, LongType};

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// A datagram on the link.
#[derive(Clone, Debug)]
pub(super) struct Flying {
    pub(super) at: Time,
    pub(super) direction: Direction,
    /// As the receiver sees it.
    pub(super) tuple: FourTuple,
    pub(super) ecn: Option<Ecn>,
    pub(super) bytes: Vec<u8>,
}

/// What a test may change before it begins.
pub(super) struct Setup {
    pub(super) client: Config,
    pub(super) server: Config,
    pub(super) client_tls: ClientTls,
    pub(super) server_tls: ServerTls,
    pub(super) delay: Duration,
    pub(super) seed: u64,
    pub(super) local_cid_len: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            client: Config::default(),
            server: Config::default(),
            client_tls: ClientTls::insecure(&[b"test"]).unwrap(),
            server_tls: SERVER_TLS.clone(),
            delay: Duration::from_millis(10),
            seed: 1,
            local_cid_len: 8,
        }
    }
}

/// The link drops, delays or changes a datagram: `None` to drop it.
type Filter = Box<dyn FnMut(&mut Flying) -> bool>;
/// What another sender of the server's connection has sent by now.
type Other = Box<dyn FnMut() -> Option<(Transmit, Vec<u8>)>>;

pub(super) struct Pair {
    pub(super) now: Time,
    pub(super) client: Connection,
    pub(super) server: Option<Connection>,
    pub(super) client_events: Vec<Event>,
    pub(super) server_events: Vec<Event>,
    pub(super) flying: VecDeque<Flying>,
    /// Which datagrams arrive; the index counts all of one direction.
    pub(super) filter: Filter,
    pub(super) other: Other,
    /// Watches the server's connection from its first packet on.
    pub(super) server_observer: Option<Box<dyn Observer>>,
    /// The client's address as the server sees it.
    pub(super) client_address: std::net::SocketAddr,
    /// Bytes that the server got from and sent to each client address.
    pub(super) counts: Vec<(std::net::SocketAddr, u64, u64)>,
    pub(super) max_segments: usize,
    pub(super) sent: Vec<(Direction, usize)>,
    setup: Setup,
    rng: Rng,
    /// Of a Retry: the ID before it.
    pub(super) original_cid: Option<ConnectionId>,
}

pub(super) static SERVER_TLS: LazyLock<ServerTls> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    ServerTls::new_single(vec![cert.into()], key, &[b"test"]).unwrap()
});

pub(super) const SERVER_RESET_KEY: [u8; 32] = [7; 32];

impl Pair {
    pub(super) fn new(setup: Setup) -> Self {
        let mut rng = Rng::from_number(setup.seed);
        println!("seed {}", setup.seed);
        let parts = Parts {
            config: Arc::new(setup.client.clone()),
            path: FourTuple {
                local: CLIENT.into(),
                remote: SERVER.into(),
            },
            local_cid: cid(&mut rng, setup.local_cid_len),
            reset_key: Arc::new(ResetKey::new([6; 32])),
            rng: rng.fork(),
        };
        let client =
            Connection::client(START, parts, &setup.client_tls, "localhost", Vec::new()).unwrap();
        Self {
            now: START,
            client,
            server: None,
            client_events: Vec::new(),
            server_events: Vec::new(),
            flying: VecDeque::new(),
            filter: Box::new(|_| true),
            other: Box::new(|| None),
            server_observer: None,
            client_address: CLIENT.into(),
            counts: Vec::new(),
            max_segments: 10,
            sent: Vec::new(),
            setup,
            rng,
            original_cid: None,
        }
    }

    /// Two connections after the handshake.
    pub(super) fn connected(setup: Setup) -> Self {
        let mut pair = Self::new(setup);
        let confirmed = |pair: &mut Self| {
            pair.client_events.contains(&Event::HandshakeConfirmed)
                && pair.server_events.contains(&Event::HandshakeConfirmed)
        };
        pair.run_until(Duration::from_secs(30), confirmed);
        pair.run_for(Duration::from_millis(100));
        pair
    }

    pub(super) fn server(&mut self) -> &mut Connection {
        self.server
            .as_mut()
            .expect("the server has seen an Initial")
    }

    /// Lets the time pass until `done`; panics after `limit`.
    pub(super) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        for _ in 0..MAX_STEPS {
            self.exchange();
            if done(self) {
                return;
            }
            // What it has read or written may give something to send.
            self.exchange();
            let Some(next) = self.next_time() else {
                panic!(
                    "nothing is to happen at {}: {:?} {:?}",
                    self.now,
                    self.client_error(),
                    self.server_error()
                );
            };
            assert!(
                next <= end,
                "not done at {}: {:?} {:?}",
                self.now,
                self.client_events,
                self.server_events
            );
            self.now = next;
            self.advance();
        }
        panic!("too many steps, now {}", self.now);
    }

    /// Lets `duration` pass.
    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..MAX_STEPS {
            self.exchange();
            match self.next_time().filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => {
                    self.now = end;
                    return;
                }
            }
            self.advance();
        }
        panic!("too many steps, now {}", self.now);
    }

    fn next_time(&self) -> Option<Time> {
        let flying = self.flying.iter().map(|flying| flying.at).min();
        let server = self.server.as_ref().and_then(Connection::next_timeout);
        let next = flying
            .into_iter()
            .chain(self.client.next_timeout())
            .chain(server)
            .min();
        next.map(|next| next.max(self.now))
    }

    fn advance(&mut self) {
        while let Some(at) = self.flying.iter().position(|flying| flying.at <= self.now) {
            let flying = self.flying.remove(at).unwrap();
            self.deliver(flying);
        }
        if self.client.next_timeout().is_some_and(|at| at <= self.now) {
            self.client.on_timeout(self.now);
        }
        let now = self.now;
        if let Some(server) = &mut self.server
            && server.next_timeout().is_some_and(|at| at <= now)
        {
            server.on_timeout(now);
        }
    }

    /// Hands a datagram to its receiver.
    pub(super) fn deliver(&mut self, mut flying: Flying) {
        match flying.direction {
            Direction::ToClient => {
                self.client
                    .receive(self.now, flying.tuple, flying.ecn, &mut flying.bytes)
            }
            Direction::ToServer => {
                self.count(flying.tuple.remote).1 += flying.bytes.len() as u64;
                if self.server.is_none() {
                    self.accept(&flying);
                }
                let now = self.now;
                if let Some(server) = &mut self.server {
                    server.receive(now, flying.tuple, flying.ecn, &mut flying.bytes);
                }
                // As an endpoint does: a damaged Initial leaves no state.
                self.server = self
                    .server
                    .take()
                    .filter(|server| server.stats().packets_received > 0);
            }
        }
    }

    fn accept(&mut self, flying: &Flying) {
        let Ok((_, Header::Long { header, .. })) = Header::parse(&flying.bytes, 8) else {
            return;
        };
        let LongType::Initial { token } = header.long_type else {
            return;
        };
        let accepted = Accepted {
            destination_cid: header.destination_cid,
            source_cid: header.source_cid,
            original_cid: self.original_cid,
            address_validated: !token.is_empty(),
        };
        let parts = Parts {
            config: Arc::new(self.setup.server.clone()),
            path: flying.tuple,
            local_cid: cid(&mut self.rng, 8),
            reset_key: Arc::new(ResetKey::new(SERVER_RESET_KEY)),
            rng: self.rng.fork(),
        };
        let mut server =
            Connection::server(self.now, parts, &self.setup.server_tls, accepted).unwrap();
        if let Some(observer) = self.server_observer.take() {
            server.set_observer(self.now, observer);
        }
        self.server = Some(server);
    }

    /// Sends all that can be sent now, and collects the events.
    pub(super) fn exchange(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        let (now, segments) = (self.now, self.max_segments);
        let mut more = true;
        while let Some(transmit) = next(&mut self.client, now, (&mut buffer, segments), &mut more) {
            self.launch(Direction::ToServer, &transmit, &buffer);
        }
        self.launch_other();
        more = true;
        while let Some(transmit) = self
            .server
            .as_mut()
            .and_then(|server| next(server, now, (&mut buffer, segments), &mut more))
        {
            self.launch(Direction::ToClient, &transmit, &buffer);
            self.launch_other();
        }
        self.launch_other();
        self.client_events
            .extend(core::iter::from_fn(|| self.client.poll_event()));
        let server = self.server.as_mut();
        self.server_events.extend(
            server
                .into_iter()
                .flat_map(|server| core::iter::from_fn(|| server.poll_event())),
        );
    }

    /// What left a moment ago, under whatever was true then.
    fn launch_other(&mut self) {
        while let Some((transmit, datagram)) = (self.other)() {
            self.fly(Direction::ToClient, &transmit, &datagram);
        }
    }

    fn launch(&mut self, direction: Direction, transmit: &Transmit, buffer: &[u8]) {
        let size = transmit.segment_size.unwrap_or(transmit.len);
        assert!(size > 0 && transmit.len <= buffer.len());
        for bytes in buffer[..transmit.len].chunks(size) {
            if direction == Direction::ToClient {
                self.check_amplification(transmit.path.remote, bytes.len());
            }
            self.fly(direction, transmit, bytes);
        }
    }

    pub(super) fn fly(&mut self, direction: Direction, transmit: &Transmit, bytes: &[u8]) {
        self.sent.push((direction, bytes.len()));
        let (local, remote) = match direction {
            Direction::ToServer => (SERVER.into(), self.client_address),
            Direction::ToClient => (CLIENT.into(), SERVER.into()),
        };
        // Whoever is not at the current address of the client does not get through.
        let arrives =
            direction == Direction::ToServer || transmit.path.remote == self.client_address;
        let at = self.now + self.setup.delay;
        let tuple = FourTuple { local, remote };
        let mut flying = Flying {
            at,
            direction,
            tuple,
            ecn: transmit.ecn,
            bytes: bytes.to_vec(),
        };
        if arrives && (self.filter)(&mut flying) {
            self.flying.push_back(flying);
        }
    }

    /// RFC 9000 §8.1, seen from outside: no more than three times what came, until the address is proved.
    fn check_amplification(&mut self, address: std::net::SocketAddr, len: usize) {
        let server = self.server.as_ref().unwrap();
        let is_active = server.path().remote == address;
        let is_fallback = server
            .fallback
            .as_ref()
            .is_some_and(|path| path.tuple().remote == address);
        let is_proved = if is_active {
            server.is_path_validated()
        } else {
            is_fallback
        };
        let entry = self.count(address);
        if is_proved {
            // Should it have to be proved once more, the count starts from there.
            (entry.1, entry.2) = (0, 0);
            return;
        }
        entry.2 += len as u64;
        let (_, received, sent) = *entry;
        assert!(
            sent <= 3 * received,
            "{address}: sent {sent}, received {received}"
        );
    }

    fn count(&mut self, address: std::net::SocketAddr) -> &mut (std::net::SocketAddr, u64, u64) {
        let at = self
            .counts
            .iter()
            .position(|entry| entry.0 == address)
            .unwrap_or_else(|| {
                self.counts.push((address, 0, 0));
                self.counts.len() - 1
            });
        &mut self.counts[at]
    }

    pub(super) fn client_error(&self) -> Option<&ConnectionError> {
        error(&self.client_events)
    }

    pub(super) fn server_error(&self) -> Option<&ConnectionError> {
        error(&self.server_events)
    }

    /// Stream events since the last call, of one side.
    pub(super) fn take_stream_events(&mut self, direction: Direction) -> Vec<StreamEvent> {
        let events = match direction {
            Direction::ToServer => &mut self.server_events,
            Direction::ToClient => &mut self.client_events,
        };
        let streams = events.extract_if(.., |event| matches!(event, Event::Stream(_)));
        streams
            .filter_map(|event| {
                if let Event::Stream(event) = event {
                    Some(event)
                } else {
                    None
                }
            })
            .collect()
    }
}

/// What a connection sends next, which is nothing if it has said so.
fn next(
    connection: &mut Connection,
    now: Time,
    (buffer, segments): (&mut [u8], usize),
    more: &mut bool,
) -> Option<Transmit> {
    let transmit = connection.transmit(now, buffer, segments);
    assert!(
        *more || transmit.is_none(),
        "may_have_more promised nothing"
    );
    *more = connection.may_have_more(now);
    transmit
}

fn error(events: &[Event]) -> Option<&ConnectionError> {
    events.iter().find_map(|event| {
        if let Event::Closed(error) = event {
            Some(error)
        } else {
            None
        }
    })
}

fn cid(rng: &mut Rng, len: usize) -> ConnectionId {
    ConnectionId::new(&rng.bytes::<20>()[..len]).unwrap()
}

/// Loses datagrams at random, `percent` of them, both ways.
pub(super) fn random_loss(seed: u64, percent: u64) -> Filter {
    let mut rng = Rng::from_number(seed);
    Box::new(move |_| rng.below(100) >= percent)
}

const START: Time = Time::from_micros(1_000_000);
pub(super) const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 1000);
pub(super) const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 4433);
const MAX_STEPS: usize = 1_000_000;
