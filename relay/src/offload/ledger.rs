//! What the sender of a subscriber's connection and the offloader both know of it. RFC 9221 §5.
//!
//! The sender belongs to the connection and learns what the kernel has sent; which datagrams those were
//! the relay must know, to send them neither twice nor never.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits;

/// What of a publisher's packet went on: the publisher's slot and the track, as the sent log has them; the
/// packet's number.
pub(super) type Origin = (u64, u64);

/// What both know.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// One bit for each outlet whose stream the relay knows.
    known: AtomicU64,
    /// A program did not leave the slot in time.
    stuck: AtomicBool,
    /// The sent log is told up to this number, exclusive.
    told: AtomicU64,
    datagrams: Mutex<Datagrams>,
}

impl Ledger {
    /// The relay knows, or does not know any more, the stream of an outlet.
    pub(super) fn set_known(&self, outlet: u64, known: bool) {
        let bit = 1 << outlet;
        match known {
            true => self.known.fetch_or(bit, Ordering::Relaxed),
            false => self.known.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    /// Whether the relay knows the stream of an outlet.
    pub(super) fn is_known(&self, outlet: u64) -> bool {
        self.known.load(Ordering::Relaxed) & (1 << outlet) != 0
    }

    /// A program did not leave the slot in time.
    pub(super) fn set_stuck(&self) {
        self.stuck.store(true, Ordering::Relaxed);
    }

    /// Whether that has happened.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// The sent log was told up to here.
    pub(super) fn set_told(&self, number: u64) {
        self.told.store(number, Ordering::Relaxed);
    }

    /// Up to where it was told.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// The datagrams.
    pub(super) fn datagrams(&self) -> MutexGuard<'_, Datagrams> {
        // Whole after each step.
        self.datagrams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Datagrams that the kernel has sent to a subscriber and that the relay has not come to yet.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// In the order of coming, until somebody asks: where the kernel brings everything to everybody, nobody does.
    fresh: VecDeque<Origin>,
    /// How many of each packet, of those before.
    sent: HashMap<Origin, u32>,
    /// Of these the relay was told before the log said so.
    early: HashMap<Origin, u32>,
    /// In the order of coming; some are taken.
    order: VecDeque<Origin>,
}

impl Datagrams {
    /// The kernel has sent a datagram of this packet.
    pub(super) fn add(&mut self, origin: Origin) {
        self.fresh.push_back(origin);
        // The originals of old ones were dropped on their way to the relay.
        if !self.early.is_empty() {
            self.count();
        } else if self.fresh.len() > limits::FORWARDED_DATAGRAMS {
            self.fresh.pop_front();
        }
    }

    /// Counts what has come since the last time.
    fn count(&mut self) {
        while let Some(origin) = self.fresh.pop_front() {
            self.count_one(origin);
        }
    }

    fn count_one(&mut self, origin: Origin) {
        if take_one(&mut self.early, origin) {
            return;
        }
        let count = self.sent.entry(origin).or_insert(0);
        *count += 1;
        if *count > 1 {
            return;
        }
        self.order.push_back(origin);
        while self.order.len() > limits::FORWARDED_DATAGRAMS {
            if let Some(old) = self.order.pop_front() {
                self.sent.remove(&old);
            }
        }
    }

    /// The relay has come to a datagram of this packet: whether the kernel has sent it.
    pub(super) fn take(&mut self, origin: Origin) -> bool {
        self.count();
        let taken = take_one(&mut self.sent, origin);
        while self
            .order
            .front()
            .is_some_and(|first| !self.sent.contains_key(first))
        {
            self.order.pop_front();
        }
        taken
    }

    /// So many datagrams of this packet stand in the log, but have not been told of: one is taken
    /// beforehand. False when all were.
    pub(super) fn take_early(&mut self, origin: Origin, untold: u32) -> bool {
        self.count();
        let taken = self.early.entry(origin).or_insert(0);
        let is_left = *taken < untold;
        *taken += u32::from(is_left);
        if *taken == 0 {
            self.early.remove(&origin);
        }
        is_left
    }
}

fn take_one(counts: &mut HashMap<Origin, u32>, origin: Origin) -> bool {
    let Some(count) = counts.get_mut(&origin) else {
        return false;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(&origin);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_datagram_is_taken_as_often_as_it_was_sent() {
        let mut datagrams = Datagrams::default();
        datagrams.add((1, 7));
        datagrams.add((1, 7));
        datagrams.add((2, 7));
        assert!(datagrams.take((1, 7)) && datagrams.take((1, 7)));
        assert!(!datagrams.take((1, 7)) && !datagrams.take((1, 8)));
        assert!(datagrams.take((2, 7)));
        assert!(datagrams.order.is_empty() && datagrams.sent.is_empty());
    }

    #[test]
    fn what_was_taken_early_is_not_there_again() {
        let mut datagrams = Datagrams::default();
        assert!(!datagrams.take_early((1, 7), 0));
        assert!(datagrams.take_early((1, 7), 2) && datagrams.take_early((1, 7), 2));
        assert!(!datagrams.take_early((1, 7), 2));
        (0..2).for_each(|_| datagrams.add((1, 7)));
        assert!(!datagrams.take((1, 7)));
        assert!(datagrams.early.is_empty() && datagrams.sent.is_empty());
        assert!(
            datagrams.fresh.is_empty(),
            "counted at once while something is early"
        );
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let mut datagrams = Datagrams::default();
        for number in 0..2 * limits::FORWARDED_DATAGRAMS as u64 {
            datagrams.add((1, number));
        }
        assert_eq!(datagrams.fresh.len(), limits::FORWARDED_DATAGRAMS);
        datagrams.count();
        assert_eq!(datagrams.sent.len(), limits::FORWARDED_DATAGRAMS);
        assert!(
            !datagrams.take((1, 0))
                && datagrams.take((1, 2 * limits::FORWARDED_DATAGRAMS as u64 - 1))
        );
    }

    #[test]
    fn outlets_are_known_one_by_one() {
        let ledger = Ledger::default();
        ledger.set_known(63, true);
        ledger.set_known(0, true);
        ledger.set_known(63, false);
        assert!(ledger.is_known(0) && !ledger.is_known(63));
    }
}
