//! Row 15: tokens and Retry. RFC 9000 §8.1, §17.2.5; RFC 9001 §5.8.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use quic_lite::connection::Event;
use quic_lite::endpoint::{Endpoint, EndpointConfig};
use quic_lite::error::TransportErrorCode;
use quic_lite::protection::retry;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::frame::close::CloseError;
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::header::{Header, Retry};
use quic_lite::wire::writer::Writer;

use crate::net::{Flying, Net, address, as_server};
use integration::forge::{Initial, PING, cid, open_server_initial};

/// What a server made of an Initial with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// There is a connection.
    Accepted,
    /// CONNECTION_CLOSE with this code, and no connection.
    Closed(TransportErrorCode),
    /// A Retry with this token from this ID, and no connection.
    Retried {
        token: Vec<u8>,
        source: ConnectionId,
    },
    /// Nothing at all.
    Silence,
}

fn demanding() -> EndpointConfig {
    EndpointConfig {
        retry: true,
        ..EndpointConfig::default()
    }
}

/// Sends an authentic Initial from there with this token to this ID.
fn try_token(net: &mut Net, from: SocketAddr, token: &[u8], destination: ConnectionId) -> Answer {
    let before = net.nodes[1].endpoint.len();
    let source = cid(b"us");
    let initial = Initial {
        destination,
        source,
        token,
    };
    let answers = net.ask(from, &initial.of_client(PING, 1200));
    assert!(
        answers.len() <= 1,
        "{} answers to one datagram",
        answers.len()
    );
    if net.nodes[1].endpoint.len() > before {
        return Answer::Accepted;
    }
    let Some(answer) = answers.first() else {
        return Answer::Silence;
    };
    assert!(answer.len() < 1200);
    if let Ok((_, Header::Retry(retry))) = Header::parse(answer, 8) {
        let (token, source) = (retry.retry_token.to_vec(), retry.source_cid);
        return Answer::Retried { token, source };
    }
    let payload = open_server_initial(answer, &destination).unwrap();
    let Some(Ok(Frame::ConnectionClose(close))) = frames(&payload).next() else {
        panic!("{payload:?}");
    };
    match close.error {
        CloseError::Transport { code, .. } => Answer::Closed(code),
        CloseError::Application { .. } => panic!("{close:?}"),
    }
}

/// The token of a Retry, and where to bring it.
fn retried(net: &mut Net, from: SocketAddr) -> (Vec<u8>, ConnectionId) {
    match try_token(net, from, &[], cid(b"made up!")) {
        Answer::Retried { token, source } => (token, source),
        other => panic!("{other:?}"),
    }
}

const REFUSED: Answer = Answer::Closed(TransportErrorCode::INVALID_TOKEN);

#[test]
fn row_15_a_retry_token_counts_as_it_was_given_and_not_otherwise() {
    let from = address(1, 1000);
    let mut net = Net::new(demanding());
    let (token, source) = retried(&mut net, from);
    let mut refuse = |from, token: &[u8], to| {
        assert_eq!(
            try_token(&mut net, from, token, to),
            REFUSED,
            "{from} {token:?}"
        );
    };
    // From elsewhere, and to another ID than the Retry's.
    refuse(address(3, 1000), &token, source);
    refuse(address(1, 1001), &token, source);
    refuse("[2001:db8::1]:1000".parse().unwrap(), &token, source);
    refuse(from, &token, cid(b"made up!"));
    refuse(from, &token, cid(b"whatever"));
    // Damaged: each bit but those of the kind, each length.
    for bit in 8..token.len() * 8 {
        let mut token = token.clone();
        token[bit / 8] ^= 1 << (bit % 8);
        refuse(from, &token, source);
    }
    (1..token.len()).for_each(|len| refuse(from, &token[..len], source));
    refuse(from, &[&token[..], &[0]].concat(), source);
    // Too old.
    let born = net.now;
    net.now = born + Duration::from_secs(60);
    assert_eq!(try_token(&mut net, from, &token, source), REFUSED);
    net.now = born + Duration::from_secs(2);
    assert_eq!(try_token(&mut net, from, &token, source), Answer::Accepted);
    assert_eq!(net.nodes[1].endpoint.len(), 1);
}

