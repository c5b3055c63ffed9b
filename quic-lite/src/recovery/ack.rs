//! On receiving an acknowledgement. RFC 9002 A.7.
//!
//! Promise: an ACK frame of what was never sent is refused before anything changes, and the work is
//! proportional to the frame's ranges and to the packets that it acknowledges.

use core::time::Duration;

use crate::error::{TransportError, TransportErrorCode};
use crate::space::SpaceId;
use crate::time::Time;
use crate::wire::frame::Ack;
use crate::wire::packet_number::PacketNumber;

use super::Recovery;
use super::loss::Arrivals;
use super::outcome::Outcome;
use super::sent::{Fate, Removed, SentPacket};

impl Recovery {
    /// Takes an ACK frame that arrived in space `id`. `next` is the next number that nobody has used,
    /// and is read before. What another sender could tell of is to be entered before.
    pub fn on_ack(
        &mut self,
        now: Time,
        id: SpaceId,
        ack: &Ack<'_>,
        next: PacketNumber,
        out: &mut Outcome,
    ) -> Result<(), TransportError> {
        out.clear();
        self.refuse_unsent(id, ack, next)?;
        let raised = self.remove_acked(now, id, ack, out);
        let is_complete = id != SpaceId::Data || !self.others.may_miss(ack.largest_acknowledged);
        if !is_complete {
            self.others.hold(ack);
        }
        if out.acked_packets == 0 && out.spurious_packets == 0 {
            return Ok(());
        }
        let empty = core::mem::take(&mut out.arrived);
        let acked = core::mem::replace(&mut out.removed, empty);
        self.update_rtt(now, id, ack, &acked);
        // What is not known yet cannot be compared with the peer's counts.
        if raised && is_complete {
            self.process_ecn(now, id, ack, &acked, out);
        }
        let before = self.newest_acked;
        self.note_arrivals(now, &acked, out);
        self.detect_lost(
            now,
            id,
            Arrivals {
                acked: &acked,
                before,
            },
            out,
        );
        self.on_packets_acked(now, &acked);
        out.arrived = acked;
        self.on_forward_progress(now, id);
        Ok(())
    }

    /// RFC 9000 §13.1: acknowledging what was not sent ends the connection.
    fn refuse_unsent(
        &self,
        id: SpaceId,
        ack: &Ack<'_>,
        next: PacketNumber,
    ) -> Result<(), TransportError> {
        if ack.largest_acknowledged >= next {
            return Err(violation("acknowledged a packet that was not sent"));
        }
        let skipped = &self.spaces[id.index()].skipped;
        // RFC 9000 §21.4: nobody can have received a number that was left out.
        if !skipped.is_empty()
            && ack
                .ranges()
                .any(|range| skipped.any(*range.start(), *range.end()))
        {
            return Err(violation("acknowledged a packet number that was skipped"));
        }
        Ok(())
    }

    /// Moves newly acknowledged packets to `out.removed`. Whether the largest acknowledged number rose.
    fn remove_acked(&mut self, now: Time, id: SpaceId, ack: &Ack<'_>, out: &mut Outcome) -> bool {
        let space = &mut self.spaces[id.index()];
        if !space.lost.is_empty() {
            for range in ack.ranges() {
                space
                    .lost
                    .remove_if(range, &mut out.acked, &mut out.removed, |_| Fate::Remove);
            }
            self.on_late_arrivals(now, out);
        }
        let space = &mut self.spaces[id.index()];
        let raised = space.largest_acked < Some(ack.largest_acknowledged);
        space.largest_acked = space.largest_acked.max(Some(ack.largest_acknowledged));
        for range in ack.ranges() {
            space
                .sent
                .remove_if(range, &mut out.acked, &mut out.removed, |_| Fate::Remove);
        }
        self.count_acked(id, out);
        raised
    }

