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

use crate::fill;
use crate::maps::{Fill, Maps, Work, work};
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
    if let Err(reason) = admit(slot, work) {
        return end(slot, Err(reason));
    }
    let result = address(slot, work);
    if let Ok(fill) = result {
        fill::first(ctx, fill);
    }
    give_up(slot, work, result.err())
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
    if let Err(reason) = write(&packet, slot, work) {
        return give_up(slot, work, Some(reason));
    }
    record(work, fate::SENT);
    egress::sent(slot, &work.ticket);
    packet.forget();
    work.turn.is_sent = 1;
    end(slot, Ok(()))
}

/// A number was taken in vain.
#[inline(always)]
pub fn give_up(slot: &Slot, work: &Work, why: Option<Reason>) -> i32 {
    record(work, fate::BURNT);
    if let Some(reason) = why {
        Maps.count(reason);
    }
    end(slot, Err(Reason::Burnt))
}

#[inline(always)]
fn admit(slot: &Slot, work: &mut Work) -> Result<(), Reason> {
    let generation = slot.enter().ok_or(Reason::MemberGone)?;
    work.ticket = egress::admit(&Maps, slot, generation, &work.plan, &mut work.turn)?;
    Ok(())
}

#[inline(always)]
fn address(slot: &Slot, work: &mut Work) -> Result<Fill, Reason> {
    let Work {
        scratch,
        plan,
        turn,
        ticket,
        header,
        ..
    } = work;
    *header = egress::address(slot, (plan, turn), ticket, &mut scratch.plain)?;
    Ok(Fill {
        slot: turn.slot,
        number: ticket.number,
        len: plan.len,
        is_filled: 0,
        next: step::SEAL,
        spare: 0,
    })
}

#[inline(always)]
fn write(packet: &Packet, slot: &Slot, work: &mut Work) -> Result<(), Reason> {
    let Work {
        scratch,
        plan,
        turn,
        ticket,
        header,
        fill,
        envelope,
        ..
    } = work;
    let (index, size) = ((turn.slot, slot), (&*ticket, plan.len));
    let sealed = egress::seal(&Maps, index, header, size, scratch, fill.is_filled != 0)?;
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
