//! Poly1305 (RFC 8439 §2.5) with 64-bit multiplications only, sixteen of them a block.
//!
//! The accumulator is four limbs in base 2^32, the last one longer. A clamped r has four limbs below 2^28,
//! of which the upper three are multiples of four, so that 2^130 = 5 turns into the factor 5/4 (RFC 8439
//! §2.5: that is what clamping is for). Bounds, limbs in units of 2^32, limbs of r in units of 2^28 and
//! sums in units of 2^60, all below 16:
//!
//! | | before | with the block | sum |
//! |---|---|---|---|
//! | 0 | 2.12 | 3.12 | 3.12 + 5/4 (2 + 3 + 5) = 15.62 |
//! | 1 | 1 | 2 | 3.12 + 2 + 5/4 (3 + 5) = 15.12 |
//! | 2 | 2 | 3 | 3.12 + 2 + 3 + 5/4 · 5 = 14.37 |
//! | 3 | 4 | 5 | 3.12 + 2 + 3 + 5 + 1 = 14.12 |

use crate::word::low_half;

/// r as it is multiplied with: clamped, in limbs.
#[derive(Clone, Copy, Debug)]
pub struct Multiplier {
    r0: u64,
    r1: u64,
    r2: u64,
    r3: u64,
    /// 5/4 of r1, r2, r3.
    s1: u64,
    s2: u64,
    s3: u64,
    /// What the bit above a block's sixteen bytes adds to the highest sum.
    t3: u64,
}

impl Multiplier {
    /// From the one-time key's first half, clamped or not.
    #[inline(always)]
    pub fn new(low: u64, high: u64) -> Self {
        // RFC 8439 §2.5: the clamp.
        let low = low & 0x0fff_fffc_0fff_ffff;
        let high = high & 0x0fff_fffc_0fff_fffc;
        let (r0, r1) = (low & LIMB, low >> 32);
        let (r2, r3) = (high & LIMB, high >> 32);
        let (s1, s2, s3) = (five_quarters(r1), five_quarters(r2), five_quarters(r3));
        let t3 = s3.wrapping_add(r0 << 32);
        Self {
            r0,
            r1,
            r2,
            r3,
            s1,
            s2,
            s3,
            t3,
        }
    }
}

/// A block: four times 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct Limbs(u64, u64, u64, u64);

impl Limbs {
    /// From two little-endian words.
    #[inline(always)]
    pub fn new(low: u64, high: u64) -> Self {
        Self(low_half(low), low >> 32, low_half(high), high >> 32)
    }

    /// Their sum.
    #[inline(always)]
    pub fn sum(self) -> u64 {
        self.0
            .wrapping_add(self.1)
            .wrapping_add(self.2)
            .wrapping_add(self.3)
    }
}

/// The accumulator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accumulator {
    h0: u64,
    h1: u64,
    h2: u64,
    h3: u64,
}

impl Accumulator {
    /// RFC 8439 §2.5: adds a block of sixteen bytes (two little-endian words) and the bit above, multiplies.
    #[inline(always)]
    #[must_use]
    pub fn block(self, r: &Multiplier, low: u64, high: u64) -> Self {
        self.step::<true>(r, Limbs::new(low, high))
    }

    /// The same for a block that has been taken apart already.
    #[inline(always)]
    #[must_use]
    pub fn limbs(self, r: &Multiplier, limbs: Limbs) -> Self {
        self.step::<true>(r, limbs)
    }

    /// With the bit above, or without: a last block that is not whole has its own.
    #[inline(always)]
    fn step<const WHOLE: bool>(self, r: &Multiplier, m: Limbs) -> Self {
        let (t1, t2, t3) = if WHOLE { (r.s1, r.s2, r.t3) } else { (0, 0, 0) };
        let Limbs(m0, m1, m2, m3) = m;
        let h0 = self.h0.wrapping_add(m0);
        let h1 = self.h1.wrapping_add(m1);
        let h2 = self.h2.wrapping_add(m2);
        let h3 = self.h3.wrapping_add(m3);
        let d0 = sum([h0, h1, h2, h3], [r.r0, r.s3, r.s2, r.s1]);
        let d1 = sum([h0, h1, h2, h3], [r.r1, r.r0, r.s3, r.s2]).wrapping_add(t1);
        let d2 = sum([h0, h1, h2, h3], [r.r2, r.r1, r.r0, r.s3]).wrapping_add(t2);
        let d3 = sum([h0, h1, h2, h3], [r.r3, r.r2, r.r1, r.r0]).wrapping_add(t3);
        Self::carried(d0, d1, d2, d3)
    }

    /// Two chains of two carries each: they need not wait for each other.
    #[inline(always)]
    fn carried(d0: u64, d1: u64, d2: u64, d3: u64) -> Self {
        let d1 = d1.wrapping_add(d0 >> 32);
        let d3 = d3.wrapping_add(d2 >> 32);
        Self {
            h0: low_half(d0).wrapping_add((d3 >> 34).wrapping_mul(5)),
            h1: low_half(d1),
            h2: low_half(d2).wrapping_add(d1 >> 32),
            h3: d3 & TOP_LIMB,
        }
    }

