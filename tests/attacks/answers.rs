//! Rows 16 and 17: answers of nobody's connection. Stateless Reset (RFC 9000 §10.3, §21.11), Version Negotiation
//! (§6), and what all of them together may cost (§21.5).

use std::time::Duration;

use quic_lite::Time;
use quic_lite::connection::Event;
use quic_lite::endpoint::EndpointConfig;
use quic_lite::error::ConnectionError;
use quic_lite::wire::header::{Header, VersionNegotiation};
use quic_lite::wire::writer::Writer;

use crate::net::{Flying, Net, address, as_server, stranger};
use integration::forge::{Initial, PING, cid};

/// Lets two servers exchange what they answer to each other, beginning with these datagrams; what was sent.
fn bounce(begin: impl IntoIterator<Item = Vec<u8>>) -> Vec<Flying> {
    let mut net = Net::new(EndpointConfig::default());
    let other = net.add(address(3, 4433), as_server(EndpointConfig::default()));
    let (to, from) = (net.nodes[1].address, net.nodes[other].address);
    for bytes in begin {
        net.deliver(Flying { from, to, bytes });
    }
    net.settle();
    assert!(net.nodes[1].endpoint.is_idle() && net.nodes[other].endpoint.is_idle());
    net.sent
}

/// RFC 9000 §10.3.3: each reset is smaller than what caused it, so the exchange ends.
#[test]
fn row_16_two_relays_that_reset_each_other_fall_silent() {
    for size in [22, 43, 100, 1200, 1472] {
        let sent = bounce([vec![0x55; size]]);
        let sizes: Vec<usize> = sent.iter().map(|it| it.bytes.len()).collect();
        assert!(!sizes.is_empty() && sizes.len() < 40, "{size}: {sizes:?}");
        assert!(
            sizes[0] < size && sizes.is_sorted_by(|a, b| a > b),
            "{size}: {sizes:?}"
        );
    }
}

/// The same begun ten thousand times at once: no more than each may answer in a second.
#[test]
fn row_16_resets_are_so_many_a_second_however_many_ask() {
    let sent = bounce((0..10_000).map(|_| vec![0x55; 1200]));
    assert!((100..=2_200).contains(&sent.len()), "{}", sent.len());
    let bytes: usize = sent.iter().map(|it| it.bytes.len()).sum();
    assert!(bytes < 10_000 * 1200 / 50, "{bytes} bytes");
}

/// RFC 9000 §10.3: what could not be a packet of 1-RTT is not answered.
#[test]
fn row_16_what_is_too_small_to_be_a_packet_gets_no_reset() {
    let mut net = Net::new(EndpointConfig::default());
    for size in 0..=21 {
        assert!(
            net.ask(address(9, 9), &vec![0x55; size]).is_empty(),
            "{size}"
        );
    }
}

/// A token nobody has been given yet is not all zeros, in whatever table: such a datagram resets nobody. Nor
/// does one with the token of another connection ID, or the true one from elsewhere.
#[test]
fn row_16_a_token_of_zeros_or_of_another_resets_nobody() {
    let mut net = Net::connected(EndpointConfig::default());
    let addresses = [net.nodes[0].address, net.nodes[1].address];
    let cids: Vec<_> = net
        .nodes
        .iter()
        .flat_map(|it| it.connection().local_cids().collect::<Vec<_>>())
        .collect();
    let cids = cids.iter().map(|cid| cid.as_slice());
    for cid in cids.chain([&[0; 8][..], &[7; 8]]) {
        for (fill, len) in [(0, 21), (0, 40), (0, 1200), (0xff, 21), (0xff, 1200)] {
            let mut bytes = [&[0x40][..], cid].concat();
            bytes.resize(len, fill);
            let ([client, server], copy) = (addresses, bytes.clone());
            let (from, to) = (server, client);
            net.deliver(Flying { from, to, bytes });
            let (from, to, bytes) = (client, server, copy);
            net.deliver(Flying { from, to, bytes });
        }
    }
    net.run(Duration::from_secs(1));
    for node in &net.nodes {
        assert_eq!(node.closed(), None);
        assert!(node.connection().is_established());
    }
}

