//! Received packets of one space: which are duplicates, and what to acknowledge when. RFC 9000 §13.2.
//!
//! Promise: no packet is taken twice, however old; memory is bounded whatever numbers the peer uses;
//! an acknowledgement is due only if something asks for one, so that two receivers never answer
//! each other's acknowledgements for ever.

use core::time::Duration;

use super::SpaceId;
use crate::limits;
use crate::range_set::RangeSet;
use crate::recovery::ecn::Ecn;
use crate::time::Time;
use crate::wire::frame::EcnCounts;
use crate::wire::packet_number::PacketNumber;

/// The receiving part of a packet number space.
#[derive(Debug)]
pub struct Space {
    /// What arrived, to refuse duplicates. Everything below `floor` counts as arrived.
    seen: RangeSet,
    floor: u64,
    /// What arrived and may not yet be known to the peer: the ranges of the next ACK frame.
    ranges: RangeSet,
    /// The largest number that arrived, and when.
    largest: Option<(PacketNumber, Time)>,
    /// The largest number that arrived in an ack-eliciting packet (Largest Unacked).
    largest_eliciting: Option<u64>,
    /// Largest Acknowledged of the last ACK frame sent.
    largest_reported: Option<u64>,
    /// The smallest number that arrived since the last ACK frame was sent.
    smallest_unreported: Option<u64>,
    /// Ack-eliciting packets since the last ACK frame sent.
    unacked: u64,
    /// When these must be acknowledged at the latest.
    deadline: Option<Time>,
    ecn: EcnCounts,
    frequency: AckFrequency,
    /// Packets sent since the last one that the peer had to acknowledge.
    ack_only: u32,
}

/// How often to acknowledge; what an ACK_FREQUENCY frame changes (draft-ietf-quic-ack-frequency).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckFrequency {
    /// How many ack-eliciting packets may go unacknowledged: one more makes an ACK frame due.
    pub ack_eliciting_threshold: u64,
    /// How long an acknowledgement may wait.
    pub max_ack_delay: Duration,
    /// How far a gap may open before it is reported at once; zero: gaps do not matter.
    pub reordering_threshold: u64,
}

impl AckFrequency {
    /// The rule of RFC 9000 with this max_ack_delay.
    pub const fn new(max_ack_delay: Duration) -> Self {
        // RFC 9000 §13.2.2: every second packet; §13.2.1: any gap.
        Self {
            ack_eliciting_threshold: 1,
            max_ack_delay,
            reordering_threshold: 1,
        }
    }
}

impl Space {
    /// A space in which nothing arrived; `max_ack_delay` is our transport parameter.
    pub fn new(id: SpaceId, max_ack_delay: Duration) -> Self {
        let frequency = match id {
            SpaceId::Data => AckFrequency::new(max_ack_delay),
            // RFC 9000 §13.2.1: Initial and Handshake packets are acknowledged at once.
            _ => AckFrequency {
                ack_eliciting_threshold: 0,
                ..AckFrequency::new(Duration::ZERO)
            },
        };
        Self {
            seen: RangeSet::new(),
            floor: 0,
            ranges: RangeSet::new(),
            largest: None,
            largest_eliciting: None,
            largest_reported: None,
            smallest_unreported: None,
            unacked: 0,
            deadline: None,
            ecn: EcnCounts::default(),
            frequency,
            ack_only: 0,
        }
    }

    /// Whether this packet arrived before, or is too old to tell.
    pub fn is_duplicate(&self, number: PacketNumber) -> bool {
        number.value() < self.floor || self.seen.contains(number.value())
    }

    /// A packet was opened and its frames were in order; duplicates are ignored.
    pub fn on_packet_received(
        &mut self,
        now: Time,
        number: PacketNumber,
        ack_eliciting: bool,
        ecn: Option<Ecn>,
    ) {
        if self.is_duplicate(number) {
            return;
        }
        let value = number.value();
        self.seen.insert(value..value + 1);
        while self.seen.len() > limits::ACK_RANGES {
            // RFC 9000 §13.2.3: what is forgotten must not be accepted again.
            self.floor = self.seen.pop_first().map_or(self.floor, |range| range.end);
        }
        self.ranges
            .insert_bounded(value..value + 1, limits::ACK_RANGES);
        self.smallest_unreported = Some(self.smallest_unreported.map_or(value, |n| n.min(value)));
        if self.largest.is_none_or(|(largest, _)| largest < number) {
            self.largest = Some((number, now));
        }
        self.count(ecn);
        if ack_eliciting {
            self.on_ack_eliciting(now, value, ecn);
        }
    }

