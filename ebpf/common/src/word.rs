//! One shared 64-bit word: what all shared state is made of, in the kernel and in userspace. No RFC.
//!
//! Every access is atomic, so the same memory may be looked at from both sides without a lock and
//! without undefined behaviour. `add`, `swap` and `compare_exchange` are full barriers on both sides;
//! `load` acquires and `store` releases, which x86-64 and the BPF memory model give to plain accesses.

use core::sync::atomic::AtomicU64;

#[cfg(test)]
use crate::model::access;
#[cfg(target_arch = "bpf")]
use bpf as access;
#[cfg(not(any(target_arch = "bpf", test)))]
use host as access;

/// A shared word.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Word(AtomicU64);

impl Word {
    /// A word with this value.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Its value now.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        access::load(&self.0)
    }

    /// Sets it.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        access::store(&self.0, value);
    }

    /// Adds, wrapping around; returns the value before.
    #[inline(always)]
    pub fn add(&self, value: u64) -> u64 {
        access::add(&self.0, value)
    }

    /// Subtracts, wrapping around; returns the value before.
    #[inline(always)]
    pub fn sub(&self, value: u64) -> u64 {
        self.add(value.wrapping_neg())
    }

    /// Sets it and returns the value before, as one step.
    #[inline(always)]
    pub fn swap(&self, value: u64) -> u64 {
        access::swap(&self.0, value)
    }

    /// Sets it to `new` if it is `old`; whether it was.
    #[inline(always)]
    pub fn compare_exchange(&self, old: u64, new: u64) -> bool {
        access::compare_exchange(&self.0, old, new)
    }
}

/// The same value, of which the compiler knows nothing more.
///
/// The kernel's verifier knows a bound of the very register that was compared. The compiler likes to compare
/// one and to use another that follows from it; not so with this.
#[inline(always)]
pub fn opaque(value: u64) -> u64 {
    #[cfg(not(target_arch = "bpf"))]
    return value;
    #[cfg(target_arch = "bpf")]
    bpf::opaque(value)
}

/// Userspace.
#[cfg(not(target_arch = "bpf"))]
pub(crate) mod host {
    use core::sync::atomic::{AtomicU64, Ordering};

    #[inline(always)]
    pub(crate) fn load(word: &AtomicU64) -> u64 {
        word.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(crate) fn store(word: &AtomicU64, value: u64) {
        word.store(value, Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn add(word: &AtomicU64, value: u64) -> u64 {
        word.fetch_add(value, Ordering::SeqCst)
    }

    #[inline(always)]
    pub(crate) fn swap(word: &AtomicU64, value: u64) -> u64 {
        word.swap(value, Ordering::SeqCst)
    }

    #[inline(always)]
    pub(crate) fn compare_exchange(word: &AtomicU64, old: u64, new: u64) -> bool {
        word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

/// `core` offers no read-modify-write for this target, and the compiler no atomic load, though the
/// instructions exist (cpu v3): an aligned word is loaded and stored in one.
#[cfg(target_arch = "bpf")]
#[expect(unsafe_code, reason = "the instructions behind this file")]
mod bpf {
    use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};
    use core::sync::atomic::AtomicU64;

    const ORDER: AtomicOrdering = AtomicOrdering::SeqCst;

    #[inline(always)]
    pub(super) fn low_half(word: u64) -> u64 {
        let half: u32;
        // SAFETY: one instruction, which clears the upper half and touches nothing else.
        unsafe {
            core::arch::asm!("{} = {}", out(wreg) half, in(wreg) word as u32, options(pure, nomem, nostack, preserves_flags));
        }
        half as u64
    }

    #[inline(always)]
    pub(super) fn opaque(value: u64) -> u64 {
        let same: u64;
        // SAFETY: one instruction, which touches nothing else. (With none, debug information is refused.)
        unsafe {
            core::arch::asm!("{} = {}", out(reg) same, in(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        same
    }

    #[inline(always)]
    pub(super) fn load(word: &AtomicU64) -> u64 {
        // SAFETY: a reference to an atomic is valid and aligned.
        unsafe { word.as_ptr().read_volatile() }
    }

    #[inline(always)]
    pub(super) fn store(word: &AtomicU64, value: u64) {
        // SAFETY: as above.
        unsafe { word.as_ptr().write_volatile(value) }
    }

    #[inline(always)]
    pub(super) fn add(word: &AtomicU64, value: u64) -> u64 {
        // SAFETY: as above.
        unsafe { atomic_xadd::<u64, u64, ORDER>(word.as_ptr(), value) }
    }

    #[inline(always)]
    pub(super) fn swap(word: &AtomicU64, value: u64) -> u64 {
        // SAFETY: as above.
        unsafe { atomic_xchg::<u64, ORDER>(word.as_ptr(), value) }
    }

    #[inline(always)]
    pub(super) fn compare_exchange(word: &AtomicU64, old: u64, new: u64) -> bool {
        // SAFETY: as above.
        let (_, done) = unsafe { atomic_cxchg::<u64, ORDER, ORDER>(word.as_ptr(), old, new) };
        done
    }
}

/// The low half of a word, in one instruction.
#[inline(always)]
pub fn low_half(word: u64) -> u64 {
    #[cfg(not(target_arch = "bpf"))]
    return word & 0xffff_ffff;
    #[cfg(target_arch = "bpf")]
    bpf::low_half(word)
}
