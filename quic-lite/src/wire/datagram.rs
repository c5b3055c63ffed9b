//! Coalesced packets (RFC 9000 §12.2): one UDP datagram, several QUIC packets.
//!
//! [`Packets`] does not hold on to the datagram, so that each packet can be opened in place before the
//! next one is looked for. Promise: every packet takes at least one byte and lies within the datagram.

use super::connection_id::ConnectionId;
use super::header::{Header, LongType, PacketType};
use core::ops::Range;

/// One packet of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A packet with frames, still protected.
    Protected(ProtectedPacket),
    /// Version Negotiation, Retry or an unknown version: [`Header::parse`] says which. Always the last one.
    Other {
        /// Where it stands in the datagram.
        range: Range<usize>,
    },
}

/// Where a protected packet stands in its datagram, and whom it concerns. The bytes of an Initial's token
/// are not here: [`Header::parse`] of the packet's bytes borrows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedPacket {
    /// Which packet number space and keys it needs.
    pub packet_type: PacketType,
    /// Whom it is for.
    pub destination_cid: ConnectionId,
    /// Where answers are to go; empty for 1-RTT.
    pub source_cid: ConnectionId,
    /// Whether it is an Initial with a token.
    pub has_token: bool,
    /// Where the packet stands in the datagram.
    pub range: Range<usize>,
    /// Where the packet number starts, counted from the start of the packet.
    pub pn_offset: usize,
}

/// Walks the packets of one datagram.
///
/// ```
/// use quic_lite::wire::datagram::{Packet, Packets};
/// let mut datagram = [0x40, 1, 2, 3, 4, 5, 6, 7];
/// let mut packets = Packets::new(4);
/// while let Some(packet) = packets.next(&datagram) {
///     let Packet::Protected(packet) = packet else { break };
///     datagram[packet.range].fill(0); // stands for opening it in place
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Packets {
    local_cid_len: usize,
    at: usize,
    first_dcid: Option<ConnectionId>,
}

impl Packets {
    /// Starts at the front of a datagram for an endpoint whose connection IDs have `local_cid_len` bytes.
    pub const fn new(local_cid_len: usize) -> Self {
        Self {
            local_cid_len,
            at: 0,
            first_dcid: None,
        }
    }

    /// The next packet of `datagram`, which must be the same at each call, apart from bytes of packets
    /// already returned. `None` at its end and at anything that is not a packet.
    pub fn next(&mut self, datagram: &[u8]) -> Option<Packet> {
        let rest = datagram.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        self.at = datagram.len(); // unless the packet says where it ends
        let (_, header) = Header::parse(rest, self.local_cid_len).ok()?;
        let packet = match header {
            Header::Long {
                header,
                pn_offset,
                length,
            } => {
                self.at = start.checked_add(pn_offset)?.checked_add(length)?;
                ProtectedPacket {
                    packet_type: header.packet_type(),
                    destination_cid: header.destination_cid,
                    source_cid: header.source_cid,
                    has_token: matches!(header.long_type, LongType::Initial { token } if !token.is_empty()),
                    range: start..self.at,
                    pn_offset,
                }
            }
            Header::Short { header, pn_offset } => ProtectedPacket {
                packet_type: PacketType::OneRtt,
                destination_cid: header.destination_cid,
                source_cid: ConnectionId::EMPTY,
                has_token: false,
                range: start..self.at,
                pn_offset,
            },
            _ => {
                return (start == 0).then_some(Packet::Other {
                    range: start..self.at,
                });
            }
        };
        self.same_connection(packet, datagram.len())
    }

    /// RFC 9000 §12.2: what follows a packet for another connection ID is for nobody.
    fn same_connection(&mut self, packet: ProtectedPacket, datagram_len: usize) -> Option<Packet> {
        let first = *self.first_dcid.get_or_insert(packet.destination_cid);
        if first != packet.destination_cid {
            self.at = datagram_len;
            return None;
        }
        Some(Packet::Protected(packet))
    }
}

