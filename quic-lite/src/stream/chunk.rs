//! Immutable bytes that many streams may point into. No RFC.
//!
//! A relay stores the bytes of an upstream stream once and sends them on every downstream stream:
//! cloning and slicing a [`Chunk`] counts a reference and copies nothing.

use core::fmt;
use core::ops::{Deref, Range};
use std::sync::Arc;

/// A part of shared, immutable bytes.
///
/// ```
/// use quic_lite::stream::Chunk;
/// let mut chunk = Chunk::from(b"hello world".as_slice());
/// assert_eq!(&*chunk.split_to(5), b"hello");
/// assert_eq!(&*chunk, b" world");
/// ```
#[derive(Clone)]
pub struct Chunk {
    bytes: Arc<[u8]>,
    range: Range<usize>,
}

impl Chunk {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }

    /// The bytes at `range`, cut to what is there.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let end = self
            .range
            .start
            .saturating_add(range.end)
            .min(self.range.end);
        let start = self.range.start.saturating_add(range.start).min(end);
        Self {
            bytes: Arc::clone(&self.bytes),
            range: start..end,
        }
    }

    /// Takes the first `n` bytes off, or all when there are fewer.
    #[must_use]
    pub fn split_to(&mut self, n: usize) -> Self {
        let head = self.slice(0..n);
        self.range.start = head.range.end;
        head
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<Arc<[u8]>> for Chunk {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self {
            range: 0..bytes.len(),
            bytes,
        }
    }
}

impl From<&[u8]> for Chunk {
    fn from(bytes: &[u8]) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Chunk {}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_share_the_bytes() {
        let whole = Chunk::from(vec![1, 2, 3, 4, 5]);
        let middle = whole.slice(1..4);
        assert_eq!(middle.as_slice(), [2, 3, 4]);
        assert_eq!(middle.as_slice().as_ptr(), whole.as_slice()[1..].as_ptr());
        assert_eq!(middle.slice(1..9).as_slice(), [3, 4]);
        assert!(middle.slice(7..9).is_empty());
    }

    #[test]
    fn splitting_takes_no_more_than_is_there() {
        let mut rest = Chunk::from(vec![1, 2, 3]);
        assert_eq!(rest.split_to(2).as_slice(), [1, 2]);
        assert_eq!(rest.split_to(2).as_slice(), [3]);
        assert!(rest.is_empty());
    }
}
