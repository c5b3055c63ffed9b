//! Key updates (RFC 9001 §6) on live connections.

use core::time::Duration;

use super::{Direction, Pair, Setup};
use crate::config::Config;
use crate::connection::Event;
use crate::wire::stream_id::Dir;

fn phases(events: &[Event]) -> Vec<bool> {
    events
        .iter()
        .filter_map(|event| {
            if let Event::KeysUpdated { phase } = event {
                Some(*phase)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn an_update_by_one_side_changes_both_directions() {
    let mut pair = Pair::connected(Setup::default());
    pair.client.ping();
    pair.run_for(Duration::from_millis(100));
    assert!(pair.client.force_key_update());
    assert!(
        !pair.client.force_key_update(),
        "the first one is not answered yet"
    );
    pair.client.ping();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(
        (phases(&pair.client_events), phases(&pair.server_events)),
        (vec![true], vec![true])
    );
    let (client, server) = (
        pair.client.keys().unwrap().phase,
        pair.server().keys().unwrap().phase,
    );
    assert!(client && server);
    // Old keys are gone after three PTOs.
    pair.server().ping();
    pair.run_for(Duration::from_secs(2));
    assert!(pair.server().force_key_update());
    pair.server().ping();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(phases(&pair.client_events), [true, false]);
}

#[test]
fn updates_happen_at_the_configured_interval_during_a_transfer_with_loss() {
    let client = Config {
        key_update_interval: 50,
        ..Config::default()
    };
    let mut pair = Pair::connected(Setup {
        client,
        ..Setup::default()
    });
    pair.filter = super::pair::random_loss(4, 3);
    let id = pair.client.open(Dir::Uni).unwrap();
    let mut written = 0;
    pair.run_until(Duration::from_secs(60), |pair| {
        written += pair.client.write(id, &[9; 10_000]).unwrap();
        for _ in pair.take_stream_events(Direction::ToServer) {
            let mut buffer = [0; 65536];
            while let Ok(crate::stream::Read::Bytes(_)) = pair.server().read(id, &mut buffer) {}
        }
        written > 3_000_000
    });
    assert!(
        phases(&pair.client_events).len() > 5,
        "{}",
        phases(&pair.client_events).len()
    );
    assert_eq!(pair.client_error().or(pair.server_error()), None);
}

#[test]
fn flipped_key_phase_bits_change_nothing() {
    let mut pair = Pair::connected(Setup::default());
    pair.filter = Box::new(|flying| {
        flying.bytes[0] ^= 0x04;
        true
    });
    pair.client.ping();
    pair.run_for(Duration::from_millis(30));
    pair.filter = Box::new(|_| true);
    pair.run_for(Duration::from_millis(500));
    assert_eq!(phases(&pair.server_events), []);
    assert!(pair.server().stats().packets_undecryptable > 0);
    assert!(pair.server().is_established());
}
