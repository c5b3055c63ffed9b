//! Rules that are broken and limits that are reached.

use super::*;
use crate::limits;

#[test]
fn a_request_id_of_the_wrong_side_or_used_twice_closes_the_session() {
    for ids in [[1, 3], [2, 2]] {
        let (mut client, mut server) = pair();
        for request_id in ids {
            let mut message = subscribe();
            message.set_request_id(request_id);
            let mut bytes = Vec::new();
            assert!(message.encode(&mut bytes));
            raw_request(&mut client, &bytes);
        }
        settle(&mut client, &mut server);
        assert_eq!(
            server.error.map(|error| error.code()),
            Some(CloseCode::INVALID_REQUEST_ID)
        );
    }
}

#[test]
fn an_alias_used_for_two_live_tracks_closes_the_session() {
    let (mut client, mut server) = pair();
    client
        .session
        .request(&mut client.streams, publish(3))
        .expect("asked");
    client
        .session
        .request(&mut client.streams, publish(3))
        .expect("asked");
    settle(&mut client, &mut server);
    assert_eq!(
        server.error.map(|error| error.code()),
        Some(CloseCode::DUPLICATE_TRACK_ALIAS)
    );
}

#[test]
fn broken_rules_close_the_session() {
    let namespaces = NamespaceRequest {
        request_id: 0,
        namespace: Namespace::empty(),
        parameters: Parameters {
            authorization_tokens: vec![Token::UseAlias { alias: 1 }],
            ..Parameters::default()
        },
    };
    let mut alias = Vec::new();
    assert!(Message::SubscribeNamespace(namespaces).encode(&mut alias));
    for (bytes, code) in [
        (&[7, 0, 1, 0][..], CloseCode::PROTOCOL_VIOLATION),
        (&[0x01, 0, 0], CloseCode::PROTOCOL_VIOLATION),
        (&alias, CloseCode::UNKNOWN_AUTH_TOKEN_ALIAS),
    ] {
        let (mut client, mut server) = pair();
        raw_request(&mut client, bytes);
        settle(&mut client, &mut server);
        assert_eq!(server.error.map(|error| error.code()), Some(code));
    }
    for bytes in [&[0x01][..], &[0x16, 0, 0], &[0xaf, 0, 0, 0]] {
        let (mut client, mut server) = pair();
        let stream = client.streams.open(Dir::Uni).expect("credit");
        client.streams.write(stream, bytes).expect("open");
        settle(&mut client, &mut server);
        assert_eq!(
            server.error.map(|error| error.code()),
            Some(CloseCode::PROTOCOL_VIOLATION)
        );
    }
}

#[test]
fn a_closed_control_stream_closes_the_session() {
    let (mut client, mut server) = pair();
    client
        .streams
        .finish(StreamId::new(Side::Client, Dir::Uni, 0))
        .expect("open");
    settle(&mut client, &mut server);
    assert_eq!(
        server.error.map(|error| error.code()),
        Some(CloseCode::PROTOCOL_VIOLATION)
    );
}

fn raw_request(end: &mut End, bytes: &[u8]) {
    let stream = end.streams.open(Dir::Bi).expect("credit");
    end.streams.write(stream, bytes).expect("open");
}

#[test]
fn requests_beyond_the_stream_limit_wait_for_credit() {
    let (mut client, mut server) = pair();
    for _ in 0..120 {
        client
            .session
            .request(&mut client.streams, subscribe())
            .expect("asked");
    }
    assert_eq!(client.session.queued.len(), 20);
    settle(&mut client, &mut server);
    while let Some(event) = server.session.poll_event() {
        if let SessionEvent::Request { id, .. } = event {
            server.session.refuse(
                &mut server.streams,
                id,
                RequestErrorCode::DOES_NOT_EXIST,
                "",
            );
        }
    }
    settle(&mut client, &mut server);
    while let Some(event) = client.session.poll_event() {
        if let SessionEvent::Ended { id, .. } = event {
            client.session.finish(&mut client.streams, id);
        }
    }
    settle(&mut client, &mut server);
    assert!(client.session.queued.is_empty());
}

#[test]
fn requests_that_wait_for_credit_are_limited() {
    let (mut client, _) = pair();
    let made = (0..5000).take_while(|_| {
        let asked = client.session.request(&mut client.streams, subscribe());
        asked.is_ok()
    });
    assert_eq!(made.count(), 100 + limits::QUEUED_REQUESTS);
}

#[test]
fn request_ids_with_gaps_are_forgotten_and_never_taken_twice() {
    let (mut client, mut server) = pair();
    for n in 0..90 {
        let mut message = subscribe();
        message.set_request_id(4 * n);
        let mut bytes = Vec::new();
        assert!(message.encode(&mut bytes));
        raw_request(&mut client, &bytes);
        settle(&mut client, &mut server);
    }
    assert_eq!(server.error, None);
    assert_eq!(server.session.seen.len(), limits::REQUEST_ID_RANGES);
}

#[test]
fn aliases_of_refused_tracks_are_remembered_in_limited_numbers() {
    let (mut client, mut server) = pair();
    for alias in 0..200 {
        let asked = client.session.request(&mut client.streams, publish(alias));
        let id = asked.expect("credit");
        settle(&mut client, &mut server);
        let code = RequestErrorCode::UNINTERESTED;
        server.session.refuse(&mut server.streams, id, code, "");
        settle(&mut client, &mut server);
        client.session.finish(&mut client.streams, id);
        settle(&mut client, &mut server);
    }
    assert_eq!(server.session.aliases.len(), limits::RETIRED_ALIASES);
}

#[test]
fn a_peer_that_does_not_read_makes_no_backlog() {
    let (mut client, mut server) = pair();
    client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    let long = Message::Namespace(Namespace::new([vec![b'x'; 4000]]).expect("valid"));
    let sent = (0..1000)
        .take_while(|_| {
            server
                .session
                .send(&mut server.streams, RequestId(0), &long)
                .is_ok()
        })
        .count();
    assert!(sent < 70, "{sent}");
}

#[test]
fn data_without_a_track_is_let_go_after_a_while_or_when_there_is_too_much() {
    let (mut client, mut server) = pair();
    let streams: Vec<_> = (0..6)
        .map(|n| send_subgroup(&mut server, 20 + n).0)
        .collect();
    settle(&mut client, &mut server);
    assert_eq!(client.session.held.len(), 4);
    let late = Time::ZERO + Duration::from_secs(2);
    client.session.on_timeout(late, &mut client.streams);
    assert!(client.session.held.is_empty());
    assert_eq!(client.session.next_timeout(), None);
    settle(&mut client, &mut server);
    assert!(
        streams
            .iter()
            .all(|stream| !client.session.incoming.contains_key(stream))
    );
}

#[test]
fn an_idle_session_is_small() {
    let (client, _) = pair();
    assert!(size_of::<Session>() < 1024, "{}", size_of::<Session>());
    assert!(client.session.events.capacity() < 16);
    let ok = RequestOk::default();
    assert!(ok.properties.as_bytes().is_empty());
}
