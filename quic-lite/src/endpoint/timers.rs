//! The deadlines of all connections in one ordered set. No RFC.
//!
//! Promise: one entry per connection at most, so memory does not grow with the number of times a
//! deadline moves. Later deadlines are recorded lazily: nearly every datagram postpones the idle
//! timer, and an entry that comes up early costs less than moving it each time.

use std::collections::BTreeSet;

use crate::Time;

/// A queue of deadlines; keys are small integers that the caller reuses.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Time, usize)>,
    /// Per key: where it stands in the queue.
    entry: Vec<Option<Time>>,
}

impl Timers {
    /// Makes sure that `key` comes up at `deadline` or before.
    pub(super) fn set(&mut self, key: usize, deadline: Option<Time>) {
        let Some(deadline) = deadline else {
            return self.clear(key);
        };
        if self.entry.len() <= key {
            self.entry.resize(key + 1, None);
        }
        let Some(entry) = self.entry.get_mut(key) else {
            return;
        };
        match *entry {
            Some(earlier) if earlier <= deadline => {}
            previous => {
                if let Some(later) = previous {
                    self.queue.remove(&(later, key));
                }
                *entry = Some(deadline);
                self.queue.insert((deadline, key));
            }
        }
    }

    /// Forgets `key`.
    pub(super) fn clear(&mut self, key: usize) {
        if let Some(time) = self.entry.get_mut(key).and_then(Option::take) {
            self.queue.remove(&(time, key));
        }
    }

    /// When something comes up next; perhaps too early, never too late.
    pub(super) fn next(&self) -> Option<Time> {
        self.queue.first().map(|(time, _)| *time)
    }

    /// Takes a key whose entry has come up. The caller looks at the true deadline and sets it anew.
    pub(super) fn pop(&mut self, now: Time) -> Option<usize> {
        let &(time, key) = self.queue.first()?;
        if time > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Option<Time> {
        Some(Time::from_micros(micros))
    }

    #[test]
    fn keys_come_up_in_the_order_of_their_deadlines() {
        let mut timers = Timers::default();
        for (key, time) in [(3, 30), (1, 10), (2, 20)] {
            timers.set(key, at(time));
        }
        let now = Time::from_micros(25);
        assert_eq!(
            (timers.pop(now), timers.pop(now), timers.pop(now)),
            (Some(1), Some(2), None)
        );
        assert_eq!(timers.next(), at(30));
    }

    #[test]
    fn an_earlier_deadline_replaces_and_a_later_one_waits() {
        let mut timers = Timers::default();
        timers.set(0, at(20));
        timers.set(0, at(10));
        assert_eq!(timers.next(), at(10));
        timers.set(0, at(30));
        assert_eq!(timers.next(), at(10), "comes up early, is then set anew");
        timers.set(0, None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn memory_does_not_grow_with_changes() {
        let mut timers = Timers::default();
        for round in 0..10_000 {
            timers.set(round % 7, at(1_000_000 - round as u64));
        }
        assert_eq!(timers.queue.len(), 7);
    }
}
