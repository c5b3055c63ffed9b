//! What the application does with streams (RFC 9000 §2.4).

use super::recv::RecvStream;
use super::send::SendStream;
use super::{
    Chunk, Control, Read, ReadChunk, RecvState, SendState, StreamError, StreamEvent, Streams,
    place_in,
};
use crate::wire::stream_id::{Dir, StreamId};

impl Streams {
    /// Opens a stream; `None` when the peer allows no more now, see [`StreamEvent::Available`].
    pub fn open(&mut self, dir: Dir) -> Option<StreamId> {
        let id = self.open_next(dir);
        if id.is_none() && self.own[dir as usize].refuse() {
            self.control.insert(Control::StreamsBlocked(dir));
        }
        id
    }

    /// How many streams may be opened now.
    pub fn openable(&self, dir: Dir) -> u64 {
        let maximum = self.own[dir as usize].maximum();
        maximum.saturating_sub(self.count_opened(dir))
    }

    /// How many streams we have opened, with another sender all that it has opened too.
    pub fn opened(&self, dir: Dir) -> u64 {
        self.count_opened(dir)
    }

    /// How many streams the peer has opened: all below are, too (RFC 9000 §2.1).
    pub fn opened_by_peer(&self, dir: Dir) -> u64 {
        self.peer[dir as usize].opened()
    }

    /// Appends a copy of as much of `data` as the send buffer takes. When that is less than all, a
    /// [`StreamEvent::Writable`] follows.
    pub fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, StreamError> {
        let bound = self.config.send_buffer;
        self.with_send(id, |stream| stream.write(data, bound))
    }

    /// Appends shared bytes: no copy, no bound; see [`Self::unacked_bytes`].
    pub fn write_chunk(&mut self, id: StreamId, chunk: Chunk) -> Result<(), StreamError> {
        self.with_send(id, |stream| stream.write_chunk(&chunk))
    }

    /// Puts shared bytes at any offset: no copy, no bound. They are sent whether or not those before them
    /// are there; bytes that were put before are left as they are.
    pub fn write_at(&mut self, id: StreamId, offset: u64, chunk: Chunk) -> Result<(), StreamError> {
        self.with_send(id, |stream| stream.write_at(offset, &chunk))
    }

    /// Ends the stream behind the last byte written.
    pub fn finish(&mut self, id: StreamId) -> Result<(), StreamError> {
        self.with_send(id, SendStream::finish)
    }

    /// Ends the stream at `final_size`. Bytes below may still be put by [`Self::write_at`].
    pub fn finish_at(&mut self, id: StreamId, final_size: u64) -> Result<(), StreamError> {
        self.with_send(id, |stream| stream.finish_at(final_size))
    }

    /// Gives the sending part up: what is not acknowledged yet may never arrive.
    pub fn reset(&mut self, id: StreamId, code: u64) -> Result<(), StreamError> {
        self.sending(id)?;
        self.release(id);
        if !self.with_send(id, |stream| Ok(stream.reset(code)))? {
            return Err(StreamError::Finished);
        }
        self.control.insert(Control::ResetStream(id));
        Ok(())
    }

