//! Packet numbers (RFC 9000 §12.3, §17.1): up to 2^62-1, sent as their last 1 to 4 bytes.
//! Promise: what [`PacketNumber::encode_len`] chooses, a peer that is not too far behind decodes to the same number.

use super::varint;
use super::writer::{Full, Writer};
use core::fmt;

/// The number of a packet within its packet number space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketNumber(u64);

impl PacketNumber {
    /// The first number of each space.
    pub const ZERO: Self = Self(0);
    /// The last number of each space.
    pub const MAX: Self = Self(varint::MAX);

    /// The packet number `value`; [`Self::MAX`] when it is larger.
    pub const fn new(value: u64) -> Self {
        if value > varint::MAX {
            Self::MAX
        } else {
            Self(value)
        }
    }

    /// The full number.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The number after this one; [`Self::MAX`] has none and stays.
    pub const fn next(self) -> Self {
        Self::new(self.0.saturating_add(1))
    }

    /// How many bytes to send, given the largest number the peer has acknowledged (RFC 9000 A.2).
    pub fn encode_len(self, largest_acked: Option<Self>) -> usize {
        let unacked = match largest_acked {
            Some(largest) => self.0.saturating_sub(largest.0),
            None => self.next().0,
        };
        // RFC 9000 §17.1: the bytes cover more than twice the distance to the largest acknowledged.
        match unacked {
            0..0x80 => 1,
            0x80..0x8000 => 2,
            0x8000..0x80_0000 => 3,
            _ => 4,
        }
    }

    /// Writes the last `len` (1 to 4) bytes.
    pub fn encode(self, len: usize, out: &mut Writer<'_>) -> Result<(), Full> {
        let bytes = self.0.to_be_bytes();
        let (_, low) = bytes.split_last_chunk::<4>().ok_or(Full)?;
        let skip = 4_usize.checked_sub(len).ok_or(Full)?;
        out.put(low.get(skip..).ok_or(Full)?)
    }

    /// The full number of a packet that carried `truncated` in `len` bytes, when `largest` is the
    /// largest number processed so far in this space (RFC 9000 A.3).
    pub fn decode(truncated: u32, len: usize, largest: Option<Self>) -> Self {
        let expected = largest.map_or(0, |largest| largest.next().0);
        let bits = u32::try_from(len.min(4)).unwrap_or(4).saturating_mul(8);
        let window = 1_u64 << bits;
        let half = window >> 1;
        let candidate = (expected & !window.saturating_sub(1)) | u64::from(truncated);
        // Of the numbers with these last bytes, the one closest to `expected`.
        if candidate.saturating_add(half) <= expected
            && candidate.saturating_add(window) <= varint::MAX
        {
            Self(candidate.saturating_add(window))
        } else if candidate > expected.saturating_add(half) && candidate >= window {
            Self(candidate.saturating_sub(window))
        } else {
            Self::new(candidate)
        }
    }
}

impl fmt::Display for PacketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9000_a2_examples_choose_the_length() {
        let acked = Some(PacketNumber(0xabe8b3));
        assert_eq!(PacketNumber(0xac5c02).encode_len(acked), 2);
        assert_eq!(PacketNumber(0xace8fe).encode_len(acked), 3);
    }

    #[test]
    fn rfc9000_a3_example_decodes() {
        let largest = Some(PacketNumber(0xa82f_30ea));
        assert_eq!(
            PacketNumber::decode(0x9b32, 2, largest),
            PacketNumber(0xa82f_9b32)
        );
    }

    /// RFC 9000 A.3: half a window below what is expected is too far, half a window above is not.
    #[test]
    fn the_closest_number_is_meant_and_of_two_the_higher() {
        let decode = |byte, largest| PacketNumber::decode(byte, 1, Some(PacketNumber(largest))).0;
        assert_eq!(decode(0xff, 0x100), 0xff);
        assert_eq!(decode(0x80, 0xff), 0x180);
        assert_eq!(decode(0x81, 0xff), 0x81);
        assert_eq!(decode(0x00, 0x17f), 0x200);
        assert_eq!(decode(0x00, 0x17e), 0x100);
        assert_eq!(decode(0xff, 3), 0xff, "there is no lower one");
        assert_eq!(decode(0, varint::MAX), varint::MAX - 0xff, "nor a higher");
    }

    #[test]
    fn first_packet_needs_no_history() {
        assert_eq!(PacketNumber::ZERO.encode_len(None), 1);
        assert_eq!(PacketNumber::decode(0, 1, None), PacketNumber::ZERO);
        assert_eq!(PacketNumber::decode(2, 4, None), PacketNumber(2));
    }

    #[test]
    fn chosen_length_always_decodes_at_a_peer_at_or_ahead_of_the_acked_number() {
        let bases = [
            0,
            1,
            0x7f,
            0xff,
            0x100,
            0xffff,
            0xabe8b3,
            u64::from(u32::MAX),
            (1 << 62) - 0x0200_0000,
        ];
        let distances = [
            1,
            2,
            0x7e,
            0x7f,
            0x80,
            0x7fff,
            0x8000,
            0x7f_ffff,
            0x80_0000,
            0x00ff_ffff,
        ];
        for (base, distance) in bases
            .into_iter()
            .flat_map(|base| distances.map(|distance| (base, distance)))
        {
            let (acked, sent) = (PacketNumber(base), PacketNumber(base + distance));
            let len = sent.encode_len(Some(acked));
            let mask = (1_u64 << (len * 8)) - 1;
            let truncated = u32::try_from(sent.value() & mask).unwrap();
            for ahead in [0, distance / 2, distance - 1] {
                let largest = Some(PacketNumber(base + ahead));
                assert_eq!(PacketNumber::decode(truncated, len, largest), sent);
            }
        }
    }

    #[test]
    fn decoding_never_leaves_the_number_space() {
        let largest = [None, Some(PacketNumber::ZERO), Some(PacketNumber::MAX)];
        for (len, largest) in (0..=5).flat_map(|len| largest.map(|largest| (len, largest))) {
            for truncated in [0, 1, 0xff, u32::MAX] {
                assert!(PacketNumber::decode(truncated, len, largest) <= PacketNumber::MAX);
            }
        }
    }

    #[test]
    fn encoding_writes_the_last_bytes() {
        let mut buffer = [0; 8];
        let mut out = Writer::new(&mut buffer);
        PacketNumber(0x0102_0304_0506).encode(3, &mut out).unwrap();
        assert_eq!(out.written(), [4, 5, 6]);
        assert_eq!(PacketNumber(1).encode(5, &mut out), Err(Full));
    }

    #[test]
    fn the_last_number_has_no_next() {
        assert_eq!(PacketNumber::MAX.next(), PacketNumber::MAX);
        assert_eq!(PacketNumber::new(u64::MAX), PacketNumber::MAX);
    }
}
