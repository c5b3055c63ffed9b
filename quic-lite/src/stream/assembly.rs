//! Received bytes that the application has not taken yet (RFC 9000 §2.2).
//!
//! One allocation per frame of new bytes, the stored copy; overlaps keep the first bytes. Neighbours that
//! are small are merged once in a while, so that a peer who cuts its data into single bytes costs memory
//! in proportion to the bytes and the gaps between them (§21.7). The number of gaps is bounded by
//! the caller, see [`Assembly::gaps`].

use super::chunk::Chunk;
use super::pieces::Pieces;
use crate::range_set::RangeSet;
use std::ops::Range;

/// The bytes of the receiving part of a stream.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// All that ever arrived, for telling what is new.
    received: RangeSet,
    pieces: Pieces,
    /// How many pieces the last merge left.
    merged: usize,
}

/// Pieces are left as they are up to this count, and beyond it until it has doubled.
const MERGE_FROM: usize = 16;

impl Assembly {
    /// Takes the bytes of `data` that are new; false when there are none.
    pub(super) fn insert(&mut self, offset: u64, data: &[u8]) -> bool {
        let range = offset..offset + data.len() as u64;
        for gap in self.received.gaps(range.clone()) {
            // A copy for each gap: a few new bytes must not keep a whole frame of known ones.
            let fresh = &data[(gap.start - offset) as usize..(gap.end - offset) as usize];
            self.pieces.insert(gap.start, Chunk::from(fresh));
        }
        if self.pieces.len() > MERGE_FROM.max(2 * self.merged) {
            self.pieces.merge();
            self.merged = self.pieces.len();
        }
        self.received.insert(range)
    }

    /// Notes bytes that nobody wants.
    pub(super) fn skip(&mut self, range: Range<u64>) -> bool {
        self.received.insert(range)
    }

    /// Takes up to `max` bytes at `offset`.
    pub(super) fn take_at(&mut self, offset: u64, max: usize) -> Option<Chunk> {
        self.pieces.start().filter(|start| *start == offset)?;
        self.pieces.take(max).map(|(_, chunk)| chunk)
    }

    /// Takes the chunk with the lowest offset.
    pub(super) fn take_any(&mut self) -> Option<(u64, Chunk)> {
        self.pieces.take(usize::MAX)
    }

    /// Drops all bytes, and remembers which they were.
    pub(super) fn discard(&mut self) {
        self.pieces.clear();
    }

    /// Whether no byte below `final_size` is missing.
    pub(super) fn is_complete_to(&self, final_size: u64) -> bool {
        self.received.contains_range(&(0..final_size))
    }

    /// How many bytes there are to take.
    pub(super) fn bytes(&self) -> u64 {
        self.pieces
            .iter()
            .map(|(_, chunk)| chunk.len() as u64)
            .sum()
    }

    /// How many ranges of missing bytes lie between received ones.
    pub(super) fn gaps(&self) -> usize {
        self.received.len().saturating_sub(1)
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
                assembly.pieces.len() < 64,
                "{} pieces at {at}",
                assembly.pieces.len()
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
            assert!(assembly.pieces.len() < 64);
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
