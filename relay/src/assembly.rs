//! Puts objects back in order: groups arrive on streams of their own (draft-18 §2.2), or each object
//! in a datagram of its own, so a later group may be complete before an earlier one has begun.
//!
//! Objects go in as they arrive and come out in (group, object) order, each once. A hole holds back
//! what is behind it until it is filled, is known to stay empty, or patience is over: a stream is
//! reliable, so it is worth waiting long; a datagram that has not come soon will not come. What is
//! held back is bounded in bytes as well. No clock and no I/O here.

use std::collections::BTreeMap;
use std::time::Duration;

use quic_lite::Time;

use crate::limits;

/// Orders the objects of one track.
#[derive(Debug)]
pub struct Assembly<T> {
    groups: BTreeMap<u64, Group<T>>,
    /// The group whose objects come out next, behind the last possible one in the end; unknown until a first
    /// group is known.
    current: Option<u128>,
    /// There are no groups from this one on.
    end: Option<u64>,
    /// Nothing more will come.
    closed: bool,
    blocked_since: Option<Time>,
    patience: Duration,
    held: usize,
    skipped: u64,
}

#[derive(Debug)]
struct Group<T> {
    objects: BTreeMap<u64, (usize, T)>,
    /// The object that comes out next; behind the last possible one in the end.
    next: u128,
    /// Number of its objects, when the publisher has told.
    length: Option<u64>,
    /// Nothing more of it will come, whole or not.
    lost: bool,
    /// Every stream of it that we know has ended, but none has said that it was the last.
    quiet: bool,
}

impl<T> Assembly<T> {
    /// Starts at group `first`, or where the first object is when that is not known.
    pub fn new(first: Option<u64>, patience: Duration) -> Self {
        Self {
            groups: BTreeMap::new(),
            current: first.map(u128::from),
            end: None,
            closed: false,
            blocked_since: None,
            patience,
            held: 0,
            skipped: 0,
        }
    }

    /// The first group is this one. Before anything has come out.
    pub fn start_at(&mut self, first: u64) {
        self.current = Some(first.into());
    }

    /// Takes an object of `size` bytes. One that was there before, or is behind what came out, is
    /// dropped: it adds nothing.
    pub fn insert(&mut self, group: u64, object: u64, size: usize, value: T) {
        let Some(state) = self.group(group) else {
            return;
        };
        if u128::from(object) < state.next || state.objects.contains_key(&object) {
            return;
        }
        state.quiet = false;
        state.objects.insert(object, (size, value));
        self.held += size;
    }

    /// The first object that we will get of `group`, when we joined in its middle.
    pub fn starts_at(&mut self, group: u64, object: u64) {
        if let Some(state) = self.group(group)
            && state.objects.is_empty()
            && state.next == 0
        {
            state.next = object.into();
        }
    }

    /// `group` has exactly `length` objects.
    pub fn has_length(&mut self, group: u64, length: u64) {
        if let Some(state) = self.group(group) {
            state.length = Some(length);
        }
    }

    /// Nothing more of `group` will come, although it may not be whole.
    pub fn lose(&mut self, group: u64) {
        if let Some(state) = self.group(group) {
            state.lost = true;
        }
    }

    /// All that we know of `group` has come; whether there is more is not known.
    pub fn pause(&mut self, group: u64) {
        if let Some(state) = self.group(group) {
            state.quiet = true;
        }
    }

    /// There are no groups after `last`.
    pub fn ends_with(&mut self, last: u64) {
        self.end = Some(last.saturating_add(1));
    }

