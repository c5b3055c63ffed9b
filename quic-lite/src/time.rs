//! A point in time, as microseconds since an origin that the caller chooses. No RFC.
//!
//! The library never reads a clock: every call that needs the time is given it. All arithmetic
//! saturates, so a clock that jumps backwards gives a zero duration, not a panic.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Microseconds since an origin common to all calls on one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// Later than any deadline.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The time `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The last multiple of `step` since the origin that is not later; itself when `step` is less than a microsecond.
    #[must_use]
    pub fn round_down(self, step: Duration) -> Self {
        Self(self.0 - self.0 % micros(step).max(1))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        write!(f, "{seconds}.{rest:06}")
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_back_gives_zero_duration() {
        assert_eq!(
            Time::from_micros(5).since(Time::from_micros(9)),
            Duration::ZERO
        );
    }

    #[test]
    fn times_within_a_step_round_down_to_its_beginning() {
        let step = Duration::from_micros(10);
        let rounded = [19, 20, 29].map(|micros| Time::from_micros(micros).round_down(step));
        assert_eq!(rounded, [10, 20, 20].map(Time::from_micros));
        let time = Time::from_micros(7);
        assert_eq!(time.round_down(Duration::ZERO), time);
    }

    #[test]
    fn addition_saturates_at_the_far_future() {
        assert_eq!(Time::FAR_FUTURE + Duration::from_secs(1), Time::FAR_FUTURE);
    }
}
