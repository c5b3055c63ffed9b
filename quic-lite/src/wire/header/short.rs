//! The short header of 1-RTT packets (RFC 9000 §17.3.1).
//! Not here: the reserved bits, the key phase and the packet number, which are protected.

use super::{FIXED_BIT, Header, HeaderLayout, pn_len_bits};
use crate::wire::PResult;
use crate::wire::connection_id::ConnectionId;
use crate::wire::error::{WireErrorKind, ensure, refuse};
use crate::wire::packet_number::PacketNumber;
use crate::wire::writer::{Full, Writer};
use core::fmt;

const SPIN_BIT: u8 = 0x20;
const KEY_PHASE_BIT: u8 = 0x04;

/// The readable fields of a short header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHeader {
    /// Whom it is for.
    pub destination_cid: ConnectionId,
    /// The latency spin bit (§17.4).
    pub spin: bool,
}

impl ShortHeader {
    pub(super) fn parse(packet: &[u8], local_cid_len: usize) -> PResult<'_, Header<'_>> {
        let Some((first, i)) = packet.split_first() else {
            return refuse(WireErrorKind::Truncated);
        };
        ensure(first & FIXED_BIT != 0, WireErrorKind::FixedBitZero)?;
        let Some((id, i)) = i.split_at_checked(local_cid_len) else {
            return refuse(WireErrorKind::Truncated);
        };
        let Some(destination_cid) = ConnectionId::new(id) else {
            return refuse(WireErrorKind::ConnectionIdLength);
        };
        let header = Self {
            destination_cid,
            spin: first & SPIN_BIT != 0,
        };
        Ok((
            i,
            Header::Short {
                header,
                pn_offset: local_cid_len.saturating_add(1),
            },
        ))
    }

    /// Writes the header up to and with the packet number.
    pub fn encode(
        &self,
        key_phase: bool,
        pn: PacketNumber,
        pn_len: usize,
        out: &mut Writer<'_>,
    ) -> Result<HeaderLayout, Full> {
        out.atomically(|out| {
            let start = out.len();
            let spin = if self.spin { SPIN_BIT } else { 0 };
            let phase = if key_phase { KEY_PHASE_BIT } else { 0 };
            out.put_u8(FIXED_BIT | spin | phase | pn_len_bits(pn_len)?)?;
            out.put(self.destination_cid.as_slice())?;
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

impl fmt::Display for ShortHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "1-RTT dcid={}{}",
            self.destination_cid,
            if self.spin { " spin" } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn header(spin: bool) -> ShortHeader {
        ShortHeader {
            destination_cid: ConnectionId::new(&[1, 2, 3]).unwrap(),
            spin,
        }
    }

    #[test]
    fn each_bit_has_its_place() {
        for (spin, key_phase, pn_len, first) in [
            (false, false, 1, 0x40),
            (true, false, 2, 0x61),
            (false, true, 3, 0x46),
            (true, true, 4, 0x67),
        ] {
            let mut buffer = [0; 8];
            let mut out = Writer::new(&mut buffer);
            let layout = header(spin)
                .encode(key_phase, PacketNumber::new(0x0a0b_0c0d), pn_len, &mut out)
                .unwrap();
            let pn = [0x0a, 0x0b, 0x0c, 0x0d];
            assert_eq!(out.written()[..4], [first, 1, 2, 3]);
            assert_eq!(out.written()[4..], pn[4 - pn_len..]);
            assert_eq!(
                layout,
                HeaderLayout {
                    start: 0,
                    pn_offset: 4,
                    payload: 4 + pn_len
                }
            );
            let parsed = Header::parse(out.written(), 3).unwrap().1;
            assert_eq!(
                parsed,
                Header::Short {
                    header: header(spin),
                    pn_offset: 4
                }
            );
        }
    }

    #[test]
    fn a_packet_shorter_than_its_connection_id_is_refused() {
        for end in 0..4 {
            assert!(Header::parse(&[0x40, 1, 2, 3][..end], 3).is_err());
        }
        assert!(Header::parse(&[0x40; 30], 21).is_err());
    }

    #[test]
    fn it_prints_in_one_line() {
        assert_eq!(header(true).to_string(), "1-RTT dcid=010203 spin");
    }
}
