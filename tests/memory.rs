//! What a relay costs in memory, counted by the allocator: an idle subscriber, ten thousand visits, a
//! hundred thousand objects, a flood of strangers, and a peer that sends every second byte. RFC 9000 §21; draft-18 §13.
//!
//! Each test runs in a thread of its own, which is what is counted. Nothing here depends on a clock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "memory/flood.rs"]
mod flood;
#[path = "memory/party.rs"]
mod party;
#[path = "memory/world.rs"]
mod world;

use std::time::Duration;

use integration::heap;
use quic_lite::stream::{Chunk, StreamConfig, Streams};
use quic_lite::wire::frame::Stream;
use quic_lite::wire::stream_id::{Dir, StreamId};
use quic_lite::{Side, Time};
use quic_relay::moqt::subgroup::{Body, Object};
use quic_relay::moqt::{SubgroupHeader, SubgroupId};
use quic_relay::serve::RelayConfig;
use quic_relay::serve::server::transport;

use party::Part;
use world::World;

const KIB: usize = 1 << 10;

/// Bytes that are allocated now, and a mebibyte: a thread also frees what it was given when it began.
fn live() -> usize {
    usize::try_from(heap::live() + (1 << 20)).expect("a thread is given little")
}

#[test]
fn an_idle_subscriber_costs_the_relay_at_most_64_kib() {
    for groups in [0, 20] {
        // What a relay with one subscriber has, the others need not pay for.
        let few = relay_with_idle_subscribers(1, groups);
        let many = relay_with_idle_subscribers(201, groups);
        let each = many.saturating_sub(few) / 200;
        println!(
            "idle after {groups} groups: {each} bytes each, {few} bytes for the relay and one"
        );
        assert!(each > KIB, "the relay was not measured");
        assert!(each <= 64 * KIB, "{each} bytes");
    }
}

/// What is freed with a relay that has one publisher and so many subscribers, with nothing to do any more.
fn relay_with_idle_subscribers(count: usize, groups: u64) -> usize {
    let mut world = World::new(RelayConfig::default());
    world.join(Part::Publish, 1);
    let place = world.join(Part::Subscribe, count);
    for group in 0..groups {
        world.parties[0].publish(subgroup(group, 100, 500));
        world.run(Duration::from_millis(500));
    }
    world.run(Duration::from_secs(5));
    assert_eq!(world.parties[place].tally.streams, groups * count as u64);
    let counters = world.relay.server.counters();
    assert_eq!(
        (counters.peers, counters.subscriptions),
        (1 + count as u64, count as u64)
    );
    let World { relay, parties, .. } = world;
    drop(parties);
    let before = live();
    drop(relay);
    before - live()
}

#[test]
fn ten_thousand_visits_leave_nothing_behind() {
    let mut world = World::new(RelayConfig::default());
    // Tables keep the size that their largest crowd gave them, so the first crowd is the largest. Even so
    // one may double once, when half of it is full and the rest was used before.
    (0..4).for_each(|_| visit(&mut world, 250));
    let mut readings = Vec::with_capacity(11);
    readings.push(live());
    for _ in 0..10 {
        (0..10).for_each(|_| visit(&mut world, 100));
        readings.push(live());
    }
    println!("allocated after each thousand visits: {readings:?}");
    for reading in &readings {
        assert!(*reading <= readings[0] + 64 * KIB, "{readings:?}");
    }
}

/// A publisher and so many subscribers come, see a group, and go.
fn visit(world: &mut World, subscribers: usize) {
    world.join(Part::Publish, 1);
    let place = world.join(Part::Subscribe, subscribers);
    world.parties[0].publish(subgroup(0, 3, 500));
    world.run(Duration::from_secs(1));
    assert_eq!(world.parties[place].tally.streams, subscribers as u64);
    world.disperse();
    let endpoint = &mut world.relay.endpoint;
    assert!(endpoint.is_idle() && endpoint.half_open() == 0);
    assert_eq!(endpoint.next_timeout(), None);
    assert_eq!(world.relay.server.relay().next_timeout(), None);
    let now = world.relay.server.counters();
    assert_eq!(
        [
            now.peers,
            now.tracks,
            now.subscriptions,
            now.cache_bytes,
            now.violations
        ],
        [0; 5]
    );
}

#[test]
fn a_hundred_thousand_objects_cost_what_the_cache_may_hold() {
    for crowd in [
        Crowd {
            subscribers: 3,
            groups: 1000,
            per_group: 100,
        },
        Crowd {
            subscribers: 3,
            groups: 100_000,
            per_group: 1,
        },
        // What is kept of a stream must not grow with those who get it.
        Crowd {
            subscribers: 100,
            groups: 3500,
            per_group: 1,
        },
    ] {
        let peak = peak(&crowd);
        println!(
            "{crowd:?}: at most {peak} bytes more than at rest, {CACHE} of them for the cache"
        );
        // What is under way to each, on both sides.
        let each = 8 * KIB * crowd.subscribers as usize;
        assert!(peak <= CACHE + 256 * KIB + each, "{peak} bytes");
    }
}

