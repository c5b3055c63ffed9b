//! What one peer, or all together, may have: limits that no scenario of its own crosses. MOQT draft-18 §13.1.

use core::time::Duration;

use super::access::{ask, code_of, guarded, showing, signed};
use super::support::*;
use crate::access::Claims;
use crate::limits;
use crate::moqt::message::{FetchRange, NamespaceRequest, Subscribe};
use crate::moqt::{
    CloseCode, FullTrackName, Location, Message, Namespace, Parameters, RequestErrorCode, Setup,
};
use crate::serve::RelayConfig;
use crate::session::RequestId;
use crate::track::PeerId;

fn name(path: &str) -> Namespace {
    Namespace::from_path(path).expect("valid")
}

fn namespace(path: &str) -> NamespaceRequest {
    NamespaceRequest {
        request_id: 0,
        namespace: name(path),
        parameters: Parameters::default(),
    }
}

/// A SUBSCRIBE of a track that nobody has, by somebody with so much patience.
fn await_track(world: &mut World, peer: PeerId, path: &str, patience: u64) -> RequestId {
    let message = Message::Subscribe(Subscribe {
        request_id: 0,
        track: FullTrackName::new(name(path), b"video").expect("short"),
        parameters: Parameters {
            rendezvous_timeout: Some(patience),
            ..Parameters::default()
        },
    });
    ask(world, peer, message)
}

#[test]
fn tracks_are_limited() {
    let mut world = World::with(RelayConfig {
        max_tracks: 2,
        ..RelayConfig::default()
    });
    let peer = world.connect();
    for path in ["a", "b"] {
        await_track(&mut world, peer, path, 1000);
        assert!(world.at(peer).news().is_empty());
    }
    let third = await_track(&mut world, peer, "c", 1000);
    assert_eq!(
        world.refused(peer, third).code,
        RequestErrorCode::EXCESSIVE_LOAD
    );
}

#[test]
fn nobody_waits_longer_than_the_relay_does() {
    let mut world = World::new();
    let peer = world.connect();
    let id = await_track(&mut world, peer, "a", u64::MAX >> 2);
    world.wait(limits::RENDEZVOUS_TIME - Duration::from_secs(1));
    assert!(world.at(peer).news().is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.refused(peer, id).code, RequestErrorCode::TIMEOUT);
}

#[test]
fn a_watch_hears_of_so_many_namespaces() {
    let mut world = World::with(RelayConfig {
        max_namespaces: 2,
        ..RelayConfig::default()
    });
    let publisher = world.connect();
    world.publish_namespace(publisher, "live/a");
    world.publish_namespace(publisher, "live/b");
    let watcher = world.connect();
    let watch = ask(
        &mut world,
        watcher,
        Message::SubscribeNamespace(namespace("live")),
    );
    assert_eq!(world.at(watcher).message(watch), ok());
    for _ in 0..2 {
        let told = world.at(watcher).message(watch);
        assert!(matches!(told, Message::Namespace(_)), "{told:?}");
    }
    world.publish_namespace(publisher, "live/c");
    assert!(world.at(watcher).news().is_empty());
    let late = world.connect();
    let code = code_of(
        &mut world,
        late,
        Message::SubscribeNamespace(namespace("live")),
    );
    assert_eq!(code, RequestErrorCode::NAMESPACE_TOO_LARGE);
}

#[test]
fn a_relay_above_that_names_without_end_is_not_listened_to() {
    let mut world = World::with(RelayConfig {
        upstream: Some(Setup::default()),
        max_published: 3,
        ..RelayConfig::default()
    });
    let watcher = world.connect();
    let watch = Message::SubscribeNamespace(namespace(""));
    let watch = ask(&mut world, watcher, watch);
    assert_eq!(world.at(watcher).message(watch), ok());
    let above = world.answer_dial();
    let (source, _) = world.at(above).asked();
    world.at(above).send(source, &ok());
    for n in 0..10 {
        let told = Message::Namespace(name(&format!("live/{n}")));
        world.at(above).send(source, &told);
    }
    world.settle();
    assert_eq!(world.at(watcher).news().len(), 3);
    // Who publishes here is still heard of.
    let publisher = world.connect();
    world.publish_namespace(publisher, "here");
    assert_eq!(
        world.at(watcher).message(watch),
        Message::Namespace(name("here"))
    );
}

/// A track of which an object is on its way, and a FETCH of it.
fn halfway(world: &mut World) -> (Live, FetchRange) {
    let live = world.live(3);
    let bytes = subgroup(3, 0, &[0, 1]);
    world.at(live.publisher).open(&bytes[..4000]);
    world.settle();
    let range = FetchRange::Standalone {
        track: track(),
        start: Location::ZERO,
        end: Location::new(0, 0),
    };
    (live, range)
}

