//! Who is let in, and who is not.

use core::time::Duration;

use super::support::*;
use crate::access::{AuthKey, Claims};
use crate::moqt::datagram::ObjectDatagram;
use crate::moqt::message::{
    Fetch, FetchRange, NamespaceRequest, Publish, RequestUpdate, Subscribe,
};
use crate::moqt::subgroup::Body;
use crate::moqt::{
    CloseCode, Location, Message, Namespace, Parameters, Properties, RequestErrorCode, Setup, Token,
};
use crate::serve::RelayConfig;
use crate::session::{RequestId, SessionEvent};
use crate::track::PeerId;

/// The time of day when a world begins, in seconds.
pub(super) const BEGIN: u64 = 1_800_000_000;

fn secret() -> AuthKey {
    AuthKey::read(b"the-relay-and-its-issuer-know-it").unwrap()
}

/// A relay that asks for tokens.
pub(super) fn guarded() -> World {
    guarded_with(RelayConfig::default())
}

pub(super) fn guarded_with(config: RelayConfig) -> World {
    let mut world = World::with(RelayConfig {
        auth_key: Some(secret()),
        ..config
    });
    world.relay.set_clock(world.now, BEGIN * 1_000_000);
    world
}

/// A token that counts for so many seconds from the beginning.
pub(super) fn token(put: &[&str], get: &[&str], seconds: u64) -> Vec<u8> {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).into()).collect();
    signed(&Claims {
        put: owned(put),
        get: owned(get),
        exp: Some(BEGIN + seconds),
        ..Claims::default()
    })
}

pub(super) fn signed(claims: &Claims) -> Vec<u8> {
    secret().sign(claims).unwrap().into_bytes()
}

pub(super) fn by_value(value: Vec<u8>) -> Token {
    Token::UseValue { kind: 0, value }
}

/// A client with this token in SETUP.
pub(super) fn with_token(world: &mut World, value: Vec<u8>) -> PeerId {
    let setup = Setup {
        authorization_tokens: vec![by_value(value)],
        ..Setup::default()
    };
    world.connect_with(setup, Credit::default())
}

pub(super) fn showing(value: Vec<u8>) -> Parameters {
    Parameters {
        authorization_tokens: vec![by_value(value)],
        ..Parameters::default()
    }
}

pub(super) fn namespace_request(path: &str, parameters: Parameters) -> NamespaceRequest {
    NamespaceRequest {
        request_id: 0,
        namespace: Namespace::from_path(path).unwrap(),
        parameters,
    }
}

pub(super) fn subscribe(parameters: Parameters) -> Message {
    Message::Subscribe(Subscribe {
        request_id: 0,
        track: track(),
        parameters,
    })
}

pub(super) fn publish(parameters: Parameters) -> Message {
    Message::Publish(Publish {
        request_id: 0,
        track: track(),
        track_alias: 9,
        parameters,
        properties: Properties::default(),
    })
}

/// Every kind of request, for the same names.
fn every_request(parameters: &Parameters) -> Vec<Message> {
    let Message::Subscribe(status) = subscribe(parameters.clone()) else {
        panic!("it is one");
    };
    let range = FetchRange::Standalone {
        track: track(),
        start: Location::new(0, 0),
        end: Location::new(1, 0),
    };
    let request = || namespace_request("live/a", parameters.clone());
    vec![
        subscribe(parameters.clone()),
        Message::TrackStatus(status),
        Message::Fetch(Fetch {
            request_id: 0,
            range,
            parameters: parameters.clone(),
        }),
        publish(parameters.clone()),
        Message::PublishNamespace(request()),
        Message::SubscribeNamespace(request()),
        Message::SubscribeTracks(request()),
    ]
}

pub(super) fn ask(world: &mut World, peer: PeerId, message: Message) -> RequestId {
    let id = world.at(peer).request(message);
    world.settle();
    id
}

pub(super) fn code_of(world: &mut World, peer: PeerId, message: Message) -> RequestErrorCode {
    let id = ask(world, peer, message);
    let code = world.refused(peer, id).code;
    world.at(peer).events.clear();
    code
}

