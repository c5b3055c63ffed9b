//! Which packets are lost, and what that says of the path. RFC 9002 §6.1, §7.6, A.10, B.8.
//!
//! A packet is lost when one sent after it was acknowledged and it is a few numbers or about a
//! round trip behind. Promise: a packet that arrives after all widens these thresholds a little and
//! its frames are still reported as received.

use core::time::Duration;

use crate::limits;
use crate::space::SpaceId;
use crate::time::Time;
use crate::wire::packet_number::PacketNumber;

use super::Recovery;
use super::ecn::SpaceCounts;
use super::outcome::Outcome;
use super::rtt::{GRANULARITY, Rtt};
use super::sent::{Fate, Removed, SentPacket, SentPackets};
use super::sent_frame::SentFrame;
use super::skip::Skipped;

/// What is known of the packets sent in one space (RFC 9002 A.3).
#[derive(Debug, Default)]
pub(super) struct SentSpace {
    /// sent_packets: those whose fate is open.
    pub(super) sent: SentPackets,
    /// Those declared lost not long ago.
    pub(super) lost: SentPackets,
    pub(super) skipped: Skipped,
    pub(super) ecn: SpaceCounts,
    pub(super) largest_acked: Option<PacketNumber>,
    pub(super) loss_time: Option<Time>,
    pub(super) time_of_last_ack_eliciting_packet: Option<Time>,
    /// Ack-eliciting packets whose fate is open, by which the PTO timer runs.
    pub(super) ack_eliciting: u32,
    /// Packets in `sent` that the peer need not acknowledge.
    light: u32,
    /// Probe packets still to be sent because a PTO expired.
    pub(super) probes: u8,
}

/// How much reordering is tolerated (RFC 9002 §6.1.1, §6.1.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Reordering {
    /// kPacketThreshold.
    packets: u64,
    /// kTimeThreshold in eighths.
    eighths: u32,
}

/// What an ACK frame proves of packets that were not lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrivals<'a> {
    /// Packets it acknowledged first.
    pub(super) acked: &'a [Removed],
    /// The newest send time among packets acknowledged before it.
    pub(super) before: Option<Time>,
}

impl SentSpace {
    /// Enters a packet; false when it is known.
    pub(super) fn insert(&mut self, packet: SentPacket, frames: &[SentFrame]) -> bool {
        if !self.sent.insert(packet, frames) {
            return false;
        }
        if counts_for_pto(&packet) {
            self.ack_eliciting += 1;
            self.time_of_last_ack_eliciting_packet = self
                .time_of_last_ack_eliciting_packet
                .max(Some(packet.time));
            self.probes = self.probes.saturating_sub(1);
        }
        self.ecn.sent_ect0 += u64::from(packet.ecn_marked);
        self.light += u32::from(!packet.ack_eliciting);
        true
    }

    /// A packet left `sent`.
    pub(super) fn on_removed(&mut self, packet: &SentPacket) {
        self.ack_eliciting -= u32::from(counts_for_pto(packet));
        self.light -= u32::from(!packet.ack_eliciting);
    }

    /// Drops packets of bare acknowledgements if there are too many: a peer need not acknowledge them, and
    /// their number is not limited by a window. Returns the bytes of those that counted as in flight on
    /// `path`, as padded Initials do.
    pub(super) fn forget_light(&mut self, path: u32) -> u64 {
        if self.light <= limits::UNACKED_ACKS {
            return 0;
        }
        let mut released = 0;
        self.sent.forget(|_, packet| {
            if packet.ack_eliciting {
                return Fate::Keep;
            }
            let counted = packet.in_flight && packet.path == path;
            released += u64::from(packet.size) * u64::from(counted);
            Fate::Remove
        });
        self.light = 0;
        released
    }

