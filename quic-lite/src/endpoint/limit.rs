//! How often stateless replies may be sent. RFC 9000 §10.3.3, §21.5.
//!
//! A reply to a datagram of unknown origin is work and traffic that anyone can cause, and two
//! endpoints may even cause it to each other; a token bucket bounds it.

use std::time::Duration;

use crate::Time;

/// A token bucket: `rate` per second, and as many at once after a quiet second.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    rate: u32,
    left: u32,
    refilled: Time,
}

impl Limit {
    pub(super) fn per_second(rate: u32) -> Self {
        Self {
            rate,
            left: rate,
            refilled: Time::ZERO,
        }
    }

    /// Takes one, if there is one left.
    pub(super) fn take(&mut self, now: Time) -> bool {
        self.refill(now);
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }

    fn refill(&mut self, now: Time) {
        let elapsed = now.since(self.refilled).min(Duration::from_secs(1));
        let earned = elapsed.as_micros() * u128::from(self.rate) / 1_000_000;
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.rate);
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_bounded_and_refills_with_time() {
        let mut limit = Limit::per_second(10);
        let start = Time::from_micros(5_000_000);
        let burst = (0..100).filter(|_| limit.take(start)).count();
        assert_eq!(burst, 10);
        let later = start + Duration::from_millis(300);
        assert_eq!((0..100).filter(|_| limit.take(later)).count(), 3);
    }

    #[test]
    fn a_clock_that_jumps_back_gives_nothing() {
        let mut limit = Limit::per_second(1);
        assert!(limit.take(Time::from_micros(9_000_000)));
        assert!(!limit.take(Time::from_micros(1)));
    }
}