    /// RFC 8439 §2.5: the rest modulo 2^130 - 5, plus s; as two little-endian words. Takes the same time for all.
    #[inline(always)]
    pub fn tag(self, s_low: u64, s_high: u64) -> (u64, u64) {
        let h = self.chain(0);
        let above = h.h3 >> 34;
        let h = Self {
            h3: h.h3 & TOP_LIMB,
            ..h
        }
        .chain(above.wrapping_mul(5));
        // h + 5 reaches 2^130 if and only if h is not the rest yet.
        let g = h.chain(5);
        let take = (g.h3 >> 34).wrapping_neg();
        let select = |h: u64, g: u64| (h & !take) | (g & take);
        let t0 = select(h.h0, g.h0).wrapping_add(s_low & LIMB);
        let t1 = select(h.h1, g.h1)
            .wrapping_add(s_low >> 32)
            .wrapping_add(t0 >> 32);
        let t2 = select(h.h2, g.h2)
            .wrapping_add(s_high & LIMB)
            .wrapping_add(t1 >> 32);
        let t3 = select(h.h3, g.h3)
            .wrapping_add(s_high >> 32)
            .wrapping_add(t2 >> 32);
        ((t0 & LIMB) | t1 << 32, (t2 & LIMB) | t3 << 32)
    }

    /// Adds to the lowest limb and carries once through all; the highest keeps what is too much.
    #[inline(always)]
    fn chain(self, addend: u64) -> Self {
        let h0 = self.h0.wrapping_add(addend);
        let h1 = self.h1.wrapping_add(h0 >> 32);
        let h2 = self.h2.wrapping_add(h1 >> 32);
        let h3 = self.h3.wrapping_add(h2 >> 32);
        Self {
            h0: h0 & LIMB,
            h1: h1 & LIMB,
            h2: h2 & LIMB,
            h3,
        }
    }
}

/// Four products and their sum.
#[inline(always)]
fn sum([h0, h1, h2, h3]: [u64; 4], [x0, x1, x2, x3]: [u64; 4]) -> u64 {
    let low = h0.wrapping_mul(x0).wrapping_add(h1.wrapping_mul(x1));
    let high = h2.wrapping_mul(x2).wrapping_add(h3.wrapping_mul(x3));
    low.wrapping_add(high)
}

/// Of a multiple of four.
#[inline(always)]
fn five_quarters(x: u64) -> u64 {
    x.wrapping_add(x >> 2)
}

const LIMB: u64 = 0xffff_ffff;
/// The highest limb has two bits more: 130 in all.
const TOP_LIMB: u64 = 0x3_ffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(r: u128, s: u128, message: &[u8]) -> u128 {
        let (low, high) = halves(r);
        let r = Multiplier::new(low, high);
        let mut hash = Accumulator::default();
        for chunk in message.chunks(16) {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            let bit = if chunk.len() < 16 {
                1 << (chunk.len() * 8)
            } else {
                0
            };
            let (low, high) = halves(u128::from_le_bytes(block) | bit);
            hash = match chunk.len() {
                16 => hash.block(&r, low, high),
                _ => hash.step::<false>(&r, Limbs::new(low, high)),
            };
        }
        let (low, high) = halves(s);
        let (low, high) = hash.tag(low, high);
        u128::from(low) | u128::from(high) << 64
    }

    fn halves(value: u128) -> (u64, u64) {
        (value as u64, (value >> 64) as u64)
    }

    #[test]
    fn rfc8439_2_5_2_example() {
        let r = u128::from_be_bytes(
            *b"\xa8\x06\xd5\x42\xfe\x52\x44\x7f\x33\x6d\x55\x57\x78\xbe\xd6\x85",
        );
        let s = u128::from_be_bytes(
            *b"\x1b\xf5\x49\x41\xaf\xf6\xbf\x4a\xfd\xb2\x0d\xfb\x8a\x80\x03\x01",
        );
        assert_eq!(
            mac(r, s, b"Cryptographic Forum Research Group"),
            0xa927_010c_af8b_2bc2_c636_5130_c11d_06a8
        );
    }

    #[test]
    fn rfc8439_a_3_corners_of_the_reduction() {
        let message = |blocks: &[u128]| -> Vec<u8> {
            blocks
                .iter()
                .flat_map(|block| block.to_le_bytes())
                .collect()
        };
        let ones = u128::MAX;
        let twelfth = [0xb943_5e50_d794_35e3, 0x1_cd79_435e_50d7_9433, 0, 1];
        let rows: [(u128, u128, &[u128], u128); 7] = [
            (2, 0, &[ones], 3),
            (2, ones, &[2], 3),
            (1, 0, &[ones, ones << 8 | 0xf0, 0x11], 5),
            (
                1,
                0,
                &[ones, 0xfefe_fefe_fefe_fefe_fefe_fefe_fefe_fefb, ones / 255],
                0,
            ),
            (2, 0, &[ones - 2], ones - 5),
            (4 << 64 | 1, 0, &twelfth, 0x55 << 64 | 0x14),
            (4 << 64 | 1, 0, &twelfth[..3], 0x13),
        ];
        for (vector, (r, s, blocks, tag)) in (7..).zip(rows) {
            assert_eq!(mac(r, s, &message(blocks)), tag, "vector {vector}");
        }
    }

    #[test]
    fn no_sum_outgrows_its_word() {
        // The bounds of the table above, in 1/100: 2^60 is 100, so a word is 1600.
        let (h, top) = ([212, 100, 200, 400], 100);
        let [m0, m1, m2, m3] = h.map(|limb| limb + 100);
        let five_quarters = |limbs: u32| limbs * 5 / 4;
        let highest = m0 + m1 + m2 + m3 + top + 1;
        assert!(m0 + five_quarters(m1 + m2 + m3) < 1600);
        assert!(m0 + m1 + five_quarters(m2 + m3) + 1 < 1600);
        assert!(m0 + m1 + m2 + five_quarters(m3) + 1 < 1600);
        // The highest sum, shifted by 34, comes back five times: 2^26 is 100 there, and 2^32 is 6400.
        assert!(100 + highest * 5 * 100 / 6400 <= 212);
    }
}
