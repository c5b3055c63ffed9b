//! The Internet checksum (RFC 1071, RFC 768, RFC 8200 §8.1) over little-endian words of memory.
//!
//! RFC 1071 §2: the sum does not mind in which order the bytes of its words are read, as long as the result
//! is written in the same order. So words are added as they are loaded, and nothing is swapped.

/// A sum under way, of bytes as they stand in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Sum(u64);

impl Sum {
    /// Of nothing.
    pub const ZERO: Self = Self(0);

    /// With eight more bytes, loaded little-endian. There is room for 2^30 of them.
    #[inline(always)]
    #[must_use]
    pub const fn add(self, word: u64) -> Self {
        Self(
            self.0
                .wrapping_add(word & 0xffff_ffff)
                .wrapping_add(word >> 32),
        )
    }

    /// With what is a sum of 32-bit parts already.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn add_parts(self, parts: u64) -> Self {
        Self(self.0.wrapping_add(parts))
    }

    /// With a 16-bit number in network order, such as a port or a length.
    #[inline(always)]
    #[must_use]
    pub const fn add_number(self, number: u16) -> Self {
        Self(self.0.wrapping_add(number.to_be() as u64))
    }

    /// With another sum.
    #[inline(always)]
    #[must_use]
    pub const fn add_sum(self, other: Self) -> Self {
        self.add(other.0)
    }

    /// The same bytes, standing behind an odd number of others (RFC 1071 §2 (B)).
    #[inline(always)]
    #[must_use]
    pub const fn behind_odd(self) -> Self {
        Self(self.folded().swap_bytes() as u64)
    }

    /// In sixteen bits, not inverted: what a device that finishes the sum itself wants of the pseudo-header.
    #[inline(always)]
    pub const fn folded(self) -> u16 {
        let sum = (self.0 & 0xffff_ffff).wrapping_add(self.0 >> 32);
        let sum = (sum & 0xffff)
            .wrapping_add((sum >> 16) & 0xffff)
            .wrapping_add(sum >> 32);
        let sum = (sum & 0xffff).wrapping_add(sum >> 16);
        (sum & 0xffff).wrapping_add(sum >> 16) as u16
    }

    /// The UDP checksum, to be stored as a little-endian u16. RFC 768: never zero, which means none.
    #[inline(always)]
    pub const fn udp(self) -> u16 {
        let sum = !self.folded();
        if sum == 0 { 0xffff } else { sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 §1, byte by byte, in network order; odd lengths are padded with zero.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&byte| u32::from(byte));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn sum(bytes: &[u8]) -> Sum {
        bytes.chunks(8).fold(Sum::ZERO, |sum, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            sum.add(u64::from_le_bytes(word))
        })
    }

    #[test]
    fn rfc1071_3_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes).folded().to_le_bytes(), [0xdd, 0xf2]);
    }

    #[test]
    fn parts_at_odd_places_and_numbers_add_up() {
        let bytes: Vec<u8> = (0..1500_u32)
            .map(|index| (index * index % 251) as u8)
            .collect();
        let cuts = |len: usize| (0..=len.min(40)).map(move |cut| (len, cut));
        for (len, cut) in (0..64).chain([1499, 1500]).flat_map(cuts) {
            let (head, tail) = bytes[..len].split_at(cut);
            let tail = match cut % 2 {
                0 => sum(tail),
                _ => sum(tail).behind_odd(),
            };
            let all = sum(head).add_sum(tail).add_number(4433);
            let expected = plain(&[&[0x11, 0x51], &bytes[..len]].concat());
            assert_eq!(
                all.udp().to_le_bytes(),
                expected.to_be_bytes(),
                "{len} {cut}"
            );
        }
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        assert_eq!(sum(&[0xff; 64]).udp(), 0xffff);
        assert_eq!(Sum::ZERO.udp(), 0xffff);
        assert_eq!(
            sum(&[0xff; 1500]).add_sum(sum(&[0xff; 1500])).folded(),
            0xffff
        );
    }
}
