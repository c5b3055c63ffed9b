//! ⑦ From a datagram to frames (RFC 9000 §5.2, §12, §13.1): the order of checks.
//!
//! Promise: nothing of a packet counts before its AEAD tag is verified, except that its datagram's size
//! counts for the amplification limit; a packet that is dropped changes no state.

use crate::error::{TransportError, TransportErrorCode};
use crate::observer::{Dropped, Observed};
use crate::protection::{OpenedPacket, ProtectedPacket};
use crate::recovery::SpaceId;
use crate::time::Time;
use crate::wire::connection_id::ConnectionId;
use crate::wire::datagram::{self, Packet, Packets};
use crate::wire::frame::{Frame, frames};
use crate::wire::header::PacketType;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;

use super::close::possible_reset_token;
use super::keys::Generation;
use super::path::{Ecn, FourTuple};
use super::spaces::{SpaceKeys, packet_type, space_of};
use super::state::{State, Transition};
use super::timers::Timer;
use super::transmit::MIN_DATAGRAM;
use super::{Connection, Event};
use crate::error::ConnectionError;

/// A datagram as it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) now: Time,
    pub(super) tuple: FourTuple,
    pub(super) ecn: Option<Ecn>,
    /// Bytes of the datagram, all packets together.
    pub(super) len: usize,
}

/// An opened packet, without its frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub(super) arrival: Arrival,
    pub(super) space: SpaceId,
    pub(super) number: PacketNumber,
    /// Our connection ID that it was sent to.
    pub(super) destination_cid: ConnectionId,
    pub(super) generation: Generation,
}

/// What the frames of a packet are, taken together.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    ack_eliciting: bool,
    non_probing: bool,
}

impl Connection {
    pub(super) fn on_datagram(&mut self, arrival: Arrival, datagram: &mut [u8]) {
        if !self.admits(&arrival) {
            return;
        }
        self.count_arrival(&arrival);
        let token = possible_reset_token(datagram);
        let mut is_ours = false;
        let mut packets = Packets::new(self.local_ids.cid_len());
        while let Some(packet) = packets.next(datagram) {
            is_ours |= match packet {
                Packet::Other { range } => datagram
                    .get(range)
                    .is_some_and(|bytes| self.on_unprotected(&arrival, bytes)),
                Packet::Protected(packet) => {
                    let bytes = datagram.get_mut(packet.range.clone()).unwrap_or_default();
                    self.on_protected(&arrival, &packet, bytes)
                }
            };
        }
        // RFC 9000 §10.3.1: a datagram that is not ours may end the connection with one of its tokens.
        if !is_ours && token.is_some_and(|token| self.remote_ids.is_reset_token(&token)) {
            self.on_stateless_reset(arrival.now);
        }
        self.open_kept_packets(arrival.now);
        self.note_amplification_limit();
    }

    /// Whether a datagram from there may concern us at all.
    fn admits(&self, arrival: &Arrival) -> bool {
        if matches!(self.state, State::Draining | State::Drained) {
            return false;
        }
        if self.path.tuple().matches(&arrival.tuple) {
            return true;
        }
        match self.side {
            // RFC 9000 §9: a client drops what comes from addresses that are not the server's.
            Side::Client => self.path.tuple().remote == arrival.tuple.remote,
            // RFC 9000 §9: nobody moves before the handshake is confirmed.
            Side::Server => self.state == State::Confirmed,
        }
    }

    fn count_arrival(&mut self, arrival: &Arrival) {
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += arrival.len as u64;
        for path in [Some(&mut self.path), self.fallback.as_deref_mut()]
            .into_iter()
            .flatten()
        {
            if path.tuple().matches(&arrival.tuple) {
                path.on_datagram_received(arrival.len);
                break;
            }
        }
        if let Some(close) = &mut self.close {
            close.on_arrival();
        }
    }

    /// Deals with one packet; returns whether it was of this connection.
    pub(super) fn on_protected(
        &mut self,
        arrival: &Arrival,
        packet: &datagram::ProtectedPacket,
        bytes: &mut [u8],
    ) -> bool {
        match self.try_protected(arrival, packet, bytes) {
            Ok(is_ours) => is_ours,
            Err(error) => {
                self.fail(arrival.now, error.into());
                true
            }
        }
    }

