//! Received bytes that the application has not taken yet (RFC 9000 §2.2).
//!
//! One allocation per frame of new bytes; overlaps keep the first bytes. Neighbours that are small
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
        for gap in self.received.gaps(range.clone()) {
            // A copy for each gap: a few new bytes must not keep a whole frame of known ones.
            let fresh = &data[(gap.start - offset) as usize..(gap.end - offset) as usize];
            self.chunks.insert(gap.start, Chunk::from(fresh));
        }
        if self.chunks.len() > MERGE_FROM.max(2 * self.merged) {
            self.merge();
        }
        self.received.insert(range)
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

    fn merge(&mut self) {
        let mut chunks = core::mem::take(&mut self.chunks).into_iter().peekable();
        while let Some((at, first)) = chunks.next() {
            let mut run = Run::One(first);
            while let Some((_, next)) =
                chunks.next_if(|(next_at, next)| run.takes(at, *next_at, next))
            {
                run = run.with(&next);
            }
            self.chunks.insert(at, run.into_chunk());
        }
        self.merged = self.chunks.len();
    }
}

/// Neighbours being merged; a chunk that stays alone is not copied.
enum Run {
    One(Chunk),
    Many(Vec<u8>),
}

impl Run {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::One(chunk) => chunk,
            Self::Many(bytes) => bytes,
        }
    }

    fn takes(&self, at: u64, next_at: u64, next: &Chunk) -> bool {
        let len = self.as_slice().len();
        next_at == at + len as u64 && len + next.len() <= MERGED_SIZE
    }

    fn with(self, next: &Chunk) -> Self {
        let mut bytes = match self {
            Self::One(chunk) => chunk.to_vec(),
            Self::Many(bytes) => bytes,
        };
        bytes.extend_from_slice(next);
        Self::Many(bytes)
    }

    fn into_chunk(self) -> Chunk {
        match self {
            Self::One(chunk) => chunk,
            Self::Many(bytes) => Chunk::from(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_bytes_in_order_are_merged() {
        let mut assembly = Assembly::default();
        for at in 0..20_000 {
            assert!(assembly.insert(at, &[at as u8]));
            assert!(
                assembly.chunks.len() < 64,
                "{} pieces at {at}",
                assembly.chunks.len()
            );
        }
        let mut at = 0;
        while let Some(chunk) = assembly.take_at(at, 1000) {
            assert!(
                chunk
                    .iter()
                    .enumerate()
                    .all(|(i, byte)| *byte == (at + i as u64) as u8)
            );
            at += chunk.len() as u64;
        }
        assert_eq!(at, 20_000);
    }

    #[test]
    fn single_bytes_in_reverse_are_merged() {
        let mut assembly = Assembly::default();
        for at in (0..20_000).rev() {
            assert!(assembly.insert(at, &[1]));
            assert!(assembly.chunks.len() < 64);
        }
        assert!(assembly.is_complete_to(20_000) && assembly.gaps() == 0);
    }

    #[test]
    fn the_first_bytes_at_an_offset_stay() {
        let mut assembly = Assembly::default();
        assert!(assembly.insert(2, &[2, 2]));
        assert!(assembly.insert(0, &[9; 6]));
        assert!(!assembly.insert(1, &[7; 4]));
        let bytes: Vec<u8> = core::iter::from_fn(|| assembly.take_any())
            .flat_map(|(_, c)| c.to_vec())
            .collect();
        assert_eq!(bytes, [9, 9, 2, 2, 9, 9]);
        assert!(
            !assembly.insert(0, &[1; 6]),
            "delivered bytes are not taken twice"
        );
    }
}