#[test]
fn fetches_of_a_track_wait_in_limited_numbers() {
    let mut world = World::new();
    let (_, range) = halfway(&mut world);
    let mut waiting = 0;
    while waiting < limits::FETCHES {
        let peer = world.connect();
        for _ in 0..64 {
            world.fetch(peer, range.clone());
            waiting += 1;
        }
        assert!(world.at(peer).news().is_empty());
    }
    let peer = world.connect();
    let one_more = world.fetch(peer, range);
    let code = world.refused(peer, one_more).code;
    assert_eq!(code, RequestErrorCode::EXCESSIVE_LOAD);
}

#[test]
fn a_fetch_waits_for_so_long() {
    let mut world = World::new();
    let (live, range) = halfway(&mut world);
    world.fetch(live.subscriber, range);
    world.wait(limits::FETCH_TIME - Duration::from_millis(1));
    assert!(world.at(live.subscriber).news().is_empty());
    world.wait(Duration::from_millis(1));
    assert!(!world.at(live.subscriber).news().is_empty());
}

#[test]
fn a_short_delivery_timeout_is_not_looked_at_more_often() {
    let mut world = World::new();
    let publisher = world.connect();
    world.publish_namespace(publisher, "live");
    let hasty = Parameters {
        object_delivery_timeout: Some(1),
        ..Parameters::default()
    };
    let subscriber = world.connect();
    world.subscribe(subscriber, hasty);
    world.accept(publisher, 3, None);
    world.at(subscriber).asleep = true;
    world.at(publisher).open(&subgroup(3, 0, &[0]));
    world.settle();
    let next = world.relay.next_timeout().expect("a timeout to look at");
    assert_eq!(next, world.now + limits::TIMEOUT_CHECK);
}

#[test]
fn scopes_with_a_relay_above_are_limited() {
    let mut world = World::with(RelayConfig {
        upstream: Some(Setup::default()),
        ..RelayConfig::default()
    });
    for n in 0..limits::UPSTREAM_SCOPES + 3 {
        let peer = world.connect_at(&format!("/{n}"), Credit::default());
        world.subscribe(peer, Parameters::default());
    }
    assert_eq!(world.dials(), limits::UPSTREAM_SCOPES);
}

/// How long until the relay dials again.
fn next_dial(world: &mut World, step: Duration) -> Duration {
    let (before, since) = (world.dials(), world.now);
    world.disconnect(PeerId(999 + before));
    for _ in 0..1000 {
        world.wait(step);
        if world.dials() > before {
            return world.now.since(since);
        }
    }
    panic!("never dialed again");
}

#[test]
fn a_relay_above_is_dialed_less_and_less_until_a_connection_lasts() {
    let mut world = World::with(RelayConfig {
        upstream: Some(Setup::default()),
        ..RelayConfig::default()
    });
    let peer = world.connect();
    world.subscribe(peer, Parameters::default());
    let step = limits::FIRST_BACKOFF;
    let mut expected = limits::FIRST_BACKOFF;
    for _ in 0..10 {
        assert_eq!(next_dial(&mut world, step), expected);
        expected = (2 * expected).min(limits::LAST_BACKOFF);
    }
    assert_eq!(expected, limits::LAST_BACKOFF);
    world.answer_dial();
    world.wait(limits::STEADY_CONNECTION - step);
    assert_eq!(next_dial(&mut world, step), limits::LAST_BACKOFF);
    world.answer_dial();
    world.wait(limits::STEADY_CONNECTION);
    assert_eq!(next_dial(&mut world, step), limits::FIRST_BACKOFF);
}

#[test]
fn different_tokens_of_one_peer_are_limited() {
    let mut world = guarded();
    let peer = world.connect();
    for n in 0..=limits::KNOWN_TOKENS {
        let path = format!("live/{n}");
        let token = signed(&Claims {
            put: vec![path.clone()],
            ..Claims::default()
        });
        let request = NamespaceRequest {
            parameters: showing(token),
            ..namespace(&path)
        };
        let id = ask(&mut world, peer, Message::PublishNamespace(request));
        match world.at(peer).message(id) {
            Message::RequestOk(_) => assert!(n < limits::KNOWN_TOKENS),
            Message::RequestError(error) => {
                assert_eq!(n, limits::KNOWN_TOKENS);
                assert_eq!(error.code, RequestErrorCode::EXCESSIVE_LOAD);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_shows_no_token_is_let_go_after_a_while() {
    let mut world = guarded();
    let peer = world.connect();
    world.wait(limits::BARE_TIME - Duration::from_millis(1));
    assert_eq!(world.closed(peer), None);
    world.wait(Duration::from_millis(1));
    assert_eq!(world.closed(peer), Some(CloseCode::UNAUTHORIZED.0));
}
