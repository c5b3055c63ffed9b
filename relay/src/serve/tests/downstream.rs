//! What subscribers ask for and what they get.

use core::time::Duration;

use super::support::*;
use crate::moqt::fetch_object::{self, FetchContext, FetchItem};
use crate::moqt::message::{FetchRange, NamespaceRequest, RequestUpdate, Subscribe};
use crate::moqt::subgroup::Body;
use crate::moqt::{
    Filter, GroupOrder, Location, Message, Namespace, Parameters, RequestErrorCode, ResetCode,
    SubgroupHeader,
};
use crate::session::{Ended, SessionEvent};
use crate::track::PeerId;

fn update(parameters: Parameters) -> Message {
    Message::RequestUpdate(RequestUpdate {
        request_id: 0,
        parameters,
    })
}

fn subscribe_namespace(path: &str) -> Message {
    let namespace = Namespace::from_path(path).expect("valid");
    let parameters = Parameters::default();
    Message::SubscribeNamespace(NamespaceRequest {
        request_id: 0,
        namespace,
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
    assert_eq!(world.at(next_group).whole(), [next.clone()]);
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
fn scopes_do_not_see_each_other() {
    let mut world = World::new();
    let publisher = world.connect_at("/one", Credit::default());
    world.publish_namespace(publisher, "live");
    let stranger = world.connect_at("/two", Credit::default());
    let id = world.subscribe(stranger, Parameters::default());
    assert_eq!(
        world.refused(stranger, id).code,
        RequestErrorCode::DOES_NOT_EXIST
    );
    let friend = world.connect_at("/one?jwt=x", Credit::default());
    world.subscribe(friend, Parameters::default());
    world.accept(publisher, 1, None);
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
fn namespaces_are_told_and_taken_back() {
    let mut world = World::new();
    let (watcher, publisher) = (world.connect(), world.connect());
    world.publish_namespace(publisher, "live/a");
    let id = world.at(watcher).request(subscribe_namespace("live"));
    world.settle();
    assert_eq!(world.at(watcher).message(id), ok());
    assert_eq!(
        world.at(watcher).message(id),
        Message::Namespace(Namespace::from_path("a").expect("valid"))
    );
    let second = world.publish_namespace(publisher, "live/b");
    assert_eq!(
        world.at(watcher).message(id),
        Message::Namespace(Namespace::from_path("b").expect("valid"))
    );
    let publisher_end = world.at(publisher);
    publisher_end
        .session
        .cancel(&mut publisher_end.streams, second, ResetCode::CANCELLED);
    world.settle();
    assert_eq!(
        world.at(watcher).message(id),
        Message::NamespaceDone(Namespace::from_path("b").expect("valid"))
    );
    world.disconnect(publisher);
    assert_eq!(
        world.at(watcher).message(id),
        Message::NamespaceDone(Namespace::from_path("a").expect("valid"))
    );
}

#[test]
fn the_empty_prefix_hears_of_everything_and_overlaps_everything() {
    let mut world = World::new();
    let (watcher, publisher) = (world.connect(), world.connect());
    let id = world.at(watcher).request(subscribe_namespace(""));
    world.settle();
    assert_eq!(world.at(watcher).message(id), ok());
    world.publish_namespace(publisher, "a/b");
    assert_eq!(
        world.at(watcher).message(id),
        Message::Namespace(Namespace::from_path("a/b").expect("valid"))
    );
    let overlap = world.at(watcher).request(subscribe_namespace("a"));
    world.settle();
    assert_eq!(
        world.refused(watcher, overlap).code,
        RequestErrorCode::PREFIX_OVERLAP
    );
}

#[test]
fn subscribe_tracks_is_answered_with_offers() {
    let mut world = World::new();
    let (watcher, publisher) = (world.connect(), world.connect());
    let namespace = Namespace::from_path("live").expect("valid");
    let message = NamespaceRequest {
        request_id: 0,
        namespace,
        parameters: Parameters::default(),
    };
    let watch = world.at(watcher).request(Message::SubscribeTracks(message));
    world.settle();
    assert_eq!(world.at(watcher).message(watch), ok());
    world.offer(publisher, 9);
    world.settle();
    let (id, Message::Publish(publish)) = world.at(watcher).asked() else {
        panic!("no offer");
    };
    assert_eq!((publish.track, publish.track_alias), (track(), 9));
    let early = world.at(publisher).subgroup(9, 0, &[0]);
    world.settle();
    assert!(
        world.at(watcher).data.is_empty(),
        "not before it is accepted"
    );
    world.at(watcher).send(id, &ok());
    world.settle();
    assert_eq!(world.at(watcher).whole(), [early]);
}

fn fetched(world: &mut World, peer: PeerId) -> (Vec<Location>, Vec<Location>) {
    let bytes = world
        .at(peer)
        .whole()
        .into_iter()
        .find(|bytes| bytes[0] == 5)
        .expect("a fetch stream");
    let (mut rest, _) = fetch_object::header(&bytes).expect("valid");
    let mut context = FetchContext::new(GroupOrder::Ascending);
    let (mut objects, mut unknown) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let item;
        (rest, item) = context.parse(rest).expect("valid");
        match item {
            FetchItem::Object(object) => {
                assert_eq!(
                    Body::Payload(object.payload),
                    Body::Payload(&vec![object.location.object as u8; 3000])
                );
                assert_eq!(object.priority, 5);
                objects.push(object.location);
            }
            FetchItem::Unknown(at) | FetchItem::NonExistent(at) => unknown.push(at),
        }
    }
    (objects, unknown)
}

#[test]
fn a_joining_fetch_ends_where_the_subscription_begins() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 4, &[0]);
    let bytes = subgroup(3, 5, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes);
    world.settle();
    let late = world.connect();
    let id = world.subscribe(late, filtered(Filter::LargestObject));
    world.at(late).message(id);
    let range = FetchRange::RelativeJoining {
        joining_request_id: id.0,
        joining_start: 0,
    };
    let fetch = world.fetch(late, range);
    let Message::FetchOk(ok) = world.at(late).message(fetch) else {
        panic!("no FETCH_OK");
    };
    assert_eq!(ok.end, Location::new(5, 2));
    assert_eq!(
        fetched(&mut world, late),
        (vec![Location::new(5, 0), Location::new(5, 1)], vec![])
    );
    let publisher = world.at(live.publisher);
    publisher
        .streams
        .write_chunk(stream, objects(&[2], Some(1)).into())
        .expect("open");
    world.settle();
    let rest = world
        .at(late)
        .data
        .values()
        .any(|arrived| arrived.bytes.ends_with(&objects(&[2], None)));
    assert!(rest, "the subscription goes on where the FETCH ended");
}

#[test]
fn a_fetch_waits_for_an_object_that_is_on_its_way() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = subgroup(3, 0, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes[..4000]);
    world.settle();
    let range = FetchRange::Standalone {
        track: track(),
        start: Location::ZERO,
        end: Location::new(0, 0),
    };
    let fetch = world.fetch(live.subscriber, range);
    assert!(world.at(live.subscriber).news().is_empty());
    world
        .at(live.publisher)
        .streams
        .write_chunk(stream, bytes[4000..].into())
        .expect("open");
    world.settle();
    assert!(
        matches!(world.at(live.subscriber).message(fetch), Message::FetchOk(ok) if ok.end == Location::new(0, 2))
    );
    assert_eq!(fetched(&mut world, live.subscriber).0.len(), 2);
}

