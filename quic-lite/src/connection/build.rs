//! ⑧ Frames into packets, packets into a datagram (RFC 9000 §12.4, §17): the mirror of `receive.rs`.
//!
//! A packet is a [`Draft`] until its datagram is complete: only then it is known which packet is padded,
//! and only then it takes its packet number, since a number once taken is never given back.

use crate::protection::{TAG_LEN, seal_packet};
use crate::recovery::{SentFrame, SentPacket, SpaceId};
use crate::time::Time;
use crate::wire::connection_id::ConnectionId;
use crate::wire::frame::Frame;
use crate::wire::frame::{Ack, PathChallenge, PathResponse};
use crate::wire::header::{HeaderLayout, LongHeader, LongType, ShortHeader};
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;
use crate::wire::writer::{Full, Writer};

use super::Connection;
use super::spaces::SpaceKeys;
use super::transmit::{MIN_DATAGRAM, MIN_PACKET, Route};

/// A packet with its frames, not yet numbered and sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    pub(super) id: SpaceId,
    /// Where it starts in the datagram; `layout` counts from here.
    start: usize,
    layout: HeaderLayout,
    /// Where its frames end in the datagram; the tag comes there.
    end: usize,
    tag_len: usize,
    /// Its part of `Connection::sent_frames`.
    frames: (usize, usize),
    with_ack: bool,
    pub(super) ack_eliciting: bool,
    has_challenge: bool,
}

/// The packets of one datagram, in the order of their spaces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drafts {
    packets: [Option<Draft>; 3],
    /// A PATH_CHALLENGE or PATH_RESPONSE is among the frames.
    pub(super) has_challenge: bool,
}

impl Drafts {
    pub(super) fn push(&mut self, draft: Draft) {
        self.has_challenge |= draft.has_challenge;
        self.packets[draft.id.index()] = Some(draft);
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Draft> {
        self.packets.iter().flatten()
    }

    /// Where the next packet starts.
    pub(super) fn end(&self) -> usize {
        self.iter()
            .next_back()
            .map_or(0, |draft| draft.end + draft.tag_len)
    }
}

impl From<Draft> for Drafts {
    fn from(draft: Draft) -> Self {
        let mut drafts = Self::default();
        drafts.push(draft);
        drafts
    }
}

impl Connection {
    /// Whether anything but acknowledgements and probes waits to be sent.
    pub(super) fn has_data(&self) -> bool {
        SpaceId::ALL.into_iter().any(|id| self.has_data_in(id))
    }

    fn has_data_in(&self, id: SpaceId) -> bool {
        self.has_more_than_datagrams(id)
            || id == SpaceId::Data
                && !self.datagrams_out.is_empty()
                && self.spaces.has_keys(SpaceId::Data)
    }

    /// Whether nothing but datagrams waits, if anything does.
    pub(super) fn has_datagrams_at_most(&self) -> bool {
        !SpaceId::ALL
            .into_iter()
            .any(|id| self.has_more_than_datagrams(id))
    }

    fn has_more_than_datagrams(&self, id: SpaceId) -> bool {
        let Some(space) = self.spaces.get(id).filter(|space| space.keys.is_known()) else {
            return false;
        };
        space.crypto_send.has_pending() || (id == SpaceId::Data && self.has_frames())
    }

    fn has_frames(&self) -> bool {
        self.streams.has_pending()
            || self.control.has_pending()
            || self.local_ids.has_pending()
            || self.remote_ids.has_pending()
    }

