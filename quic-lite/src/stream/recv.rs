//! The receiving part of one stream (RFC 9000 §3.2, §4.5): checks, reassembly, reading.

use super::assembly::Assembly;
use super::chunk::Chunk;
use super::flow::Window;
use super::recv_state::{RecvEvent, RecvState};
use super::{Read, ReadChunk, StreamError};
use crate::error::{TransportError, TransportErrorCode};
use crate::time::Time;
use crate::wire::frame::{ResetStream, Stream, frame_type};
use crate::wire::varint;
use core::time::Duration;

/// The receiving part of one stream.
#[derive(Debug)]
pub(super) struct RecvStream {
    state: RecvState,
    assembly: Assembly,
    window: Window,
    /// Where ordered reading goes on.
    read_offset: u64,
    final_size: Option<u64>,
    /// The peer's code.
    reset: Option<u64>,
    /// Our code: the application wants no more.
    stopped: Option<u64>,
    /// `Readable` stands in the queue of events.
    pub(super) announced: bool,
}

/// What a stream adds to the sums of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) received: u64,
    pub(super) consumed: u64,
    pub(super) gaps: usize,
}

impl RecvStream {
    pub(super) fn new(window: Window) -> Self {
        Self {
            state: RecvState::Recv,
            assembly: Assembly::default(),
            window,
            read_offset: 0,
            final_size: None,
            reset: None,
            stopped: None,
            announced: false,
        }
    }

    pub(super) const fn state(&self) -> RecvState {
        self.state
    }

    pub(super) const fn final_size(&self) -> Option<u64> {
        self.final_size
    }

