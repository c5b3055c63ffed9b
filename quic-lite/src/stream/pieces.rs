//! Chunks in the order of their offsets (RFC 9000 §2.2): what is kept of a stream, in either direction.
//!
//! A sorted queue. Bytes mostly come, are sent and are acknowledged in order, so pieces go in at the end
//! and leave at the front, and the queue's memory serves all of them: nothing is allocated per piece.
//! Elsewhere it is a binary search and the move of the pieces on the shorter side. An empty queue keeps
//! little. How many pieces there can be is the caller's to bound.

use super::chunk::Chunk;
use std::collections::VecDeque;
use std::ops::Range;

/// Chunks of a stream by offset, never overlapping, none of them empty.
#[derive(Debug, Default)]
pub struct Pieces {
    queue: VecDeque<(u64, Chunk)>,
}

impl Pieces {
    /// Puts a chunk at `offset`, where none is.
    pub fn insert(&mut self, offset: u64, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        match self.queue.back() {
            Some((last, _)) if *last > offset => {
                let at = self.queue.partition_point(|(before, _)| *before < offset);
                self.queue.insert(at, (offset, chunk));
            }
            _ => self.queue.push_back((offset, chunk)),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The lowest offset.
    pub fn start(&self) -> Option<u64> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// All of them, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        self.iter_from(0)
    }

    /// Those that end behind `offset`, lowest first.
    pub fn iter_from(&self, offset: u64) -> impl Iterator<Item = (u64, &Chunk)> {
        let first = self.first_ending_after(offset);
        self.queue.range(first..).map(|(at, chunk)| (*at, chunk))
    }

    /// Takes up to `max` bytes from the front.
    pub fn take(&mut self, max: usize) -> Option<(u64, Chunk)> {
        let (at, chunk) = self.queue.front_mut()?;
        if chunk.len() > max {
            let head = (*at, chunk.split_to(max));
            *at += max as u64;
            return Some(head);
        }
        let first = self.queue.pop_front();
        self.give_back();
        first
    }

    /// Removes those with bytes in `range` that are `unwanted`, judged by what they span.
    pub fn remove_in(&mut self, range: &Range<u64>, unwanted: impl Fn(&Range<u64>) -> bool) {
        let mut index = self.first_ending_after(range.start);
        while let Some(piece) = self.queue.get(index).filter(|piece| piece.0 < range.end) {
            if unwanted(&span(piece)) {
                self.queue.remove(index);
            } else {
                index += 1;
            }
        }
        self.give_back();
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.queue = VecDeque::new();
    }

    /// Copies neighbours together where one of two is small.
    pub(super) fn merge(&mut self) {
        let mut left = self.queue.len();
        // Once around the queue: what is taken from the front goes to the back.
        while left > 0 {
            let run = self.mergeable(left);
            left -= run;
            let piece = self.take_merged(run);
            self.queue.extend(piece);
        }
    }

    /// Takes so many neighbours from the front as one.
    fn take_merged(&mut self, run: usize) -> Option<(u64, Chunk)> {
        let (at, first) = self.queue.pop_front()?;
        if run == 1 {
            return Some((at, first));
        }
        let mut bytes = first.to_vec();
        for (_, next) in self.queue.drain(..run - 1) {
            bytes.extend_from_slice(&next);
        }
        Some((at, Chunk::from(bytes)))
    }

    /// How many of the first `most` pieces, at least one, become one.
    fn mergeable(&self, most: usize) -> usize {
        let mut pieces = self.queue.iter().take(most);
        let Some((mut end, mut len)) = pieces.next().map(|first| (span(first).end, first.1.len()))
        else {
            return most;
        };
        let more = pieces.take_while(|(at, chunk)| {
            let fits =
                *at == end && len.min(chunk.len()) <= SMALL && len + chunk.len() <= MERGED_SIZE;
            end += chunk.len() as u64;
            len += chunk.len();
            fits
        });
        1 + more.count()
    }

    fn first_ending_after(&self, offset: u64) -> usize {
        self.queue
            .partition_point(|piece| span(piece).end <= offset)
    }

    fn give_back(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > IDLE_CAPACITY {
            self.queue.shrink_to(IDLE_CAPACITY);
        }
    }
}

fn span((at, chunk): &(u64, Chunk)) -> Range<u64> {
    *at..at.saturating_add(chunk.len() as u64)
}

/// What it costs to keep a larger piece by itself does not matter.
const SMALL: usize = 512;
/// Neighbours are merged up to this size.
const MERGED_SIZE: usize = 4096;
/// Entries kept allocated when there is no piece.
const IDLE_CAPACITY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces<const N: usize>(all: [(u64, &[u8]); N]) -> Pieces {
        let mut pieces = Pieces::default();
        for (at, bytes) in all {
            pieces.insert(at, Chunk::from(bytes));
        }
        pieces
    }

