//! AEAD_CHACHA20_POLY1305 (RFC 8439 §2.8) of packets (RFC 9001 §5.3), with the keystream already there.
//!
//! ChaCha20 depends on nothing but key and packet number, so its part is a [`Pad`]: made by userspace ahead
//! of time, or on the spot by [`pad::fill`](crate::pad::fill). What is left is exclusive or and Poly1305,
//! and the sum that the UDP checksum needs, in one pass of sixteen bytes a turn.
//!
//! Whoever calls sees to it, before and after, that the pad is the packet number's. A text that is longer
//! than [`PAD_BYTES`] is neither sealed nor opened.

use core::hint::black_box;

use crate::checksum::Sum;
use crate::layout::{PAD_BYTES, Pad};
use crate::poly1305::{Accumulator, Limbs, Multiplier};
use crate::scratch::Text;
use crate::short_header::{ShortHeader, below, joined, spilled};
use crate::word::Word;

/// Seals `len` bytes of `plain` into `out` and puts the tag behind them.
///
/// The sum is that of ciphertext and tag, as if they stood at an even place.
#[inline(never)]
pub fn seal(pad: &Pad, header: &ShortHeader, plain: &Text, len: u64, out: &mut Text) -> Sum {
    if len > LONGEST {
        return Sum::ZERO;
    }
    let r = multiplier(pad);
    let state = crypt::<true>(pad, State::new(&r, header), plain, len, out);
    let (low, high) = state.tag(pad, header, len);
    put_tag(out, len, low, high, state.sum)
}

/// Opens `len` bytes of `cipher`, behind which the tag stands, into `plain`; whether they are authentic.
///
/// If not, what stands in `plain` then must not be used.
#[inline(never)]
#[must_use]
pub fn open(pad: &Pad, header: &ShortHeader, cipher: &Text, len: u64, plain: &mut Text) -> bool {
    if len > LONGEST {
        return false;
    }
    let r = multiplier(pad);
    let state = crypt::<false>(pad, State::new(&r, header), cipher, len, plain);
    let (low, high) = state.tag(pad, header, len);
    let (tag_low, tag_high) = tag_at(cipher, len);
    // One comparison for all sixteen bytes, so that its time tells nothing.
    (low ^ tag_low) | (high ^ tag_high) == 0
}

/// RFC 8439 §2.4 and §2.8: exclusive or, and the hash of what is ciphertext.
#[inline(always)]
fn crypt<'a, const SEAL: bool>(
    pad: &Pad,
    mut state: State<'a>,
    input: &Text,
    len: u64,
    output: &mut Text,
) -> State<'a> {
    let (streams, _) = pad.keystream.as_chunks::<2>();
    let (inputs, _) = input.as_chunks::<2>();
    let (outputs, _) = output.as_chunks_mut::<2>();
    // The kernel's verifier follows each length on its own if what comes after the loop is tied to it.
    let whole = (black_box(len) >> 4) as usize;
    for turn in 0..BLOCKS {
        if turn >= whole {
            break;
        }
        let (Some([k0, k1]), Some([i0, i1]), Some([o0, o1])) =
            (streams.get(turn), inputs.get(turn), outputs.get_mut(turn))
        else {
            break;
        };
        state = state.block::<SEAL>([k0, k1], [i0, i1], [o0, o1], [u64::MAX; 2]);
    }
    let (rest, at) = (len & 15, (len >> 4) as usize);
    let mask = match rest {
        0 => return state,
        1..8 => [below(rest), 0],
        _ => [u64::MAX, below(rest)],
    };
    if let (Some([k0, k1]), Some([i0, i1]), Some([o0, o1])) =
        (streams.get(at), inputs.get(at), outputs.get_mut(at))
    {
        state = state.block::<SEAL>([k0, k1], [i0, i1], [o0, o1], mask);
    }
    state
}

/// What goes from block to block.
#[derive(Clone, Copy)]
struct State<'a> {
    r: &'a Multiplier,
    hash: Accumulator,
    sum: Sum,
}