/// RFC 9000 §10.3.2: the token is made of a secret that survives a crash, and of the connection ID.
#[test]
fn row_16_a_relay_that_crashed_resets_its_peers_and_another_cannot() {
    for same_secret in [true, false] {
        let config = |secret| EndpointConfig {
            secret: Some([secret; 32]),
            ..EndpointConfig::default()
        };
        let mut net = Net::connected(config(1));
        let secret = if same_secret { 1 } else { 2 };
        net.nodes[1].endpoint =
            quic_lite::endpoint::Endpoint::new(as_server(config(secret)), [99; 32]);
        net.nodes[0].connection_mut().ping();
        net.run(Duration::from_secs(2));
        let expected = same_secret.then_some(&ConnectionError::StatelessReset);
        assert_eq!(net.nodes[0].closed(), expected);
    }
}

/// A Version Negotiation packet with these IDs and versions.
fn negotiation(destination: &[u8], source: &[u8], versions: &[u32]) -> Vec<u8> {
    let mut packet = vec![0; 2000];
    let mut out = Writer::new(&mut packet);
    VersionNegotiation::encode(destination, source, versions, 0x2a, &mut out).unwrap();
    let len = out.len();
    packet.truncate(len);
    packet
}

/// RFC 9000 §6.1: a server hears no Version Negotiation, whatever its size and whomever it names.
#[test]
fn row_17_a_server_ignores_version_negotiation() {
    let mut net = Net::connected(EndpointConfig::default());
    let client = net.nodes[0].address;
    let ours: Vec<_> = net.nodes[1].connection().local_cids().collect();
    for destination in ours
        .iter()
        .map(|cid| cid.as_slice())
        .chain([&[5; 8][..], &[5; 30], &[]])
    {
        for size in [0, 1200] {
            let mut packet = negotiation(destination, &[6; 8], &[0x0a0a_0a0a, 2]);
            packet.resize(packet.len().max(size), 0);
            assert!(net.ask(client, &packet).is_empty());
        }
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[1].closed(), None);
    assert_eq!(net.nodes[1].endpoint.len(), 1);
}

/// RFC 9000 §6.1: two servers answer a packet of a version that nobody speaks once, not each other.
#[test]
fn row_17_two_servers_do_not_negotiate_with_each_other() {
    let mut unknown = vec![
        0xc0, 0xfa, 0xce, 0xb0, 0x0c, 8, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 9,
    ];
    unknown.resize(1200, 0);
    let sent = bounce((0..5000).map(|_| unknown.clone()));
    assert!((1..=1000).contains(&sent.len()), "{}", sent.len());
    let bytes: usize = sent.iter().map(|it| it.bytes.len()).sum();
    assert!(bytes < 100 * 1000, "{bytes}");
    let mut net = Net::new(EndpointConfig::default());
    unknown.truncate(1199);
    assert!(net.ask(address(9, 9), &unknown).is_empty());
}

/// What an attacker can send to a client that waits for its server, who sees its Initial: the five forgeries of
/// quic-go's tests. `begin` is after the server's answer or before it.
fn forge(kind: usize, first: &[u8]) -> Vec<u8> {
    let Ok((_, Header::Long { header, .. })) = Header::parse(first, 8) else {
        panic!("not an Initial");
    };
    let (to, made_up) = (header.source_cid, header.destination_cid);
    let initial = Initial {
        destination: to,
        source: cid(b"attacker"),
        token: &[],
    };
    match kind {
        // Version Negotiation, with and without the version in use.
        0 => negotiation(to.as_slice(), made_up.as_slice(), &[0x0a0a_0a0a]),
        1 => negotiation(to.as_slice(), made_up.as_slice(), &[0x0a0a_0a0a, 1]),
        // Initials under the right keys, which everybody has: one that closes, one that acknowledges what was not
        // sent, one that says nothing and takes the server's place.
        2 => initial.of_server(&made_up, 0, &[0x1c, 0x02, 0, 0], 1200),
        3 => initial.of_server(&made_up, 0, &[0x02, 0x40, 0xc8, 0, 0, 0], 1200),
        _ => initial.of_server(&made_up, 0, PING, 1200),
    }
}

