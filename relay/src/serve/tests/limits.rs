//! Peers that are slow, greedy or broken, and a relay that stays what it was for all others.

use core::time::Duration;

use super::support::*;
use crate::moqt::key_value::{PairWriter, key};
use crate::moqt::message::Publish;
use crate::moqt::{CloseCode, Message, Parameters, Properties, RequestErrorCode, ResetCode};
use crate::serve::RelayConfig;
use crate::session::SessionEvent;

#[test]
fn a_slow_subscriber_loses_its_oldest_groups_and_nobody_else_does() {
    let config = RelayConfig {
        max_pending: 100_000,
        ..RelayConfig::default()
    };
    let mut world = World::with(config);
    let live = world.live(3);
    let fast = world.connect();
    world.subscribe(fast, Parameters::default());
    world.at(live.subscriber).asleep = true;
    let mut sent = Vec::new();
    for group in 0..40 {
        sent.push(world.at(live.publisher).subgroup(3, group, &[0, 1, 2]));
        world.settle();
    }
    assert_eq!(world.at(fast).whole().len(), 40);
    assert!(world.relay.counters().shed_streams >= 20);
    world.at(live.subscriber).asleep = false;
    world.settle();
    let whole = world.at(live.subscriber).whole();
    assert!(!whole.is_empty() && whole.len() < 20, "{}", whole.len());
    assert!(whole.contains(&sent[39]) && !whole.contains(&sent[0]));
    let resets: Vec<u64> = world
        .at(live.subscriber)
        .data
        .values()
        .filter_map(|it| it.reset)
        .collect();
    assert!(
        resets
            .iter()
            .all(|code| *code == ResetCode::DELIVERY_TIMEOUT.0)
    );
    assert!(
        world.at(live.subscriber).news().is_empty(),
        "the subscription goes on"
    );
}

#[test]
fn streams_beyond_the_subscribers_credit_open_when_there_is_credit() {
    let mut world = World::new();
    let publisher = world.connect();
    world.publish_namespace(publisher, "live");
    // One of the two streams is the relay's control stream.
    let narrow = world.connect_at(
        "/",
        Credit {
            uni: 2,
            data: 1 << 20,
        },
    );
    world.subscribe(narrow, Parameters::default());
    world.accept(publisher, 3, None);
    let mut sent: Vec<_> = (0..5)
        .map(|group| world.at(publisher).subgroup(3, group, &[0]))
        .collect();
    world.settle();
    sent.sort();
    // The subscriber's own limit grows as streams end, so all five come, one after the other.
    assert_eq!(world.at(narrow).whole(), sent);
}

#[test]
fn a_delivery_timeout_gives_late_objects_up() {
    let mut world = World::new();
    let publisher = world.connect();
    world.publish_namespace(publisher, "live");
    let slow = world.connect_at(
        "/",
        Credit {
            uni: 100,
            data: 2000,
        },
    );
    let parameters = Parameters {
        object_delivery_timeout: Some(200),
        ..Parameters::default()
    };
    world.subscribe(slow, parameters);
    world.accept(publisher, 3, None);
    world.at(slow).asleep = true;
    world.at(publisher).subgroup(3, 0, &[0, 1, 2, 3]);
    world.settle();
    world.wait(Duration::from_millis(900));
    assert_eq!(world.relay.counters().late_streams, 1);
    world.at(slow).asleep = false;
    world.settle();
    // Nothing had been sent: a stream that was reset before its header means nothing to the subscriber.
    assert!(world.at(slow).data.is_empty());
}

#[test]
fn the_cache_keeps_latest_groups_and_drops_older_ones_first() {
    let config = RelayConfig {
        cache_bytes: 60_000,
        ..RelayConfig::default()
    };
    let mut world = World::with(config);
    let live = world.live(3);
    let mut last = Bytes::default();
    for group in 0..50 {
        last = world.at(live.publisher).subgroup(3, group, &[0, 1]);
        world.settle();
        assert!(world.relay.counters().cache_bytes <= 60_000);
    }
    assert!(world.relay.counters().evicted_groups > 30);
    let late = world.connect();
    world.subscribe(late, Parameters::default());
    assert_eq!(world.at(late).whole(), [last]);
}

#[test]
fn objects_are_not_served_longer_than_their_track_allows() {
    let mut world = World::new();
    let publisher = world.connect();
    let mut properties = Vec::new();
    PairWriter::new(&mut properties).int(key::MAX_CACHE_DURATION, 500);
    let properties = Properties::parse_all(&properties).expect("valid");
    world.offer_with(publisher, 3, properties);
    let bytes = subgroup(3, 0, &[0, 1]);
    let stream = world.at(publisher).open(&bytes[..3007]);
    world.settle();
    world.wait(Duration::from_millis(400));
    let publisher = world.at(publisher);
    let (streams, rest) = (&mut publisher.streams, bytes[3007..].into());
    streams.write_chunk(stream, rest).expect("open");
    streams.finish(stream).expect("open");
    world.settle();
    world.wait(Duration::from_millis(200));
    let late = world.connect();
    world.subscribe(late, Parameters::default());
    let mut fresh = Vec::new();
    let joined = header(3, 0).joined(0);
    joined.encode(&mut fresh);
    fresh.extend(objects(&[1], None));
    assert_eq!(world.at(late).whole(), [Bytes(fresh)]);
}