    /// From now on, holes are waited for no longer than this.
    pub fn be_patient_for(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Nothing more of anything will come.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The next object in order.
    pub fn pop(&mut self, now: Time) -> Option<T> {
        loop {
            let current = u64::try_from(self.current?).ok()?;
            let group = self.groups.get_mut(&current);
            let is_over = group.as_ref().is_some_and(|group| group.is_over());
            if let Some((size, value)) = group.and_then(Group::pop) {
                self.held -= size;
                self.blocked_since = None;
                return Some(value);
            }
            if !is_over && !self.may_pass(current, now) {
                return None;
            }
            self.pass(current, is_over);
        }
    }

    /// Whether it is known which group is the last.
    pub fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Everything up to the end of the track has come out.
    pub fn is_complete(&self) -> bool {
        let at_end = self
            .end
            .zip(self.current)
            .is_some_and(|(end, current)| current >= end.into());
        at_end || (self.closed && self.groups.is_empty())
    }

    /// When to call `pop` again although nothing has arrived.
    pub fn deadline(&self) -> Option<Time> {
        Some(self.blocked_since? + self.patience_with(u64::try_from(self.current?).ok()?))
    }

    /// Holes that were passed over: objects, or whole groups, that never came.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn group(&mut self, group: u64) -> Option<&mut Group<T>> {
        let current = *self.current.get_or_insert(group.into());
        (u128::from(group) >= current).then(|| self.groups.entry(group).or_default())
    }

    fn patience_with(&self, current: u64) -> Duration {
        match self.groups.get(&current) {
            Some(group) if group.quiet => self.patience.min(QUIET_PATIENCE),
            _ => self.patience,
        }
    }

    /// Whether the hole at the start of `current` has been waited for long enough. With nothing
    /// behind it there is no hole, there is just nothing yet.
    fn may_pass(&mut self, current: u64, now: Time) -> bool {
        let later_group = self
            .groups
            .keys()
            .next_back()
            .is_some_and(|&last| last > current);
        if self.closed {
            return !self.groups.is_empty();
        }
        if self.held == 0 && !later_group {
            self.blocked_since = None;
            return false;
        }
        let since = *self.blocked_since.get_or_insert(now);
        self.held > limits::BEHIND_HOLE || now >= since + self.patience_with(current)
    }

    /// Goes on behind the hole: with the next object of the group, else with the next group.
    fn pass(&mut self, current: u64, is_over: bool) {
        self.blocked_since = None;
        let group = self.groups.get_mut(&current);
        if let Some(group) = group
            && let Some((&object, _)) = group.objects.first_key_value()
        {
            group.next = object.into();
            self.skipped += 1;
            return;
        }
        let group = self.groups.remove(&current);
        self.skipped += u64::from(!group.is_some_and(|group| group.is_whole()));
        let following = u128::from(current) + 1;
        let known = self.groups.keys().next().copied().map(u128::from);
        self.current = Some(if is_over {
            following
        } else {
            known.unwrap_or(following)
        });
    }
}

impl<T> Group<T> {
    fn pop(&mut self) -> Option<(usize, T)> {
        let value = self.objects.remove(&u64::try_from(self.next).ok()?)?;
        self.next += 1;
        Some(value)
    }

    fn is_over(&self) -> bool {
        self.lost || self.length.is_some_and(|length| self.next >= length.into())
    }

    fn is_whole(&self) -> bool {
        match self.length {
            Some(length) => self.next >= length.into(),
            None => self.quiet,
        }
    }
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            next: 0,
            length: None,
            lost: false,
            quiet: false,
        }
    }
}