/// The packets of `datagram`, for those who only look.
pub fn packets(datagram: &[u8], local_cid_len: usize) -> impl Iterator<Item = Packet> {
    let mut packets = Packets::new(local_cid_len);
    core::iter::from_fn(move || packets.next(datagram))
}

#[cfg(test)]
mod tests {
    use super::super::header::{LongHeader, ShortHeader, VersionNegotiation};
    use super::super::packet_number::PacketNumber;
    use super::super::writer::Writer;
    use super::*;
    use alloc::vec::Vec;

    fn cid(byte: u8) -> ConnectionId {
        ConnectionId::new(&[byte; 4]).unwrap()
    }

    fn put_long(long_type: LongType<'_>, dcid: u8, payload: usize, out: &mut Writer<'_>) {
        let header = LongHeader {
            long_type,
            destination_cid: cid(dcid),
            source_cid: cid(7),
        };
        let layout = header.encode(PacketNumber::ZERO, 1, out).unwrap();
        out.put_zeros(payload).unwrap();
        layout.set_length(0, out).unwrap();
    }

    fn put_short(dcid: u8, payload: usize, out: &mut Writer<'_>) {
        let header = ShortHeader {
            destination_cid: cid(dcid),
            spin: false,
        };
        header.encode(false, PacketNumber::ZERO, 1, out).unwrap();
        out.put_zeros(payload).unwrap();
    }

    fn walk(datagram: &[u8]) -> Vec<(PacketType, Range<usize>, usize)> {
        packets(datagram, 4)
            .map(|packet| match packet {
                Packet::Protected(p) => (p.packet_type, p.range, p.pn_offset),
                Packet::Other { .. } => panic!("not protected"),
            })
            .collect()
    }

    #[test]
    fn the_three_packets_of_a_server_flight_are_found() {
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        put_long(LongType::Initial { token: &[] }, 1, 20, &mut out);
        put_long(LongType::Handshake, 1, 30, &mut out);
        put_short(1, 40, &mut out);
        let expected = [
            (PacketType::Initial, 0..39, 18),
            (PacketType::Handshake, 39..87, 17),
            (PacketType::OneRtt, 87..133, 5),
        ];
        assert_eq!(walk(out.written()), expected);
    }

    #[test]
    fn packets_behind_another_connection_id_are_not_returned() {
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        put_long(LongType::Initial { token: &[] }, 1, 20, &mut out);
        put_long(LongType::Handshake, 2, 20, &mut out);
        put_long(LongType::Handshake, 1, 20, &mut out);
        assert_eq!(walk(out.written()).len(), 1);
    }

    #[test]
    fn a_packet_cut_short_ends_the_walk_before_it() {
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        put_long(LongType::Initial { token: &[] }, 1, 20, &mut out);
        let whole = out.len();
        put_long(LongType::Handshake, 1, 20, &mut out);
        for end in whole..out.len() {
            assert_eq!(walk(&out.written()[..end]).len(), 1, "cut at {end}");
        }
        assert_eq!(walk(out.written()).len(), 2);
    }

    #[test]
    fn padding_outside_packets_is_ignored() {
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        put_long(LongType::Initial { token: &[] }, 1, 20, &mut out);
        out.put_zeros(100).unwrap();
        assert_eq!(walk(out.written()).len(), 1);
    }

    #[test]
    fn version_negotiation_stands_alone_or_not_at_all() {
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        VersionNegotiation::encode(&[1], &[2], &[1], 0, &mut out).unwrap();
        let range = 0..out.len();
        assert!(packets(out.written(), 4).eq([Packet::Other { range }]));
        out.truncate(0);
        put_long(LongType::Initial { token: &[] }, 1, 20, &mut out);
        VersionNegotiation::encode(&[1; 4], &[2], &[1], 0, &mut out).unwrap();
        assert_eq!(walk(out.written()).len(), 1);
    }

    #[test]
    fn an_empty_datagram_has_no_packets() {
        assert_eq!(packets(&[], 4).count(), 0);
    }
}
