//! DATAGRAM frame (RFC 9221 §4): an application message that is sent once.

use super::crypto::put_with_length;
use super::frame_type;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, bytes, varint};
use core::fmt;

/// An unreliable message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The message; it may be empty.
    pub data: &'a [u8],
}

impl<'a> Datagram<'a> {
    pub(super) fn parse(i: &'a [u8]) -> PResult<'a, Self> {
        let (i, length) = varint::parse(i)?;
        let (i, data) = bytes(length)(i)?;
        Ok((i, Self { data }))
    }

    /// Writes the frame; without `length` it must be the last of its packet.
    pub fn encode_with(&self, length: bool, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            if length {
                out.varint(frame_type::DATAGRAM_LEN)?;
                put_with_length(self.data, out)
            } else {
                out.varint(frame_type::DATAGRAM)?;
                out.put(self.data)
            }
        })
    }

    /// Bytes of the frame with its length, which is what max_datagram_frame_size counts (RFC 9221 §3).
    pub fn encoded_len(&self) -> usize {
        let length = u64::try_from(self.data.len()).unwrap_or(u64::MAX);
        varint::size(length)
            .saturating_add(self.data.len())
            .saturating_add(1)
    }
}

impl fmt::Display for Datagram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DATAGRAM length={}", self.data.len())
    }
}
