//! ⑤ ChaCha20's key stream (RFC 8439 §2.4), several blocks at a time.
//!
//! A packet takes a block for the key of its tag (RFC 8439 §2.6), some for its payload, and a part of the last one.
//! `chacha20` needs five times as long for one block as for two where the processor has AVX-512. So this asks it for two
//! or more, and gives them to the AEAD as the AEAD wants them.
//!
//! Promise: the same stream as `chacha20::ChaCha20`, byte for byte; the key of the tag is wiped.

use chacha20::ChaChaCore;
use chacha20::cipher::array::Array;
use chacha20::cipher::consts::{U12, U32, U64};
use chacha20::cipher::inout::InOutBuf;
use chacha20::cipher::{
    Iv, IvSizeUser, Key, KeyIvInit, KeySizeUser, OverflowError, SeekNum, StreamCipher,
    StreamCipherCore, StreamCipherError, StreamCipherSeek,
};
use zeroize::Zeroize;

/// ChaCha20 with a block counter of 32 bits (RFC 8439 §2.3).
type Core = ChaChaCore<chacha20::R20, chacha20::variants::Ietf>;

/// Writes blocks of the key stream to all of `stream`, a multiple of [`BLOCK`] bytes, from the block `counter` on, for
/// whoever needs no AEAD. After the last counter comes zero. Two blocks cost less than one.
pub fn write_blocks(key: &[u8; 32], nonce: &[u8; 12], counter: u32, stream: &mut [u8]) {
    let mut core = Core::new(key.into(), nonce.into());
    core.set_block_pos(counter);
    let (blocks, _) = Array::slice_as_chunks_mut(stream);
    core.write_keystream_blocks(blocks);
}

/// The key stream of one nonce.
pub(super) struct KeyStream {
    /// Stands behind the blocks that were made.
    core: Core,
    made: [u8; MOST * BLOCK],
    /// Of the bytes made, those before are taken.
    taken: usize,
    /// And so many there are.
    end: usize,
}

impl KeyStream {
    /// Makes the blocks that come next, for so many bytes.
    fn make(&mut self, wanted: usize) {
        let count = wanted.div_ceil(BLOCK).clamp(FEWEST, MOST);
        (self.taken, self.end) = (0, count.saturating_mul(BLOCK));
        let made = self.made.get_mut(..self.end).unwrap_or_default();
        let (blocks, _) = Array::slice_as_chunks_mut(made);
        self.core.write_keystream_blocks(blocks);
    }

    /// Bytes that are made and not taken.
    const fn left(&self) -> usize {
        self.end.saturating_sub(self.taken)
    }

    /// The counter of the first block of those made.
    fn first(&self) -> u32 {
        let blocks = (self.end / BLOCK) as u32;
        self.core.get_block_pos().wrapping_sub(blocks)
    }
}

impl StreamCipher for KeyStream {
    fn check_remaining(&self, data_len: usize) -> Result<(), StreamCipherError> {
        let blocks = data_len.saturating_sub(self.left()).div_ceil(BLOCK);
        let needed = blocks.saturating_add(FEWEST);
        let left = self.core.remaining_blocks();
        match left.is_none_or(|left| needed <= left) {
            true => Ok(()),
            false => Err(StreamCipherError),
        }
    }

    fn unchecked_apply_keystream_inout(&mut self, mut data: InOutBuf<'_, '_, u8>) {
        while !data.is_empty() {
            if self.left() == 0 {
                self.make(data.len());
            }
            let len = self.left().min(data.len());
            let (head, rest) = data.split_at(len);
            let from = self.taken;
            self.taken = from.saturating_add(len);
            xor(head, self.made.get(from..self.taken).unwrap_or(&self.made));
            data = rest;
        }
    }

    fn unchecked_write_keystream(&mut self, buf: &mut [u8]) {
        buf.fill(0);
        self.unchecked_apply_keystream(buf);
    }
}

impl StreamCipherSeek for KeyStream {
    fn try_current_pos<T: SeekNum>(&self) -> Result<T, OverflowError> {
        let begun = self.taken.div_ceil(BLOCK) as u32;
        let byte = match self.taken % BLOCK {
            0 => BLOCK,
            byte => byte,
        };
        T::from_block_byte(self.first().wrapping_add(begun), byte as u8, BLOCK as u8)
    }

