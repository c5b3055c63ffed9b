//! ⑦ One match: each frame goes to the part that deals with it (RFC 9000 §19), and so does the fate of
//! each frame we sent (RFC 9000 §13.3).

use core::time::Duration;

use crate::error::{TransportError, TransportErrorCode};
use crate::observer::Observed;
use crate::recovery::{SentFrame, SpaceId};
use crate::space::AckFrequency;
use crate::stream::Chunk;
use crate::time::Time;
use crate::wire::frame::ack::Ack;
use crate::wire::frame::ack_frequency;
use crate::wire::frame::close::ConnectionClose;
use crate::wire::frame::datagram::Datagram;
use crate::wire::frame::{Frame, frame_type};
use crate::wire::packet_number::PacketNumber;

use super::close::peer_error;
use super::path::{PendingResponse, Response};
use super::receive::Received;
use super::{Connection, Event};

impl Connection {
    /// Acts on a frame that its packet may carry.
    pub(super) fn on_frame(
        &mut self,
        received: &Received,
        frame: Frame<'_>,
    ) -> Result<(), TransportError> {
        let now = received.arrival.now;
        match frame {
            Frame::Padding { .. } | Frame::Ping => Ok(()),
            Frame::Ack(ack) => self.on_ack(received, &ack),
            Frame::Crypto(frame) => self.on_crypto(now, received.space, &frame),
            Frame::Stream(frame) => self.streams.on_stream(now, &frame),
            Frame::ResetStream(frame) => self.streams.on_reset_stream(&frame),
            Frame::StopSending(frame) => self.streams.on_stop_sending(&frame),
            Frame::MaxData(frame) => self.streams.on_max_data(&frame),
            Frame::MaxStreamData(frame) => self.streams.on_max_stream_data(&frame),
            Frame::MaxStreams(frame) => self.streams.on_max_streams(&frame),
            Frame::DataBlocked(frame) => self.streams.on_data_blocked(&frame),
            Frame::StreamDataBlocked(frame) => self.streams.on_stream_data_blocked(&frame),
            Frame::StreamsBlocked(frame) => self.streams.on_streams_blocked(&frame),
            Frame::Datagram(frame) => self.on_datagram_frame(received.number, &frame),
            Frame::NewToken(frame) => {
                self.on_new_token(frame.token);
                Ok(())
            }
            Frame::NewConnectionId(frame) => {
                let before = self.remote_ids.current();
                let result = self.remote_ids.on_new(&frame);
                self.announce_reset_tokens();
                self.note_remote_cid(before);
                result
            }
            Frame::RetireConnectionId(frame) => self.on_retire(received, frame.sequence_number),
            Frame::PathChallenge(frame) => {
                self.on_path_challenge(received, frame.data);
                Ok(())
            }
            Frame::PathResponse(frame) => {
                self.on_path_response(now, frame.data);
                Ok(())
            }
            Frame::ConnectionClose(frame) => {
                self.on_connection_close(received, &frame);
                Ok(())
            }
            Frame::HandshakeDone => {
                self.confirm_handshake(now);
                Ok(())
            }
            Frame::AckFrequency(frame) => self.on_ack_frequency(&frame),
            Frame::ImmediateAck => self.on_immediate_ack(received),
        }
    }

    fn on_ack(&mut self, received: &Received, ack: &Ack<'_>) -> Result<(), TransportError> {
        let (now, space) = (received.arrival.now, received.space);
        // A frame before it in the packet may have ended the handshake, and its spaces with it.
        if self.spaces.get(space).is_none() {
            return Ok(());
        }
        if space == SpaceId::Data {
            self.collect(now);
        }
        let next = self.next_number(space);
        self.recovery
            .on_ack(now, space, ack, next, &mut self.outcome)?;
        if let Some(keys) = self.spaces.one_rtt_mut().filter(|_| space == SpaceId::Data) {
            keys.on_acked(ack.largest_acknowledged, received.generation)?;
        }
        self.apply_outcome(space);
        if space == SpaceId::Data && self.outcome.acked_packets > 0 {
            // RFC 9001 §4.1.2: who acknowledges 1-RTT packets has completed the handshake.
            self.confirm_handshake(now);
        }
        self.streams.set_rtt(self.recovery.rtt().smoothed());
        Ok(())
    }

