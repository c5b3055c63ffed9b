//! Packets whose fate is not known. RFC 9002 A.1.
//!
//! Sorted by number, found by binary search. Numbers need not be consecutive (some are skipped on
//! purpose, some belong to another sender of the same space), nor come in order: a packet that the
//! other sender took is entered when its report is read. Promise: work is proportional to packets
//! that were sent, never to the span of numbers a peer names; nothing is allocated per packet.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use super::sent_frame::SentFrame;
use crate::time::Time;
use crate::wire::packet_number::PacketNumber;

/// What is remembered of a sent packet (RFC 9002 A.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// Its number.
    pub number: PacketNumber,
    /// When it left.
    pub time: Time,
    /// Which path it took: `Recovery::path_generation()`, or `OFF_PATH`.
    pub path: u32,
    /// Bytes from the first of its header to the last of its tag.
    pub size: u16,
    /// Whether the peer must acknowledge it.
    pub ack_eliciting: bool,
    /// Whether it counts against the congestion window: it carries more than ACK and CONNECTION_CLOSE.
    pub in_flight: bool,
    /// Whether its datagram carried ECT(0).
    pub ecn_marked: bool,
    /// Whether it only tests if a datagram of its size arrives (RFC 9000 §14.4).
    pub mtu_probe: bool,
    /// Whether another sender sent it.
    pub by_other: bool,
}

impl SentPacket {
    /// The path of packets that validate some other path: no congestion control, RTT or PTO follows from them.
    pub const OFF_PATH: u32 = u32::MAX;
}

/// Sent packets of one packet number space, and what they carried.
#[derive(Debug, Default)]
pub struct SentPackets {
    /// In order of numbers. Removed packets stay as holes until they are at the front, or too many.
    entries: VecDeque<Entry>,
    holes: usize,
    /// The frames of all packets. Those of one packet stand together, in the order of entering.
    frames: VecDeque<Option<SentFrame>>,
    /// How many frames have left `frames` at the front.
    frames_base: u64,
    /// Empty: memory for gathering the frames.
    spare: VecDeque<Option<SentFrame>>,
}

#[derive(Debug)]
struct Entry {
    packet: SentPacket,
    first_frame: u64,
    frame_count: usize,
    removed: bool,
}

impl SentPackets {
    /// Enters a packet; false, and nothing changed, when its number is already there.
    pub fn insert(&mut self, packet: SentPacket, frames: &[SentFrame]) -> bool {
        let at = match self.entries.back() {
            Some(last) if last.packet.number >= packet.number => {
                match self
                    .entries
                    .binary_search_by_key(&packet.number, |entry| entry.packet.number)
                {
                    Ok(_) => return false,
                    Err(at) => at,
                }
            }
            _ => self.entries.len(),
        };
        let entry = Entry {
            packet,
            first_frame: self.frames_base + self.frames.len() as u64,
            frame_count: frames.len(),
            removed: false,
        };
        self.frames.extend(frames.iter().copied().map(Some));
        self.entries.insert(at, entry);
        true
    }

    /// Removes the packets with numbers in `range` for which `decide` says so. Appends them to
    /// `removed` in ascending order, and their frames to `frames` in the same order.
    pub fn remove_if(
        &mut self,
        range: RangeInclusive<PacketNumber>,
        frames: &mut Vec<SentFrame>,
        removed: &mut Vec<Removed>,
        mut decide: impl FnMut(&SentPacket) -> Fate,
    ) {
        let start = self
            .entries
            .partition_point(|entry| entry.packet.number < *range.start());
        for entry in self.entries.range_mut(start..) {
            if entry.packet.number > *range.end() {
                break;
            }
            if entry.removed {
                continue;
            }
            match decide(&entry.packet) {
                Fate::Keep => {}
                Fate::Stop => break,
                Fate::Remove => {
                    entry.removed = true;
                    self.holes += 1;
                    removed.push(Removed {
                        packet: entry.packet,
                        frame_count: entry.frame_count,
                    });
                    let carried = self.frames.range_mut(entry.frames(self.frames_base));
                    frames.extend(carried.filter_map(Option::take));
                }
            }
        }
        self.tidy();
    }

    /// Removes the packets for which `decide`, told how many are left, says so, and what they carried.
    pub fn forget(&mut self, mut decide: impl FnMut(usize, &SentPacket) -> Fate) {
        let mut left = self.len();
        for entry in self.entries.iter_mut().filter(|entry| !entry.removed) {
            match decide(left, &entry.packet) {
                Fate::Keep => continue,
                Fate::Stop => break,
                Fate::Remove => {}
            }
            entry.removed = true;
            left -= 1;
            self.holes += 1;
            self.frames
                .range_mut(entry.frames(self.frames_base))
                .for_each(|frame| *frame = None);
        }
        self.tidy();
    }

