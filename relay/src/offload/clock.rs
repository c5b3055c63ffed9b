//! The kernel's clock, CLOCK_MONOTONIC in nanoseconds, and the relay's [`Time`]. No RFC.

use quic_lite::Time;
use quic_lite::io::Clock;

/// Turns one into the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelClock {
    /// What the kernel's clock said at [`Time::ZERO`], modulo 2^64: that may lie before its start.
    zero: u64,
}

impl KernelClock {
    /// For an event loop with this clock.
    pub const fn of(clock: &Clock) -> Self {
        // Any time far enough from the clock's start does.
        let sample = Time::from_micros(SAMPLE);
        Self {
            zero: clock
                .monotonic_nanos(sample)
                .wrapping_sub(SAMPLE.wrapping_mul(1000)),
        }
    }

    /// What the kernel's clock says at `time`.
    pub const fn nanos(self, time: Time) -> u64 {
        self.zero
            .wrapping_add(time.as_micros().saturating_mul(1000))
    }

    /// The time when the kernel's clock says `nanos`.
    pub const fn time(self, nanos: u64) -> Time {
        Time::from_micros(nanos.wrapping_sub(self.zero) / 1000)
    }
}

/// An hour.
const SAMPLE: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        let clock = Clock::start();
        let kernel = KernelClock::of(&clock);
        for micros in [1_000_000, 1_000_001, 5_000_000_000] {
            let time = Time::from_micros(micros);
            assert_eq!(kernel.nanos(time), clock.monotonic_nanos(time));
            assert_eq!(kernel.time(kernel.nanos(time)), time);
        }
        let simulated = KernelClock::default();
        assert_eq!(simulated.nanos(Time::from_micros(7)), 7000);
        assert_eq!(simulated.time(7999), Time::from_micros(7));
    }
}
