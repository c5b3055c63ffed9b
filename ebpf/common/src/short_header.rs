//! The 1-RTT header (RFC 9000 §17.3.1) and its protection (RFC 9001 §5.4) in four words.
//!
//! It is the AEAD's associated data as well (RFC 9001 §5.3), and stands directly before the ciphertext.

use crate::scratch::{HEAD_WORDS, Text};

/// A short header: at most 25 bytes, little-endian, zeros behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHeader {
    words: [u64; 4],
    /// Where the packet number stands.
    number_at: u64,
    number_len: u64,
}

impl ShortHeader {
    /// With the first byte as it is without protection, and the low `number_len` (1 to 4) bytes of `number`.
    /// The bytes of `cid` behind its length (at most 20) are zero.
    #[inline(always)]
    pub fn new(first: u8, cid: [u64; 3], cid_len: u64, number: u64, number_len: u64) -> Self {
        let [c0, c1, c2] = cid;
        let words = [
            u64::from(first) | c0 << 8,
            c0 >> 56 | c1 << 8,
            c1 >> 56 | c2 << 8,
            c2 >> 56,
        ];
        let number_at = cid_len.wrapping_add(1);
        let header = Self {
            words,
            number_at,
            number_len,
        };
        let number = u64::from((number as u32).swap_bytes());
        header.changed(0, number >> (32_u64.wrapping_sub(number_len << 3) & 31))
    }

    /// RFC 9001 §5.4.1: a header from its protected bytes, of which those from the packet number's fifth on
    /// do not count; and the truncated packet number.
    #[inline(always)]
    pub fn unprotect(protected: [u64; 4], cid_len: u64, mask: u64) -> (Self, u32) {
        let [w0, ..] = protected;
        let number_len = ((w0 ^ mask) & 3).wrapping_add(1);
        let number_at = cid_len.wrapping_add(1);
        let header = Self {
            words: protected,
            number_at,
            number_len,
        };
        let header = header.protect(mask).cut();
        let number = (header.number_bytes() as u32).swap_bytes();
        (
            header,
            number >> (32_u64.wrapping_sub(number_len << 3) & 31),
        )
    }

    /// RFC 9001 §5.4.1: puts the mask on, or takes it off.
    #[inline(always)]
    #[must_use]
    pub fn protect(self, mask: u64) -> Self {
        let number_mask = (mask >> 8) & below(self.number_len);
        self.changed(mask & 0x1f, number_mask)
    }

    /// Its bytes as words, zeros behind.
    #[inline(always)]
    pub fn words(&self) -> [u64; 4] {
        self.words
    }

    /// How many bytes it has.
    #[inline(always)]
    pub fn size(&self) -> u64 {
        self.number_at.wrapping_add(self.number_len)
    }

    /// How many of them are packet number.
    #[inline(always)]
    pub fn number_len(&self) -> u64 {
        self.number_len
    }

    /// RFC 9000 §17.3.1: the first byte.
    #[inline(always)]
    pub fn first(&self) -> u8 {
        let [w0, ..] = self.words;
        w0 as u8
    }

    /// RFC 9001 §5.4.2: the sample of a packet with this ciphertext: it starts four bytes after the packet
    /// number does.
    #[inline(always)]
    pub fn sample(&self, text: &Text) -> (u64, u64) {
        let [t0, t1, t2, ..] = *text;
        let shift = 32_u64.wrapping_sub(self.number_len << 3) & 31;
        (joined(t0, t1, shift), joined(t1, t2, shift))
    }

    /// Its bytes in the last four words before the ciphertext; the bytes before it become zero.
    #[inline(always)]
    pub fn place(&self, head: &mut [u64; HEAD_WORDS]) {
        let [.., h0, h1, h2, h3] = head;
        [*h0, *h1, *h2, *h3] = self.right_aligned();
    }

    /// The header in the last bytes of four words.
    #[inline(always)]
    fn right_aligned(&self) -> [u64; 4] {
        let free = 32_u64.wrapping_sub(self.size());
        let shift = (free & 7) << 3;
        let [w0, w1, w2, w3] = self.words;
        let mut words = [
            w0 << shift,
            w1 << shift | spilled(w0, shift),
            w2 << shift | spilled(w1, shift),
            w3 << shift | spilled(w2, shift),
        ];
        if free & 8 != 0 {
            let [w0, w1, w2, _] = words;
            words = [0, w0, w1, w2];
        }
        if free & 16 != 0 {
            let [w0, w1, ..] = words;
            words = [0, 0, w0, w1];
        }
        words
    }

    /// With the first byte and the packet number's bytes changed by exclusive or.
    #[inline(always)]
    fn changed(self, first: u64, number: u64) -> Self {
        let [w0, w1, w2, w3] = self.words;
        let shift = (self.number_at & 7) << 3;
        let (low, high) = (number << shift, spilled(number, shift));
        let w0 = w0 ^ first;
        let words = match self.number_at >> 3 {
            0 => [w0 ^ low, w1 ^ high, w2, w3],
            1 => [w0, w1 ^ low, w2 ^ high, w3],
            _ => [w0, w1, w2 ^ low, w3 ^ high],
        };
        Self { words, ..self }
    }

    /// The packet number's bytes, as they stand.
    #[inline(always)]
    fn number_bytes(&self) -> u64 {
        let [w0, w1, w2, w3] = self.words;
        let shift = (self.number_at & 7) << 3;
        let bytes = match self.number_at >> 3 {
            0 => joined(w0, w1, shift),
            1 => joined(w1, w2, shift),
            _ => joined(w2, w3, shift),
        };
        bytes & below(self.number_len)
    }