    /// Writes the packet of one space behind `start`, if it has something to say now.
    pub(super) fn write_packet(
        &mut self,
        now: Time,
        id: SpaceId,
        out: &mut [u8],
        start: usize,
        may_send: bool,
    ) -> Option<Draft> {
        let space = self.spaces.get(id).filter(|space| space.keys.is_known())?;
        // RFC 9000 §14.1: what cannot be padded must not be ack-eliciting.
        let too_small =
            id == SpaceId::Initial && self.side == Side::Server && out.len() < MIN_DATAGRAM;
        let probe = self.recovery.probe_pending(id) && !too_small;
        let with_data = (may_send || probe) && !too_small && self.has_data_in(id);
        // RFC 9000 §9.3: path validation begins at once; it is small and rare, so no window holds it back
        // (§8.2.2 would let it), unless the peer asks again and again and acknowledges nothing.
        let may_exceed = self.recovery.may_exceed_window();
        let validates = id == SpaceId::Data && may_exceed && self.has_path_frames();
        let ack_due = space.received.ack_due(now);
        if !ack_due && !probe && !validates && !with_data {
            return None;
        }
        let cid = self.remote_ids.current();
        let (mut out, layout) = self.begin_packet(id, cid, out, start)?;
        let first_frame = self.sent_frames.len();
        let with_ack = self.write_ack(now, id, &mut out);
        let after_ack = out.len();
        let has_challenge =
            (validates || with_data) && id == SpaceId::Data && self.write_path_frames(&mut out);
        if with_data {
            self.write_frames(id, &mut out);
        }
        let space = self.spaces.get(id)?;
        let with_ping = probe || (with_ack && may_exceed && space.received.ping_wanted());
        if out.len() == after_ack && with_ping {
            // Where a long acknowledgement leaves no byte, the next packet has the PING.
            let _ = Frame::Ping.encode(&mut out);
        }
        let ack_eliciting = out.len() > after_ack;
        // What does not fit beside an acknowledgement, such as a large datagram, must not wait until that
        // one is due: it goes ahead alone.
        let is_wanted = ack_eliciting || (with_ack && (ack_due || with_data || probe));
        if !is_wanted {
            self.sent_frames.truncate(first_frame);
            return None;
        }
        let end = finish_frames(&layout, out)? + start;
        let frames = (first_frame, self.sent_frames.len());
        Some(Draft {
            id,
            start,
            layout,
            end,
            tag_len: self.tag_len(id),
            frames,
            with_ack,
            ack_eliciting,
            has_challenge,
        })
    }

    /// Writes a packet with one frame, whatever else waits.
    pub(super) fn write_single(
        &mut self,
        id: SpaceId,
        cid: ConnectionId,
        out: &mut [u8],
        start: usize,
        frame: &Frame<'_>,
    ) -> Option<Draft> {
        let (mut out, layout) = self.begin_packet(id, cid, out, start)?;
        frame.encode(&mut out).ok()?;
        let end = finish_frames(&layout, out)? + start;
        let frames = (self.sent_frames.len(), self.sent_frames.len());
        Some(Draft {
            id,
            start,
            layout,
            end,
            tag_len: self.tag_len(id),
            frames,
            with_ack: false,
            ack_eliciting: frame.is_ack_eliciting(),
            has_challenge: false,
        })
    }

    /// Bytes of the tag of a packet of this space.
    pub(super) fn tag_len(&self, id: SpaceId) -> usize {
        let keys = self.spaces.get(id).and_then(|space| space.keys.local());
        keys.map_or(TAG_LEN, |keys| keys.packet.tag_len())
    }

