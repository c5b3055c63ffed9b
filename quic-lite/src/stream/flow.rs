//! Flow control (RFC 9000 §4.1, §4.2): credit that we were given, and a window that we give.
//!
//! Both serve a stream and the connection alike; both count highest offsets, not bytes that
//! arrived. A window doubles, up to its maximum, when half of it is read within two round trips.

use crate::time::Time;
use crate::wire::varint;
use core::time::Duration;

/// What the peer lets us send.
#[derive(Debug, Default)]
pub(super) struct Credit {
    limit: u64,
    used: u64,
    /// Kept back: somebody else has used it, and will tell on what.
    lent: u64,
    blocked_at: Option<u64>,
}

impl Credit {
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            lent: 0,
            blocked_at: None,
        }
    }

    /// RFC 9000 §4.1: a limit that does not increase is ignored.
    pub(super) fn raise(&mut self, limit: u64) -> bool {
        let raised = limit > self.limit;
        self.limit = self.limit.max(limit);
        raised
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// The highest offset sent, or the sum of them.
    pub(super) const fn used(&self) -> u64 {
        self.used
    }

    pub(super) const fn available(&self) -> u64 {
        self.limit
            .saturating_sub(self.used.saturating_add(self.lent))
    }

    pub(super) fn take(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
    }

    pub(super) const fn lend(&mut self, bytes: u64) {
        self.lent = bytes;
    }

    /// Notes that data waits for credit; true the first time at this limit.
    pub(super) fn block(&mut self) -> bool {
        let first = self.blocked_at != Some(self.limit);
        self.blocked_at = Some(self.limit);
        first
    }
}

/// What we let the peer send.
#[derive(Debug)]
pub(super) struct Window {
    limit: u64,
    received: u64,
    consumed: u64,
    size: u64,
    max_size: u64,
    updated: Time,
}

impl Window {
    pub(super) fn new(size: u64, max_size: u64, now: Time) -> Self {
        let size = size.min(varint::MAX);
        Self {
            limit: size,
            received: 0,
            consumed: 0,
            size,
            max_size: max_size.max(size),
            updated: now,
        }
    }

    /// The highest offset received, or the sum of them.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// How much of it is done with.
    pub(super) const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// What we promised last.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Counts `bytes` more; false when the peer had no credit for them.
    #[must_use]
    pub(super) fn receive(&mut self, bytes: u64) -> bool {
        self.received = self.received.saturating_add(bytes);
        self.received <= self.limit
    }

    pub(super) fn consume(&mut self, bytes: u64) {
        self.consumed = self.consumed.saturating_add(bytes).min(self.received);
    }

    /// RFC 9000 §4.2: early enough not to block the peer, seldom enough to be cheap.
    pub(super) const fn update_is_due(&self) -> bool {
        self.limit.saturating_sub(self.consumed) <= self.size / 2
    }

    /// The limit to tell the peer now; grows the window when the reader outruns it.
    pub(super) fn update(&mut self, now: Time, rtt: Duration) -> u64 {
        if self.update_is_due() {
            if now.since(self.updated) < rtt.saturating_mul(2) {
                self.size = self.size.saturating_mul(2).min(self.max_size);
            }
            self.updated = now;
            let limit = self.consumed.saturating_add(self.size).min(varint::MAX);
            self.limit = self.limit.max(limit);
        }
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(10);

    #[test]
    fn credit_never_shrinks_and_blocks_once_per_limit() {
        let mut credit = Credit::new(10);
        credit.take(10);
        assert!(!credit.raise(9));
        assert_eq!(credit.available(), 0);
        assert!(credit.block() && !credit.block());
        assert!(credit.raise(12) && credit.block());
        assert_eq!(credit.available(), 2);
    }

    #[test]
    fn a_window_refuses_the_first_byte_beyond_its_limit() {
        let mut window = Window::new(10, 10, Time::ZERO);
        assert!(window.receive(10));
        assert!(!window.receive(1));
    }

    #[test]
    fn a_fast_reader_doubles_the_window_up_to_its_maximum() {
        let mut window = Window::new(100, 350, Time::ZERO);
        let mut size = 100;
        for (step, expected) in [200, 350, 350].into_iter().enumerate() {
            assert!(window.receive(size) && !window.update_is_due());
            window.consume(size);
            assert!(window.update_is_due());
            let limit = window.update(Time::from_micros(step as u64), RTT);
            assert_eq!(limit, window.consumed() + expected);
            size = expected;
        }
    }

    #[test]
    fn a_slow_reader_keeps_the_window() {
        let mut window = Window::new(100, 1000, Time::ZERO);
        assert!(window.receive(60));
        window.consume(60);
        assert_eq!(window.update(Time::ZERO + RTT * 2, RTT), 160);
        assert_eq!(window.update(Time::ZERO + RTT * 2, RTT), 160);
    }
}
