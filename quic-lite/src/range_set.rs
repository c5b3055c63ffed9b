//! A set of `u64` kept as sorted, disjoint, half-open ranges.
//!
//! RFC 9000 counts packets (§19.3) and bytes of a stream (§2.2) in ranges that mostly grow at the
//! end: appending is O(1), everything else is a binary search plus the move of the ranges behind
//! it. Ranges that touch are merged. An empty set owns no memory. What arrives from a peer is to
//! be bounded by [`RangeSet::insert_bounded`] or by its caller.

use alloc::collections::VecDeque;
use core::fmt;
use core::ops::Range;

/// Sorted, disjoint, non-touching half-open ranges.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: VecDeque<Range<u64>>,
}

impl RangeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self {
            ranges: VecDeque::new(),
        }
    }

    /// Adds `range`; true when something in it was missing.
    pub fn insert(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return false;
        }
        match self.ranges.back_mut() {
            Some(last) if range.start > last.end => self.ranges.push_back(range),
            Some(last) if range.start >= last.start => {
                let changed = range.end > last.end;
                last.end = last.end.max(range.end);
                return changed;
            }
            Some(_) => return self.merge(range),
            None => self.ranges.push_back(range),
        }
        true
    }

    /// Like [`Self::insert`], then drops the lowest ranges until at most `max_ranges` are left.
    pub fn insert_bounded(&mut self, range: Range<u64>, max_ranges: usize) -> bool {
        let changed = self.insert(range);
        while self.ranges.len() > max_ranges {
            self.ranges.pop_front();
        }
        changed
    }

    /// Takes `range` out; true when something of it was there.
    pub fn remove(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return false;
        }
        let first = self.ranges.partition_point(|r| r.end <= range.start);
        let after = self.ranges.partition_point(|r| r.start < range.end);
        if first >= after {
            return false;
        }
        let left = self.ranges[first].start..range.start;
        let right = range.end..self.ranges[after - 1].end;
        match (left.is_empty(), right.is_empty()) {
            (true, true) => drop(self.ranges.drain(first..after)),
            (false, true) => self.replace(first..after, left),
            (true, false) => self.replace(first..after, right),
            (false, false) => {
                self.replace(first..after, left);
                self.ranges.insert(first + 1, right);
            }
        }
        true
    }

    /// Whether `value` is in the set.
    pub fn contains(&self, value: u64) -> bool {
        self.range_after(value).is_some_and(|r| r.start <= value)
    }

    /// Whether all of `range` is in the set; an empty range always is.
    pub fn contains_range(&self, range: &Range<u64>) -> bool {
        range.is_empty()
            || self
                .range_after(range.start)
                .is_some_and(|r| r.start <= range.start && range.end <= r.end)
    }

    /// Whether some of `range` is in the set.
    pub fn overlaps(&self, range: &Range<u64>) -> bool {
        !range.is_empty()
            && self
                .range_after(range.start)
                .is_some_and(|r| r.start < range.end)
    }

    /// The parts of `within` that are not in the set, lowest first.
    pub fn gaps(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let from = self.ranges.partition_point(|r| r.end <= within.start);
        let end = within.end;
        let covered = self
            .ranges
            .range(from..)
            .cloned()
            .take_while(move |r| r.start < end);
        let mut next = within.start;
        covered
            .chain(core::iter::once(end..end))
            .filter_map(move |r| {
                let gap = next..r.start;
                next = next.max(r.end);
                (!gap.is_empty()).then_some(gap)
            })
    }

    /// The parts of `within` that are in the set, lowest first.
    pub fn overlap(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let from = self.ranges.partition_point(|r| r.end <= within.start);
        let Range { start, end } = within;
        self.ranges
            .range(from..)
            .map(move |r| r.start.max(start)..r.end.min(end))
            .take_while(|r| !r.is_empty())
    }

    /// All ranges, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator {
        self.ranges.iter().cloned()
    }

    /// The lowest range.
    pub fn first(&self) -> Option<Range<u64>> {
        self.ranges.front().cloned()
    }

    /// The highest range.
    pub fn last(&self) -> Option<Range<u64>> {
        self.ranges.back().cloned()
    }

    /// Takes the lowest range out.
    pub fn pop_first(&mut self) -> Option<Range<u64>> {
        self.ranges.pop_front()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes everything out and gives the memory back.
    pub fn clear(&mut self) {
        self.ranges = VecDeque::new();
    }

    /// How many values are in the set.
    pub fn total(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// The first range that ends after `value`.
    fn range_after(&self, value: u64) -> Option<&Range<u64>> {
        self.ranges
            .get(self.ranges.partition_point(|r| r.end <= value))
    }

    fn merge(&mut self, range: Range<u64>) -> bool {
        let first = self.ranges.partition_point(|r| r.end < range.start);
        let after = self.ranges.partition_point(|r| r.start <= range.end);
        if first == after {
            self.ranges.insert(first, range);
            return true;
        }
        let low = self.ranges[first].start.min(range.start);
        let high = self.ranges[after - 1].end.max(range.end);
        let changed = self.ranges[first] != (low..high);
        self.replace(first..after, low..high);
        changed
    }

    /// Puts `by` where the non-empty run of ranges `at` was.
    fn replace(&mut self, at: Range<usize>, by: Range<u64>) {
        self.ranges[at.start] = by;
        self.ranges.drain(at.start + 1..at.end);
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.ranges).finish()
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn set<const N: usize>(ranges: [(u64, u64); N]) -> RangeSet {
        ranges.into_iter().map(|(start, end)| start..end).collect()
    }

    #[test]
    fn touching_ranges_merge() {
        let mut s = set([(0, 2), (4, 6)]);
        assert_eq!(s.len(), 2);
        assert!(s.insert(2..4));
        assert_eq!(s, set([(0, 6)]));
        assert!(!s.insert(1..5));
    }

    #[test]
    fn removing_the_middle_splits() {
        let mut s = set([(0, 10)]);
        assert!(s.remove(3..7));
        assert_eq!(s, set([(0, 3), (7, 10)]));
        assert!(!s.remove(3..7));
        assert!(s.remove(2..8));
        assert_eq!(s, set([(0, 2), (8, 10)]));
        assert_eq!(s.total(), 4);
    }

    #[test]
    fn a_bounded_insert_drops_the_lowest() {
        let mut s = RangeSet::new();
        for n in 0..10 {
            s.insert_bounded(n * 2..n * 2 + 1, 3);
        }
        assert_eq!(s, set([(14, 15), (16, 17), (18, 19)]));
    }

    #[test]
    fn gaps_and_overlap_cut_at_the_edges() {
        let s = set([(2, 4), (6, 8), (20, 30)]);
        assert_eq!(s.gaps(0..10).collect::<Vec<_>>(), [0..2, 4..6, 8..10]);
        assert!(s.gaps(3..7).eq(core::iter::once(4..6)));
        assert_eq!(s.gaps(2..4).count(), 0);
        assert_eq!(s.gaps(5..5).count(), 0);
        assert_eq!(s.overlap(3..7).collect::<Vec<_>>(), [3..4, 6..7]);
        assert_eq!(s.overlap(8..20).count(), 0);
    }

    #[test]
    fn agrees_with_a_bitmap_on_random_operations() {
        for seed in 0..40_u64 {
            let (mut s, mut model) = (RangeSet::new(), [false; 64]);
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut below = |n: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % n
            };
            for _ in 0..200 {
                let start = below(64);
                let range = start..(start + below(12)).min(64);
                apply(&mut s, &mut model, range, below(3) > 0, seed);
                check(&s, &model, start..(start + below(20)).min(64), seed);
            }
        }
    }

    fn apply(s: &mut RangeSet, model: &mut [bool; 64], range: Range<u64>, adding: bool, seed: u64) {
        let bits = &mut model[range.start as usize..range.end as usize];
        let changes = bits.iter().any(|bit| *bit != adding);
        bits.fill(adding);
        let changed = if adding {
            s.insert(range)
        } else {
            s.remove(range)
        };
        assert_eq!(changed, changes, "seed {seed}");
    }

    fn check(s: &RangeSet, model: &[bool; 64], probe: Range<u64>, seed: u64) {
        let part = &model[probe.start as usize..probe.end as usize];
        assert!(
            (0..64).all(|n| s.contains(n) == model[n as usize]),
            "seed {seed}"
        );
        assert_eq!(
            s.contains_range(&probe),
            part.iter().all(|bit| *bit),
            "seed {seed}"
        );
        assert_eq!(
            s.overlaps(&probe),
            part.iter().any(|bit| *bit),
            "seed {seed}"
        );
        let missing: u64 = s.gaps(probe.clone()).map(|r| r.end - r.start).sum();
        assert_eq!(
            missing as usize,
            part.iter().filter(|bit| !**bit).count(),
            "seed {seed}"
        );
        let there: u64 = s.overlap(probe).map(|r| r.end - r.start).sum();
        assert_eq!(
            there as usize,
            part.iter().filter(|bit| **bit).count(),
            "seed {seed}"
        );
        let ranges: Vec<_> = s.iter().collect();
        assert!(
            ranges.windows(2).all(|w| w[0].end < w[1].start),
            "seed {seed}: {s:?}"
        );
    }
}