#[test]
fn without_a_token_nothing_is_let_in() {
    let mut world = guarded();
    let peer = world.connect();
    // What waits for its PUBLISH, and what comes after its refusal.
    world.at(peer).subgroup(9, 0, &[0]);
    world.settle();
    for message in every_request(&Parameters::default()) {
        let name = message.name();
        let code = code_of(&mut world, peer, message);
        assert_eq!(code, RequestErrorCode::UNAUTHORIZED, "{name}");
    }
    world.at(peer).subgroup(9, 1, &[0]);
    let mut datagram = Vec::new();
    ObjectDatagram {
        track_alias: 9,
        location: Location::new(0, 0),
        publisher_priority: None,
        end_of_group: false,
        properties: &[],
        body: Body::Payload(b"x"),
    }
    .encode(&mut datagram);
    world.at(peer).send_datagram(datagram);
    world.settle();
    assert_eq!(world.relay.counters().received_bytes, 0);
    assert_eq!(world.closed(peer), None);
    world.wait(Duration::from_secs(11));
    assert_eq!(world.closed(peer), Some(CloseCode::UNAUTHORIZED.0));
    world.disconnect(peer);
    assert_eq!(world.relay.remains(), []);
}

#[test]
fn tokens_come_in_setup_in_the_path_and_in_requests() {
    let mut world = guarded();
    let everything = || token(&["live"], &["live"], 60);
    let in_setup = with_token(&mut world, everything());
    let path = format!("/?a=b&jwt={}", String::from_utf8(everything()).unwrap());
    let in_path = world.connect_at(&path, Credit::default());
    let both = Setup {
        path: Some(path.into()),
        authorization_tokens: vec![by_value(everything())],
        ..Setup::default()
    };
    let in_both = world.connect_with(both, Credit::default());
    for peer in [in_setup, in_path, in_both] {
        let id = ask(&mut world, peer, publish(Parameters::default()));
        let Message::RequestOk(ok) = world.at(peer).message(id) else {
            panic!("not accepted");
        };
        assert_eq!(ok.parameters.expires, Some(60_000));
        world.disconnect(peer);
    }
    for message in every_request(&showing(everything())) {
        let peer = world.connect();
        let name = message.name();
        let id = ask(&mut world, peer, message);
        match world.at(peer).message(id) {
            Message::RequestOk(_) => {}
            Message::RequestError(error) => {
                assert_eq!(error.code, RequestErrorCode::DOES_NOT_EXIST, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        world.disconnect(peer);
    }
}

#[test]
fn the_token_of_a_request_is_for_that_request() {
    let mut world = guarded();
    let peer = world.connect();
    let first = namespace_request("live/b", showing(token(&["live"], &[], 60)));
    let id = ask(&mut world, peer, Message::PublishNamespace(first));
    assert_eq!(world.at(peer).message(id), ok());
    let code = code_of(&mut world, peer, publish(Parameters::default()));
    assert_eq!(code, RequestErrorCode::UNAUTHORIZED);
}

#[test]
fn rights_are_by_field_and_by_direction() {
    let mut world = guarded();
    let rights = token(&["live/a", "x"], &["live/a/b", "live/ab"], 60);
    let peer = with_token(&mut world, rights);
    let code = code_of(&mut world, peer, subscribe(Parameters::default()));
    assert_eq!(code, RequestErrorCode::UNAUTHORIZED);
    let id = ask(&mut world, peer, publish(Parameters::default()));
    assert!(matches!(world.at(peer).message(id), Message::RequestOk(_)));
    for (path, allowed) in [
        ("live/a/c", true),
        ("live", false),
        ("live/ab", false),
        ("x", true),
    ] {
        let message = namespace_request(path, Parameters::default());
        let id = ask(&mut world, peer, Message::PublishNamespace(message));
        let answer = world.at(peer).message(id);
        assert_eq!(matches!(answer, Message::RequestOk(_)), allowed, "{path}");
        world.at(peer).events.clear();
    }
}

#[test]
fn a_token_names_the_path_of_the_url_too() {
    let mut world = guarded();
    let rights = String::from_utf8(token(&["tv/live"], &[], 60)).unwrap();
    for (path, allowed) in [
        ("/tv", true),
        ("/tv/", true),
        ("/radio", false),
        ("/", false),
    ] {
        let peer = world.connect_at(&format!("{path}?jwt={rights}"), Credit::default());
        let id = ask(&mut world, peer, publish(Parameters::default()));
        let answer = world.at(peer).message(id);
        assert_eq!(matches!(answer, Message::RequestOk(_)), allowed, "{path}");
    }
}

/// A bad token, the code of a session that begins with it, and of a request.
fn bad_tokens() -> Vec<(&'static str, Vec<u8>, CloseCode, RequestErrorCode)> {
    let unauthorized = (CloseCode::UNAUTHORIZED, RequestErrorCode::UNAUTHORIZED);
    let malformed = (
        CloseCode::MALFORMED_AUTH_TOKEN,
        RequestErrorCode::MALFORMED_AUTH_TOKEN,
    );
    let expired = (
        CloseCode::EXPIRED_AUTH_TOKEN,
        RequestErrorCode::EXPIRED_AUTH_TOKEN,
    );
    let early = signed(&Claims {
        get: vec!["live".into()],
        nbf: Some(BEGIN + 5),
        ..Claims::default()
    });
    let other = AuthKey::read(b"another-key-that-is-long-enough-for-HS256").unwrap();
    let all = Claims {
        get: vec![String::new()],
        ..Claims::default()
    };
    let forged = other.sign(&all).unwrap().into_bytes();
    let mut changed = token(&[], &["live"], 60);
    let at = changed.iter().position(|byte| *byte == b'.').unwrap() + 9;
    changed[at] ^= 1;
    // {"alg":"none"}.{"get":""}.
    let unsigned = b"eyJhbGciOiJub25lIn0.eyJnZXQiOiIifQ.".to_vec();
    let many: Vec<String> = (0..900).map(|n| format!("p{n}")).collect();
    let long = signed(&Claims { get: many, ..all });
    let all = [
        ("expired", token(&[], &["live"], 0), expired),
        ("not valid yet", early, unauthorized),
        ("of another key", forged, unauthorized),
        ("changed", changed, unauthorized),
        ("unsigned", unsigned, malformed),
        ("too long", long, malformed),
        ("none", b"hello".to_vec(), malformed),
        ("empty", Vec::new(), malformed),
    ];
    all.map(|(name, token, (close, request))| (name, token, close, request))
        .into()
}

#[test]
fn a_session_that_begins_with_a_bad_token_is_closed() {
    for (name, token, code, _) in bad_tokens() {
        let mut world = guarded();
        let peer = with_token(&mut world, token.clone());
        assert_eq!(world.closed(peer), Some(code.0), "{name}");
        let path = format!("/?jwt={}", String::from_utf8(token).unwrap());
        let peer = world.connect_at(&path, Credit::default());
        assert_eq!(world.closed(peer), Some(code.0), "{name} in the path");
        assert_eq!(world.relay.remains(), []);
    }
}

#[test]
fn a_request_with_a_bad_token_is_refused_whatever_else_allows_it() {
    for (name, bad, _, code) in bad_tokens() {
        let mut world = guarded();
        let peer = with_token(&mut world, token(&[], &["live"], 60));
        let refused = code_of(&mut world, peer, subscribe(showing(bad)));
        assert_eq!(refused, code, "{name}");
    }
    let mut world = guarded();
    let peer = world.connect();
    let twice = Parameters {
        authorization_tokens: vec![by_value(token(&[], &["live"], 60)); 2],
        ..Parameters::default()
    };
    let code = code_of(&mut world, peer, subscribe(twice));
    assert_eq!(code, RequestErrorCode::MALFORMED_AUTH_TOKEN);
}

#[test]
fn who_comes_too_early_hears_when_to_come_again() {
    let mut world = guarded();
    let peer = world.connect();
    let early = || {
        subscribe(showing(signed(&Claims {
            get: vec!["live".into()],
            nbf: Some(BEGIN + 5),
            ..Claims::default()
        })))
    };
    let id = ask(&mut world, peer, early());
    let refusal = world.refused(peer, id);
    let wait = refusal.retry_interval - 1;
    assert!((5000..5005).contains(&wait), "{wait}");
    world.at(peer).events.clear();
    world.wait(Duration::from_millis(wait));
    let code = code_of(&mut world, peer, early());
    assert_eq!(code, RequestErrorCode::DOES_NOT_EXIST);
}

#[test]
fn who_guesses_is_closed() {
    let mut world = guarded();
    let peer = world.connect();
    for n in 0..16 {
        assert_eq!(world.closed(peer), None, "after {n}");
        let guess = format!("eyJhbGciOiJIUzI1NiJ9.e30.{n}AAA").into_bytes();
        ask(&mut world, peer, subscribe(showing(guess)));
    }
    assert_eq!(world.closed(peer), Some(CloseCode::UNAUTHORIZED.0));
}

#[test]
fn a_token_is_registered_and_used_by_its_alias() {
    let mut world = guarded();
    let peer = world.connect();
    let register = |seconds| Token::Register {
        alias: 3,
        kind: 0,
        value: token(&["live"], &[], seconds),
    };
    let with = |token| Parameters {
        authorization_tokens: vec![token],
        ..Parameters::default()
    };
    let first = namespace_request("live/b", with(register(5)));
    let id = ask(&mut world, peer, Message::PublishNamespace(first));
    assert_eq!(world.at(peer).message(id), ok());
    let named = || publish(with(Token::UseAlias { alias: 3 }));
    let id = ask(&mut world, peer, named());
    assert!(matches!(world.at(peer).message(id), Message::RequestOk(_)));
    world.wait(Duration::from_secs(5));
    world.at(peer).events.clear();
    // Draft §10.2.2: the alias outlives the token.
    let code = code_of(&mut world, peer, named());
    assert_eq!(code, RequestErrorCode::EXPIRED_AUTH_TOKEN);
}

#[test]
fn a_watch_is_not_moved_to_where_no_token_leads() {
    let mut world = guarded();
    let watcher = with_token(&mut world, token(&[], &["live/a"], 60));
    let watch = namespace_request("live/a", Parameters::default());
    let watch = ask(&mut world, watcher, Message::SubscribeNamespace(watch));
    assert_eq!(world.at(watcher).message(watch), ok());
    let update = Message::RequestUpdate(RequestUpdate {
        request_id: 100,
        parameters: Parameters {
            track_namespace_prefix: Some(Namespace::empty()),
            ..Parameters::default()
        },
    });
    world.at(watcher).send(watch, &update);
    world.settle();
    assert_eq!(
        world.refused(watcher, watch).code,
        RequestErrorCode::UNAUTHORIZED
    );
    let publisher = with_token(&mut world, token(&["x", "live"], &[], 60));
    world.publish_namespace(publisher, "x");
    world.publish_namespace(publisher, "live/a/b");
    let told = |event: &SessionEvent| matches!(event, SessionEvent::Message { .. });
    assert!(!world.at(watcher).news().iter().any(told));
}

#[test]
fn a_relay_that_does_not_know_the_time_lets_nobody_in() {
    let mut world = World::with(RelayConfig {
        auth_key: Some(secret()),
        ..RelayConfig::default()
    });
    let peer = with_token(&mut world, token(&["live"], &["live"], 60));
    assert_eq!(world.closed(peer), Some(CloseCode::UNAUTHORIZED.0));
}

#[test]
fn the_relay_above_gets_its_token_and_is_trusted_to_publish() {
    let above = Setup {
        path: Some(b"/up?jwt=a.b.c&x=y".to_vec()),
        ..Setup::default()
    };
    let mut world = guarded_with(RelayConfig {
        upstream: Some(above),
        ..RelayConfig::default()
    });
    let subscriber = with_token(&mut world, token(&[], &["live"], 60));
    let id = world.subscribe(subscriber, Parameters::default());
    let above = world.answer_dial();
    let Some(SessionEvent::Ready(setup)) = world.at(above).events.pop_front() else {
        panic!("no SETUP");
    };
    assert_eq!(setup.path.as_deref(), Some(&b"/up?jwt=a.b.c"[..]));
    world.accept(above, 9, None);
    let answer = world.at(subscriber).message(id);
    assert!(matches!(answer, Message::SubscribeOk(_)), "{answer:?}");
    let code = code_of(&mut world, above, subscribe(Parameters::default()));
    assert_eq!(code, RequestErrorCode::UNAUTHORIZED);
}
