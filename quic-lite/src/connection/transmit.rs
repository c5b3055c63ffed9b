//! ⑧ What is sent next (RFC 9000 §12.2, §13.1, §14; RFC 9002 §7): which datagram, on which path, how large.
//!
//! Promise: several datagrams of one call have one size, except a shorter last one, so that the kernel
//! can cut them apart (GSO). What goes into a packet is in `connection/build.rs`.

use crate::error::{TransportError, TransportErrorCode};
use crate::limits;
use crate::protection::TAG_LEN;
use crate::recovery::{SentPacket, SpaceId};
use crate::time::Time;
use crate::wire::frame::Frame;
use crate::wire::frame::path::{PathChallenge, PathResponse};
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;

use super::Connection;
use super::build::Drafts;
use super::path::{Ecn, FourTuple, Transmit};
use super::state::State;
use super::timers::Timer;

/// How a datagram travels: what its packets are remembered by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    /// `SentPacket::path`.
    pub(super) generation: u32,
    pub(super) ecn_marked: bool,
    pub(super) mtu_probe: bool,
}

impl Route {
    fn ecn(self) -> Option<Ecn> {
        self.ecn_marked.then_some(Ecn::Ect0)
    }
}

impl Connection {
    pub(super) fn next_transmit(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        max_segments: usize,
    ) -> Option<Transmit> {
        self.begin_sending(now);
        match self.state {
            State::Draining | State::Drained => return None,
            State::Closing => return self.transmit_close(now, buffer),
            _ => {}
        }
        self.keep_keys_fresh(now);
        let overdue = self.recovery.is_mtu_probe_overdue();
        let transmit = self
            .transmit_off_path(now, buffer)
            .or_else(|| overdue.then(|| self.transmit_mtu_probe(now, buffer))?)
            .or_else(|| self.transmit_segments(now, buffer, max_segments))
            .or_else(|| self.transmit_mtu_probe(now, buffer));
        self.note_amplification_limit();
        if transmit.is_none() {
            self.end_sending(now);
        }
        transmit
    }

    /// Whether the next call may have something to send, after one that had. False is certain, and spares the
    /// call: most connections have one packet at a time.
    pub fn may_have_more(&self, now: Time) -> bool {
        let is_plain = self.state == State::Confirmed
            && !self.has_other_sender()
            && self.responses.is_empty()
            && self.fallback.is_none()
            && self.path.challenge_due().is_none();
        let data = self.spaces.get(SpaceId::Data);
        !is_plain
            || self.recovery.probe_pending(SpaceId::Data)
            || self.recovery.may_probe_mtu(now)
            || data.is_none_or(|space| space.received.ack_due(now))
            || self.has_data()
    }

    /// RFC 9002 §6.2.2.1: a server that may not send needs no probe timer.
    pub(super) fn note_amplification_limit(&mut self) {
        let limited = self.path.budget() < MIN_DATAGRAM as u64;
        self.recovery.set_amplification_limited(limited);
    }

    fn transmit_segments(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        max_segments: usize,
    ) -> Option<Transmit> {
        let route = Route {
            generation: self.recovery.path_generation(),
            ecn_marked: self.recovery.marks_ecn(),
            mtu_probe: false,
        };
        let full = usize::from(self.recovery.max_datagram_size()).min(buffer.len());
        let (mut len, mut first) = (0, None);
        for _ in 0..max_segments.max(1) {
            let size = first.unwrap_or(full);
            let Some(out) = buffer.get_mut(len..len + size) else {
                break;
            };
            let Some(written) = self.write_datagram(now, out, route) else {
                break;
            };
            len += written;
            // A first datagram that leaves much room is alone: the next ones would have to be as small. They
            // are anyway where each is full with one DATAGRAM frame, and those of a stream are alike.
            let is_full = written >= full - full / 8;
            if written < *first.get_or_insert(written) || !(is_full || self.has_alike(written)) {
                break;
            }
        }
        let first = first?;
        Some(Transmit {
            len,
            segment_size: (len > first).then_some(first),
            path: self.path.tuple(),
            ecn: route.ecn(),
        })
    }

