//! Numbers left out on purpose, to catch a peer that acknowledges what it never received. RFC 9000 §21.4.
//!
//! An optimistic receiver would inflate the congestion window. A number that was never sent and is
//! acknowledged nevertheless gives it away. Larger windows do more harm but also send more, so the
//! distance grows with the window and costs stay the same.

use std::collections::VecDeque;

use crate::limits;
use crate::wire::packet_number::PacketNumber;

/// Skipped numbers of one space, the newest few.
#[derive(Debug, Default)]
pub struct Skipped(VecDeque<PacketNumber>);

impl Skipped {
    /// This number was taken and will never be sent.
    pub fn insert(&mut self, number: PacketNumber) {
        if self.0.len() == limits::SKIPPED_NUMBERS {
            self.0.pop_front();
        }
        self.0.push_back(number);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many lie in `low..high`.
    pub fn count(&self, low: PacketNumber, high: PacketNumber) -> u64 {
        self.0
            .iter()
            .filter(|&&number| low <= number && number < high)
            .count() as u64
    }

    /// Whether one lies in `low..=high`.
    pub fn any(&self, low: PacketNumber, high: PacketNumber) -> bool {
        self.0.iter().any(|&number| low <= number && number <= high)
    }
}

/// When to skip the next number.
#[derive(Clone, Debug, Default)]
pub struct SkipPolicy {
    /// The first number from here on; `None` until it is chosen.
    at: Option<PacketNumber>,
}

impl SkipPolicy {
    /// Where to skip. If that is open it is chosen: some packets behind `next`, in a window of `window`.
    pub fn at(&mut self, next: PacketNumber, random: u64, window: u64) -> PacketNumber {
        *self.at.get_or_insert_with(|| {
            let at = next.value().saturating_add(distance(random, window));
            PacketNumber::new(at.min(PacketNumber::MAX.value()))
        })
    }

    /// This number was skipped.
    pub fn on_skipped(&mut self, number: PacketNumber) {
        self.at = self.at.filter(|&at| number < at);
    }
}

/// Uniform between half a period and one and a half.
fn distance(random: u64, window: u64) -> u64 {
    let period = window.saturating_mul(WINDOWS).max(SHORTEST_PERIOD);
    period / 2 + random % period
}

/// A period is so many windows.
const WINDOWS: u64 = 4;
/// In packets.
const SHORTEST_PERIOD: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances between skips when `random` is what a generator returns.
    fn distances(window: u64, random: u64) -> Vec<usize> {
        let mut policy = SkipPolicy::default();
        let mut skips = Vec::new();
        for number in (0..100_000).map(PacketNumber::new) {
            if policy.at(number, random, window) <= number {
                policy.on_skipped(number);
                skips.push(number.value());
            }
        }
        skips
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as usize)
            .collect()
    }

    #[test]
    fn the_distance_is_random_around_a_period() {
        assert!(distances(10, 0).iter().all(|&n| n == 129));
        assert!(distances(10, 255).iter().all(|&n| n == 384));
    }

    #[test]
    fn the_period_grows_with_the_window() {
        assert!(distances(1000, 0).iter().all(|&n| n == 2001));
    }

    #[test]
    fn a_number_skipped_before_leaves_the_choice_as_it_is() {
        let mut policy = SkipPolicy::default();
        let at = policy.at(PacketNumber::ZERO, 0, 10);
        assert_eq!(at, PacketNumber::new(128));
        policy.on_skipped(PacketNumber::new(127));
        assert_eq!(policy.at(PacketNumber::new(127), 9, 10), at);
    }

    #[test]
    fn the_newest_numbers_are_remembered() {
        let mut skipped = Skipped::default();
        (0..20).for_each(|n| skipped.insert(PacketNumber::new(10 * n)));
        let number = PacketNumber::new;
        assert!(skipped.any(number(150), number(150)) && !skipped.any(number(0), number(110)));
        assert_eq!(skipped.count(number(130), number(150)), 2);
    }
}
