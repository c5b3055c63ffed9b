//! Where tracks come from: publishers that appear, end, vanish and come back; the relay above.

use core::time::Duration;

use super::support::*;
use crate::moqt::message::{NamespaceRequest, RequestError};
use crate::moqt::{
    DoneCode, Filter, Location, Message, Namespace, Parameters, RequestErrorCode, ResetCode, Setup,
};
use crate::serve::RelayConfig;
use crate::session::{Ended, SessionEvent};

#[test]
fn publish_done_follows_the_last_stream_and_counts_the_subscribers_streams() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = subgroup(3, 0, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes[..20]);
    world.at(live.publisher).send(live.upstream, &done(2));
    let publisher = world.at(live.publisher);
    publisher
        .session
        .finish(&mut publisher.streams, live.upstream);
    world.settle();
    assert!(
        world.at(live.subscriber).news().is_empty(),
        "one stream is open, one is still to come"
    );
    let publisher = world.at(live.publisher);
    publisher
        .streams
        .write_chunk(stream, bytes[20..].into())
        .expect("open");
    publisher.streams.finish(stream).expect("open");
    let late = world.at(live.publisher).subgroup(3, 1, &[0]);
    world.settle();
    assert_eq!(
        world.at(live.subscriber).message(live.subscription),
        done(2)
    );
    let ended = SessionEvent::Ended {
        id: live.subscription,
        how: Ended::Finished,
    };
    assert_eq!(world.at(live.subscriber).news(), [ended]);
    assert_eq!(world.at(live.subscriber).whole(), [bytes, late]);
    assert_eq!(
        (
            world.relay.counters().tracks,
            world.relay.counters().cache_bytes
        ),
        (0, 0)
    );
}

#[test]
fn publish_done_with_a_wrong_count_ends_after_a_while() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).send(live.upstream, &done(5));
    world.settle();
    assert!(world.at(live.subscriber).news().is_empty());
    world.wait(Duration::from_secs(3));
    assert_eq!(
        world.at(live.subscriber).message(live.subscription),
        done(0)
    );
}

#[test]
fn streams_that_come_late_after_publish_done_are_waited_for_as_long_as_they_come() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).send(live.upstream, &done(2));
    world.wait(Duration::from_millis(1500));
    let bytes = subgroup(3, 0, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes[..20]);
    world.wait(Duration::from_millis(1500));
    let publisher = world.at(live.publisher);
    publisher
        .streams
        .write_chunk(stream, bytes[20..].into())
        .expect("open");
    publisher.streams.finish(stream).expect("open");
    world.wait(Duration::from_millis(1500));
    assert!(
        world.at(live.subscriber).news().is_empty(),
        "never silent for two seconds"
    );
    let late = world.at(live.publisher).subgroup(3, 1, &[0]);
    world.settle();
    assert_eq!(
        world.at(live.subscriber).message(live.subscription),
        done(2)
    );
    assert_eq!(world.at(live.subscriber).whole(), [bytes, late]);
}

#[test]
fn datagrams_are_forwarded_as_they_are() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = vec![0x00, 3, 9, 4, 128, b'h', b'i'];
    world.at(live.publisher).send_datagram(bytes.clone());
    world.at(live.publisher).send(live.upstream, &done(0));
    world.settle();
    let got = &world.at(live.subscriber).datagrams;
    assert_eq!(
        got.iter().map(|it| it.to_vec()).collect::<Vec<_>>(),
        [bytes]
    );
    world.wait(Duration::from_millis(200));
    assert_eq!(
        world.at(live.subscriber).message(live.subscription),
        done(0)
    );
}

#[test]
fn a_refusal_of_the_publisher_reaches_the_subscriber() {
    let mut world = World::new();
    let publisher = world.connect();
    world.publish_namespace(publisher, "live");
    let subscriber = world.connect();
    let id = world.subscribe(subscriber, Parameters::default());
    let (request, _) = world.at(publisher).asked();
    let error = RequestError::new(RequestErrorCode::UNAUTHORIZED, "no");
    world
        .at(publisher)
        .send(request, &Message::RequestError(error.clone()));
    world.settle();
    assert_eq!(world.refused(subscriber, id), error);
    assert_eq!(world.relay.counters().tracks, 0);
}

#[test]
fn a_publisher_that_does_not_have_the_track_is_not_the_last_to_be_asked() {
    let mut world = World::new();
    let (has, has_not) = (world.connect(), world.connect());
    world.publish_namespace(has, "live");
    world.publish_namespace(has_not, "live");
    let subscriber = world.connect();
    let id = world.subscribe(subscriber, Parameters::default());
    let (request, _) = world.at(has_not).asked();
    let error = RequestError::new(RequestErrorCode::DOES_NOT_EXIST, "not mine");
    world
        .at(has_not)
        .send(request, &Message::RequestError(error));
    world.settle();
    world.accept(has, 1, None);
    assert!(matches!(
        world.at(subscriber).message(id),
        Message::SubscribeOk(_)
    ));
}

