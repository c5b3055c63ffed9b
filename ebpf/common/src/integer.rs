//! Integers of variable length at any place of a text: QUIC's (RFC 9000 §16) and MOQT's vi64
//! (draft-ietf-moq-transport-18 §1.4.1).
//!
//! Both are replaced in place with the length they have: neither needs the shortest encoding.
//! Reads touch two words and branch as little as possible, because the kernel's verifier follows each branch.

use crate::scratch::{TEXT_WORDS, Text};
use crate::short_header::{joined, spilled};
use crate::word::opaque;

/// An integer and how many bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// Its value.
    pub value: u64,
    /// Bytes.
    pub len: u64,
}

/// The eight bytes that stand at `at`, first byte lowest; zeros at the text's very end.
#[inline(always)]
pub fn bytes_at(text: &Text, at: u64) -> u64 {
    let index = opaque(at >> 3) as usize;
    match (text.get(index), text.get(index.wrapping_add(1))) {
        (Some(low), Some(high)) if index < TEXT_WORDS => joined(*low, *high, (at & 7) << 3),
        _ => 0,
    }
}

/// Puts the low `len` (1 to 8) bytes of `bytes` at `at`, lowest first.
#[inline(always)]
pub fn put_bytes(text: &mut Text, at: u64, bytes: u64, len: u64) {
    let index = opaque(at >> 3) as usize;
    let shift = (at & 7) << 3;
    let mask = u64::MAX >> (64_u64.wrapping_sub(len << 3) & 63);
    let bytes = bytes & mask;
    if let Some(word) = text.get_mut(index) {
        *word = (*word & !(mask << shift)) | bytes << shift;
    }
    if let Some(word) = text.get_mut(index.wrapping_add(1)) {
        *word = (*word & !spilled(mask, shift)) | spilled(bytes, shift);
    }
}

/// RFC 9000 §16: the integer at `at`.
#[inline(always)]
pub fn varint(text: &Text, at: u64) -> Integer {
    let bytes = bytes_at(text, at).swap_bytes();
    let len = 1 << (bytes >> 62);
    let value = ((bytes << 2) >> 2) >> (64_u64.wrapping_sub(len << 3) & 63);
    Integer { value, len }
}

/// Whether `value` has an encoding of `len` bytes.
#[inline(always)]
pub fn fits_varint(value: u64, len: u64) -> bool {
    value >> ((len << 3).wrapping_sub(2) & 63) == 0
}

/// RFC 9000 §16: writes `value`, which fits, with `len` (1, 2, 4 or 8) bytes.
#[inline(always)]
pub fn put_varint(text: &mut Text, at: u64, value: u64, len: u64) {
    // The two highest bits: the logarithm of the length.
    let class = (LOGARITHMS >> ((len & 15) << 2)) & 3;
    let bytes = value << (64_u64.wrapping_sub(len << 3) & 63) | class << 62;
    put_bytes(text, at, bytes.swap_bytes(), len);
}

/// The vi64 at `at`: as many bytes follow the first as it has leading ones.
#[inline(always)]
pub fn vi64(text: &Text, at: u64) -> Integer {
    let bytes = bytes_at(text, at);
    let first = bytes & 0xff;
    let mut len = (LENGTHS >> ((first >> 4) << 2)) & 15;
    if len == 0 {
        len = (LONGER_LENGTHS >> ((first & 15) << 2)) & 15;
    }
    if len == 9 {
        let value = bytes_at(text, at.wrapping_add(1)).swap_bytes();
        return Integer { value, len };
    }
    let value = ((bytes.swap_bytes() << len) >> len) >> (64_u64.wrapping_sub(len << 3) & 63);
    Integer { value, len }
}

/// Whether `value` has an encoding of `len` bytes.
#[inline(always)]
pub fn fits_vi64(value: u64, len: u64) -> bool {
    len > 8 || value >> (len.wrapping_mul(7) & 63) == 0
}