    pub(super) const fn reset_code(&self) -> Option<u64> {
        self.reset
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            received: self.window.received(),
            consumed: self.window.consumed(),
            gaps: self.assembly.gaps(),
        }
    }

    /// Bytes that are kept because nobody has read them.
    pub(super) fn unread_bytes(&self) -> u64 {
        self.assembly.bytes()
    }

    /// Takes a STREAM frame; true when the application has something to read.
    pub(super) fn on_stream(&mut self, frame: &Stream<'_>) -> Result<bool, TransportError> {
        let end = frame.offset.saturating_add(frame.data.len() as u64);
        self.check_final_size(end, frame.fin, frame_type::STREAM)?;
        self.receive_to(end, frame_type::STREAM)?;
        if frame.fin {
            self.final_size = Some(end);
            self.step(RecvEvent::RecvFin);
        }
        let fresh = matches!(self.state, RecvState::Recv | RecvState::SizeKnown)
            && if self.stopped.is_some() {
                self.assembly.skip(frame.offset..end)
            } else {
                self.assembly.insert(frame.offset, frame.data)
            };
        if self.state == RecvState::SizeKnown
            && self
                .final_size
                .is_some_and(|size| self.assembly.is_complete_to(size))
        {
            self.step(RecvEvent::RecvAllData);
        }
        self.settle();
        Ok((fresh || frame.fin) && self.is_wanted())
    }

    /// Takes a RESET_STREAM frame; true when the application has something to learn.
    pub(super) fn on_reset_stream(&mut self, frame: &ResetStream) -> Result<bool, TransportError> {
        self.check_final_size(frame.final_size, true, frame_type::RESET_STREAM)?;
        // RFC 9000 §4.5: the final size counts in flow control, whatever arrived of it.
        self.receive_to(frame.final_size, frame_type::RESET_STREAM)?;
        self.final_size = Some(frame.final_size);
        let before = self.state;
        self.step(RecvEvent::RecvReset);
        if self.state == RecvState::ResetRecvd && before != self.state {
            self.reset = Some(frame.application_error_code);
            self.drop_data();
        }
        self.settle();
        Ok(self.state != before && self.is_wanted())
    }

    /// Copies bytes out in order.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Read {
        let mut n = 0;
        while n < into.len() {
            let Some(chunk) = self.take(into.len() - n) else {
                break;
            };
            into[n..n + chunk.len()].copy_from_slice(&chunk);
            n += chunk.len();
        }
        if n > 0 {
            return Read::Bytes(n);
        }
        match self.end_of_reading() {
            Some(ReadChunk::Reset(code)) => Read::Reset(code),
            Some(_) => Read::Finished,
            None => Read::Blocked,
        }
    }

    /// Hands over the next bytes in order.
    pub(super) fn read_chunk(&mut self) -> ReadChunk {
        let offset = self.read_offset;
        match self.take(usize::MAX) {
            Some(chunk) => ReadChunk::Chunk { offset, chunk },
            None => self.end_of_reading().unwrap_or(ReadChunk::Blocked),
        }
    }

    /// Hands over whatever is there.
    pub(super) fn read_unordered(&mut self) -> ReadChunk {
        let Some((offset, chunk)) = self.assembly.take_any() else {
            return self.end_of_reading().unwrap_or(ReadChunk::Blocked);
        };
        self.window.consume(chunk.len() as u64);
        if offset == self.read_offset {
            self.read_offset += chunk.len() as u64;
        }
        ReadChunk::Chunk { offset, chunk }
    }

    /// The application wants no more; true when the peer should be asked to stop.
    pub(super) fn stop(&mut self, code: u64) -> Result<bool, StreamError> {
        if self.stopped.is_some() {
            return Err(StreamError::Finished);
        }
        self.stopped = Some(code);
        self.drop_data();
        self.settle();
        Ok(self.stop_code().is_some())
    }

    /// RFC 9000 §3.5: the code for STOP_SENDING, as long as the peer may have something to send.
    pub(super) fn stop_code(&self) -> Option<u64> {
        self.stopped
            .filter(|_| matches!(self.state, RecvState::Recv | RecvState::SizeKnown))
    }

    /// RFC 9000 §3.2: credit is given in the Recv state only; nobody who was stopped needs it.
    pub(super) fn update_is_due(&self) -> bool {
        self.wants_credit() && self.window.update_is_due()
    }

    /// The limit for MAX_STREAM_DATA.
    pub(super) fn update_window(&mut self, now: Time, rtt: Duration) -> Option<u64> {
        self.wants_credit().then(|| self.window.update(now, rtt))
    }

    pub(super) fn wants_credit(&self) -> bool {
        self.state == RecvState::Recv && self.stopped.is_none()
    }

    fn is_wanted(&self) -> bool {
        self.stopped.is_none()
    }

    fn take(&mut self, max: usize) -> Option<Chunk> {
        let chunk = self.assembly.take_at(self.read_offset, max)?;
        self.read_offset += chunk.len() as u64;
        self.window.consume(chunk.len() as u64);
        Some(chunk)
    }

    /// What there is to say when no bytes are left; telling it is the last transition.
    fn end_of_reading(&mut self) -> Option<ReadChunk> {
        match self.state {
            RecvState::ResetRecvd | RecvState::ResetRead => {
                self.step(RecvEvent::ReadReset);
                self.reset.map(ReadChunk::Reset)
            }
            RecvState::DataRecvd | RecvState::DataRead
                if self.window.consumed() == self.window.received() =>
            {
                self.step(RecvEvent::ReadAllData);
                Some(ReadChunk::Finished)
            }
            _ => None,
        }
    }

    /// RFC 9000 §4.5: the final size never changes and nothing lies beyond it.
    fn check_final_size(&self, end: u64, is_final: bool, frame: u64) -> Result<(), TransportError> {
        let reason = match self.final_size {
            Some(size) if end > size => "data beyond the final size",
            Some(size) if is_final && end != size => "the final size changed",
            None if is_final && end < self.window.received() => "final size below received data",
            _ => return Ok(()),
        };
        Err(TransportError::new(
            TransportErrorCode::FINAL_SIZE_ERROR,
            frame,
            reason,
        ))
    }

    /// Counts the highest offset against the stream's limit.
    fn receive_to(&mut self, end: u64, frame: u64) -> Result<(), TransportError> {
        let more = end.saturating_sub(self.window.received());
        if end > varint::MAX || !self.window.receive(more) {
            let reason = "more than the stream's limit";
            return Err(TransportError::new(
                TransportErrorCode::FLOW_CONTROL_ERROR,
                frame,
                reason,
            ));
        }
        Ok(())
    }

    /// What nobody will read is done with at once, so that the connection's window moves on.
    fn settle(&mut self) {
        if self.stopped.is_some() || self.state == RecvState::ResetRecvd {
            self.window.consume(u64::MAX);
        }
        if self.stopped.is_some() {
            self.step(RecvEvent::ReadAllData);
            self.step(RecvEvent::ReadReset);
        }
    }

    fn drop_data(&mut self) {
        self.assembly.discard();
    }

    fn step(&mut self, event: RecvEvent) {
        // Frames that come late find a state they cannot change.
        if let Ok(state) = self.state.on(event) {
            self.state = state;
        }
    }
}