    /// RFC 9002 A.10: DetectAndRemoveLostPackets.
    fn remove_lost(&mut self, now: Time, delay: Duration, threshold: u64, out: &mut Outcome) {
        self.loss_time = None;
        let Some(largest) = self.largest_acked else {
            return;
        };
        let (skipped, loss_time) = (&self.skipped, &mut self.loss_time);
        self.sent.remove_if(
            PacketNumber::ZERO..=largest,
            &mut out.lost,
            &mut out.removed,
            |packet| {
                // RFC 9002 A.10 note: numbers that were never sent do not count as reordering.
                let distance =
                    largest.value() - packet.number.value() - skipped.count(packet.number, largest);
                if distance >= threshold || packet.time + delay <= now {
                    return Fate::Remove;
                }
                if packet.in_flight {
                    let time = packet.time + delay;
                    *loss_time = Some(loss_time.map_or(time, |earliest| earliest.min(time)));
                }
                Fate::Keep
            },
        );
    }

    /// Lets go of packets declared lost so long ago that they will not arrive.
    pub(super) fn forget_lost(&mut self, now: Time, keep: Duration) {
        self.lost.forget(|left, packet| {
            if left > limits::LOST_PACKETS || packet.time + keep < now {
                Fate::Remove
            } else {
                Fate::Stop
            }
        });
    }
}

impl Recovery {
    /// Packets of bare acknowledgements that are remembered, in the space that has most.
    pub fn unacked_acks(&self) -> u32 {
        self.spaces
            .iter()
            .map(|space| space.light)
            .max()
            .unwrap_or(0)
    }

    /// Numbers left out that are remembered.
    pub fn skipped_numbers(&self, id: SpaceId) -> usize {
        self.spaces[id.index()].skipped.len()
    }

    /// Finds lost packets of a space, and reacts as RFC 9002 B.8 says.
    pub(super) fn detect_lost(
        &mut self,
        now: Time,
        id: SpaceId,
        arrivals: Arrivals<'_>,
        out: &mut Outcome,
    ) {
        let keep = self.rtt.pto() * LOST_KEPT_PTOS;
        let (delay, threshold) = (
            self.reordering.loss_delay(&self.rtt),
            self.reordering.packets,
        );
        let space = &mut self.spaces[id.index()];
        space.remove_lost(now, delay, threshold, out);
        space.forget_lost(now, keep);
        let lost = core::mem::take(&mut out.removed);
        let mut frames = 0;
        for removed in &lost {
            let carried = frames..frames + removed.frame_count;
            frames = carried.end;
            self.on_packet_lost(now, id, &removed.packet, &out.lost[carried]);
        }
        self.on_packets_lost(now, &lost, arrivals, out);
        out.removed = lost;
        out.removed.clear();
    }

    /// What follows from the loss of each packet alone.
    fn on_packet_lost(
        &mut self,
        now: Time,
        id: SpaceId,
        packet: &SentPacket,
        frames: &[SentFrame],
    ) {
        let space = &mut self.spaces[id.index()];
        space.on_removed(packet);
        if !packet.in_flight {
            return;
        }
        space.lost.insert(*packet, frames);
        if packet.path != self.path {
            return;
        }
        if packet.ecn_marked {
            self.ecn.on_marked_lost();
        }
        if packet.mtu_probe {
            // RFC 9000 §14.4: the loss of a probe says nothing of congestion.
            self.mtu.on_probe_lost(now, packet.size);
            return self.controller.remove(u64::from(packet.size));
        }
        self.mtu.on_lost(packet.time, packet.size);
    }

    /// What follows from all of them together.
    fn on_packets_lost(
        &mut self,
        now: Time,
        lost: &[Removed],
        arrivals: Arrivals<'_>,
        out: &mut Outcome,
    ) {
        let in_flight = lost
            .iter()
            .map(|removed| &removed.packet)
            .filter(|packet| packet.in_flight);
        for packet in in_flight.clone() {
            out.lost_packets += 1;
            out.lost_numbers.push(packet.number);
            out.lost_by_other += u64::from(packet.by_other);
            out.lost_bytes += u64::from(packet.size);
        }
        let congested = in_flight.filter(|packet| packet.path == self.path && !packet.mtu_probe);
        let (packets, bytes) = congested.clone().fold((0, 0), |(n, bytes), packet| {
            (n + 1, bytes + u64::from(packet.size))
        });
        let Some(newest) = congested.map(|packet| packet.time).max() else {
            self.on_loss_event(now, false, out);
            return;
        };
        out.congestion_event |= self.controller.on_packets_lost(now, newest, packets, bytes);
        let persistent = self.is_persistent(lost, arrivals);
        if persistent {
            self.controller.on_persistent_congestion();
            self.rtt.forget_min();
            out.persistent_congestion = true;
        }
        self.on_loss_event(now, persistent, out);
    }