/// RFC 9000 §21.2: before the server's first packet an attacker on the path can end the attempt; it must end in
/// an error and in time, and leave nothing. After it, none of them does anything.
#[test]
fn row_17_five_forged_answers_end_an_attempt_in_order_or_do_nothing() {
    for kind in 0..5 {
        for is_late in [false, true] {
            let mut net = Net::new(EndpointConfig::default());
            let first = net.first_flight();
            let (client, server) = (net.nodes[0].address, net.nodes[1].address);
            let begun = net.now;
            let answers = net.ask(client, &first);
            let forged = Flying {
                from: server,
                to: client,
                bytes: forge(kind, &first),
            };
            let answers = answers.into_iter().map(|bytes| Flying {
                from: server,
                to: client,
                bytes,
            });
            if is_late {
                answers.for_each(|answer| net.deliver(answer));
                net.deliver(forged);
            } else {
                net.deliver(forged);
                answers.for_each(|answer| net.deliver(answer));
            }
            net.run(Duration::from_secs(1));
            let node = &net.nodes[0];
            let is_harmless = is_late || kind == 1;
            let is_connected = node.count(|event| *event == Event::Connected) == 1;
            assert_eq!(
                is_connected,
                is_harmless,
                "kind {kind}, late {is_late}: {:?}",
                node.closed()
            );
            if !is_harmless {
                net.run(Duration::from_secs(20));
                assert!(net.nodes[0].closed().is_some(), "kind {kind}");
                assert!(net.nodes[0].endpoint.is_idle() && net.nodes[1].endpoint.is_idle());
                assert!(net.now.since(begun) < Duration::from_secs(25));
            }
        }
    }
}

/// RFC 9000 §21.5: a forged source address makes us send to whoever is there. Ports of services that answer what
/// they do not understand, and port 0, get nothing from us.
#[test]
fn row_17_services_that_answer_anything_are_not_sent_anything() {
    let mut unknown = vec![
        0xc0, 0xfa, 0xce, 0xb0, 0x0c, 8, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 9,
    ];
    unknown.resize(1200, 0);
    let (destination, source) = (cid(b"made up!"), cid(b"us"));
    let initial = Initial {
        destination,
        source,
        token: &[],
    }
    .of_client(PING, 1200);
    for retry in [true, false] {
        for port in [
            0, 7, 17, 19, 53, 111, 123, 137, 161, 389, 1900, 3702, 5353, 11_211,
        ] {
            let mut net = Net::new(EndpointConfig {
                retry,
                ..EndpointConfig::default()
            });
            for packet in [&unknown, &initial, &vec![0x55; 1200]] {
                assert!(net.ask(address(9, port), packet).is_empty(), "port {port}");
            }
            assert!(net.nodes[1].endpoint.is_empty(), "port {port}");
        }
    }
    let mut net = Net::new(EndpointConfig::default());
    assert_eq!(net.ask(address(9, 443), &unknown).len(), 1);
}

/// All kinds of answers together, asked for by a hundred thousand strangers within a second.
#[test]
fn row_17_all_answers_together_stay_below_what_is_stated() {
    let mut net = Net::new(EndpointConfig {
        retry: true,
        ..EndpointConfig::default()
    });
    let mut unknown = vec![
        0xc0, 0xfa, 0xce, 0xb0, 0x0c, 8, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 9,
    ];
    unknown.resize(1200, 0);
    let mut bytes = 0;
    for number in 0..100_000 {
        net.now = Time::from_micros(1_000_000_000 + u64::from(number) * 10);
        let packet = if number % 2 == 0 {
            unknown.clone()
        } else {
            vec![0x55; 1200]
        };
        bytes += net
            .ask(stranger(number), &packet)
            .iter()
            .map(Vec::len)
            .sum::<usize>();
    }
    // At first and in this second 1000 of each kind, of 60 bytes at most.
    assert!((60_000..4 * 1000 * 60).contains(&bytes), "{bytes}");
}
