//! Congestion control of one path: what is common to all algorithms. RFC 9002 §7, B.
//!
//! `Controller` counts bytes in flight, knows recovery periods, and decides whether the window was
//! used; an `Algorithm` only says how the window moves. Promise: within a recovery period the
//! window shrinks once, a window that was not used does not grow, and a reduction whose every lost
//! packet arrives late is taken back.

use core::fmt;

use super::cubic::Cubic;
use super::new_reno::NewReno;
use super::rtt::Rtt;
use crate::time::Time;

/// Which algorithm moves the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// RFC 9002 §7.
    NewReno,
    /// RFC 9438.
    #[default]
    Cubic,
}

/// How a congestion window moves.
pub trait Algorithm: fmt::Debug + Send {
    /// The congestion window in bytes.
    fn window(&self) -> u64;
    /// The slow start threshold in bytes; `u64::MAX` before the first congestion event.
    fn slow_start_threshold(&self) -> u64;
    /// `bytes` sent outside a recovery period were acknowledged while the window was in use.
    fn on_acked(&mut self, now: Time, bytes: u64, rtt: &Rtt);
    /// An acknowledgement came while the window was not in use: the window must not grow.
    fn on_underused(&mut self, now: Time);
    /// A recovery period begins.
    fn on_congestion_event(&mut self);
    /// The window drops to its minimum (RFC 9002 §7.6).
    fn on_persistent_congestion(&mut self);
    /// The last congestion event was an error: everything returns to where it was.
    fn undo(&mut self);
    /// The path carries datagrams of another size from now on.
    fn set_max_datagram_size(&mut self, size: u16);
}

/// Bytes in flight against the window.
#[derive(Debug)]
pub struct Controller {
    algorithm: Box<dyn Algorithm>,
    max_datagram_size: u16,
    bytes_in_flight: u64,
    /// congestion_recovery_start_time.
    recovery_start_time: Option<Time>,
    /// The last instant at which the window, not the application, held back data.
    last_limited: Option<Time>,
    /// Packets lost in the newest recovery period, and how many of them arrived after all.
    lost: u64,
    spurious: u64,
    /// One packet may leave on entering recovery though the window is full (RFC 9002 §7.3.2).
    fast_retransmit: bool,
}

impl Controller {
    /// A controller in slow start.
    pub fn new(congestion: Congestion, max_datagram_size: u16) -> Self {
        Self {
            algorithm: match congestion {
                Congestion::NewReno => Box::new(NewReno::new(max_datagram_size)),
                Congestion::Cubic => Box::new(Cubic::new(max_datagram_size)),
            },
            max_datagram_size,
            bytes_in_flight: 0,
            recovery_start_time: None,
            last_limited: None,
            lost: 0,
            spurious: 0,
            fast_retransmit: false,
        }
    }

    /// The congestion window in bytes.
    pub fn window(&self) -> u64 {
        self.algorithm.window()
    }

    /// Bytes sent, in flight, and neither acknowledged nor lost.
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// How many bytes may be sent now, when `outstanding` bytes more are in flight than are counted here.
    pub fn window_left(&self, outstanding: u64) -> u64 {
        let in_flight = self.bytes_in_flight.saturating_add(outstanding);
        let left = self.window().saturating_sub(in_flight);
        if self.fast_retransmit {
            left.max(u64::from(self.max_datagram_size))
        } else {
            left
        }
    }

    /// RFC 9002 §7.3.1: below the threshold it is slow start.
    pub fn in_slow_start(&self) -> bool {
        self.window() < self.algorithm.slow_start_threshold()
    }

    /// RFC 9002 B.4.
    pub fn on_packet_sent(&mut self, now: Time, bytes: u64) {
        self.bytes_in_flight += bytes;
        self.fast_retransmit = false;
        let window = self.window();
        let room = window.saturating_sub(self.bytes_in_flight);
        // RFC 9002 §7.8: full but for a few packets is full. Slow start doubles in a round trip,
        // so half a window there is the whole window of a round trip ago.
        let full = room < SPARE_PACKETS * u64::from(self.max_datagram_size);
        if full || (self.in_slow_start() && self.bytes_in_flight > window / 2) {
            self.note_limited(now);
        }
    }

    /// Data waits for the pacer. RFC 9002 §7.8: a sender held back by pacing alone is not limited
    /// by its application, if it would have filled the window.
    pub fn on_paced(&mut self, now: Time) {
        if self.bytes_in_flight > self.window() / 2 {
            self.note_limited(now);
        }
    }

    /// RFC 9002 B.5: a packet of `bytes` sent at `sent` was acknowledged.
    pub fn on_packet_acked(&mut self, now: Time, sent: Time, bytes: u64, rtt: &Rtt) {
        self.remove(bytes);
        if self.last_limited.is_none_or(|limited| limited < sent) {
            return self.algorithm.on_underused(now);
        }
        if !self.in_recovery(sent) {
            self.algorithm.on_acked(now, bytes, rtt);
        }
    }

