//! CRYPTO and NEW_TOKEN frames (RFC 9000 §19.6, §19.7): what the handshake and address validation exchange.

use super::{frame_type, stream};
use crate::wire::connection_id::Hex;
use crate::wire::error::{WireErrorKind, ensure};
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, bytes, varint};
use core::fmt;

/// Bytes of the TLS handshake, ordered by offset within their packet number space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crypto<'a> {
    /// Where `data` starts.
    pub offset: u64,
    /// The bytes.
    pub data: &'a [u8],
}

/// A token for the Initial packets of a later connection; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewToken<'a> {
    /// The token, opaque to clients.
    pub token: &'a [u8],
}

impl<'a> Crypto<'a> {
    pub(super) fn parse(i: &'a [u8]) -> PResult<'a, Self> {
        let (i, offset) = varint::parse(i)?;
        let (i, length) = varint::parse(i)?;
        let (i, data) = bytes(length)(i)?;
        ensure(
            stream::fits(offset, data.len()),
            WireErrorKind::OffsetTooLarge,
        )?;
        Ok((i, Self { offset, data }))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::CRYPTO)?;
        out.varint(self.offset)?;
        put_with_length(self.data, out)
    }
}

impl<'a> NewToken<'a> {
    pub(super) fn parse(i: &'a [u8]) -> PResult<'a, Self> {
        let (i, length) = varint::parse(i)?;
        // RFC 9000 §19.7: an empty token is a FRAME_ENCODING_ERROR.
        ensure(length > 0, WireErrorKind::EmptyToken)?;
        let (i, token) = bytes(length)(i)?;
        Ok((i, Self { token }))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::NEW_TOKEN)?;
        put_with_length(self.token, out)
    }
}

/// Writes the length of `data`, then `data`.
pub(super) fn put_with_length(data: &[u8], out: &mut Writer<'_>) -> Result<(), Full> {
    out.varint(u64::try_from(data.len()).map_err(|_| Full)?)?;
    out.put(data)
}

impl fmt::Display for Crypto<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CRYPTO offset={} length={}",
            self.offset,
            self.data.len()
        )
    }
}

impl fmt::Display for NewToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NEW_TOKEN token={}", Hex(self.token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Frame;
    use alloc::vec::Vec;

    #[test]
    fn an_empty_token_is_refused() {
        assert_eq!(
            Frame::parse(&[0x07, 0]).unwrap_err().kind,
            WireErrorKind::EmptyToken
        );
    }

    #[test]
    fn crypto_data_beyond_the_largest_offset_is_refused() {
        let mut frame = Vec::from([0x06]);
        frame.extend([0xff; 8]);
        frame.extend([1, 0]);
        assert_eq!(
            Frame::parse(&frame).unwrap_err().kind,
            WireErrorKind::OffsetTooLarge
        );
    }

    #[test]
    fn a_length_beyond_the_packet_is_refused() {
        assert_eq!(
            Frame::parse(&[0x06, 0, 3, 1, 2]).unwrap_err().kind,
            WireErrorKind::Truncated
        );
    }
}
