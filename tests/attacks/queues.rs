//! Rows 19 and 23: what waits at a server, and how little of it there may be. RFC 9000 §8.1, §21.2; RFC 9221 §5.
//! What a flood costs in bytes is counted in tests/memory/flood.rs.

use std::sync::Arc;
use std::time::Duration;

use integration::forge::{Initial, PING, cid, one_rtt};
use quic_lite::config::Config;
use quic_lite::endpoint::EndpointConfig;
use quic_lite::wire::header::Header;

use crate::net::{Flying, Net, stranger};

/// An Initial of one of very many clients.
fn initial(
    number: u32,
    token: &[u8],
    to: Option<quic_lite::wire::connection_id::ConnectionId>,
) -> Vec<u8> {
    let made_up = cid(&u64::from(number).to_be_bytes());
    let initial = Initial {
        destination: to.unwrap_or(made_up),
        source: cid(b"us"),
        token,
    };
    initial.of_client(PING, 1200)
}

#[test]
fn row_19_handshakes_are_bounded_then_asked_for_a_token_and_end_in_ten_seconds() {
    let limits = EndpointConfig::default();
    let mut net = Net::connected(EndpointConfig::default());
    let begun = net.now;
    let mut retries = 0;
    for number in 0..3000 {
        let answers = net.ask(stranger(number), &initial(number, &[], None));
        retries += answers
            .iter()
            .filter(|it| matches!(Header::parse(it, 8), Ok((_, Header::Retry(_)))))
            .count();
    }
    assert_eq!(net.nodes[1].endpoint.half_open(), limits.retry_above);
    assert_eq!(retries, 3000 - limits.retry_above);
    // Who was there is served, and who comes honestly is, too.
    net.nodes[0].files.want(20_000);
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[0].files.files, 1);
    net.connect(Config::default());
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[1].endpoint.len(), limits.retry_above + 2);
    net.run(Duration::from_secs(10) - net.now.since(begun) + Duration::from_secs(4));
    assert_eq!(
        (
            net.nodes[1].endpoint.half_open(),
            net.nodes[1].endpoint.len()
        ),
        (0, 2)
    );
}

/// With real addresses an attacker gets past Retry; then it is one of many, and has its share.
#[test]
fn row_19_one_network_has_a_share_of_the_handshakes() {
    let config = EndpointConfig {
        retry: true,
        max_half_open: 50,
        max_half_open_per_network: 20,
        ..EndpointConfig::default()
    };
    let mut net = Net::new(config);
    let mut come = |from: std::net::SocketAddr, number| {
        let answer = net.ask(from, &initial(number, &[], None)).swap_remove(0);
        let Ok((_, Header::Retry(retry))) = Header::parse(&answer, 8) else {
            panic!("no Retry");
        };
        net.ask(
            from,
            &initial(number, retry.retry_token, Some(retry.source_cid)),
        );
        net.nodes[1].endpoint.half_open()
    };
    for port in 1..=40 {
        assert_eq!(
            come(([203, 0, 113, 1], 1000 + port).into(), port.into()),
            usize::from(port.min(20))
        );
    }
    for number in 100..160 {
        assert!(come(stranger(number), number) <= 50);
    }
    assert_eq!(come(stranger(200), 200), 50);
}

/// GHSA-2hv7-gw8g-gpq5: a datagram of no bytes costs something, too.
#[test]
fn row_23_datagrams_that_nobody_reads_are_bounded_by_count_and_by_cost() {
    for (max_count, max_bytes) in [
        (1024, 256 << 10),
        (usize::MAX, 256 << 10),
        (100, usize::MAX >> 1),
    ] {
        let transport = Arc::new(Config {
            max_queued_datagrams: max_count,
            datagram_receive_bytes: max_bytes,
            ..Config::default()
        });
        let mut net = Net::connected(EndpointConfig {
            transport,
            ..EndpointConfig::default()
        });
        net.nodes[1].is_idle = true;
        let (from, to) = (net.nodes[0].address, net.nodes[1].address);
        let empty = [0x31, 0].repeat(500);
        for ahead in 0..200 {
            let client = net.nodes[0].connection();
            let bytes = one_rtt(
                client,
                client.next_packet_number().value() + ahead,
                &empty,
                0,
            );
            net.deliver(Flying { from, to, bytes });
        }
        net.settle();
        let server = net.nodes[1].connection_mut();
        let stats = *server.stats();
        assert_eq!(
            (stats.datagram_frames_received, server.error()),
            (100_000, None)
        );
        let waiting = std::iter::from_fn(|| server.receive_datagram()).count();
        assert!(
            waiting <= max_count && waiting * 32 <= max_bytes,
            "{waiting}"
        );
        assert!(waiting >= 100 && stats.datagram_frames_dropped == 100_000 - waiting as u64);
    }
}
