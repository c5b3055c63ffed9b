//! A client behind a NAT that changes its mind, beyond the runner's cases (`interop.rs`). RFC 9000 §8.2, §9.

use std::sync::mpsc;
use std::time::Duration;

use integration::network::{CLIENT, address};
use integration::{FileClient, FileServer, LinkConfig, Pair, Scenario, for_each_seed};
use quic_lite::Side;
use quic_lite::connection::Event;

const SECOND: Duration = Duration::from_secs(1);
const MB: u64 = 1 << 20;

type Files = Pair<FileClient, FileServer>;

/// A client that only receives must speak up now and then, or nobody learns where it is.
fn start(mut scenario: Scenario, size: u64) -> Files {
    scenario.client.keep_alive = Some(SECOND);
    scenario.start(FileClient::staying([size]), FileServer::default())
}

fn count(pair: &Files, wanted: impl Fn(&Event) -> bool) -> usize {
    pair.server
        .events
        .iter()
        .filter(|(_, event)| wanted(event))
        .count()
}

#[test]
fn a_transfer_survives_new_addresses_on_a_bad_link() {
    for_each_seed(10, |seed| {
        let link = LinkConfig {
            loss: 2,
            corruption: 1,
            duplication: 2,
            reordering: 5,
            ..LinkConfig::default()
        };
        let mut pair = start(Scenario::over(seed, &link), 2 * MB);
        pair.run_until(10 * SECOND, |pair| {
            count(pair, |event| *event == Event::HandshakeConfirmed) > 0
        });
        let mut moves = 0;
        while !pair.client.app.has_all() {
            pair.run_for(SECOND);
            moves += 1;
            assert!(moves < 40, "the transfer does not end");
            pair.network
                .rebind(address(2 + moves % 3, CLIENT.port() + u16::from(moves)));
        }
    });
}

/// RFC 9000 §9.3.3: back to an address that was validated a moment ago.
#[test]
fn a_client_that_moves_back_and_forth_is_followed() {
    for_each_seed(5, |seed| {
        let mut pair = start(Scenario::new(seed), 3 * MB);
        let (here, there) = (CLIENT, address(3, 5));
        for at in 0..20 {
            pair.run_for(Duration::from_millis(130));
            pair.network.rebind(if at % 2 == 0 { there } else { here });
        }
        pair.run(20 * SECOND);
        assert_eq!(pair.tap.handshakes(), 1);
    });
}

/// RFC 9000 §9.5: an idle client's first packet from a new address is enough.
#[test]
fn an_idle_connection_moves_with_its_first_packet() {
    let mut pair = start(Scenario::new(1), 1000);
    pair.run(SECOND);
    pair.run_for(5 * SECOND);
    pair.network.rebind(address(7, 7));
    pair.client.app.want(200_000);
    pair.run(SECOND);
    pair.run_for(SECOND);
    assert_eq!(pair.tap.new_paths(), Ok(1));
    let (changed, validated) = (
        count(&pair, |event| matches!(event, Event::PathChanged { .. })),
        count(&pair, |event| matches!(event, Event::PathValidated(_))),
    );
    assert_eq!((changed, validated), (1, 1));
    assert_eq!(
        pair.server.connection().unwrap().path().remote,
        address(7, 7)
    );
}

/// RFC 9000 §9: nobody moves before the handshake is confirmed; a NAT may do it all the same.
#[test]
fn a_new_port_in_the_handshake_ends_in_order() {
    for millis in [5, 20, 35, 50, 65] {
        let mut pair = start(Scenario::new(1), 1000);
        pair.run_for(Duration::from_millis(millis));
        pair.network.rebind(address(2, 5));
        pair.run_for(50 * SECOND);
        let there = pair.client.app.has_all();
        assert!(there || pair.client.closed().is_some(), "after {millis} ms");
    }
}

/// RFC 9000 §9.3.2, §9.3.3: who races a copy of the client's packet to the server from elsewhere gets a
/// challenge or two, and the connection returns to the client.
#[test]
fn an_attacker_on_the_side_cannot_take_the_connection_away() {
    for_each_seed(5, |seed| {
        let mut pair = start(Scenario::new(seed), 3 * MB);
        pair.run_for(SECOND);
        let (copies, copied) = mpsc::channel();
        pair.network.filter = Some(Box::new(move |from, bytes| {
            if from == Side::Client {
                let _ = copies.send(bytes.to_vec());
            }
            true
        }));
        let attacker = address(66, 666);
        for _ in 0..5 {
            pair.run_for(Duration::from_millis(100));
            // The newest of them overtakes the original.
            if let Some(copy) = copied.try_iter().last() {
                pair.network.inject(pair.now, Side::Server, attacker, copy);
            }
        }
        pair.run(15 * SECOND);
        assert_eq!(pair.server.connection().unwrap().path().remote, CLIENT);
    });
}

/// RFC 9000 §9.3: only the newest packet says where the peer is; one that was held up on the way from the
/// old address says nothing.
#[test]
fn a_late_packet_from_the_old_address_moves_nobody() {
    let mut pair = start(Scenario::new(1), 1000);
    pair.run(SECOND);
    pair.run_for(SECOND);
    let (held, late) = mpsc::channel();
    pair.network.filter = Some(Box::new(move |from, bytes| {
        from == Side::Server || held.send(bytes.to_vec()).is_err()
    }));
    pair.client.connection_mut().unwrap().ping();
    pair.turn();
    let late = late.recv().expect("the client sent a PING");
    pair.network.filter = None;

    let new = address(7, 7);
    pair.network.rebind(new);
    pair.client.app.want(1000);
    pair.run_for(SECOND);
    assert_eq!(pair.server.connection().unwrap().path().remote, new);
    pair.network.inject(pair.now, Side::Server, CLIENT, late);
    pair.run_for(SECOND);
    let moves = count(&pair, |event| matches!(event, Event::PathChanged { .. }));
    assert_eq!(moves, 1);
}
