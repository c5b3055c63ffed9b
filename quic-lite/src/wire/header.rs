//! Packet headers (RFC 9000 §17), read while still protected: nothing here depends on protected bits.
//!
//! The form bit and the version decide which of five things a packet is; one file each in `header/`.
//! Promise: connection IDs of a version 1 header are at most 20 bytes, and `length` stays within the datagram.

pub mod long;
pub mod retry;
pub mod short;
pub mod version_negotiation;

pub use long::{LongHeader, LongType};
pub use retry::Retry;
pub use short::ShortHeader;
pub use version_negotiation::VersionNegotiation;

use super::connection_id::{ConnectionId, Hex, any_length};
use super::error::{WireErrorKind, ensure, refuse};
use super::writer::{Full, Writer};
use super::{PResult, array, bytes};
use core::fmt;

/// QUIC version 1 (RFC 9000 §15).
pub const VERSION_1: u32 = 1;
/// Set in long headers, clear in short ones (RFC 8999 §5).
pub const FORM_BIT: u8 = 0x80;
/// Set in every version 1 packet but Version Negotiation (§17.2, §17.3.1).
pub const FIXED_BIT: u8 = 0x40;

/// The packets that carry frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// §17.2.2
    Initial,
    /// §17.2.3
    ZeroRtt,
    /// §17.2.4
    Handshake,
    /// §17.3.1
    OneRtt,
}

impl PacketType {
    /// Whether these packets carry the application's data: 0-RTT and 1-RTT.
    pub const fn carries_application_data(self) -> bool {
        matches!(self, Self::ZeroRtt | Self::OneRtt)
    }
}

/// What can be read of a packet before its protection is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// The server's versions (§17.2.1).
    VersionNegotiation(VersionNegotiation<'a>),
    /// The server wants an address validated (§17.2.5).
    Retry(Retry<'a>),
    /// Initial, 0-RTT or Handshake.
    Long {
        /// The fields.
        header: LongHeader<'a>,
        /// Where the packet number starts in the packet.
        pn_offset: usize,
        /// Bytes from there to the end of the packet.
        length: usize,
    },
    /// 1-RTT; the packet reaches to the end of its datagram.
    Short {
        /// The fields.
        header: ShortHeader,
        /// Where the packet number starts in the packet.
        pn_offset: usize,
    },
    /// A long header of another version (RFC 8999 §5.1): only this much is known of it.
    UnknownVersion {
        /// The version.
        version: u32,
        /// Up to 255 bytes.
        destination_cid: &'a [u8],
        /// Up to 255 bytes.
        source_cid: &'a [u8],
    },
}

impl<'a> Header<'a> {
    /// Reads the header of the packet at the start of `i`. Short headers do not say how long their
    /// connection ID is: it is `local_cid_len`, the length of those we issue.
    pub fn parse(i: &'a [u8], local_cid_len: usize) -> PResult<'a, Self> {
        let (after_first, [first]) = array(i)?;
        if first & FORM_BIT == 0 {
            return ShortHeader::parse(i, local_cid_len);
        }
        let (rest, [version]) =
            array::<4>(after_first).map(|(i, bytes)| (i, [u32::from_be_bytes(bytes)]))?;
        match version {
            // RFC 9000 §17.2.1: the fixed bit means nothing here.
            0 => VersionNegotiation::parse(rest),
            VERSION_1 => {
                ensure(first & FIXED_BIT != 0, WireErrorKind::FixedBitZero)?;
                Self::parse_version_1(i, rest, first)
            }
            _ => {
                let (rest, destination_cid) = any_length(rest)?;
                let (rest, source_cid) = any_length(rest)?;
                Ok((
                    rest,
                    Self::UnknownVersion {
                        version,
                        destination_cid,
                        source_cid,
                    },
                ))
            }
        }
    }

    fn parse_version_1(packet: &'a [u8], i: &'a [u8], first: u8) -> PResult<'a, Self> {
        let (i, destination_cid) = ConnectionId::parse(i)?;
        let (i, source_cid) = ConnectionId::parse(i)?;
        match (first >> 4) & 0b11 {
            0b11 => Retry::parse(i, destination_cid, source_cid),
            bits => LongHeader::parse(packet, i, bits, destination_cid, source_cid),
        }
    }
}

/// The destination connection ID of a packet of any version (RFC 8999 §5), to find its connection by.
pub fn destination_cid(packet: &[u8], local_cid_len: usize) -> PResult<'_, &[u8]> {
    let (i, [first]) = array(packet)?;
    if first & FORM_BIT == 0 {
        return match i.split_at_checked(local_cid_len) {
            Some((cid, rest)) => Ok((rest, cid)),
            None => refuse(WireErrorKind::Truncated),
        };
    }
    let (i, _version) = bytes(4)(i)?;
    any_length(i)
}

