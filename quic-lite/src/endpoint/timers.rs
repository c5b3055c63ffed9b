//! The deadlines of all connections in one ordered set. No RFC.
//!
//! Promise: one entry per connection at most, so memory does not grow with the number of times a
//! deadline moves. Later deadlines are recorded lazily: nearly every datagram postpones one, and an entry
//! is worth moving only when it is the first of all, so that nobody is woken for it.

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

    /// When something comes up next. `deadline` tells the true deadline of a key, which may be later than what
    /// is recorded: then the next one counts.
    pub(super) fn next(&mut self, deadline: impl Fn(usize) -> Option<Time>) -> Option<Time> {
        while let Some(&(time, key)) = self.queue.first() {
            let deadline = deadline(key);
            if deadline.is_some_and(|deadline| deadline <= time) {
                return Some(time);
            }
            self.clear(key);
            self.set(key, deadline);
        }
        None
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
        assert_eq!(timers.next(|_| at(30)), at(30));
    }

    #[test]
    fn an_earlier_deadline_replaces_and_a_later_one_waits() {
        let mut timers = Timers::default();
        timers.set(0, at(20));
        timers.set(0, at(10));
        assert_eq!(timers.next(|_| at(10)), at(10));
        timers.set(0, at(30));
        assert_eq!(timers.pop(Time::from_micros(9)), None);
        assert_eq!(timers.pop(Time::from_micros(10)), Some(0), "early");
        timers.set(0, None);
        assert_eq!(timers.next(|_| None), None);
    }

    #[test]
    fn what_has_been_postponed_wakes_nobody() {
        let mut timers = Timers::default();
        let mut deadlines = [at(10), at(20), at(30), at(40)];
        for (key, time) in deadlines.into_iter().enumerate() {
            timers.set(key, time);
        }
        deadlines = [at(50), None, at(35), at(40)];
        assert_eq!(timers.next(|key| deadlines[key]), at(35));
        deadlines[2] = at(60);
        let order = core::iter::from_fn(|| {
            let time = timers.next(|key| deadlines[key])?;
            timers.pop(time)
        });
        assert_eq!(order.collect::<Vec<_>>(), [3, 0, 2]);
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