#[test]
fn the_relay_above_waits_as_long_as_the_subscriber_and_makes_way_for_a_publisher_here() {
    let mut world = below();
    let patient = Parameters {
        rendezvous_timeout: Some(9000),
        ..Parameters::default()
    };
    let subscriber = world.connect();
    let id = world.subscribe(subscriber, patient);
    let above = world.answer_dial();
    let (asked, Message::Subscribe(message)) = world.at(above).asked() else {
        panic!("no SUBSCRIBE");
    };
    assert_eq!(message.parameters.rendezvous_timeout, Some(9000));
    let publisher = world.connect();
    world.publish_namespace(publisher, "live");
    let ended = SessionEvent::Ended {
        id: asked,
        how: Ended::Cancelled(ResetCode::CANCELLED.0),
    };
    assert_eq!(world.at(above).news(), [ended]);
    world.accept(publisher, 1, None);
    assert!(matches!(
        world.at(subscriber).message(id),
        Message::SubscribeOk(_)
    ));
}

#[test]
fn a_publisher_that_never_answers_is_given_up() {
    let mut world = World::new();
    let publisher = world.connect();
    world.publish_namespace(publisher, "live");
    let subscriber = world.connect();
    let id = world.subscribe(subscriber, Parameters::default());
    world.wait(Duration::from_secs(11));
    assert_eq!(
        world.refused(subscriber, id).code,
        RequestErrorCode::TIMEOUT
    );
}

#[test]
fn an_offered_track_is_taken_at_once_when_nobody_says_otherwise() {
    let mut world = World::new();
    let publisher = world.connect();
    let (_, parameters) = world.offer(publisher, 3);
    assert_eq!(parameters.forward, Some(true));
    let bytes = world.at(publisher).subgroup(3, 0, &[0]);
    world.settle();
    let subscriber = world.connect();
    world.subscribe(subscriber, Parameters::default());
    assert_eq!(world.at(subscriber).whole(), [bytes]);
    assert!(
        world.at(publisher).news().is_empty(),
        "no SUBSCRIBE for an offered track"
    );
}

#[test]
fn an_offer_meets_a_subscriber_that_wants_no_objects_yet() {
    let mut world = World::new();
    let subscriber = world.connect();
    let parameters = Parameters {
        forward: Some(false),
        rendezvous_timeout: Some(5000),
        ..Parameters::default()
    };
    let id = world.subscribe(subscriber, parameters);
    let publisher = world.connect();
    let (upstream, _) = world.offer(publisher, 3);
    assert!(matches!(
        world.at(subscriber).message(id),
        Message::SubscribeOk(_)
    ));
    world.at(publisher).subgroup(3, 0, &[0]);
    world.at(publisher).send(upstream, &done(1));
    world.settle();
    assert_eq!(world.at(subscriber).message(id), done(0));
    assert!(world.at(subscriber).data.is_empty());
}

#[test]
fn subscribers_stay_while_their_publisher_comes_back() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 50, &[0]);
    world.settle();
    let largest = world.connect();
    let id = world.subscribe(largest, filtered(Filter::LargestObject));
    world.at(largest).message(id);
    world.disconnect(live.publisher);
    world.wait(Duration::from_secs(1));
    let back = world.connect();
    world.publish_namespace(back, "live");
    // Another alias than before, and groups from the start again.
    world.accept(back, 8, None);
    let bytes = world.at(back).subgroup(8, 0, &[0]);
    world.settle();
    let mut expected = bytes;
    expected.0[1] = 3;
    for peer in [live.subscriber, largest] {
        let whole = world.at(peer).whole();
        assert!(whole.contains(&expected), "{whole:?}");
        assert_eq!(world.at(peer).news(), [], "no PUBLISH_DONE");
    }
}

#[test]
fn a_publisher_that_does_not_come_back_ends_the_track() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = subgroup(3, 0, &[0, 1]);
    world.at(live.publisher).open(&bytes[..100]);
    world.settle();
    world.disconnect(live.publisher);
    assert!(
        world
            .at(live.subscriber)
            .data
            .values()
            .all(|arrived| arrived.reset.is_some())
    );
    world.wait(Duration::from_secs(6));
    let Message::PublishDone(done) = world.at(live.subscriber).message(live.subscription) else {
        panic!("no PUBLISH_DONE");
    };
    assert_eq!((done.status, done.stream_count), (DoneCode::TRACK_ENDED, 1));
    assert_eq!(world.relay.counters().tracks, 0);
}

