//! CUBIC: the window as a cubic function of the time since the last congestion event. RFC 9438.
//!
//! Grows fast while far below the window at which packets were lost, slowly near it, and fast again
//! beyond; never slower than NewReno would. Time in which the application left the window unused
//! does not count.

use super::congestion::{Algorithm, initial_window, minimum_window};
use super::rtt::Rtt;
use crate::time::Time;

/// State of CUBIC. Windows are in bytes; the RFC's formulas use segments, which are datagrams here.
#[derive(Clone, Debug)]
pub struct Cubic {
    max_datagram_size: f64,
    now: State,
    /// The state before the last congestion event.
    prior: Option<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    window: f64,
    slow_start_threshold: f64,
    /// W_max: the window just before the last reduction, less when that shrank. `None` before the
    /// first congestion event and after persistent congestion.
    w_max: Option<f64>,
    /// cwnd_prior: the window just before the last reduction.
    window_prior: f64,
    /// The current congestion avoidance stage, from its first acknowledgement on.
    epoch: Option<Epoch>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Time,
    /// The newest acknowledgement.
    last: Time,
    /// W_max of the formula, in bytes.
    plateau: f64,
    /// K: seconds from the start until the plateau is reached.
    k: f64,
    /// W_est: what NewReno would have by now.
    w_est: f64,
}

impl Cubic {
    /// The state in slow start.
    pub fn new(max_datagram_size: u16) -> Self {
        let window = float(initial_window(max_datagram_size));
        Self {
            max_datagram_size: f64::from(max_datagram_size),
            now: State {
                window,
                slow_start_threshold: f64::INFINITY,
                w_max: None,
                window_prior: window,
                epoch: None,
            },
            prior: None,
        }
    }

    fn minimum(&self) -> f64 {
        2.0 * self.max_datagram_size
    }

    /// RFC 9438 §4.2: K is the time that W_cubic needs from the epoch's first window to W_max.
    fn begin_epoch(&self, now: Time) -> Epoch {
        let window = self.now.window;
        // RFC 9438 §4.8, §4.10: without a loss to return to, K = 0 and W_max is today's window.
        let plateau = self.now.w_max.map_or(window, |w_max| w_max.max(window));
        let k = ((plateau - window) / self.max_datagram_size / C).cbrt();
        Epoch {
            start: now,
            last: now,
            plateau,
            k,
            w_est: window,
        }
    }

    /// RFC 9438 §4.2: W_cubic(t) = C * (t - K)^3 + W_max.
    fn w_cubic(&self, epoch: &Epoch, t: f64) -> f64 {
        C * (t - epoch.k).powi(3) * self.max_datagram_size + epoch.plateau
    }

    /// RFC 9438 §4.3: alpha makes the average of NewReno with a smaller reduction the same; once
    /// the old window is reached, NewReno's own step is fair.
    fn alpha(&self, w_est: f64) -> f64 {
        if w_est >= self.now.window_prior {
            1.0
        } else {
            3.0 * (1.0 - BETA) / (1.0 + BETA)
        }
    }

    fn avoid_congestion(&mut self, now: Time, acked: f64, rtt: &Rtt) {
        let mut epoch = self.now.epoch.unwrap_or_else(|| self.begin_epoch(now));
        if now.since(epoch.last) > rtt.pto() {
            // RFC 9438 §5.8: no acknowledgement for so long means idleness, which does not count.
            epoch.skip_to(now);
        }
        epoch.last = now;
        let window = self.now.window;
        epoch.w_est += self.alpha(epoch.w_est) * self.max_datagram_size * acked / window;
        let elapsed = now.since(epoch.start);
        self.now.window = if self.w_cubic(&epoch, elapsed.as_secs_f64()) < epoch.w_est {
            // RFC 9438 §4.3: the Reno-friendly region.
            window.max(epoch.w_est)
        } else {
            // RFC 9438 §4.2, §4.4, §4.5: reach in one round trip what the curve says, 1.5 at most.
            let target = self.w_cubic(&epoch, (elapsed + rtt.smoothed()).as_secs_f64());
            window + (target.clamp(window, 1.5 * window) - window) * acked / window
        };
        self.now.epoch = Some(epoch);
    }
}

impl Algorithm for Cubic {
    fn window(&self) -> u64 {
        whole(self.now.window)
    }

    fn slow_start_threshold(&self) -> u64 {
        whole(self.now.slow_start_threshold)
    }

