//! How much goes through: more and more is offered, until much of it is lost. No RFC.
//!
//! A rate at which something was lost is tried again: other work of the machine may have been in the way.

use super::{Session, Stretch};
use crate::plan::Mode;
use crate::process::{Failure, Process};
use crate::results::SaturationRun;
use crate::usage::Usage;

/// One round on one path: an entry for each rate, the last one far beyond what goes through. `step`: how long a rate is
/// offered, and how much higher the next one is.
pub(super) fn run(
    session: &mut Session<'_>,
    step: (f64, f64),
    round: u64,
    found: &mut Vec<SaturationRun>,
) -> Result<(), Failure> {
    let _booked = session.stage.network.book_interrupts();
    let (seconds, factor) = step;
    let mut rate = LEAST;
    while rate < MOST {
        let mut offered = offer(session, rate, seconds, round)?;
        if offered.share_lost > LOSS {
            found.push(offered);
            offered = offer(session, rate, seconds, round)?;
        }
        let wanted = rate * session.subscribers as f64;
        let is_over = offered.share_lost > OVERLOAD || offered.offered_per_second < 0.9 * wanted;
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
    rate: f64,
    seconds: f64,
    round: u64,
) -> Result<SaturationRun, Failure> {
    let mut source = session.source(Mode::Datagram, &format!("{rate:.0}"))?;
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
const LEAST: f64 = 300.0;
const MOST: f64 = 20_000.0;
/// Share of messages that may be lost.
const LOSS: f64 = 0.001;
/// Share that is lost when far more is offered than goes through.
const OVERLOAD: f64 = 0.2;
/// Bytes of a message.
const MESSAGE: f64 = 1200.0;
