//! Long headers of Initial, 0-RTT and Handshake packets (RFC 9000 §17.2.2 to §17.2.4).
//! Not here: the reserved bits and the packet number, which are protected.

use super::{FIXED_BIT, FORM_BIT, Header, HeaderLayout, PacketType, encode_ids, pn_len_bits};
use crate::wire::connection_id::{ConnectionId, Hex};
use crate::wire::error::{WireErrorKind, refuse};
use crate::wire::packet_number::PacketNumber;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, bytes, varint};
use core::fmt;

/// The readable fields of a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongHeader<'a> {
    /// Which packet, and what only that one has.
    pub long_type: LongType<'a>,
    /// Whom it is for.
    pub destination_cid: ConnectionId,
    /// Where answers are to go.
    pub source_cid: ConnectionId,
}

/// The packets with a long header that carry frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongType<'a> {
    /// §17.2.2
    Initial {
        /// From Retry or NEW_TOKEN, else empty.
        token: &'a [u8],
    },
    /// §17.2.3
    ZeroRtt,
    /// §17.2.4
    Handshake,
}

impl<'a> LongHeader<'a> {
    /// Which packet this is.
    pub const fn packet_type(&self) -> PacketType {
        match self.long_type {
            LongType::Initial { .. } => PacketType::Initial,
            LongType::ZeroRtt => PacketType::ZeroRtt,
            LongType::Handshake => PacketType::Handshake,
        }
    }

    pub(super) fn parse(
        packet: &'a [u8],
        i: &'a [u8],
        type_bits: u8,
        destination_cid: ConnectionId,
        source_cid: ConnectionId,
    ) -> PResult<'a, Header<'a>> {
        let (i, long_type) = match type_bits {
            0b00 => {
                let (i, token_length) = varint::parse(i)?;
                let (i, token) = bytes(token_length)(i)?;
                (i, LongType::Initial { token })
            }
            0b01 => (i, LongType::ZeroRtt),
            0b10 => (i, LongType::Handshake),
            _ => return refuse(WireErrorKind::Malformed),
        };
        let (i, length) = varint::parse(i)?;
        let (_, protected) = bytes(length)(i)?;
        let header = Self {
            long_type,
            destination_cid,
            source_cid,
        };
        let pn_offset = packet.len().saturating_sub(i.len());
        Ok((
            i,
            Header::Long {
                header,
                pn_offset,
                length: protected.len(),
            },
        ))
    }

    /// Writes the header up to and with the packet number. Length has two bytes, filled by
    /// [`HeaderLayout::set_length`] when the payload is there.
    pub fn encode(
        &self,
        pn: PacketNumber,
        pn_len: usize,
        out: &mut Writer<'_>,
    ) -> Result<HeaderLayout, Full> {
        out.atomically(|out| {
            let start = out.len();
            let type_bits = match self.long_type {
                LongType::Initial { .. } => 0b00,
                LongType::ZeroRtt => 0b01,
                LongType::Handshake => 0b10,
            };
            out.put_u8(FORM_BIT | FIXED_BIT | type_bits << 4 | pn_len_bits(pn_len)?)?;
            encode_ids(
                super::VERSION_1,
                &self.destination_cid,
                &self.source_cid,
                out,
            )?;
            if let LongType::Initial { token } = self.long_type {
                out.varint(u64::try_from(token.len()).map_err(|_| Full)?)?;
                out.put(token)?;
            }
            out.varint_with_len(0, 2)?;
            let pn_offset = out.len();
            pn.encode(pn_len, out)?;
            Ok(HeaderLayout {
                start,
                pn_offset,
                payload: out.len(),
            })
        })
    }
}

