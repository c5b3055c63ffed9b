//! SIGINT, SIGTERM and SIGHUP: the work is ended in order, not in the middle.
//!
//! No RFC. A thread waits for the signals, notes that one came and wakes whoever must know. What is
//! to be cleaned up is cleaned up by the loop that sees the note.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Failure, Kind, Result};

/// Whether the program was asked to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Catches the signals from now on; `wake` is called when one arrives.
    pub(crate) fn catch(wake: impl Fn() + Send + 'static) -> Result<Self> {
        let cannot = |error| Failure::new(Kind::Rights, format!("cannot catch signals: {error}"));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(cannot)?;
        let flag = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&flag);
        let wait = move || {
            for _ in &mut signals {
                seen.fetch_add(1, Ordering::Relaxed);
                wake();
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(wait)
            .map_err(cannot)?;
        Ok(Self(flag))
    }

    /// Whether a signal has arrived.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether a second one has: there is no patience left.
    pub(crate) fn is_urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }

    /// An error when a signal has arrived.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_set() {
            true => Err(Failure::new(Kind::Interrupted, "interrupted")),
            false => Ok(()),
        }
    }
}