/// The cache of a small relay.
const CACHE: usize = 4 << 20;

/// What is sent, and to how many.
#[derive(Debug)]
struct Crowd {
    subscribers: u64,
    groups: u64,
    per_group: u64,
}

/// The most that was allocated at a time, by the relay and its clients, while groups went by.
fn peak(crowd: &Crowd) -> usize {
    let mut world = World::new(RelayConfig {
        cache_bytes: CACHE,
        ..RelayConfig::default()
    });
    world.join(Part::Publish, 1);
    let place = world.join(Part::Subscribe, crowd.subscribers as usize);
    let start = live();
    let (mut peak, mut bytes) = (start, 0);
    for group in 0..crowd.groups {
        let subgroup = subgroup(group, crowd.per_group, 100);
        bytes += subgroup.len() as u64;
        world.parties[0].publish(subgroup);
        world.run(Duration::from_millis(10));
        peak = peak.max(live());
    }
    world.run(Duration::from_secs(1));
    let tally = world.parties[place].tally;
    let (streams, bytes) = (crowd.subscribers * crowd.groups, crowd.subscribers * bytes);
    assert_eq!((tally.streams, tally.bytes), (streams, bytes));
    let counters = world.relay.server.counters();
    assert!(counters.evicted_groups > 0 && counters.cache_bytes <= CACHE as u64);
    peak - start
}

/// A group in one stream.
fn subgroup(group: u64, objects: u64, size: usize) -> Chunk {
    let mut bytes = Vec::new();
    SubgroupHeader {
        track_alias: 1,
        group_id: group,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(5),
        properties: false,
        end_of_group: true,
        first_object: true,
    }
    .encode(&mut bytes);
    let payload = vec![7; size];
    for id in 0..objects {
        let object = Object {
            id,
            properties: &[],
            body: Body::Payload(&payload),
        };
        object.encode(&mut bytes, false, id.checked_sub(1));
    }
    bytes.into()
}

/// RFC 9000 §21.7: a peer that sends every second byte of all it may send, and what else has holes.
#[test]
fn holes_in_a_whole_window_cost_what_is_stated() {
    let transport = transport();
    let window = transport.max_stream_window;
    let config = StreamConfig {
        stream_window: window,
        max_stream_window: window,
        connection_window: transport.max_connection_window,
        max_connection_window: transport.max_connection_window,
        ..StreamConfig::default()
    };
    for (piece, ceiling) in [(1, HOLES), (2, HOLES), (1199, HOLES + window as usize)] {
        for pattern in [upwards, downwards, inwards] {
            let (taken, peak) = peak_of_holes(&config, piece, pattern);
            println!("{taken} pieces of {piece} bytes, one byte missing between: {peak} bytes");
            assert!(peak <= ceiling, "{peak} bytes");
        }
    }
}

/// What holes may cost on one connection, apart from the bytes between them.
const HOLES: usize = 1024 * KIB;

/// Which of so many pieces comes as the `n`th.
type Pattern = fn(n: u64, count: u64) -> u64;

fn upwards(n: u64, _: u64) -> u64 {
    n
}

fn downwards(n: u64, count: u64) -> u64 {
    count - 1 - n
}

/// From both ends in turn.
fn inwards(n: u64, count: u64) -> u64 {
    if n.is_multiple_of(2) {
        n / 2
    } else {
        count - 1 - n / 2
    }
}

/// How many pieces were taken before the peer was found out, and the most they cost at a time.
fn peak_of_holes(config: &StreamConfig, piece: usize, pattern: Pattern) -> (u64, usize) {
    let stream_id = StreamId::new(Side::Client, Dir::Uni, 0);
    let data = vec![1; piece];
    let distance = piece as u64 + 1;
    let count = config.stream_window / distance;
    let start = live();
    let mut streams = Streams::new(Side::Server, config);
    let mut peak = start;
    let mut taken = 0;
    for n in 0..count {
        let frame = Stream {
            stream_id,
            offset: pattern(n, count) * distance,
            fin: false,
            data: &data,
        };
        let result = streams.on_stream(Time::ZERO, &frame);
        peak = peak.max(live());
        if result.is_err() {
            break;
        }
        taken += 1;
    }
    drop(streams);
    assert_eq!(live(), start);
    (taken, peak - start)
}
