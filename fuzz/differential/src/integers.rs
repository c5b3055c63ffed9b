//! Variable-length integers (RFC 9000 §16) and packet numbers (§17.1), which nobody may read differently.

use crate::{Difference, agree};
use bytes::Buf;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::varint as ours;
use quinn_proto::coding::Codec;
use s2n_codec::DecoderBuffer;
use s2n_quic_core::packet::number::PacketNumberSpace;
use s2n_quic_core::varint::VarInt;

/// Where s2n-quic-core and we may differ. The input is that of [`packet_number`].
pub const DIFFERENCES: &[Difference] = &[Difference {
    name: "end of the number space",
    reason: "§12.3: behind 2^62-1 there is no number, so the connection is over; what a packet claims then never opens",
    applies: |i| i[1] & 0x3f == 0x3f && i[2..9] == [0xff; 7],
}];

/// A value and how many bytes it took.
type Read = Option<(u64, usize)>;

/// All three others read what we read.
pub fn varint(data: &[u8]) -> Vec<&'static str> {
    let ours: Read = ours::parse(data)
        .ok()
        .map(|(rest, value)| (value, data.len() - rest.len()));
    let mut rest = data;
    let quinn: Read = quinn_proto::VarInt::decode(&mut rest)
        .ok()
        .map(|value| (value.into_inner(), data.len() - rest.remaining()));
    let mut octets = octets::Octets::with_slice(data);
    let quiche: Read = octets.get_varint().ok().map(|value| (value, octets.off()));
    let s2n: Read = DecoderBuffer::new(data)
        .decode::<VarInt>()
        .ok()
        .map(|(value, rest)| (value.as_u64(), data.len() - rest.len()));
    for (who, theirs) in [("quinn", quinn), ("quiche", quiche), ("s2n", s2n)] {
        agree(who, data, &ours, &theirs, &[]);
    }
    Vec::new()
}

/// The full number of 1 to 4 bytes beside the largest one so far. The first byte is the length, then eight of the
/// largest, then the packet's.
pub fn packet_number(data: &[u8]) -> Vec<&'static str> {
    let Some((&[length, ref largest @ ..], mut truncated)) = data.split_first_chunk::<9>() else {
        return Vec::new();
    };
    let largest = u64::from_be_bytes(*largest) & ours::MAX;
    let space = PacketNumberSpace::ApplicationData;
    let theirs = space
        .new_packet_number_len(length)
        .decode_truncated_packet_number(DecoderBuffer::new(truncated));
    let length = usize::from(length & 0b11) + 1;
    truncated = &truncated[..length.min(truncated.len())];
    let Ok((theirs, _)) = theirs else {
        assert!(truncated.len() < length);
        return Vec::new();
    };
    let sent = truncated
        .iter()
        .fold(0, |sent, byte| sent << 8 | u32::from(*byte));
    let ours = PacketNumber::decode(sent, length, Some(PacketNumber::new(largest))).value();
    let largest = VarInt::new(largest).expect("it is at most 2^62-1");
    let theirs = theirs.expand(space.new_packet_number(largest)).as_u64();
    agree("s2n", data, &ours, &theirs, DIFFERENCES)
        .into_iter()
        .collect()
}
