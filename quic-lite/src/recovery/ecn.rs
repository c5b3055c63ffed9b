//! Explicit congestion notification, the sender's part: does this path carry the marks? RFC 9000 §13.4.
//!
//! The first packets on a path carry ECT(0); marking goes on only if the peer's counts prove that
//! the marks arrive. Promise: counts that do not add up end marking on this path for good, and are
//! never taken for congestion.

use crate::wire::frame::EcnCounts;

/// The ECN codepoint of an IP packet (RFC 3168 §5); none is Not-ECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// ECT(0): this sender understands ECN.
    Ect0,
    /// ECT(1).
    Ect1,
    /// A router on the path is congested.
    Ce,
}

impl Ecn {
    /// The codepoint in the low two bits of the traffic class.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0b01 => Some(Self::Ect1),
            0b10 => Some(Self::Ect0),
            0b11 => Some(Self::Ce),
            _ => None,
        }
    }

    /// Its bits in the traffic class.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ect1 => 0b01,
            Self::Ect0 => 0b10,
            Self::Ce => 0b11,
        }
    }
}

/// What is known of ECN on a path (states of RFC 9000 A.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcnState {
    /// The first packets are being marked.
    Testing,
    /// Enough packets were marked; their acknowledgements decide.
    Unknown,
    /// Marks arrive and are reported: all packets are marked.
    Capable,
    /// Marks are lost, altered or not reported, or not wanted: none is set.
    Failed,
}

/// Validation of one path.
#[derive(Clone, Debug)]
pub struct EcnValidation {
    state: EcnState,
    /// Marked packets sent before the outcome, and how many of them were lost.
    sent: u64,
    lost: u64,
}

/// The counts of one packet number space. They outlive paths, as the peer's counts do.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpaceCounts {
    /// The peer's counts in the newest ACK frame that was used.
    reported: EcnCounts,
    /// Packets ever sent with ECT(0).
    pub sent_ect0: u64,
}

impl EcnValidation {
    /// Validation of a new path; `enabled` is whether the application wants ECN.
    pub fn new(enabled: bool) -> Self {
        let state = if enabled {
            EcnState::Testing
        } else {
            EcnState::Failed
        };
        Self {
            state,
            sent: 0,
            lost: 0,
        }
    }

    /// What is known so far.
    pub fn state(&self) -> EcnState {
        self.state
    }

    /// Whether packets are to carry ECT(0) now.
    pub fn marks(&self) -> bool {
        matches!(self.state, EcnState::Testing | EcnState::Capable)
    }

    /// A packet with ECT(0) left on this path.
    pub fn on_marked_sent(&mut self) {
        self.sent += 1;
        if self.state == EcnState::Testing && self.sent >= TESTING_PACKETS {
            self.state = EcnState::Unknown;
        }
    }

    /// A packet with ECT(0) was lost on this path.
    pub fn on_marked_lost(&mut self) {
        self.lost += 1;
        // RFC 9000 §13.4.2: when all marked packets are lost, the marks may be the reason.
        if self.state == EcnState::Unknown && self.lost >= self.sent {
            self.state = EcnState::Failed;
        }
    }

    /// Probe timeouts follow each other without any acknowledgement.
    pub fn on_repeated_pto(&mut self) {
        // RFC 9000 §13.4.2: three PTOs are long enough to insist on marks.
        if self.state == EcnState::Testing {
            self.state = EcnState::Unknown;
        }
    }

    /// An ACK frame that raised the largest acknowledged number was the first to acknowledge
    /// `newly_acked` marked packets of this path. Whether it reports new congestion.
    ///
    /// Do not call it for other ACK frames: reordered ones prove nothing (RFC 9000 §13.4.2.1).
    pub fn on_ack(
        &mut self,
        space: &mut SpaceCounts,
        newly_acked: u64,
        reported: Option<EcnCounts>,
    ) -> bool {
        let Some(reported) = reported else {
            if newly_acked > 0 {
                self.state = EcnState::Failed;
            }
            return false;
        };
        if self.state == EcnState::Failed {
            space.reported = reported;
            return false;
        }
        let before = space.reported;
        space.reported = reported;
        let ce = reported.ecn_ce.checked_sub(before.ecn_ce);
        let ect0 = reported.ect0.checked_sub(before.ect0);
        match (ce, ect0) {
            // RFC 9000 §13.4.2.1: each newly acknowledged packet was counted once, marks of a kind
            // never set are somebody's error, and no more can arrive than were sent.
            (Some(ce), Some(ect0))
                if ce.saturating_add(ect0) >= newly_acked
                    && reported.ect1 == 0
                    && reported.ect0 <= space.sent_ect0 =>
            {
                if newly_acked > 0 {
                    self.state = EcnState::Capable;
                }
                ce > 0
            }
            _ => {
                self.state = EcnState::Failed;
                false
            }
        }
    }
}

