//! The least that a fan-out at these hooks costs: a clone for each copy, twenty bytes written into it at egress,
//! the way into the device. `make bench-kernel` measures the other programs against this. No RFC.

#![no_std]
#![no_main]

#[expect(dead_code, reason = "part of what a packet can do is enough here")]
#[path = "../packet.rs"]
mod packet;

use core::ffi::c_void;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::bpf_skb_store_bytes;
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::TcContext;
use packet::{Packet, repeat};
use relay_ebpf_common::layout::{MARK, MARK_SLOT};
use relay_ebpf_common::tables::Rounds;

/// Low half: the interface. High half: how many copies.
#[map(name = "qrelay_floor")]
static FLOOR: Array<u64> = Array::with_max_entries(1, 0);

/// Ingress: the copies.
#[classifier]
fn qrelay_floor_in(ctx: TcContext) -> i32 {
    let Some(&floor) = FLOOR.get(0) else {
        return TC_ACT_UNSPEC;
    };
    let mut copies = Copies {
        packet: Packet::new(&ctx),
        ifindex: floor as u32,
    };
    repeat(floor >> 32, &mut copies);
    TC_ACT_UNSPEC
}

/// Egress: the twenty bytes.
#[classifier]
fn qrelay_floor_out(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    if packet.mark() & !MARK_SLOT != MARK {
        return TC_ACT_UNSPEC;
    }
    // In words: bytes would be set by a function.
    let words = [0x0a0a_0a0a_0a0a_0a0a_u64; 3];
    // SAFETY: there are as many bytes in `words`.
    let result = unsafe {
        let from = words.as_ptr().cast::<c_void>();
        bpf_skb_store_bytes(ctx.skb.skb, ADDRESSES, from, 20, 0)
    };
    packet.forget();
    if result == 0 { TC_ACT_UNSPEC } else { TC_ACT_SHOT as i32 }
}

/// The other end of the device: nothing is to be paid for there.
#[classifier]
fn qrelay_floor_end(_: TcContext) -> i32 {
    TC_ACT_SHOT as i32
}

/// One round for each copy.
struct Copies {
    packet: Packet,
    ifindex: u32,
}

impl Rounds for Copies {
    #[inline(always)]
    fn round(&mut self, index: u64) -> bool {
        self.packet.clone_to(self.ifindex, MARK | index as u32 & MARK_SLOT)
    }
}

/// As in the programs that are measured.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// As there.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Where IPv4's addresses and UDP's ports and checksum begin.
const ADDRESSES: u32 = 14 + 12;