    /// Whether an ACK frame is to be sent now, even alone in its packet.
    pub fn ack_due(&self, now: Time) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether an ACK frame should ride along in a packet that is sent anyway.
    pub fn ack_wanted(&self) -> bool {
        self.unacked > 0
    }

    /// When `ack_due` turns true.
    pub fn ack_deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// What the ACK frame reports, ascending; empty only while nothing arrived.
    pub fn ack_ranges(&self) -> &RangeSet {
        &self.ranges
    }

    /// The ACK Delay to report, not yet scaled by the exponent (§13.2.5).
    pub fn ack_delay(&self, now: Time) -> Duration {
        self.largest
            .map_or(Duration::ZERO, |(_, time)| now.since(time))
    }

    /// Ranges of numbers that are remembered: those seen, and those to acknowledge.
    pub fn ranges(&self) -> (usize, usize) {
        (self.seen.len(), self.ranges.len())
    }

    /// The ECN counts to report, if any mark was ever seen (§13.4.1).
    pub fn ecn_counts(&self) -> Option<EcnCounts> {
        (self.ecn != EcnCounts::default()).then_some(self.ecn)
    }

    /// The largest number that arrived, which others are decoded against.
    pub fn largest_received(&self) -> Option<PacketNumber> {
        self.largest.map(|(number, _)| number)
    }

    /// A packet was sent in this space; `with_ack` is whether it carries `ack_ranges`.
    pub fn on_packet_sent(&mut self, with_ack: bool, ack_eliciting: bool) {
        self.ack_only = if ack_eliciting {
            0
        } else {
            self.ack_only.saturating_add(1)
        };
        if with_ack {
            self.largest_reported = self.ranges.last().map(|range| range.end - 1);
            self.smallest_unreported = None;
            self.unacked = 0;
            self.deadline = None;
        }
    }

    /// Whether the next ACK frame should be accompanied by a PING, because the peer has had no reason
    /// to acknowledge for long and our ranges grow (§13.2.4).
    pub fn ping_wanted(&self) -> bool {
        self.ack_only >= limits::ACK_ONLY_PACKETS
    }

    /// The peer has received an ACK frame with this Largest Acknowledged: it need not hear of those again.
    pub fn on_ack_acked(&mut self, largest: PacketNumber) {
        // RFC 9000 §13.2.3: the largest received number stays in every ACK frame.
        let received = self.largest.map_or(0, |(number, _)| number.value());
        // RFC 9000 §13.2.1: a late packet that no frame has reported yet is still to be reported.
        let unreported = self.smallest_unreported.unwrap_or(u64::MAX);
        self.ranges
            .remove(0..received.min(largest.value() + 1).min(unreported));
    }

    /// The peer asks for other acknowledgements (ACK_FREQUENCY).
    pub fn set_ack_frequency(&mut self, frequency: AckFrequency) {
        self.frequency = frequency;
    }

    /// The peer asks for an acknowledgement now (IMMEDIATE_ACK).
    pub fn on_immediate_ack(&mut self, now: Time) {
        self.deadline = Some(now);
    }

    fn on_ack_eliciting(&mut self, now: Time, value: u64, ecn: Option<Ecn>) {
        self.unacked += 1;
        // RFC 9000 §13.2.1: a CE mark is reported at once.
        let at_once = ecn == Some(Ecn::Ce)
            || self.unacked > self.frequency.ack_eliciting_threshold
            || self.is_out_of_order(value);
        self.largest_eliciting = self.largest_eliciting.max(Some(value));
        let latest = if at_once {
            now
        } else {
            now + self.frequency.max_ack_delay
        };
        self.deadline = Some(
            self.deadline
                .map_or(latest, |deadline| deadline.min(latest)),
        );
    }

