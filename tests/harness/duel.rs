//! A [`ScriptedPeer`] against an endpoint that knows of nothing, step by step. RFC 9000 §21.
//!
//! Datagrams arrive at once, in both directions; time passes when a test says so, and a little for each
//! answer that the peer gives by itself. After each datagram the oracles look ([`crate::invariants`]).
//! Promise: an endpoint that never falls silent, or loops, fails by a count of steps, not by a clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event, FourTuple};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::error::{ConnectionError, TransportErrorCode};
use quic_lite::protection::CipherSuite;
use quic_lite::range_set::RangeSet;
use quic_lite::rng::Rng;
use quic_lite::stream::{ReadChunk, StreamEvent};
use quic_lite::tls::{ClientTls, ServerTls};
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::frame::{Ack, Frame};
use quic_lite::wire::header::PacketType;
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::writer::Writer;
use quic_lite::{Side, Time};

use crate::certificates::{self, Chain};
use crate::heap::Heap;
use crate::invariants;
use crate::network::{CLIENT, SERVER};
use crate::scripted::{Alter, Credentials, ScriptedPeer, Seen, least};

/// Whether the peer acknowledges by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// All that wants it, at once.
    Open,
    /// Nothing: the test may, with [`Duel::ack`].
    Closed,
}

/// What a duel begins with. The defaults are generous on both sides.
pub struct Setup {
    /// Decides everything that is random.
    pub seed: u64,
    /// The endpoint's transport.
    pub transport: Config,
    /// The rest of the endpoint's settings; certificate and transport are added.
    pub endpoint: EndpointConfig,
    /// What the peer declares.
    pub parameters: TransportParameters,
    /// Changes that, encoded.
    pub alter: Option<Alter>,
    /// What the server shows, whoever it is.
    pub chain: Chain,
    /// What the client offers, whoever it is.
    pub suites: Vec<CipherSuite>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            transport: Config::default(),
            endpoint: EndpointConfig {
                secret: Some([7; 32]),
                ..EndpointConfig::default()
            },
            parameters: TransportParameters {
                max_idle_timeout: 30_000,
                initial_max_data: 1 << 30,
                initial_max_stream_data_bidi_local: 1 << 28,
                initial_max_stream_data_bidi_remote: 1 << 28,
                initial_max_stream_data_uni: 1 << 28,
                initial_max_streams_bidi: 1000,
                initial_max_streams_uni: 1000,
                active_connection_id_limit: 4,
                max_datagram_frame_size: 65_535,
                ..TransportParameters::default()
            },
            alter: None,
            chain: certificates::short(),
            suites: CipherSuite::ALL.to_vec(),
        }
    }
}

/// A peer and the endpoint that it works on.
pub struct Duel {
    /// The virtual time.
    pub now: Time,
    /// The endpoint, without an application.
    pub endpoint: Endpoint,
    /// The peer.
    pub peer: ScriptedPeer,
    /// Where the peer's datagrams seem to come from.
    pub from: SocketAddr,
    /// Whether the peer acknowledges by itself.
    pub acks: Acks,
    /// Whether the application reads what comes; if not, it stays where it is.
    pub reads: bool,
    /// Whether `seen` grows; floods would fill memory with it.
    pub records: bool,
    /// Every packet of the endpoint since somebody looked.
    pub seen: Vec<Seen>,
    /// What the endpoint told, without what happened to streams.
    pub events: Vec<Event>,
    /// The connection that the endpoint told of last, or began.
    pub handle: Option<Handle>,
    /// Datagrams to the endpoint, and their bytes.
    pub delivered: (u64, u64),
    /// Datagrams of the endpoint, and their bytes.
    pub sent: (u64, u64),
    /// What the endpoint has allocated.
    pub heap: Heap,
    /// The handshake has stopped halfway: an acknowledgement would take Initial keys away.
    is_halfway: bool,
    steps: u64,
    buffer: Vec<u8>,
}

impl Duel {
    /// The peer is a client; the endpoint is a server that has not heard of it.
    pub fn against_server(setup: Setup) -> Self {
        let chain = setup.chain;
        let tls = ServerTls::new_single(chain.certificates, chain.key, ALPN).unwrap();
        let config = EndpointConfig {
            server: Some(tls),
            transport: Arc::new(setup.transport),
            ..setup.endpoint
        };
        let client = ClientTls::with_roots([chain.root], ALPN);
        let client = client.and_then(|tls| tls.only(&setup.suites)).unwrap();
        let mut rng = Rng::from_number(setup.seed);
        let (cid, made_up) = (cid(&mut rng), cid(&mut rng));
        let credentials = Credentials::Client(client);
        let peer = ScriptedPeer::new(credentials, setup.parameters, setup.alter, cid, made_up);
        Self::new(config, SERVER, CLIENT, peer, &mut rng)
    }

