//! A raw relay and its peers: no sockets, no TLS.

use std::collections::HashMap;

use quic_lite::Time;
use quic_lite::stream::{Chunk, ReadChunk, StreamConfig, StreamEvent, Streams};
use quic_lite::wire::stream_id::{Dir, Side, StreamId};
use quic_lite::wire::transport_parameters::TransportParameters;

use super::other::Other;
use crate::offload::Offload;
use crate::raw::{RawConfig, RawRelay, Role};
use crate::serve::{Context, Network};
use crate::session::pipe::transfer;
use crate::track::PeerId;

/// The relay's ends of the connections.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) streams: HashMap<PeerId, Streams>,
    pub(super) datagrams: HashMap<PeerId, Vec<Chunk>>,
    pub(super) closed: HashMap<PeerId, u64>,
    pub(super) other: Option<Other>,
}

impl Network for Ends {
    fn streams(&mut self, peer: PeerId) -> Option<&mut Streams> {
        self.streams.get_mut(&peer)
    }

    fn send_datagram(&mut self, peer: PeerId, datagram: Chunk) -> bool {
        self.datagrams.entry(peer).or_default().push(datagram);
        true
    }

    fn close(&mut self, _: Time, peer: PeerId, code: u64, _: &str) {
        self.closed.insert(peer, code);
    }

    fn dial(&mut self, _: Time) -> Option<PeerId> {
        None
    }

    fn offload(&mut self) -> Option<&mut dyn Offload> {
        match self.other {
            Some(_) => Some(self),
            None => None,
        }
    }
}

/// A stream as its reader has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) bytes: Vec<u8>,
    pub(super) ended: bool,
    pub(super) reset: Option<u64>,
}

/// One relay and its peers.
pub(super) struct World {
    pub(super) relay: RawRelay,
    pub(super) ends: Ends,
    pub(super) peers: HashMap<PeerId, Streams>,
    pub(super) got: HashMap<(PeerId, StreamId), Got>,
    pub(super) stopped: Vec<(PeerId, u64)>,
    connected: usize,
}

fn ends(uni: u64, data: u64) -> (Streams, Streams) {
    let config = StreamConfig {
        max_streams_uni: uni,
        ..StreamConfig::default()
    };
    let (mut ours, mut theirs) = (
        Streams::new(Side::Server, &StreamConfig::default()),
        Streams::new(Side::Client, &config),
    );
    let parameters = |uni, data| TransportParameters {
        initial_max_data: data,
        initial_max_stream_data_uni: data,
        initial_max_stream_data_bidi_remote: data,
        initial_max_streams_bidi: 10,
        initial_max_streams_uni: uni,
        ..TransportParameters::default()
    };
    ours.set_peer_parameters(&parameters(uni, data));
    theirs.set_peer_parameters(&parameters(1000, 1 << 20));
    (ours, theirs)
}

impl World {
    pub(super) fn new(config: RawConfig) -> Self {
        Self {
            relay: RawRelay::new(config),
            ends: Ends::default(),
            peers: HashMap::new(),
            got: HashMap::new(),
            stopped: Vec::new(),
            connected: 0,
        }
    }

    pub(super) fn act(&mut self, act: impl FnOnce(&mut RawRelay, &mut Context<'_>)) {
        let now = Time::from_micros(1);
        let net = &mut self.ends;
        act(&mut self.relay, &mut Context { now, net });
    }

    pub(super) fn connect(&mut self, role: Role, uni: u64, data: u64) -> PeerId {
        let peer = PeerId(self.connected);
        self.connected += 1;
        let (ours, theirs) = ends(uni, data);
        self.ends.streams.insert(peer, ours);
        self.peers.insert(peer, theirs);
        self.act(|relay, cx| relay.on_connected(cx, peer, role));
        peer
    }

    pub(super) fn publisher(&mut self) -> PeerId {
        self.connect(Role::Publisher, 0, 0)
    }

    pub(super) fn subscriber(&mut self) -> PeerId {
        self.connect(Role::Subscriber, 100, 1 << 20)
    }

    pub(super) fn at(&mut self, peer: PeerId) -> &mut Streams {
        self.peers.get_mut(&peer).expect("connected")
    }

    /// A whole stream of a publisher.
    pub(super) fn send(&mut self, peer: PeerId, bytes: &[u8]) -> StreamId {
        let id = self.begin(peer, bytes);
        self.at(peer).finish(id).expect("open");
        id
    }

    pub(super) fn begin(&mut self, peer: PeerId, bytes: &[u8]) -> StreamId {
        let streams = self.at(peer);
        let id = streams.open(Dir::Uni).expect("credit");
        streams.write_chunk(id, bytes.into()).expect("open");
        id
    }

    /// Tells the relay what has arrived.
    pub(super) fn pump(&mut self, peer: PeerId) {
        while let Some(event) = self
            .ends
            .streams
            .get_mut(&peer)
            .and_then(Streams::poll_event)
        {
            self.act(|relay, cx| relay.on_stream_event(cx, peer, event));
        }
    }

    /// Everybody sends and reads until nothing moves.
    pub(super) fn settle(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            let peers: Vec<PeerId> = self.peers.keys().copied().collect();
            for peer in peers {
                moved |= self.exchange(peer);
                self.read(peer);
                self.pump(peer);
            }
        }
    }

    pub(super) fn exchange(&mut self, peer: PeerId) -> bool {
        let ours = self.ends.streams.get_mut(&peer).expect("connected");
        let theirs = self.peers.get_mut(&peer).expect("connected");
        transfer(theirs, ours) | transfer(ours, theirs)
    }

    pub(super) fn read(&mut self, peer: PeerId) {
        while let Some(event) = self.at(peer).poll_event() {
            let id = match event {
                StreamEvent::Readable(id) => id,
                StreamEvent::Stopped { code, .. } => {
                    self.stopped.push((peer, code));
                    continue;
                }
                _ => continue,
            };
            loop {
                let read = self.at(peer).read_chunk(id);
                let got = self.got.entry((peer, id)).or_default();
                match read.expect("a stream to us") {
                    ReadChunk::Chunk { chunk, .. } => got.bytes.extend_from_slice(&chunk),
                    ReadChunk::Blocked => break,
                    ReadChunk::Finished => break got.ended = true,
                    ReadChunk::Reset(code) => break got.reset = Some(code),
                }
            }
        }
    }

    pub(super) fn got(&mut self, peer: PeerId, index: u64) -> Got {
        let id = StreamId::new(Side::Server, Dir::Uni, index);
        self.got.remove(&(peer, id)).unwrap_or_default()
    }

    pub(super) fn disconnect(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.ends.streams.remove(&peer);
        self.act(|relay, cx| relay.on_closed(cx, peer));
    }

    /// Nothing is left of streams and subscribers.
    #[track_caller]
    pub(super) fn is_clean(&self) {
        assert!(self.relay.streams.is_empty(), "{:?}", self.relay.streams);
        assert_eq!(self.relay.kept, 0);
        if let Some(other) = &self.ends.other {
            assert!(other.begun.is_empty(), "{:?}", other.begun);
        }
    }
}
