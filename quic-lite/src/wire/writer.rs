//! Where encoders write: a cursor over a caller's buffer. RFC 9000 §16 for its integers, else no RFC.
//! Promise: a write happens whole or not at all, and never grows the buffer.

use super::varint;
use core::fmt;

/// A cursor over a buffer that the caller owns.
///
/// ```
/// use quic_lite::wire::writer::Writer;
/// let mut buffer = [0; 4];
/// let mut out = Writer::new(&mut buffer);
/// out.varint(15_293)?;
/// assert_eq!(out.written(), [0x7b, 0xbd]);
/// # Ok::<(), quic_lite::wire::writer::Full>(())
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

/// There is no room for the value; an integer above 2^62-1 fits nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<'a> Writer<'a> {
    /// Writes from the start of `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Bytes written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is written yet.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of room left.
    pub const fn remaining(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    /// What is written so far.
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// What is written so far, to be changed in place.
    pub fn written_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.len).unwrap_or_default()
    }

    /// Room for `n` bytes that the caller fills; it counts as written.
    pub fn reserve(&mut self, n: usize) -> Result<&mut [u8], Full> {
        let end = self.len.checked_add(n).ok_or(Full)?;
        let slot = self.buffer.get_mut(self.len..end).ok_or(Full)?;
        self.len = end;
        Ok(slot)
    }

    /// Forgets everything after the first `len` bytes; no effect when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// A writer with at most `n` bytes of room behind what is written; [`Self::advance`] takes its result over.
    pub fn limited(&mut self, n: usize) -> Writer<'_> {
        let end = self.len.saturating_add(n).min(self.buffer.len());
        Writer {
            buffer: self.buffer.get_mut(self.len..end).unwrap_or_default(),
            len: 0,
        }
    }

    /// Counts `n` bytes, which stand there already, as written.
    pub fn advance(&mut self, n: usize) -> Result<(), Full> {
        self.reserve(n).map(drop)
    }

    /// Does all of `write`, or leaves the writer as it was.
    pub fn atomically<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, Full>,
    ) -> Result<T, Full> {
        let before = self.len;
        let result = write(self);
        if result.is_err() {
            self.truncate(before);
        }
        result
    }

    /// Writes `bytes`.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes `n` zero bytes: PADDING frames.
    pub fn put_zeros(&mut self, n: usize) -> Result<(), Full> {
        self.reserve(n)?.fill(0);
        Ok(())
    }

    /// Writes one byte.
    pub fn put_u8(&mut self, value: u8) -> Result<(), Full> {
        self.put(&[value])
    }

    /// Writes two bytes in network order.
    pub fn put_u16(&mut self, value: u16) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    /// Writes four bytes in network order.
    pub fn put_u32(&mut self, value: u32) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    /// Writes a variable-length integer in its shortest form.
    pub fn varint(&mut self, value: u64) -> Result<(), Full> {
        self.varint_with_len(value, varint::size(value))
    }

    /// Writes a variable-length integer in `len` bytes: 1, 2, 4 or 8, and no fewer than it needs.
    pub fn varint_with_len(&mut self, value: u64, len: usize) -> Result<(), Full> {
        if value > varint::MAX || varint::size(value) > len {
            return Err(Full);
        }
        let [.., b4, b5, b6, b7] = value.to_be_bytes();
        match len {
            1 => self.put(&[b7]),
            2 => self.put(&[0x40 | b6, b7]),
            4 => self.put(&[0x80 | b4, b5, b6, b7]),
            8 => self.put(&(value | 0xc0 << 56).to_be_bytes()),
            _ => Err(Full),
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room in the output buffer")
    }
}

impl core::error::Error for Full {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_write_that_does_not_fit_changes_nothing() {
        let mut buffer = [0; 3];
        let mut out = Writer::new(&mut buffer);
        assert!(out.is_empty());
        out.put_u16(0x0102).unwrap();
        assert!(!out.is_empty());
        assert_eq!(out.put_u16(0x0304), Err(Full));
        assert_eq!(Full.to_string(), "no room in the output buffer");
        assert_eq!(out.reserve(usize::MAX).map(|_| ()), Err(Full));
        assert_eq!((out.len(), out.remaining()), (2, 1));
        assert_eq!(out.written(), [1, 2]);
    }

    #[test]
    fn atomically_undoes_a_half_written_value() {
        let mut buffer = [0; 3];
        let mut out = Writer::new(&mut buffer);
        let result = out.atomically(|out| {
            out.put_u16(7)?;
            out.put_u16(8)
        });
        assert_eq!(result, Err(Full));
        assert!(out.is_empty());
    }

    #[test]
    fn a_limited_writer_writes_behind_and_within_its_limit() {
        let mut buffer = [0; 8];
        let mut out = Writer::new(&mut buffer);
        out.put_u8(9).unwrap();
        let mut part = out.limited(2);
        part.put_u16(0x0506).unwrap();
        assert_eq!(part.put_u8(1), Err(Full));
        out.advance(2).unwrap();
        assert_eq!(out.written(), [9, 5, 6]);
    }
}
