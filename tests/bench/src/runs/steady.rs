//! Delay, and what a forwarded packet costs, at a message each millisecond or fewer. No RFC.
//!
//! Delays come first, since booking the interrupts delays messages.

use super::Session;
use crate::interruption::pause;
use crate::plan::{Mode, Plan, SCALE};
use crate::process::Failure;
use crate::results::{CostRun, DelayRun, Results};

/// One round on one path.
pub(super) fn run(
    session: &mut Session<'_>,
    plan: &Plan,
    results: &mut Results,
) -> Result<(), Failure> {
    for &mode in plan.modes(session.job.path) {
        let found = delay(session, mode, plan.stretch)?;
        results.delay.push(found);
    }
    for &mode in plan.modes(session.job.path) {
        let found = cost(session, mode, plan.stretch, RATE)?;
        results.cost.push(found);
    }
    Ok(())
}

/// What it costs where many subscribers get what goes through on any path.
pub(super) fn scale(session: &mut Session<'_>) -> Result<CostRun, Failure> {
    let rate = (PACKETS / session.job.subscribers as f64).min(RATE);
    cost(session, Mode::Datagram, SCALE, rate)
}

/// How late messages are.
fn delay(session: &mut Session<'_>, mode: Mode, seconds: f64) -> Result<DelayRun, Failure> {
    let mut source = session.source(mode, &RATE.to_string())?;
    let stretch = session.stretch(&mut source, seconds)?;
    Ok(DelayRun {
        path: session.path(),
        subscribers: session.job.subscribers as u64,
        mode: mode.name().into(),
        round: session.job.round,
        lost: stretch.lost(session.job.subscribers),
        first: stretch.received.first,
        last: stretch.received.last,
        application: stretch.received.application,
    })
}

/// What a packet costs at so many messages a second.
fn cost(
    session: &mut Session<'_>,
    mode: Mode,
    seconds: f64,
    rate: f64,
) -> Result<CostRun, Failure> {
    let mut source = session.source(mode, &rate.to_string())?;
    let _booked = session.stage.network.book_interrupts();
    // To get used to that.
    session.stretch(&mut source, super::WARMING_UP)?;
    pause(super::SETTLING)?;
    let (stretch, used) = session.measure(&mut source, seconds, "")?;
    Ok(CostRun {
        path: session.path(),
        subscribers: session.job.subscribers as u64,
        mode: mode.name().into(),
        round: session.job.round,
        forwarded: stretch.received.packets,
        process_us: used.process,
        interrupt_us: used.interrupts_without_bpf(),
        bpf_us: used.bpf,
        per_packet_us: used.relay(),
        system_calls: used.system_calls,
        share_from_kernel: used.share_from_kernel(),
        skipped: stretch.skipped,
        lost: stretch.lost(session.job.subscribers),
        receivers_us: used.receivers,
        source_us: used.source,
    })
}

/// Messages a second.
const RATE: f64 = 1000.0;
/// Packets a second, over all subscribers, where there are many.
const PACKETS: f64 = 10_000.0;