    fn try_protected(
        &mut self,
        arrival: &Arrival,
        packet: &datagram::ProtectedPacket,
        bytes: &mut [u8],
    ) -> Result<bool, TransportError> {
        let Some(space) = space_of(packet.packet_type) else {
            return Ok(false);
        };
        // RFC 9000 §14.1: Initials of a client come in full datagrams.
        let is_small = packet.packet_type == PacketType::Initial && arrival.len < MIN_DATAGRAM;
        let is_malformed = match self.side {
            Side::Server => is_small,
            // RFC 9000 §17.2.2: a server's Initial has no token.
            Side::Client => packet.has_token,
        };
        if is_malformed || !self.is_addressed_to_us(packet) {
            return Ok(false);
        }
        if !self.may_open(space) {
            return Ok(self.keep_packet(arrival, packet, bytes));
        }
        let Some((opened, generation)) = self.unseal(space, packet.pn_offset, bytes)? else {
            return Ok(false);
        };
        opened.check_reserved_bits()?;
        let received = Received {
            arrival: *arrival,
            space,
            number: opened.number,
            destination_cid: packet.destination_cid,
            generation,
        };
        if self
            .spaces
            .get(space)
            .is_none_or(|space| space.received.is_duplicate(opened.number))
        {
            self.stats.packets_duplicate += 1;
            self.watch.tell(&Observed::PacketDropped {
                space,
                size: packet.range.len(),
                why: Dropped::Duplicate,
            });
            return Ok(true);
        }
        if self.state.is_open() {
            self.watch.on_opened(packet, &opened);
            self.on_opened(&received, packet, opened.payload)?;
        } else {
            self.on_opened_while_closing(&received, opened.payload);
        }
        Ok(true)
    }

    fn is_addressed_to_us(&self, packet: &datagram::ProtectedPacket) -> bool {
        let to_us = self.local_ids.contains(&packet.destination_cid)
            // RFC 9000 §7.2: until the client knows our ID it uses its own invention.
            || (self.side == Side::Server && packet.destination_cid == self.handshake.initial_dcid);
        // RFC 9000 §7.2: once known, the peer's ID in long headers does not change.
        let from_peer = packet.packet_type == PacketType::OneRtt
            || self
                .handshake
                .remote_cid
                .is_none_or(|cid| cid == packet.source_cid);
        to_us && from_peer
    }

