//! How much goes through: more and more is offered, at last all that the source can. No RFC.

use super::{Session, Stretch};
use crate::plan::Mode;
use crate::process::{Failure, Process};
use crate::results::SaturationRun;
use crate::usage::Usage;

/// One round on one path: an entry for each rate, the last one at full speed. `step`: how long a rate is offered, and how
/// much higher the next one is.
pub(super) fn run(
    session: &mut Session<'_>,
    step: (f64, f64),
    round: u64,
    found: &mut Vec<SaturationRun>,
) -> Result<(), Failure> {
    let _booked = session.stage.network.book_interrupts()?;
    let (seconds, factor) = step;
    let mut rate = LEAST;
    while rate < MOST {
        let offer = offer(session, &format!("{rate:.0}"), seconds, round)?;
        let is_source_at_end = offer.offered_per_second < 0.95 * rate * session.subscribers as f64;
        let is_over = offer.share_lost > LOSS || is_source_at_end;
        found.push(offer);
        if is_over {
            break;
        }
        rate *= factor;
    }
    found.push(offer(session, "max", seconds, round)?);
    Ok(())
}

fn offer(
    session: &mut Session<'_>,
    rate: &str,
    seconds: f64,
    round: u64,
) -> Result<SaturationRun, Failure> {
    let mut source = session.source(Mode::Datagram, rate)?;
    let (stretch, used) = measure(session, &mut source, seconds)?;
    let offered = stretch.sent * session.subscribers as u64;
    let packets = stretch.received.packets as f64 / stretch.seconds;
    Ok(SaturationRun {
        path: session.path.name().into(),
        subscribers: session.subscribers as u64,
        round,
        offered_per_second: offered as f64 / stretch.seconds,
        packets_per_second: packets,
        gbit_per_second: packets * MESSAGE * 8.0 / 1e9,
        per_packet_us: used.relay(),
        share_lost: stretch.lost(session.subscribers) as f64 / offered.max(1) as f64,
        receivers_us: used.receivers,
        source_us: used.source,
    })
}

fn measure(
    session: &mut Session<'_>,
    source: &mut Process,
    seconds: f64,
) -> Result<(Stretch, Usage), Failure> {
    let books = session.books(source);
    let told = session.told();
    let before = books.read(told);
    let stretch = session.stretch(source, seconds)?;
    let mut after = books.read(told);
    after.bpf = session.told().bpf;
    let used = after.per_packet(before, stretch.received.packets);
    Ok((stretch, used))
}

/// Messages a second, to begin with, and never more.
const LEAST: f64 = 200.0;
const MOST: f64 = 20_000.0;
/// Share of messages that may be lost.
const LOSS: f64 = 0.001;
/// Bytes of a message.
const MESSAGE: f64 = 1200.0;