/// Where the parts of a packet stand in the [`Writer`] that its header was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLayout {
    /// The first byte of the packet.
    pub start: usize,
    /// The packet number.
    pub pn_offset: usize,
    /// The payload, behind the packet number.
    pub payload: usize,
}

impl HeaderLayout {
    /// Fills a long header's Length, once what stands behind the packet number is written up to the AEAD's
    /// tag of `tag_len` bytes. `Full` when that is 2^14 bytes or more.
    pub fn set_length(&self, tag_len: usize, out: &mut Writer<'_>) -> Result<(), Full> {
        let length = out
            .len()
            .checked_sub(self.pn_offset)
            .and_then(|n| n.checked_add(tag_len))
            .ok_or(Full)?;
        let length_at = self.pn_offset.checked_sub(2).ok_or(Full)?;
        let field = out
            .written_mut()
            .get_mut(length_at..self.pn_offset)
            .ok_or(Full)?;
        Writer::new(field).varint_with_len(u64::try_from(length).map_err(|_| Full)?, 2)
    }
}

/// The two low bits of a first byte, which say how long the packet number is (§17.2, §17.3.1).
fn pn_len_bits(pn_len: usize) -> Result<u8, Full> {
    let bits = pn_len.checked_sub(1).filter(|bits| *bits < 4).ok_or(Full)?;
    u8::try_from(bits).map_err(|_| Full)
}

/// The version and connection IDs of a long header, behind its first byte.
fn encode_ids(
    version: u32,
    destination_cid: &ConnectionId,
    source_cid: &ConnectionId,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    out.put_u32(version)?;
    destination_cid.encode(out)?;
    source_cid.encode(out)
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initial => "Initial",
            Self::ZeroRtt => "0-RTT",
            Self::Handshake => "Handshake",
            Self::OneRtt => "1-RTT",
        })
    }
}

impl fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VersionNegotiation(header) => header.fmt(f),
            Self::Retry(header) => header.fmt(f),
            Self::Long { header, length, .. } => write!(f, "{header} length={length}"),
            Self::Short { header, .. } => header.fmt(f),
            Self::UnknownVersion {
                version,
                destination_cid,
                source_cid,
            } => {
                write!(
                    f,
                    "version {version:#010x} dcid={} scid={}",
                    Hex(destination_cid),
                    Hex(source_cid)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn another_version_shows_its_invariants_only() {
        let mut packet = Vec::from([0x80, 0xfa, 0xce, 0xb0, 0x0c, 21]);
        packet.extend([7; 21]);
        packet.extend([1, 9, 0xff, 0xff]);
        let (rest, header) = Header::parse(&packet, 8).unwrap();
        let expected = Header::UnknownVersion {
            version: 0xface_b00c,
            destination_cid: &[7; 21],
            source_cid: &[9],
        };
        assert_eq!((rest, header), (&[0xff, 0xff][..], expected));
        assert!(
            header
                .to_string()
                .starts_with("version 0xfaceb00c dcid=0707")
        );
    }

    #[test]
    fn a_zero_fixed_bit_is_refused_in_version_1() {
        let long = [0x80, 0, 0, 0, 1, 0, 0, 0, 0];
        let short = [0x00, 1, 2, 3, 4];
        for packet in [&long[..], &short] {
            let error = Header::parse(packet, 2).unwrap_err();
            assert_eq!(
                crate::wire::error::WireError::from(error).kind,
                WireErrorKind::FixedBitZero
            );
        }
    }

    #[test]
    fn two_bits_say_how_long_the_packet_number_is() {
        let bits: Vec<_> = (0..6).map(pn_len_bits).collect();
        assert_eq!(bits, [Err(Full), Ok(0), Ok(1), Ok(2), Ok(3), Err(Full)]);
    }

    #[test]
    fn the_destination_cid_is_found_in_any_version_and_form() {
        let cid = |packet: &[u8]| destination_cid(packet, 3).map(|(_, cid)| cid.to_vec()).ok();
        assert_eq!(cid(&[0x40, 1, 2, 3, 4]), Some(Vec::from([1, 2, 3])));
        assert_eq!(cid(&[0xc0, 9, 9, 9, 9, 2, 5, 6]), Some(Vec::from([5, 6])));
        assert_eq!(cid(&[0x40, 1, 2]), None);
        assert_eq!(cid(&[0xc0, 9, 9, 9, 9, 2, 5]), None);
        assert_eq!(cid(&[]), None);
    }
}
