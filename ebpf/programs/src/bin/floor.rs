//! The least that a fan-out at these hooks costs: a clone for each copy, twenty bytes written into it at egress,
//! the way into the device. `make bench-kernel` measures the other programs against this, and it is a path of
//! `make bench`, from whose network the addresses are. No RFC.

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

/// Ingress: the copies, and no more of what came.
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
    TC_ACT_SHOT as i32
}

/// Egress: the twenty bytes.
#[classifier]
fn qrelay_floor_out(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    if packet.mark() & !MARK_SLOT != MARK {
        return TC_ACT_UNSPEC;
    }
    let copy = packet.mark() & MARK_SLOT;
    let words = [HOSTS, PORTS, u64::from(copy.to_be())];
    // SAFETY: there are as many bytes in `words`.
    let result = unsafe {
        let from = words.as_ptr().cast::<c_void>();
        bpf_skb_store_bytes(ctx.skb.skb, ADDRESSES, from, 20, 0)
    };
    packet.forget();
    if result == 0 {
        TC_ACT_UNSPEC
    } else {
        TC_ACT_SHOT as i32
    }
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
        self.packet
            .clone_to(self.ifindex, MARK | index as u32 & MARK_SLOT)
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

/// Where these begin: IPv4's addresses, UDP's header, and four bytes of the payload, which say whose copy it is as a
/// connection ID does.
const ADDRESSES: u32 = 14 + 12;
/// From 10.75.2.1 to 10.75.2.2. The sum of these is that of 10.75.1.2 and 10.75.3.1, where the packet comes from and
/// where it was sent to: the header's checksum stays right (RFC 1071).
const HOSTS: u64 = u64::from_le_bytes([10, 75, 2, 1, 10, 75, 2, 2]);
/// From port 4443 to 4444, 1200 bytes and the header's eight, no checksum (RFC 768).
const PORTS: u64 = u64::from_le_bytes([0x11, 0x5b, 0x11, 0x5c, 0x04, 0xb8, 0, 0]);
