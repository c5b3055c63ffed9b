//! Stream frames of the peer (RFC 9000 §19.4, §19.5, §19.8 to §19.14).
//!
//! Every frame that names a stream goes through one `get_or_open`, which knows the limits, the
//! directions and the initiators; a frame for a part that has ended is ignored.

use super::limits::Mention;
use super::recv::Tally;
use super::{Control, StreamEvent, Streams};
use crate::error::{TransportError, TransportErrorCode};
use crate::time::Time;
use crate::wire::frame::{
    DataBlocked, MaxData, MaxStreamData, MaxStreams, ResetStream, StopSending, Stream,
    StreamDataBlocked, StreamsBlocked, frame_type,
};
use crate::wire::stream_id::{Dir, StreamId};

/// The part of a stream, seen from here, that a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Sending,
    Receiving,
}

impl Streams {
    /// Takes a STREAM frame (§19.8).
    pub fn on_stream(&mut self, now: Time, frame: &Stream<'_>) -> Result<(), TransportError> {
        self.now = now;
        let id = frame.stream_id;
        self.get_or_open(id, Part::Receiving, frame_type::STREAM)?;
        let Some(stream) = self.recv.get_mut(&id) else {
            return Ok(());
        };
        let before = stream.tally();
        let readable = stream.on_stream(frame)?;
        self.account(id, before, readable, frame_type::STREAM)
    }

    /// Takes a RESET_STREAM frame (§19.4).
    pub fn on_reset_stream(&mut self, frame: &ResetStream) -> Result<(), TransportError> {
        let id = frame.stream_id;
        self.get_or_open(id, Part::Receiving, frame_type::RESET_STREAM)?;
        let Some(stream) = self.recv.get_mut(&id) else {
            return Ok(());
        };
        let before = stream.tally();
        let readable = stream.on_reset_stream(frame)?;
        self.account(id, before, readable, frame_type::RESET_STREAM)
    }

    /// Takes a STOP_SENDING frame (§19.5).
    pub fn on_stop_sending(&mut self, frame: &StopSending) -> Result<(), TransportError> {
        let (id, code) = (frame.stream_id, frame.application_error_code);
        self.get_or_open(id, Part::Sending, frame_type::STOP_SENDING)?;
        if !self.send.contains_key(&id) {
            return Ok(());
        }
        self.release(id);
        let Some(stream) = self.send.get_mut(&id) else {
            return Ok(());
        };
        if stream.on_stop_sending(code) {
            self.control.insert(Control::ResetStream(id));
            self.events.push_back(StreamEvent::Stopped { id, code });
            self.settle_send(id);
        }
        Ok(())
    }

    /// Takes a MAX_DATA frame (§19.9).
    pub fn on_max_data(&mut self, frame: &MaxData) -> Result<(), TransportError> {
        self.credit.raise(frame.maximum_data);
        Ok(())
    }

    /// Takes a MAX_STREAM_DATA frame (§19.10).
    pub fn on_max_stream_data(&mut self, frame: &MaxStreamData) -> Result<(), TransportError> {
        let id = frame.stream_id;
        self.get_or_open(id, Part::Sending, frame_type::MAX_STREAM_DATA)?;
        if let Some(stream) = self.send.get_mut(&id) {
            stream.on_max_stream_data(frame.maximum_stream_data);
            self.settle_send(id);
            self.tell_limit(id, frame.maximum_stream_data);
        }
        Ok(())
    }

    /// Takes a MAX_STREAMS frame (§19.11).
    pub fn on_max_streams(&mut self, frame: &MaxStreams) -> Result<(), TransportError> {
        if frame.maximum_streams > StreamId::MAX_COUNT {
            return Err(too_many(frame.dir, frame_type::MAX_STREAMS_BIDI));
        }
        self.raise_own_limit(frame.dir, frame.maximum_streams);
        Ok(())
    }

