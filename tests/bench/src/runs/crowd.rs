//! What a packet costs beside connections that receive nothing. By MOQT only: a client of the raw protocol receives, or
//! is another source. No RFC.

use super::{CONNECTING, Session, Stage, steady};
use crate::plan::Job;
use crate::process::{Failure, Process};
use crate::results::{CostRun, CrowdRun};

/// One path, without others and then beside so many.
pub(super) fn run(
    stage: &Stage,
    job: Job,
    idle: usize,
    found: &mut Vec<CrowdRun>,
) -> Result<(), Failure> {
    let mut session = Session::open(stage, job)?;
    let alone = steady::scale(&mut session)?;
    let mut command = stage.programs.idle(job.path, idle);
    let mut crowd = Process::start("crowd", &mut command, &stage.folder)?;
    crowd.event("ready", CONNECTING)?;
    let beside = steady::scale(&mut session)?;
    let of = |idle: usize, cost: CostRun| CrowdRun {
        idle: idle as u64,
        cost,
    };
    found.extend([of(0, alone), of(idle, beside)]);
    Ok(())
}
