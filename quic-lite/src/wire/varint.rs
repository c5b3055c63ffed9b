//! Variable-length integers (RFC 9000 §16): the two top bits of the first byte say 1, 2, 4 or 8 bytes.
//! Promise: a parsed value is at most 2^62-1. Any length is accepted; only frame types must be minimal (§12.4).

use super::error::{WireErrorKind, refuse};
use super::{PResult, array};

/// The largest value that fits: 2^62-1.
pub const MAX: u64 = (1 << 62) - 1;

/// Reads one integer.
pub fn parse(i: &[u8]) -> PResult<'_, u64> {
    let Some(first) = i.first() else {
        return refuse(WireErrorKind::Truncated);
    };
    match first >> 6 {
        0 => array(i).map(|(i, [byte])| (i, u64::from(byte))),
        1 => array(i).map(|(i, bytes)| (i, u64::from(u16::from_be_bytes(bytes) & 0x3fff))),
        2 => array(i).map(|(i, bytes)| (i, u64::from(u32::from_be_bytes(bytes) & 0x3fff_ffff))),
        _ => array(i).map(|(i, bytes)| (i, u64::from_be_bytes(bytes) & MAX)),
    }
}

/// Bytes of the shortest encoding of `value`; 8 for values that have none.
pub const fn size(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::{Full, Writer};
    use super::*;

    #[test]
    fn rfc9000_a1_examples_decode() {
        let decode = |bytes: &[u8]| {
            parse(bytes)
                .map(|(rest, value)| (rest.len(), value))
                .unwrap()
        };
        assert_eq!(
            decode(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]),
            (0, 151_288_809_941_952_652)
        );
        assert_eq!(decode(&[0x9d, 0x7f, 0x3e, 0x7d]), (0, 494_878_333));
        assert_eq!(decode(&[0x7b, 0xbd]), (0, 15_293));
        assert_eq!(decode(&[0x25]), (0, 37));
        assert_eq!(decode(&[0x40, 0x25]), (0, 37));
    }

    #[test]
    fn rfc9000_a1_examples_encode() {
        let encode = |value| {
            let mut buffer = [0; 8];
            let mut out = Writer::new(&mut buffer);
            out.varint(value).unwrap();
            out.written().to_vec()
        };
        assert_eq!(
            encode(151_288_809_941_952_652),
            [0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]
        );
        assert_eq!(encode(494_878_333), [0x9d, 0x7f, 0x3e, 0x7d]);
        assert_eq!(encode(15_293), [0x7b, 0xbd]);
        assert_eq!(encode(37), [0x25]);
    }

    #[test]
    fn boundaries_take_the_shortest_form_and_round_trip() {
        let edges = [0, 0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, MAX];
        for (value, length) in edges.into_iter().zip([1, 1, 2, 2, 4, 4, 8, 8]) {
            let mut buffer = [0; 8];
            let mut out = Writer::new(&mut buffer);
            out.varint(value).unwrap();
            assert_eq!(out.len(), length);
            assert_eq!(size(value), length);
            assert_eq!(parse(out.written()), Ok((&[][..], value)));
        }
    }

    #[test]
    fn a_chosen_length_is_kept() {
        for length in [2, 4, 8] {
            let mut buffer = [0; 8];
            let mut out = Writer::new(&mut buffer);
            out.varint_with_len(37, length).unwrap();
            assert_eq!(out.len(), length);
            assert_eq!(parse(out.written()), Ok((&[][..], 37)));
        }
    }

    #[test]
    fn values_without_an_encoding_are_refused() {
        let mut buffer = [0; 16];
        let mut out = Writer::new(&mut buffer);
        assert_eq!(out.varint(MAX + 1), Err(Full));
        assert_eq!(out.varint(u64::MAX), Err(Full));
        assert_eq!(out.varint_with_len(64, 1), Err(Full));
        assert_eq!(out.varint_with_len(0, 3), Err(Full));
        assert_eq!(out.len(), 0);
    }

    #[test]
    fn every_truncation_is_refused() {
        for whole in [
            &[0x40, 0x25][..],
            &[0x9d, 0x7f, 0x3e, 0x7d],
            &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
        ] {
            for end in 0..whole.len() {
                assert!(parse(&whole[..end]).is_err());
            }
        }
    }
}
