//! What ends when a token does.

use core::time::Duration;

use super::access::*;
use super::support::*;
use crate::moqt::message::RequestUpdate;
use crate::moqt::{CloseCode, DoneCode, Message, Parameters, RequestErrorCode, ResetCode};
use crate::session::{Ended, SessionEvent};

/// A guarded relay with a publisher and a subscriber whose tokens count for so many seconds.
fn live(publisher: u64, subscriber: u64) -> (World, Live) {
    let mut world = guarded();
    let publishing = with_token(&mut world, token(&["live"], &[], publisher));
    world.publish_namespace(publishing, "live");
    let subscribing = with_token(&mut world, token(&[], &["live/a"], subscriber));
    let subscription = world.subscribe(subscribing, Parameters::default());
    let upstream = world.accept(publishing, 9, None);
    let Message::SubscribeOk(ok) = world.at(subscribing).message(subscription) else {
        panic!("not accepted");
    };
    assert_eq!(ok.parameters.expires, Some(subscriber * 1000));
    let live = Live {
        publisher: publishing,
        upstream,
        subscriber: subscribing,
        subscription,
    };
    (world, live)
}

#[test]
fn a_subscription_ends_with_its_token() {
    let (mut world, live) = live(60, 5);
    let stream = world.at(live.publisher).open(&header_bytes(0));
    let first = objects(&[0], None);
    world
        .at(live.publisher)
        .streams
        .write(stream, &first)
        .unwrap();
    world.wait(Duration::from_millis(4999));
    let bytes = |world: &mut World| -> usize {
        let data = world.at(live.subscriber).data.values();
        data.map(|arrived| arrived.bytes.len()).sum()
    };
    let before = bytes(&mut world);
    assert!(before > first.len());
    world.at(live.subscriber).events.clear();
    world.wait(Duration::from_millis(1));
    let Message::PublishDone(done) = world.at(live.subscriber).message(live.subscription) else {
        panic!("no PUBLISH_DONE");
    };
    assert_eq!(done.status, DoneCode::UNAUTHORIZED);
    let second = objects(&[1], Some(0));
    world
        .at(live.publisher)
        .streams
        .write(stream, &second)
        .unwrap();
    world.at(live.publisher).subgroup(9, 1, &[0]);
    world.settle();
    assert_eq!(bytes(&mut world), before, "not a byte more");
    let mut data = world.at(live.subscriber).data.values();
    let code = ResetCode::EXPIRED_AUTH_TOKEN.0;
    assert!(data.all(|arrived| arrived.reset == Some(code)));
    world.at(live.subscriber).events.clear();
    let refused = code_of(
        &mut world,
        live.subscriber,
        subscribe(Parameters::default()),
    );
    assert_eq!(refused, RequestErrorCode::UNAUTHORIZED);
    world.wait(Duration::from_secs(11));
    let closed = world.closed(live.subscriber);
    assert_eq!(closed, Some(CloseCode::EXPIRED_AUTH_TOKEN.0));
    assert_eq!(world.closed(live.publisher), None);
}

fn header_bytes(group: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    header(9, group).encode(&mut bytes);
    bytes
}

#[test]
fn what_waits_for_a_subscriber_is_not_sent_after_its_token() {
    let (mut world, live) = live(60, 5);
    world.at(live.subscriber).asleep = true;
    world.at(live.publisher).subgroup(9, 0, &[0, 1, 2]);
    world.wait(Duration::from_secs(5));
    world.at(live.subscriber).asleep = false;
    world.settle();
    assert_eq!(world.at(live.subscriber).whole(), []);
}

#[test]
fn a_publication_ends_with_its_token() {
    let (mut world, live) = live(5, 60);
    let stream = world.at(live.publisher).open(&header_bytes(0));
    let first = objects(&[0], None);
    world
        .at(live.publisher)
        .streams
        .write(stream, &first)
        .unwrap();
    world.settle();
    let watch = namespace_request("live/a", Parameters::default());
    let watch = ask(
        &mut world,
        live.subscriber,
        Message::SubscribeNamespace(watch),
    );
    assert_eq!(world.at(live.subscriber).message(watch), ok());
    world.wait(Duration::from_secs(5));
    let code = ResetCode::EXPIRED_AUTH_TOKEN.0;
    let ended = |event: &SessionEvent| matches!(event, SessionEvent::Ended { how: Ended::Cancelled(it), .. } if *it == code);
    let news = world.at(live.publisher).news();
    assert_eq!(
        news.iter().filter(|event| ended(event)).count(),
        2,
        "{news:?}"
    );
    world.at(live.publisher).subgroup(9, 1, &[0]);
    world.settle();
    assert_eq!(world.at(live.subscriber).whole(), []);
    let data: Vec<_> = world.at(live.subscriber).data.values().cloned().collect();
    assert!(data.len() == 1 && data[0].reset.is_some(), "{data:?}");
    world.wait(Duration::from_secs(4));
    let Message::PublishDone(done) = world.at(live.subscriber).message(live.subscription) else {
        panic!("no PUBLISH_DONE");
    };
    assert_eq!(done.status, DoneCode::TRACK_ENDED);
    let id = ask(&mut world, live.publisher, publish(Parameters::default()));
    let code = world.refused(live.publisher, id).code;
    assert_eq!(code, RequestErrorCode::UNAUTHORIZED);
}

