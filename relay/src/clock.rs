//! The wall clock (no RFC): for the times in tokens, and for the one-way delay, which a publisher's objects
//! and a subscriber on the same machine compare with. Everything else runs on [`quic_lite::Time`].

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "only the wall clock is common to two processes, and to whoever signs tokens"
)]
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