#[test]
fn a_publisher_that_refuses_an_update_goes_on_and_its_track_ends_with_it() {
    let mut world = World::new();
    let live = world.live(3);
    let error = RequestError::new(RequestErrorCode::NOT_SUPPORTED, "no updates");
    let refusal = Message::RequestError(error);
    world.at(live.publisher).send(live.upstream, &refusal);
    world.settle();
    let bytes = world.at(live.publisher).subgroup(3, 0, &[0]);
    world.settle();
    assert!(world.at(live.subscriber).whole().contains(&bytes));
    world.disconnect(live.publisher);
    world.wait(Duration::from_secs(6));
    assert_eq!(world.relay.counters().tracks, 0);
}

#[test]
fn a_newer_publisher_takes_over_from_a_living_one() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 0, &[0]);
    world.settle();
    let newer = world.connect();
    world.publish_namespace(newer, "live");
    world.accept(newer, 3, Some(Location::new(9, 0)));
    let ended = SessionEvent::Ended {
        id: live.upstream,
        how: Ended::Cancelled(ResetCode::CANCELLED.0),
    };
    assert!(world.at(live.publisher).news().contains(&ended));
    let bytes = world.at(newer).subgroup(3, 10, &[0]);
    world.settle();
    assert!(world.at(live.subscriber).whole().contains(&bytes));
    assert!(world.at(live.subscriber).news().is_empty());
}

#[test]
fn a_track_nobody_takes_is_given_back_after_a_while() {
    let mut world = World::new();
    let live = world.live(3);
    world.disconnect(live.subscriber);
    assert!(world.at(live.publisher).news().is_empty());
    world.wait(Duration::from_secs(6));
    let ended = SessionEvent::Ended {
        id: live.upstream,
        how: Ended::Cancelled(ResetCode::CANCELLED.0),
    };
    assert_eq!(world.at(live.publisher).news(), [ended]);
    assert_eq!(world.relay.counters().tracks, 0);
}

#[test]
fn a_reset_of_the_publisher_reaches_the_subscriber() {
    let mut world = World::new();
    let live = world.live(3);
    let stream = world.at(live.publisher).open(&subgroup(3, 0, &[0])[..100]);
    world.settle();
    world
        .at(live.publisher)
        .streams
        .reset(stream, 2)
        .expect("open");
    world.settle();
    assert_eq!(
        world
            .at(live.subscriber)
            .data
            .values()
            .next()
            .expect("opened")
            .reset,
        Some(2)
    );
}

fn below() -> World {
    World::with(RelayConfig {
        upstream: Some(Setup::default()),
        ..RelayConfig::default()
    })
}

#[test]
fn what_nobody_publishes_here_is_asked_of_the_relay_above() {
    let mut world = below();
    let subscriber = world.connect();
    let id = world.subscribe(subscriber, Parameters::default());
    let above = world.answer_dial();
    world.accept(above, 4, None);
    assert!(matches!(
        world.at(subscriber).message(id),
        Message::SubscribeOk(_)
    ));
    let bytes = world.at(above).subgroup(4, 0, &[0, 1]);
    world.settle();
    assert_eq!(world.at(subscriber).whole(), [bytes]);
}

#[test]
fn a_relay_above_that_is_out_of_reach_is_dialed_again_and_waited_for_only_so_long() {
    let mut world = below();
    let subscriber = world.connect();
    let id = world.subscribe(subscriber, Parameters::default());
    let dialed = crate::track::PeerId(1000);
    for _ in 0..3 {
        world.disconnect(dialed);
    }
    world.wait(Duration::from_millis(300));
    assert_eq!(world.dials(), 2);
    world.wait(Duration::from_secs(6));
    assert_eq!(
        world.refused(subscriber, id).code,
        RequestErrorCode::TIMEOUT
    );
}

#[test]
fn namespaces_of_the_relay_above_are_told_below() {
    let mut world = below();
    let watcher = world.connect();
    let message = NamespaceRequest {
        request_id: 0,
        namespace: Namespace::empty(),
        parameters: Parameters::default(),
    };
    let id = world
        .at(watcher)
        .request(Message::SubscribeNamespace(message));
    world.settle();
    assert_eq!(world.at(watcher).message(id), ok());
    let above = world.answer_dial();
    let (watch, message) = world.at(above).asked();
    assert!(
        matches!(message, Message::SubscribeNamespace(ref it) if it.namespace == Namespace::empty())
    );
    let namespace = Namespace::from_path("live/a").expect("valid");
    world.at(above).send(watch, &ok());
    world
        .at(above)
        .send(watch, &Message::Namespace(namespace.clone()));
    world.settle();
    assert_eq!(
        world.at(watcher).message(id),
        Message::Namespace(namespace.clone())
    );
    world.disconnect(above);
    assert_eq!(
        world.at(watcher).message(id),
        Message::NamespaceDone(namespace)
    );
}
