//! Setting up: suites, loss, Retry, Version Negotiation, limits before the address is proved.

use core::time::Duration;

use super::pair::{CLIENT, SERVER, random_loss};
use super::{Direction, Pair, Setup};
use crate::connection::{Event, FourTuple, State};
use crate::error::ConnectionError;
use crate::protection::{CipherSuite, retry};
use crate::wire::connection_id::ConnectionId;
use crate::wire::header::{Header, Retry, VersionNegotiation};
use crate::wire::writer::Writer;

fn is_confirmed(pair: &mut Pair) -> bool {
    pair.client.state() == State::Confirmed
        && pair
            .server
            .as_ref()
            .is_some_and(|server| server.state() == State::Confirmed)
}

#[test]
fn each_suite_completes_the_handshake() {
    for suite in CipherSuite::ALL {
        let mut setup = Setup::default();
        setup.client_tls = setup.client_tls.only(&[suite]).unwrap();
        let mut pair = Pair::connected(setup);
        assert_eq!(pair.client.suite(), Some(suite));
        assert_eq!(pair.server().suite(), Some(suite));
        assert_eq!(pair.client.alpn(), Some(&b"test"[..]));
        assert_eq!(pair.server().server_name(), Some("localhost"));
        assert!(pair.client.is_established() && pair.server().is_established());
    }
}

#[test]
fn the_handshake_takes_one_round_trip_each_way() {
    let mut pair = Pair::new(Setup::default());
    let start = pair.now;
    pair.run_until(Duration::from_secs(1), |pair| pair.client.is_established());
    assert_eq!(pair.now.since(start), Duration::from_millis(20));
    pair.run_until(Duration::from_secs(1), is_confirmed);
    assert_eq!(pair.now.since(start), Duration::from_millis(40));
    // RFC 9000 §14.1: all datagrams with Initials are full.
    assert!(pair.sent.iter().take(2).all(|(_, len)| *len >= 1200));
}

#[test]
fn both_sides_know_the_same_keys_and_ids() {
    let mut pair = Pair::connected(Setup::default());
    let secret = |keys: &crate::protection::Keys| keys.secret.as_bytes().to_vec();
    let client = pair
        .client
        .keys()
        .map(|keys| (secret(keys.local), secret(keys.remote)))
        .unwrap();
    let server = pair
        .server()
        .keys()
        .map(|keys| (secret(keys.remote), secret(keys.local)))
        .unwrap();
    assert_eq!(client, server);
    let remote = pair.client.remote_cid();
    assert!(pair.server().local_cids().any(|cid| cid == remote));
    assert_eq!(pair.server().local_cids().count(), 4);
    let issued = pair
        .server_events
        .iter()
        .filter(|event| matches!(event, Event::ConnectionIdIssued(_)));
    assert_eq!(issued.count(), 3);
    let learned = pair
        .client_events
        .iter()
        .filter(|event| matches!(event, Event::ResetTokenLearned(_)));
    assert_eq!(learned.count(), 1, "RFC 9000 §10.3.1: of IDs in use only");
}

#[test]
fn handshakes_survive_heavy_loss() {
    for seed in 0..30 {
        let mut pair = Pair::new(Setup {
            seed,
            ..Setup::default()
        });
        pair.filter = random_loss(seed, 30);
        pair.run_until(Duration::from_secs(10), is_confirmed);
    }
}

#[test]
fn a_client_with_an_empty_connection_id_is_served() {
    let mut pair = Pair::connected(Setup {
        local_cid_len: 0,
        ..Setup::default()
    });
    assert!(pair.server().remote_cid().is_empty());
    assert_eq!(
        pair.client.local_cids().collect::<Vec<_>>(),
        [ConnectionId::EMPTY]
    );
}

#[test]
fn a_large_certificate_chain_waits_for_the_client_at_the_amplification_limit() {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = (0..300)
        .map(|at| format!("host-{at}.example.org"))
        .collect();
    let cert = rcgen::CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let key = crate::tls::rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let server_tls = crate::tls::ServerTls::new_single(vec![cert.into()], key, &[b"test"]).unwrap();
    let mut pair = Pair::new(Setup {
        server_tls,
        ..Setup::default()
    });
    // The harness checks the limit at every datagram; here the client's next ones are lost besides.
    let mut to_server = 0;
    pair.filter = Box::new(move |flying| {
        to_server += usize::from(flying.direction == Direction::ToServer);
        flying.direction == Direction::ToClient || !(2..=4).contains(&to_server)
    });
    pair.run_until(Duration::from_secs(20), is_confirmed);
}

/// Answers the client's first Initial with a Retry, as an endpoint would.
fn send_retry(pair: &mut Pair, original: ConnectionId, tag_from: ConnectionId) -> ConnectionId {
    let scid = ConnectionId::new(&[0x5e; 8]).unwrap();
    let packet = Retry {
        destination_cid: pair.client.local_cids().next().unwrap(),
        source_cid: scid,
        retry_token: b"token",
        retry_integrity_tag: [0; 16],
    };
    let mut buffer = [0; 200];
    let mut out = Writer::new(&mut buffer);
    packet.encode_without_tag(&mut out).unwrap();
    let tag = retry::tag(&tag_from, out.written()).unwrap();
    out.put(&tag).unwrap();
    let mut bytes = out.written().to_vec();
    let tuple = FourTuple {
        local: CLIENT.into(),
        remote: SERVER.into(),
    };
    pair.client.receive(pair.now, tuple, None, &mut bytes);
    pair.original_cid = Some(original);
    scid
}