    /// Counts the packets of `out.removed`, which were in flight until now.
    pub(super) fn count_acked(&mut self, id: SpaceId, out: &mut Outcome) {
        let space = &mut self.spaces[id.index()];
        for removed in &out.removed {
            space.on_removed(&removed.packet);
            out.acked_packets += 1;
            out.acked_by_other += u64::from(removed.packet.by_other);
            out.acked_bytes += u64::from(removed.packet.size);
        }
    }

    /// RFC 9002 §5.1: a sample needs the largest acknowledged packet to be new, and a reason to answer.
    fn update_rtt(&mut self, now: Time, id: SpaceId, ack: &Ack<'_>, acked: &[Removed]) {
        let packets = || acked.iter().map(|removed| &removed.packet);
        let Some(largest) = packets().find(|packet| packet.number == ack.largest_acknowledged)
        else {
            return;
        };
        // RFC 9000 §9.4: packets of another path say nothing of this one.
        if largest.path != self.path || !packets().any(|packet| packet.ack_eliciting) {
            return;
        }
        let micros = ack.ack_delay.saturating_mul(1 << self.ack_delay_exponent);
        let ack_delay = match id {
            // RFC 9002 §5.3: Initial packets are acknowledged without delay.
            SpaceId::Initial => Duration::ZERO,
            // RFC 9002 §5.3: once the handshake is confirmed no more than max_ack_delay is believed.
            _ if self.handshake_confirmed => Duration::from_micros(micros).min(self.max_ack_delay),
            _ => Duration::from_micros(micros),
        };
        self.rtt.on_sample(now, now.since(largest.time), ack_delay);
    }

    /// RFC 9002 B.7, after the validation of RFC 9000 §13.4.2.1.
    fn process_ecn(
        &mut self,
        now: Time,
        id: SpaceId,
        ack: &Ack<'_>,
        acked: &[Removed],
        out: &mut Outcome,
    ) {
        let marked = on_path(acked, self.path)
            .filter(|packet| packet.ecn_marked)
            .count() as u64;
        let counts = &mut self.spaces[id.index()].ecn;
        let congested = self.ecn.on_ack(counts, marked, ack.ecn_counts);
        let newest = on_path(acked, self.path).map(|packet| packet.time).max();
        if congested && let Some(sent) = newest {
            out.congestion_event |= self.controller.on_congestion_experienced(now, sent);
        }
    }

    /// What arrived says how recent the path's last sign of life is, and which sizes it carries.
    pub(super) fn note_arrivals(&mut self, now: Time, acked: &[Removed], out: &mut Outcome) {
        for packet in on_path(acked, self.path) {
            self.newest_acked = self.newest_acked.max(Some(packet.time));
            if self.mtu.on_acked(now, packet.size, packet.mtu_probe) {
                self.on_max_datagram_size(out);
            }
        }
    }

    /// RFC 9002 B.5.
    pub(super) fn on_packets_acked(&mut self, now: Time, acked: &[Removed]) {
        for packet in on_path(acked, self.path).filter(|packet| packet.in_flight) {
            self.controller
                .on_packet_acked(now, packet.time, u64::from(packet.size), &self.rtt);
        }
    }

    /// RFC 9002 §6.2.1: an acknowledgement ends the backoff.
    pub(super) fn on_forward_progress(&mut self, now: Time, id: SpaceId) {
        if id == SpaceId::Handshake {
            self.handshake_acked = true;
        }
        // RFC 9002 §6.2.1: not for a client whose server may still be blocked by amplification limits.
        if self.peer_completed_address_validation() {
            self.pto_count = 0;
        }
        self.last_event = Some(now);
        (self.beyond, self.moves) = (0, 0);
    }
}

/// The packets among `acked` that took this path.
fn on_path(acked: &[Removed], path: u32) -> impl Iterator<Item = &SentPacket> {
    acked
        .iter()
        .map(|removed| &removed.packet)
        .filter(move |packet| packet.path == path)
}

pub(super) fn violation(reason: &'static str) -> TransportError {
    TransportError::new(TransportErrorCode::PROTOCOL_VIOLATION, ACK, reason)
}

/// RFC 9000 §19.3: the frame type.
const ACK: u64 = 0x02;
