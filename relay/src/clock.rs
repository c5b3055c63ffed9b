//! The wall clock (no RFC), for the one-way delay: what a publisher writes into an object and a subscriber on
//! the same machine compares with. Everything else runs on [`quic_lite::Time`].

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "only the wall clock is common to two processes"
)]
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