    /// A writer behind the header, with room for the tag kept back. The packet number is filled in later.
    fn begin_packet<'a>(
        &self,
        id: SpaceId,
        destination_cid: ConnectionId,
        out: &'a mut [u8],
        start: usize,
    ) -> Option<(Writer<'a>, HeaderLayout)> {
        let space = self.spaces.get(id)?;
        let end = out.len().checked_sub(TAG_LEN)?;
        let room = out
            .get_mut(start..end)
            .filter(|room| room.len() >= MIN_PACKET)?;
        let mut out = Writer::new(room);
        // Another sender may take numbers until this packet gets its own.
        let number = PacketNumber::new(self.next_number(id).value() + NUMBER_SLACK);
        let pn_len = number.encode_len(self.recovery.largest_acked(id));
        let source_cid = self.local_ids.first();
        let long_type = match (&space.keys, id) {
            (SpaceKeys::Unknown, _) => return None,
            (SpaceKeys::OneRtt(keys), _) => {
                let header = ShortHeader {
                    destination_cid,
                    spin: false,
                };
                let layout = header
                    .encode(keys.phase(), PacketNumber::ZERO, pn_len, &mut out)
                    .ok()?;
                return Some((out, layout));
            }
            (_, SpaceId::Initial) => LongType::Initial {
                token: &self.handshake.token,
            },
            _ => LongType::Handshake,
        };
        let header = LongHeader {
            long_type,
            destination_cid,
            source_cid,
        };
        let layout = header.encode(PacketNumber::ZERO, pn_len, &mut out).ok()?;
        Some((out, layout))
    }

    fn write_ack(&mut self, now: Time, id: SpaceId, out: &mut Writer<'_>) -> bool {
        let Some(space) = self.spaces.get(id) else {
            return false;
        };
        let received = &space.received;
        if !received.ack_due(now) && !received.ack_wanted() {
            return false;
        }
        let micros = received.ack_delay(now).as_micros() >> ACK_DELAY_EXPONENT;
        let delay = u64::try_from(micros).unwrap_or(0);
        let ranges = received.ack_ranges();
        let written = Ack::encode_ranges(ranges, delay, received.ecn_counts(), out);
        let largest = ranges.last().map(|range| PacketNumber::new(range.end - 1));
        let (Ok(_), Some(largest)) = (written, largest) else {
            return false;
        };
        self.sent_frames.push(SentFrame::Ack { largest });
        true
    }

    /// Writes what waits, in the order of urgency.
    fn write_frames(&mut self, id: SpaceId, out: &mut Writer<'_>) {
        let sent = &mut self.sent_frames;
        if let Some(space) = self.spaces.get_mut(id) {
            space.crypto_send.write_frames(out, sent);
        }
        if id != SpaceId::Data {
            return;
        }
        self.control.write_frames(out, sent);
        self.remote_ids.write_frames(out, sent);
        self.local_ids.write_frames(&self.reset_key, out, sent);
        self.streams.write_control_frames(out, sent);
        let mut datagrams = 0;
        if !self.datagrams_out.is_empty() {
            let max = self.max_datagram_payload().unwrap_or(0);
            let (written, dropped) = self.datagrams_out.write_frames(max, out);
            datagrams = written;
            self.stats.datagram_frames_sent += written;
            self.stats.datagram_frames_dropped += dropped;
        }
        let before = self.sent_frames.len();
        self.streams.write_stream_frames(out, &mut self.sent_frames);
        let streams = self.sent_frames.get(before..).unwrap_or_default();
        let has_data = datagrams > 0 || streams.iter().any(SentFrame::is_uni_stream);
        self.stats.data_packets_sent += u64::from(has_data);
    }

    fn has_path_frames(&self) -> bool {
        !self.responses.is_empty() || self.path.challenge_due().is_some()
    }

    /// Writes path validation on the path in use. True when there was any.
    fn write_path_frames(&mut self, out: &mut Writer<'_>) -> bool {
        let (before, active) = (out.len(), self.path.tuple());
        if let Some(response) = self.responses.take_where(|tuple| tuple.matches(&active)) {
            // One that does not fit is not missed: the peer asks again.
            let _ = Frame::PathResponse(PathResponse {
                data: response.data,
            })
            .encode(out);
        }
        if let Some(data) = self.path.challenge_to_add() {
            let _ = Frame::PathChallenge(PathChallenge { data }).encode(out);
        }
        out.len() > before
    }

