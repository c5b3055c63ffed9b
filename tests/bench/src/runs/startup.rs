//! How soon a late joiner gets its first message: while messages flow, one subscriber after the other connects, waits for its
//! first message, and leaves. No RFC.

use std::time::Duration;

use super::Session;
use crate::network::RELAY_FOR_SUBSCRIBERS;
use crate::paths::SOON;
use crate::process::{Failure, Process};
use crate::results::Startup;

/// So many joiners, one after the other.
pub(super) fn run(session: &mut Session<'_>, joiners: usize) -> Result<Startup, Failure> {
    // Messages that fit into the packets that every path carries: a joiner's path is not yet known to carry more.
    let words = ["--mode", "datagram", "--rate", "1000", "--size", "1000"];
    let mut source = session.source_that(&words)?;
    let mut command = session.stage.programs.joiner();
    command.arg(RELAY_FOR_SUBSCRIBERS);
    let mut joiner = Process::start("joiner", &mut command, session.folder())?;
    joiner.event("ready", SOON)?;
    source.order(&format!("go {}", LONGEST.as_secs()))?;
    let mut found = Startup {
        path: session.path(),
        round: session.job.round,
        ms: Vec::new(),
    };
    for _ in 0..joiners {
        joiner.order("join")?;
        let joined = joiner.event("joined", SOON)?;
        let nanos = joined["ns"].as_f64().ok_or("the joiner has a clock")?;
        found.ms.push(nanos / 1e6);
    }
    Ok(found)
}

/// No run is longer; the source is ended before.
const LONGEST: Duration = Duration::from_secs(600);