#[test]
fn row_15_a_token_of_another_kind_or_of_nobody_is_none() {
    let from = address(1, 1000);
    let mut net = Net::new(demanding());
    let (token, source) = retried(&mut net, from);
    for kind in [0, 2, 3, 0x40, 255] {
        let mut token = token.clone();
        token[0] = kind;
        let answer = try_token(&mut net, from, &token, source);
        assert!(
            matches!(answer, Answer::Retried { .. }),
            "kind {kind}: {answer:?}"
        );
    }
    for len in [1, 17, 40, 41, 42, 200, 1000] {
        let answer = try_token(&mut net, from, &vec![7; len], source);
        assert!(
            matches!(answer, Answer::Retried { .. }),
            "{len} bytes: {answer:?}"
        );
    }
}

/// RFC 9000 §8.1.4: a token from NEW_TOKEN lifts what an address may cost, once.
#[test]
fn row_15_a_new_token_counts_once_from_its_address_and_for_a_day() {
    let mut net = Net::connected(demanding());
    let (client, token) = (net.nodes[0].address, new_token(&net));
    let elsewhere = address(7, client.port());
    let is_retried = |answer| matches!(answer, Answer::Retried { .. });
    assert!(is_retried(try_token(
        &mut net,
        elsewhere,
        &token,
        cid(b"made up!")
    )));
    let born = net.now;
    net.now = born + Duration::from_secs(25 * 60 * 60);
    assert!(is_retried(try_token(
        &mut net,
        client,
        &token,
        cid(b"made up!")
    )));
    net.now = born + Duration::from_secs(60 * 60);
    assert_eq!(
        try_token(&mut net, client, &token, cid(b"made up!")),
        Answer::Accepted
    );
    for other in [b"made up2", b"made up3"] {
        assert!(is_retried(try_token(&mut net, client, &token, cid(other))));
    }
}

fn new_token(net: &Net) -> Vec<u8> {
    let mut events = net.nodes[0].events.iter();
    let token = events.find_map(|(_, event)| match event {
        Event::NewToken(token) => Some(token.clone()),
        _ => None,
    });
    token.unwrap()
}

/// The secret that outlives a server is for stateless resets. The clock begins anew with the server, and what was
/// used is forgotten: tokens of the past must not count.
#[test]
fn row_15_tokens_do_not_outlive_the_server_that_made_them() {
    let config = EndpointConfig {
        secret: Some([9; 32]),
        ..demanding()
    };
    let mut net = Net::connected(config.clone());
    let (client, from) = (net.nodes[0].address, address(1, 1000));
    let visit = new_token(&net);
    let (token, source) = retried(&mut net, from);
    net.nodes[1].endpoint = Endpoint::new(as_server(config), [77; 32]);
    net.now = quic_lite::Time::from_micros(1_000_000);
    assert_eq!(try_token(&mut net, from, &token, source), REFUSED);
    let answer = try_token(&mut net, client, &visit, cid(b"made up!"));
    assert!(matches!(answer, Answer::Retried { .. }), "{answer:?}");
}

/// RFC 9000 §7.2, §17.2: 8 to 20 bytes; nothing in a header makes a server fall.
#[test]
fn row_15_any_length_of_connection_ids_is_answered_once_or_not_at_all() {
    for retry in [true, false] {
        for version in [1_u32, 0, 2, 0xff00_001d] {
            for len in 0..=255_u8 {
                let mut net = Net::new(EndpointConfig {
                    retry,
                    ..EndpointConfig::default()
                });
                let mut packet = vec![0xc0];
                packet.extend(version.to_be_bytes());
                packet.push(len);
                packet.extend(vec![0x55; usize::from(len)]);
                packet.extend([4, 1, 2, 3, 4]);
                packet.extend([0, 0x44, 0xb0]);
                packet.resize(1400, 0xaa);
                let answers = net.ask(address(1, 1000), &packet);
                let is_initial = version == 1 && (8..=20).contains(&len);
                let expected = match version {
                    0 => 0,
                    1 => usize::from(is_initial && retry),
                    _ => 1,
                };
                assert_eq!(answers.len(), expected, "version {version}, {len} bytes");
                assert_eq!(net.nodes[1].endpoint.len(), 0);
            }
        }
    }
}

