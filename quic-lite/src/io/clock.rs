//! The only clock of the crate, and an alarm finer than epoll's millisecond. No RFC.
//!
//! Promise: [`Clock::now`] never goes backwards. The alarm wakes the loop within a few microseconds
//! of a near deadline, so that paced packets (RFC 9002 §7.7) leave one by one and not in bursts.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::Time;

/// Turns the system's monotonic clock into [`Time`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin lies one second back, so that no event stands at [`Time::ZERO`].
    pub fn start() -> Self {
        Self { origin: read() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        Time::from_micros(HEAD_START) + read().saturating_duration_since(self.origin)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the clock is read"
)]
fn read() -> Instant {
    Instant::now()
}

/// Wakes the loop at a deadline.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: TimerFd,
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let fd = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// How long `poll` may sleep until `deadline`; arms the timer when epoll would oversleep.
    pub(super) fn timeout(
        &self,
        now: Time,
        deadline: Option<Time>,
    ) -> io::Result<Option<Duration>> {
        let Some(deadline) = deadline else {
            return Ok(None);
        };
        let left = deadline.since(now);
        if !left.is_zero() && left < COARSE {
            let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
            // Setting it anew also clears an expiration that nobody read.
            self.timer.set(expiration, TimerSetTimeFlags::empty())?;
        }
        Ok(Some(left))
    }
}

/// Beyond this, epoll's rounding to a millisecond does not matter.
const COARSE: Duration = Duration::from_millis(20);
/// Leaves room for "a little earlier than now" in callers.
const HEAD_START: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_after_the_origin_and_never_goes_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(first >= Time::from_micros(HEAD_START));
        assert!(clock.now() >= first);
    }

    #[test]
    fn a_deadline_below_a_millisecond_is_met_below_a_millisecond() {
        let mut poll = mio::Poll::new().unwrap();
        let alarm = Alarm::new(poll.registry(), Token(7)).unwrap();
        let mut events = mio::Events::with_capacity(4);
        let clock = Clock::start();
        let best = (0..50)
            .map(|_| {
                let start = clock.now();
                let deadline = start + Duration::from_micros(200);
                let timeout = alarm.timeout(start, Some(deadline)).unwrap();
                poll.poll(&mut events, timeout).unwrap();
                clock.now().since(start)
            })
            .min()
            .unwrap();
        assert!(best >= Duration::from_micros(150), "{best:?}");
        assert!(best < Duration::from_micros(900), "{best:?}");
    }
}
