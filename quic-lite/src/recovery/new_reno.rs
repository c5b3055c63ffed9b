//! NewReno: the window of RFC 9002 §7.3 and B.
//!
//! Doubles in slow start, then gains one datagram for each window acknowledged, and halves on loss.

use super::congestion::{Algorithm, initial_window, minimum_window};
use super::rtt::Rtt;
use crate::time::Time;

/// State of NewReno, in bytes.
#[derive(Clone, Debug)]
pub struct NewReno {
    max_datagram_size: u16,
    window: u64,
    slow_start_threshold: u64,
    /// Bytes acknowledged in congestion avoidance that have not yet made up a window.
    acked: u64,
    /// Window and threshold before the last congestion event.
    prior: Option<(u64, u64)>,
}

impl NewReno {
    /// The state in slow start.
    pub fn new(max_datagram_size: u16) -> Self {
        Self {
            max_datagram_size,
            window: initial_window(max_datagram_size),
            slow_start_threshold: u64::MAX,
            acked: 0,
            prior: None,
        }
    }
}

impl Algorithm for NewReno {
    fn window(&self) -> u64 {
        self.window
    }

    fn slow_start_threshold(&self) -> u64 {
        self.slow_start_threshold
    }

    fn on_acked(&mut self, _now: Time, bytes: u64, _rtt: &Rtt) {
        if self.window < self.slow_start_threshold {
            self.window += bytes;
            return;
        }
        // RFC 9002 §7.3.3: one datagram per window; counting bytes loses no fraction (RFC 3465 §2.1).
        self.acked += bytes;
        if self.acked >= self.window {
            self.acked -= self.window;
            self.window += u64::from(self.max_datagram_size);
        }
    }

    fn on_underused(&mut self, _now: Time) {}

    fn on_congestion_event(&mut self) {
        self.prior = Some((self.window, self.slow_start_threshold));
        // RFC 9002 §7.3.2: kLossReductionFactor is one half.
        self.window = (self.window / 2).max(minimum_window(self.max_datagram_size));
        self.slow_start_threshold = self.window;
        self.acked = 0;
    }

    fn on_persistent_congestion(&mut self) {
        self.window = minimum_window(self.max_datagram_size);
        self.acked = 0;
    }

    fn undo(&mut self) {
        if let Some((window, threshold)) = self.prior.take() {
            self.window = self.window.max(window);
            self.slow_start_threshold = threshold;
        }
    }

    fn set_max_datagram_size(&mut self, size: u16) {
        self.max_datagram_size = size;
        self.window = self.window.max(minimum_window(size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::rtt::INITIAL_RTT;

    fn ack(reno: &mut NewReno, bytes: u64) {
        reno.on_acked(Time::ZERO, bytes, &Rtt::new(INITIAL_RTT));
    }

    /// RFC 9002 §7.3.1.
    #[test]
    fn slow_start_doubles_per_round_trip() {
        let mut reno = NewReno::new(1200);
        for _ in 0..10 {
            ack(&mut reno, 1200);
        }
        assert_eq!(reno.window(), 24_000);
    }

    /// RFC 9002 §7.3.3.
    #[test]
    fn congestion_avoidance_adds_one_datagram_per_window() {
        let mut reno = NewReno::new(1200);
        reno.on_congestion_event();
        assert_eq!(reno.window(), 6_000);
        for _ in 0..4 {
            ack(&mut reno, 1200);
        }
        assert_eq!(reno.window(), 6_000);
        ack(&mut reno, 1200);
        assert_eq!(reno.window(), 7_200);
        for _ in 0..5 {
            ack(&mut reno, 1200);
        }
        assert_eq!(reno.window(), 7_200);
        ack(&mut reno, 1200);
        assert_eq!(reno.window(), 8_400);
    }

    /// RFC 3465 §2.1: what is acknowledged beyond a window counts for the next.
    #[test]
    fn no_acknowledged_byte_is_forgotten() {
        let mut reno = NewReno::new(1200);
        reno.on_congestion_event();
        for (bytes, window) in [(5_000, 6_000), (5_000, 7_200), (3_199, 7_200), (1, 8_400)] {
            ack(&mut reno, bytes);
            assert_eq!(reno.window(), window);
        }
    }

    /// RFC 9002 §7.2: two datagrams at the least.
    #[test]
    fn the_window_never_falls_below_two_datagrams() {
        let mut reno = NewReno::new(1200);
        for _ in 0..9 {
            reno.on_congestion_event();
        }
        assert_eq!(reno.window(), 2_400);
        reno.set_max_datagram_size(1452);
        assert_eq!(reno.window(), 2_904);
    }

    /// RFC 9002 §7.3: persistent congestion leads back to slow start.
    #[test]
    fn after_persistent_congestion_slow_start_runs_up_to_the_threshold() {
        let mut reno = NewReno::new(1200);
        reno.on_congestion_event();
        reno.on_persistent_congestion();
        for _ in 0..3 {
            ack(&mut reno, 1200);
        }
        assert_eq!((reno.window(), reno.slow_start_threshold()), (6_000, 6_000));
    }
}
