//! Publishers and subscribers with in-memory streams around a raw relay.

use std::collections::HashMap;

use quic_lite::Time;
use quic_lite::stream::{Chunk, ReadChunk, StreamConfig, StreamEvent, Streams};
use quic_lite::wire::stream_id::{Dir, Side, StreamId};
use quic_lite::wire::transport_parameters::TransportParameters;

use super::{RawConfig, RawRelay, Role, code};
use crate::serve::{Context, Network};
use crate::session::pipe::{deliver_packet, transfer, write};
use crate::track::PeerId;

/// The relay's ends of the connections.
#[derive(Default)]
struct Ends {
    streams: HashMap<PeerId, Streams>,
    datagrams: HashMap<PeerId, Vec<Chunk>>,
    closed: HashMap<PeerId, u64>,
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
}

/// A stream as its reader has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    bytes: Vec<u8>,
    ended: bool,
    reset: Option<u64>,
}

/// One relay and its peers.
struct World {
    relay: RawRelay,
    ends: Ends,
    peers: HashMap<PeerId, Streams>,
    got: HashMap<(PeerId, StreamId), Got>,
    stopped: Vec<(PeerId, u64)>,
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
    fn new(config: RawConfig) -> Self {
        Self {
            relay: RawRelay::new(config),
            ends: Ends::default(),
            peers: HashMap::new(),
            got: HashMap::new(),
            stopped: Vec::new(),
        }
    }

