//! Publishers and subscribers with in-memory streams around a raw relay.

mod chaos;
mod other;
mod world;

use quic_lite::stream::Chunk;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::stream_id::{Dir, Side, StreamId};

use super::{RawConfig, RawRelay, Role, code};
use crate::session::pipe::{deliver_packet, transfer, write};
use other::Other;
use world::{Got, World};

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
fn what_is_kept_for_those_without_credit_is_bounded_and_the_oldest_goes() {
    let config = RawConfig {
        max_kept: 10_000,
        ..RawConfig::default()
    };
    let mut world = World::new(config);
    let stuck = world.connect(Role::Subscriber, 0, 1 << 20);
    let publisher = world.publisher();
    for n in 0..20_u8 {
        world.send(publisher, &[n; 1500]);
        world.settle();
        assert!(world.relay.kept <= 10_000);
    }
    assert_eq!(world.relay.streams.len(), 5, "as many as have room");
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
    let (number, datagram) = (PacketNumber::ZERO, Chunk::from(b"now".as_slice()));
    world.act(|relay, cx| relay.on_datagram(cx, publisher, (number, &datagram)));
    world.act(|relay, cx| relay.on_datagram(cx, a, (number, &datagram)));
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

#[test]
fn what_another_forwarder_has_done_is_not_done_again() {
    let mut world = World::new(RawConfig::default());
    world.ends.other = Some(Other::default());
    let (a, publisher, b) = (world.subscriber(), world.publisher(), world.subscriber());
    let other = world.ends.other.as_mut().expect("just set");
    assert_eq!((other.fed.len(), other.members.len()), (1, 2));

    let (number, datagram) = (PacketNumber::ZERO, Chunk::from(b"now".as_slice()));
    other.sent.insert((number, a));
    world.act(|relay, cx| relay.on_datagram(cx, publisher, (number, &datagram)));
    assert!(!world.ends.datagrams.contains_key(&a));
    assert_eq!(world.ends.datagrams[&b].len(), 1);
    assert_eq!(world.relay.counters().forwarded_datagrams, 2);

    let (number, other) = (PacketNumber::new(1), world.ends.other.as_mut());
    other.expect("still there").carried.insert(number, 2);
    world.act(|relay, cx| relay.on_datagram(cx, publisher, (number, &datagram)));
    assert!(!world.ends.datagrams.contains_key(&a));
    assert_eq!(world.ends.datagrams[&b].len(), 1);
    assert_eq!(world.relay.counters().forwarded_datagrams, 4);

    let streams = world.ends.streams.get_mut(&a).expect("connected");
    let theirs = streams.open(Dir::Uni).expect("credit");
    let source = (publisher, world.begin(publisher, b"stream"));
    let other = world.ends.other.as_mut().expect("still there");
    other.opened.insert((source, a), theirs);
    world.settle();
    world.at(publisher).finish(source.1).expect("open");
    world.settle();
    assert_eq!(world.got(a, 0), whole(b"stream"));
    assert_eq!(world.got(b, 0), whole(b"stream"));
    world.is_clean();

    world.disconnect(b);
    world.disconnect(publisher);
    let other = world.ends.other.as_ref().expect("still there");
    assert_eq!((other.fed.len(), other.members.len()), (0, 0));
}
