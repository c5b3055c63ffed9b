//! Client egress: makes a copy that ingress sends a packet of its subscriber's (RFC 9001 §5).
//!
//! In two programs. The subscriber's slot is entered in the first and left where it ends; between taking a
//! packet number and leaving stands its record.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::programs::TcContext;
use relay_ebpf_common::egress;
use relay_ebpf_common::layout::{MARK, MARK_SLOT, Slot, fate, step};
use relay_ebpf_common::tables::Tables;
use relay_ebpf_common::verdict::Reason;

use crate::maps::{Maps, Work, go_on, work};
use crate::packet::Packet;

/// The hook: is it a copy, and may it be sent? Nothing else is ever changed or dropped.
#[inline(always)]
pub fn leave(ctx: &TcContext) -> i32 {
    let mark = Packet::new(ctx).mark();
    if mark & !MARK_SLOT != MARK {
        return TC_ACT_UNSPEC;
    }
    let Some(work) = work() else {
        return TC_ACT_UNSPEC;
    };
    let expected = MARK | work.turn.slot as u32 & MARK_SLOT;
    if work.turn.is_open == 0 || mark != expected {
        Maps.count(Reason::ForeignMark);
        return TC_ACT_UNSPEC;
    }
    work.turn.is_open = 0;
    let Some(slot) = Maps::slot_of(work.turn.slot) else {
        return TC_ACT_SHOT as i32;
    };
    let mut result = admit(slot, work);
    if result.is_ok() {
        go_on(ctx, step::SEAL);
        record(work, fate::BURNT);
        result = Err(Reason::Burnt);
    }
    end(slot, result)
}

/// Seals it.
#[inline(always)]
pub fn seal(ctx: &TcContext) -> i32 {
    let Some(work) = work() else {
        return TC_ACT_SHOT as i32;
    };
    let Some(slot) = Maps::slot_of(work.turn.slot) else {
        return TC_ACT_SHOT as i32;
    };
    let packet = Packet::new(ctx);
    let result = write(&packet, slot, work);
    if result.is_err() {
        Maps.count(Reason::Burnt);
        record(work, fate::BURNT);
        return end(slot, result);
    }
    record(work, fate::SENT);
    egress::sent(slot, &work.ticket);
    packet.forget();
    work.turn.is_sent = 1;
    end(slot, result)
}

#[inline(always)]
fn admit(slot: &Slot, work: &mut Work) -> Result<(), Reason> {
    let generation = slot.enter().ok_or(Reason::MemberGone)?;
    work.ticket = egress::admit(&Maps, slot, generation, &work.plan, &mut work.turn)?;
    Ok(())
}

#[inline(always)]
fn write(packet: &Packet, slot: &Slot, work: &mut Work) -> Result<(), Reason> {
    let Work {
        scratch,
        plan,
        turn,
        ticket,
        envelope,
        ..
    } = work;
    let sealed = egress::seal(&Maps, slot, (plan, turn), ticket, scratch)?;
    envelope.fill(slot, ticket, sealed.sum, turn.is_partial != 0);
    let is_ipv4 = slot.family.load() == 4;
    packet.write(
        is_ipv4,
        envelope,
        &scratch.frame,
        sealed.header_len,
        ticket.size.len,
    )
}

#[inline(always)]
fn record(work: &Work, fate: u64) {
    egress::record(&Maps, (&work.plan, &work.turn), &work.ticket, fate);
}

/// Leaves the slot; what is to be done with the copy.
#[inline(always)]
fn end(slot: &Slot, result: Result<(), Reason>) -> i32 {
    match result {
        Ok(()) => Maps.count(Reason::Sent),
        Err(reason) => {
            slot.refuse(reason);
            Maps.count(reason);
        }
    }
    slot.leave();
    if result.is_ok() {
        TC_ACT_UNSPEC
    } else {
        TC_ACT_SHOT as i32
    }
}
