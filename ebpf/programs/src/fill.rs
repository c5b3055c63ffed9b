//! Makes the pad of a packet for which userspace has left none (RFC 8439 §2.4, §2.6), before it is opened or
//! sealed.

use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::programs::TcContext;
use relay_ebpf_common::layout::{flag, step};
use relay_ebpf_common::pad;

use crate::maps::{Fill, Maps, go_on, work};
use crate::{egress, ingress};

/// Goes on where `fill` says, by this program or, if there is a pad or none is needed, at once. If this returns,
/// there is no such program.
#[inline(always)]
pub fn first(ctx: &TcContext, fill: Fill) {
    let (Some(work), Some(slot)) = (work(), Maps::slot_of(fill.slot)) else {
        return;
    };
    work.fill = fill;
    let is_clear = slot.flags.load() & flag::CLEAR != 0;
    if is_clear || pad::ready(&Maps, fill.slot, fill.number).is_some() {
        go_on(ctx, fill.next);
        return;
    }
    go_on(ctx, step::FILL);
}

/// Makes it and goes on.
#[inline(always)]
pub fn fill(ctx: &TcContext) -> i32 {
    let Some(work) = work() else {
        return TC_ACT_SHOT as i32;
    };
    let Some(slot) = Maps::slot_of(work.fill.slot) else {
        return TC_ACT_SHOT as i32;
    };
    let Fill {
        number, len, next, ..
    } = work.fill;
    slot.without_pad.add(1);
    pad::fill(&work.scratch.pad, &slot.key, &slot.iv, number, len);
    work.fill.is_filled = 1;
    go_on(ctx, next);
    if next == step::SEAL {
        egress::give_up(slot, work, None)
    } else {
        ingress::give_up(slot)
    }
}
