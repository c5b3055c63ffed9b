//! What a stream has to send, as ranges over shared chunks (RFC 9000 §2.2, §13.3).
//!
//! Bytes may be put at any offset and in any order; each is kept until it is acknowledged. Only
//! ranges say what is to be sent, so repeating lost bytes needs no copy and no packet to be kept.

use super::chunk::Chunk;
use super::pieces::Pieces;
use crate::range_set::RangeSet;
use std::ops::Range;

/// The bytes of the sending part of a stream.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    /// Gone once acknowledged.
    chunks: Pieces,
    written: RangeSet,
    /// To be sent: not yet, or lost.
    pending: RangeSet,
    acked: RangeSet,
    /// Sent by somebody else before they were written here, and neither acknowledged nor lost.
    ahead: RangeSet,
    unacked_bytes: u64,
    pending_bytes: u64,
}

impl SendBuffer {
    /// Puts what `chunk` has of the bytes that were not there before at `offset`. What somebody else has
    /// sent already does not wait to be sent, and what has arrived is not kept.
    pub(super) fn write_at(&mut self, offset: u64, chunk: &Chunk) {
        let range = offset..offset.saturating_add(chunk.len() as u64);
        let new = self.written.gaps(range.clone());
        for part in new.flat_map(|gap| self.acked.gaps(gap)) {
            let bytes = (part.start - offset) as usize..(part.end - offset) as usize;
            self.unacked_bytes += len(&part);
            self.chunks.insert(part.start, chunk.slice(bytes));
            for unsent in self.ahead.gaps(part) {
                self.pending_bytes += len(&unsent);
                self.pending.insert(unsent);
            }
        }
        self.ahead.remove(range.clone());
        self.written.insert(range);
    }

    /// Where the next byte goes when none is left out.
    pub(super) fn end(&self) -> u64 {
        self.written.last().map_or(0, |range| range.end)
    }

    /// Bytes that wait for their acknowledgement, sent or not.
    pub(super) const fn unacked_bytes(&self) -> u64 {
        self.unacked_bytes
    }

    /// Bytes that wait to be sent, or to be sent again.
    pub(super) const fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// The first range to be sent.
    pub(super) fn pending(&self) -> Option<Range<u64>> {
        self.pending.first()
    }

    /// The bytes of `range`, which is part of one pending range, in pieces.
    pub(super) fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = &[u8]> {
        let (start, end) = (range.start, range.end);
        self.chunks
            .iter_from(start)
            .take_while(move |(at, _)| *at < end)
            .map(move |(at, chunk)| {
                let skip = start.saturating_sub(at) as usize;
                let take = (end - at).min(chunk.len() as u64) as usize;
                chunk.get(skip..take).unwrap_or_default()
            })
    }

    pub(super) fn on_sent(&mut self, range: Range<u64>) {
        self.settle(range.clone());
        let unwritten = self.written.gaps(range);
        for part in unwritten.flat_map(|gap| self.acked.gaps(gap)) {
            self.ahead.insert(part);
        }
    }

    /// What is acknowledged is not sent again and its bytes are let go.
    pub(super) fn on_acked(&mut self, range: Range<u64>) {
        self.settle(range.clone());
        let newly = self.acked.gaps(range.clone());
        let kept = newly.flat_map(|gap| self.written.overlap(gap));
        self.unacked_bytes -= kept.map(|part| len(&part)).sum::<u64>();
        self.acked.insert(range.clone());
        self.ahead.remove(range.clone());
        let acked = &self.acked;
        self.chunks
            .remove_in(&range, |span| acked.contains_range(span));
    }

    /// What is lost is sent again, but for what another packet has delivered. Bytes that are not here are
    /// sent when they are written.
    pub(super) fn on_lost(&mut self, range: Range<u64>) {
        let missing = self.acked.gaps(range.clone());
        for part in missing.flat_map(|gap| self.written.overlap(gap)) {
            let again = self.pending.gaps(part.clone());
            self.pending_bytes += again.map(|part| len(&part)).sum::<u64>();
            self.pending.insert(part);
        }
        self.ahead.remove(range);
    }

    /// Whether every byte below `final_size` is acknowledged.
    pub(super) fn is_acked_to(&self, final_size: u64) -> bool {
        self.acked.contains_range(&(0..final_size))
    }

    fn settle(&mut self, range: Range<u64>) {
        let there = self.pending.overlap(range.clone());
        self.pending_bytes -= there.map(|part| len(&part)).sum::<u64>();
        self.pending.remove(range);
    }
}

fn len(range: &Range<u64>) -> u64 {
    range.end - range.start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(buffer: &SendBuffer, range: Range<u64>) -> Vec<u8> {
        buffer.pieces(range).flatten().copied().collect()
    }

    #[test]
    fn pieces_join_chunks_that_were_written_out_of_order() {
        let mut buffer = SendBuffer::default();
        buffer.write_at(3, &Chunk::from(vec![3, 4]));
        buffer.write_at(0, &Chunk::from(vec![0, 1, 2]));
        buffer.write_at(6, &Chunk::from(vec![6]));
        assert_eq!(buffer.pending(), Some(0..5));
        assert_eq!(bytes(&buffer, 1..5), [1, 2, 3, 4]);
        assert_eq!(buffer.end(), 7);
    }

    #[test]
    fn bytes_written_twice_count_once() {
        let mut buffer = SendBuffer::default();
        buffer.write_at(2, &Chunk::from(vec![2, 3]));
        buffer.write_at(0, &Chunk::from(vec![0, 1, 9, 9, 4]));
        assert_eq!(buffer.unacked_bytes(), 5);
        assert_eq!(bytes(&buffer, 0..5), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn only_unacknowledged_parts_of_a_loss_are_pending() {
        let mut buffer = SendBuffer::default();
        buffer.write_at(0, &Chunk::from(vec![7; 10]));
        buffer.on_sent(0..10);
        assert_eq!(buffer.pending(), None);
        buffer.on_acked(2..4);
        buffer.on_lost(0..6);
        assert_eq!(buffer.pending(), Some(0..2));
        assert_eq!(buffer.pending_bytes(), 4);
        buffer.on_acked(0..6);
        assert_eq!((buffer.pending(), buffer.pending_bytes()), (None, 0));
        assert_eq!(buffer.unacked_bytes(), 4);
    }

    #[test]
    fn acknowledged_chunks_are_released() {
        let mut buffer = SendBuffer::default();
        for at in 0..100 {
            buffer.write_at(at * 2, &Chunk::from(vec![1, 2]));
        }
        buffer.on_sent(0..200);
        buffer.on_acked(1..199);
        assert_eq!(buffer.chunks.len(), 2);
        buffer.on_acked(0..1);
        buffer.on_acked(199..200);
        assert!(buffer.chunks.is_empty() && buffer.is_acked_to(200));
        assert_eq!(buffer.unacked_bytes(), 0);
    }
}
