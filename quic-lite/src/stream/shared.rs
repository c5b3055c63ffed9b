//! Streams that an [`OtherSender`] sends on too (RFC 9000 §2.1, §3.1, §4.1): its streams become ours, its
//! bytes count as sent, and what it has spent is spent.
//!
//! Promise: of the bytes of a stream we send those that neither it has sent nor the peer has; limits and
//! final sizes hold for both together, whenever it tells.

use super::application::unknown;
use super::send::SendStream;
use super::{StreamError, Streams};
use crate::other_sender::{OtherSender, OtherStreamFrame};
use crate::recovery::sent_frame::SentFrame;
use crate::wire::stream_id::{Dir, StreamId};

/// What the connection does for another sender.
impl Streams {
    /// Shares the count of unidirectional streams from now on.
    pub(crate) fn set_other(&mut self, other: Box<dyn OtherSender>) {
        self.other = Some(other);
    }

    /// Goes on alone, with all the streams that the other sender has opened.
    pub(crate) fn take_other(&mut self) -> Option<Box<dyn OtherSender>> {
        self.adopt();
        self.lend(0);
        self.other.take()
    }

    /// The other sender.
    pub(crate) fn other(&self) -> Option<&dyn OtherSender> {
        self.other.as_deref()
    }

    /// The other sender, to be called.
    pub(crate) fn other_mut(&mut self) -> Option<&mut (dyn OtherSender + 'static)> {
        self.other.as_deref_mut()
    }

    /// Keeps this much of the connection's credit back: the other sender has used it and not told on what.
    pub(crate) fn lend(&mut self, bytes: u64) {
        self.credit.lend(bytes);
    }

    /// How much of the connection's credit nobody here waits for.
    pub(crate) fn credit_for_others(&self) -> u64 {
        let available = self.credit.available();
        match self.queue.wants_more_than(available) {
            true => 0,
            false => available,
        }
    }

    /// The peer's limits for another sender's streams: how many there may be, and the bytes of a new one.
    pub(crate) const fn limits_for_others(&self) -> (u64, u64) {
        (self.own[Dir::Uni as usize].maximum(), self.peer_windows.uni)
    }

    /// Takes note of a STREAM frame that something else than [`Self::write_frames`] has sent. Its bytes may
    /// have been written here before, or follow. The entry is for the table of sent packets; there is none
    /// when it does not matter any more what becomes of the frame.
    pub(crate) fn mark_sent(&mut self, frame: &OtherStreamFrame) -> Option<SentFrame> {
        let OtherStreamFrame {
            id,
            offset,
            len,
            fin,
        } = *frame;
        let range = offset..offset.checked_add(len)?;
        let stream = self.sending(id).ok()?;
        let fin = fin && stream.ends_at(range.end);
        let taken = stream.on_sent(range, fin);
        let is_reset = stream.is_reset();
        self.credit.take(taken);
        self.settle_send(id);
        let entry = SentFrame::Stream {
            id,
            offset,
            len,
            fin,
        };
        (!is_reset).then_some(entry)
    }

    /// Takes note that flow control up to `end` is used up by a frame that was never sent.
    pub(crate) fn mark_spent(&mut self, id: StreamId, end: u64) {
        if let Ok(stream) = self.sending(id) {
            let taken = stream.on_spent(end);
            self.credit.take(taken);
            self.settle_send(id);
        }
    }
}

impl Streams {
    /// Opens the next stream, if the peer's limit allows one.
    pub(super) fn open_next(&mut self, dir: Dir) -> Option<StreamId> {
        let own = &mut self.own[dir as usize];
        let id = |index| StreamId::new(self.side, dir, index);
        if let (Some(other), Dir::Uni) = (&mut self.other, dir) {
            let id = id(other.open_uni(own.maximum())?);
            self.adopt();
            return Some(id);
        }
        let id = id(own.open()?);
        self.create(id);
        Some(id)
    }

    /// How many streams we have opened, the other sender's included.
    pub(super) fn count_opened(&self, dir: Dir) -> u64 {
        let own = self.own[dir as usize].opened();
        match (&self.other, dir) {
            (Some(other), Dir::Uni) => own.max(other.opened_uni()),
            _ => own,
        }
    }

    /// Gives every stream that the other sender has opened its sending part.
    pub(super) fn adopt(&mut self) {
        let opened = self.count_opened(Dir::Uni);
        while let Some(index) = self.own[Dir::Uni as usize].adopt(opened) {
            self.create(StreamId::new(self.side, Dir::Uni, index));
        }
    }

    /// The sending part of a stream, even of one that the other sender has opened and not told of.
    pub(super) fn sending(&mut self, id: StreamId) -> Result<&mut SendStream, StreamError> {
        let ours = id.initiator() == self.side;
        let _ = ours && self.is_opened(id);
        let stream = self.send.get_mut(&id).map(|stream| &mut **stream);
        stream.ok_or_else(|| unknown(id, ours))
    }

    /// Whether a stream of ours is open, or was, whoever opened it.
    pub(super) fn is_opened(&mut self, id: StreamId) -> bool {
        let dir = id.dir() as usize;
        if !self.own[dir].is_opened(id.index()) {
            self.adopt();
        }
        self.own[dir].is_opened(id.index())
    }

    /// Makes the other sender stop on a stream of ours, so that its final size can be said.
    pub(super) fn release(&mut self, id: StreamId) {
        let ours = id.initiator() == self.side && id.dir() == Dir::Uni;
        if let Some(other) = self.other.as_mut().filter(|_| ours) {
            let end = other.release(id);
            self.mark_spent(id, end);
        }
    }

    /// Passes a limit on.
    pub(super) fn tell_limit(&mut self, id: StreamId, limit: u64) {
        let ours = id.initiator() == self.side && id.dir() == Dir::Uni;
        if let Some(other) = self.other.as_mut().filter(|_| ours) {
            other.on_stream_limit(id, limit);
        }
    }
}