/// The Destination Connection ID of the client's first Initial, which is taken off the link.
fn take_initial(pair: &mut Pair) -> ConnectionId {
    pair.exchange();
    let flying = pair.flying.pop_front().unwrap();
    let (_, Header::Long { header, .. }) = Header::parse(&flying.bytes, 8).unwrap() else {
        panic!()
    };
    header.destination_cid
}

#[test]
fn a_retry_changes_keys_and_token_and_the_handshake_completes() {
    let mut pair = Pair::new(Setup::default());
    let original = take_initial(&mut pair);
    let scid = send_retry(&mut pair, original, original);
    pair.exchange();
    let second = pair.flying.front().unwrap().bytes.clone();
    let (_, Header::Long { header, .. }) = Header::parse(&second, 8).unwrap() else {
        panic!()
    };
    assert_eq!(header.destination_cid, scid);
    assert_eq!(
        header.long_type,
        crate::wire::header::LongType::Initial { token: b"token" }
    );
    pair.run_until(Duration::from_secs(1), is_confirmed);
    // RFC 9000 §17.2.5.3: numbers go on, so the server never saw 0.
    assert!(pair.server().is_path_validated());
}

#[test]
fn a_retry_that_the_server_does_not_confess_to_is_refused() {
    let mut pair = Pair::new(Setup::default());
    let original = take_initial(&mut pair);
    send_retry(&mut pair, original, original);
    pair.original_cid = None;
    pair.run_until(Duration::from_secs(5), |pair| pair.client_error().is_some());
    let error = pair.client_error().unwrap().to_string();
    assert!(error.contains("TRANSPORT_PARAMETER_ERROR"), "{error}");
}

#[test]
fn a_retry_with_a_wrong_tag_is_ignored() {
    let mut pair = Pair::new(Setup::default());
    let original = take_initial(&mut pair);
    send_retry(&mut pair, original, ConnectionId::new(&[1; 8]).unwrap());
    pair.original_cid = None;
    pair.run_until(Duration::from_secs(5), is_confirmed);
}

/// A Version Negotiation packet in answer to the client's Initial.
fn version_negotiation(pair: &Pair, dcid: &ConnectionId, versions: &[u32]) -> Vec<u8> {
    let mut buffer = [0; 100];
    let mut out = Writer::new(&mut buffer);
    let scid = pair.client.local_cids().next().unwrap();
    VersionNegotiation::encode(scid.as_slice(), dcid.as_slice(), versions, 0, &mut out).unwrap();
    out.written().to_vec()
}

#[test]
fn version_negotiation_without_our_version_ends_the_attempt() {
    let mut pair = Pair::new(Setup::default());
    let original = take_initial(&mut pair);
    let tuple = pair.client.path();
    let mut forged =
        version_negotiation(&pair, &ConnectionId::new(&[3; 8]).unwrap(), &[0x6b33_43cf]);
    pair.client.receive(pair.now, tuple, None, &mut forged);
    let mut lists_ours = version_negotiation(&pair, &original, &[1, 0x6b33_43cf]);
    pair.client.receive(pair.now, tuple, None, &mut lists_ours);
    assert_eq!(pair.client.state(), State::Handshake);
    let mut answer = version_negotiation(&pair, &original, &[0x6b33_43cf]);
    pair.client.receive(pair.now, tuple, None, &mut answer);
    pair.exchange();
    assert_eq!(
        pair.client_error(),
        Some(&ConnectionError::VersionNegotiation)
    );
    assert!(pair.client.is_drained());
}

#[test]
fn a_handshake_without_answer_times_out() {
    let mut pair = Pair::new(Setup::default());
    pair.filter = Box::new(|_| false);
    pair.run_until(Duration::from_secs(11), |pair| pair.client.is_drained());
    assert_eq!(
        pair.client_error(),
        Some(&ConnectionError::HandshakeTimeout)
    );
}

#[test]
fn reordered_coalesced_packets_are_kept_for_their_keys() {
    let mut pair = Pair::new(Setup::default());
    let start = pair.now;
    // The server's second datagram (Handshake, 1-RTT) overtakes the first (Initial).
    pair.run_until(Duration::from_secs(1), |pair| {
        pair.flying
            .iter()
            .filter(|flying| flying.direction == Direction::ToClient)
            .count()
            > 0
    });
    let mut late: Vec<_> = pair.flying.drain(..).collect();
    late.reverse();
    pair.flying.extend(late);
    pair.run_until(Duration::from_secs(1), is_confirmed);
    assert_eq!(pair.now.since(start), Duration::from_millis(40));
}
