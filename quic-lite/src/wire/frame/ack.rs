//! ACK frame (RFC 9000 §19.3): which packets the peer has received, newest first.
//! Promise: `parse` accepts only ranges that stay at or above zero, so [`Ack::ranges`] cannot fail.

use crate::range_set::RangeSet;
use crate::wire::error::{WireErrorKind, refuse};
use crate::wire::packet_number::PacketNumber;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, varint};
use core::fmt;
use core::ops::{Range, RangeInclusive};
use nom::Parser;
use nom::combinator::cond;

use super::frame_type;

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The largest packet number the peer has received.
    pub largest_acknowledged: PacketNumber,
    /// How long the peer held it back, in units of 2^ack_delay_exponent microseconds.
    pub ack_delay: u64,
    /// How many packets arrived with which ECN mark, when the peer counts them.
    pub ecn_counts: Option<EcnCounts>,
    first_ack_range: u64,
    ack_range_count: u64,
    more: &'a [u8], // validated (gap, length) pairs, read lazily by `ranges`
}

/// Packets that arrived with each ECN mark (§19.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcnCounts {
    /// With ECT(0).
    pub ect0: u64,
    /// With ECT(1).
    pub ect1: u64,
    /// With CE.
    pub ecn_ce: u64,
}

impl<'a> Ack<'a> {
    pub(super) fn parse(i: &'a [u8], with_ecn: bool) -> PResult<'a, Self> {
        let (i, largest_acknowledged) = varint::parse(i)?;
        let (i, ack_delay) = varint::parse(i)?;
        let (i, ack_range_count) = varint::parse(i)?;
        let (i, first_ack_range) = varint::parse(i)?;
        let (i, more) = checked_ranges(i, largest_acknowledged, first_ack_range, ack_range_count)?;
        let (i, ecn_counts) = cond(with_ecn, EcnCounts::parse).parse(i)?;
        let largest_acknowledged = PacketNumber::new(largest_acknowledged);
        Ok((
            i,
            Self {
                largest_acknowledged,
                ack_delay,
                ecn_counts,
                first_ack_range,
                ack_range_count,
                more,
            },
        ))
    }

    /// The acknowledged packet numbers as inclusive ranges, highest first.
    pub const fn ranges(&self) -> AckRanges<'a> {
        AckRanges {
            next: Some((self.largest_acknowledged.value(), self.first_ack_range)),
            more: self.more,
        }
    }

    /// How many ranges there are, at least one.
    pub const fn range_count(&self) -> u64 {
        self.ack_range_count.saturating_add(1)
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(if self.ecn_counts.is_some() {
            frame_type::ACK_ECN
        } else {
            frame_type::ACK
        })?;
        out.varint(self.largest_acknowledged.value())?;
        out.varint(self.ack_delay)?;
        out.varint(self.ack_range_count)?;
        out.varint(self.first_ack_range)?;
        out.put(self.more)?;
        self.ecn_counts.map_or(Ok(()), |counts| counts.encode(out))
    }

    /// Writes an ACK of the packet numbers in `received`, the highest ranges first and as many as fit;
    /// says how many it wrote. `Full`, and nothing written, when `received` is empty or not even one fits.
    pub fn encode_ranges(
        received: &RangeSet,
        ack_delay: u64,
        ecn_counts: Option<EcnCounts>,
        out: &mut Writer<'_>,
    ) -> Result<usize, Full> {
        let newest = received.last().ok_or(Full)?;
        let largest = newest.end.checked_sub(1).ok_or(Full)?;
        let fixed = [largest, ack_delay, length(&newest)]
            .map(varint::size)
            .into_iter()
            .sum::<usize>();
        let ecn = ecn_counts.map_or(0, |counts| counts.encoded_len());
        // One byte for the type, two for the count.
        let room = out
            .remaining()
            .checked_sub(fixed.saturating_add(ecn).saturating_add(3))
            .ok_or(Full)?;
        let count = ranges_that_fit(received, room);
        out.atomically(|out| {
            out.varint(if ecn_counts.is_some() {
                frame_type::ACK_ECN
            } else {
                frame_type::ACK
            })?;
            out.varint(largest)?;
            out.varint(ack_delay)?;
            out.varint(u64::try_from(count).map_err(|_| Full)?)?;
            out.varint(length(&newest))?;
            for (gap, length) in pairs(received).take(count) {
                out.varint(gap)?;
                out.varint(length)?;
            }
            ecn_counts.map_or(Ok(()), |counts| counts.encode(out))
        })?;
        Ok(count.saturating_add(1))
    }
}

