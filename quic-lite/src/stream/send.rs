//! The sending part of one stream (RFC 9000 §3.1): what it may send next, and what became of it.

use super::StreamError;
use super::chunk::Chunk;
use super::flow::Credit;
use super::queue::{Key, Place};
use super::send_buffer::SendBuffer;
use super::send_state::{SendEvent, SendState};
use crate::recovery::sent_frame::SentFrame;
use crate::wire::frame::stream::{data_that_fits, encode_header};
use crate::wire::stream_id::StreamId;
use crate::wire::varint;
use crate::wire::writer::{Full, Writer};
use core::ops::Range;

/// The sending part of one stream.
#[derive(Debug)]
pub(super) struct SendStream {
    id: StreamId,
    state: SendState,
    credit: Credit,
    buffer: SendBuffer,
    final_size: Option<u64>,
    fin: Fin,
    end: Option<End>,
    priority: i32,
    place: Option<Place>,
    writer_waits: bool,
}

/// What became of the FIN bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    /// The final size is not known, or the stream was reset.
    Open,
    /// To be sent, for the first time or again.
    Pending,
    /// Sent.
    InFlight,
    /// Acknowledged.
    Acked,
}

/// Why the stream was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reset { code: u64 },
    Stopped { code: u64 },
}

/// What a stream needs to send its next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// It has nothing to send.
    Nothing,
    /// The stream's own credit is used up.
    StreamCredit,
    /// It can go now if the place's need is met.
    Ready(Place),
}

/// What came of the attempt to write a STREAM frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// A frame, which took this much of the connection's credit.
    Frame(u64),
    /// The packet is full.
    NoRoom,
    /// The connection's credit does not reach; the hole is this long.
    NoCredit(u64),
}

/// Less data than this is not worth a frame at the end of a packet.
const MIN_DATA: u64 = 16;

impl SendStream {
    pub(super) fn new(id: StreamId, max_stream_data: u64) -> Self {
        Self {
            id,
            state: SendState::Ready,
            credit: Credit::new(max_stream_data),
            buffer: SendBuffer::default(),
            final_size: None,
            fin: Fin::Open,
            end: None,
            priority: 0,
            place: None,
            writer_waits: false,
        }
    }

    pub(super) const fn state(&self) -> SendState {
        self.state
    }

    pub(super) const fn buffer(&self) -> &SendBuffer {
        &self.buffer
    }

    pub(super) const fn credit(&self) -> &Credit {
        &self.credit
    }

    pub(super) const fn key(&self) -> Key {
        Key::new(self.priority, self.id)
    }

    pub(super) const fn place(&self) -> Option<Place> {
        self.place
    }

    pub(super) fn set_place(&mut self, place: Option<Place>) {
        self.place = place;
    }

    pub(super) fn set_priority(&mut self, priority: i32) {
        self.priority = priority;
    }

    /// Appends as much of `data` as keeps the buffer below `bound`; the rest makes the writer wait.
    pub(super) fn write(&mut self, data: &[u8], bound: u64) -> Result<usize, StreamError> {
        self.check_appendable()?;
        let room = bound.saturating_sub(self.buffer.unacked_bytes());
        let n = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.writer_waits = n < data.len();
        if n > 0 {
            self.write_at(self.buffer.end(), &Chunk::from(&data[..n]))?;
        }
        Ok(n)
    }

    /// Appends shared bytes.
    pub(super) fn write_chunk(&mut self, chunk: &Chunk) -> Result<(), StreamError> {
        self.check_appendable()?;
        self.write_at(self.buffer.end(), chunk)
    }

    /// Puts shared bytes at any offset below the final size.
    pub(super) fn write_at(&mut self, offset: u64, chunk: &Chunk) -> Result<(), StreamError> {
        self.check_alive()?;
        let end = offset.saturating_add(chunk.len() as u64);
        if end > self.final_size.unwrap_or(varint::MAX) {
            return Err(StreamError::FinalSize);
        }
        self.buffer.write_at(offset, chunk);
        Ok(())
    }

    /// Ends the stream behind the last byte written.
    pub(super) fn finish(&mut self) -> Result<(), StreamError> {
        self.check_appendable()?;
        self.finish_at(self.buffer.end())
    }