    /// With zeros behind its end.
    #[inline(always)]
    fn cut(self) -> Self {
        let [w0, w1, w2, w3] = self.words;
        let size = self.size();
        let rest = below(size & 7);
        let words = match size >> 3 {
            0 => [w0 & rest, 0, 0, 0],
            1 => [w0, w1 & rest, 0, 0],
            2 => [w0, w1, w2 & rest, 0],
            _ => [w0, w1, w2, w3 & rest],
        };
        Self { words, ..self }
    }
}

/// The bits of the first `bytes` (0 to 7) bytes of a word.
#[inline(always)]
pub(crate) fn below(bytes: u64) -> u64 {
    (1_u64 << ((bytes & 7) << 3)).wrapping_sub(1)
}

/// What `word << shift` loses (shift below 64).
#[inline(always)]
pub(crate) fn spilled(word: u64, shift: u64) -> u64 {
    (word >> 1) >> (63_u64.wrapping_sub(shift) & 63)
}

/// The word that starts `shift` bits (below 64) into `low` and goes on in `high`.
#[inline(always)]
pub(crate) fn joined(low: u64, high: u64, shift: u64) -> u64 {
    (low >> shift) | ((high << 1) << (63_u64.wrapping_sub(shift) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aead::{open, seal};
    use crate::chacha20::header_protection_mask;
    use crate::layout::Pad;
    use crate::pad;
    use crate::scratch::TEXT_WORDS;
    use crate::word::Word;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
        std::array::from_fn(|index| {
            let rest = bytes.get(index * 8..).unwrap_or_default();
            let len = rest.len().min(8);
            let mut word = [0; 8];
            word[..len].copy_from_slice(&rest[..len]);
            u64::from_le_bytes(word)
        })
    }

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn keys() -> ([Word; 4], [Word; 2], [Word; 4]) {
        let key = hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8");
        let hp = hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4");
        let iv = hex("e0459b3474bdd0e44a41c144");
        (
            words(&key).map(Word::new),
            words(&iv).map(Word::new),
            words(&hp).map(Word::new),
        )
    }

    #[test]
    fn rfc9001_a_5_short_header_packet() {
        let (key, iv, hp) = keys();
        let (number, pad) = (654_360_564, Pad::empty());
        pad::fill(&pad, &key, &iv, number, 1);
        let header = ShortHeader::new(0x42, [0; 3], 0, number, 3);
        assert_eq!(bytes(&header.words())[..5], hex("4200bff400"));
        let mut plain = [0; TEXT_WORDS];
        plain[0] = 1;
        let mut text = [0; TEXT_WORDS];
        seal(&pad, &header, &plain, 1, &mut text);
        assert_eq!(
            bytes(&text)[..17],
            hex("655e5cd55c41f69080575d7999c25a5bfb")
        );

        let (low, high) = header.sample(&text);
        let mask = header_protection_mask(&hp, low, high);
        let protected = header.protect(mask);
        let mut head = [u64::MAX; HEAD_WORDS];
        protected.place(&mut head);
        let packet = [bytes(&head), bytes(&text)[..17].to_vec()].concat();
        let at = HEAD_WORDS * 8 - 4;
        assert_eq!(
            packet[at..],
            hex("4cfe4189655e5cd55c41f69080575d7999c25a5bfb")
        );

        let (opened, truncated) = ShortHeader::unprotect(words(&packet[at..]), 0, mask);
        assert_eq!((opened, truncated), (header, 0xbff4));
        let mut out = [0; TEXT_WORDS];
        assert!(open(&pad, &opened, &text, 1, &mut out));
        assert_eq!(out[0], 1);
    }

    #[test]
    fn every_connection_id_and_number_length() {
        let cid: Vec<u8> = (0xa0..0xb4).collect();
        for (cid_len, number_len) in
            (0..=20).flat_map(|cid| (1..=4).map(move |number| (cid, number)))
        {
            let number = 0x1_8192_a3b4_u64;
            let mask = 0x1b_dead_beef | (0xff << 40);
            let first = 0x44 | (number_len as u8 - 1);
            let cid = &cid[..cid_len as usize];
            let header = ShortHeader::new(first, words(cid), cid_len, number, number_len);
            let expected = [
                &[first],
                cid,
                &number.to_be_bytes()[8 - number_len as usize..],
            ]
            .concat();
            assert_eq!(header.size() as usize, expected.len());
            assert_eq!(header.words(), words(&expected));
            assert_eq!((header.first(), header.number_len()), (first, number_len));

            let mut protected = expected.clone();
            protected[0] ^= 0xef & 0x1f;
            for (byte, mask) in protected[1 + cid.len()..]
                .iter_mut()
                .zip([0xbe, 0xad, 0xde, 0x1b])
            {
                *byte ^= mask;
            }
            assert_eq!(header.protect(mask).words(), words(&protected));
            let mut head = [u64::MAX; HEAD_WORDS];
            header.protect(mask).place(&mut head);
            assert!(bytes(&head).ends_with(&protected));
            assert_eq!(
                bytes(&head)[HEAD_WORDS * 8 - 32..]
                    .iter()
                    .filter(|&&byte| byte == 0)
                    .count(),
                32 - protected.len()
            );

            let followed = [&protected[..], &[0x77; 12]].concat();
            let (opened, truncated) = ShortHeader::unprotect(words(&followed), cid_len, mask);
            assert_eq!(opened, header);
            assert_eq!(u64::from(truncated), number & below_number(number_len));
        }
    }

    fn below_number(number_len: u64) -> u64 {
        (1 << (number_len * 8)) - 1
    }
}
