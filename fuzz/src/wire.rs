//! Properties of `quic_lite::wire` (RFC 9000): parsing stays within its input, and what was parsed survives a round trip.

use quic_lite::Side;
use quic_lite::range_set::RangeSet;
use quic_lite::wire::datagram::{Packet, Packets};
use quic_lite::wire::error::WireError;
use quic_lite::wire::frame::{Ack, CloseError, Frame, frames};
use quic_lite::wire::header::{
    Header, HeaderLayout, LongHeader, PacketType, ShortHeader, VersionNegotiation, destination_cid,
};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::varint as integer;
use quic_lite::wire::writer::Writer;

const PACKET_TYPES: [PacketType; 4] = [
    PacketType::Initial,
    PacketType::ZeroRtt,
    PacketType::Handshake,
    PacketType::OneRtt,
];

/// §16: an integer is at most 2^62-1 and, written in as many bytes as it was read from, the same bytes.
pub fn varint(data: &[u8]) {
    let Ok((rest, value)) = integer::parse(data) else {
        return assert!(
            data.first()
                .is_none_or(|first| data.len() < 1 << (first >> 6))
        );
    };
    let used = data.len() - rest.len();
    assert!(value <= integer::MAX && integer::size(value) <= used);
    let mut buffer = [0; 8];
    let mut out = Writer::new(&mut buffer);
    out.varint_with_len(value, used).unwrap();
    assert_eq!(out.written(), &data[..used]);
}

/// §17: a header stays within its packet, agrees with the version-independent reading, and round-trips.
/// The first byte is the length of our connection IDs.
pub fn packet_header(data: &[u8]) {
    let Some((local_cid_len, packet)) = with_cid_len(data) else {
        return;
    };
    let Ok((rest, header)) = Header::parse(packet, local_cid_len) else {
        return;
    };
    assert!(packet.ends_with(rest));
    assert!(!header.to_string().contains('\n'));
    let (_, dcid) = destination_cid(packet, local_cid_len).unwrap();
    let mut buffer = vec![0; packet.len() + 64];
    let mut out = Writer::new(&mut buffer);
    match header {
        Header::Long {
            header,
            pn_offset,
            length,
        } => {
            assert!(pn_offset + length <= packet.len());
            assert_eq!(dcid, header.destination_cid.as_slice());
            long_round_trip(&header, &packet[pn_offset..pn_offset + length], &mut out);
        }
        Header::Short { header, pn_offset } => {
            assert_eq!(
                (dcid, pn_offset),
                (header.destination_cid.as_slice(), 1 + local_cid_len)
            );
            short_round_trip(header, &mut out);
        }
        Header::Retry(retry) => {
            assert_eq!(dcid, retry.destination_cid.as_slice());
            retry.encode(&mut out).unwrap();
            assert_eq!(Header::parse(out.written(), 0).unwrap().1, header);
        }
        Header::VersionNegotiation(found) => {
            assert_eq!(dcid, found.destination_cid);
            let versions: Vec<_> = found.supported_versions().collect();
            VersionNegotiation::encode(dcid, found.source_cid, &versions, 0, &mut out).unwrap();
            assert_eq!(Header::parse(out.written(), 0).unwrap().1, header);
        }
        Header::UnknownVersion {
            destination_cid,
            version,
            ..
        } => {
            assert!(version > 1);
            assert_eq!(dcid, destination_cid);
        }
    }
}

fn long_round_trip(header: &LongHeader<'_>, payload: &[u8], out: &mut Writer<'_>) {
    let layout = header.encode(PacketNumber::ZERO, 1, out).unwrap();
    let HeaderLayout {
        pn_offset,
        payload: payload_at,
        ..
    } = layout;
    let payload = &payload[..payload.len().min(1500)];
    out.put(payload).unwrap();
    layout.set_length(0, out).unwrap();
    let (rest, parsed) = Header::parse(out.written(), 0).unwrap();
    assert_eq!(
        parsed,
        Header::Long {
            header: *header,
            pn_offset,
            length: payload.len() + 1
        }
    );
    assert_eq!(&rest[payload_at - pn_offset..], payload);
}

fn short_round_trip(header: ShortHeader, out: &mut Writer<'_>) {
    let layout = header.encode(true, PacketNumber::new(7), 4, out).unwrap();
    let (rest, parsed) = Header::parse(out.written(), header.destination_cid.len()).unwrap();
    assert_eq!(
        parsed,
        Header::Short {
            header,
            pn_offset: layout.pn_offset
        }
    );
    assert_eq!(rest, [0, 0, 0, 7]);
}