/// Writes `value`, which fits, as a vi64 of `len` (1 to 9) bytes.
#[inline(always)]
pub fn put_vi64(text: &mut Text, at: u64, value: u64, len: u64) {
    if len > 8 {
        put_bytes(text, at, 0xff, 1);
        put_bytes(text, at.wrapping_add(1), value.swap_bytes(), 8);
        return;
    }
    let marker = 0xff00_u64 >> (len.wrapping_sub(1) & 7) & 0xff;
    let bytes = value << (64_u64.wrapping_sub(len << 3) & 63) | marker << 56;
    put_bytes(text, at, bytes.swap_bytes(), len);
}

/// Half a byte for each length: 1, 2, 4, 8.
const LOGARITHMS: u64 = 3 << 32 | 2 << 16 | 1 << 8;
/// Half a byte for each high half of a first byte; zero: the low half tells.
const LENGTHS: u64 = 0x0433_2222_1111_1111;
/// Half a byte for each low half.
const LONGER_LENGTHS: u64 = 0x9877_6666_5555_5555;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::TEXT_WORDS;

    fn text(bytes: &[u8], at: usize) -> Text {
        let mut padded = [0xa5; TEXT_WORDS * 8];
        padded[at..at + bytes.len()].copy_from_slice(bytes);
        std::array::from_fn(|word| {
            u64::from_le_bytes(padded[word * 8..word * 8 + 8].try_into().unwrap())
        })
    }

    #[test]
    fn the_examples_of_rfc_9000_appendix_a_1_are_read() {
        for (bytes, value) in [
            (&[0x25][..], 37),
            (&[0x40, 0x25], 37),
            (&[0x7b, 0xbd], 15_293),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
        ] {
            for at in 0..20 {
                let read = varint(&text(bytes, at), at as u64);
                let len = bytes.len() as u64;
                assert_eq!(read, Integer { value, len });
            }
        }
    }

    #[test]
    fn every_length_is_written_as_it_is_read_and_nothing_beside() {
        let values = [0, 5, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30];
        for (at, len) in (0..20).flat_map(|at| [1, 2, 4, 8].map(|len| (at, len))) {
            let values = values.into_iter().chain([(1 << 62) - 1]);
            for value in values.filter(|value| fits_varint(*value, len)) {
                let mut written = text(&[], 0);
                put_varint(&mut written, at, value, len);
                assert_eq!(varint(&written, at), Integer { value, len });
                put_bytes(&mut written, at, 0xa5a5_a5a5_a5a5_a5a5, len);
                assert_eq!(written, text(&[], 0));
            }
        }
    }

    #[test]
    fn every_vi64_is_written_as_it_is_read_and_nothing_behind() {
        for (len, bits) in (1..=9).flat_map(|len| (0..=64).map(move |bits| (len, bits))) {
            let value = 1_u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
            let fits = len == 9 || u64::from(bits) <= 7 * len;
            assert_eq!(fits_vi64(value, len), fits);
            for at in (0..20).filter(|_| fits) {
                let mut written = text(&[], 0);
                put_vi64(&mut written, at, value, len);
                assert_eq!(vi64(&written, at), Integer { value, len });
                assert_eq!(bytes_at(&written, at + len), 0xa5a5_a5a5_a5a5_a5a5);
            }
        }
    }

    #[test]
    fn a_vi64_has_as_many_more_bytes_as_leading_ones() {
        for first in 0..=255_u8 {
            let len = u64::from(first.leading_ones()) + 1;
            assert_eq!(vi64(&text(&[first], 3), 3).len, len);
        }
        let value = 0x0102_0304_0506_0708;
        let bytes = [0xff, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(vi64(&text(&bytes, 7), 7), Integer { value, len: 9 });
        assert_eq!(vi64(&text(&[0xc1, 2, 3], 7), 7).value, 0x1_0203);
    }

    #[test]
    fn behind_the_end_stand_zeros() {
        let mut text = text(&[], 0);
        let end = TEXT_WORDS as u64 * 8;
        assert_eq!(bytes_at(&text, end), 0);
        assert_eq!(bytes_at(&text, end - 8), 0);
        assert_eq!(bytes_at(&text, u64::MAX), 0);
        put_bytes(&mut text, end - 1, 0x1234, 2);
        assert_eq!(text.last(), Some(&0x34a5_a5a5_a5a5_a5a5));
        put_bytes(&mut text, end, 0x1234, 2);
    }
}
