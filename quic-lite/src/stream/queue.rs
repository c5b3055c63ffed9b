//! Which stream sends next (RFC 9000 §2.3): higher priority first, then the lower stream ID.
//!
//! Every stream with something to send stands in one of three ordered sets, by what it needs of the
//! connection's credit, so that choosing one never looks at the others.

use crate::wire::stream_id::StreamId;
use core::cmp::Reverse;
use std::collections::BTreeSet;

/// The order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Reverse<i32>, StreamId);

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It can send without credit: the bytes were counted when they, or higher ones, were sent.
    Free,
    /// It needs credit.
    Credit,
    /// It needs more credit than this many bytes, for a hole that it has left out.
    Stalled(u64),
}

/// The streams that have something to send.
#[derive(Debug, Default)]
pub(super) struct Queue {
    free: BTreeSet<Key>,
    credit: BTreeSet<Key>,
    stalled: BTreeSet<(u64, Key)>,
}

impl Key {
    pub(super) const fn new(priority: i32, id: StreamId) -> Self {
        Self(Reverse(priority), id)
    }
}

impl Queue {
    pub(super) fn insert(&mut self, key: Key, place: Place) {
        match place {
            Place::Free => self.free.insert(key),
            Place::Credit => self.credit.insert(key),
            Place::Stalled(hole) => self.stalled.insert((hole, key)),
        };
    }

    pub(super) fn remove(&mut self, key: Key, place: Place) {
        match place {
            Place::Free => self.free.remove(&key),
            Place::Credit => self.credit.remove(&key),
            Place::Stalled(hole) => self.stalled.remove(&(hole, key)),
        };
    }

    /// The stream to send next with `credit` bytes left on the connection.
    pub(super) fn next(&self, credit: u64) -> Option<StreamId> {
        let free = self.free.first();
        let paying = self.credit.first().filter(|_| credit > 0);
        // `min` on options would prefer the empty one.
        let key = match (free, paying) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        key.map(|key| key.1)
    }

    /// The stalled stream with the smallest hole, if `credit` is enough for it.
    pub(super) fn unstallable(&self, credit: u64) -> Option<StreamId> {
        self.stalled
            .first()
            .filter(|(hole, _)| *hole < credit)
            .map(|(_, key)| key.1)
    }

    /// Whether anything can be sent with `credit` bytes.
    pub(super) fn has_any(&self, credit: u64) -> bool {
        self.next(credit).is_some() || self.unstallable(credit).is_some()
    }

    /// Whether somebody waits for more than `credit` bytes.
    pub(super) fn wants_more_than(&self, credit: u64) -> bool {
        !self.stalled.is_empty() || (credit == 0 && !self.credit.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stream_id::{Dir, Side};

    fn id(index: u64) -> StreamId {
        StreamId::new(Side::Client, Dir::Uni, index)
    }

    #[test]
    fn priority_then_age_decides() {
        let mut queue = Queue::default();
        queue.insert(Key::new(0, id(1)), Place::Credit);
        queue.insert(Key::new(0, id(0)), Place::Free);
        queue.insert(Key::new(5, id(2)), Place::Credit);
        queue.insert(Key::new(-5, id(3)), Place::Free);
        let mut order = Vec::new();
        for place in [Place::Credit, Place::Free, Place::Credit, Place::Free] {
            let next = queue.next(1).unwrap();
            order.push(next);
            queue.remove(Key::new([0, 0, 5, -5][next.index() as usize], next), place);
        }
        assert_eq!(order, [id(2), id(0), id(1), id(3)]);
        assert_eq!(queue.next(1), None);
    }

    #[test]
    fn without_credit_only_free_streams_send() {
        let mut queue = Queue::default();
        queue.insert(Key::new(5, id(0)), Place::Credit);
        assert_eq!(queue.next(0), None);
        assert!(queue.wants_more_than(0) && !queue.has_any(0) && queue.has_any(1));
        queue.insert(Key::new(0, id(1)), Place::Free);
        assert_eq!(queue.next(0), Some(id(1)));
    }

    #[test]
    fn a_stalled_stream_waits_for_more_than_its_hole() {
        let mut queue = Queue::default();
        queue.insert(Key::new(5, id(0)), Place::Stalled(100));
        assert_eq!(queue.unstallable(100), None);
        assert_eq!(queue.unstallable(101), Some(id(0)));
        assert_eq!(queue.next(1000), None);
    }
}