    /// Whether the DATAGRAM frame that waits next fills a datagram of `size` bytes about as well as any could.
    fn has_alike(&self, size: usize) -> bool {
        let waiting = self.datagrams_out.next_len();
        waiting.is_some_and(|len| (size - size / 8..size).contains(&len))
    }

    /// One datagram with a packet of each space that has something to say (RFC 9000 §12.2).
    fn write_datagram(&mut self, now: Time, out: &mut [u8], route: Route) -> Option<usize> {
        // RFC 9000 §8.1: the limit is in whole datagrams.
        let budget = usize::try_from(self.path.budget()).unwrap_or(usize::MAX);
        let room = out.len().min(budget);
        let out = out.get_mut(..room)?;
        let may_send = self.may_send_data(now);
        let mut drafts = Drafts::default();
        for id in SpaceId::ALL {
            if let Some(draft) = self.write_packet(now, id, out, drafts.end(), may_send) {
                drafts.push(draft);
            }
        }
        let pad_to = self.padded_size(&drafts, room);
        let len = self.seal(now, out, &drafts, pad_to, route)?;
        self.path.on_datagram_sent(len);
        if drafts.has_challenge {
            self.path.on_challenge_sent(len >= MIN_DATAGRAM);
        }
        self.on_sent(now, &drafts);
        Some(len)
    }

    /// Whether congestion window and pacer let more through than acknowledgements and probes.
    fn may_send_data(&mut self, now: Time) -> bool {
        let size = self.recovery.max_datagram_size();
        if !self.has_data() || self.recovery.window_left() < u64::from(size) {
            self.timers.stop(Timer::Pacing);
            return false;
        }
        let at = self.recovery.send_at(now, size);
        self.timers.set(Timer::Pacing, at);
        at.is_none()
    }

    /// To what size a datagram must be padded; zero for none.
    fn padded_size(&self, drafts: &Drafts, room: usize) -> usize {
        let initial = drafts.iter().find(|draft| draft.id == SpaceId::Initial);
        // RFC 9000 §14.1: all Initials of a client, ack-eliciting ones of a server.
        let by_initial =
            initial.is_some_and(|draft| self.side == Side::Client || draft.ack_eliciting);
        // RFC 9000 §8.2.1, §8.2.2: as far as the amplification limit permits.
        if by_initial || drafts.has_challenge {
            MIN_DATAGRAM.min(room)
        } else {
            0
        }
    }

    /// PATH_RESPONSE and PATH_CHALLENGE for other addresses than the one in use (RFC 9000 §8.2.2, §9.3.3).
    fn transmit_off_path(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        if self.responses.is_empty() && self.fallback.is_none()
            || !self.spaces.has_keys(SpaceId::Data)
            || !self.recovery.may_exceed_window()
        {
            return None;
        }
        let active = self.path.tuple();
        if let Some(response) = self.responses.take_where(|tuple| !tuple.matches(&active)) {
            let validated = self
                .fallback
                .as_ref()
                .is_some_and(|path| path.tuple().matches(&response.tuple));
            let credit = if validated {
                MIN_DATAGRAM
            } else {
                response.received * limits::AMPLIFICATION as usize
            };
            let frame = Frame::PathResponse(PathResponse {
                data: response.data,
            });
            return self.transmit_frame(now, buffer, credit, response.tuple, &frame);
        }
        let fallback = self.fallback.as_deref_mut()?;
        let (tuple, data) = (fallback.tuple(), fallback.challenge_due()?);
        fallback.on_challenge_sent(true);
        let frame = Frame::PathChallenge(PathChallenge { data });
        self.transmit_frame(now, buffer, MIN_DATAGRAM, tuple, &frame)
    }