    fn on_acked(&mut self, now: Time, bytes: u64, rtt: &Rtt) {
        if self.window() < self.slow_start_threshold() {
            self.now.window += float(bytes);
        } else {
            self.avoid_congestion(now, float(bytes), rtt);
        }
    }

    fn on_underused(&mut self, now: Time) {
        if let Some(epoch) = &mut self.now.epoch {
            epoch.skip_to(now);
        }
    }

    fn on_congestion_event(&mut self) {
        let before = self.now;
        // RFC 9438 §4.7: fast convergence makes room for newcomers when the maximum sinks.
        let shrinking = before.w_max.is_some_and(|w_max| before.window < w_max);
        let w_max = if shrinking {
            before.window * (1.0 + BETA) / 2.0
        } else {
            before.window
        };
        // RFC 9438 §4.6: the window is used or it would not have grown, so it stands for the flight.
        let window = (before.window * BETA).max(self.minimum());
        self.now = State {
            window,
            slow_start_threshold: window,
            w_max: Some(w_max),
            window_prior: before.window,
            epoch: None,
        };
        self.prior = Some(before);
    }

    fn on_persistent_congestion(&mut self) {
        self.now.window = self.minimum();
        // RFC 9438 §4.8: the stage after this starts from its own first window.
        self.now.w_max = None;
        self.now.epoch = None;
    }

    fn undo(&mut self) {
        // RFC 9438 §4.9.2.
        if let Some(before) = self.prior.take() {
            self.now = State {
                window: before.window.max(self.now.window),
                ..before
            };
        }
    }

    fn set_max_datagram_size(&mut self, size: u16) {
        self.max_datagram_size = f64::from(size);
        self.now.window = self.now.window.max(float(minimum_window(size)));
    }
}

impl Epoch {
    /// Leaves out the time since the last acknowledgement.
    fn skip_to(&mut self, now: Time) {
        self.start = self.start + now.since(self.last);
        self.last = now;
    }
}

/// RFC 9438 §5: C, in segments per cubic second.
const C: f64 = 0.4;
/// RFC 9438 §4.6: beta_cubic.
const BETA: f64 = 0.7;