    /// Ends the stream at `final_size`, whether or not all bytes below are written.
    pub(super) fn finish_at(&mut self, final_size: u64) -> Result<(), StreamError> {
        self.check_alive()?;
        match self.final_size {
            Some(known) if known == final_size => return Ok(()),
            Some(_) => return Err(StreamError::FinalSize),
            None if final_size < self.end_of_data() || final_size > varint::MAX => {
                return Err(StreamError::FinalSize);
            }
            None => self.final_size = Some(final_size),
        }
        self.fin = Fin::Pending;
        Ok(())
    }

    /// Gives up; false when it is too late for that.
    pub(super) fn reset(&mut self, code: u64) -> bool {
        self.end_with(End::Reset { code })
    }

    /// RFC 9000 §3.5: STOP_SENDING is answered by a reset with the same code.
    pub(super) fn on_stop_sending(&mut self, code: u64) -> bool {
        self.end_with(End::Stopped { code })
    }

    /// The code and final size for RESET_STREAM while it is to be sent.
    pub(super) fn reset_frame(&self) -> Option<(u64, u64)> {
        let (Some(End::Reset { code } | End::Stopped { code }), SendState::ResetSent) =
            (self.end, self.state)
        else {
            return None;
        };
        Some((code, self.credit.used()))
    }

    pub(super) fn on_max_stream_data(&mut self, limit: u64) {
        self.credit.raise(limit);
    }

    /// What is needed for the next frame.
    pub(super) fn demand(&self) -> Demand {
        let Some(range) = self.next_range() else {
            return Demand::Nothing;
        };
        let needed_to = needed_to(&range);
        if needed_to <= self.credit.used() {
            Demand::Ready(Place::Free)
        } else if needed_to > self.credit.limit() {
            Demand::StreamCredit
        } else {
            let stalled = Place::Stalled(self.hole(&range));
            Demand::Ready(if self.place == Some(stalled) {
                stalled
            } else {
                Place::Credit
            })
        }
    }

    /// Notes that the stream's credit is used up; true the first time at this limit.
    pub(super) fn block(&mut self) -> bool {
        self.credit.block()
    }

    /// RFC 9000 §3.1: STREAM_DATA_BLOCKED begins the Send state too.
    pub(super) fn on_blocked_sent(&mut self) {
        self.step(SendEvent::SendStream);
    }

    /// Writes the next STREAM frame, with at most `credit` bytes of the connection's credit.
    pub(super) fn write_frame(
        &mut self,
        credit: u64,
        out: &mut Writer<'_>,
        sent: &mut Vec<SentFrame>,
    ) -> Wrote {
        let Some(range) = self.next_range() else {
            return Wrote::NoCredit(0);
        };
        let used = self.credit.used();
        let reach = used.saturating_add(credit).min(self.credit.limit());
        if needed_to(&range) > reach.max(used) {
            return Wrote::NoCredit(self.hole(&range));
        }
        let wanted = range.start..range.end.min(reach.max(used));
        let Some(range) = fit(self.id, wanted, out.remaining()) else {
            return Wrote::NoRoom;
        };
        let fin = self.fin == Fin::Pending && self.final_size == Some(range.end);
        if self.encode(range.clone(), fin, out).is_err() {
            return Wrote::NoRoom;
        }
        let len = range.end - range.start;
        sent.push(SentFrame::Stream {
            id: self.id,
            offset: range.start,
            len,
            fin,
        });
        Wrote::Frame(self.on_sent(range, fin))
    }

    /// Notes that `range` was sent; returns how much of the connection's credit that took.
    pub(super) fn on_sent(&mut self, range: Range<u64>, fin: bool) -> u64 {
        let taken = self.on_spent(range.end);
        if self.is_reset() {
            return taken;
        }
        self.buffer.on_sent(range);
        self.step(if fin {
            SendEvent::SendFin
        } else {
            SendEvent::SendStream
        });
        if fin && self.fin != Fin::Acked {
            self.fin = Fin::InFlight;
        }
        taken
    }

