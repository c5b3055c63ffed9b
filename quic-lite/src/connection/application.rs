//! What the application does with a connection, apart from driving it. RFC 9000 §2.4, §5.3; RFC 9221 §5.

use core::time::Duration;

use crate::error::{ConnectionError, TransportError, TransportErrorCode};
use crate::limits;
use crate::observer::Observed;
use crate::protection::TAG_LEN;
use crate::recovery::SpaceId;
use crate::stream::{Chunk, Read, ReadChunk, StreamError, Streams};
use crate::time::Time;
use crate::wire::frame::ack_frequency::AckFrequency;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::{Dir, StreamId};
use crate::wire::varint;

use super::datagrams::DatagramError;
use super::keys::OneRttKeys;
use super::state::State;
use super::{Connection, Event};

/// Streams. More, and what is not often needed, is at [`Connection::streams`].
impl Connection {
    /// All streams.
    pub const fn streams(&self) -> &Streams {
        &self.streams
    }

    /// All streams, to read, write and shape them.
    pub const fn streams_mut(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// Opens a stream; `None` when the peer allows no more now.
    pub fn open(&mut self, dir: Dir) -> Option<StreamId> {
        self.streams.open(dir)
    }

    /// Appends a copy of as much of `data` as the send buffer takes.
    pub fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, StreamError> {
        self.streams.write(id, data)
    }

    /// Appends shared bytes without a copy and without a bound.
    pub fn write_chunk(&mut self, id: StreamId, chunk: Chunk) -> Result<(), StreamError> {
        self.streams.write_chunk(id, chunk)
    }

    /// Puts shared bytes at any offset.
    pub fn write_at(&mut self, id: StreamId, offset: u64, chunk: Chunk) -> Result<(), StreamError> {
        self.streams.write_at(id, offset, chunk)
    }

    /// Ends a stream behind the last byte written.
    pub fn finish(&mut self, id: StreamId) -> Result<(), StreamError> {
        self.streams.finish(id)
    }

    /// Ends a stream at a size that is known before all its bytes are.
    pub fn finish_at(&mut self, id: StreamId, final_size: u64) -> Result<(), StreamError> {
        self.streams.finish_at(id, final_size)
    }

    /// Gives the sending part of a stream up.
    pub fn reset(&mut self, id: StreamId, code: u64) -> Result<(), StreamError> {
        self.streams.reset(id, code)
    }

    /// Asks the peer to give its sending part up.
    pub fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), StreamError> {
        self.streams.stop_sending(id, code)
    }

    /// Sends this stream before those of lower priority.
    pub fn set_priority(&mut self, id: StreamId, priority: i32) -> Result<(), StreamError> {
        self.streams.set_priority(id, priority)
    }

    /// Copies bytes out in order.
    pub fn read(&mut self, id: StreamId, into: &mut [u8]) -> Result<Read, StreamError> {
        self.streams.read(id, into)
    }

    /// Hands over the next bytes in order.
    pub fn read_chunk(&mut self, id: StreamId) -> Result<ReadChunk, StreamError> {
        self.streams.read_chunk(id)
    }

    /// Hands over any bytes that have arrived.
    pub fn read_unordered(&mut self, id: StreamId) -> Result<ReadChunk, StreamError> {
        self.streams.read_unordered(id)
    }
}

/// Datagrams (RFC 9221).
impl Connection {
    /// Sends a copy of `data` once, in a DATAGRAM frame.
    pub fn send_datagram(&mut self, data: &[u8]) -> Result<(), DatagramError> {
        self.send_datagram_chunk(Chunk::from(data))
    }

    /// Sends shared bytes once, in a DATAGRAM frame.
    pub fn send_datagram_chunk(&mut self, chunk: Chunk) -> Result<(), DatagramError> {
        let max = self
            .max_datagram_payload()
            .ok_or(DatagramError::Unsupported)?;
        if chunk.len() > max {
            return Err(DatagramError::TooLarge(max));
        }
        self.datagrams_out.push(chunk)
    }

    /// The largest datagram that can be sent on this path now; `None` when the peer takes none.
    pub fn max_datagram_payload(&self) -> Option<usize> {
        let peers = usize::try_from(self.peer.max_datagram_frame_size).unwrap_or(usize::MAX);
        // RFC 9221 §3: the peer's limit counts type and length too.
        let by_peer = peers.checked_sub(DATAGRAM_HEADER)?;
        let header = 1 + self.remote_ids.current().len() + MAX_PN_LEN;
        let packet = usize::from(self.recovery.max_datagram_size());
        Some(
            packet
                .saturating_sub(header + TAG_LEN + DATAGRAM_HEADER)
                .min(by_peer),
        )
    }

