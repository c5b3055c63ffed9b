//! What subscribers ask for and what they get.

use core::time::Duration;

use super::support::*;
use crate::moqt::message::{RequestUpdate, Subscribe};
use crate::moqt::{
    Filter, Location, Message, Namespace, Parameters, RequestErrorCode, ResetCode, SubgroupHeader,
};
use crate::session::{Ended, SessionEvent};
use crate::track::PeerId;

fn update(parameters: Parameters) -> Message {
    Message::RequestUpdate(RequestUpdate {
        request_id: 0,
        parameters,
    })
}

#[test]
fn every_subscriber_gets_the_publishers_bytes_from_one_upstream_subscription() {
    let mut world = World::new();
    let live = world.live(3);
    let others: Vec<PeerId> = (0..5).map(|_| world.connect()).collect();
    for other in &others {
        let id = world.subscribe(*other, Parameters::default());
        assert!(
            matches!(world.at(*other).message(id), Message::SubscribeOk(ok) if ok.track_alias == 3)
        );
    }
    assert!(
        world.at(live.publisher).news().is_empty(),
        "no second SUBSCRIBE"
    );
    let first = world.at(live.publisher).subgroup(3, 0, &[0, 1, 2]);
    let second = world.at(live.publisher).subgroup(3, 1, &[0, 1]);
    world.settle();
    for peer in others.into_iter().chain([live.subscriber]) {
        assert_eq!(world.at(peer).whole(), [first.clone(), second.clone()]);
    }
    let counters = world.relay.counters();
    assert_eq!(
        (counters.received_streams, counters.forwarded_streams),
        (2, 12)
    );
    assert_eq!(counters.forwarded_bytes, 6 * counters.received_bytes);
}

#[test]
fn pieces_are_forwarded_before_the_stream_ends() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = subgroup(3, 0, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes[..100]);
    world.settle();
    let arrived = |world: &mut World| {
        world
            .at(live.subscriber)
            .data
            .values()
            .next()
            .expect("opened")
            .clone()
    };
    assert_eq!(arrived(&mut world).bytes.0, bytes[..100]);
    let publisher = world.at(live.publisher);
    publisher
        .streams
        .write_chunk(stream, bytes[100..].into())
        .expect("open");
    publisher.streams.finish(stream).expect("open");
    world.settle();
    assert_eq!(arrived(&mut world).bytes, bytes);
    assert!(arrived(&mut world).finished);
}

#[test]
fn a_hole_upstream_holds_no_subscriber_back() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = world.at(live.publisher).subgroup(3, 0, &[0, 1, 2, 3]);
    let lost = world.lose(live.publisher, 2);
    // All that came after the hole is with the subscriber already, and so is the end.
    let (_, received) = world.at(live.subscriber).streams.local_max_data();
    assert!(received >= bytes.len() as u64, "{received}");
    assert!(world.at(live.subscriber).whole().is_empty());
    world.find(live.publisher, &lost);
    assert_eq!(world.at(live.subscriber).whole(), [bytes]);
}

#[test]
fn two_tracks_with_one_alias_keep_apart() {
    let mut world = World::new();
    let live = world.live(7);
    let other = world.connect();
    world.publish_namespace(other, "other");
    let name = crate::moqt::FullTrackName::new(Namespace::from_path("other").expect("valid"), b"x")
        .expect("short");
    let message = Subscribe {
        request_id: 0,
        track: name,
        parameters: Parameters::default(),
    };
    let second = world
        .at(live.subscriber)
        .request(Message::Subscribe(message));
    world.settle();
    let (id, _) = world.at(other).asked();
    let ok = crate::moqt::message::SubscribeOk {
        track_alias: 7,
        ..Default::default()
    };
    world.at(other).send(id, &Message::SubscribeOk(ok));
    world.settle();
    let Message::SubscribeOk(ok) = world.at(live.subscriber).message(second) else {
        panic!("not subscribed");
    };
    assert_ne!(ok.track_alias, 7);
    let bytes = world.at(other).subgroup(7, 0, &[0, 1]);
    world.settle();
    let mut expected = bytes;
    expected.0[1] = u8::try_from(ok.track_alias).expect("one byte");
    assert_eq!(world.at(live.subscriber).whole(), [expected]);
}

#[test]
fn a_late_joiner_gets_the_latest_group() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 4, &[0]);
    let latest = world.at(live.publisher).subgroup(3, 5, &[0, 1]);
    world.settle();
    let late = world.connect();
    let id = world.subscribe(late, Parameters::default());
    let Message::SubscribeOk(ok) = world.at(late).message(id) else {
        panic!("not subscribed");
    };
    assert_eq!(ok.parameters.largest_object, Some(Location::new(5, 1)));
    assert_eq!(world.at(late).whole(), [latest]);
}

