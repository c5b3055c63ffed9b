//! What the programs' logic needs from the world: the shared memory, a clock, counters. No RFC.
//!
//! There are two: the kernel's maps, and userspace's memory in tests and in the mock engine. So the logic
//! above is one and the same code in both.

use crate::layout::{Config, Member, Outlet, Pad, Publisher, Record, Slot, Track};
use crate::verdict::Reason;

/// The world. What is out of range is `None`.
pub trait Tables {
    /// The settings.
    fn config(&self) -> Option<&Config>;
    /// A slot.
    fn slot(&self, slot: u64) -> Option<&Slot>;
    /// What a slot knows as a publisher.
    fn publisher(&self, slot: u64) -> Option<&Publisher>;
    /// The place of a number in a slot's sent log.
    fn record(&self, slot: u64, number: u64) -> Option<&Record>;
    /// The place of a number among a slot's pads.
    fn pad(&self, slot: u64, number: u64) -> Option<&Pad>;
    /// A slot's outlet.
    fn outlet(&self, slot: u64, outlet: u64) -> Option<&Outlet>;
    /// A track.
    fn track(&self, track: u64) -> Option<&Track>;
    /// A member of a track.
    fn member(&self, track: u64, member: u64) -> Option<&Member>;
    /// The slot to which a connection ID of ours belongs.
    fn cid(&self, cid: u64) -> Option<u64>;
    /// The track that an alias of a publisher means.
    fn alias(&self, slot: u64, alias: u64) -> Option<u64>;
    /// CLOCK_MONOTONIC in nanoseconds.
    fn now(&self) -> u64;
    /// Counts a decision.
    fn count(&self, reason: Reason);
    /// Does something up to `times` times.
    fn repeat<R: Rounds>(&self, times: u64, rounds: &mut R);
}

/// Something that is done several times. The verifier follows one round instead of each.
pub trait Rounds {
    /// The `index`th time; whether to go on.
    fn round(&mut self, index: u64) -> bool;
}

impl Slot {
    /// Notes that it was not served.
    #[inline(always)]
    pub fn refuse(&self, reason: Reason) {
        self.refused.add(1);
        self.last_refusal.store(reason as u64);
    }
}

/// One slot and its places, for tests.
#[cfg(test)]
pub(crate) struct Desk {
    pub(crate) slot: Slot,
    pub(crate) records: [Record; 4],
}

#[cfg(test)]
impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            slot: Slot::default(),
            records: Default::default(),
        }
    }
}

#[cfg(test)]
impl Tables for Desk {
    fn config(&self) -> Option<&Config> {
        None
    }

    fn slot(&self, _: u64) -> Option<&Slot> {
        Some(&self.slot)
    }

    fn publisher(&self, _: u64) -> Option<&Publisher> {
        None
    }

    fn record(&self, _: u64, number: u64) -> Option<&Record> {
        self.records.get((number % 4) as usize)
    }

    fn pad(&self, _: u64, _: u64) -> Option<&Pad> {
        None
    }

    fn outlet(&self, _: u64, _: u64) -> Option<&Outlet> {
        None
    }

    fn track(&self, _: u64) -> Option<&Track> {
        None
    }

    fn member(&self, _: u64, _: u64) -> Option<&Member> {
        None
    }

    fn cid(&self, _: u64) -> Option<u64> {
        None
    }

    fn alias(&self, _: u64, _: u64) -> Option<u64> {
        None
    }

    fn now(&self) -> u64 {
        0
    }

    fn count(&self, _: Reason) {}

    fn repeat<R: Rounds>(&self, _: u64, _: &mut R) {}
}