    /// One frame, alone and padded, to an address that is not the path in use.
    fn transmit_frame(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        credit: usize,
        tuple: FourTuple,
        frame: &Frame<'_>,
    ) -> Option<Transmit> {
        let room = MIN_DATAGRAM.min(credit);
        let out = buffer.get_mut(..room)?;
        let cid = self.remote_ids.for_another_path();
        self.announce_reset_tokens();
        let draft = self.write_single(SpaceId::Data, cid, out, 0, frame)?;
        let route = Route {
            generation: SentPacket::OFF_PATH,
            ecn_marked: false,
            mtu_probe: false,
        };
        let len = self.seal(now, out, &Drafts::from(draft), room, route)?;
        Some(Transmit {
            len,
            segment_size: None,
            path: tuple,
            ecn: None,
        })
    }

    /// PING and PADDING, to see whether so large a datagram arrives (RFC 9000 §14.4).
    fn transmit_mtu_probe(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        if self.state != State::Confirmed || !self.path.is_validated() {
            return None;
        }
        let size = usize::from(self.recovery.mtu_probe(now)?);
        let out = buffer.get_mut(..size)?;
        let cid = self.remote_ids.current();
        let draft = self.write_single(SpaceId::Data, cid, out, 0, &Frame::Ping)?;
        let generation = self.recovery.path_generation();
        let route = Route {
            generation,
            ecn_marked: self.recovery.marks_ecn(),
            mtu_probe: true,
        };
        let drafts = Drafts::from(draft);
        let len = self.seal(now, out, &drafts, size, route)?;
        self.path.on_datagram_sent(len);
        self.on_sent(now, &drafts);
        Some(Transmit {
            len,
            segment_size: None,
            path: self.path.tuple(),
            ecn: route.ecn(),
        })
    }

    /// CONNECTION_CLOSE in every space that the peer may be able to read (RFC 9000 §10.2.3).
    fn transmit_close(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        if !self.close.as_ref()?.is_due() {
            return None;
        }
        let budget = usize::try_from(self.path.budget()).unwrap_or(usize::MAX);
        let room = MIN_DATAGRAM.min(budget).min(buffer.len());
        let out = buffer.get_mut(..room)?;
        // Out of `self` for a moment: the frame borrows it.
        let mut close = self.close.take()?;
        let mut drafts = Drafts::default();
        for id in SpaceId::ALL {
            let frame = Frame::ConnectionClose(close.frame(id));
            let cid = self.remote_ids.current();
            if let Some(draft) = self.write_single(id, cid, out, drafts.end(), &frame) {
                drafts.push(draft);
            }
        }
        close.on_sent();
        self.close = Some(close);
        let pad_to = self.padded_size(&drafts, room);
        let route = Route {
            generation: SentPacket::OFF_PATH,
            ecn_marked: self.recovery.marks_ecn(),
            mtu_probe: false,
        };
        let len = self.seal(now, out, &drafts, pad_to, route)?;
        self.path.on_datagram_sent(len);
        Some(Transmit {
            len,
            segment_size: None,
            path: self.path.tuple(),
            ecn: route.ecn(),
        })
    }

    /// RFC 9001 §6.6: updates the sending key before it is worn out, and ends the connection if that
    /// is not possible.
    fn keep_keys_fresh(&mut self, now: Time) {
        let interval = self.config.key_update_interval;
        let next = self.next_number(SpaceId::Data);
        let Some(keys) = self.spaces.one_rtt() else {
            return;
        };
        let limit = keys.suite().confidentiality_limit();
        let (sealed, limit) = (
            keys.sealed(next),
            limit.min(self.config.confidentiality_limit),
        );
        let is_due = sealed >= interval.min(limit / 2);
        if is_due && self.force_key_update() {
            return;
        }
        if sealed >= limit.saturating_sub(limits::KEY_RESERVE)
            || next.value() >= PacketNumber::MAX.value() - limits::KEY_RESERVE
        {
            let reason = "no more packets can be sealed";
            let error = TransportError::new(TransportErrorCode::AEAD_LIMIT_REACHED, 0, reason);
            self.fail(now, error.into());
        }
    }
}

/// RFC 9000 §14: every path carries such a datagram, and Initials must fill it.
pub(super) const MIN_DATAGRAM: usize = 1200;
/// Below this a coalesced packet is not worth its header.
pub(super) const MIN_PACKET: usize = 48 + TAG_LEN;
