//! Retry packets (RFC 9000 §17.2.5): the server wants to see that the client receives at its address.
//! Not here: the integrity tag's value (RFC 9001 §5.8).

use super::{FIXED_BIT, FORM_BIT, Header, VERSION_1, encode_ids};
use crate::wire::PResult;
use crate::wire::connection_id::{ConnectionId, Hex};
use crate::wire::error::{WireErrorKind, refuse};
use crate::wire::writer::{Full, Writer};
use core::fmt;

/// A Retry packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry<'a> {
    /// What the client chose as its own.
    pub destination_cid: ConnectionId,
    /// What the client is to send to from now on.
    pub source_cid: ConnectionId,
    /// What the client is to repeat in its next Initial. Empty is legal here; clients drop it.
    pub retry_token: &'a [u8],
    /// Binds the packet to the connection ID that the client first chose.
    pub retry_integrity_tag: [u8; 16],
}

impl<'a> Retry<'a> {
    /// How long the integrity tag is.
    pub const TAG_LEN: usize = 16;

    pub(super) fn parse(
        i: &'a [u8],
        destination_cid: ConnectionId,
        source_cid: ConnectionId,
    ) -> PResult<'a, Header<'a>> {
        let Some((retry_token, tag)) = i.split_last_chunk::<{ Retry::TAG_LEN }>() else {
            return refuse(WireErrorKind::Truncated);
        };
        let retry = Self {
            destination_cid,
            source_cid,
            retry_token,
            retry_integrity_tag: *tag,
        };
        Ok((&[], Header::Retry(retry)))
    }

    /// Writes the packet without its tag: what the tag is computed over, behind the original connection ID.
    pub fn encode_without_tag(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            // RFC 9000 §17.2.5: the low four bits are unused; ones, as in RFC 9001 A.4.
            out.put_u8(FORM_BIT | FIXED_BIT | 0x3f)?;
            encode_ids(VERSION_1, &self.destination_cid, &self.source_cid, out)?;
            out.put(self.retry_token)
        })
    }

    /// Writes the whole packet.
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            self.encode_without_tag(out)?;
            out.put(&self.retry_integrity_tag)
        })
    }
}

impl fmt::Display for Retry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            destination_cid,
            source_cid,
            retry_token,
            ..
        } = self;
        write!(
            f,
            "Retry dcid={destination_cid} scid={source_cid} token={}",
            Hex(retry_token)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// RFC 9001 A.4.
    const PACKET: [u8; 36] = [
        0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x08, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5,
        0x74, 0x6f, 0x6b, 0x65, 0x6e, 0x04, 0xa2, 0x65, 0xba, 0x2e, 0xff, 0x4d, 0x82, 0x90, 0x58,
        0xfb, 0x3f, 0x0f, 0x24, 0x96, 0xba,
    ];

    #[test]
    fn rfc9001_a4_packet_is_read_and_written() {
        let Ok(([], Header::Retry(retry))) = Header::parse(&PACKET, 8) else {
            panic!("not a Retry packet");
        };
        assert_eq!(
            retry.to_string(),
            "Retry dcid=- scid=f067a5502a4262b5 token=746f6b656e"
        );
        assert_eq!(retry.retry_integrity_tag, PACKET[20..]);
        let mut buffer = [0; 36];
        let mut out = Writer::new(&mut buffer);
        retry.encode(&mut out).unwrap();
        assert_eq!(out.written(), PACKET);
        out.truncate(0);
        retry.encode_without_tag(&mut out).unwrap();
        assert_eq!(out.written(), &PACKET[..20]);
    }

    #[test]
    fn a_packet_without_room_for_the_tag_is_refused() {
        for end in 0..15 + 16 {
            assert!(Header::parse(&PACKET[..end], 8).is_err(), "cut at {end}");
        }
    }
}
