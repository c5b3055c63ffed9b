//! Fills pads one block at a time (RFC 8439 §2.4, §2.6): in the kernel when there is none for a packet.
//!
//! Also the reference against which userspace's faster way is tested.

use crate::chacha20;
use crate::layout::{PAD_BYTES, Pad};
use crate::tables::Tables;
use crate::verdict::Reason;
use crate::word::Word;

/// Makes the pad of a packet number, for a payload of `len` bytes; what of the keystream lies behind stays.
#[inline(never)]
pub fn fill(pad: &Pad, key: &[Word; 4], iv: &[Word; 2], number: u64, len: u64) {
    pad.number.store(0);
    one_time_key(pad, key, iv, number);
    let (blocks, _) = pad.keystream.as_chunks::<8>();
    for turn in 0..BLOCKS {
        if (turn as u64) << 6 >= len {
            break;
        }
        let Some(block) = blocks.get(turn) else {
            break;
        };
        let (first, last) = chacha20::nonce(iv, number, (turn as u32).wrapping_add(1));
        chacha20::block(key, first, last, block);
    }
    pad.number.store(number.wrapping_add(1));
}

/// Puts the pad of a number, made elsewhere, in the place of another. Nobody may need that any more: a program that
/// uses it all the same finds out before it sends anything.
pub fn replace(
    pad: &Pad,
    number: u64,
    one_time_key: [u64; 4],
    keystream: impl Iterator<Item = u64>,
) {
    pad.number.store(0);
    for (place, value) in pad.one_time_key.iter().zip(one_time_key) {
        place.store(value);
    }
    for (place, value) in pad.keystream.iter().zip(keystream) {
        place.store(value);
    }
    pad.number.store(number.wrapping_add(1));
}

/// The pad that userspace has left for a packet number.
#[inline(always)]
pub fn ready<T: Tables>(tables: &T, slot: u64, number: u64) -> Option<&Pad> {
    let pad = tables.pad(slot, number)?;
    is_for(pad, number).ok().map(|()| pad)
}

/// Whether a pad still is, or is, that of a number.
///
/// # Errors
///
/// It is another's.
#[inline(always)]
pub fn is_for(pad: &Pad, number: u64) -> Result<(), Reason> {
    if pad.number.load() == number.wrapping_add(1) {
        Ok(())
    } else {
        Err(Reason::PadReplaced)
    }
}

/// RFC 8439 §2.6: half of block 0. The keystream's first block holds it for a moment.
#[inline(always)]
fn one_time_key(pad: &Pad, key: &[Word; 4], iv: &[Word; 2], number: u64) {
    let Some(block) = pad.keystream.first_chunk::<8>() else {
        return;
    };
    let (first, last) = chacha20::nonce(iv, number, 0);
    chacha20::block(key, first, last, block);
    let [r0, r1, s0, s1, ..] = block;
    let [k0, k1, k2, k3] = &pad.one_time_key;
    k0.store(r0.load() & 0x0fff_fffc_0fff_ffff);
    k1.store(r1.load() & 0x0fff_fffc_0fff_fffc);
    k2.store(s0.load());
    k3.store(s1.load());
}

impl Pad {
    /// For no number.
    pub const fn empty() -> Self {
        Self {
            number: Word::new(0),
            one_time_key: [const { Word::new(0) }; 4],
            spare: [const { Word::new(0) }; 7],
            keystream: [const { Word::new(0) }; PAD_BYTES / 8],
        }
    }
}

/// ChaCha20's blocks in a pad.
const BLOCKS: usize = PAD_BYTES / 64;

const _: () = assert!(PAD_BYTES.is_multiple_of(64));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aead;
    use crate::model::explore;
    use crate::scratch::TEXT_WORDS;
    use crate::short_header::ShortHeader;
    use core::cell::Cell;

    /// What a program makes of a pad that is replaced in the meantime.
    fn seal(pad: &Pad, number: u64) -> Option<[u64; 4]> {
        is_for(pad, number).ok()?;
        let header = ShortHeader::new(0x40, [1, 0, 0], 8, number, 1);
        let mut text = [0; TEXT_WORDS];
        aead::seal(pad, &header, &[7; TEXT_WORDS], 16, &mut text);
        is_for(pad, number).ok()?;
        text.first_chunk().copied()
    }

    fn put(pad: &Pad, number: u64) {
        let key = [number; 4].map(|word| word.wrapping_mul(0x0101_0101));
        // As much as is used here.
        replace(pad, number, key, [number, !number].into_iter());
    }

    #[test]
    fn whatever_the_order_a_pad_is_used_whole_or_the_packet_is_not_sent() {
        let pad = Pad::empty();
        put(&pad, 5);
        let expected = seal(&pad, 5).expect("it is there");
        let (used, refused) = (Cell::new(0), Cell::new(0));
        let program = || match seal(&pad, 5) {
            Some(text) => {
                assert_eq!(text, expected);
                used.set(used.get() + 1);
            }
            None => refused.set(refused.get() + 1),
        };
        let userspace = || put(&pad, 5 + crate::layout::PADS);
        let [first, second, ..] = &pad.keystream;
        let words: Vec<&Word> = [&pad.number, first, second]
            .into_iter()
            .chain(&pad.one_time_key)
            .collect();
        explore(&words, &[&program, &program, &userspace], &|| ());
        assert!(used.get() > 0 && refused.get() > 0);
    }
}