#[test]
fn a_fetch_beyond_what_is_kept_says_what_is_unknown() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 7, &[0]);
    world.settle();
    let (start, end) = (Location::new(2, 0), Location::new(7, 0));
    let fetch = world.fetch(
        live.subscriber,
        FetchRange::Standalone {
            track: track(),
            start,
            end,
        },
    );
    assert!(matches!(
        world.at(live.subscriber).message(fetch),
        Message::FetchOk(_)
    ));
    let expected = (vec![Location::new(7, 0)], vec![Location::new(6, u64::MAX)]);
    assert_eq!(fetched(&mut world, live.subscriber), expected);
    let (start, end) = (Location::new(2, 0), Location::new(3, 0));
    let refused = world.fetch(
        live.subscriber,
        FetchRange::Standalone {
            track: track(),
            start,
            end,
        },
    );
    world.wait(Duration::from_secs(2));
    assert_eq!(
        world.at(live.subscriber).events.len(),
        3,
        "end of the first, refusal, end"
    );
    world.at(live.subscriber).events.pop_front();
    assert_eq!(
        world.refused(live.subscriber, refused).code,
        RequestErrorCode::INVALID_RANGE
    );
}

#[test]
fn fetches_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let live = world.live(3);
    let joining = FetchRange::RelativeJoining {
        joining_request_id: 77,
        joining_start: 0,
    };
    let id = world.fetch(live.subscriber, joining);
    assert_eq!(
        world.refused(live.subscriber, id).code,
        RequestErrorCode::INVALID_JOINING_REQUEST_ID
    );
    let joining = FetchRange::RelativeJoining {
        joining_request_id: live.subscription.0,
        joining_start: 0,
    };
    let peer = world.connect();
    let subscription = world.subscribe(peer, Parameters::default());
    world.at(peer).message(subscription);
    let id = world.fetch(peer, joining);
    assert_eq!(
        world.refused(peer, id).code,
        RequestErrorCode::INVALID_RANGE,
        "nothing was published"
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
