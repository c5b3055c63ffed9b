//! The programs that the kernel runs for each packet, at TC (traffic control) hooks. No RFC.
//!
//! Each does little itself: what is decided, and why, stands in `relay-ebpf-common`, which runs on the host as
//! well. Here are the hooks ([`ingress`], [`egress`], [`clients`]), the maps and the packets.
//!
//! Whatever they say, nobody else's packet is dropped or changed.

#![no_std]
#![no_main]

mod clients;
mod egress;
mod fill;
mod ingress;
mod maps;
mod packet;

use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use relay_ebpf_common::schema::Stamp;

/// Server ingress: copies what publishers send.
#[classifier]
fn qrelay_ingress(ctx: TcContext) -> i32 {
    ingress::arrive(&ctx)
}

/// For both: a pad is made for a packet that has none.
#[classifier]
fn qrelay_fill(ctx: TcContext) -> i32 {
    fill::fill(&ctx)
}

/// Server ingress goes on: a packet is opened.
#[classifier]
fn qrelay_open(ctx: TcContext) -> i32 {
    ingress::open(&ctx)
}

/// Server ingress goes on: a packet is copied.
#[classifier]
fn qrelay_fan_out(ctx: TcContext) -> i32 {
    ingress::fan_out(&ctx)
}

/// Client egress: makes a copy a packet of the subscriber's.
#[classifier]
fn qrelay_egress(ctx: TcContext) -> i32 {
    egress::leave(&ctx)
}

/// Client egress goes on: a copy is sealed.
#[classifier]
fn qrelay_seal(ctx: TcContext) -> i32 {
    egress::seal(&ctx)
}

/// Client ingress: notes where clients seem to be.
#[classifier]
fn qrelay_clients(ctx: TcContext) -> i32 {
    clients::run(&packet::Packet::new(&ctx))
}

/// A loop that the verifier refuses: code that could panic is not loaded at all.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// For which layout of the maps they were built: the loader looks for this.
#[unsafe(link_section = "qrelay_schema")]
#[unsafe(no_mangle)]
static SCHEMA: Stamp = Stamp::OURS;

/// Which licence the kernel is told: some of its functions want one that is compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