    /// The next datagram that came.
    pub fn receive_datagram(&mut self) -> Option<Chunk> {
        self.receive_datagram_of().map(|(_, datagram)| datagram)
    }

    /// The next datagram that came, and the number of the packet that brought it: for an application that
    /// shares its work with another reader of the peer's packets.
    pub fn receive_datagram_of(&mut self) -> Option<(PacketNumber, Chunk)> {
        let datagram = self.datagrams_in.pop();
        self.datagrams_in.release();
        datagram
    }

    /// Datagrams waiting to be sent, and their bytes with what it costs to keep them.
    pub fn queued_datagrams(&self) -> (usize, usize) {
        (self.datagrams_out.len(), self.datagrams_out.bytes())
    }
}

/// The connection itself.
impl Connection {
    /// Ends the connection with the application's code and words (RFC 9000 §10.2). What was written and
    /// not yet acknowledged may be lost.
    pub fn close(&mut self, now: Time, code: u64, reason: &str) {
        let code = code.min(varint::MAX);
        self.fail(
            now,
            ConnectionError::Application {
                code,
                reason: reason.to_owned(),
            },
        );
    }

    /// Ends the connection with an error of the transport, for an owner that finds one.
    pub fn close_transport(&mut self, now: Time, code: TransportErrorCode, reason: &'static str) {
        self.fail(now, TransportError::new(code, 0, reason).into());
    }

    /// Sends a PING, to see whether the peer is there or to hold a NAT binding open.
    pub const fn ping(&mut self) {
        self.control.ping = self.state.is_established();
    }

    /// Begins a key update (RFC 9001 §6.1). False when it is too early: the handshake is not confirmed,
    /// or the last update not complete.
    pub fn force_key_update(&mut self) -> bool {
        let is_confirmed = self.state == State::Confirmed;
        let keys = self.spaces.one_rtt();
        let may_update = is_confirmed && keys.is_some_and(OneRttKeys::may_initiate);
        if may_update {
            // What it has sent has the old keys and smaller numbers than all that follows.
            self.suspend_other();
            let next = self.next_number(SpaceId::Data);
            if let Some(keys) = self.spaces.one_rtt_mut() {
                keys.update(next);
            }
            self.on_keys_updated();
        }
        may_update
    }

    pub(super) fn on_keys_updated(&mut self) {
        if let Some(keys) = self.spaces.one_rtt() {
            let (by, updates) = (self.side, keys.updates());
            self.watch.tell(&Observed::KeysUpdated { by, updates });
            self.events.push_back(Event::KeysUpdated {
                phase: keys.phase(),
            });
        }
    }

    /// A server gives the client a token for its next connection (RFC 9000 §8.1.3). One too long for a
    /// packet is not sent.
    pub fn send_new_token(&mut self, token: Vec<u8>) {
        if !token.is_empty() && token.len() <= limits::NEW_TOKEN {
            self.control.new_token = Some(token.into_boxed_slice());
            self.control.send_new_token = true;
        }
    }

    /// Asks the peer to acknowledge only every `packets` ack-eliciting packets, or after `max_delay`
    /// (draft-ietf-quic-ack-frequency). False when it does not offer that.
    pub fn request_ack_frequency(&mut self, packets: u64, max_delay: Duration) -> bool {
        let Some(min) = self.peer.min_ack_delay else {
            return false;
        };
        let max_delay = max_delay.max(Duration::from_micros(min));
        let sequence_number = self
            .control
            .ack_frequency
            .map_or(0, |last| last.sequence_number + 1);
        self.control.ack_frequency = Some(AckFrequency {
            sequence_number,
            ack_eliciting_threshold: packets.saturating_sub(1).min(varint::MAX),
            requested_max_ack_delay: u64::try_from(max_delay.as_micros()).unwrap_or(varint::MAX),
            reordering_threshold: 1,
        });
        self.control.send_ack_frequency = true;
        self.recovery.set_peer_max_ack_delay(max_delay);
        true
    }
}

/// Type and a length of up to 2^14 bytes.
const DATAGRAM_HEADER: usize = 1 + 2;
/// RFC 9000 §17.1.
const MAX_PN_LEN: usize = 4;