    /// Takes a DATA_BLOCKED frame (§19.12): windows grow without being asked.
    pub fn on_data_blocked(&mut self, _frame: &DataBlocked) -> Result<(), TransportError> {
        Ok(())
    }

    /// Takes a STREAM_DATA_BLOCKED frame (§19.13), which may open a stream.
    pub fn on_stream_data_blocked(
        &mut self,
        frame: &StreamDataBlocked,
    ) -> Result<(), TransportError> {
        self.get_or_open(
            frame.stream_id,
            Part::Receiving,
            frame_type::STREAM_DATA_BLOCKED,
        )
    }

    /// Takes a STREAMS_BLOCKED frame (§19.14): limits grow as streams close, not when asked.
    pub fn on_streams_blocked(&mut self, frame: &StreamsBlocked) -> Result<(), TransportError> {
        if frame.maximum_streams > StreamId::MAX_COUNT {
            return Err(too_many(frame.dir, frame_type::STREAMS_BLOCKED_BIDI));
        }
        Ok(())
    }

    /// Sees to it that the stream's parts exist, unless they have ended already.
    fn get_or_open(&mut self, id: StreamId, part: Part, frame: u64) -> Result<(), TransportError> {
        let ours = id.initiator() == self.side;
        // RFC 9000 §19: a unidirectional stream has one part on each side.
        if id.dir() == Dir::Uni && ours != (part == Part::Sending) {
            let code = TransportErrorCode::STREAM_STATE_ERROR;
            return Err(TransportError::new(
                code,
                frame,
                "the stream does not carry data that way",
            ));
        }
        let index = id.dir() as usize;
        if ours {
            // RFC 9000 §19.5, §19.8, §19.10: only we open these.
            return match self.is_opened(id) {
                true => Ok(()),
                false => {
                    let code = TransportErrorCode::STREAM_STATE_ERROR;
                    Err(TransportError::new(
                        code,
                        frame,
                        "the stream is ours to open",
                    ))
                }
            };
        }
        match self.peer[index].mention(id.index()) {
            Mention::OverLimit => {
                let code = TransportErrorCode::STREAM_LIMIT_ERROR;
                return Err(TransportError::new(
                    code,
                    frame,
                    "more streams than the limit",
                ));
            }
            Mention::First => {
                self.create(id);
                self.events.push_back(StreamEvent::Opened(id));
                self.offer_streams(id.dir());
            }
            Mention::Again => {}
        }
        Ok(())
    }

    /// Checks the connection's bounds after a frame has changed a receiving part.
    fn account(
        &mut self,
        id: StreamId,
        before: Tally,
        readable: bool,
        frame: u64,
    ) -> Result<(), TransportError> {
        let Some(stream) = self.recv.get_mut(&id) else {
            return Ok(());
        };
        let more = stream.tally().received - before.received;
        if readable && !core::mem::replace(&mut stream.announced, true) {
            self.events.push_back(StreamEvent::Readable(id));
        }
        if !self.window.receive(more) {
            let code = TransportErrorCode::FLOW_CONTROL_ERROR;
            return Err(TransportError::new(
                code,
                frame,
                "more than the connection's limit",
            ));
        }
        self.settle_recv(id, before);
        // RFC 9000 §21.7: what is kept to track holes has a bound.
        if self.gaps as u64 > self.max_gaps() {
            let code = TransportErrorCode::INTERNAL_ERROR;
            return Err(TransportError::new(
                code,
                frame,
                "too many gaps in stream data",
            ));
        }
        Ok(())
    }
}

/// RFC 9000 §4.6: such a count would allow stream IDs that cannot be written.
fn too_many(dir: Dir, bidi_type: u64) -> TransportError {
    let frame = bidi_type + dir as u64;
    TransportError::new(
        TransportErrorCode::FRAME_ENCODING_ERROR,
        frame,
        "more than 2^60 streams",
    )
}