    /// Tells every part what became of its frames.
    pub(super) fn apply_outcome(&mut self, space: SpaceId) {
        // The lists go back afterwards: their memory serves all outcomes.
        let mut outcome = core::mem::take(&mut self.outcome);
        for frame in outcome.acked.drain(..) {
            self.on_frame_acked(space, frame);
        }
        for frame in outcome.lost.drain(..) {
            self.on_frame_lost(space, frame);
        }
        for number in outcome.lost_numbers.drain(..) {
            self.watch.tell(&Observed::PacketLost { space, number });
        }
        self.watch.tell(&Observed::Recovery(&self.recovery));
        self.stats.packets_lost += outcome.lost_packets;
        self.stats.packets_acked += outcome.acked_packets;
        self.stats.other_packets_lost += outcome.lost_by_other;
        self.stats.other_packets_acked += outcome.acked_by_other;
        self.stats.congestion_events += u64::from(outcome.congestion_event);
        self.outcome = outcome;
    }

    fn on_frame_acked(&mut self, id: SpaceId, frame: SentFrame) {
        match frame {
            SentFrame::Crypto { offset, len } => {
                if let Some(space) = self.spaces.get_mut(id) {
                    space.crypto_send.on_acked(offset, len);
                }
            }
            SentFrame::Ack { largest } => {
                if let Some(space) = self.spaces.get_mut(id) {
                    space.received.on_ack_acked(largest);
                }
            }
            SentFrame::RetireConnectionId(sequence_number) => {
                self.remote_ids.on_acked(sequence_number)
            }
            SentFrame::NewToken if !self.control.send_new_token => self.control.new_token = None,
            SentFrame::NewConnectionId(_)
            | SentFrame::HandshakeDone
            | SentFrame::NewToken
            | SentFrame::AckFrequency => {}
            _ => self.streams.on_acked(&frame),
        }
    }

    /// RFC 9000 §13.3: what is repeated is the state, as it is now.
    pub(super) fn on_frame_lost(&mut self, id: SpaceId, frame: SentFrame) {
        match frame {
            SentFrame::Crypto { offset, len } => {
                if let Some(space) = self.spaces.get_mut(id) {
                    space.crypto_send.on_lost(offset, len);
                }
            }
            SentFrame::Ack { .. } => {}
            SentFrame::NewConnectionId(sequence_number) => self.local_ids.on_lost(sequence_number),
            SentFrame::RetireConnectionId(sequence_number) => {
                self.remote_ids.on_lost(sequence_number)
            }
            SentFrame::HandshakeDone => self.control.handshake_done = true,
            SentFrame::NewToken => self.control.send_new_token = self.control.new_token.is_some(),
            SentFrame::AckFrequency => self.control.send_ack_frequency = true,
            _ => self.streams.on_lost(&frame),
        }
    }

    fn on_new_token(&mut self, token: &[u8]) {
        let event = Event::NewToken(token.to_vec());
        match self.events.back_mut() {
            // The latest is the best, and a flood of them is not kept.
            Some(last @ Event::NewToken(_)) => *last = event,
            _ => self.events.push_back(event),
        }
    }