#[test]
fn filters_are_applied_by_the_relay() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = subgroup(3, 5, &[0, 1, 2]);
    let stream = world.at(live.publisher).open(&bytes[..6010]);
    world.settle();
    let next_group = world.connect();
    world.subscribe(next_group, filtered(Filter::NextGroupStart));
    let largest = world.connect();
    world.subscribe(largest, filtered(Filter::LargestObject));
    let range = world.connect();
    world.subscribe(
        range,
        filtered(Filter::AbsoluteRange {
            start: Location::new(5, 0),
            end_group: 5,
        }),
    );
    let publisher = world.at(live.publisher);
    publisher
        .streams
        .write_chunk(stream, bytes[6010..].into())
        .expect("open");
    publisher.streams.finish(stream).expect("open");
    let next = publisher.subgroup(3, 6, &[0]);
    world.settle();
    assert_eq!(world.at(next_group).whole(), core::slice::from_ref(&next));
    assert_eq!(world.at(range).whole(), [bytes]);
    // Object 2 of group 5, in a stream that does not claim to start at the first object.
    let mut joined = Vec::new();
    SubgroupHeader {
        first_object: false,
        ..header(3, 5)
    }
    .encode(&mut joined);
    joined.extend(objects(&[2], None));
    assert_eq!(world.at(largest).whole(), [Bytes(joined), next]);
}

#[test]
fn a_range_in_the_past_is_refused() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 9, &[0]);
    world.settle();
    let late = world.connect();
    let filter = Filter::AbsoluteRange {
        start: Location::ZERO,
        end_group: 8,
    };
    let id = world.subscribe(late, filtered(filter));
    assert_eq!(
        world.refused(late, id).code,
        RequestErrorCode::INVALID_RANGE
    );
}

#[test]
fn forward_zero_sends_nothing_until_it_is_one() {
    let mut world = World::new();
    let live = world.live(3);
    let quiet = world.connect();
    let id = world.subscribe(
        quiet,
        Parameters {
            forward: Some(false),
            ..Parameters::default()
        },
    );
    world.at(quiet).message(id);
    world.at(live.publisher).subgroup(3, 0, &[0]);
    world
        .at(live.publisher)
        .send_datagram(vec![0x0c, 3, 0, b'x']);
    world.settle();
    assert!(world.at(quiet).data.is_empty() && world.at(quiet).datagrams.is_empty());
    let mut on = update(Parameters {
        forward: Some(true),
        ..Parameters::default()
    });
    on.set_request_id(2);
    world.at(quiet).send(id, &on);
    world.settle();
    let Message::RequestOk(ok) = world.at(quiet).message(id) else {
        panic!("not updated");
    };
    assert_eq!(ok.parameters.largest_object, Some(Location::new(0, 0)));
    let bytes = world.at(live.publisher).subgroup(3, 1, &[0]);
    world.settle();
    assert!(world.at(quiet).whole().contains(&bytes));
}

#[test]
fn a_second_subscription_to_a_track_is_refused() {
    let mut world = World::new();
    let live = world.live(3);
    let id = world.subscribe(live.subscriber, Parameters::default());
    assert_eq!(
        world.refused(live.subscriber, id).code,
        RequestErrorCode::DUPLICATE_SUBSCRIPTION
    );
}

#[test]
fn an_unknown_track_does_not_exist() {
    let mut world = World::new();
    let subscriber = world.connect();
    let id = world.subscribe(subscriber, Parameters::default());
    assert_eq!(
        world.refused(subscriber, id).code,
        RequestErrorCode::DOES_NOT_EXIST
    );
    assert_eq!(world.relay.counters().tracks, 0);
}

#[test]
fn a_rendezvous_waits_for_its_publisher_or_times_out() {
    let mut world = World::new();
    let wait = || Parameters {
        rendezvous_timeout: Some(800),
        ..Parameters::default()
    };
    let (early, patient) = (world.connect(), world.connect());
    let first = world.subscribe(early, wait());
    world.wait(Duration::from_millis(500));
    let second = world.subscribe(patient, wait());
    world.wait(Duration::from_millis(400));
    assert_eq!(world.refused(early, first).code, RequestErrorCode::TIMEOUT);
    let publisher = world.connect();
    world.publish_namespace(publisher, "live");
    world.accept(publisher, 1, None);
    assert!(matches!(
        world.at(patient).message(second),
        Message::SubscribeOk(_)
    ));
}

#[test]
fn track_status_is_answered_and_ends() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 2, &[0, 1]);
    world.settle();
    let curious = world.connect();
    let message = Subscribe {
        request_id: 0,
        track: track(),
        parameters: Parameters::default(),
    };
    let id = world.at(curious).request(Message::TrackStatus(message));
    world.settle();
    let Message::RequestOk(ok) = world.at(curious).message(id) else {
        panic!("no status");
    };
    assert_eq!(ok.parameters.largest_object, Some(Location::new(2, 1)));
    assert_eq!(
        world.at(curious).news(),
        [SessionEvent::Ended {
            id,
            how: Ended::Finished
        }]
    );
}

#[test]
fn cancelling_a_subscription_resets_its_streams_and_no_others() {
    let mut world = World::new();
    let live = world.live(3);
    let other = world.connect();
    world.subscribe(other, Parameters::default());
    let bytes = subgroup(3, 0, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes[..50]);
    world.settle();
    let subscriber = world.at(live.subscriber);
    subscriber.session.cancel(
        &mut subscriber.streams,
        live.subscription,
        ResetCode::CANCELLED,
    );
    world.settle();
    assert!(
        world
            .at(live.subscriber)
            .data
            .values()
            .all(|arrived| arrived.reset.is_some())
    );
    let publisher = world.at(live.publisher);
    publisher
        .streams
        .write_chunk(stream, bytes[50..].into())
        .expect("open");
    publisher.streams.finish(stream).expect("open");
    world.settle();
    assert_eq!(world.at(other).whole(), [bytes]);
    assert_eq!(world.relay.counters().subscriptions, 1);
}