#[test]
fn who_waits_hears_when_the_token_is_over() {
    let mut world = guarded();
    let peer = with_token(&mut world, token(&[], &["live"], 5));
    let patient = Parameters {
        rendezvous_timeout: Some(20_000),
        ..Parameters::default()
    };
    let id = ask(&mut world, peer, subscribe(patient));
    world.wait(Duration::from_secs(5));
    let code = world.refused(peer, id).code;
    assert_eq!(code, RequestErrorCode::EXPIRED_AUTH_TOKEN);
}

#[test]
fn offers_of_a_watch_end_with_its_token() {
    let mut world = guarded();
    let watcher = world.connect();
    let shown = namespace_request("live", showing(token(&[], &["live"], 5)));
    let watch = ask(&mut world, watcher, Message::SubscribeTracks(shown));
    assert_eq!(world.at(watcher).message(watch), ok());
    let publisher = with_token(&mut world, token(&["live"], &[], 60));
    ask(&mut world, publisher, publish(Parameters::default()));
    let (id, Message::Publish(_)) = world.at(watcher).asked() else {
        panic!("no offer");
    };
    world.at(watcher).send(id, &ok());
    let first = world.at(publisher).subgroup(9, 0, &[0]);
    world.settle();
    assert_eq!(world.at(watcher).whole().len(), 1);
    world.wait(Duration::from_secs(5));
    world.at(publisher).subgroup(9, 1, &[0]);
    world.settle();
    assert_eq!(world.at(watcher).whole(), [first]);
}

#[test]
fn a_new_token_in_an_update_carries_a_subscription_on() {
    let (mut world, live) = live(60, 5);
    world.wait(Duration::from_secs(4));
    let update = |value| {
        Message::RequestUpdate(RequestUpdate {
            request_id: 100,
            parameters: showing(value),
        })
    };
    let longer = update(token(&[], &["live/a"], 20));
    world.at(live.subscriber).send(live.subscription, &longer);
    world.settle();
    let Message::RequestOk(ok) = world.at(live.subscriber).message(live.subscription) else {
        panic!("not accepted");
    };
    let left = ok.parameters.expires.unwrap();
    assert!((15_900..=16_000).contains(&left), "{left}");
    world.wait(Duration::from_secs(10));
    let bytes = world.at(live.publisher).subgroup(9, 0, &[0]);
    world.settle();
    assert_eq!(world.at(live.subscriber).whole(), [bytes]);
    world.wait(Duration::from_secs(6));
    let done = world.at(live.subscriber).message(live.subscription);
    assert!(matches!(done, Message::PublishDone(_)), "{done:?}");
}

#[test]
fn an_update_that_is_refused_ends_its_request() {
    let (mut world, live) = live(60, 50);
    let update = Message::RequestUpdate(RequestUpdate {
        request_id: 100,
        parameters: showing(token(&[], &["live/a"], 0)),
    });
    world.at(live.subscriber).send(live.subscription, &update);
    world.settle();
    let refused = world.refused(live.subscriber, live.subscription);
    assert_eq!(refused.code, RequestErrorCode::EXPIRED_AUTH_TOKEN);
    let Message::PublishDone(done) = world.at(live.subscriber).message(live.subscription) else {
        panic!("no PUBLISH_DONE");
    };
    assert_eq!(done.status, DoneCode::UPDATE_FAILED);
}

#[test]
fn a_clock_that_is_set_is_followed() {
    let (mut world, live) = live(6000, 5000);
    world.at(live.subscriber).events.clear();
    world.relay.set_clock(world.now, (BEGIN + 5001) * 1_000_000);
    world.wait(Duration::from_millis(1));
    let done = world.at(live.subscriber).message(live.subscription);
    assert!(matches!(done, Message::PublishDone(_)), "{done:?}");
    assert_eq!(world.at(live.publisher).news(), []);
}
