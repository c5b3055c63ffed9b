//! The cryptography of the kernel programs as programs of their own: the tests send vectors through them. No RFC.

#![no_std]
#![no_main]

use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::TcContext;
use relay_ebpf_common::trial::Trial;

#[map(name = "qrelay_trial")]
static TRIAL: Array<Shared> = Array::with_max_entries(1, 0);

/// What the map holds.
#[repr(transparent)]
struct Shared(Trial);

// SAFETY: the test has one program run at a time.
unsafe impl Sync for Shared {}

/// [`Trial::seal`].
#[classifier]
fn qrelay_try_seal(_: TcContext) -> i32 {
    with(Trial::seal)
}

/// [`Trial::open`].
#[classifier]
fn qrelay_try_open(_: TcContext) -> i32 {
    with(Trial::open)
}

/// [`Trial::protect`].
#[classifier]
fn qrelay_try_mask(_: TcContext) -> i32 {
    with(Trial::protect)
}

/// Nothing: what a run costs by itself.
#[classifier]
fn qrelay_try_none(_: TcContext) -> i32 {
    with(|_| ())
}

#[inline(always)]
fn with(step: impl Fn(&mut Trial)) -> i32 {
    let Some(trial) = TRIAL.get_ptr_mut(0) else {
        return -1;
    };
    // SAFETY: as above, and any words are a value.
    step(unsafe { &mut (*trial).0 });
    0
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