    fn try_seek<T: SeekNum>(&mut self, pos: T) -> Result<(), StreamCipherError> {
        let (block, byte) = pos.into_block_byte::<u32>(BLOCK as u8)?;
        let ahead = block.wrapping_sub(self.first()) as usize;
        let at = ahead.saturating_mul(BLOCK);
        if at >= self.end {
            self.core.set_block_pos(block);
            self.make(BLOCK);
            self.taken = byte.into();
        } else {
            self.taken = at.saturating_add(byte.into());
        }
        Ok(())
    }
}

impl KeySizeUser for KeyStream {
    type KeySize = U32;
}

impl IvSizeUser for KeyStream {
    type IvSize = U12;
}

impl KeyIvInit for KeyStream {
    fn new(key: &Key<Self>, iv: &Iv<Self>) -> Self {
        Self {
            core: Core::new(key, iv),
            made: [0; MOST * BLOCK],
            taken: 0,
            end: 0,
        }
    }
}

impl Drop for KeyStream {
    fn drop(&mut self) {
        self.made[..TAG_KEY].zeroize();
    }
}

/// Block by block, since a processor takes a whole block at once; and what is left byte by byte.
fn xor(data: InOutBuf<'_, '_, u8>, stream: &[u8]) {
    let (blocks, mut tail) = data.into_chunks::<U64>();
    let (stream, last) = Array::slice_as_chunks(stream);
    for (mut block, stream) in blocks.into_iter().zip(stream) {
        block.xor_in2out(stream);
    }
    tail.xor_in2out(last);
}

/// Bytes of a block.
pub const BLOCK: usize = 64;
/// Blocks made at a time: fewer cost more, and more are no faster.
const FEWEST: usize = 2;
const MOST: usize = 16;
/// Bytes of the key of a tag (RFC 8439 §2.6), the first of the stream.
const TAG_KEY: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use chacha20::ChaCha20;

    fn streams() -> (KeyStream, ChaCha20) {
        let (key, iv) = ([7; 32].into(), [9; 12].into());
        (KeyStream::new(&key, &iv), ChaCha20::new(&key, &iv))
    }

    #[test]
    fn in_pieces_of_any_length_it_is_the_stream_of_chacha20() {
        let (mut ours, mut theirs) = streams();
        let lengths = (0..200).chain([1023, 1024, 1025, 1200, 1500, 4096, 1, 63, 64, 65, 128]);
        for len in lengths {
            let (mut a, mut b) = (vec![0x5a; len], vec![0x5a; len]);
            ours.apply_keystream(&mut a);
            theirs.apply_keystream(&mut b);
            assert_eq!(a, b, "{len}");
            assert_eq!(ours.current_pos::<u64>(), theirs.current_pos::<u64>());
        }
    }

    #[test]
    fn from_any_place_on_it_is_the_stream_of_chacha20() {
        let (mut ours, mut theirs) = streams();
        let places = [
            64,
            0,
            100,
            127,
            128,
            90,
            5000,
            4999,
            6500,
            64,
            (1 << 38) - 4096,
        ];
        for place in places {
            ours.seek(place);
            theirs.seek(place);
            assert_eq!(ours.current_pos::<u64>(), place);
            let (mut a, mut b) = ([1; 77], [0; 77]);
            ours.write_keystream(&mut a);
            theirs.write_keystream(&mut b);
            assert_eq!(a, b, "{place}");
        }
    }

    #[test]
    fn blocks_from_any_counter_are_those_of_chacha20() {
        let (_, mut theirs) = streams();
        for counter in [0, 1, 77] {
            let (mut a, mut b) = ([1; 24 * BLOCK], [0; 24 * BLOCK]);
            write_blocks(&[7; 32], &[9; 12], counter, &mut a);
            theirs.seek(u64::from(counter) * BLOCK as u64);
            theirs.write_keystream(&mut b);
            assert_eq!(a, b, "{counter}");
        }
    }

    #[test]
    fn it_refuses_to_begin_again() {
        let (mut ours, _) = streams();
        ours.seek((1_u64 << 38) - 1024);
        assert!(ours.try_apply_keystream(&mut [0; 1024]).is_err());
        assert!(ours.try_apply_keystream(&mut [0; 64]).is_ok());
    }
}
