//! Peers that move (RFC 9000 §9).

use core::time::Duration;

use super::{Pair, Setup};
use crate::connection::Event;
use crate::stream::Read;
use crate::wire::stream_id::Dir;

fn path_events(events: &[Event]) -> (usize, usize) {
    let changed = events
        .iter()
        .filter(|event| matches!(event, Event::PathChanged { .. }))
        .count();
    let validated = events
        .iter()
        .filter(|event| matches!(event, Event::PathValidated(_)))
        .count();
    (changed, validated)
}

#[test]
fn a_new_port_is_followed_and_validated() {
    let mut pair = Pair::connected(Setup::default());
    let cwnd = pair.server().cwnd();
    pair.client_address.set_port(2000);
    pair.client.ping();
    pair.run_for(Duration::from_millis(200));
    assert_eq!(pair.server().path().remote.port(), 2000);
    assert!(pair.server().is_path_validated());
    assert_eq!(path_events(&pair.server_events), (1, 1));
    assert!(pair.server().cwnd() >= cwnd, "RFC 9000 §9.4: the same path");
}

#[test]
fn a_new_address_starts_congestion_control_anew() {
    let mut pair = Pair::connected(Setup::default());
    pair.client_address = ([10, 9, 9, 9], 77).into();
    pair.client.ping();
    pair.run_for(Duration::from_millis(200));
    assert_eq!(pair.server().path().remote, pair.client_address);
    assert!(pair.server().is_path_validated());
    assert_eq!(pair.server().recovery().path_generation(), 1);
}

#[test]
fn a_transfer_goes_on_while_the_client_moves_again_and_again() {
    let mut pair = Pair::connected(Setup::default());
    let id = pair.server().open(Dir::Uni).unwrap();
    let (mut written, mut read, mut buffer) = (0, 0, [0; 65536]);
    for round in 0..10 {
        pair.client_address = ([10, 0, 0, 10 + round], 1000 + u16::from(round)).into();
        pair.client.ping();
        for _ in 0..50 {
            if written < 100_000 * (usize::from(round) + 1) {
                written += pair.server().write(id, &[1; 5000]).unwrap();
            }
            pair.run_for(Duration::from_millis(10));
            while let Ok(Read::Bytes(n)) = pair.client.read(id, &mut buffer) {
                read += n;
            }
        }
    }
    pair.run_for(Duration::from_secs(2));
    while let Ok(Read::Bytes(n)) = pair.client.read(id, &mut buffer) {
        read += n;
    }
    assert!(read >= 1_000_000 && read == written, "{read} of {written}");
    assert_eq!(path_events(&pair.server_events), (10, 10));
}

#[test]
fn an_address_that_does_not_answer_is_left_again() {
    let mut pair = Pair::connected(Setup::default());
    let home = pair.client_address;
    // An attacker sends the client's packet from elsewhere, and the client's own is lost.
    pair.client.ping();
    pair.exchange();
    let mut stolen = pair.flying.pop_back().unwrap();
    stolen.tuple.remote = ([66, 6, 6, 6], 666).into();
    pair.flying.push_back(stolen);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.server().path().remote.port(), 666);
    pair.run_for(Duration::from_secs(8));
    assert_eq!(pair.server().path().remote, home);
    pair.client.ping();
    pair.run_for(Duration::from_millis(200));
    assert!(pair.server().is_established() && pair.server().is_path_validated());
}

#[test]
fn a_challenge_on_the_old_path_brings_the_peer_back_at_once() {
    let mut pair = Pair::connected(Setup::default());
    let home = pair.client_address;
    pair.client.ping();
    pair.exchange();
    let mut copy = pair.flying.back().unwrap().clone();
    copy.tuple.remote = ([66, 6, 6, 6], 666).into();
    pair.flying.push_front(copy);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.server().path().remote.port(), 666);
    // The client answers what it is asked on the old path; anything it sends there brings the server back.
    pair.client.ping();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.server().path().remote, home);
    assert!(pair.server().is_path_validated());
}

#[test]
fn a_client_drops_datagrams_from_other_addresses() {
    let mut pair = Pair::connected(Setup::default());
    pair.server().ping();
    pair.exchange();
    let mut flying = pair.flying.pop_back().unwrap();
    flying.tuple.remote = ([66, 6, 6, 6], 666).into();
    let received = pair.client.stats().packets_received;
    pair.deliver(flying);
    assert_eq!(pair.client.stats().packets_received, received);
}