    /// Bytes left the flight without a word on congestion: a lost MTU probe, a discarded space.
    pub fn remove(&mut self, bytes: u64) {
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(bytes);
    }

    /// RFC 9002 B.8: `packets` with together `bytes` were lost, the newest of them sent at `newest`.
    /// Whether a recovery period begins.
    pub fn on_packets_lost(&mut self, now: Time, newest: Time, packets: u64, bytes: u64) -> bool {
        self.remove(bytes);
        let begins = self.on_congestion_event(now, newest);
        self.lost = if begins {
            packets
        } else {
            self.lost.saturating_add(packets)
        };
        begins
    }

    /// RFC 9002 B.7: more CE marks were reported with the acknowledgement of a packet sent at `sent`.
    /// Whether a recovery period begins.
    pub fn on_congestion_experienced(&mut self, now: Time, sent: Time) -> bool {
        let begins = self.on_congestion_event(now, sent);
        // A mark is never spurious, so no late arrival may undo this period.
        self.lost = u64::MAX;
        begins
    }

    /// RFC 9002 §7.6.2.
    pub fn on_persistent_congestion(&mut self) {
        self.algorithm.on_persistent_congestion();
        self.recovery_start_time = None;
    }

    /// A packet declared lost and sent at `sent` was acknowledged late. Whether this took back
    /// the last reduction.
    pub fn on_spurious_loss(&mut self, sent: Time) -> bool {
        if !self.in_recovery(sent) {
            return false;
        }
        self.spurious += 1;
        // RFC 9438 §4.9.2: only when no loss of the period was real was there no congestion.
        if self.spurious < self.lost {
            return false;
        }
        self.algorithm.undo();
        self.recovery_start_time = None;
        self.lost = 0;
        true
    }

    /// RFC 9002 §7.2: the minimum window follows the datagram size.
    pub fn set_max_datagram_size(&mut self, size: u16) {
        self.max_datagram_size = size;
        self.algorithm.set_max_datagram_size(size);
    }

    /// RFC 9002 B.6.
    fn on_congestion_event(&mut self, now: Time, sent: Time) -> bool {
        if self.in_recovery(sent) {
            return false;
        }
        self.recovery_start_time = Some(now);
        (self.lost, self.spurious) = (0, 0);
        self.fast_retransmit = true;
        self.algorithm.on_congestion_event();
        true
    }

    fn in_recovery(&self, sent: Time) -> bool {
        self.recovery_start_time.is_some_and(|start| sent <= start)
    }

    fn note_limited(&mut self, now: Time) {
        self.last_limited = self.last_limited.max(Some(now));
    }
}

/// RFC 9002 §7.2: ten datagrams, but not more than the larger of 14720 bytes and two datagrams.
pub(super) fn initial_window(max_datagram_size: u16) -> u64 {
    let size = u64::from(max_datagram_size);
    (10 * size).min((2 * size).max(14_720))
}

/// RFC 9002 §7.2: kMinimumWindow.
pub(super) fn minimum_window(max_datagram_size: u16) -> u64 {
    2 * u64::from(max_datagram_size)
}

