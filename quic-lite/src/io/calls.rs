//! How many system calls the event loop makes: what a forwarded packet costs beside computing. No RFC.
//!
//! Counted where they are made, as no system has a counter for them that needs no rights: waiting,
//! receiving, sending, and setting the alarm. What the application calls by itself is not among them, nor
//! is reading the clock, which enters the kernel only where the machine has no usable counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that can be read while the loop runs, from any thread.
#[derive(Clone, Debug, Default)]
pub struct SystemCalls(Arc<AtomicU64>);

impl SystemCalls {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more. There is one writer, the loop.
    pub(super) fn add(&self) {
        let count = self.0.load(Ordering::Relaxed);
        self.0.store(count.wrapping_add(1), Ordering::Relaxed);
    }
}