    /// Removes protection (RFC 9001 §5.3, §5.4); `None` when the packet is not authentic.
    fn unseal<'a>(
        &mut self,
        id: SpaceId,
        pn_offset: usize,
        bytes: &'a mut [u8],
    ) -> Result<Option<(OpenedPacket<'a>, Generation)>, TransportError> {
        let (Some(space), size) = (self.spaces.get(id), bytes.len()) else {
            return Ok(None);
        };
        let Some(remote) = space.keys.remote() else {
            return Ok(None);
        };
        let Ok(packet) = (ProtectedPacket { bytes, pn_offset }).unprotect(&remote.header) else {
            return Ok(None);
        };
        let largest = space.received.largest_received();
        let generation = space
            .keys
            .choose(packet.key_phase(), packet.number(largest));
        let limit = remote
            .suite
            .integrity_limit()
            .min(self.config.integrity_limit);
        let opened = space
            .keys
            .packet_key(generation)
            .and_then(|key| packet.open(key, largest).ok());
        match opened {
            Some(opened) => Ok(Some((opened, generation))),
            None => self.on_forged(limit, id, size),
        }
    }

    /// RFC 9001 §6.6: so many forgeries and one of them may succeed.
    fn on_forged<T>(
        &mut self,
        limit: u64,
        space: SpaceId,
        size: usize,
    ) -> Result<Option<T>, TransportError> {
        self.stats.packets_undecryptable += 1;
        self.watch.tell(&Observed::PacketDropped {
            space,
            size,
            why: Dropped::Undecryptable,
        });
        if self.stats.packets_undecryptable < limit {
            return Ok(None);
        }
        let reason = "too many packets failed authentication";
        Err(TransportError::new(
            TransportErrorCode::AEAD_LIMIT_REACHED,
            0,
            reason,
        ))
    }

    fn on_opened(
        &mut self,
        received: &Received,
        packet: &datagram::ProtectedPacket,
        payload: &[u8],
    ) -> Result<(), TransportError> {
        self.stats.packets_received += 1;
        if self.path.tuple().matches(&received.arrival.tuple) {
            self.path.learn_local(&received.arrival.tuple);
        }
        self.follow_key_update(received)?;
        self.learn_peer(received, packet);
        let frames = self.on_frames(received, payload)?;
        let Arrival { now, ecn, .. } = received.arrival;
        if let Some(space) = self.spaces.get_mut(received.space) {
            space
                .received
                .on_packet_received(now, received.number, frames.ack_eliciting, ecn);
        }
        self.on_activity(now);
        self.follow_migration(received, frames.non_probing);
        Ok(())
    }

    fn on_frames(&mut self, received: &Received, payload: &[u8]) -> Result<Frames, TransportError> {
        let violation = |frame_type, reason| {
            TransportError::new(TransportErrorCode::PROTOCOL_VIOLATION, frame_type, reason)
        };
        if payload.is_empty() {
            return Err(violation(0, "packet without frames"));
        }
        let mut seen = Frames::default();
        for frame in frames(payload) {
            let frame = frame?;
            if !frame.is_allowed_in(packet_type(received.space))
                || !frame.is_allowed_from(self.side.peer())
            {
                return Err(violation(
                    frame.frame_type(),
                    "frame not allowed in this packet",
                ));
            }
            seen.ack_eliciting |= frame.is_ack_eliciting();
            seen.non_probing |= !frame.is_probing();
            self.on_frame(received, frame)?;
            if !self.state.is_open() {
                break;
            }
        }
        Ok(seen)
    }

    /// RFC 9000 §10.2.1: of all that still comes, only the peer's own close matters.
    fn on_opened_while_closing(&mut self, received: &Received, payload: &[u8]) {
        for frame in frames(payload).map_while(Result::ok) {
            if let Frame::ConnectionClose(_) = frame {
                self.drain(received.arrival.now);
                return;
            }
        }
    }

    fn follow_key_update(&mut self, received: &Received) -> Result<(), TransportError> {
        if received.generation == Generation::Next {
            self.suspend_other();
        }
        let next = self.next_number(received.space);
        let Some(space) = self.spaces.get_mut(received.space) else {
            return Ok(());
        };
        let SpaceKeys::OneRtt(keys) = &mut space.keys else {
            return Ok(());
        };
        if keys.on_opened(received.generation, received.number, next)? {
            let (phase, updates) = (keys.phase(), keys.updates());
            let by = self.side.peer();
            self.watch.tell(&Observed::KeysUpdated { by, updates });
            self.events.push_back(Event::KeysUpdated { phase });
            self.timers.stop(Timer::OldKeys);
        }
        if keys.previous_may_expire() && self.timers.at(Timer::OldKeys).is_none() {
            // RFC 9001 §6.5: delayed packets under the old keys may come for three PTOs.
            let at = received.arrival.now + self.recovery.pto() * 3;
            self.timers.set(Timer::OldKeys, Some(at));
        }
        Ok(())
    }

    /// What the first packets of each kind show about the peer.
    fn learn_peer(&mut self, received: &Received, packet: &datagram::ProtectedPacket) {
        if self.handshake.remote_cid.is_none() && packet.packet_type == PacketType::Initial {
            // RFC 9000 §7.2: from now on the client uses the ID that the server chose.
            self.handshake.remote_cid = Some(packet.source_cid);
            self.remote_ids.replace_first(packet.source_cid);
        }
        if received.space == SpaceId::Handshake && self.side == Side::Server {
            // RFC 9000 §8.1, RFC 9001 §4.9.1: only the client at that address could make this packet.
            self.path.set_validated();
            self.discard_space(received.arrival.now, SpaceId::Initial);
        }
    }

    fn on_stateless_reset(&mut self, now: Time) {
        if self.state.on(Transition::PeerClose).is_ok() {
            self.tell_end(ConnectionError::StatelessReset);
            self.drain(now);
        }
    }
}
