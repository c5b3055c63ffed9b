//! Packets of another sender, which become known late. RFC 9002 A.5 and A.7, in the other order.
//!
//! The peer may acknowledge a packet before the other sender has told of it. Such numbers are held, and
//! the acknowledgement takes effect when the packet becomes known. Promise: what is held has a bound,
//! and a number that was never sent and is acknowledged ends the connection, whenever that comes out.

use crate::error::TransportError;
use crate::limits;
use crate::range_set::RangeSet;
use crate::space::SpaceId;
use crate::time::Time;
use crate::wire::frame::Ack;
use crate::wire::packet_number::PacketNumber;

use super::Recovery;
use super::ack::violation;
use super::outcome::Outcome;
use super::sent::{Fate, SentPacket};
use super::sent_frame::SentFrame;

/// What is known of what is not known yet.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Numbers of the Data space from here on may become known later; `None` without another sender.
    unresolved: Option<PacketNumber>,
    /// Those of them that were acknowledged.
    held: RangeSet,
    /// Bytes in flight that are not known packet by packet.
    pub(super) outstanding: u64,
}

impl Others {
    /// Whether packets up to `number` may be missing.
    pub(super) fn may_miss(&self, number: PacketNumber) -> bool {
        self.unresolved
            .is_some_and(|unresolved| number >= unresolved)
    }

    /// Keeps what `ack` says of numbers that may become known later.
    pub(super) fn hold(&mut self, ack: &Ack<'_>) {
        let Some(unresolved) = self.unresolved else {
            return;
        };
        for range in ack.ranges().take_while(|range| *range.end() >= unresolved) {
            let start = unresolved.max(*range.start()).value();
            self.held
                .insert_bounded(start..range.end().value() + 1, limits::HELD_ACK_RANGES);
        }
    }
}

impl Recovery {
    /// All packets of another sender below `unresolved` are known; `None`: there is none any more.
    pub fn set_unresolved(&mut self, unresolved: Option<PacketNumber>) {
        self.others.unresolved = unresolved;
        match unresolved {
            Some(unresolved) => {
                self.others.held.remove(0..unresolved.value());
            }
            None => self.others.held.clear(),
        }
    }

    /// Another sender has so many bytes in flight of which nothing else is known.
    pub fn set_outstanding(&mut self, bytes: u64) {
        self.others.outstanding = bytes;
    }

    /// Ranges of acknowledged numbers of which it has not told.
    pub fn held_ranges(&self) -> usize {
        self.others.held.len()
    }

    /// How many bytes another sender may have in flight, beyond the packets that are known.
    pub fn window_for_others(&self) -> u64 {
        self.controller
            .window()
            .saturating_sub(self.controller.bytes_in_flight())
    }

    /// A packet of another sender became known, perhaps after its acknowledgement.
    pub fn on_other_packet(
        &mut self,
        now: Time,
        packet: SentPacket,
        frames: &[SentFrame],
        out: &mut Outcome,
    ) {
        out.clear();
        let (id, number) = (SpaceId::Data, packet.number);
        self.on_packet_sent(id, packet, frames);
        if !self.others.held.contains(number.value()) {
            return;
        }
        let space = &mut self.spaces[id.index()];
        space
            .sent
            .remove_if(number..=number, &mut out.acked, &mut out.removed, |_| {
                Fate::Remove
            });
        self.count_acked(id, out);
        let acked = core::mem::take(&mut out.removed);
        // No sample of the round-trip time: when that acknowledgement came is forgotten.
        self.note_arrivals(now, &acked, out);
        self.on_packets_acked(now, &acked);
        self.on_forward_progress(now, id);
        out.removed = acked;
        out.removed.clear();
    }

    /// A number of the Data space was taken and never used, on purpose or not (RFC 9000 §21.4).
    pub fn on_never_sent(&mut self, number: PacketNumber) -> Result<(), TransportError> {
        self.on_skipped(SpaceId::Data, number);
        match self.others.held.contains(number.value()) {
            true => Err(violation("acknowledged a packet number that was skipped")),
            false => Ok(()),
        }
    }
}
