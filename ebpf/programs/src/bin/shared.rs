//! What programs and userspace share, used by both at once as hard as can be; and what a packet does not have, asked
//! for: for the tests alone. No RFC.

#![no_std]
#![no_main]

#[expect(dead_code, reason = "part of what a packet can do is enough here")]
#[path = "../packet.rs"]
mod packet;

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::TcContext;
use packet::Packet;
use relay_ebpf_common::layout::Slot;
use relay_ebpf_common::scratch::Text;
use relay_ebpf_common::word::Word;

#[map(name = "qrelay_slots")]
static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// How often each number was taken.
#[map(name = "qrelay_taken")]
static TAKEN: Array<Word> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Where bytes of packets go.
#[map(name = "qrelay_text")]
static TEXT: PerCpuArray<Text> = PerCpuArray::with_max_entries(1, 0);

/// Loads a hundred bytes from where the mark says: 0, or the reason why that cannot be.
#[classifier]
fn qrelay_try_reach(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    let Some(text) = TEXT.get_ptr_mut(0) else {
        return -1;
    };
    // SAFETY: it is this CPU's own, and any words are a text.
    let text = unsafe { &mut *text };
    match packet.load_text(u64::from(packet.mark()), text, 100) {
        Ok(()) => 0,
        Err(reason) => reason as i32,
    }
}

/// Takes a packet number and notes it; 0, or 1 if there is no place to note it.
#[classifier]
fn qrelay_try_number(_: TcContext) -> i32 {
    let Some(slot) = SLOTS.get(0) else {
        return 1;
    };
    let number = slot.next_number.add(1);
    match TAKEN.get(number as u32) {
        Some(taken) => {
            taken.add(1);
            0
        }
        None => 1,
    }
}

/// Reads what may only be read while the slot is active: 0 if it is not or all of it is of one state, 1 if it was torn.
#[classifier]
fn qrelay_try_torn(_: TcContext) -> i32 {
    let Some(slot) = SLOTS.get(0) else {
        return 0;
    };
    let entered = slot.enter();
    let is_torn = entered.is_some_and(|generation| is_torn(slot, generation));
    if entered.is_some() {
        slot.packets.add(1);
    }
    if is_torn {
        slot.refused.add(1);
    }
    slot.leave();
    i32::from(is_torn)
}

/// A test writes its generation everywhere.
#[inline(always)]
fn is_torn(slot: &Slot, generation: u64) -> bool {
    let differing = (slot.phase.load() ^ generation)
        | differing(&slot.key, generation)
        | differing(&slot.iv, generation)
        | differing(&slot.hp, generation)
        | differing(&slot.cid, generation)
        | differing(&slot.macs, generation)
        | differing(&slot.remote_ip, generation);
    differing != 0
}

#[inline(always)]
fn differing<const N: usize>(words: &[Word; N], generation: u64) -> u64 {
    let mut differing = 0;
    for word in words {
        differing |= word.load() ^ generation;
    }
    differing
}

/// A loop that the verifier refuses.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Which licence the kernel is told.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