    /// The remaining packets, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &SentPacket> {
        self.entries
            .iter()
            .filter(|entry| !entry.removed)
            .map(|entry| &entry.packet)
    }

    /// Appends to `out` the frames of the first `packets` packets for which `wanted` holds, and keeps them.
    pub fn copy_frames(
        &self,
        packets: usize,
        wanted: impl Fn(&SentPacket) -> bool,
        out: &mut Vec<SentFrame>,
    ) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| !entry.removed && wanted(&entry.packet))
            .take(packets)
        {
            out.extend(self.frames.range(entry.frames(self.frames_base)).flatten());
        }
    }

    /// How many packets remain.
    pub fn len(&self) -> usize {
        self.entries.len() - self.holes
    }

    /// Whether none remains.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.removed) {
            self.entries.pop_front();
            self.holes -= 1;
        }
        while matches!(self.frames.front(), Some(None)) {
            self.frames.pop_front();
            self.frames_base += 1;
        }
        if self.holes > HOLES + self.len() / 4 {
            self.entries.retain(|entry| !entry.removed);
            self.holes = 0;
            self.gather_frames();
        }
        if self.entries.is_empty() {
            // Nothing in flight is the idle case: what a burst needed is given back.
            self.spare = VecDeque::new();
            self.entries.shrink_to(IDLE_CAPACITY);
            self.frames.shrink_to(IDLE_CAPACITY);
        }
    }
}

impl SentPackets {
    /// Lets go of the frames of packets that are gone. One that stays for long, because nobody acknowledges
    /// it, would hold back those of all later ones.
    fn gather_frames(&mut self) {
        let mut kept = core::mem::take(&mut self.spare);
        for entry in &mut self.entries {
            let range = entry.frames(self.frames_base);
            entry.first_frame = kept.len() as u64;
            kept.extend(self.frames.range(range).copied());
        }
        self.spare = core::mem::replace(&mut self.frames, kept);
        self.spare.clear();
        self.frames_base = 0;
    }
}

impl Entry {
    /// Where its frames are.
    fn frames(&self, frames_base: u64) -> Range<usize> {
        if self.frame_count == 0 {
            // Nothing of its own holds the log back, which may have moved on.
            return 0..0;
        }
        let first = usize::try_from(self.first_frame - frames_base).expect("frames are in memory");
        first..first + self.frame_count
    }
}

/// A packet that left the table.
#[derive(Clone, Copy, Debug)]
pub struct Removed {
    /// The packet.
    pub packet: SentPacket,
    /// How many frames it carried.
    pub frame_count: usize,
}

/// What becomes of a packet that `SentPackets::remove_if` or `SentPackets::forget` visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is acknowledged or lost.
    Remove,
    /// It stays.
    Keep,
    /// It stays, and so do all after it.
    Stop,
}

