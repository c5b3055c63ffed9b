//! Version Negotiation packets (RFC 9000 §17.2.1, RFC 8999 §6): the server's answer to a version it does not know.

use super::{FIXED_BIT, FORM_BIT, Header};
use crate::wire::PResult;
use crate::wire::connection_id::{Hex, any_length};
use crate::wire::error::{WireErrorKind, ensure};
use crate::wire::writer::{Full, Writer};
use core::fmt;

/// A Version Negotiation packet. Its connection IDs may be those of another version, so up to 255 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionNegotiation<'a> {
    /// The client's source connection ID.
    pub destination_cid: &'a [u8],
    /// The client's destination connection ID.
    pub source_cid: &'a [u8],
    supported_versions: &'a [u8], // a whole number of four-byte versions
}

impl<'a> VersionNegotiation<'a> {
    pub(super) fn parse(i: &'a [u8]) -> PResult<'a, Header<'a>> {
        let (i, destination_cid) = any_length(i)?;
        let (supported_versions, source_cid) = any_length(i)?;
        ensure(
            supported_versions.len() & 0b11 == 0,
            WireErrorKind::Truncated,
        )?;
        Ok((
            &[],
            Header::VersionNegotiation(Self {
                destination_cid,
                source_cid,
                supported_versions,
            }),
        ))
    }

    /// The versions the server speaks.
    pub fn supported_versions(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (versions, _) = self.supported_versions.as_chunks::<4>();
        versions.iter().map(|version| u32::from_be_bytes(*version))
    }

    /// Writes the answer to a packet whose connection IDs these are, already swapped. `unused` gives seven
    /// bits that mean nothing and should vary.
    pub fn encode(
        destination_cid: &[u8],
        source_cid: &[u8],
        supported_versions: &[u32],
        unused: u8,
        out: &mut Writer<'_>,
    ) -> Result<(), Full> {
        out.atomically(|out| {
            // RFC 9000 §17.2.1: the fixed bit is set for the sake of protocols that share the port.
            out.put_u8(FORM_BIT | FIXED_BIT | unused)?;
            out.put_u32(0)?;
            for cid in [destination_cid, source_cid] {
                out.put_u8(u8::try_from(cid.len()).map_err(|_| Full)?)?;
                out.put(cid)?;
            }
            supported_versions
                .iter()
                .try_for_each(|version| out.put_u32(*version))
        })
    }
}

impl fmt::Display for VersionNegotiation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Version Negotiation dcid={} scid={} versions=",
            Hex(self.destination_cid),
            Hex(self.source_cid)
        )?;
        let mut separator = "";
        for version in self.supported_versions() {
            write!(f, "{separator}{version:#010x}")?;
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const PACKET: [u8; 18] = [
        0xc5, 0, 0, 0, 0, 2, 1, 2, 1, 3, 0, 0, 0, 1, 0x1a, 0x2a, 0x3a, 0x4a,
    ];

    #[test]
    fn it_is_read_and_written() {
        let (rest, header) = Header::parse(&PACKET, 8).unwrap();
        assert!(rest.is_empty());
        assert_eq!(
            header.to_string(),
            "Version Negotiation dcid=0102 scid=03 versions=0x00000001,0x1a2a3a4a"
        );
        let mut buffer = [0; 18];
        let mut out = Writer::new(&mut buffer);
        VersionNegotiation::encode(&[1, 2], &[3], &[1, 0x1a2a_3a4a], 5, &mut out).unwrap();
        assert_eq!(out.written(), PACKET);
        let mut out = Writer::new(&mut buffer);
        VersionNegotiation::encode(&[1, 2], &[3], &[], 0xff, &mut out).unwrap();
        assert_eq!(out.written()[..5], [0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn the_fixed_bit_means_nothing() {
        let mut packet = PACKET;
        packet[0] = 0x80;
        assert!(matches!(
            Header::parse(&packet, 8),
            Ok((_, Header::VersionNegotiation(_)))
        ));
    }

    #[test]
    fn half_a_version_is_refused() {
        for end in 0..PACKET.len() {
            assert_eq!(
                Header::parse(&PACKET[..end], 8).is_ok(),
                end == 10 || end == 14,
                "cut at {end}"
            );
        }
    }

    #[test]
    fn connection_ids_of_255_bytes_are_read_and_longer_ones_not_written() {
        let mut buffer = [0; 600];
        let mut out = Writer::new(&mut buffer);
        VersionNegotiation::encode(&[1; 255], &[2; 255], &[1], 0, &mut out).unwrap();
        assert!(Header::parse(out.written(), 8).is_ok());
        assert_eq!(
            VersionNegotiation::encode(&[1; 256], &[], &[1], 0, &mut out),
            Err(Full)
        );
    }
}
