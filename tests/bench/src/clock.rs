//! The clocks that one-way delays are measured with: clock_gettime(2). No RFC.
//!
//! Source and sink run on one machine, so CLOCK_MONOTONIC is the same for both. The kernel's time of arrival is
//! CLOCK_REALTIME; the distance of the two is read when a program begins.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

/// What CLOCK_MONOTONIC says, in ns.
pub fn monotonic() -> u64 {
    nanos(read(ClockId::CLOCK_MONOTONIC))
}

/// From CLOCK_REALTIME to CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub struct Distance(i128);

impl Distance {
    /// As it is now: of some readings, the one that took the least time.
    pub fn read() -> Self {
        let reading = |_| {
            let before = monotonic();
            let real = nanos(read(ClockId::CLOCK_REALTIME));
            let after = monotonic();
            let middle = before.midpoint(after);
            (after - before, i128::from(middle) - i128::from(real))
        };
        let best = (0..16).map(reading).min();
        Self(best.map_or(0, |(_, distance)| distance))
    }

    /// A time of CLOCK_REALTIME as one of CLOCK_MONOTONIC, in ns.
    pub fn monotonic(self, real: TimeSpec) -> u64 {
        u64::try_from(i128::from(nanos(real)) + self.0).unwrap_or(0)
    }
}

fn read(id: ClockId) -> TimeSpec {
    clock_gettime(id).expect("every Linux has this clock")
}

fn nanos(time: TimeSpec) -> u64 {
    u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_now_on_both_clocks() {
        let distance = Distance::read();
        let before = monotonic();
        let now = distance.monotonic(read(ClockId::CLOCK_REALTIME));
        assert!(now.abs_diff(before) < 50_000_000, "{now} {before}");
    }
}
