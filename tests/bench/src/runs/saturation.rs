//! How much goes through: more and more is offered, until much of it is lost. No RFC.
//!
//! A rate at which something was lost is tried again: other work of the machine may have been in the way. Where the source
//! does not get the processor for what it should send, there is no more to be offered.

use std::time::Duration;

use super::Session;
use crate::interruption::pause;
use crate::plan::Mode;
use crate::process::{Failure, Process};
use crate::results::SaturationRun;

/// One round on one path: an entry for each rate, the last one far beyond what goes through. `step`: how long a rate is
/// offered, and how much higher the next one is.
pub(super) fn run(
    session: &mut Session<'_>,
    (seconds, factor): (f64, f64),
    found: &mut Vec<SaturationRun>,
) -> Result<(), Failure> {
    let mut source = session.source(Mode::Datagram, "300")?;
    let _booked = session.stage.network.book_interrupts();
    let subscribers = session.job.subscribers as f64;
    let mut rate = (LEAST / subscribers).clamp(3.0, 1000.0);
    while rate < MOST {
        let is_short = |run: &SaturationRun| run.offered_per_second < 0.9 * rate * subscribers;
        let mut offered = offer(session, &mut source, rate, seconds)?;
        if offered.share_lost > LOSS || is_short(&offered) {
            found.push(offered);
            // What waits from before is not this rate's.
            pause(RECOVERING)?;
            offered = offer(session, &mut source, rate, seconds)?;
        }
        let is_over = offered.share_lost > OVERLOAD || is_short(&offered);
        found.push(offered);
        if is_over {
            break;
        }
        rate *= factor;
    }
    Ok(())
}

fn offer(
    session: &mut Session<'_>,
    source: &mut Process,
    rate: f64,
    seconds: f64,
) -> Result<SaturationRun, Failure> {
    let (stretch, used) = session.measure(source, seconds, &rate.to_string())?;
    let subscribers = session.job.subscribers;
    let offered = stretch.sent * subscribers as u64;
    let packets = stretch.received.packets as f64 / stretch.seconds;
    Ok(SaturationRun {
        path: session.path(),
        subscribers: subscribers as u64,
        round: session.job.round,
        offered_per_second: offered as f64 / stretch.seconds,
        packets_per_second: packets,
        gbit_per_second: packets * MESSAGE * 8.0 / 1e9,
        per_packet_us: used.relay(),
        share_from_kernel: used.share_from_kernel(),
        share_lost: stretch.lost(subscribers) as f64 / offered.max(1) as f64,
        receivers_us: used.receivers,
        source_us: used.source,
    })
}

/// Messages a second, the most that a path has taken so far without a loss worth mentioning.
pub(super) fn best(found: &[SaturationRun], path: &str, subscribers: usize) -> Option<f64> {
    let count = subscribers as u64;
    let of = found
        .iter()
        .filter(|run| run.path == path && run.subscribers == count);
    let rates = of
        .filter(|run| run.share_lost <= LOSS)
        .map(|run| run.offered_per_second / count.max(1) as f64);
    rates.max_by(f64::total_cmp)
}

/// For a relay to send what has gathered.
const RECOVERING: Duration = Duration::from_millis(700);
/// Packets a second over all subscribers, to begin with; and messages a second, never more.
const LEAST: f64 = 30_000.0;
const MOST: f64 = 50_000.0;
/// Share of messages that may be lost.
const LOSS: f64 = 0.001;
/// Share that is lost when far more is offered than goes through.
const OVERLOAD: f64 = 0.2;
/// Bytes of a message.
const MESSAGE: f64 = 1200.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_rate_is_one_without_loss_of_this_path() {
        let run = |path: &str, offered_per_second, share_lost| SaturationRun {
            path: path.into(),
            subscribers: 100,
            offered_per_second,
            share_lost,
            ..SaturationRun::default()
        };
        let found = [
            run("kernel", 1e5, 0.0),
            run("kernel", 2e5, 0.001),
            run("kernel", 4e5, 0.1),
            run("quinn", 3e5, 0.0),
        ];
        assert_eq!(best(&found, "kernel", 100), Some(2000.0));
        assert_eq!(best(&found, "kernel", 1), None);
    }
}