    fn listed(pieces: &Pieces) -> Vec<(u64, Vec<u8>)> {
        let all = pieces.iter();
        all.map(|(at, chunk)| (at, chunk.to_vec())).collect()
    }

    #[test]
    fn pieces_stand_in_order_however_they_come() {
        let pieces = pieces([(4, &[4]), (0, &[0, 1]), (9, &[9]), (2, &[2, 3]), (5, &[])]);
        let offsets: Vec<u64> = pieces.iter().map(|(at, _)| at).collect();
        assert_eq!(offsets, [0, 2, 4, 9]);
        let from: Vec<u64> = pieces.iter_from(3).map(|(at, _)| at).collect();
        assert_eq!(from, [2, 4, 9]);
        assert_eq!(pieces.iter_from(10).count(), 0);
    }

    #[test]
    fn the_front_is_taken_in_parts() {
        let mut pieces = pieces([(7, &[7, 8, 9]), (10, &[10])]);
        assert_eq!(pieces.take(2), Some((7, Chunk::from(vec![7, 8]))));
        assert_eq!((pieces.start(), pieces.len()), (Some(9), 2));
        assert_eq!(pieces.take(2), Some((9, Chunk::from(vec![9]))));
        assert_eq!(pieces.take(2), Some((10, Chunk::from(vec![10]))));
        assert_eq!(pieces.take(2), None);
    }

    #[test]
    fn only_pieces_that_touch_the_range_are_asked_about() {
        let mut pieces = pieces([(0, &[0; 2]), (2, &[2; 2]), (4, &[4; 2]), (8, &[8; 2])]);
        let asked = core::cell::RefCell::new(Vec::new());
        pieces.remove_in(&(3..8), |span| {
            asked.borrow_mut().push(span.clone());
            span.start == 4
        });
        assert_eq!(asked.into_inner(), [2..4, 4..6]);
        assert_eq!(pieces.len(), 3);
    }

    #[test]
    fn small_neighbours_are_merged_and_large_ones_left() {
        let large = vec![1; 1200];
        let mut pieces = pieces([
            (0, &[0]),
            (1, &[1]),
            (3, &[3]),
            (10, &large),
            (1210, &large),
        ]);
        pieces.merge();
        let found = listed(&pieces);
        let sizes: Vec<_> = found.iter().map(|(at, bytes)| (*at, bytes.len())).collect();
        assert_eq!(sizes, [(0, 2), (3, 1), (10, 1200), (1210, 1200)]);
        assert_eq!(found[0].1, [0, 1]);
    }

    #[test]
    fn steady_traffic_allocates_no_more_and_rest_gives_back() {
        let mut pieces = Pieces::default();
        let chunk = Chunk::from(vec![1]);
        (0..1000).for_each(|at| pieces.insert(at, chunk.clone()));
        let capacity = pieces.queue.capacity();
        for at in 1000..20_000 {
            pieces.insert(at, chunk.clone());
            pieces.remove_in(&(at - 1000..at - 999), |_| true);
        }
        assert_eq!((pieces.len(), pieces.queue.capacity()), (1000, capacity));
        pieces.remove_in(&(0..u64::MAX), |_| true);
        assert!(pieces.is_empty() && pieces.queue.capacity() <= 2 * IDLE_CAPACITY);
    }
}