    /// Whether the stream ends at `size`, as a FIN that somebody else has sent says.
    pub(super) fn ends_at(&mut self, size: u64) -> bool {
        if self.final_size.is_none() && size >= self.end_of_data() {
            self.final_size = Some(size);
        }
        self.final_size == Some(size)
    }

    /// Notes that credit up to `end` is used; returns how much of the connection's credit that took.
    pub(super) fn on_spent(&mut self, end: u64) -> u64 {
        let taken = end.saturating_sub(self.credit.used());
        self.credit.take(taken);
        taken
    }

    /// Whether it was reset: nothing of it is sent any more, or again.
    pub(super) fn is_reset(&self) -> bool {
        self.end.is_some()
    }

    /// Notes an acknowledged STREAM frame; true when a waiting writer has room again.
    pub(super) fn on_acked(&mut self, range: Range<u64>, fin: bool, bound: u64) -> bool {
        if self.is_reset() {
            return false;
        }
        self.buffer.on_acked(range);
        if fin {
            self.fin = Fin::Acked;
        }
        if self.fin == Fin::Acked
            && self
                .final_size
                .is_some_and(|size| self.buffer.is_acked_to(size))
        {
            self.step(SendEvent::RecvAllAcks);
        }
        let wake = self.writer_waits && self.buffer.unacked_bytes() <= bound / 2;
        self.writer_waits &= !wake;
        wake
    }

    /// Notes a lost STREAM frame.
    pub(super) fn on_lost(&mut self, range: Range<u64>, fin: bool) {
        // RFC 9000 §3.1: after a reset nothing is repeated.
        if self.is_reset() {
            return;
        }
        self.buffer.on_lost(range);
        if fin && self.fin == Fin::InFlight {
            self.fin = Fin::Pending;
        }
    }

    pub(super) fn on_reset_acked(&mut self) {
        self.step(SendEvent::RecvResetAck);
    }

    /// How much credit goes to bytes that are left out.
    fn hole(&self, range: &Range<u64>) -> u64 {
        needed_to(range).saturating_sub(self.credit.used() + 1)
    }

    /// The bytes to send next; empty for a FIN alone.
    fn next_range(&self) -> Option<Range<u64>> {
        let fin = self.final_size.filter(|_| self.fin == Fin::Pending);
        self.buffer.pending().or(fin.map(|size| size..size))
    }

    fn encode(&self, range: Range<u64>, fin: bool, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            let len = (range.end - range.start) as usize;
            encode_header(self.id, range.start, fin, Some(len), out)?;
            self.buffer
                .pieces(range)
                .try_for_each(|piece| out.put(piece))
        })
    }

    fn end_with(&mut self, end: End) -> bool {
        let Ok(state) = self.state.on(SendEvent::SendReset) else {
            return false;
        };
        self.state = state;
        self.end = Some(end);
        self.fin = Fin::Open;
        self.buffer = SendBuffer::default();
        true
    }

    fn step(&mut self, event: SendEvent) {
        // Acknowledgements that come late find a state they cannot change.
        if let Ok(state) = self.state.on(event) {
            self.state = state;
        }
    }

    /// No final size may be below this.
    fn end_of_data(&self) -> u64 {
        self.buffer.end().max(self.credit.used())
    }

    fn check_alive(&self) -> Result<(), StreamError> {
        match self.end {
            Some(End::Stopped { code }) => Err(StreamError::Stopped(code)),
            Some(End::Reset { .. }) => Err(StreamError::Finished),
            None => Ok(()),
        }
    }

    fn check_appendable(&self) -> Result<(), StreamError> {
        self.check_alive()?;
        match self.final_size {
            Some(_) => Err(StreamError::Finished),
            None => Ok(()),
        }
    }
}

/// A FIN alone needs credit up to its offset, a byte needs it beyond.
fn needed_to(range: &Range<u64>) -> u64 {
    if range.is_empty() {
        range.end
    } else {
        range.start + 1
    }
}

/// The start of `range` that fits into a frame in `room` bytes, unless it is too little to bother.
fn fit(id: StreamId, range: Range<u64>, room: usize) -> Option<Range<u64>> {
    let len = range.end - range.start;
    let fits = data_that_fits(id, range.start, room)? as u64;
    (fits >= len.min(MIN_DATA)).then(|| range.start..range.start + fits.min(len))
}