#[test]
fn a_group_without_end_is_forwarded_but_not_kept() {
    let config = RelayConfig {
        group_bytes: 50_000,
        ..RelayConfig::default()
    };
    let mut world = World::with(config);
    let live = world.live(3);
    let mut bytes = subgroup(3, 0, &[0]);
    let stream = world.at(live.publisher).open(&bytes);
    for id in 1..100 {
        let object = objects(&[id], Some(id - 1));
        world
            .at(live.publisher)
            .streams
            .write_chunk(stream, object.clone().into())
            .expect("open");
        bytes.0.extend(object);
        world.settle();
        assert!(world.relay.counters().cache_bytes < 60_000);
    }
    world
        .at(live.publisher)
        .streams
        .finish(stream)
        .expect("open");
    world.settle();
    assert_eq!(world.at(live.subscriber).whole(), [bytes]);
    let next = world.at(live.publisher).subgroup(3, 1, &[0]);
    world.settle();
    assert!(world.at(live.subscriber).whole().contains(&next));
}

#[test]
fn a_publisher_that_breaks_the_rules_takes_down_only_its_own() {
    let mut world = World::new();
    let live = world.live(3);
    let mut bytes = subgroup(3, 0, &[0]);
    bytes.0.extend([0, 0, 1]);
    world.at(live.publisher).open(&bytes);
    world.settle();
    assert_eq!(
        world.closed(live.publisher),
        Some(CloseCode::PROTOCOL_VIOLATION.0)
    );
    assert_eq!(world.closed(live.subscriber), None);
    let Message::PublishDone(done) = world.at(live.subscriber).message(live.subscription) else {
        panic!("no PUBLISH_DONE");
    };
    assert_eq!(done.status, crate::moqt::DoneCode::MALFORMED_TRACK);
    assert!(world.at(live.subscriber).whole().is_empty());
}

#[test]
fn a_stream_that_ends_inside_an_object_is_a_violation() {
    let mut world = World::new();
    let live = world.live(3);
    let stream = world.at(live.publisher).open(&subgroup(3, 0, &[0])[..100]);
    world
        .at(live.publisher)
        .streams
        .finish(stream)
        .expect("open");
    world.settle();
    assert_eq!(
        world.closed(live.publisher),
        Some(CloseCode::PROTOCOL_VIOLATION.0)
    );
}

#[test]
fn a_track_that_needs_what_we_do_not_understand_is_refused() {
    let mut world = World::new();
    let publisher = world.connect();
    let mut properties = Vec::new();
    PairWriter::new(&mut properties).int(0x4000, 1);
    let message = Publish {
        request_id: 0,
        track: track(),
        track_alias: 1,
        parameters: Parameters::default(),
        properties: Properties::parse_all(&properties).expect("valid"),
    };
    let id = world.at(publisher).request(Message::Publish(message));
    world.settle();
    assert_eq!(
        world.refused(publisher, id).code,
        RequestErrorCode::UNSUPPORTED_EXTENSION
    );
    assert_ne!(key::MAX_CACHE_DURATION, 0x4000);
}

#[test]
fn one_peer_cannot_have_all_requests() {
    let mut world = World::with(RelayConfig {
        max_requests: 3,
        ..RelayConfig::default()
    });
    let greedy = world.connect();
    for n in 0..3 {
        world.publish_namespace(greedy, &format!("ns{n}"));
    }
    let id = world.subscribe(greedy, Parameters::default());
    assert_eq!(
        world.refused(greedy, id).code,
        RequestErrorCode::EXCESSIVE_LOAD
    );
}

#[test]
fn a_graceful_end_says_go_away_and_closes_after_the_timeout() {
    let mut world = World::new();
    let live = world.live(3);
    world.shut_down(Duration::from_millis(500));
    assert!(
        matches!(world.at(live.subscriber).news()[..], [SessionEvent::GoAway(ref it)] if it.timeout == 500)
    );
    assert_eq!(world.closed(live.subscriber), None);
    world.wait(Duration::from_secs(1));
    assert_eq!(
        world.closed(live.subscriber),
        Some(CloseCode::GOAWAY_TIMEOUT.0)
    );
    assert!(world.relay.is_empty());
}

#[test]
fn an_idle_peer_is_small() {
    assert!(size_of::<super::super::peer::Peer>() < 2048);
}