    /// The peer is a server; the endpoint is a client that has begun to connect to it.
    pub fn against_client(setup: Setup) -> Self {
        let chain = setup.chain;
        let server = ServerTls::new_single(chain.certificates, chain.key, ALPN).unwrap();
        let client = ClientTls::with_roots([chain.root], ALPN);
        let client = client.and_then(|tls| tls.only(&setup.suites)).unwrap();
        let mut rng = Rng::from_number(setup.seed);
        let cid = cid(&mut rng);
        let credentials = Credentials::Server(server);
        let peer = ScriptedPeer::new(credentials, setup.parameters, setup.alter, cid, cid);
        let mut duel = Self::new(setup.endpoint, CLIENT, SERVER, peer, &mut rng);
        let (now, endpoint) = (duel.now, &mut duel.endpoint);
        let connected = duel
            .heap
            .count(|| endpoint.connect(now, &client, SERVER, "localhost", setup.transport));
        duel.handle = Some(connected.unwrap());
        duel
    }

    /// One of both.
    pub fn against(side: Side, setup: Setup) -> Self {
        match side {
            Side::Client => Self::against_client(setup),
            Side::Server => Self::against_server(setup),
        }
    }

    fn new(
        config: EndpointConfig,
        local: SocketAddr,
        from: SocketAddr,
        peer: ScriptedPeer,
        rng: &mut Rng,
    ) -> Self {
        let mut endpoint = Endpoint::new(config, rng.bytes());
        endpoint.set_local_addresses(&[local]);
        Self {
            now: Time::from_micros(1_000_000),
            endpoint,
            peer,
            from,
            acks: Acks::Open,
            reads: false,
            records: true,
            seen: Vec::new(),
            events: Vec::new(),
            handle: None,
            delivered: (0, 0),
            sent: (0, 0),
            heap: Heap::default(),
            is_halfway: false,
            steps: 0,
            buffer: vec![0; MAX_SEGMENTS * 1500],
        }
    }

    /// Shakes hands until the peer has all keys and the endpoint waits for its last flight. Until
    /// [`Self::complete`] nothing is acknowledged, so that no keys are discarded.
    pub fn begin(&mut self) {
        self.is_halfway = true;
        self.shake(PacketType::Initial);
        assert!(self.peer.has_keys(PacketType::OneRtt), "no keys");
    }

    /// Shakes hands to the end: the endpoint's connection is confirmed.
    pub fn complete(&mut self) {
        self.is_halfway = false;
        self.shake(PacketType::OneRtt);
        if self.peer.side() == Side::Server {
            self.send_frames(PacketType::OneRtt, &[Frame::HandshakeDone]);
        }
        let state = self.connection().map(Connection::state);
        assert!(self.is_established(), "{state:?}, {:?}", self.error());
        self.seen.clear();
    }

    /// With the defaults, halfway through the handshake or behind it.
    pub fn at(side: Side, is_complete: bool) -> Self {
        let mut duel = Self::against(side, Setup::default());
        duel.begin();
        if is_complete {
            duel.complete();
        }
        duel
    }

    /// [`Self::begin`] and [`Self::complete`].
    pub fn shaken(mut self) -> Self {
        self.begin();
        self.complete();
        self
    }

    /// Sends what the peer's TLS has in packets up to this type, and lets both answer.
    pub fn shake(&mut self, last: PacketType) {
        self.turn();
        let mut left = 0..MAX_TURNS;
        while let Some(packet) = self.peer.next_crypto(last) {
            assert!(left.next().is_some(), "the handshake goes on for ever");
            self.now = self.now + DELAY;
            self.deliver(packet);
        }
    }

    /// The endpoint's connection, unless it is drained.
    pub fn connection(&self) -> Option<&Connection> {
        self.endpoint.connection(self.handle?)
    }