    fn on_loss_event(&mut self, now: Time, persistent: bool, out: &mut Outcome) {
        if self.mtu.on_loss_event(now, persistent) {
            self.on_max_datagram_size(out);
        }
    }

    /// RFC 9002 §7.6.2: two lost packets are far apart and nothing sent between them arrived.
    fn is_persistent(&self, lost: &[Removed], arrivals: Arrivals<'_>) -> bool {
        let duration = (self.rtt.pto() + self.max_ack_delay) * PERSISTENT_CONGESTION_THRESHOLD;
        let first_sample = self.rtt.first_sample();
        let times = lost.iter().map(|removed| &removed.packet).filter(|packet| {
            packet.ack_eliciting
                && packet.path == self.path
                && !packet.mtu_probe
                && first_sample.is_some_and(|first| first < packet.time)
                && arrivals.before.is_none_or(|before| before <= packet.time)
        });
        let times = times.map(|packet| packet.time);
        let (Some(first), Some(last)) = (times.clone().min(), times.clone().max()) else {
            return false;
        };
        last.since(first) > duration && {
            // Rare enough to gather and sort.
            let mut lost: Vec<Time> = times.collect();
            let mut acked: Vec<Time> = arrivals
                .acked
                .iter()
                .map(|removed| removed.packet.time)
                .collect();
            lost.sort_unstable();
            acked.sort_unstable();
            longest_silence(&lost, &acked) > duration
        }
    }

    /// Packets declared lost were acknowledged: they stand in `out.removed`, and were late, not lost.
    pub(super) fn on_late_arrivals(&mut self, now: Time, out: &mut Outcome) {
        let late = core::mem::take(&mut out.removed);
        for removed in &late {
            let packet = removed.packet;
            out.spurious_packets += 1;
            if packet.path != self.path {
                continue;
            }
            self.newest_acked = self.newest_acked.max(Some(packet.time));
            self.mtu.on_acked(now, packet.size, packet.mtu_probe);
            if !packet.mtu_probe {
                self.controller.on_spurious_loss(packet.time);
            }
        }
        if !late.is_empty() {
            self.reordering.widen();
        }
        out.removed = late;
        out.removed.clear();
    }
}

impl Reordering {
    /// RFC 9002 §6.1.2: kTimeThreshold * max(smoothed_rtt, latest_rtt), at least kGranularity.
    fn loss_delay(&self, rtt: &Rtt) -> Duration {
        (rtt.conservative() * self.eighths / 8).max(GRANULARITY)
    }

    /// RFC 9002 §6.1: after spurious losses more reordering is tolerated, within limits.
    fn widen(&mut self) {
        self.packets = (self.packets * 2).min(MAX_PACKET_THRESHOLD);
        self.eighths = (self.eighths + 1).min(MAX_TIME_THRESHOLD);
    }
}

impl Default for Reordering {
    fn default() -> Self {
        Self {
            packets: PACKET_THRESHOLD,
            eighths: TIME_THRESHOLD,
        }
    }
}

/// The longest time between two of `lost` with none of `acked` between them; both are sorted.
fn longest_silence(lost: &[Time], acked: &[Time]) -> Duration {
    let mut longest = Duration::ZERO;
    let Some(&first) = lost.first() else {
        return longest;
    };
    let (mut start, mut previous) = (first, first);
    for &time in lost {
        let after = acked.partition_point(|&acked| acked <= previous);
        if acked.get(after).is_some_and(|&acked| acked < time) {
            start = time;
        }
        longest = longest.max(time.since(start));
        previous = time;
    }
    longest
}

