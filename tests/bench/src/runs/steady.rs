//! Delay, and what a forwarded packet costs, at a message each millisecond. No RFC.
//!
//! Delays come first, since booking the interrupts delays messages.

use super::Session;
use crate::interruption::pause;
use crate::plan::Mode;
use crate::process::Failure;
use crate::results::{CostRun, DelayRun};

/// One round on one path: how late messages are.
pub(super) fn delay(
    session: &mut Session<'_>,
    mode: Mode,
    seconds: f64,
    round: u64,
) -> Result<DelayRun, Failure> {
    let mut source = session.source(mode, RATE)?;
    let stretch = session.stretch(&mut source, seconds)?;
    Ok(DelayRun {
        path: session.path.name().into(),
        subscribers: session.subscribers as u64,
        mode: mode.name().into(),
        round,
        lost: stretch.lost(session.subscribers),
        first: stretch.received.first,
        last: stretch.received.last,
        application: stretch.received.application,
    })
}

/// The same: what they cost.
pub(super) fn cost(
    session: &mut Session<'_>,
    mode: Mode,
    seconds: f64,
    round: u64,
) -> Result<CostRun, Failure> {
    let mut source = session.source(mode, RATE)?;
    let _booked = session.stage.network.book_interrupts();
    // To get used to that.
    session.stretch(&mut source, super::WARMING_UP)?;
    let books = session.books(&source);
    let told = session.told();
    pause(super::SETTLING)?;
    let before = books.read(told);
    let stretch = session.stretch(&mut source, seconds)?;
    // Asking the relay costs it something, which is not to count.
    let mut after = books.read(told);
    let told = session.told();
    (after.bpf, after.system_calls) = (told.bpf, told.system_calls);
    let used = after.per_packet(before, stretch.received.packets);
    Ok(CostRun {
        path: session.path.name().into(),
        subscribers: session.subscribers as u64,
        mode: mode.name().into(),
        round,
        forwarded: stretch.received.packets,
        process_us: used.process,
        interrupt_us: used.interrupts_without_bpf(),
        bpf_us: used.bpf,
        per_packet_us: used.relay(),
        system_calls: used.system_calls,
        receivers_us: used.receivers,
        source_us: used.source,
    })
}

/// Messages a second.
const RATE: &str = "1000";
