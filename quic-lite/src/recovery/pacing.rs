//! Spreads packets over the round trip. RFC 9002 §7.7.
//!
//! A leaky bucket: it holds one burst, fills at a little more than a window per RTT, and each
//! packet in flight takes its bytes out. A burst of ten packets always passes at once, so that
//! segmentation offload has something to work on and traffic below the window is hardly delayed.

use core::time::Duration;

use crate::time::Time;

/// What the pacing rate follows from.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Congestion window in bytes.
    pub window: u64,
    /// Smoothed RTT.
    pub smoothed_rtt: Duration,
    /// Slow start may double the window in a round trip, and so must the rate.
    pub slow_start: bool,
    /// Largest datagram in bytes.
    pub max_datagram_size: u16,
}

/// The bucket.
#[derive(Clone, Debug, Default)]
pub struct Pacer {
    /// Bytes in the bucket at `updated`.
    tokens: u64,
    /// `None` while the bucket has never been used: it is full.
    updated: Option<Time>,
}

impl Pacer {
    /// When a packet of `size` bytes may leave; `None` means now.
    pub fn send_at(&self, now: Time, size: u16, pace: &Pace) -> Option<Time> {
        let tokens = self.tokens(now, pace);
        if tokens >= u64::from(size) {
            return None;
        }
        // Waking for each single packet would cost more than it smooths.
        let batch = pace
            .bytes_in(BATCH)
            .min(pace.burst() / 2)
            .max(u64::from(size));
        Some(now + pace.time_for(batch - tokens))
    }

    /// Takes the bytes of a packet that left. Probes may leave unpaced: then nothing is left, but no debt.
    pub fn on_packet_sent(&mut self, now: Time, size: u16, pace: &Pace) {
        self.tokens = self.tokens(now, pace).saturating_sub(u64::from(size));
        // A packet reported late does not turn the clock back.
        self.updated = Some(self.updated.map_or(now, |updated| updated.max(now)));
    }

    fn tokens(&self, now: Time, pace: &Pace) -> u64 {
        let burst = pace.burst();
        self.updated.map_or(burst, |updated| {
            self.tokens
                .saturating_add(pace.bytes_in(now.since(updated)))
                .min(burst)
        })
    }
}

impl Pace {
    /// The most that may leave back to back: RFC 9002 §7.7 wants about an initial window.
    fn burst(&self) -> u64 {
        // Timers are coarse: what two milliseconds carry must fit, or fast paths would starve.
        let coarse = self.bytes_in(COARSE).min(self.window);
        coarse.max(BURST_PACKETS * u64::from(self.max_datagram_size))
    }