impl<'a> State<'a> {
    /// RFC 8439 §2.8: begins with the associated data and its padding.
    #[inline(always)]
    fn new(r: &'a Multiplier, header: &ShortHeader) -> Self {
        let [w0, w1, w2, w3] = header.words();
        let mut hash = Accumulator::default().block(r, w0, w1);
        if header.size() > 16 {
            hash = hash.block(r, w2, w3);
        }
        Self {
            r,
            hash,
            sum: Sum::ZERO,
        }
    }

    /// RFC 8439 §2.8: ends with the lengths.
    #[inline(always)]
    fn tag(self, pad: &Pad, header: &ShortHeader, len: u64) -> (u64, u64) {
        let [_, _, s_low, s_high] = &pad.one_time_key;
        self.hash
            .block(self.r, header.size(), len)
            .tag(s_low.load(), s_high.load())
    }

    /// Sixteen bytes, of which those outside the mask are not there.
    #[inline(always)]
    fn block<const SEAL: bool>(
        self,
        [k0, k1]: [&Word; 2],
        [i0, i1]: [&u64; 2],
        [o0, o1]: [&mut u64; 2],
        [m0, m1]: [u64; 2],
    ) -> Self {
        let (i0, i1) = (i0 & m0, i1 & m1);
        *o0 = (i0 ^ k0.load()) & m0;
        *o1 = (i1 ^ k1.load()) & m1;
        let limbs = if SEAL {
            Limbs::new(*o0, *o1)
        } else {
            Limbs::new(i0, i1)
        };
        Self {
            hash: self.hash.limbs(self.r, limbs),
            sum: if SEAL {
                self.sum.add_parts(limbs.sum())
            } else {
                self.sum
            },
            ..self
        }
    }
}

#[inline(always)]
fn multiplier(pad: &Pad) -> Multiplier {
    let [r_low, r_high, ..] = &pad.one_time_key;
    Multiplier::new(r_low.load(), r_high.load())
}

/// Writes the tag behind `len` bytes.
#[inline(always)]
fn put_tag(text: &mut Text, len: u64, low: u64, high: u64, sum: Sum) -> Sum {
    let (at, shift) = place(len);
    let tag = [
        low << shift,
        spilled(low, shift) | high << shift,
        spilled(high, shift),
    ];
    let [t0, t1, t2] = tag;
    if let Some(word) = text.get_mut(at) {
        *word = (*word & below(len)) | t0;
    }
    if let Some(word) = text.get_mut(at.wrapping_add(1)) {
        *word = t1;
    }
    if let Some(word) = text.get_mut(at.wrapping_add(2)) {
        *word = t2;
    }
    sum.add(t0).add(t1).add(t2)
}

/// Reads it.
#[inline(always)]
fn tag_at(text: &Text, len: u64) -> (u64, u64) {
    let (at, shift) = place(len);
    let word = |index: usize| text.get(index).copied().unwrap_or(0);
    let (w0, w1, w2) = (word(at), word(at.wrapping_add(1)), word(at.wrapping_add(2)));
    (joined(w0, w1, shift), joined(w1, w2, shift))
}

/// The word and bit at which the byte `len` stands.
#[inline(always)]
fn place(len: u64) -> (usize, u64) {
    ((len >> 3) as usize, (len & 7) << 3)
}

const LONGEST: u64 = PAD_BYTES as u64;
/// Poly1305's blocks in the longest text.
const BLOCKS: usize = PAD_BYTES / 16;

#[cfg(test)]
mod tests {
    use chacha20poly1305::aead::AeadInOut;
    use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

    use super::*;
    use crate::pad;
    use crate::scratch::TEXT_WORDS;

    const KEY: [u64; 4] = [0x1122_3344_5566_7788, 3, 0x99aa_bbcc_ddee_ff00, u64::MAX];
    const IV: [u64; 2] = [0x0102_0304_0506_0708, 0x090a_0b0c];
    const NUMBER: u64 = 0x2468_ace0_1357;

