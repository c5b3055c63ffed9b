//! Packet headers (RFC 9000 §17) beside quinn-proto and s2n-quic-core.

use crate::{Difference, agree};
use bytes::BytesMut;
use quic_lite::wire::header::{FIXED_BIT, FORM_BIT, Header, LongType, VERSION_1};
use quinn_proto::{
    FixedLengthConnectionIdParser, LongType as QuinnLong, PacketDecodeError, PartialDecode,
    ProtectedHeader,
};
use s2n_codec::DecoderBufferMut;
use s2n_quic_core::connection::id::ConnectionInfo;
use s2n_quic_core::inet::SocketAddress;
use s2n_quic_core::packet::ProtectedPacket;
use std::io::Cursor;

/// What all decoders have words for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Read {
    kind: &'static str,
    destination_cid: Vec<u8>,
    source_cid: Vec<u8>,
    token: Vec<u8>,
    spin: bool,
    /// The packet's bytes, up to where another one may follow.
    length: usize,
}

/// Where quinn-proto and we may differ. The first byte of the input is the length of our connection IDs.
pub const QUINN: &[Difference] = &[
    Difference {
        name: "long connection IDs of Version Negotiation",
        reason: "§17.2.1: connection IDs of other versions may be longer than 20 bytes; quinn reads no longer ones",
        applies: |i| version(i) == Some(0) && has_long_cid(i),
    },
    Difference {
        name: "fixed bit of Version Negotiation",
        reason: "§17.2.1: the bit means nothing there; quinn refuses a zero",
        applies: |i| version(i) == Some(0) && i[1] & FIXED_BIT == 0,
    },
    Difference {
        name: "list of versions",
        reason: "quinn does not read the versions of a Version Negotiation here; we refuse a piece of one",
        applies: |i| version(i) == Some(0),
    },
    Difference {
        name: "invariants of other versions",
        reason: "RFC 8999 §5.1 allows connection IDs of 255 bytes and gives the fixed bit no meaning; quinn wants version 1's",
        applies: |i| version(i).is_some_and(|version| version > VERSION_1),
    },
    Difference {
        name: "Retry without its tag",
        reason: "§17.2.5: a Retry ends with 16 bytes of tag; quinn looks for it when it checks it",
        applies: is_retry,
    },
];

/// Where s2n-quic-core and we may differ.
pub const S2N: &[Difference] = &[
    Difference {
        name: "long connection IDs of Version Negotiation",
        reason: "§17.2.1: connection IDs of other versions may be longer than 20 bytes; s2n reads no longer ones",
        applies: |i| version(i) == Some(0) && has_long_cid(i),
    },
    Difference {
        name: "empty list of versions",
        reason: "§17.2.1 wants a list; s2n refuses one without versions, we find nothing in it that we could speak",
        applies: |i| version(i) == Some(0),
    },
    Difference {
        name: "Retry without a token",
        reason: "§17.2.5.2: a client discards it; s2n when it parses, we when we process it",
        applies: is_retry,
    },
    Difference {
        name: "long connection IDs of Initial packets",
        reason: "§17.2: version 1 has at most 20 bytes; s2n looks at the length behind the version",
        applies: |i| version(i) == Some(VERSION_1) && i[1] & 0x30 == 0 && has_long_cid(i),
    },
    Difference {
        name: "other versions",
        reason: "s2n reads them like version 1 and looks at the version later; we stop behind the invariants",
        applies: |i| version(i).is_some_and(|version| version > VERSION_1),
    },
];

/// The first packet of a datagram. The first byte is the length of our connection IDs.
pub fn packet_header(data: &[u8]) -> Vec<&'static str> {
    let Some((first, packet)) = data.split_first() else {
        return Vec::new();
    };
    let cid_len = usize::from(first % 21);
    let input = [&[cid_len as u8], packet].concat();
    let ours = Header::parse(packet, cid_len)
        .ok()
        .map(|(_, header)| ours(&header, packet));
    let quinn = agree("quinn", &input, &ours, &quinn(packet, cid_len), QUINN);
    let s2n = agree("s2n", &input, &ours, &s2n(packet, cid_len), S2N);
    quinn.into_iter().chain(s2n).collect()
}

fn ours(header: &Header<'_>, packet: &[u8]) -> Read {
    let to_end = packet.len();
    match header {
        Header::VersionNegotiation(header) => long(
            "Version Negotiation",
            header.destination_cid,
            header.source_cid,
            &[],
            to_end,
        ),
        Header::Retry(header) => long(
            "Retry",
            header.destination_cid.as_slice(),
            header.source_cid.as_slice(),
            header.retry_token,
            to_end,
        ),
        Header::UnknownVersion {
            destination_cid,
            source_cid,
            ..
        } => long("unknown version", destination_cid, source_cid, &[], to_end),
        Header::Long {
            header,
            pn_offset,
            length,
        } => {
            let (kind, token) = match header.long_type {
                LongType::Initial { token } => ("Initial", token),
                LongType::ZeroRtt => ("0-RTT", &[][..]),
                LongType::Handshake => ("Handshake", &[][..]),
            };
            long(
                kind,
                header.destination_cid.as_slice(),
                header.source_cid.as_slice(),
                token,
                pn_offset + length,
            )
        }
        Header::Short { header, .. } => Read {
            spin: header.spin,
            ..long("1-RTT", header.destination_cid.as_slice(), &[], &[], to_end)
        },
    }
}