    /// rate * duration, where rate = N * window / smoothed_rtt.
    fn bytes_in(&self, duration: Duration) -> u64 {
        let (over, under) = self.gain();
        let bytes =
            u128::from(self.window) * over * duration.as_micros() / (under * self.rtt_micros());
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// bytes / rate, rounded up so that waiting once is enough.
    fn time_for(&self, bytes: u64) -> Duration {
        let (over, under) = self.gain();
        let rate = (u128::from(self.window) * over).max(1);
        let micros = (u128::from(bytes) * under * self.rtt_micros()).div_ceil(rate);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// N as a fraction. RFC 9002 §7.7 suggests 1.25.
    const fn gain(&self) -> (u128, u128) {
        if self.slow_start { (2, 1) } else { (5, 4) }
    }

    fn rtt_micros(&self) -> u128 {
        self.smoothed_rtt.as_micros().max(1)
    }
}

/// RFC 9002 §7.2: the initial window is ten packets.
const BURST_PACKETS: u64 = 10;
const BATCH: Duration = Duration::from_millis(1);
const COARSE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(window: u64, rtt_ms: u64) -> Pace {
        Pace {
            window,
            smoothed_rtt: Duration::from_millis(rtt_ms),
            slow_start: false,
            max_datagram_size: 1200,
        }
    }

    /// Sends until the pacer says no; returns the number of packets and the time it names.
    fn burst(pacer: &mut Pacer, now: Time, pace: &Pace) -> (u32, Time) {
        for sent in 0..10_000 {
            match pacer.send_at(now, 1200, pace) {
                None => pacer.on_packet_sent(now, 1200, pace),
                Some(at) => return (sent, at),
            }
        }
        panic!("never paced");
    }

    #[test]
    fn ten_packets_leave_at_once_then_one_per_interval() {
        let (mut pacer, pace) = (Pacer::default(), pace(12_000, 100));
        let (sent, at) = burst(&mut pacer, Time::ZERO, &pace);
        // RFC 9002 §7.7: (100 ms * 1200 / 12000) / 1.25 = 8 ms.
        assert_eq!((sent, at), (10, Time::from_micros(8_000)));
        assert_eq!(burst(&mut pacer, at, &pace).0, 1);
    }

    #[test]
    fn the_long_term_rate_is_a_quarter_above_window_per_rtt() {
        let (mut pacer, pace) = (Pacer::default(), pace(120_000, 50));
        let (mut now, mut packets) = (Time::ZERO, 0);
        while now < Time::from_micros(1_000_000) {
            let (sent, at) = burst(&mut pacer, now, &pace);
            packets += sent;
            now = at;
        }
        // 20 windows of 100 packets, times 1.25, and the first burst.
        assert!((2_495..=2_515).contains(&packets), "{packets}");
    }

    #[test]
    fn slow_start_is_paced_at_twice_the_window() {
        let steady = pace(12_000, 100);
        let slow_start = Pace {
            slow_start: true,
            ..steady
        };
        let mut pacer = Pacer::default();
        burst(&mut pacer, Time::ZERO, &steady);
        assert_eq!(
            pacer.send_at(Time::ZERO, 1200, &slow_start),
            Some(Time::from_micros(5_000))
        );
    }

    #[test]
    fn fast_paths_send_more_per_wake_up_and_short_paths_a_whole_window() {
        // 1200 packets in 20 ms: 2 ms hold 150 of them with the gain.
        assert_eq!(
            burst(&mut Pacer::default(), Time::ZERO, &pace(1_440_000, 20)).0,
            150
        );
        assert_eq!(
            burst(&mut Pacer::default(), Time::ZERO, &pace(1_440_000, 1)).0,
            1200
        );
    }

    /// On a path of 1 ms half the window makes a batch: 720000 bytes at 1.25 windows per RTT.
    #[test]
    fn a_wake_up_is_worth_half_a_burst_at_most() {
        let (_, at) = burst(&mut Pacer::default(), Time::ZERO, &pace(1_440_000, 1));
        assert_eq!(at, Time::from_micros(400));
    }

    #[test]
    fn what_has_flowed_in_is_not_waited_for_again() {
        let (mut pacer, pace) = (Pacer::default(), pace(12_000, 100));
        burst(&mut pacer, Time::ZERO, &pace);
        let at = pacer.send_at(Time::from_micros(4_000), 1200, &pace);
        assert_eq!(at, Some(Time::from_micros(8_000)));
    }

    #[test]
    fn idleness_refills_one_burst_and_no_more() {
        let (mut pacer, pace) = (Pacer::default(), pace(12_000, 100));
        burst(&mut pacer, Time::ZERO, &pace);
        assert_eq!(
            burst(&mut pacer, Time::from_micros(60_000_000), &pace).0,
            10
        );
    }

    #[test]
    fn asking_often_loses_no_fraction() {
        let (mut pacer, pace) = (Pacer::default(), pace(2_400, 1_000));
        burst(&mut pacer, Time::ZERO, &pace);
        let ready = (0..).find(|&t| pacer.send_at(Time::from_micros(t), 1200, &pace).is_none());
        assert_eq!(ready, Some(400_000));
    }
}