fn counts_for_pto(packet: &SentPacket) -> bool {
    packet.ack_eliciting && packet.path != SentPacket::OFF_PATH
}

/// kPacketThreshold, RFC 9002 §6.1.1.
const PACKET_THRESHOLD: u64 = 3;
/// As far as it widens.
const MAX_PACKET_THRESHOLD: u64 = 16;
/// kTimeThreshold, RFC 9002 §6.1.2: 9/8.
const TIME_THRESHOLD: u32 = 9;
/// As far as it widens.
const MAX_TIME_THRESHOLD: u32 = 12;
/// kPersistentCongestionThreshold, RFC 9002 §7.6.1.
const PERSISTENT_CONGESTION_THRESHOLD: u32 = 3;
/// For so many PTOs a late acknowledgement of a lost packet is understood.
const LOST_KEPT_PTOS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: &[u64]) -> Vec<Time> {
        millis.iter().map(|n| Time::from_micros(n * 1000)).collect()
    }

    fn silence(lost: &[u64], acked: &[u64]) -> u64 {
        let silence = longest_silence(&times(lost), &times(acked));
        u64::try_from(silence.as_millis()).unwrap()
    }

    /// RFC 9002 §6.1: up to 16 numbers, and one and a half round trips.
    #[test]
    fn reordering_widens_within_limits() {
        let mut rtt = Rtt::new(Duration::from_millis(80));
        let mut reordering = Reordering::default();
        let widths: Vec<_> = (0..5)
            .map(|_| {
                let delay = reordering.loss_delay(&rtt).as_millis();
                let width = (reordering.packets, delay);
                reordering.widen();
                width
            })
            .collect();
        assert_eq!(widths, [(3, 90), (6, 100), (12, 110), (16, 120), (16, 120)]);
        rtt.on_sample(Time::ZERO, Duration::from_micros(10), Duration::ZERO);
        assert_eq!(reordering.loss_delay(&rtt), GRANULARITY);
    }

    /// RFC 9002 §7.6.2: what arrived between two lost packets breaks the silence.
    #[test]
    fn silence_lies_between_lost_packets_without_arrivals() {
        assert_eq!(silence(&[], &[5]), 0);
        assert_eq!(silence(&[3], &[]), 0);
        assert_eq!(silence(&[1, 4, 9], &[]), 8);
        assert_eq!(silence(&[1, 4, 9], &[0, 10]), 8, "before and after");
        assert_eq!(silence(&[1, 4, 9], &[2]), 5);
        assert_eq!(silence(&[1, 4, 9], &[5]), 3);
        assert_eq!(silence(&[1, 4, 9], &[2, 5]), 0);
        assert_eq!(silence(&[1, 4, 9], &[1, 4, 9]), 8, "at the same time");
        assert_eq!(silence(&[1, 4, 9, 20, 22], &[5, 21]), 11);
    }

    fn space(sent: core::ops::Range<u64>) -> SentSpace {
        let mut space = SentSpace::default();
        for number in sent {
            let packet = SentPacket {
                number: PacketNumber::new(number),
                time: Time::from_micros(number),
                path: 0,
                size: 100,
                ack_eliciting: true,
                in_flight: true,
                ecn_marked: false,
                mtu_probe: false,
                by_other: false,
            };
            space.lost.insert(packet, &[]);
        }
        space
    }

    #[test]
    fn the_newest_lost_packets_are_remembered_for_a_time() {
        let keep = Duration::from_micros(1000);
        let known = limits::LOST_PACKETS as u64;
        let first = |space: &SentSpace| space.lost.iter().next().map(|lost| lost.number.value());
        let mut many = space(0..known + 5);
        many.forget_lost(Time::ZERO, keep);
        assert_eq!((many.lost.len() as u64, first(&many)), (known, Some(5)));
        many.forget_lost(Time::from_micros(1007), keep);
        assert_eq!(first(&many), Some(7));
        let mut few = space(0..5);
        few.forget_lost(Time::from_micros(1000), keep);
        assert_eq!(first(&few), Some(0));
    }
}
