//! What is done to a plaintext as a whole: blanking, cutting, copying (RFC 9000 §19.1 for what PADDING is).

use core::hint::black_box;

use crate::checksum::Sum;
use crate::scratch::{TEXT_WORDS, Text};
use crate::short_header::{below, joined};
use crate::word::{low_half, opaque};

/// Makes PADDING of the bytes from `from` to `to`.
#[inline(never)]
pub fn blank(text: &mut Text, from: u64, to: u64) {
    if from >= to {
        return;
    }
    let (first, last) = (from >> 3, to >> 3);
    // The bytes before `from` and those from `to` on stay.
    let (before, after) = (below(from & 7), !below(to & 7));
    if first == last {
        return keep(text, first, before | after);
    }
    keep(text, first, before);
    for index in 1..TEXT_WORDS as u64 {
        let at = first.wrapping_add(index);
        if at >= last {
            break;
        }
        keep(text, at, 0);
    }
    keep(text, last, after);
}

/// Clears all other bits of a word.
#[inline(always)]
fn keep(text: &mut Text, index: u64, bits: u64) {
    if let Some(word) = text.get_mut(opaque(index) as usize) {
        *word &= bits;
    }
}

/// Moves `len` bytes from `start` to the beginning.
#[inline(never)]
pub fn shift(text: &mut Text, start: u64, len: u64) {
    if start == 0 {
        return;
    }
    let (words, bits) = ((start >> 3) as usize, (start & 7) << 3);
    let count = (len >> 3) as usize;
    for index in 0..text.len() {
        if index > count {
            break;
        }
        let from = opaque(index.wrapping_add(words) as u64) as usize;
        let low = text.get(from).copied().unwrap_or(0);
        let high = text.get(from.wrapping_add(1)).copied().unwrap_or(0);
        if let Some(word) = text.get_mut(index) {
            *word = joined(low, high, bits);
        }
    }
}

/// Copies `len` bytes, with zeros behind up to a word's end, and sums them up: instead of sealing and opening,
/// for packets without protection.
#[inline(never)]
pub fn copy(from: &Text, to: &mut Text, len: u64) -> Sum {
    let (sources, _) = from.as_chunks::<2>();
    let (targets, _) = to.as_chunks_mut::<2>();
    // As in `aead`: the verifier must not follow each length on its own.
    let whole = (black_box(len) >> 4) as usize;
    let (mut low, mut high) = (0_u64, 0_u64);
    for (turn, ([s0, s1], [t0, t1])) in sources.iter().zip(targets).enumerate() {
        if turn >= whole {
            break;
        }
        (*t0, *t1) = (*s0, *s1);
        low = low.wrapping_add(low_half(*s0)).wrapping_add(low_half(*s1));
        high = high.wrapping_add(*s0 >> 32).wrapping_add(*s1 >> 32);
    }
    let mut sum = Sum::ZERO.add_parts(low.wrapping_add(high));
    for rest in 0..2 {
        let at = black_box(len >> 4 << 1).wrapping_add(rest);
        let left = (len & 15).saturating_sub(rest << 3);
        if let (Some(from), Some(to)) = (from.get(at as usize), to.get_mut(at as usize)) {
            *to = from & low_bytes(left);
            sum = sum.add(*to);
        }
    }
    sum
}

/// The bits of the first `bytes` bytes of a word, of all if there are more.
#[inline(always)]
fn low_bytes(bytes: u64) -> u64 {
    if bytes >= 8 { u64::MAX } else { below(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Text {
        std::array::from_fn(|index| {
            (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63
        })
    }

    fn bytes(text: &Text) -> Vec<u8> {
        text.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn blanked_is_what_lies_between() {
        for (from, to) in [
            (0, 0),
            (0, 1),
            (3, 7),
            (8, 16),
            (5, 31),
            (9, 1472),
            (7, 7),
            (9, 3),
        ] {
            let mut expected = bytes(&text());
            if from < to {
                expected[from..to].fill(0);
            }
            let mut blanked = text();
            blank(&mut blanked, from as u64, to as u64);
            assert_eq!(bytes(&blanked), expected, "{from} {to}");
        }
    }

    #[test]
    fn shifted_is_what_begins_later() {
        for start in [0, 1, 7, 8, 9, 40, 1471] {
            for len in [0, 1, 8, 100, 1472] {
                let len = usize::min(len, 1472 - start);
                let mut shifted = text();
                shift(&mut shifted, start as u64, len as u64);
                assert_eq!(bytes(&shifted)[..len], bytes(&text())[start..start + len]);
            }
        }
    }

    #[test]
    fn copied_is_so_much_and_its_sum() {
        for len in [0, 1, 8, 9, 1001, 1472] {
            let mut copied = [7; TEXT_WORDS];
            let sum = copy(&text(), &mut copied, len as u64);
            assert_eq!(bytes(&copied)[..len], bytes(&text())[..len]);
            let mut padded = bytes(&text())[..len].to_vec();
            padded.resize(1480, 0);
            let words = padded.chunks(8);
            let expected = words.fold(Sum::ZERO, |sum, word| {
                sum.add(u64::from_le_bytes(word.try_into().unwrap()))
            });
            assert_eq!(sum.folded(), expected.folded(), "{len}");
        }
    }
}