    fn act(&mut self, act: impl FnOnce(&mut RawRelay, &mut Context<'_>)) {
        let now = Time::from_micros(1);
        let net = &mut self.ends;
        act(&mut self.relay, &mut Context { now, net });
    }

    fn connect(&mut self, role: Role, uni: u64, data: u64) -> PeerId {
        let peer = PeerId(self.peers.len());
        let (ours, theirs) = ends(uni, data);
        self.ends.streams.insert(peer, ours);
        self.peers.insert(peer, theirs);
        self.act(|relay, cx| relay.on_connected(cx, peer, role));
        peer
    }

    fn publisher(&mut self) -> PeerId {
        self.connect(Role::Publisher, 0, 0)
    }

    fn subscriber(&mut self) -> PeerId {
        self.connect(Role::Subscriber, 100, 1 << 20)
    }

    fn at(&mut self, peer: PeerId) -> &mut Streams {
        self.peers.get_mut(&peer).expect("connected")
    }

    /// A whole stream of a publisher.
    fn send(&mut self, peer: PeerId, bytes: &[u8]) -> StreamId {
        let id = self.begin(peer, bytes);
        self.at(peer).finish(id).expect("open");
        id
    }

    fn begin(&mut self, peer: PeerId, bytes: &[u8]) -> StreamId {
        let streams = self.at(peer);
        let id = streams.open(Dir::Uni).expect("credit");
        streams.write_chunk(id, bytes.into()).expect("open");
        id
    }

    /// Tells the relay what has arrived.
    fn pump(&mut self, peer: PeerId) {
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
    fn settle(&mut self) {
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

    fn exchange(&mut self, peer: PeerId) -> bool {
        let ours = self.ends.streams.get_mut(&peer).expect("connected");
        let theirs = self.peers.get_mut(&peer).expect("connected");
        transfer(theirs, ours) | transfer(ours, theirs)
    }

    fn read(&mut self, peer: PeerId) {
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

    fn got(&mut self, peer: PeerId, index: u64) -> Got {
        let id = StreamId::new(Side::Server, Dir::Uni, index);
        self.got.remove(&(peer, id)).unwrap_or_default()
    }

    fn disconnect(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.ends.streams.remove(&peer);
        self.act(|relay, cx| relay.on_closed(cx, peer));
    }

    /// Nothing is left of streams and subscribers.
    #[track_caller]
    fn is_clean(&self) {
        assert!(self.relay.streams.is_empty(), "{:?}", self.relay.streams);
        assert_eq!(self.relay.kept, 0);
    }
}

fn whole(bytes: &[u8]) -> Got {
    Got {
        bytes: bytes.to_vec(),
        ended: true,
        reset: None,
    }
}

#[test]
fn each_stream_goes_to_each_subscriber_byte_for_byte() {
    let mut world = World::new(RawConfig::default());
    let (a, b) = (world.subscriber(), world.subscriber());
    let (one, two) = (world.publisher(), world.publisher());
    let long: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    world.send(one, b"short");
    world.settle();
    world.send(two, &long);
    world.settle();
    world.send(one, b"");
    world.settle();
    for peer in [a, b] {
        assert_eq!(world.got(peer, 0), whole(b"short"));
        assert_eq!(world.got(peer, 1), whole(&long));
        assert_eq!(world.got(peer, 2), whole(b""));
    }
    assert_eq!(world.relay.counters().forwarded_streams, 6);
    world.is_clean();
}

#[test]
fn pieces_are_passed_on_out_of_order_and_the_end_with_them() {
    let mut world = World::new(RawConfig::default());
    let (a, publisher) = (world.subscriber(), world.publisher());
    world.send(publisher, &[7; 5000]);
    let mut packets = Vec::new();
    while let Some((packet, _)) = write(world.at(publisher)) {
        packets.push(packet);
    }
    assert!(packets.len() > 3);
    // All but the first: the subscriber's stream has a hole, and its end.
    for packet in &packets[1..] {
        deliver_packet(
            world.ends.streams.get_mut(&publisher).expect("there"),
            packet,
        );
    }
    world.pump(publisher);
    let id = StreamId::new(Side::Server, Dir::Uni, 0);
    let streams = world.ends.streams.get_mut(&a).expect("connected");
    assert!(streams.unsent_bytes(id) > 3000);
    assert!(transfer(
        streams,
        world.peers.get_mut(&a).expect("connected")
    ));
    assert_eq!(world.at(a).final_size(id), Some(5000));
    deliver_packet(
        world.ends.streams.get_mut(&publisher).expect("there"),
        &packets[0],
    );
    world.pump(publisher);
    world.settle();
    assert_eq!(world.got(a, 0), whole(&[7; 5000]));
    world.is_clean();
}

#[test]
fn reset_and_loss_of_the_publisher_are_passed_on() {
    let mut world = World::new(RawConfig::default());
    let (a, publisher) = (world.subscriber(), world.publisher());
    let reset = world.begin(publisher, b"never mind");
    world.settle();
    world.begin(publisher, b"half");
    world.send(publisher, b"whole");
    world.settle();
    world.at(publisher).reset(reset, 77).expect("open");
    world.settle();
    assert_eq!(world.got(a, 0).reset, Some(77));
    world.disconnect(publisher);
    world.settle();
    assert_eq!(world.got(a, 1).reset, Some(code::PUBLISHER_GONE));
    assert_eq!(world.got(a, 2), whole(b"whole"));
    world.is_clean();
}

#[test]
fn late_subscriber_begins_with_the_next_stream() {
    let mut world = World::new(RawConfig::default());
    let publisher = world.publisher();
    let first = world.begin(publisher, b"one");
    world.settle();
    let late = world.subscriber();
    let streams = world.at(publisher);
    streams
        .write_chunk(first, b" more".as_slice().into())
        .expect("open");
    streams.finish(first).expect("open");
    world.send(publisher, b"two");
    world.settle();
    assert_eq!(world.got(late, 0), whole(b"two"));
    assert_eq!(world.got(late, 1), Got::default());
}

#[test]
fn streams_wait_for_credit_and_come_in_order() {
    let mut world = World::new(RawConfig::default());
    let (slow, fast) = (
        world.connect(Role::Subscriber, 1, 1 << 20),
        world.subscriber(),
    );
    let publisher = world.publisher();
    let sent: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n; 3000]).collect();
    for bytes in &sent {
        world.send(publisher, bytes);
    }
    transfer(
        world.peers.get_mut(&publisher).expect("there"),
        world.ends.streams.get_mut(&publisher).expect("there"),
    );
    world.pump(publisher);
    assert_eq!(world.relay.streams.len(), 19, "one of twenty had credit");
    assert!(world.relay.kept >= 19 * 3000);
    world.settle();
    for (index, bytes) in (0..).zip(&sent) {
        assert_eq!(world.got(slow, index), whole(bytes), "{index}");
        assert_eq!(world.got(fast, index), whole(bytes), "{index}");
    }
    world.is_clean();
}

#[test]
fn subscriber_without_credit_costs_no_more_than_is_allowed() {
    let config = RawConfig {
        max_kept: 10_000,
        max_blocked: 5,
        ..RawConfig::default()
    };
    let mut world = World::new(config);
    let (stuck, fast) = (
        world.connect(Role::Subscriber, 0, 1 << 20),
        world.subscriber(),
    );
    let publisher = world.publisher();
    for n in 0..20_u8 {
        world.send(publisher, &[n; 1500]);
        world.settle();
        assert!(world.relay.kept <= 10_000);
        assert_eq!(world.got(fast, n.into()), whole(&[n; 1500]));
    }
    assert_eq!(world.relay.streams.len(), 5, "as many as may wait");
    assert_eq!(world.relay.counters().shed_streams, 15);
    world.disconnect(stuck);
    world.is_clean();
}

#[test]
fn subscriber_that_does_not_read_loses_its_oldest_streams() {
    let config = RawConfig {
        max_pending: 100_000,
        ..RawConfig::default()
    };
    let mut world = World::new(config);
    let (stuck, fast) = (world.connect(Role::Subscriber, 100, 0), world.subscriber());
    let publisher = world.publisher();
    for n in 0..30_u8 {
        world.send(publisher, &[n; 10_000]);
        world.settle();
        assert_eq!(world.got(fast, n.into()), whole(&[n; 10_000]));
        let streams = &world.ends.streams[&stuck];
        let ids = (0..30).map(|n| StreamId::new(Side::Server, Dir::Uni, n));
        let pending: u64 = ids.map(|id| streams.unacked_bytes(id)).sum();
        assert!(pending <= 115_000, "{pending}");
    }
    assert_eq!(world.got(stuck, 0).reset, Some(code::TOO_SLOW));
    assert!(world.relay.counters().shed_streams >= 20);
    world.is_clean();
}

#[test]
fn subscriber_may_stop_a_stream_and_leave_in_its_middle() {
    let mut world = World::new(RawConfig::default());
    let (a, b) = (world.subscriber(), world.subscriber());
    let publisher = world.publisher();
    let id = world.begin(publisher, b"one");
    world.settle();
    let theirs = StreamId::new(Side::Server, Dir::Uni, 0);
    world.at(a).stop_sending(theirs, 5).expect("open");
    world.settle();
    world.disconnect(b);
    world.at(publisher).finish(id).expect("open");
    world.send(publisher, b"two");
    world.settle();
    assert!(!world.got(a, 0).ended);
    assert_eq!(world.got(a, 1), whole(b"two"));
    world.is_clean();
}

#[test]
fn datagrams_of_publishers_go_to_all_subscribers_and_those_of_subscribers_nowhere() {
    let mut world = World::new(RawConfig::default());
    let (a, b) = (world.subscriber(), world.subscriber());
    let publisher = world.publisher();
    let datagram = Chunk::from(b"now".as_slice());
    world.act(|relay, cx| relay.on_datagram(cx, publisher, &datagram));
    world.act(|relay, cx| relay.on_datagram(cx, a, &datagram));
    for peer in [a, b] {
        assert_eq!(world.ends.datagrams[&peer].len(), 1);
        assert_eq!(world.ends.datagrams[&peer][0], datagram);
    }
    assert!(!world.ends.datagrams.contains_key(&publisher));
}

#[test]
fn streams_that_are_not_carried_are_stopped() {
    let mut world = World::new(RawConfig::default());
    let (a, publisher) = (world.subscriber(), world.publisher());
    world.begin(a, b"hello?");
    let bidi = world.at(publisher).open(Dir::Bi).expect("credit");
    world.at(publisher).write(bidi, b"hello?").expect("open");
    world.settle();
    world.stopped.sort_unstable();
    let no = code::NOT_CARRIED;
    assert_eq!(world.stopped, [(a, no), (publisher, no)]);
    assert_eq!(
        world.got.len(),
        1,
        "a reset of the answer, and nothing else"
    );
    assert_eq!(world.relay.counters().received_streams, 0);
}

#[test]
fn publishers_are_limited_and_all_are_sent_away_at_the_end() {
    let config = RawConfig {
        max_publishers: 1,
        ..RawConfig::default()
    };
    let mut world = World::new(config);
    let (one, two, a) = (world.publisher(), world.publisher(), world.subscriber());
    assert_eq!(world.ends.closed.get(&two), Some(&code::TOO_MANY));
    assert_eq!(world.relay.role(two), None);
    world.act(RawRelay::shut_down);
    assert_eq!(world.ends.closed[&one], code::NONE);
    assert_eq!(world.ends.closed[&a], code::NONE);
    assert!(world.relay.is_empty());
}