    fn on_datagram_frame(
        &mut self,
        number: PacketNumber,
        frame: &Datagram<'_>,
    ) -> Result<(), TransportError> {
        let limit = self.config.max_datagram_frame_size;
        // RFC 9221 §3: the limit counts the whole frame, at least type and data; zero forbids all.
        if limit == 0 || 1 + frame.data.len() as u64 > limit {
            let reason = "DATAGRAM frame larger than allowed";
            return Err(violation(frame_type::DATAGRAM, reason));
        }
        if self.datagrams_in.is_empty() {
            self.events.push_back(Event::DatagramReceived);
        }
        self.stats.datagram_frames_received += 1;
        let datagram = Chunk::from(frame.data);
        self.stats.datagram_frames_dropped += self.datagrams_in.push_over(number, datagram);
        Ok(())
    }

    fn on_retire(
        &mut self,
        received: &Received,
        sequence_number: u64,
    ) -> Result<(), TransportError> {
        let retired = self
            .local_ids
            .on_retire(sequence_number, &received.destination_cid)?;
        if let Some(cid) = retired {
            self.events.push_back(Event::ConnectionIdRetired(cid));
        }
        self.issue_connection_ids();
        Ok(())
    }

    fn on_path_challenge(&mut self, received: &Received, data: [u8; 8]) {
        let tuple = received.arrival.tuple;
        // RFC 9000 §8.1: a datagram counts once; on the path in use it is counted there.
        let is_counted = self.path.tuple().matches(&tuple);
        let credit = if is_counted { 0 } else { received.arrival.len };
        self.responses.push(PendingResponse {
            tuple,
            data,
            received: credit,
        });
    }

    fn on_path_response(&mut self, now: Time, data: [u8; 8]) {
        match self.path.on_response(data) {
            Response::Unknown => {}
            Response::AddressOnly => self.challenge_path(now),
            Response::Validated => self.on_path_validated(),
        }
    }

    fn on_connection_close(&mut self, received: &Received, frame: &ConnectionClose<'_>) {
        self.tell_end(peer_error(frame));
        self.drain(received.arrival.now);
    }

    fn on_ack_frequency(
        &mut self,
        frame: &ack_frequency::AckFrequency,
    ) -> Result<(), TransportError> {
        let requested = Duration::from_micros(frame.requested_max_ack_delay);
        match self.config.min_ack_delay {
            None => return Err(unknown_frame(frame_type::ACK_FREQUENCY)),
            Some(min) if requested < min => {
                return Err(violation(
                    frame_type::ACK_FREQUENCY,
                    "delay below min_ack_delay",
                ));
            }
            Some(_) => {}
        }
        if self
            .control
            .ack_frequency_seen
            .is_some_and(|seen| frame.sequence_number <= seen)
        {
            return Ok(());
        }
        self.control.ack_frequency_seen = Some(frame.sequence_number);
        if let Some(space) = self.spaces.get_mut(SpaceId::Data) {
            space.received.set_ack_frequency(AckFrequency {
                ack_eliciting_threshold: frame.ack_eliciting_threshold,
                max_ack_delay: requested.min(MAX_ACK_DELAY),
                reordering_threshold: frame.reordering_threshold,
            });
        }
        Ok(())
    }

    fn on_immediate_ack(&mut self, received: &Received) -> Result<(), TransportError> {
        if self.config.min_ack_delay.is_none() {
            return Err(unknown_frame(frame_type::IMMEDIATE_ACK));
        }
        if let Some(space) = self.spaces.get_mut(received.space) {
            space.received.on_immediate_ack(received.arrival.now);
        }
        Ok(())
    }
}

fn violation(frame_type: u64, reason: &'static str) -> TransportError {
    TransportError::new(TransportErrorCode::PROTOCOL_VIOLATION, frame_type, reason)
}

/// RFC 9000 §12.4: a frame of an extension that was not negotiated is unknown.
fn unknown_frame(frame_type: u64) -> TransportError {
    TransportError::new(
        TransportErrorCode::FRAME_ENCODING_ERROR,
        frame_type,
        "extension not negotiated",
    )
}

/// RFC 9000 §18.2: no max_ack_delay reaches 2^14 milliseconds.
const MAX_ACK_DELAY: Duration = Duration::from_millis(1 << 14);
