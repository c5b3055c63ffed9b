//! Frames for a packet, and what became of them (RFC 9000 §13.3, §3.3).
//!
//! Limits and requests go first, then STREAM frames in the order of priority. A frame that was lost
//! is made anew from today's state, or not at all when it has become pointless.

use super::queue::Place;
use super::send::{Demand, Wrote};
use super::{Control, SendState, StreamEvent, Streams, place_in};
use crate::recovery::sent_frame::SentFrame;
use crate::wire::frame::{
    DataBlocked, Frame, MaxData, MaxStreamData, MaxStreams, ResetStream, StopSending,
    StreamDataBlocked, StreamsBlocked,
};
use crate::wire::stream_id::StreamId;
use crate::wire::writer::Writer;

/// How many stalled streams are looked at per packet.
const UNSTALL_PER_PACKET: usize = 8;

impl Streams {
    /// Whether to call [`Self::write_frames`]. It may then find that all of it has become pointless and
    /// write nothing, after which this is false.
    pub fn has_pending(&self) -> bool {
        !self.control.is_empty() || self.queue.has_any(self.credit.available())
    }

    /// Writes as many frames as fit, and notes each in `sent`.
    pub fn write_frames(&mut self, out: &mut Writer<'_>, sent: &mut Vec<SentFrame>) {
        if self.write_control_frames(out, sent) {
            self.write_stream_frames(out, sent);
        }
    }

    /// Notes that a frame arrived.
    pub fn on_acked(&mut self, frame: &SentFrame) {
        match *frame {
            SentFrame::Stream {
                id,
                offset,
                len,
                fin,
            } => self.on_stream_acked(id, offset, len, fin),
            SentFrame::ResetStream(id) => {
                if let Some(stream) = self.send.get_mut(&id) {
                    stream.on_reset_acked();
                    self.settle_send(id);
                }
            }
            _ => {}
        }
    }

    /// Notes that a frame is lost.
    pub fn on_lost(&mut self, frame: &SentFrame) {
        let again = match *frame {
            SentFrame::Stream {
                id,
                offset,
                len,
                fin,
            } => {
                if let Some(stream) = self.send.get_mut(&id) {
                    stream.on_lost(offset..offset + len, fin);
                    self.settle_send(id);
                }
                return;
            }
            SentFrame::ResetStream(id) => Control::ResetStream(id),
            SentFrame::StopSending(id) => Control::StopSending(id),
            SentFrame::MaxData => Control::MaxData,
            SentFrame::MaxStreamData(id) => Control::MaxStreamData(id),
            SentFrame::MaxStreams(dir) => Control::MaxStreams(dir),
            SentFrame::DataBlocked => Control::DataBlocked,
            SentFrame::StreamDataBlocked(id) => Control::StreamDataBlocked(id),
            SentFrame::StreamsBlocked(dir) => Control::StreamsBlocked(dir),
            _ => return,
        };
        if self.is_current(again) {
            self.control.insert(again);
        }
    }

    fn on_stream_acked(&mut self, id: StreamId, offset: u64, len: u64, fin: bool) {
        let Some(stream) = self.send.get_mut(&id) else {
            return;
        };
        if stream.on_acked(offset..offset + len, fin, self.config.send_buffer) {
            self.events.push_back(StreamEvent::Writable(id));
        }
        if stream.state() == SendState::DataRecvd {
            self.events.push_back(StreamEvent::Finished(id));
        }
        self.settle_send(id);
    }

    /// Writes frames other than STREAM; false when the packet is full.
    pub fn write_control_frames(
        &mut self,
        out: &mut Writer<'_>,
        sent: &mut Vec<SentFrame>,
    ) -> bool {
        while let Some(control) = self.control.pop_first() {
            let Some((frame, entry)) = self.control_frame(control) else {
                continue;
            };
            if frame.encode(out).is_err() {
                self.control.insert(control);
                return false;
            }
            if let SentFrame::StreamDataBlocked(id) = entry
                && let Some(stream) = self.send.get_mut(&id)
            {
                stream.on_blocked_sent();
            }
            sent.push(entry);
        }
        true
    }

