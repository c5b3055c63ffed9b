//! `handshake`: one file of 1 KB after one handshake without Retry. RFC 9000 §7.

use std::time::Duration;

use integration::Kind;

use super::run::{Run, Verdict, ensure, equal};

/// Ours beside the runner's: no packet that the keys do not fit, and three round trips in all, one for TLS, one
/// for the file, the rest for sending at 10 Mbit/s.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    run.has_no_retry()?;
    equal("ClientHellos", run.pair.tap.client_hellos(), 1)?;
    equal("unknown packets", run.pair.tap.kind(Kind::Unopened), 0)?;
    let took = run.took();
    ensure(took < Duration::from_millis(80), || format!("{took:?}"))
}
