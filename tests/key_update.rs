//! Key updates while data flows, beyond the runner's case (`interop.rs`). RFC 9001 §6.

use std::time::Duration;

use integration::{FileClient, FileServer, LinkConfig, Scenario, for_each_seed};
use quic_lite::Side;
use quic_lite::connection::Event;

const SECOND: Duration = Duration::from_secs(1);

/// The client does in the runner's case `keyupdate`.
#[test]
fn the_server_may_begin_an_update_in_mid_transfer() {
    for_each_seed(4, |seed| {
        let mut pair = Scenario::new(seed).start(FileClient::new([3 << 20]), FileServer::default());
        pair.run_for(SECOND / 2);
        assert!(pair.server.connection_mut().unwrap().force_key_update());
        pair.run(10 * SECOND);
        for side in [Side::Client, Side::Server] {
            let (zero, one) = pair.tap.key_phases(side);
            assert!(
                zero > 0 && one > 0,
                "{side:?}: {zero} in phase 0, {one} in 1"
            );
        }
        for events in [&pair.client.events, &pair.server.events] {
            let updates = events
                .iter()
                .filter(|(_, event)| matches!(event, Event::KeysUpdated { .. }));
            assert_eq!(updates.count(), 1);
        }
    });
}

/// RFC 9001 §6.5: packets under old keys that come late are still opened; nothing is lost by updates.
#[test]
fn many_updates_on_a_bad_link_lose_nothing() {
    for_each_seed(10, |seed| {
        let link = LinkConfig {
            loss: 3,
            reordering: 30,
            duplication: 5,
            ..LinkConfig::default()
        };
        let scenario = Scenario::over(seed, &link).both(|config| config.key_update_interval = 100);
        let mut pair = scenario.start(FileClient::staying([2 << 20]), FileServer::default());
        pair.run(30 * SECOND);
        let updates = pair.server.connection().unwrap().keys().unwrap().updates;
        assert!(updates >= 5, "{updates} updates");
        let stats =
            [pair.client.connection(), pair.server.connection()].map(|side| *side.unwrap().stats());
        for stats in stats {
            assert_eq!(stats.packets_undecryptable, 0, "{stats:?}");
        }
    });
}

/// Both sides may begin at the same time (RFC 9001 §6.2): that is one update, not two.
#[test]
fn simultaneous_updates_are_one() {
    for_each_seed(5, |seed| {
        let mut pair = Scenario::new(seed).start(FileClient::new([1 << 20]), FileServer::default());
        pair.run_for(SECOND / 2);
        assert!(pair.client.connection_mut().unwrap().force_key_update());
        assert!(pair.server.connection_mut().unwrap().force_key_update());
        pair.run(10 * SECOND);
        for events in [&pair.client.events, &pair.server.events] {
            let updates = events
                .iter()
                .filter(|(_, event)| matches!(event, Event::KeysUpdated { .. }));
            assert_eq!(updates.count(), 1);
        }
    });
}

/// RFC 9001 §6.1: no second update before the first is acknowledged.
#[test]
fn a_second_update_waits_for_the_first() {
    let mut pair = Scenario::new(1).start(FileClient::staying([1 << 20]), FileServer::default());
    assert!(!pair.client.connection_mut().unwrap().force_key_update());
    pair.run_for(SECOND / 2);
    assert!(pair.client.connection_mut().unwrap().force_key_update());
    assert!(!pair.client.connection_mut().unwrap().force_key_update());
    pair.run_for(SECOND / 2);
    assert!(pair.client.connection_mut().unwrap().force_key_update());
    pair.run(10 * SECOND);
}