    /// The frame with its content of now; `None` when it has become pointless.
    fn control_frame(&mut self, control: Control) -> Option<(Frame<'static>, SentFrame)> {
        if !self.is_current(control) {
            return None;
        }
        Some(match control {
            Control::MaxData => {
                let maximum_data = self.window.update(self.now, self.rtt);
                (Frame::MaxData(MaxData { maximum_data }), SentFrame::MaxData)
            }
            Control::DataBlocked => {
                let maximum_data = self.credit.limit();
                (
                    Frame::DataBlocked(DataBlocked { maximum_data }),
                    SentFrame::DataBlocked,
                )
            }
            Control::MaxStreams(dir) => {
                let maximum_streams = self.peer[dir as usize].raise();
                (
                    Frame::MaxStreams(MaxStreams {
                        dir,
                        maximum_streams,
                    }),
                    SentFrame::MaxStreams(dir),
                )
            }
            Control::StreamsBlocked(dir) => {
                let maximum_streams = self.own[dir as usize].maximum();
                let frame = StreamsBlocked {
                    dir,
                    maximum_streams,
                };
                (Frame::StreamsBlocked(frame), SentFrame::StreamsBlocked(dir))
            }
            Control::ResetStream(id) => (self.reset_stream(id)?, SentFrame::ResetStream(id)),
            Control::StopSending(id) => (self.stop_sending_frame(id)?, SentFrame::StopSending(id)),
            Control::MaxStreamData(id) => (
                self.max_stream_data_frame(id)?,
                SentFrame::MaxStreamData(id),
            ),
            Control::StreamDataBlocked(id) => (
                self.stream_data_blocked(id)?,
                SentFrame::StreamDataBlocked(id),
            ),
        })
    }

    fn reset_stream(&self, stream_id: StreamId) -> Option<Frame<'static>> {
        let (application_error_code, final_size) = self.send.get(&stream_id)?.reset_frame()?;
        Some(Frame::ResetStream(ResetStream {
            stream_id,
            application_error_code,
            final_size,
        }))
    }

    fn stop_sending_frame(&self, stream_id: StreamId) -> Option<Frame<'static>> {
        let application_error_code = self.recv.get(&stream_id)?.stop_code()?;
        Some(Frame::StopSending(StopSending {
            stream_id,
            application_error_code,
        }))
    }

    fn max_stream_data_frame(&mut self, stream_id: StreamId) -> Option<Frame<'static>> {
        let stream = self.recv.get_mut(&stream_id)?;
        let maximum_stream_data = stream.update_window(self.now, self.rtt)?;
        Some(Frame::MaxStreamData(MaxStreamData {
            stream_id,
            maximum_stream_data,
        }))
    }

    fn stream_data_blocked(&self, stream_id: StreamId) -> Option<Frame<'static>> {
        let maximum_stream_data = self.send.get(&stream_id)?.credit().limit();
        Some(Frame::StreamDataBlocked(StreamDataBlocked {
            stream_id,
            maximum_stream_data,
        }))
    }

    /// RFC 9000 §13.3: which frames still say something.
    fn is_current(&self, control: Control) -> bool {
        match control {
            Control::MaxData | Control::MaxStreams(_) => true,
            Control::DataBlocked => self.queue.wants_more_than(self.credit.available()),
            Control::StreamsBlocked(dir) => self.own[dir as usize].is_refused(),
            Control::ResetStream(id) => self
                .send
                .get(&id)
                .is_some_and(|s| s.reset_frame().is_some()),
            Control::StopSending(id) => self.recv.get(&id).is_some_and(|s| s.stop_code().is_some()),
            Control::MaxStreamData(id) => self.recv.get(&id).is_some_and(|s| s.wants_credit()),
            Control::StreamDataBlocked(id) => self
                .send
                .get(&id)
                .is_some_and(|s| s.demand() == Demand::StreamCredit),
        }
    }

    /// Writes STREAM frames by priority.
    pub fn write_stream_frames(&mut self, out: &mut Writer<'_>, sent: &mut Vec<SentFrame>) {
        self.unstall();
        while let Some(id) = self.queue.next(self.credit.available()) {
            let Some(stream) = self.send.get_mut(&id) else {
                return;
            };
            match stream.write_frame(self.credit.available(), out, sent) {
                Wrote::Frame(taken) => {
                    self.credit.take(taken);
                    self.settle_send(id);
                }
                Wrote::NoCredit(hole) => {
                    place_in(&mut self.queue, stream, Some(Place::Stalled(hole)))
                }
                Wrote::NoRoom => return,
            }
        }
        // RFC 9000 §4.1: say it once per limit.
        if self.queue.wants_more_than(self.credit.available()) && self.credit.block() {
            self.control.insert(Control::DataBlocked);
        }
    }

    /// Lets streams whose hole the connection's credit now covers compete by priority again.
    fn unstall(&mut self) {
        for _ in 0..UNSTALL_PER_PACKET {
            let Some(id) = self.queue.unstallable(self.credit.available()) else {
                return;
            };
            if let Some(stream) = self.send.get_mut(&id) {
                place_in(&mut self.queue, stream, Some(Place::Credit));
            }
        }
    }
}
