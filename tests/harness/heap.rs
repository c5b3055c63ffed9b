//! The memory that a part of a simulation holds, counted by the allocator. No RFC.
//!
//! Three counters stand one in the other: one for the whole process, which also counts calls, one for each
//! thread, and one of the most that a thread held during a call. Every simulation runs in one thread, so that tests beside it do not disturb it. Promise:
//! whoever links this library is counted; there is nothing to switch on.

use std::alloc::System;

use alloc_metrics::{MetricAlloc, thread_metrics};
use mockalloc::{Mockalloc, record_allocs};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: MetricAlloc<Mockalloc<&StatsAlloc<System>>> =
    MetricAlloc::new(Mockalloc(&INSTRUMENTED_SYSTEM));

/// Bytes that this thread has allocated and not freed; negative when it freed what others gave it.
pub fn live() -> isize {
    thread_metrics().allocated_bytes
}

/// The most bytes that this thread held at once during a call, beyond what it held before. Not one in another.
pub fn peak(call: impl FnOnce()) -> usize {
    usize::try_from(record_allocs(call).peak_mem()).unwrap_or(usize::MAX)
}

/// Calls of the allocator that gave memory, in the whole process.
pub fn calls() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.allocations + stats.reallocations
}

/// What one part of a simulation holds: all that was allocated while its own calls ran.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap {
    held: isize,
    peak: isize,
}

impl Heap {
    /// Nothing is held.
    pub const fn new() -> Self {
        Self { held: 0, peak: 0 }
    }

    /// Counts what `call` allocates and frees as this part's.
    pub fn count<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let before = live();
        let result = call();
        self.held += live() - before;
        self.peak = self.peak.max(self.held);
        result
    }

    /// Bytes held now.
    pub const fn held(&self) -> isize {
        self.held
    }

    /// The most that was held after any call.
    pub const fn peak(&self) -> isize {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_seen_though_it_was_freed() {
        let seen = peak(|| {
            let first = vec![0_u8; 1000];
            drop(std::hint::black_box(first));
            let mut grown = vec![0_u8; 2000];
            grown.reserve_exact(1000);
            drop(std::hint::black_box(grown));
        });
        assert_eq!(seen, 3000);
        assert_eq!(peak(|| {}), 0);
    }

    #[test]
    fn only_what_its_own_calls_allocate_counts() {
        let mut heap = Heap::default();
        let others = vec![0_u8; 5000];
        let ours = heap.count(|| vec![0_u8; 1000]);
        assert_eq!(heap.held(), 1000);
        drop(others);
        heap.count(|| drop(ours));
        assert_eq!((heap.held(), heap.peak()), (0, 1000));
    }
}