    /// Drops what was received and asks the peer to send no more.
    pub fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), StreamError> {
        if self.with_recv(id, |stream| stream.stop(code))?? {
            self.control.insert(Control::StopSending(id));
        }
        Ok(())
    }

    /// Sends this stream before those of lower priority; 0 is the default.
    pub fn set_priority(&mut self, id: StreamId, priority: i32) -> Result<(), StreamError> {
        self.sending(id)?;
        let Some(stream) = self.send.get_mut(&id) else {
            return Ok(());
        };
        let place = stream.place();
        place_in(&mut self.queue, stream, None);
        stream.set_priority(priority);
        place_in(&mut self.queue, stream, place);
        Ok(())
    }

    /// Copies bytes out in order, and gives the peer credit for them.
    pub fn read(&mut self, id: StreamId, into: &mut [u8]) -> Result<Read, StreamError> {
        self.with_recv(id, |stream| stream.read(into))
    }

    /// Hands over the next bytes in order, as they arrived.
    pub fn read_chunk(&mut self, id: StreamId) -> Result<ReadChunk, StreamError> {
        self.with_recv(id, RecvStream::read_chunk)
    }

    /// Hands over any bytes that have arrived, with their offset, each byte once. May follow ordered
    /// reading; ordered reading may follow only if no hole was left.
    pub fn read_unordered(&mut self, id: StreamId) -> Result<ReadChunk, StreamError> {
        self.with_recv(id, RecvStream::read_unordered)
    }

    /// The size that the peer's part of the stream has in the end, once it is known.
    pub fn final_size(&self, id: StreamId) -> Option<u64> {
        self.recv.get(&id)?.final_size()
    }

    /// The peer's code, if it has reset its part of the stream before all of it arrived.
    pub fn is_reset(&self, id: StreamId) -> Option<u64> {
        self.recv.get(&id)?.reset_code()
    }

    /// Bytes written that are not yet acknowledged, sent or not.
    pub fn unacked_bytes(&self, id: StreamId) -> u64 {
        self.send
            .get(&id)
            .map_or(0, |stream| stream.buffer().unacked_bytes())
    }

    /// Bytes written that are to be sent, for the first time or again.
    pub fn unsent_bytes(&self, id: StreamId) -> u64 {
        self.send
            .get(&id)
            .map_or(0, |stream| stream.buffer().pending_bytes())
    }

    /// One more than the highest offset that was sent.
    pub fn send_offset_max(&self, id: StreamId) -> Option<u64> {
        self.send.get(&id).map(|stream| stream.credit().used())
    }

    /// The peer's limit for this stream.
    pub fn max_stream_data(&self, id: StreamId) -> Option<u64> {
        self.send.get(&id).map(|stream| stream.credit().limit())
    }

    /// The peer's limit for the sum of all streams, and how much of it is used.
    pub fn max_data(&self) -> (u64, u64) {
        (self.credit.limit(), self.credit.used())
    }

    /// Our limit for the sum of the peer's streams, and how much of it is used.
    pub fn local_max_data(&self) -> (u64, u64) {
        (self.window.limit(), self.window.received())
    }

    /// Where the sending part stands; `None` before it is opened and after its end.
    pub fn send_state(&self, id: StreamId) -> Option<SendState> {
        self.send.get(&id).map(|stream| stream.state())
    }

    /// Where the receiving part stands; `None` before it is opened and after its end.
    pub fn recv_state(&self, id: StreamId) -> Option<RecvState> {
        self.recv.get(&id).map(|stream| stream.state())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        let event = self.events.pop_front();
        if let Some(StreamEvent::Readable(id)) = event
            && let Some(stream) = self.recv.get_mut(&id)
        {
            stream.announced = false;
        }
        event
    }

    fn with_send<T>(
        &mut self,
        id: StreamId,
        change: impl FnOnce(&mut SendStream) -> Result<T, StreamError>,
    ) -> Result<T, StreamError> {
        let result = change(self.sending(id)?);
        self.settle_send(id);
        result
    }

    fn with_recv<T>(
        &mut self,
        id: StreamId,
        change: impl FnOnce(&mut RecvStream) -> T,
    ) -> Result<T, StreamError> {
        let ours = id.initiator() == self.side;
        let stream = self.recv.get_mut(&id).ok_or_else(|| unknown(id, !ours))?;
        let before = stream.tally();
        let result = change(stream);
        self.settle_recv(id, before);
        Ok(result)
    }
}

/// Why a part of a stream is not there; `exists` tells whether streams of ours or theirs have it.
pub(super) fn unknown(id: StreamId, exists: bool) -> StreamError {
    match id.dir() == Dir::Uni && !exists {
        true => StreamError::WrongDirection,
        false => StreamError::UnknownStream,
    }
}

impl StreamEvent {
    /// The stream it is about.
    pub const fn stream_id(&self) -> Option<StreamId> {
        match self {
            Self::Opened(id)
            | Self::Readable(id)
            | Self::Writable(id)
            | Self::Finished(id)
            | Self::Stopped { id, .. } => Some(*id),
            Self::Available(_) => None,
        }
    }
}