    fn pad(len: u64) -> Pad {
        let pad = Pad::empty();
        pad::fill(&pad, &KEY.map(Word::new), &IV.map(Word::new), NUMBER, len);
        pad
    }

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Something that does not repeat.
    fn text(seed: u64) -> Text {
        std::array::from_fn(|index| {
            (index as u64 ^ seed)
                .wrapping_add(1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    fn header(len: u64) -> ShortHeader {
        let cid_len = len % 21;
        let cid = [0x8877_6655_4433_2211, 0x1234_5678_9abc_def0, 0xa1b2_c3d4];
        let kept = |from: u64| match cid_len.saturating_sub(from) {
            0..8 => below(cid_len.saturating_sub(from)),
            _ => u64::MAX,
        };
        let cid = [cid[0] & kept(0), cid[1] & kept(8), cid[2] & kept(16)];
        ShortHeader::new(0x40, cid, cid_len, NUMBER, 1 + len / 7 % 4)
    }

    /// What the crate makes of it.
    fn expected(header: &ShortHeader, plain: &Text, len: usize) -> Vec<u8> {
        let cipher = ChaCha20Poly1305::new_from_slice(&bytes(&KEY)).unwrap();
        let mut nonce = bytes(&IV)[..12].to_vec();
        for (byte, number) in nonce[4..].iter_mut().zip(NUMBER.to_be_bytes()) {
            *byte ^= number;
        }
        let mut sealed = bytes(plain)[..len].to_vec();
        let data = bytes(&header.words())[..header.size() as usize].to_vec();
        let nonce = nonce.as_slice().try_into().unwrap();
        cipher.encrypt_in_place(nonce, &data, &mut sealed).unwrap();
        sealed
    }

    #[test]
    fn every_length_is_sealed_and_opened_as_the_crate_does() {
        let full = pad(LONGEST);
        for len in 0..=LONGEST {
            let (header, plain, mut sealed) = (header(len), text(len), text(!len));
            let sum = seal(&full, &header, &plain, len, &mut sealed);
            let expected = expected(&header, &plain, len as usize);
            assert_eq!(bytes(&sealed)[..expected.len()], expected, "{len}");
            let folded = expected.chunks(8).fold(Sum::ZERO, |sum, chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                sum.add(u64::from_le_bytes(word))
            });
            assert_eq!(sum.udp(), folded.udp(), "{len}");

            let mut opened = [0; TEXT_WORDS];
            assert!(open(&pad(len), &header, &sealed, len, &mut opened), "{len}");
            assert_eq!(
                bytes(&opened)[..len as usize],
                bytes(&plain)[..len as usize]
            );
        }
    }

    #[test]
    fn a_flipped_bit_is_refused() {
        let full = pad(LONGEST);
        for len in [0, 1, 15, 16, 17, 40, 1199] {
            let (header, plain, mut sealed) = (header(len), text(len), text(!len));
            seal(&full, &header, &plain, len, &mut sealed);
            let mut opened = text(0);
            for bit in 0..(len + 16) * 8 {
                let mut wrong = sealed;
                wrong[(bit / 64) as usize] ^= 1 << (bit % 64);
                assert!(
                    !open(&full, &header, &wrong, len, &mut opened),
                    "{len}, bit {bit}"
                );
            }
            let other = header.protect(1);
            assert!(!open(&full, &other, &sealed, len, &mut opened));
            assert!(!open(&full, &header, &sealed, len + 1, &mut opened));
            assert!(open(&full, &header, &sealed, len, &mut opened));
        }
    }

    #[test]
    fn what_is_too_long_is_neither_sealed_nor_opened() {
        let full = pad(LONGEST);
        let (mut sealed, mut opened) = (text(1), text(2));
        seal(&full, &header(0), &text(0), LONGEST + 1, &mut sealed);
        assert_eq!(sealed, text(1));
        seal(&full, &header(0), &text(0), LONGEST, &mut sealed);
        assert!(open(&full, &header(0), &sealed, LONGEST, &mut opened));
        assert!(!open(&full, &header(0), &sealed, LONGEST + 1, &mut opened));
    }
}