#[expect(
    clippy::cast_precision_loss,
    reason = "windows stay far below 2^52 bytes"
)]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "windows are positive; an infinite threshold becomes u64::MAX"
)]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    fn rtt(millis: u64) -> Rtt {
        Rtt::new(Duration::from_millis(millis))
    }

    /// CUBIC in congestion avoidance with this window, in datagrams of 1000 bytes.
    fn reduced_from(datagrams: u32) -> Cubic {
        let mut cubic = Cubic::new(1000);
        cubic.now.window = f64::from(datagrams) * 1000.0;
        cubic.on_congestion_event();
        cubic
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < b.abs() * 1e-3, "{a} is not {b}");
    }

    /// RFC 9438 §4.6.
    #[test]
    fn a_congestion_event_leaves_seven_tenths() {
        let cubic = reduced_from(100);
        assert_eq!(
            (cubic.window(), cubic.slow_start_threshold()),
            (70_000, 70_000)
        );
    }

    /// RFC 9438 §4.7.
    #[test]
    fn fast_convergence_lowers_the_plateau_when_the_window_shrinks() {
        let mut cubic = reduced_from(100);
        cubic.on_congestion_event();
        close(cubic.now.w_max.unwrap(), 70_000.0 * 0.85);
        assert_eq!(cubic.window(), 49_000);
    }

    /// RFC 9438 §4.2, equations 1 and 2: K = cbrt(30 / 0.4) = 4.217 s; W_cubic(K) = W_max.
    #[test]
    fn the_curve_starts_at_the_reduced_window_and_reaches_its_plateau_after_k() {
        let cubic = reduced_from(100);
        let epoch = cubic.begin_epoch(at(0));
        close(epoch.k, 4.217_163);
        close(cubic.w_cubic(&epoch, 0.0), 70_000.0);
        close(cubic.w_cubic(&epoch, epoch.k), 100_000.0);
        close(cubic.w_cubic(&epoch, epoch.k + 5.0), 150_000.0);
    }

    /// RFC 9438 §4.4, §4.5: with a long RTT the window follows the curve, one RTT ahead.
    #[test]
    fn a_used_window_follows_the_curve() {
        let (mut cubic, rtt) = (reduced_from(100), rtt(200));
        let mut now = 0;
        while now < 6_000 {
            let window = cubic.window();
            cubic.on_acked(at(now), window, &rtt);
            now += 200;
        }
        let epoch = cubic.now.epoch.unwrap();
        close(cubic.now.window, cubic.w_cubic(&epoch, 6.0));
    }

    /// RFC 9438 §4.3: with a short RTT NewReno's line is above the curve. Per RTT it gains alpha = 9/17.
    #[test]
    fn short_round_trips_are_reno_friendly() {
        let (mut cubic, rtt) = (reduced_from(20), rtt(10));
        for round in 0..10 {
            let window = cubic.window();
            cubic.on_acked(at(10 * round), window, &rtt);
        }
        close(cubic.now.window, 14_000.0 + 10.0 * 1000.0 * 9.0 / 17.0);
    }

    /// RFC 9438 §4.3.
    #[test]
    fn alpha_is_one_beyond_the_old_window() {
        let cubic = reduced_from(20);
        close(cubic.alpha(19_999.0), 0.529_411);
        close(cubic.alpha(20_000.0), 1.0);
    }

    /// RFC 9438 §4.4: at most half as much again in a round trip.
    #[test]
    fn growth_is_limited_to_half_a_window_per_round_trip() {
        let mut cubic = reduced_from(100);
        cubic.on_acked(at(0), 0, &rtt(60_000));
        cubic.on_acked(at(2_000), 70_000, &rtt(60_000));
        close(cubic.now.window, 105_000.0);
    }

    /// RFC 9438 §5.8: a probe timeout, here 300 ms, without an acknowledgement is idleness.
    #[test]
    fn idle_and_underused_time_does_not_count() {
        let start = |underused: core::ops::Range<u64>, end| {
            let (mut cubic, rtt) = (reduced_from(100), rtt(100));
            cubic.on_acked(at(0), 1000, &rtt);
            underused.for_each(|tick| cubic.on_underused(at(tick * 100)));
            cubic.on_acked(at(end), 1000, &rtt);
            cubic.now.epoch.unwrap().start
        };
        assert_eq!(start(0..0, 300), at(0));
        assert_eq!(start(0..0, 301), at(301));
        assert_eq!(start(1..600, 60_000), at(59_900));
    }

    /// RFC 9438 §4.7.
    #[test]
    fn a_window_that_came_back_to_its_plateau_has_not_shrunk() {
        let mut cubic = reduced_from(100);
        cubic.now.window = 100_000.0;
        cubic.on_congestion_event();
        close(cubic.now.w_max.unwrap(), 100_000.0);
    }

    #[test]
    fn undo_keeps_what_was_gained_since() {
        let mut cubic = reduced_from(100);
        cubic.now.window = 200_000.0;
        cubic.undo();
        assert_eq!(cubic.window(), 200_000);
        assert_eq!(cubic.slow_start_threshold(), u64::MAX);
    }

    /// RFC 9002 §7.2.
    #[test]
    fn the_least_window_follows_the_datagram_size() {
        let mut cubic = Cubic::new(1000);
        cubic.on_persistent_congestion();
        cubic.set_max_datagram_size(1452);
        assert_eq!(cubic.window(), 2_904);
        cubic.on_congestion_event();
        assert_eq!(cubic.window(), 2_904);
    }

    /// RFC 9438 §4.8.
    #[test]
    fn after_persistent_congestion_the_curve_starts_anew() {
        let (mut cubic, rtt) = (reduced_from(100), rtt(100));
        cubic.on_persistent_congestion();
        assert_eq!(cubic.window(), 2_000);
        for _ in 0..68 {
            cubic.on_acked(at(0), 1000, &rtt);
        }
        assert_eq!(cubic.window(), 70_000);
        cubic.on_acked(at(0), 1000, &rtt);
        let epoch = cubic.now.epoch.unwrap();
        assert_eq!((whole(epoch.plateau), whole(epoch.k)), (70_000, 0));
    }

    /// RFC 9438 §4.9.2.
    #[test]
    fn undo_restores_window_threshold_and_plateau() {
        let mut cubic = reduced_from(100);
        let before = cubic.now;
        cubic.on_congestion_event();
        cubic.undo();
        assert_eq!(cubic.window(), 70_000);
        assert_eq!(cubic.now.w_max, before.w_max);
        close(cubic.now.slow_start_threshold, before.slow_start_threshold);
    }
}