    /// Whether this packet closes or opens a gap that the peer's loss detection wants to hear of.
    fn is_out_of_order(&self, value: u64) -> bool {
        let threshold = self.frequency.reordering_threshold;
        if threshold == 0 {
            return false;
        }
        // RFC 9000 §13.2.1: a packet below another one fills a gap that was reported.
        if threshold == 1
            && self
                .largest_eliciting
                .is_some_and(|largest| value < largest)
        {
            return true;
        }
        let largest = value.max(self.largest_eliciting.unwrap_or(value));
        // Gaps below were told of in an earlier frame. Before the first frame the first packet is the
        // measure: what came before it may have gone to another path or key.
        let reported = match self.largest_reported {
            Some(reported) => (reported + 1).saturating_sub(threshold),
            None => self.ranges.first().map_or(value, |range| range.start),
        };
        let missing = self.seen.gaps(reported.max(self.floor)..largest).next();
        missing.is_some_and(|gap| largest - gap.start >= threshold)
    }

    fn count(&mut self, ecn: Option<Ecn>) {
        match ecn {
            Some(Ecn::Ect0) => self.ecn.ect0 += 1,
            Some(Ecn::Ect1) => self.ecn.ect1 += 1,
            Some(Ecn::Ce) => self.ecn.ecn_ce += 1,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(25);

    const fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    fn data() -> Space {
        Space::new(SpaceId::Data, DELAY)
    }

    fn receive(space: &mut Space, millis: u64, number: u64) {
        space.on_packet_received(at(millis), PacketNumber::new(number), true, None);
    }

    /// The ranges of the ACK frame that is sent now, ends included.
    fn send_ack(space: &mut Space) -> Vec<[u64; 2]> {
        let ranges = space
            .ack_ranges()
            .iter()
            .map(|range| [range.start, range.end - 1])
            .collect();
        space.on_packet_sent(true, false);
        ranges
    }

    /// RFC 9000 §13.2.2.
    #[test]
    fn every_second_packet_is_acknowledged_or_one_after_the_delay() {
        let mut space = data();
        receive(&mut space, 0, 0);
        assert!(space.ack_wanted() && !space.ack_due(at(24)));
        assert_eq!(space.ack_deadline(), Some(at(25)));
        assert!(space.ack_due(at(25)));
        receive(&mut space, 1, 1);
        assert!(space.ack_due(at(1)));
        assert_eq!(send_ack(&mut space), [[0, 1]]);
        assert!(!space.ack_wanted() && space.ack_deadline().is_none());
    }

    /// RFC 9000 §13.2.1.
    #[test]
    fn handshake_packets_are_acknowledged_at_once() {
        for id in [SpaceId::Initial, SpaceId::Handshake] {
            let mut space = Space::new(id, DELAY);
            receive(&mut space, 3, 0);
            assert!(space.ack_due(at(3)));
        }
    }

    /// RFC 9000 §13.2.1.
    #[test]
    fn acknowledgements_alone_are_never_answered() {
        let mut space = data();
        for number in [0, 5, 2] {
            space.on_packet_received(at(0), PacketNumber::new(number), false, None);
        }
        assert!(!space.ack_due(Time::FAR_FUTURE) && !space.ack_wanted());
        assert_eq!(space.ack_ranges().len(), 3);
    }

    /// RFC 9000 §13.2.1.
    #[test]
    fn gaps_and_late_packets_are_acknowledged_at_once_but_each_gap_only_once() {
        let mut space = data();
        receive(&mut space, 0, 0);
        receive(&mut space, 0, 2);
        assert!(space.ack_due(at(0)), "a gap opened");
        send_ack(&mut space);
        receive(&mut space, 1, 3);
        assert!(!space.ack_due(at(1)), "the gap is known");
        receive(&mut space, 1, 1);
        assert!(space.ack_due(at(1)), "the gap closed");
        assert_eq!(send_ack(&mut space), [[0, 3]]);
    }

    /// RFC 9000 §13.2.1.
    #[test]
    fn congestion_marks_are_acknowledged_at_once_and_counted() {
        let mut space = data();
        assert_eq!(space.ecn_counts(), None);
        space.on_packet_received(at(0), PacketNumber::new(0), true, Some(Ecn::Ect0));
        assert!(!space.ack_due(at(0)));
        space.on_packet_received(at(0), PacketNumber::new(1), true, Some(Ecn::Ce));
        space.on_packet_received(at(0), PacketNumber::new(1), true, Some(Ecn::Ce));
        assert!(space.ack_due(at(0)));
        assert_eq!(
            space.ecn_counts(),
            Some(EcnCounts {
                ect0: 1,
                ect1: 0,
                ecn_ce: 1
            })
        );
    }

    #[test]
    fn an_ack_frequency_frame_makes_acknowledgements_rarer() {
        let mut space = data();
        let max_ack_delay = Duration::from_millis(100);
        space.set_ack_frequency(AckFrequency {
            ack_eliciting_threshold: 9,
            max_ack_delay,
            reordering_threshold: 3,
        });
        (0..9).for_each(|number| receive(&mut space, 0, number));
        assert_eq!(space.ack_deadline(), Some(at(100)));
        receive(&mut space, 0, 9);
        assert!(space.ack_due(at(0)));
        send_ack(&mut space);
        receive(&mut space, 1, 11);
        receive(&mut space, 1, 12);
        assert!(!space.ack_due(at(1)), "a gap of two is tolerated");
        receive(&mut space, 1, 13);
        assert!(space.ack_due(at(1)));
        send_ack(&mut space);
        space.on_immediate_ack(at(2));
        assert!(space.ack_due(at(2)));
    }

    #[test]
    fn duplicates_are_known_however_old() {
        let mut space = data();
        // Every second number: more gaps than are remembered.
        (0..500).for_each(|n| receive(&mut space, 0, 2 * n));
        for number in 0..=998 {
            let old = number < 2 * (500 - limits::ACK_RANGES as u64) - 1;
            assert_eq!(
                space.is_duplicate(PacketNumber::new(number)),
                old || number % 2 == 0,
                "{number}"
            );
        }
        assert!(space.seen.len() <= limits::ACK_RANGES && space.ranges.len() <= limits::ACK_RANGES);
    }

    /// RFC 9000 §13.2.4.
    #[test]
    fn what_the_peer_knows_is_acknowledged_no_more() {
        let mut space = data();
        for number in [0, 1, 4, 5, 9] {
            receive(&mut space, 0, number);
        }
        send_ack(&mut space);
        space.on_ack_acked(PacketNumber::new(5));
        assert_eq!(send_ack(&mut space), [[9, 9]]);
        assert!(space.is_duplicate(PacketNumber::new(4)));
        receive(&mut space, 0, 3);
        assert_eq!(send_ack(&mut space), [[3, 3], [9, 9]]);
    }

    /// RFC 9000 §13.2.3.
    #[test]
    fn the_largest_number_is_in_every_frame() {
        let mut space = data();
        receive(&mut space, 0, 9);
        space.on_ack_acked(PacketNumber::new(9));
        receive(&mut space, 0, 3);
        assert_eq!(send_ack(&mut space), [[3, 3], [9, 9]]);
    }

    /// RFC 9000 §13.2.5.
    #[test]
    fn the_delay_is_that_of_the_largest_number() {
        let mut space = data();
        receive(&mut space, 10, 5);
        receive(&mut space, 17, 4);
        assert_eq!(space.ack_delay(at(20)), Duration::from_millis(10));
    }

    /// RFC 9000 §13.2.4.
    #[test]
    fn after_many_packets_without_a_reason_to_answer_a_ping_is_wanted() {
        let mut space = data();
        for _ in 0..limits::ACK_ONLY_PACKETS {
            assert!(!space.ping_wanted());
            space.on_packet_sent(true, false);
        }
        assert!(space.ping_wanted());
        space.on_packet_sent(true, true);
        assert!(!space.ping_wanted());
    }

    /// RFC 9000 §13.2.1: each ack-eliciting packet is acknowledged at least once.
    #[test]
    fn what_no_frame_has_reported_yet_is_not_taken_for_known() {
        let mut space = data();
        receive(&mut space, 0, 0);
        receive(&mut space, 0, 2);
        assert_eq!(send_ack(&mut space), [[0, 0], [2, 2]]);
        receive(&mut space, 1, 1);
        space.on_ack_acked(PacketNumber::new(2));
        assert_eq!(send_ack(&mut space), [[1, 2]]);
        space.on_ack_acked(PacketNumber::new(2));
        assert_eq!(send_ack(&mut space), [[2, 2]]);
    }
}