/// See [`Ack::ranges`].
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    next: Option<(u64, u64)>, // largest, and how many below it
    more: &'a [u8],
}

impl Iterator for AckRanges<'_> {
    type Item = RangeInclusive<PacketNumber>;

    fn next(&mut self) -> Option<Self::Item> {
        let (largest, length) = self.next.take()?;
        let smallest = largest.checked_sub(length)?;
        if let Ok((rest, (gap, length))) = pair(self.more) {
            self.more = rest;
            // RFC 9000 §19.3.1: a gap of n stands for n+1 missing packets.
            self.next = smallest
                .checked_sub(gap)
                .and_then(|n| n.checked_sub(2))
                .map(|n| (n, length));
        }
        Some(PacketNumber::new(smallest)..=PacketNumber::new(largest))
    }
}

impl EcnCounts {
    fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, ect0) = varint::parse(i)?;
        let (i, ect1) = varint::parse(i)?;
        let (i, ecn_ce) = varint::parse(i)?;
        Ok((i, Self { ect0, ect1, ecn_ce }))
    }

    fn encode(self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(self.ect0)?;
        out.varint(self.ect1)?;
        out.varint(self.ecn_ce)
    }

    fn encoded_len(self) -> usize {
        [self.ect0, self.ect1, self.ecn_ce]
            .map(varint::size)
            .into_iter()
            .sum()
    }
}

impl fmt::Display for Ack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ACK")?;
        let mut separator = ' ';
        for range in self.ranges() {
            match (range.start(), range.end()) {
                (smallest, largest) if smallest == largest => write!(f, "{separator}{largest}")?,
                (smallest, largest) => write!(f, "{separator}{smallest}-{largest}")?,
            }
            separator = ',';
        }
        write!(f, " delay={}", self.ack_delay)?;
        match self.ecn_counts {
            Some(EcnCounts { ect0, ect1, ecn_ce }) => write!(f, " ecn={ect0}/{ect1}/{ecn_ce}"),
            None => Ok(()),
        }
    }
}

fn pair(i: &[u8]) -> PResult<'_, (u64, u64)> {
    let (i, gap) = varint::parse(i)?;
    let (i, length) = varint::parse(i)?;
    Ok((i, (gap, length)))
}

/// Walks `count` pairs to see that each stays at or above packet number 0, and returns their bytes.
fn checked_ranges(i: &[u8], largest: u64, first: u64, count: u64) -> PResult<'_, &[u8]> {
    let Some(mut smallest) = largest.checked_sub(first) else {
        return refuse(WireErrorKind::AckRangeBelowZero);
    };
    let mut rest = i;
    // However large the count is, each step takes two bytes or is the last.
    for _ in 0..count {
        let (after, (gap, length)) = pair(rest)?;
        let next = smallest
            .checked_sub(gap)
            .and_then(|n| n.checked_sub(2))
            .and_then(|n| n.checked_sub(length));
        let Some(next) = next else {
            return refuse(WireErrorKind::AckRangeBelowZero);
        };
        (rest, smallest) = (after, next);
    }
    let used = i.len().saturating_sub(rest.len());
    Ok((rest, i.get(..used).unwrap_or_default()))
}

/// The packets below the highest of a range.
fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start).saturating_sub(1)
}

/// The (gap, length) pairs behind the highest range.
fn pairs(received: &RangeSet) -> impl Iterator<Item = (u64, u64)> {
    let above = received.iter().rev();
    let below = received.iter().rev().skip(1);
    above.zip(below).map(|(above, below)| {
        let missing = above.start.saturating_sub(below.end);
        (missing.saturating_sub(1), length(&below))
    })
}

