//! Where one CPU opens and seals packets: part of a map's value, eight-byte aligned throughout. No RFC.
//!
//! The kernel loads and stores whole words only at aligned places, so both texts start at a word, and the
//! headers of the packet under way end where its ciphertext begins: the whole frame is one range of bytes.

use crate::layout::{PAD_BYTES, Pad};

/// Bytes of the tag (RFC 9001 §5.3).
pub const TAG: usize = 16;
/// Words of a text: the longest payload, its tag, and room for reading and writing past an end.
pub const TEXT_WORDS: usize = PAD_BYTES / 8 + 8;
/// Words in front of the ciphertext: Ethernet, IPv6, UDP and short header have 14 + 40 + 8 + 25 bytes.
pub const HEAD_WORDS: usize = 12;

/// A payload, as little-endian words. What stands behind its end means nothing.
pub type Text = [u64; TEXT_WORDS];

/// A frame on its way out, or the ciphertext of one that came in.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Frame {
    /// Its headers, at the end.
    pub head: [u64; HEAD_WORDS],
    /// Its ciphertext and tag.
    pub text: Text,
}

impl Frame {
    /// All zero.
    pub const ZERO: Self = Self {
        head: [0; HEAD_WORDS],
        text: [0; TEXT_WORDS],
    };
}

/// What one CPU works on.
#[derive(Debug)]
#[repr(C)]
pub struct Scratch {
    /// The plaintext of the publisher's packet.
    pub plain: Text,
    /// The packet under way.
    pub frame: Frame,
    /// For a packet that has none.
    pub pad: Pad,
}

const _: () = assert!(size_of::<Frame>() == (HEAD_WORDS + TEXT_WORDS) * 8);
