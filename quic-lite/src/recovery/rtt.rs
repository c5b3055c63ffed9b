//! Round-trip time of one path. RFC 9002 §5.
//!
//! Promise: before the first sample every value follows from the initial RTT, so nobody needs to
//! ask whether a sample exists. Only locally measured times enter `min`; what the peer says of its
//! own delays can never push the estimate below that minimum.

use core::time::Duration;

use crate::time::Time;

/// Estimates of latest_rtt, smoothed_rtt, rttvar and min_rtt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtt {
    latest: Duration,
    smoothed: Duration,
    variation: Duration,
    min: Duration,
    first_sample: Option<Time>,
}

impl Rtt {
    /// The estimate of a path without samples.
    pub fn new(initial: Duration) -> Self {
        Self {
            latest: initial,
            smoothed: initial,
            variation: initial / 2,
            min: initial,
            first_sample: None,
        }
    }

    /// The newest sample, not adjusted for the peer's delay.
    pub fn latest(&self) -> Duration {
        self.latest
    }

    /// smoothed_rtt: the moving average.
    pub fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// rttvar: the mean deviation.
    pub fn variation(&self) -> Duration {
        self.variation
    }

    /// min_rtt: the least sample seen, not adjusted for the peer's delay.
    pub fn min(&self) -> Duration {
        self.min
    }

    /// When the first sample was taken; packets sent before it prove no persistent congestion.
    pub fn first_sample(&self) -> Option<Time> {
        self.first_sample
    }

    /// Takes a sample; `ack_delay` is already limited to what the peer may claim (§5.3).
    pub fn on_sample(&mut self, now: Time, latest: Duration, ack_delay: Duration) {
        // A clock of microseconds may show none passed; zero would make rates infinite.
        self.latest = latest.max(SHORTEST);
        if self.first_sample.is_none() {
            // RFC 9002 §5.3: the first sample replaces the guess.
            *self = Self {
                first_sample: Some(now),
                ..Self::new(self.latest)
            };
            return;
        }
        // RFC 9002 §5.2: min_rtt ignores the peer's delay.
        self.min = self.min.min(self.latest);
        // RFC 9002 §5.3: a delay that would undercut min_rtt is not believed.
        let adjusted = if self.latest >= self.min + ack_delay {
            self.latest - ack_delay
        } else {
            self.latest
        };
        // RFC 9002 A.7: the deviation is taken from the average before this sample enters it.
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    /// RFC 9002 §5.2: after persistent congestion the newest sample is the new minimum.
    pub fn forget_min(&mut self) {
        self.min = self.latest;
    }

    /// smoothed_rtt + max(4 * rttvar, granularity): the PTO without the peer's delay (§6.2.1).
    pub fn pto(&self) -> Duration {
        self.smoothed + (self.variation * 4).max(GRANULARITY)
    }

    /// The larger of smoothed and latest RTT, which time thresholds are multiples of (§6.1.2).
    pub fn conservative(&self) -> Duration {
        self.smoothed.max(self.latest)
    }
}

/// kInitialRtt, RFC 9002 §6.2.2.
pub const INITIAL_RTT: Duration = Duration::from_millis(333);
/// kGranularity, RFC 9002 §6.1.2.
pub const GRANULARITY: Duration = Duration::from_millis(1);
const SHORTEST: Duration = Duration::from_micros(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn sampled(samples: &[(u64, u64)]) -> Rtt {
        let mut rtt = Rtt::new(INITIAL_RTT);
        for &(latest, ack_delay) in samples {
            rtt.on_sample(Time::from_micros(7), ms(latest), ms(ack_delay));
        }
        rtt
    }

    /// RFC 9002 §6.2.2: handshakes start with a PTO of about one second.
    #[test]
    fn without_samples_the_pto_is_one_second() {
        assert_eq!(Rtt::new(INITIAL_RTT).pto(), ms(999));
    }

    /// RFC 9002 §5.3.
    #[test]
    fn first_sample_replaces_the_initial_value_and_ignores_ack_delay() {
        let rtt = sampled(&[(100, 50)]);
        assert_eq!(
            (rtt.smoothed(), rtt.variation(), rtt.min()),
            (ms(100), ms(50), ms(100))
        );
        assert_eq!(rtt.first_sample(), Some(Time::from_micros(7)));
    }

    /// RFC 9002 §5.3: 7/8 and 3/4 averages.
    #[test]
    fn later_samples_move_the_averages() {
        let rtt = sampled(&[(100, 0), (180, 0)]);
        assert_eq!(rtt.smoothed(), ms(110));
        assert_eq!(rtt.variation(), Duration::from_micros(57_500));
    }

    /// RFC 9002 §5.3.
    #[test]
    fn ack_delay_is_subtracted_only_down_to_the_minimum() {
        assert_eq!(sampled(&[(100, 0), (180, 80)]).smoothed(), ms(100));
        assert_eq!(sampled(&[(100, 0), (180, 81)]).smoothed(), ms(110));
    }

    /// RFC 9002 §5.2.
    #[test]
    fn minimum_follows_low_samples_and_is_forgotten_on_demand() {
        let mut rtt = sampled(&[(100, 0), (40, 30), (90, 0)]);
        assert_eq!(rtt.min(), ms(40));
        rtt.forget_min();
        assert_eq!(rtt.min(), ms(90));
    }

    #[test]
    fn a_sample_of_zero_is_rounded_up() {
        assert_eq!(sampled(&[(0, 0)]).smoothed(), SHORTEST);
    }
}
