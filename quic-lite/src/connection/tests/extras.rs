//! What connections agree on beyond the minimum: half-RTT data, tokens, ECN, fewer acknowledgements,
//! equal-sized batches, connection IDs, figures at the end.

use core::time::Duration;

use super::{Direction, Pair, Setup};
use crate::config::Config;
use crate::connection::{Ecn, Event};
use crate::recovery::ecn::EcnState;
use crate::stream::Chunk;
use crate::wire::stream_id::Dir;

#[test]
fn a_server_may_send_before_it_has_heard_the_clients_finished() {
    let mut pair = Pair::new(Setup::default());
    pair.run_until(Duration::from_secs(1), |pair| {
        pair.server.as_mut().is_some_and(|server| {
            let id = server.open(Dir::Uni);
            id.is_some_and(|id| server.write(id, b"half-RTT").is_ok())
        })
    });
    let start = pair.now;
    pair.run_until(Duration::from_secs(1), |pair| {
        !pair.take_stream_events(Direction::ToClient).is_empty()
    });
    assert_eq!(pair.now.since(start), Duration::from_millis(10));
}

#[test]
fn a_token_reaches_the_client_even_when_lost() {
    let mut pair = Pair::connected(Setup::default());
    pair.server().send_new_token(vec![7; 60]);
    pair.exchange();
    pair.flying.clear();
    pair.run_for(Duration::from_secs(1));
    let tokens = pair
        .client_events
        .iter()
        .filter(|event| **event == Event::NewToken(vec![7; 60]));
    assert!(tokens.count() >= 1);
    assert!(pair.server().control.new_token.is_none());
}

#[test]
fn ecn_is_validated_and_a_path_that_bleaches_it_is_noticed() {
    let mut pair = Pair::connected(Setup::default());
    for _ in 0..20 {
        pair.client.ping();
        pair.run_for(Duration::from_millis(50));
    }
    assert_eq!(pair.client.recovery().ecn_state(), EcnState::Capable);

    let mut pair = Pair::new(Setup::default());
    pair.filter = Box::new(|flying| {
        flying.ecn = None;
        true
    });
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.client.recovery().ecn_state(), EcnState::Failed);
}

#[test]
fn a_congestion_mark_halves_the_window() {
    let mut pair = Pair::connected(Setup::default());
    for _ in 0..20 {
        pair.client.ping();
        pair.run_for(Duration::from_millis(50));
    }
    let before = pair.client.cwnd();
    pair.filter = Box::new(|flying| {
        flying.ecn = flying.ecn.map(|_| Ecn::Ce);
        true
    });
    pair.client.ping();
    pair.run_for(Duration::from_millis(100));
    assert!(pair.client.cwnd() < before);
    assert_eq!(pair.client.stats().congestion_events, 1);
}

#[test]
fn a_peer_that_offers_it_acknowledges_less_often_when_asked() {
    let count = |packets: Option<u64>| {
        let client = Config {
            min_ack_delay: Some(Duration::from_millis(1)),
            ..Config::default()
        };
        let mut pair = Pair::connected(Setup {
            client,
            ..Setup::default()
        });
        if let Some(packets) = packets {
            assert!(
                pair.server()
                    .request_ack_frequency(packets, Duration::from_millis(25))
            );
            pair.run_for(Duration::from_millis(100));
        }
        let before = pair.client.stats().packets_sent;
        let id = pair.server().open(Dir::Uni).unwrap();
        pair.server()
            .write_chunk(id, Chunk::from(vec![0; 60_000]))
            .unwrap();
        pair.run_for(Duration::from_millis(300));
        pair.client.stats().packets_sent - before
    };
    let (usual, fewer) = (count(None), count(Some(20)));
    assert!(fewer * 2 < usual, "{fewer} instead of {usual}");
    let mut pair = Pair::connected(Setup::default());
    assert!(
        !pair
            .client
            .request_ack_frequency(10, Duration::from_millis(25))
    );
}

#[test]
fn batches_have_equal_datagrams_but_for_the_last() {
    let mut pair = Pair::connected(Setup::default());
    let id = pair.client.open(Dir::Uni).unwrap();
    let mut buffer = vec![0; 65536];
    for size in [100, 3000, 10_000, 40_000] {
        pair.client
            .write_chunk(id, Chunk::from(vec![0; size]))
            .unwrap();
        pair.client.send_datagram(&[0; 700]).unwrap();
        while let Some(transmit) = pair.client.transmit(pair.now, &mut buffer, 8) {
            let segment = transmit.segment_size.unwrap_or(transmit.len);
            assert!(transmit.len <= 8 * segment && segment <= 1452);
            assert!(
                transmit
                    .segment_size
                    .is_none_or(|segment| transmit.len > segment)
            );
            for datagram in buffer[..transmit.len].chunks_mut(segment) {
                let tuple = pair.server().path();
                let now = pair.now;
                pair.server().receive(now, tuple, transmit.ecn, datagram);
            }
        }
        pair.run_for(Duration::from_millis(100));
    }
    assert_eq!(pair.server().stats().packets_undecryptable, 0);
    assert_eq!(pair.server().stats().datagram_frames_received, 4);
}

#[test]
fn datagrams_are_not_starved_by_streams_nor_by_limits_updates() {
    let mut pair = Pair::connected(Setup::default());
    let id = pair.client.open(Dir::Uni).unwrap();
    pair.client
        .write_chunk(id, Chunk::from(vec![0; 1 << 20]))
        .unwrap();
    pair.run_for(Duration::from_millis(100));
    let sent = pair.now;
    pair.client.send_datagram(b"urgent").unwrap();
    pair.run_until(Duration::from_secs(1), |pair| {
        pair.server().receive_datagram().is_some()
    });
    assert!(
        pair.now.since(sent) < Duration::from_millis(40),
        "{:?}",
        pair.now.since(sent)
    );
}

#[test]
fn the_figures_at_the_end_add_up() {
    let mut pair = Pair::connected(Setup::default());
    pair.filter = super::pair::random_loss(3, 10);
    let id = pair.client.open(Dir::Uni).unwrap();
    pair.client
        .write_chunk(id, Chunk::from(vec![0; 60_000]))
        .unwrap();
    pair.run_for(Duration::from_secs(3));
    pair.filter = Box::new(|_| true);
    pair.run_for(Duration::from_secs(3));
    let (client, server) = (*pair.client.stats(), *pair.server().stats());
    assert!(client.datagrams_sent > server.datagrams_received);
    let dropped = client.datagrams_sent - server.datagrams_received;
    assert!(
        client.packets_lost >= 1
            && dropped >= 1
            && client.packets_lost <= dropped + client.probe_timeouts
    );
    assert!(
        client.packets_acked <= client.packets_sent
            && server.packets_received <= client.packets_sent
    );
    assert_eq!(pair.client.bytes_in_flight(), 0);
    assert_eq!(
        client.bytes_sent,
        pair.sent
            .iter()
            .filter(|(to, _)| *to == Direction::ToServer)
            .map(|(_, len)| *len as u64)
            .sum()
    );
}

#[test]
fn a_connection_is_small() {
    let size = size_of::<crate::connection::Connection>();
    assert!(size < 4096, "{size}");
}