#[test]
fn row_15_a_datagram_of_many_initials_gets_one_retry() {
    let mut net = Net::new(demanding());
    let mut datagram = Vec::new();
    for number in 0..20_u8 {
        let (destination, source) = (cid(&[number; 8]), cid(b"us"));
        let initial = Initial {
            destination,
            source,
            token: &[],
        };
        datagram.extend(initial.of_client(PING, 60));
    }
    datagram.resize(1400, 0);
    assert_eq!(net.ask(address(1, 1000), &datagram).len(), 1);
}

/// A Retry to the client of `first`, with these fields.
fn forged_retry(first: &[u8], source: ConnectionId, token: &[u8]) -> Vec<u8> {
    let Ok((_, Header::Long { header, .. })) = Header::parse(first, 8) else {
        panic!("not an Initial");
    };
    let mut packet = vec![0; 200 + token.len()];
    let mut out = Writer::new(&mut packet);
    let retry = Retry {
        destination_cid: header.source_cid,
        source_cid: source,
        retry_token: token,
        retry_integrity_tag: [0; Retry::TAG_LEN],
    };
    retry.encode_without_tag(&mut out).unwrap();
    let len = out.len();
    packet.truncate(len);
    packet.extend(retry::tag(&header.destination_cid, &packet).unwrap());
    packet
}

/// RFC 9000 §17.2.5.2: a client takes one Retry, whole, with a token, from another ID than it asked.
#[test]
fn row_15_a_client_takes_one_good_retry() {
    let mut net = Net::new(demanding());
    let first = net.first_flight();
    let Ok((_, Header::Long { header, .. })) = Header::parse(&first, 8) else {
        panic!("not an Initial");
    };
    let (client, server) = (net.nodes[0].address, net.nodes[1].address);
    let good = forged_retry(&first, cid(b"elsewhere"), b"token");
    let mut bad: BTreeSet<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    bad.extend((0..good.len() * 8).map(|bit| {
        let mut wrong = good.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        wrong
    }));
    bad.insert(forged_retry(&first, cid(b"elsewhere"), b""));
    bad.insert(forged_retry(&first, header.destination_cid, b"token"));
    for bytes in bad {
        net.deliver(Flying {
            from: server,
            to: client,
            bytes,
        });
        let now = net.now;
        // What looks like 1-RTT may be answered by a stateless reset, but nobody comes back with a token.
        let answers = net.nodes[0].datagrams(now);
        assert!(answers.iter().all(|it| it.bytes[0] & 0x80 == 0));
    }
    // The true one, then another.
    let answer = net.ask(client, &first).swap_remove(0);
    net.deliver(Flying {
        from: server,
        to: client,
        bytes: answer,
    });
    let now = net.now;
    let second = net.nodes[0].datagrams(now);
    assert_eq!(second.len(), 1, "it comes back with the token");
    net.deliver(Flying {
        from: server,
        to: client,
        bytes: good,
    });
    assert_eq!(net.nodes[0].datagrams(now), []);
    second
        .into_iter()
        .for_each(|datagram| net.deliver(datagram));
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[0].closed(), None);
    assert!(net.nodes[0].connection().is_established());
}

#[test]
fn row_15_a_token_of_any_size_does_not_stop_the_client() {
    for len in [1, 100, 900, 1100, 1400, 5000] {
        let mut net = Net::new(EndpointConfig::default());
        let first = net.first_flight();
        let (client, server) = (net.nodes[0].address, net.nodes[1].address);
        let bytes = forged_retry(&first, cid(b"elsewhere"), &vec![1; len]);
        net.deliver(Flying {
            from: server,
            to: client,
            bytes,
        });
        net.run(Duration::from_secs(30));
        assert!(net.nodes[0].closed().is_some() || net.nodes[0].connection().is_established());
    }
}