/// Holes that are always tolerated, so that small tables are not moved about.
const HOLES: usize = 32;
/// Entries kept allocated when nothing is in flight.
const IDLE_CAPACITY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64) -> SentPacket {
        SentPacket {
            number: PacketNumber::new(number),
            time: Time::from_micros(number),
            path: 0,
            size: 1200,
            ack_eliciting: true,
            in_flight: true,
            ecn_marked: false,
            mtu_probe: false,
            by_other: false,
        }
    }

    fn sent(numbers: impl IntoIterator<Item = u64>) -> SentPackets {
        let mut sent = SentPackets::default();
        for number in numbers {
            sent.insert(
                packet(number),
                &[SentFrame::NewConnectionId(number), SentFrame::MaxData],
            );
        }
        sent
    }

    /// Removes a range; returns the numbers as their frames tell them, and how many packets were visited.
    fn remove(sent: &mut SentPackets, range: RangeInclusive<u64>) -> (Vec<u64>, usize) {
        let (mut frames, mut removed, mut visited) = (Vec::new(), Vec::new(), 0);
        let range = PacketNumber::new(*range.start())..=PacketNumber::new(*range.end());
        sent.remove_if(range, &mut frames, &mut removed, |_| {
            visited += 1;
            Fate::Remove
        });
        assert_eq!(
            frames.len(),
            removed
                .iter()
                .map(|removed| removed.frame_count)
                .sum::<usize>()
        );
        let numbers = frames.iter().filter_map(|frame| match frame {
            SentFrame::NewConnectionId(number) => Some(*number),
            _ => None,
        });
        (numbers.collect(), visited)
    }

    fn numbers(sent: &SentPackets) -> Vec<u64> {
        sent.iter().map(|packet| packet.number.value()).collect()
    }

    #[test]
    fn ranges_take_what_is_there_with_its_frames() {
        let mut sent = sent(0..10);
        assert_eq!(remove(&mut sent, 3..=5).0, [3, 4, 5]);
        assert_eq!(remove(&mut sent, 2..=6).0, [2, 6]);
        assert_eq!(numbers(&sent), [0, 1, 7, 8, 9]);
    }

    #[test]
    fn a_packet_without_frames_does_not_hold_the_log() {
        let mut sent = sent(0..2);
        sent.insert(packet(2), &[]);
        sent.insert(packet(3), &[SentFrame::MaxData]);
        remove(&mut sent, 0..=1);
        assert_eq!(sent.frames.len(), 1);
        assert_eq!(remove(&mut sent, 2..=2).1, 1);
    }

    #[test]
    fn gaps_cost_nothing_however_wide() {
        let mut sent = sent([0, 1 << 40, 1 << 61]);
        assert_eq!(
            remove(&mut sent, 1..=(1 << 62) - 1),
            (vec![1 << 40, 1 << 61], 2)
        );
    }

    #[test]
    fn packets_of_another_sender_may_be_entered_late() {
        let mut sent = sent([5, 9, 7, 1, 9]);
        assert_eq!(numbers(&sent), [1, 5, 7, 9]);
        assert_eq!(remove(&mut sent, 5..=7).0, [5, 7]);
        sent.insert(packet(6), &[]);
        sent.insert(packet(0), &[]);
        assert_eq!(numbers(&sent), [0, 1, 6, 9]);
        assert_eq!(remove(&mut sent, 0..=9).0, [1, 9]);
    }

    #[test]
    fn acknowledged_packets_free_the_log() {
        let mut sent = sent(0..1000);
        remove(&mut sent, 1..=999);
        assert!(sent.entries.len() <= 2 + HOLES, "holes are compacted");
        remove(&mut sent, 0..=0);
        assert!(sent.frames.is_empty() && sent.entries.is_empty());
        assert!(
            sent.frames.capacity() <= IDLE_CAPACITY * 2
                && sent.entries.capacity() <= IDLE_CAPACITY * 2
        );
        sent.insert(packet(2000), &[SentFrame::NewConnectionId(2000)]);
        assert_eq!(remove(&mut sent, 0..=3000).0, [2000]);
    }

    #[test]
    fn holes_are_tolerated_up_to_a_bound() {
        let mut sent = sent(0..43);
        remove(&mut sent, 1..=34);
        assert_eq!(sent.entries.len(), 43, "32 and a quarter of 9");
        remove(&mut sent, 35..=35);
        assert_eq!(sent.entries.len(), 8);
        assert_eq!(remove(&mut sent, 0..=99).0, [0, 36, 37, 38, 39, 40, 41, 42]);
    }

    #[test]
    fn a_packet_that_nobody_acknowledges_does_not_hold_the_log() {
        let mut sent = sent(0..1);
        for number in 1..20_000 {
            sent.insert(packet(number), &[SentFrame::NewConnectionId(number)]);
            remove(&mut sent, number..=number);
            let (frames, spare) = (sent.frames.len(), sent.spare.capacity());
            assert!(
                frames <= 4 * HOLES && spare <= 4 * HOLES,
                "{frames}, {spare}"
            );
        }
        assert_eq!(remove(&mut sent, 0..=20_000).0, [0]);
    }

    #[test]
    fn steady_traffic_allocates_no_more() {
        let mut sent = sent(0..100);
        for number in 100..200 {
            sent.insert(packet(number), &[SentFrame::MaxData; 2]);
            remove(&mut sent, 0..=number - 100);
        }
        let capacity = (sent.entries.capacity(), sent.frames.capacity());
        for number in 200..20_000 {
            sent.insert(packet(number), &[SentFrame::MaxData; 2]);
            remove(&mut sent, 0..=number - 100);
        }
        assert_eq!((sent.entries.capacity(), sent.frames.capacity()), capacity);
    }

    #[test]
    fn frames_can_be_read_without_removing_the_packet() {
        let sent = sent(0..5);
        let mut frames = Vec::new();
        sent.copy_frames(2, |packet| packet.number.value() > 1, &mut frames);
        assert_eq!(frames.len(), 4);
        assert_eq!(frames[0], SentFrame::NewConnectionId(2));
        assert_eq!(sent.len(), 5);
    }

    #[test]
    fn old_packets_can_be_forgotten() {
        let mut sent = sent(0..10);
        sent.forget(|left, packet| {
            if left > 8 || packet.number.value() < 4 {
                Fate::Remove
            } else {
                Fate::Stop
            }
        });
        assert_eq!(numbers(&sent), [4, 5, 6, 7, 8, 9]);
        assert_eq!(sent.frames.len(), 12);
    }

    #[test]
    fn stop_ends_the_walk() {
        let mut sent = sent(0..100);
        let mut visited = 0;
        sent.remove_if(
            PacketNumber::ZERO..=PacketNumber::MAX,
            &mut Vec::new(),
            &mut Vec::new(),
            |packet| {
                visited += 1;
                if packet.number.value() < 3 {
                    Fate::Keep
                } else {
                    Fate::Stop
                }
            },
        );
        assert_eq!(visited, 4);
    }
}
