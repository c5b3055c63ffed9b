//! What subscribers cost that receive nothing: memory. No RFC.

use std::time::Duration;

use super::Stage;
use crate::interruption::pause;
use crate::paths::Path;
use crate::process::Failure;
use crate::results::GrowthPoint;
use crate::usage::resident;

/// One path, with none and then with so many.
pub(super) fn run(
    stage: &Stage,
    path: Path,
    numbers: &[usize],
    found: &mut Vec<GrowthPoint>,
) -> Result<(), Failure> {
    let relay = stage.relay(path, 0)?.ok_or("this path has no relay")?;
    let mut sinks = Vec::new();
    let mut idle = 0;
    for &number in [0].iter().chain(numbers) {
        if number > idle {
            sinks.push(stage.sink(path, number - idle)?);
            idle = number;
        }
        pause(SETTLING)?;
        found.push(GrowthPoint {
            path: path.name().into(),
            idle: idle as u64,
            rss_kib: resident(relay.process.id()).ok_or("the relay is gone")?,
        });
    }
    Ok(())
}

/// After all have connected.
const SETTLING: Duration = Duration::from_millis(300);