/// How long after its known streams ended another stream of the same group may begin.
const QUIET_PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn assembly(first: Option<u64>) -> Assembly<&'static str> {
        Assembly::new(first, Duration::from_secs(10))
    }

    fn drain(assembly: &mut Assembly<&'static str>, at: u64) -> Vec<&'static str> {
        std::iter::from_fn(|| assembly.pop(Time::from_micros(at * 1_000_000))).collect()
    }

    #[test]
    fn groups_come_out_in_order_however_they_arrive() {
        let mut a = assembly(Some(5));
        a.insert(6, 0, 1, "6.0");
        a.has_length(6, 1);
        assert!(drain(&mut a, 0).is_empty(), "group 5 was promised");
        a.insert(5, 1, 1, "5.1");
        a.insert(5, 0, 1, "5.0");
        assert_eq!(drain(&mut a, 0), ["5.0", "5.1"]);
        a.has_length(5, 2);
        a.ends_with(6);
        assert_eq!(drain(&mut a, 0), ["6.0"]);
        assert!(a.is_complete());
        assert_eq!(a.skipped(), 0);
    }

    #[test]
    fn duplicate_and_late_objects_are_dropped() {
        let mut a = assembly(None);
        a.insert(3, 0, 1, "a");
        a.insert(3, 0, 1, "again");
        assert_eq!(drain(&mut a, 0), ["a"]);
        a.insert(3, 0, 1, "again");
        a.insert(2, 0, 1, "before the start");
        assert!(drain(&mut a, 0).is_empty());
    }

    #[test]
    fn hole_is_passed_when_patience_is_over_and_counted() {
        let mut a = assembly(Some(0));
        a.insert(0, 0, 1, "0.0");
        a.insert(0, 2, 1, "0.2");
        assert_eq!(drain(&mut a, 1), ["0.0"]);
        assert_eq!(a.deadline(), Some(Time::from_micros(11_000_000)));
        assert!(drain(&mut a, 10).is_empty());
        assert_eq!(drain(&mut a, 11), ["0.2"]);
        assert_eq!((a.skipped(), a.deadline()), (1, None));
    }

    #[test]
    fn group_that_was_reset_does_not_hold_back_the_next() {
        let mut a = assembly(Some(0));
        a.insert(0, 0, 1, "0.0");
        a.insert(1, 0, 1, "1.0");
        assert_eq!(drain(&mut a, 0), ["0.0"]);
        a.lose(0);
        assert_eq!(drain(&mut a, 0), ["1.0"]);
        assert_eq!(a.skipped(), 1);
    }

    #[test]
    fn joining_in_the_middle_of_a_group_starts_there() {
        let mut a = assembly(Some(4));
        a.starts_at(4, 7);
        a.insert(4, 7, 1, "4.7");
        assert_eq!(drain(&mut a, 0), ["4.7"]);
        assert_eq!(a.skipped(), 0);
    }

    #[test]
    fn group_that_never_says_it_ended_is_left_soon_after_its_streams_end() {
        let mut a = assembly(None);
        a.insert(0, 0, 1, "0.0");
        a.pause(0);
        a.insert(1, 0, 1, "1.0");
        assert_eq!(drain(&mut a, 0), ["0.0"]);
        assert_eq!(drain(&mut a, 1), ["1.0"]);
        assert_eq!(a.skipped(), 0);
    }

    #[test]
    fn closing_lets_out_what_is_left() {
        let mut a = assembly(Some(0));
        a.insert(2, 1, 1, "2.1");
        a.insert(9, 0, 1, "9.0");
        a.close();
        assert_eq!(drain(&mut a, 0), ["2.1", "9.0"]);
        assert!(a.is_complete());
        let mut empty = assembly(Some(0));
        empty.close();
        assert!(drain(&mut empty, 0).is_empty() && empty.is_complete());
    }

    #[test]
    fn memory_behind_a_hole_is_bounded() {
        let mut a = assembly(Some(0));
        a.insert(1, 0, limits::BEHIND_HOLE, "1.0");
        assert!(drain(&mut a, 0).is_empty());
        a.insert(1, 1, 1, "1.1");
        assert_eq!(drain(&mut a, 0), ["1.0", "1.1"]);
    }

    #[test]
    fn any_order_of_arrival_gives_the_same_output() {
        let mut seed = 7_u64;
        for _ in 0..200 {
            let mut objects: Vec<(u64, u64)> = (0..6)
                .flat_map(|group| (0..5).map(move |object| (group, object)))
                .collect();
            for i in (1..objects.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                objects.swap(i, (seed >> 33) as usize % (i + 1));
            }
            let mut a = Assembly::new(Some(0), Duration::from_secs(10));
            let mut out = Vec::new();
            for &(group, object) in &objects {
                a.insert(group, object, 1, (group, object));
                a.has_length(group, 5);
                out.extend(std::iter::from_fn(|| a.pop(Time::ZERO)));
            }
            objects.sort_unstable();
            assert_eq!(out, objects);
        }
    }
}