/// RFC 9000 §13.4.2: the first ten packets carry marks.
const TESTING_PACKETS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// A path and a space on which `sent` marked packets left.
    fn marked(sent: u64) -> (EcnValidation, SpaceCounts) {
        let mut validation = EcnValidation::new(true);
        (0..sent).for_each(|_| validation.on_marked_sent());
        (
            validation,
            SpaceCounts {
                sent_ect0: sent,
                ..SpaceCounts::default()
            },
        )
    }

    fn counts(ect0: u64, ect1: u64, ecn_ce: u64) -> Option<EcnCounts> {
        Some(EcnCounts { ect0, ect1, ecn_ce })
    }

    #[test]
    fn ten_packets_are_marked_then_marking_pauses() {
        let (mut validation, _) = marked(9);
        assert!(validation.marks());
        validation.on_marked_sent();
        assert_eq!(
            (validation.state(), validation.marks()),
            (EcnState::Unknown, false)
        );
    }

    #[test]
    fn counts_that_add_up_make_the_path_capable() {
        let (mut validation, mut space) = marked(10);
        assert!(!validation.on_ack(&mut space, 2, counts(2, 0, 0)));
        assert_eq!(validation.state(), EcnState::Capable);
        assert!(validation.marks());
    }

    #[test]
    fn more_ce_marks_are_congestion_and_the_same_number_is_not() {
        let (mut validation, mut space) = marked(10);
        assert!(validation.on_ack(&mut space, 2, counts(1, 0, 1)));
        assert!(!validation.on_ack(&mut space, 2, counts(3, 0, 1)));
        assert!(
            validation.on_ack(&mut space, 0, counts(3, 0, 2)),
            "an acknowledgement may have been lost"
        );
    }

    #[test]
    fn a_failed_path_reports_no_congestion() {
        let (mut validation, mut space) = marked(10);
        validation.on_ack(&mut space, 1, None);
        assert!(!validation.on_ack(&mut space, 1, counts(0, 0, 5)));
        assert_eq!(validation.state(), EcnState::Failed);
    }

    /// RFC 9000 §13.4.2.1, one reason each.
    #[test]
    fn validation_fails_when_counts_do_not_add_up() {
        let failing = [
            ("no counts", 1, None),
            ("a mark was cleared", 3, counts(2, 0, 0)),
            ("ECT(1) was never sent", 2, counts(2, 1, 0)),
            ("more than were sent", 2, counts(11, 0, 0)),
        ];
        for (reason, newly_acked, reported) in failing {
            let (mut validation, mut space) = marked(10);
            assert!(!validation.on_ack(&mut space, newly_acked, reported));
            assert_eq!(validation.state(), EcnState::Failed, "{reason}");
        }
    }

    #[test]
    fn counts_that_shrink_fail_a_capable_path() {
        for shrunk in [counts(4, 0, 1), counts(5, 0, 0)] {
            let (mut validation, mut space) = marked(10);
            validation.on_ack(&mut space, 6, counts(5, 0, 1));
            validation.on_ack(&mut space, 0, shrunk);
            assert_eq!(validation.state(), EcnState::Failed);
        }
    }

    #[test]
    fn no_counts_are_missed_while_nothing_marked_is_acknowledged() {
        let (mut validation, mut space) = marked(10);
        validation.on_ack(&mut space, 0, None);
        assert_eq!(validation.state(), EcnState::Unknown);
    }

    #[test]
    fn counts_beside_nothing_new_prove_nothing() {
        let (mut validation, mut space) = marked(10);
        assert!(!validation.on_ack(&mut space, 0, counts(1, 0, 0)));
        assert_eq!(validation.state(), EcnState::Unknown);
    }

    /// RFC 9000 §13.4.2.
    #[test]
    fn losing_every_marked_packet_fails_validation() {
        let (mut validation, _) = marked(10);
        (0..9).for_each(|_| validation.on_marked_lost());
        assert_eq!(validation.state(), EcnState::Unknown);
        validation.on_marked_lost();
        assert_eq!(validation.state(), EcnState::Failed);
    }

    /// RFC 9000 §13.4.2.
    #[test]
    fn repeated_timeouts_end_the_test_early() {
        let (mut validation, _) = marked(3);
        validation.on_repeated_pto();
        assert!(!validation.marks());
    }

    /// RFC 3168 §5.
    #[test]
    fn codepoints_are_the_low_two_bits_of_the_traffic_class() {
        assert_eq!(Ecn::from_bits(0b1011_1000), None);
        for bits in 1..=3 {
            assert_eq!(
                Ecn::from_bits(0b1010_0000 | bits).map(Ecn::bits),
                Some(bits)
            );
        }
    }

    #[test]
    fn ecn_that_is_not_wanted_is_never_marked() {
        assert!(!EcnValidation::new(false).marks());
    }
}