/// A window with less room than this is full: the next burst would not fit.
const SPARE_PACKETS: u64 = 3;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    fn rtt() -> Rtt {
        Rtt::new(Duration::from_millis(100))
    }

    /// A controller with its initial window of ten packets full, sent at 0 ms.
    fn full() -> Controller {
        let mut controller = Controller::new(Congestion::NewReno, 1200);
        for _ in 0..10 {
            controller.on_packet_sent(at(0), 1200);
        }
        controller
    }

    /// RFC 9002 §7.2.
    #[test]
    fn initial_window_is_ten_packets_with_a_limit() {
        assert_eq!(initial_window(1200), 12_000);
        assert_eq!(initial_window(1472), 14_720);
        assert_eq!(initial_window(9000), 18_000);
    }

    /// RFC 9002 §7.3.1.
    #[test]
    fn a_full_window_grows_by_what_is_acknowledged() {
        let mut controller = full();
        assert_eq!(controller.window_left(0), 0);
        controller.on_packet_acked(at(100), at(0), 1200, &rtt());
        assert_eq!(
            (controller.window(), controller.bytes_in_flight()),
            (13_200, 10_800)
        );
    }

    /// RFC 9002 §7.8.
    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut controller = Controller::new(Congestion::NewReno, 1200);
        for _ in 0..3 {
            controller.on_packet_sent(at(0), 1200);
            controller.on_packet_acked(at(100), at(0), 1200, &rtt());
        }
        assert_eq!(controller.window(), 12_000);
    }

    /// RFC 9002 §7.8: acknowledgements handled in one batch empty the flight before anything is sent.
    #[test]
    fn packets_of_a_full_flight_count_however_late_their_acks_are_read() {
        let mut controller = full();
        for _ in 0..10 {
            controller.on_packet_acked(at(100), at(0), 1200, &rtt());
        }
        assert_eq!(controller.window(), 24_000);
        // One packet alone, sent after that flight, proves nothing.
        controller.on_packet_sent(at(101), 1200);
        controller.on_packet_acked(at(200), at(101), 1200, &rtt());
        assert_eq!(controller.window(), 24_000);
    }

    /// A controller after slow start with a window of 12000 bytes, of which none is in flight.
    fn steady() -> Controller {
        let mut controller = full();
        (0..10).for_each(|_| controller.on_packet_acked(at(1), at(0), 1200, &rtt()));
        controller.on_packets_lost(at(2), at(1), 1, 1200);
        assert_eq!(
            (controller.window(), controller.bytes_in_flight()),
            (12_000, 0)
        );
        assert!(!controller.in_slow_start());
        controller
    }

    /// RFC 9002 §7.8: three packets of 1200 bytes are too little room for a burst.
    #[test]
    fn a_window_without_room_for_three_packets_is_full() {
        let mut controller = steady();
        controller.on_packet_sent(at(10), 8_400);
        assert_eq!(controller.last_limited, Some(at(0)));
        controller.on_packet_sent(at(11), 1);
        assert_eq!(controller.last_limited, Some(at(11)));
        controller.on_packet_sent(at(12), 10_000);
        assert_eq!(controller.last_limited, Some(at(12)));
    }

    /// RFC 9002 §7.8: slow start doubles the window in a round trip.
    #[test]
    fn in_slow_start_more_than_half_a_window_is_full() {
        let mut controller = Controller::new(Congestion::NewReno, 1200);
        controller.on_packet_sent(at(10), 6_000);
        assert_eq!(controller.last_limited, None);
        controller.on_packet_sent(at(11), 1);
        assert_eq!(controller.last_limited, Some(at(11)));
    }

    /// RFC 9002 §7.8.
    #[test]
    fn data_that_waits_for_the_pacer_counts_once_half_the_window_is_used() {
        let mut controller = steady();
        controller.on_packet_sent(at(10), 6_000);
        controller.on_paced(at(10));
        controller.on_packet_sent(at(11), 1);
        assert_eq!(controller.last_limited, Some(at(0)));
        controller.on_paced(at(12));
        assert_eq!(controller.last_limited, Some(at(12)));
    }

    /// RFC 9002 §7.3.2: once per round trip.
    #[test]
    fn losses_of_one_flight_reduce_the_window_once() {
        let mut controller = full();
        assert!(controller.on_packets_lost(at(100), at(0), 1, 1200));
        assert!(!controller.on_packets_lost(at(101), at(0), 1, 1200));
        assert_eq!(controller.window(), 6_000);
        controller.on_packet_acked(at(102), at(0), 1200, &rtt());
        assert_eq!(controller.window(), 6_000, "no growth in recovery");
        assert!(controller.on_packets_lost(at(300), at(150), 1, 1200));
        assert_eq!(controller.window(), 3_000);
    }

    /// RFC 9002 §7.3.2.
    #[test]
    fn entering_recovery_lets_one_packet_through() {
        let mut controller = full();
        controller.on_packets_lost(at(100), at(0), 1, 1200);
        assert_eq!(controller.window_left(0), 1200);
        controller.on_packet_sent(at(100), 1200);
        assert_eq!(controller.window_left(0), 0);
    }

    /// RFC 9438 §4.9.
    #[test]
    fn a_reduction_is_undone_when_every_lost_packet_arrives() {
        let mut controller = full();
        controller.on_packets_lost(at(100), at(0), 2, 2400);
        assert!(!controller.on_spurious_loss(at(0)));
        assert_eq!(controller.window(), 6_000);
        assert!(controller.on_spurious_loss(at(0)));
        assert_eq!(controller.window(), 12_000);
        assert!(!controller.on_spurious_loss(at(0)), "only once");
    }

    /// RFC 9002 §7.1.
    #[test]
    fn a_reduction_by_ecn_is_never_undone() {
        let mut controller = full();
        assert!(controller.on_congestion_experienced(at(100), at(0)));
        controller.on_packets_lost(at(101), at(0), 1, 1200);
        assert!(!controller.on_spurious_loss(at(0)));
        assert_eq!(controller.window(), 6_000);
    }

    /// RFC 9002 §7.6.2.
    #[test]
    fn persistent_congestion_leaves_two_packets() {
        let mut controller = full();
        controller.on_packets_lost(at(100), at(0), 9, 10_800);
        controller.on_persistent_congestion();
        assert_eq!(controller.window(), 2_400);
        assert!(controller.in_slow_start());
    }
}
