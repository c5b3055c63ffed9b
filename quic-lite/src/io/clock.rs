//! The only clock of the crate, and an alarm finer than epoll's millisecond. No RFC.
//!
//! Promise: [`Clock::now`] never goes backwards. The alarm wakes the loop within a few microseconds
//! of a near deadline, so that paced packets (RFC 9002 §7.7) leave one by one and not in bursts.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};

use super::calls::SystemCalls;
use crate::Time;

/// Turns the system's monotonic clock, CLOCK_MONOTONIC, into [`Time`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What the system's clock said in nanoseconds at [`HEAD_START`].
    origin: u64,
}

impl Clock {
    /// A clock whose origin lies one second back, so that no event stands at [`Time::ZERO`].
    pub fn start() -> Self {
        Self { origin: read() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.time_of(read())
    }

    /// The time when CLOCK_MONOTONIC stood at `nanos`: for what others, such as the kernel, have timed.
    pub const fn time_of(&self, nanos: u64) -> Time {
        let since = nanos.saturating_sub(self.origin) / 1000;
        Time::from_micros(HEAD_START.saturating_add(since))
    }

    /// What CLOCK_MONOTONIC says in nanoseconds at `time`, which is not before the clock's start.
    pub const fn monotonic_nanos(&self, time: Time) -> u64 {
        let since = time.as_micros().saturating_sub(HEAD_START);
        self.origin.saturating_add(since.saturating_mul(1000))
    }
}

fn read() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX)
}

/// Wakes the loop at a deadline.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: TimerFd,
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(timerfd::ClockId::CLOCK_MONOTONIC, flags)?;
        let fd = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// How long `poll` may sleep until `deadline`; arms the timer when epoll would oversleep.
    pub(super) fn timeout(
        &self,
        now: Time,
        deadline: Option<Time>,
        calls: &SystemCalls,
    ) -> io::Result<Option<Duration>> {
        let Some(deadline) = deadline else {
            return Ok(None);
        };
        let left = deadline.since(now);
        if !left.is_zero() && left < COARSE {
            let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
            // Setting it anew also clears an expiration that nobody read.
            calls.add();
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
    fn the_systems_own_times_are_understood() {
        let clock = Clock::start();
        let (before, nanos, after) = (clock.now(), read(), clock.now());
        assert!((before..=after).contains(&clock.time_of(nanos)));
        assert_eq!(clock.time_of(clock.monotonic_nanos(after)), after);
        assert_eq!(clock.time_of(0), Time::from_micros(HEAD_START));
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
                let timeout = alarm
                    .timeout(start, Some(deadline), &SystemCalls::default())
                    .unwrap();
                poll.poll(&mut events, timeout).unwrap();
                clock.now().since(start)
            })
            .min()
            .unwrap();
        assert!(best >= Duration::from_micros(150), "{best:?}");
        assert!(best < Duration::from_micros(900), "{best:?}");
    }
}