/// §12.2: packets follow each other without gaps, share one connection ID, and are found again when the
/// bytes of those before them have changed. The first byte is the length of our connection IDs.
pub fn coalesced_datagram(data: &[u8]) {
    let Some((local_cid_len, datagram)) = with_cid_len(data) else {
        return;
    };
    let mut opened = datagram.to_vec();
    let (mut untouched, mut in_place) = (Packets::new(local_cid_len), Packets::new(local_cid_len));
    let (mut end, mut first_dcid) = (0, None);
    while let Some(packet) = untouched.next(datagram) {
        assert_eq!(in_place.next(&opened).as_ref(), Some(&packet));
        let range = match packet {
            Packet::Protected(packet) => {
                assert!(packet.pn_offset <= packet.range.len());
                assert_eq!(
                    *first_dcid.get_or_insert(packet.destination_cid),
                    packet.destination_cid
                );
                packet.range
            }
            Packet::Other { range } => range,
        };
        assert!(range.start == end && !range.is_empty() && range.end <= datagram.len());
        end = range.end;
        opened[range].fill(0xff);
    }
    assert_eq!(in_place.next(&opened), None);
}

/// §19: every frame takes a byte or ends the walk, prints as one line, and is the same after a round trip.
pub fn frames_roundtrip(data: &[u8]) {
    let mut rest = data;
    for frame in frames(data) {
        let Ok(frame) = frame else {
            assert!(Frame::parse(rest).is_err());
            return;
        };
        let (after, same) = Frame::parse(rest).unwrap();
        assert!(after.len() < rest.len() && same == frame);
        rest = after;
        frame_round_trip(&frame);
    }
    assert!(rest.is_empty());
}

fn frame_round_trip(frame: &Frame<'_>) {
    assert!(!frame.to_string().contains('\n'));
    // RFC 9000 §12.4: 1-RTT packets carry every frame.
    assert!(PACKET_TYPES.map(|packet_type| frame.is_allowed_in(packet_type))[3]);
    let mut buffer = vec![0; 70_000];
    let mut out = Writer::new(&mut buffer);
    match frame.encode(&mut out) {
        Ok(()) => assert_eq!(Frame::parse(out.written()), Ok((&[][..], *frame))),
        Err(full) => panic!("{frame}: {full}"),
    }
    match frame {
        Frame::Ack(ack) => ack_round_trip(ack),
        Frame::Stream(stream) => assert!(stream.end() <= integer::MAX),
        Frame::NewConnectionId(frame) => assert!(frame.retire_prior_to <= frame.sequence_number),
        Frame::ConnectionClose(close) => {
            assert_eq!(
                close.is_transport(),
                matches!(close.error, CloseError::Transport { .. })
            );
        }
        _ => {}
    }
}

/// The ranges go down without touching, and a set made of them acknowledges the same.
fn ack_round_trip(ack: &Ack<'_>) {
    let mut received = RangeSet::new();
    let mut above = None;
    for range in ack.ranges() {
        let (smallest, largest) = (range.start().value(), range.end().value());
        assert!(smallest <= largest && above.is_none_or(|above| largest + 1 < above));
        received.insert(smallest..largest + 1);
        above = Some(smallest);
    }
    assert_eq!(received.len() as u64, ack.range_count());
    let mut buffer = vec![0; 70_000];
    let mut out = Writer::new(&mut buffer);
    let written = Ack::encode_ranges(&received, ack.ack_delay, ack.ecn_counts, &mut out).unwrap();
    let Ok(([], Frame::Ack(again))) = Frame::parse(out.written()) else {
        panic!("{ack}")
    };
    assert!(again.ranges().eq(ack.ranges().take(written)));
    assert_eq!(
        (again.ack_delay, again.ecn_counts),
        (ack.ack_delay, ack.ecn_counts)
    );
}

/// §18: what was accepted is within its ranges and the same after a round trip. The first byte is the side.
pub fn transport_params(data: &[u8]) {
    let Some((side, bytes)) = data.split_first() else {
        return;
    };
    let from = if side & 1 == 0 {
        Side::Client
    } else {
        Side::Server
    };
    let parameters = match TransportParameters::parse(bytes, from) {
        Ok(parameters) => parameters,
        Err(WireError { frame_type, .. }) => return assert_eq!(frame_type, None),
    };
    assert!(parameters.ack_delay_exponent <= 20 && parameters.max_ack_delay < 1 << 14);
    assert!(parameters.active_connection_id_limit >= 2 && parameters.max_udp_payload_size >= 1200);
    assert!(
        parameters
            .initial_max_streams_bidi
            .max(parameters.initial_max_streams_uni)
            <= 1 << 60
    );
    let mut buffer = [0; TransportParameters::MAX_ENCODED_LEN];
    let mut out = Writer::new(&mut buffer);
    parameters.encode(from, &mut out).unwrap();
    assert_eq!(
        TransportParameters::parse(out.written(), from),
        Ok(parameters)
    );
}

fn with_cid_len(data: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(first % 21), rest))
}