fn long(
    kind: &'static str,
    destination_cid: &[u8],
    source_cid: &[u8],
    token: &[u8],
    length: usize,
) -> Read {
    Read {
        kind,
        destination_cid: destination_cid.to_vec(),
        source_cid: source_cid.to_vec(),
        token: token.to_vec(),
        spin: false,
        length,
    }
}

/// quinn splits the datagram in one call and shows the header in another.
fn quinn(packet: &[u8], cid_len: usize) -> Option<Read> {
    let parser = FixedLengthConnectionIdParser::new(cid_len);
    let decoded = PartialDecode::new(BytesMut::from(packet), &parser, &[VERSION_1], false);
    let length = match decoded {
        Ok((packet, _)) => packet.len(),
        Err(PacketDecodeError::UnsupportedVersion {
            src_cid, dst_cid, ..
        }) => {
            return Some(long(
                "unknown version",
                &dst_cid,
                &src_cid,
                &[],
                packet.len(),
            ));
        }
        Err(_) => return None,
    };
    let mut cursor = Cursor::new(BytesMut::from(packet));
    let header = ProtectedHeader::decode(&mut cursor, &parser, &[VERSION_1], false).ok()?;
    Some(match header {
        ProtectedHeader::Initial(header) => long(
            "Initial",
            &header.dst_cid,
            &header.src_cid,
            &packet[header.token_pos],
            length,
        ),
        ProtectedHeader::Long {
            ty,
            dst_cid,
            src_cid,
            ..
        } => {
            let kind = match ty {
                QuinnLong::Handshake => "Handshake",
                QuinnLong::ZeroRtt => "0-RTT",
            };
            long(kind, &dst_cid, &src_cid, &[], length)
        }
        ProtectedHeader::Retry {
            dst_cid, src_cid, ..
        } => {
            let token = &packet[cursor.position() as usize..];
            let token = token
                .len()
                .checked_sub(16)
                .map_or(token, |end| &token[..end]);
            long("Retry", &dst_cid, &src_cid, token, length)
        }
        ProtectedHeader::Short { spin, dst_cid } => Read {
            spin,
            ..long("1-RTT", &dst_cid, &[], &[], length)
        },
        ProtectedHeader::VersionNegotiate {
            dst_cid, src_cid, ..
        } => long("Version Negotiation", &dst_cid, &src_cid, &[], length),
    })
}

fn s2n(packet: &[u8], cid_len: usize) -> Option<Read> {
    let mut copy = packet.to_vec();
    let address = SocketAddress::default();
    let (decoded, rest) = ProtectedPacket::decode(
        DecoderBufferMut::new(&mut copy),
        &ConnectionInfo::new(&address),
        &cid_len,
    )
    .ok()?;
    let length = packet.len() - rest.len();
    let (kind, token) = match &decoded {
        ProtectedPacket::Short(_) => ("1-RTT", &[][..]),
        ProtectedPacket::VersionNegotiation(_) => ("Version Negotiation", &[][..]),
        ProtectedPacket::Initial(packet) => ("Initial", packet.token()),
        ProtectedPacket::ZeroRtt(_) => ("0-RTT", &[][..]),
        ProtectedPacket::Handshake(_) => ("Handshake", &[][..]),
        ProtectedPacket::Retry(packet) => ("Retry", packet.retry_token),
    };
    let source_cid = decoded.source_connection_id().unwrap_or_default();
    // s2n shows the spin bit in no other way.
    let spin = matches!(&decoded, ProtectedPacket::Short(_)) && packet[0] & 0x20 != 0;
    Some(Read {
        spin,
        ..long(
            kind,
            decoded.destination_connection_id(),
            source_cid,
            token,
            length,
        )
    })
}

/// The version of a long header, behind the byte that is the input's own.
fn version(i: &[u8]) -> Option<u32> {
    let (&[_, first, ref version @ ..], _) = i.split_first_chunk::<6>()?;

    (first & FORM_BIT != 0).then_some(u32::from_be_bytes(*version))
}

fn is_retry(i: &[u8]) -> bool {
    version(i) == Some(VERSION_1) && i[1] & 0x30 == 0x30
}

/// Whether one of the connection IDs of a long header has more than 20 bytes.
fn has_long_cid(i: &[u8]) -> bool {
    let Some(&destination) = i.get(6) else {
        return false;
    };
    let source = i.get(7 + usize::from(destination)).copied().unwrap_or(0);
    destination.max(source) > 20
}
