//! `longrtt`: a round trip of 1500 ms. The first probe timeout passes before the answer can be there, so the client
//! says hello twice, and that makes no second connection. RFC 9002 §6.2.

use std::time::Duration;

use super::run::{Run, Verdict, ensure};

/// Ours beside the runner's: two round trips and little more.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    run.has_no_retry()?;
    let hellos = run.pair.tap.client_hellos();
    ensure(hellos >= 2, || format!("{hellos} ClientHellos"))?;
    let took = run.took();
    ensure(took < Duration::from_millis(3_500), || format!("{took:?}"))
}
