//! `keyupdate`: new keys in the middle of 3 MB, and both sides use them. RFC 9001 §6.
//!
//! The observer knows the secrets and fails when a key phase changes without new keys, or keys without a key phase.

use std::time::Duration;

use quic_lite::Side;
use quic_lite::connection::Event;

use super::run::{Files, Run, Verdict, ensure, equal};

/// As the runner has it, the client begins.
pub fn by_client(pair: &mut Files, limit: Duration) {
    pair.run_for(Duration::from_millis(500));
    let connection = pair.client.connection_mut().expect("half a second old");
    assert!(connection.force_key_update());
    pair.run(limit);
}

/// Ours beside the runner's: phase 0 first, and one update at each side.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    run.has_no_retry()?;
    for side in [Side::Client, Side::Server] {
        let (zero, one) = run.pair.tap.key_phases(side);
        ensure(zero > 0 && one > 0, || {
            format!("{side:?}: {zero} packets in phase 0, {one} in phase 1")
        })?;
    }
    for events in [&run.pair.client.events, &run.pair.server.events] {
        let updates = events
            .iter()
            .filter(|(_, event)| matches!(event, Event::KeysUpdated { .. }));
        equal("updates", updates.count(), 1)?;
    }
    Ok(())
}