    /// Pads the last packet, numbers and seals all of them. Returns the size of the datagram.
    pub(super) fn seal(
        &mut self,
        now: Time,
        out: &mut [u8],
        drafts: &Drafts,
        pad_to: usize,
        route: Route,
    ) -> Option<usize> {
        let last = drafts.iter().next_back()?.id;
        for draft in drafts.iter() {
            let padded = if draft.id == last {
                pad_to.saturating_sub(draft.tag_len).max(draft.end)
            } else {
                draft.end
            };
            out.get_mut(draft.end..padded)?.fill(0);
            let packet = out.get_mut(draft.start..padded + draft.tag_len)?;
            let number = self.take_number(draft.id)?;
            let frames = draft.layout.payload;
            self.observe_sealing(draft.id, number, packet, frames, route.mtu_probe);
            self.seal_one(packet, draft, number).ok()?;
            self.register(now, draft, number, padded, route);
        }
        self.sent_frames.clear();
        let len = drafts.end().max(pad_to);
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += len as u64;
        Some(len)
    }

    fn seal_one(&self, packet: &mut [u8], draft: &Draft, number: PacketNumber) -> Result<(), Full> {
        let layout = &draft.layout;
        let pn_len = layout.payload - layout.pn_offset;
        let field = packet
            .get_mut(layout.pn_offset..layout.payload)
            .ok_or(Full)?;
        number.encode(pn_len, &mut Writer::new(field))?;
        let local = self
            .spaces
            .get(draft.id)
            .and_then(|space| space.keys.local())
            .ok_or(Full)?;
        if draft.id != SpaceId::Data {
            let frames_end = packet.len() - draft.tag_len;
            let mut out = Writer::new(packet);
            out.advance(frames_end)?;
            layout.set_length(draft.tag_len, &mut out)?;
        }
        seal_packet(packet, layout.pn_offset, number, local).map_err(|_| Full)
    }

    fn take_number(&mut self, id: SpaceId) -> Option<PacketNumber> {
        let next = self.next_number(id);
        if id == SpaceId::Data && self.recovery.skip_at(next, self.skip_random) <= next {
            let skipped = self.allocate(id)?;
            self.recovery.on_skipped(id, skipped);
            self.skip_random = self.rng.number();
        }
        self.allocate(id)
    }

    fn register(
        &mut self,
        now: Time,
        draft: &Draft,
        number: PacketNumber,
        padded: usize,
        route: Route,
    ) {
        let Some(space) = self.spaces.get_mut(draft.id) else {
            return;
        };
        space
            .received
            .on_packet_sent(draft.with_ack, draft.ack_eliciting);
        let packet = SentPacket {
            number,
            time: now,
            path: route.generation,
            size: u16::try_from(padded + draft.tag_len - draft.start).unwrap_or(u16::MAX),
            ack_eliciting: draft.ack_eliciting,
            // RFC 9002 §2: PADDING makes even an acknowledgement count.
            in_flight: draft.ack_eliciting || (padded > draft.end && self.state.is_open()),
            ecn_marked: route.ecn_marked,
            mtu_probe: route.mtu_probe,
            by_other: false,
        };
        let (first, end) = draft.frames;
        let frames = self.sent_frames.get(first..end).unwrap_or_default();
        self.recovery.on_packet_sent(draft.id, packet, frames);
        self.stats.packets_sent += 1;
    }
}

/// RFC 9001 §5.4.2: packet number and frames are at least four bytes, or there is no sample.
fn finish_frames(layout: &HeaderLayout, mut out: Writer<'_>) -> Option<usize> {
    let len = out.len() - layout.pn_offset;
    out.put_zeros(MIN_SAMPLED.saturating_sub(len)).ok()?;
    Some(out.len())
}

/// The exponent of our ACK Delay fields, the default of RFC 9000 §18.2.
const ACK_DELAY_EXPONENT: u32 = 3;
/// Packet numbers that another sender may take while a packet is being written.
const NUMBER_SLACK: u64 = 256;
const MIN_SAMPLED: usize = 4;