/// How many pairs fit into `room` bytes; fewer than 2^14, whose count fits two bytes.
fn ranges_that_fit(received: &RangeSet, room: usize) -> usize {
    pairs(received)
        .take(0x3fff)
        .scan(room, |room, (gap, length)| {
            *room = room.checked_sub(varint::size(gap).saturating_add(varint::size(length)))?;
            Some(())
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::WireError;
    use crate::wire::frame::Frame;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn parse(bytes: &[u8]) -> Result<Ack<'_>, WireErrorKind> {
        match Frame::parse(bytes) {
            Ok(([], Frame::Ack(ack))) => Ok(ack),
            Ok(other) => panic!("{other:?}"),
            Err(WireError { kind, .. }) => Err(kind),
        }
    }

    fn set<const N: usize>(ranges: [Range<u64>; N]) -> RangeSet {
        ranges.into_iter().collect()
    }

    #[test]
    fn ranges_are_written_highest_first_with_gaps_less_one() {
        // 7-9, 3-4, 0: gaps of 2 and 2 missing packets.
        let received = set([0..1, 3..5, 7..10]);
        let mut buffer = [0; 32];
        let mut out = Writer::new(&mut buffer);
        assert_eq!(Ack::encode_ranges(&received, 25, None, &mut out), Ok(3));
        assert_eq!(out.written(), [0x02, 9, 25, 2, 2, 1, 1, 1, 0]);
        let ack = parse(out.written()).unwrap();
        assert_eq!(ack.to_string(), "ACK 7-9,3-4,0 delay=25");
        assert_eq!(ack.range_count(), 3);
        let back: RangeSet = ack
            .ranges()
            .map(|r| r.start().value()..r.end().value() + 1)
            .collect();
        assert_eq!(back, received);
    }

    #[test]
    fn ecn_counts_follow_the_ranges() {
        let counts = EcnCounts {
            ect0: 1,
            ect1: 2,
            ecn_ce: 64,
        };
        let mut buffer = [0; 32];
        let mut out = Writer::new(&mut buffer);
        Ack::encode_ranges(&RangeSet::from_iter(Some(4..6)), 0, Some(counts), &mut out).unwrap();
        assert_eq!(out.written(), [0x03, 5, 0, 0, 1, 1, 2, 0x40, 0x40]);
        let ack = parse(out.written()).unwrap();
        assert_eq!(ack.ecn_counts, Some(counts));
        assert_eq!(ack.to_string(), "ACK 4-5 delay=0 ecn=1/2/64");
    }

    #[test]
    fn only_as_many_ranges_as_fit_are_written() {
        let received: RangeSet = (0..100).map(|n| n * 3..n * 3 + 1).collect();
        for room in 0..260 {
            let mut buffer = [0; 260];
            let mut out = Writer::new(&mut buffer[..room]);
            match Ack::encode_ranges(&received, 0, None, &mut out) {
                Err(Full) => assert!(room < 7 && out.is_empty()),
                Ok(count) => {
                    let ranges: Vec<_> = parse(out.written()).unwrap().ranges().collect();
                    assert_eq!(ranges.len(), count);
                    assert_eq!(ranges[0].end().value(), 297);
                    assert!(count == 100 || out.remaining() < 3);
                }
            }
        }
    }

    #[test]
    fn an_empty_set_has_no_ack() {
        let mut buffer = [0; 32];
        assert_eq!(
            Ack::encode_ranges(&RangeSet::new(), 0, None, &mut Writer::new(&mut buffer)),
            Err(Full)
        );
    }

    #[test]
    fn ranges_below_zero_are_refused() {
        let below = Err(WireErrorKind::AckRangeBelowZero);
        assert_eq!(parse(&[0x02, 3, 0, 0, 4]), below); // first range
        assert_eq!(parse(&[0x02, 3, 0, 1, 2, 0, 0]), below); // gap of one below packet 1
        assert_eq!(parse(&[0x02, 9, 0, 1, 2, 1, 5]), below); // second range 4 down to -1
        assert!(parse(&[0x02, 9, 0, 1, 2, 1, 4]).is_ok());
    }

    #[test]
    fn a_count_beyond_the_payload_is_refused_at_its_end() {
        let frame = [
            0x02, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0,
        ];
        assert_eq!(parse(&frame), Err(WireErrorKind::Truncated));
    }

    #[test]
    fn the_whole_number_space_can_be_acknowledged() {
        let mut frame = Vec::from([0x02]);
        frame.extend([0xff; 8]);
        frame.extend([0, 0]);
        frame.extend([0xff; 8]);
        let ranges: Vec<_> = parse(&frame).unwrap().ranges().collect();
        assert_eq!(ranges, [PacketNumber::ZERO..=PacketNumber::MAX]);
    }
}
