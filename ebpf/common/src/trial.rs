//! What the test program of the cryptography works on: the vectors of the tests go through it, in BPF. No RFC.

use crate::aead;
use crate::chacha20::header_protection_mask;
use crate::layout::Pad;
use crate::pad;
use crate::scratch::Scratch;
use crate::short_header::ShortHeader;
use crate::word::Word;

/// One value of an array. The test writes all but the results; the test program does one step.
#[derive(Debug)]
#[repr(C)]
pub struct Trial {
    /// Bytes of payload.
    pub len: u64,
    /// The header's first byte.
    pub first: u64,
    /// The connection ID.
    pub cid: [u64; 3],
    /// Its length.
    pub cid_len: u64,
    /// The packet number.
    pub number: u64,
    /// How many bytes of it are sent.
    pub number_len: u64,
    /// What came out of the step: the checksum, the mask, or whether the packet is authentic.
    pub result: u64,
    /// The AEAD key.
    pub key: [Word; 4],
    /// The IV.
    pub iv: [Word; 2],
    /// The header protection key.
    pub hp: [Word; 4],
    /// The texts.
    pub scratch: Scratch,
    /// A pad that was made ahead of time.
    pub pad: Pad,
}

impl Trial {
    /// Its size in words, as it stands in a map.
    pub const WORDS: usize = size_of::<Self>() / 8;

    /// Seals with the pad that is there, if it is the number's, or with one made on the spot.
    #[inline(always)]
    pub fn seal(&mut self) {
        let header = self.header();
        let Scratch { plain, frame, pad } = &mut self.scratch;
        let sum = if self.pad.number.load() == self.number.wrapping_add(1) {
            aead::seal(&self.pad, &header, plain, self.len, &mut frame.text)
        } else {
            pad::fill(pad, &self.key, &self.iv, self.number, self.len);
            aead::seal(pad, &header, plain, self.len, &mut frame.text)
        };
        self.result = u64::from(sum.udp());
    }

    /// Opens likewise.
    #[inline(always)]
    pub fn open(&mut self) {
        let header = self.header();
        let Scratch { plain, frame, pad } = &mut self.scratch;
        let is_authentic = if self.pad.number.load() == self.number.wrapping_add(1) {
            aead::open(&self.pad, &header, &frame.text, self.len, plain)
        } else {
            pad::fill(pad, &self.key, &self.iv, self.number, self.len);
            aead::open(pad, &header, &frame.text, self.len, plain)
        };
        self.result = u64::from(is_authentic);
    }

    /// Puts the header, protected, before what was sealed.
    #[inline(always)]
    pub fn protect(&mut self) {
        let header = self.header();
        let (low, high) = header.sample(&self.scratch.frame.text);
        let mask = header_protection_mask(&self.hp, low, high);
        header.protect(mask).place(&mut self.scratch.frame.head);
        self.result = mask & 0xff_ffff_ffff;
    }

    #[inline(always)]
    fn header(&self) -> ShortHeader {
        let first = self.first as u8;
        ShortHeader::new(first, self.cid, self.cid_len, self.number, self.number_len)
    }
}
