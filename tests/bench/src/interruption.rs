//! Ctrl-C, and being told to end: what was begun is ended in order. No RFC.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::process::Failure;

static HAS_COME: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on, these signals end nothing by themselves.
pub fn watch() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&HAS_COME))?;
    }
    Ok(())
}

/// Fails once a signal has come.
pub fn check() -> Result<(), Failure> {
    match HAS_COME.load(Ordering::Relaxed) {
        true => Err(Interrupted.into()),
        false => Ok(()),
    }
}

/// Sleeps, if no signal comes.
pub fn pause(duration: Duration) -> Result<(), Failure> {
    let end = Instant::now() + duration;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(SLICE));
    }
}

/// A signal has come.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// How late a signal may be seen.
pub const SLICE: Duration = Duration::from_millis(50);
