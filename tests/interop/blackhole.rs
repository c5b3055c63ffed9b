//! `blackhole`: 10 MB over a link that works for five seconds and fails for two. RFC 9002 §6.2.1, §7.6.

use std::time::Duration;

use super::run::{Run, Verdict, ensure};

/// Ours beside the runner's: there was an outage, and the transfer went on soon after it.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    let (took, lost) = (run.took(), run.pair.network.to_client.counts().lost);
    let [first_outage, enough] = [7, 30].map(Duration::from_secs);
    ensure(took > first_outage && lost > 0, || {
        format!("never in the dark: {took:?}, {lost} lost")
    })?;
    ensure(took < enough, || format!("{took:?}"))
}