    /// The endpoint's connection, to act on; [`Self::turn`] sends what that gives.
    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.endpoint.connection_mut(self.handle?)
    }

    /// Whether the endpoint holds the connection for open.
    pub fn is_established(&self) -> bool {
        self.connection().is_some_and(Connection::is_established)
    }

    /// Why the endpoint's connection is over.
    pub fn error(&self) -> Option<&ConnectionError> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(error) => Some(error),
            _ => None,
        })
    }

    /// The code with which the endpoint has ended the connection.
    pub fn code(&self) -> Option<TransportErrorCode> {
        match self.error() {
            Some(ConnectionError::Transport(error)) => Some(error.code),
            _ => None,
        }
    }

    /// Sends a packet of these frames.
    pub fn send_frames(&mut self, packet_type: PacketType, frames: &[Frame<'_>]) {
        self.send(packet_type, |out| {
            for frame in frames {
                frame.encode(out).expect("the frames fit a packet");
            }
        });
    }

    /// Sends a packet of whatever `write` writes.
    pub fn send(&mut self, packet_type: PacketType, write: impl FnOnce(&mut Writer<'_>)) {
        let packet = self.peer.packet(packet_type, least(packet_type), write);
        self.deliver(packet);
    }

    /// Acknowledges these numbers, received or not.
    pub fn ack(&mut self, packet_type: PacketType, numbers: &RangeSet) {
        self.send(packet_type, |out| {
            Ack::encode_ranges(numbers, 0, None, out).expect("the ranges fit a packet");
        });
    }

    /// Lets a datagram arrive at the endpoint, and both answer.
    pub fn deliver(&mut self, mut datagram: Vec<u8>) {
        self.arrive(&mut datagram);
        self.turn();
    }

    fn arrive(&mut self, datagram: &mut [u8]) {
        let path = FourTuple {
            local: match self.peer.side() {
                Side::Client => SERVER,
                Side::Server => CLIENT,
            },
            remote: self.from,
        };
        self.delivered.0 += 1;
        self.delivered.1 += datagram.len() as u64;
        let (now, endpoint) = (self.now, &mut self.endpoint);
        self.heap
            .count(|| endpoint.receive(now, path, None, datagram));
    }

    /// Lets time pass, with all deadlines in it.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut left = 0..MAX_DEADLINES;
        self.turn();
        while let Some(next) = self.endpoint.next_timeout().filter(|next| *next <= end) {
            assert!(left.next().is_some(), "deadlines without end");
            self.now = self.now.max(next);
            let (now, endpoint) = (self.now, &mut self.endpoint);
            self.heap.count(|| endpoint.on_timeout(now));
            self.turn();
        }
        self.now = self.now.max(end);
    }

    /// The endpoint tells and sends until it has nothing more, and the peer answers by itself.
    pub fn turn(&mut self) {
        for _ in 0..MAX_TURNS {
            self.steps += 1;
            invariants::check(&self.endpoint, &self.heap, self.steps);
            self.hear();
            if self.transmit() {
                continue;
            }
            let answer = match self.acks {
                Acks::Open if !self.is_halfway => self.peer.next_ack(),
                _ => None,
            };
            let Some(mut datagram) = answer else {
                return;
            };
            self.now = self.now + DELAY;
            self.arrive(&mut datagram);
        }
        panic!("the endpoint never falls silent");
    }

    /// Lets the endpoint tell what happened.
    fn hear(&mut self) {
        self.handle = self.handle.or_else(|| self.endpoint.handles().next());
        loop {
            let endpoint = &mut self.endpoint;
            let Some((handle, event)) = self.heap.count(|| endpoint.poll_event()) else {
                return;
            };
            self.handle = Some(handle);
            match event {
                Event::Stream(event) if self.reads => self.read(&event),
                Event::DatagramReceived if self.reads => self.read_datagrams(),
                Event::Stream(_) | Event::DatagramReceived => {}
                event if self.events.len() < MAX_EVENTS => self.events.push(event),
                _ => {}
            }
        }
    }

    fn read(&mut self, event: &StreamEvent) {
        let (Some(handle), StreamEvent::Readable(id)) = (self.handle, event) else {
            return;
        };
        let endpoint = &mut self.endpoint;
        self.heap.count(|| {
            let connection = endpoint.connection_mut(handle);
            let Some(connection) = connection else { return };
            while let Ok(ReadChunk::Chunk { .. }) = connection.read_unordered(*id) {}
        });
    }

    fn read_datagrams(&mut self) {
        let Some(handle) = self.handle else { return };
        let endpoint = &mut self.endpoint;
        self.heap.count(|| {
            let connection = endpoint.connection_mut(handle);
            let Some(connection) = connection else { return };
            while connection.receive_datagram().is_some() {}
        });
    }

    /// One call of the endpoint's `transmit`; false when there was nothing.
    fn transmit(&mut self) -> bool {
        let (now, endpoint, buffer) = (self.now, &mut self.endpoint, &mut self.buffer);
        let transmit = self
            .heap
            .count(|| endpoint.transmit(now, buffer, MAX_SEGMENTS));
        let Some(transmit) = transmit else {
            return false;
        };
        assert!(transmit.len > 0, "an empty datagram");
        let size = transmit.segment_size.unwrap_or(transmit.len);
        for datagram in self.buffer[..transmit.len].chunks(size) {
            self.sent.0 += 1;
            self.sent.1 += datagram.len() as u64;
            let seen = self.peer.receive(datagram);
            if self.records {
                self.seen.extend(seen);
            }
        }
        true
    }
}

fn cid(rng: &mut Rng) -> ConnectionId {
    ConnectionId::new(&rng.bytes::<8>()).unwrap()
}

/// The application protocol of all duels.
const ALPN: &[&[u8]] = &[b"hq-interop"];
/// What passes before the peer answers by itself.
const DELAY: Duration = Duration::from_millis(10);
/// Datagrams that one call may write.
const MAX_SEGMENTS: usize = 10;
/// Answers in one turn, of both sides together: more than any window holds.
const MAX_TURNS: u32 = 100_000;
/// Deadlines in one [`Duel::run_for`].
const MAX_DEADLINES: u32 = 1_000_000;
/// Events that are kept.
const MAX_EVENTS: usize = 1000;
