//! Received bytes that the application has not taken yet (RFC 9000 §2.2).
//!
//! One allocation per frame with new bytes; overlaps keep the first bytes. Neighbours that are small
//! are merged once in a while, so that a peer who cuts its data into single bytes costs memory in
//! proportion to the bytes and the gaps between them (§21.7). The number of gaps is bounded by
//! the caller, see [`Assembly::gaps`].

use super::chunk::Chunk;
use crate::range_set::RangeSet;
use std::collections::BTreeMap;
use std::ops::Range;

/// The bytes of the receiving part of a stream.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// All that ever arrived, for telling what is new.
    received: RangeSet,
    /// By offset; never overlapping.
    chunks: BTreeMap<u64, Chunk>,
    /// How many chunks the last merge left.
    merged: usize,
}

/// Chunks are left as they are up to this count, and beyond it until it has doubled.
const MERGE_FROM: usize = 16;
/// Neighbours are merged up to this size.
const MERGED_SIZE: usize = 4096;

impl Assembly {
    /// Takes the bytes of `data` that are new; false when there are none.
    pub(super) fn insert(&mut self, offset: u64, data: &[u8]) -> bool {
        let range = offset..offset + data.len() as u64;
        let (Some(first), Some(last)) = (
            self.received.gaps(range.clone()).next(),
            self.received.gaps(range.clone()).last(),
        ) else {
            return false;
        };
        let at = |position: u64| (position - offset) as usize;
        let fresh = Chunk::from(&data[at(first.start)..at(last.end)]);
        let base = first.start;
        for gap in self.received.gaps(range.clone()) {
            let part = (gap.start - base) as usize..(gap.end - base) as usize;
            self.chunks.insert(gap.start, fresh.slice(part));
        }
        self.received.insert(range);
        if self.chunks.len() > MERGE_FROM.max(2 * self.merged) {
            self.merge();
        }
        true
    }

    /// Notes bytes that nobody wants.
    pub(super) fn skip(&mut self, range: Range<u64>) -> bool {
        self.received.insert(range)
    }

    /// Takes up to `max` bytes at `offset`.
    pub(super) fn take_at(&mut self, offset: u64, max: usize) -> Option<Chunk> {
        let mut entry = self
            .chunks
            .first_entry()
            .filter(|entry| *entry.key() == offset)?;
        if entry.get().len() <= max {
            return Some(entry.remove());
        }
        let head = entry.get_mut().split_to(max);
        let rest = entry.remove();
        self.chunks.insert(offset + max as u64, rest);
        Some(head)
    }

    /// Takes the chunk with the lowest offset.
    pub(super) fn take_any(&mut self) -> Option<(u64, Chunk)> {
        self.chunks.pop_first()
    }

    /// Drops all bytes, and remembers which they were.
    pub(super) fn discard(&mut self) {
        self.chunks = BTreeMap::new();
    }

    /// Whether no byte below `final_size` is missing.
    pub(super) fn is_complete_to(&self, final_size: u64) -> bool {
        self.received.contains_range(&(0..final_size))
    }

    /// How many ranges of missing bytes lie between received ones.
    pub(super) fn gaps(&self) -> usize {
        self.received.len().saturating_sub(1)
    }

    /// How many pieces are kept.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.chunks.len()
    }

    fn merge(&mut self) {
        let mut merged = BTreeMap::new();
        let mut run: Vec<u8> = Vec::new();
        let mut run_at = 0;
        let mut flush = |at: u64, run: &mut Vec<u8>| {
            if !run.is_empty() {
                merged.insert(at, Chunk::from(run.as_slice()));
                run.clear();
            }
        };
        for (at, chunk) in core::mem::take(&mut self.chunks) {
            let touches = run_at + run.len() as u64 == at;
            if !touches || run.len() + chunk.len() > MERGED_SIZE {
                flush(run_at, &mut run);
                run_at = at;
            }
            run.extend_from_slice(&chunk);
        }
        flush(run_at, &mut run);
        self.merged = merged.len();
        self.chunks = merged;
    }
}
