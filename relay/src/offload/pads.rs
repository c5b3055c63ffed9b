//! Key pads: what ChaCha20 gives for packet numbers to come, so that the kernel need not compute it.
//! RFC 8439 §2.4, §2.5, §2.6, §2.8; RFC 9001 §5.3.
//!
//! For a subscriber's slot these are the numbers that are sent next, for a publisher's those that come
//! next. A pad's place is used again when the fate of its number is known.

use std::sync::Arc;

use quic_lite::protection::key_stream::{BLOCK, write_blocks};
use relay_ebpf_loader::Memory;
use relay_ebpf_loader::layout::{PAD_BYTES, PADS, Pad};
use relay_ebpf_loader::pad;
use zeroize::Zeroizing;

/// Fills the pads of one slot.
#[derive(Debug)]
pub(super) struct Pads {
    memory: Arc<Memory>,
    slot: u32,
    key: Zeroizing<[u8; 32]>,
    iv: [u8; 12],
    /// Pads for all numbers below this one were made, or were not worth it.
    next: u64,
}

/// Which pads can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Numbers below are in use, or were used.
    pub(super) first: u64,
    /// The fate of all numbers below is known.
    pub(super) resolved: u64,
}

impl Pads {
    /// No pads; those of former keys are made unusable. Nobody may be inside the slot.
    pub(super) fn new(
        memory: Arc<Memory>,
        slot: u32,
        key: Zeroizing<[u8; 32]>,
        iv: [u8; 12],
    ) -> Self {
        for number in 0..PADS {
            memory.pad(slot, number).number.store(0);
        }
        Self {
            memory,
            slot,
            key,
            iv,
            next: 0,
        }
    }

    /// Makes as many pads as there is room for, at most `budget`; how many that were.
    pub(super) fn fill(&mut self, span: Span, budget: usize, stream: &mut Stream) -> usize {
        self.next = self.next.max(span.first);
        let end = span.resolved.saturating_add(PADS);
        let end = end.min(self.next.saturating_add(budget as u64));
        let made = end.saturating_sub(self.next);
        for number in self.next..end {
            let pad = self.memory.pad(self.slot, number);
            stream.make(pad, &self.key, &self.iv, number);
        }
        self.next = self.next.max(end);
        made as usize
    }
}

/// Where key streams are made. It is wiped once, when it is dropped, and not for each pad: that would cost as much
/// as half of the cipher.
#[derive(Debug)]
pub(super) struct Stream(Zeroizing<[u8; BLOCK + PAD_BYTES]>);

impl Stream {
    /// Room for one pad.
    pub(super) fn new() -> Self {
        Self(Zeroizing::new([0; BLOCK + PAD_BYTES]))
    }

    /// Computes the pad of a number.
    fn make(&mut self, pad: &Pad, key: &[u8; 32], iv: &[u8; 12], number: u64) {
        write_blocks(key, &nonce(iv, number), 0, &mut *self.0);
        let (one_time_key, keystream) = self.0.split_at(BLOCK);
        let mut r = [word(one_time_key, 0), word(one_time_key, 1)];
        for (half, mask) in r.iter_mut().zip(CLAMP) {
            *half &= mask;
        }
        let [r0, r1] = r;
        let one_time_key = [r0, r1, word(one_time_key, 2), word(one_time_key, 3)];
        let keystream = (0..PAD_BYTES / 8).map(|at| word(keystream, at));
        pad::replace(pad, number, one_time_key, keystream);
    }
}

/// RFC 9001 §5.3: the packet number is XORed into the end of the initialisation vector.
fn nonce(iv: &[u8; 12], number: u64) -> [u8; 12] {
    let mut nonce = *iv;
    for (byte, number) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
        *byte ^= number;
    }
    nonce
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[8 * at..8 * at + 8]);
    u64::from_le_bytes(word)
}

/// RFC 8439 §2.5: bits of r that are zero.
const CLAMP: [u64; 2] = [0x0fff_fffc_0fff_ffff, 0x0fff_fffc_0fff_fffc];

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20::ChaCha20;
    use chacha20::cipher::{KeyIvInit, StreamCipher};
    use relay_ebpf_loader::Sizes;

    fn pads() -> (Arc<Memory>, Pads) {
        let sizes = Sizes {
            slots: 2,
            tracks: 1,
        };
        let memory = Arc::new(Memory::heap(sizes).expect("memory"));
        // RFC 8439 §2.6.2, with a packet number that makes its nonce.
        let key = core::array::from_fn(|at| 0x80 + at as u8);
        let iv = [0; 12];
        let pads = Pads::new(memory.clone(), 1, Zeroizing::new(key), iv);
        (memory, pads)
    }

    #[test]
    fn the_key_of_rfc_8439_2_6_2() {
        let (memory, mut pads) = pads();
        let span = Span {
            first: 0x0001_0203_0405_0607,
            resolved: 0x0001_0203_0405_0607,
        };
        assert_eq!(pads.fill(span, 1, &mut Stream::new()), 1);
        let pad = memory.pad(1, span.first);
        assert_eq!(pad.number.load(), span.first + 1);
        // Before clamping: 8ad5a08b905f81cc 815040274ab29471 a833b637e3fd0da5 08dbb8e2fdd1a646.
        assert_eq!(pad.one_time_key[0].load(), 0x0c81_5f90_0ba0_d58a);
        assert_eq!(pad.one_time_key[1].load(), 0x0194_b248_0740_5080 & CLAMP[1]);
        assert_eq!(pad.one_time_key[2].load().to_le_bytes()[..2], [0xa8, 0x33]);
        assert_eq!(pad.one_time_key[3].load().to_le_bytes()[6..], [0xa6, 0x46]);
    }

    #[test]
    fn the_keystream_is_the_ciphers_from_block_one() {
        let (memory, mut pads) = pads();
        let span = Span {
            first: 9,
            resolved: 9,
        };
        pads.fill(span, 3, &mut Stream::new());
        let mut stream = [0; BLOCK + PAD_BYTES];
        let nonce = nonce(&pads.iv, 11);
        ChaCha20::new((&*pads.key).into(), &nonce.into()).apply_keystream(&mut stream);
        let pad = memory.pad(1, 11);
        for (at, place) in pad.keystream.iter().enumerate() {
            assert_eq!(place.load(), word(&stream[BLOCK..], at));
        }
    }

    #[test]
    fn places_are_used_again_only_when_their_numbers_are_resolved() {
        let (memory, mut pads) = pads();
        let mut stream = Stream::new();
        let mut fill =
            |first, resolved, budget| pads.fill(Span { first, resolved }, budget, &mut stream);
        assert_eq!(fill(10, 10, 1000), PADS as usize);
        assert_eq!(fill(20, 10, 1000), 0);
        assert_eq!(fill(20, 15, 1000), 5);
        assert_eq!(fill(20, 20, 2), 2);
        assert_eq!(memory.pad(1, 10).number.load(), 10 + PADS + 1);
        assert_eq!(memory.pad(1, 20).number.load(), 21);
        // Numbers that went by without a pad are left out.
        assert_eq!(fill(1000, 1000, 1000), PADS as usize);
        assert_eq!(memory.pad(1, 1000).number.load(), 1001);
    }
}
