//! Bytes of each control message, both ways, and every truncation of them.

use super::*;
use crate::moqt::{
    CloseCode, DoneCode, Filter, FullTrackName, Location, Parameters, Properties, RequestErrorCode,
    Token,
};

fn track() -> FullTrackName {
    FullTrackName::new(Namespace::from_path("a").expect("valid"), b"v").expect("short")
}

fn forward() -> Parameters {
    Parameters {
        forward: Some(true),
        ..Parameters::default()
    }
}

fn properties() -> Properties {
    Properties::parse_all(&[0x0e, 5]).expect("valid")
}

fn namespace_request() -> NamespaceRequest {
    let namespace = Namespace::from_path("a").expect("valid");
    NamespaceRequest {
        request_id: 2,
        namespace,
        parameters: Parameters::default(),
    }
}

fn subscribe() -> Subscribe {
    Subscribe {
        request_id: 2,
        track: track(),
        parameters: forward(),
    }
}

#[expect(clippy::too_many_lines, reason = "a table of messages and bytes")]
fn setup_and_requests() -> Vec<(Message, Vec<u8>)> {
    let ok = RequestOk::default();
    let error = RequestError::new(RequestErrorCode::DOES_NOT_EXIST, "no");
    let redirect = RequestError {
        code: RequestErrorCode::REDIRECT,
        retry_interval: 1,
        reason: String::new(),
        redirect: Some(Redirect {
            uri: b"u".to_vec(),
            track: track(),
        }),
    };
    let update = RequestUpdate {
        request_id: 4,
        parameters: forward(),
    };
    vec![
        (Message::Setup(Setup::default()), vec![0xaf, 0, 0, 0]),
        (
            Message::GoAway(GoAway {
                uri: vec![],
                timeout: 7,
                request_id: Some(4),
            }),
            vec![0x10, 0, 3, 0, 7, 4],
        ),
        (
            Message::GoAway(GoAway {
                uri: b"u".to_vec(),
                timeout: 0,
                request_id: None,
            }),
            vec![0x10, 0, 3, 1, b'u', 0],
        ),
        (Message::RequestOk(ok), vec![7, 0, 1, 0]),
        (
            Message::RequestError(error),
            vec![5, 0, 5, 0x10, 0, 2, b'n', b'o'],
        ),
        (
            Message::RequestError(redirect),
            vec![5, 0, 10, 0x34, 1, 0, 1, b'u', 1, 1, b'a', 1, b'v'],
        ),
        (Message::RequestUpdate(update), vec![2, 0, 4, 4, 1, 0x10, 1]),
        (
            Message::PublishNamespace(namespace_request()),
            vec![6, 0, 5, 2, 1, 1, b'a', 0],
        ),
        (
            Message::SubscribeNamespace(namespace_request()),
            vec![0x50, 0, 5, 2, 1, 1, b'a', 0],
        ),
        (
            Message::SubscribeTracks(namespace_request()),
            vec![0x51, 0, 5, 2, 1, 1, b'a', 0],
        ),
        (Message::Namespace(Namespace::empty()), vec![8, 0, 1, 0]),
        (
            Message::NamespaceDone(Namespace::empty()),
            vec![0x0e, 0, 1, 0],
        ),
        (
            Message::PublishBlocked(PublishBlocked { track: track() }),
            vec![0x0f, 0, 5, 1, 1, b'a', 1, b'v'],
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of messages and bytes")]
fn tracks() -> Vec<(Message, Vec<u8>)> {
    let ok = SubscribeOk {
        track_alias: 9,
        parameters: Parameters {
            largest_object: Some(Location::new(1, 2)),
            ..Parameters::default()
        },
        properties: properties(),
    };
    let publish = Publish {
        request_id: 0,
        track: track(),
        track_alias: 3,
        parameters: Parameters::default(),
        properties: properties(),
    };
    let done = PublishDone {
        status: DoneCode::TRACK_ENDED,
        stream_count: 2,
        reason: String::new(),
    };
    let fetch = |range| {
        Message::Fetch(Fetch {
            request_id: 2,
            range,
            parameters: Parameters::default(),
        })
    };
    let standalone = FetchRange::Standalone {
        track: track(),
        start: Location::new(1, 2),
        end: Location::new(3, 0),
    };
    let fetch_ok = FetchOk {
        end_of_track: true,
        end: Location::new(3, 4),
        ..FetchOk::default()
    };
    vec![
        (
            Message::Subscribe(subscribe()),
            vec![3, 0, 9, 2, 1, 1, b'a', 1, b'v', 1, 0x10, 1],
        ),
        (
            Message::TrackStatus(subscribe()),
            vec![0x0d, 0, 9, 2, 1, 1, b'a', 1, b'v', 1, 0x10, 1],
        ),
        (
            Message::SubscribeOk(ok),
            vec![4, 0, 7, 9, 1, 9, 1, 2, 0x0e, 5],
        ),
        (
            Message::Publish(publish),
            vec![0x1d, 0, 10, 0, 1, 1, b'a', 1, b'v', 3, 0, 0x0e, 5],
        ),
        (Message::PublishDone(done), vec![0x0b, 0, 3, 2, 2, 0]),
        (
            fetch(standalone),
            vec![0x16, 0, 12, 2, 1, 1, 1, b'a', 1, b'v', 1, 2, 3, 0, 0],
        ),
        (
            fetch(FetchRange::RelativeJoining {
                joining_request_id: 0,
                joining_start: 1,
            }),
            vec![0x16, 0, 5, 2, 2, 0, 1, 0],
        ),
        (
            fetch(FetchRange::AbsoluteJoining {
                joining_request_id: 0,
                joining_start: 1,
            }),
            vec![0x16, 0, 5, 2, 3, 0, 1, 0],
        ),
        (Message::FetchOk(fetch_ok), vec![0x18, 0, 4, 1, 3, 4, 0]),
    ]
}

#[test]
fn each_message_is_these_bytes_and_back() {
    for (message, bytes) in setup_and_requests().into_iter().chain(tracks()) {
        let mut out = Vec::new();
        assert!(message.encode(&mut out));
        assert_eq!(out, bytes, "{}", message.name());
        out.push(0xee);
        assert_eq!(Message::decode(&out), Ok(Some((message, bytes.len()))));
    }
}

#[test]
fn a_cut_message_waits_and_a_cut_body_is_a_violation() {
    for (message, bytes) in setup_and_requests().into_iter().chain(tracks()) {
        for len in 0..bytes.len() {
            assert_eq!(
                Message::decode(&bytes[..len]),
                Ok(None),
                "{}",
                message.name()
            );
        }
        let header = bytes.iter().position(|byte| *byte == 0).expect("length");
        for len in header + 2..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            cut[header + 1] = u8::try_from(len - header - 2).expect("short");
            // A shorter body may by chance be another valid message; it may never panic.
            if let Ok(Some((_, used))) = Message::decode(&cut) {
                assert_eq!(used, len);
            }
        }
    }
}

#[test]
fn both_spellings_of_publish_ok_are_request_ok() {
    let ok = Message::RequestOk(RequestOk {
        parameters: forward(),
        properties: Properties::default(),
    });
    for kind in [0x07, 0x1e] {
        assert_eq!(
            Message::decode(&[kind, 0, 3, 1, 0x10, 1]),
            Ok(Some((ok.clone(), 6)))
        );
    }
}

#[test]
fn a_longer_type_encoding_is_the_same_message() {
    let decoded = Message::decode(&[0x80, 0x07, 0, 1, 0]).expect("valid");
    assert_eq!(decoded, Some((Message::RequestOk(RequestOk::default()), 5)));
}

#[test]
fn bytes_after_the_fields_and_unknown_types_close_the_session() {
    assert_eq!(
        Message::decode(&[0x0b, 0, 4, 2, 2, 0, 0])
            .expect_err("longer")
            .code(),
        CloseCode::PROTOCOL_VIOLATION
    );
    assert!(Message::decode(&[0x01, 0, 0]).is_err());
    assert!(Message::decode(&[0x16, 0, 5, 2, 4, 0, 1, 0]).is_err());
}

#[test]
fn a_reason_over_1024_bytes_is_refused_and_never_sent() {
    let mut body = vec![0, 0];
    crate::moqt::varint::put_prefixed(&mut body, &[b'x'; 1025]);
    let mut bytes = vec![5];
    bytes.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
    bytes.extend(body);
    assert!(Message::decode(&bytes).is_err());
    let mut out = Vec::new();
    assert!(
        Message::RequestError(RequestError::new(
            RequestErrorCode::TIMEOUT,
            &"x".repeat(2000)
        ))
        .encode(&mut out)
    );
    assert!(Message::decode(&out).is_ok());
}

#[test]
fn a_message_over_65535_bytes_is_not_written() {
    let token = Token::UseValue {
        kind: 0,
        value: vec![0; 65_535],
    };
    let setup = Setup {
        authorization_tokens: vec![token],
        ..Setup::default()
    };
    let mut out = Vec::new();
    assert!(!Message::Setup(setup).encode(&mut out));
    assert!(out.is_empty());
}

#[test]
fn random_bytes_never_panic() {
    let mut state = 1u64;
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..40)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let mut framed = vec![bytes[0] & 0x1f, 0, 37];
        framed.extend(&bytes[1..38]);
        let _ = Message::decode(&framed);
        let _ = Filter::parse(&bytes);
    }
}

#[test]
fn only_seven_messages_open_a_request() {
    let opening: Vec<_> = setup_and_requests()
        .into_iter()
        .chain(tracks())
        .filter(|(message, _)| message.opens_request())
        .map(|(message, _)| message.name())
        .collect();
    assert_eq!(
        opening,
        [
            "PUBLISH_NAMESPACE",
            "SUBSCRIBE_NAMESPACE",
            "SUBSCRIBE_TRACKS",
            "SUBSCRIBE",
            "TRACK_STATUS",
            "PUBLISH",
            "FETCH",
            "FETCH",
            "FETCH"
        ]
    );
}