impl fmt::Display for LongHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} dcid={} scid={}",
            self.packet_type(),
            self.destination_cid,
            self.source_cid
        )?;
        match self.long_type {
            LongType::Initial { token } if !token.is_empty() => write!(f, " token={}", Hex(token)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const DCID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    fn header(long_type: LongType<'_>) -> LongHeader<'_> {
        LongHeader {
            long_type,
            destination_cid: ConnectionId::new(&DCID).unwrap(),
            source_cid: ConnectionId::EMPTY,
        }
    }

    /// RFC 9001 A.2: the unprotected header of the client's Initial, before 1162 bytes of payload.
    #[test]
    fn rfc9001_a2_client_initial_header_is_written() {
        let mut buffer = [0; 1200];
        let mut out = Writer::new(&mut buffer);
        let layout = header(LongType::Initial { token: &[] })
            .encode(PacketNumber::new(2), 4, &mut out)
            .unwrap();
        out.put_zeros(1162).unwrap();
        layout.set_length(16, &mut out).unwrap();
        let expected = [
            0xc3, 0, 0, 0, 1, 8, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 8, 0, 0, 0x44, 0x9e, 0,
            0, 0, 2,
        ];
        assert_eq!(out.written()[..22], expected);
        assert_eq!(
            layout,
            HeaderLayout {
                start: 0,
                pn_offset: 18,
                payload: 22
            }
        );
    }

    #[test]
    fn each_type_round_trips_behind_another_packet() {
        for long_type in [
            LongType::Initial { token: &[1, 2, 3] },
            LongType::ZeroRtt,
            LongType::Handshake,
        ] {
            let mut buffer = [0; 100];
            let mut out = Writer::new(&mut buffer);
            out.put(&[9; 10]).unwrap();
            let layout = header(long_type)
                .encode(PacketNumber::new(0x1234), 2, &mut out)
                .unwrap();
            out.put(&[5; 20]).unwrap();
            layout.set_length(0, &mut out).unwrap();
            let packet = &out.written()[layout.start..];
            let (rest, parsed) = Header::parse(packet, 8).unwrap();
            let pn_offset = layout.pn_offset - layout.start;
            assert_eq!(
                parsed,
                Header::Long {
                    header: header(long_type),
                    pn_offset,
                    length: 22
                }
            );
            assert_eq!(rest[..2], [0x12, 0x34]);
            assert_eq!(packet[0] & 0b11, 1);
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let mut buffer = [0; 100];
        let mut out = Writer::new(&mut buffer);
        let layout = header(LongType::Initial { token: &[1, 2, 3] })
            .encode(PacketNumber::ZERO, 1, &mut out)
            .unwrap();
        out.put(&[5; 20]).unwrap();
        layout.set_length(0, &mut out).unwrap();
        assert!(Header::parse(out.written(), 0).is_ok());
        for end in 0..out.len() {
            assert!(
                Header::parse(&out.written()[..end], 0).is_err(),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn a_connection_id_of_21_bytes_is_refused() {
        let mut packet = [0; 60];
        packet[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 21]);
        assert!(Header::parse(&packet, 0).is_err());
        packet[5] = 20;
        assert!(Header::parse(&packet, 0).is_ok());
    }

    #[test]
    fn no_room_or_an_impossible_packet_number_length_writes_nothing() {
        let mut buffer = [0; 17];
        let mut out = Writer::new(&mut buffer);
        assert_eq!(
            header(LongType::Handshake).encode(PacketNumber::ZERO, 2, &mut out),
            Err(Full)
        );
        for pn_len in [0, 5] {
            assert_eq!(
                header(LongType::Handshake).encode(PacketNumber::ZERO, pn_len, &mut out),
                Err(Full)
            );
        }
        assert!(out.is_empty());
    }

    #[test]
    fn a_token_is_shown_when_there_is_one() {
        let line = header(LongType::Initial { token: &[0xab] }).to_string();
        assert_eq!(line, "Initial dcid=8394c8f03e515708 scid=- token=ab");
        let line = header(LongType::Initial { token: &[] }).to_string();
        assert_eq!(line, "Initial dcid=8394c8f03e515708 scid=-");
    }
}
