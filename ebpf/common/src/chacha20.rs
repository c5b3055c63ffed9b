//! The ChaCha20 block function (RFC 8439 §2.3) and the header protection mask (RFC 9001 §5.4.4).
//!
//! For the kernel as much as for the host: no loops but one of ten turns, nothing but 32-bit arithmetic.
//! One block at a time; userspace, which has SIMD, fills pads with another implementation.

use crate::word::Word;

/// RFC 8439 §2.3: "expand 32-byte k", little-endian.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// RFC 8439 §2.3: one block of keystream into `out`, as little-endian words.
///
/// `first` is the counter (low half) and the first word of the nonce; `last` the nonce's other two words.
#[inline(never)]
pub fn block(key: &[Word; 4], first: u64, last: u64, out: &[Word; 8]) {
    let end = State::new(key, first, last).rounds();
    // Made anew: on BPF the stack would have to hold it all the time.
    let start = State::new(key, first, last);
    let rows = [
        (start.a, end.a),
        (start.b, end.b),
        (start.c, end.c),
        (start.d, end.d),
    ];
    let [o0, o1, o2, o3, o4, o5, o6, o7] = out;
    for ((low, high), (start, end)) in [(o0, o1), (o2, o3), (o4, o5), (o6, o7)]
        .into_iter()
        .zip(rows)
    {
        low.store(pair(start.0, start.1, end.0, end.1));
        high.store(pair(start.2, start.3, end.2, end.3));
    }
}

/// RFC 9001 §5.4.4: the mask for a sample, both as little-endian words. Five bytes of it are used.
#[inline(never)]
pub fn header_protection_mask(key: &[Word; 4], sample_low: u64, sample_high: u64) -> u64 {
    let start = State::new(key, sample_low, sample_high);
    let end = start.rounds();
    pair(start.a.0, start.a.1, end.a.0, end.a.1)
}

/// Counter and nonce of a packet's block, as [`block`] takes them (RFC 9001 §5.3, RFC 8439 §2.8).
#[inline(always)]
pub fn nonce(iv: &[Word; 2], number: u64, counter: u32) -> (u64, u64) {
    let [low, high] = iv;
    let (low, high) = (low.load(), high.load());
    let number = number.swap_bytes();
    // The number's eight bytes stand at the end of the nonce's twelve.
    let last = (low >> 32 | high << 32) ^ number;
    (u64::from(counter) | low << 32, last)
}

/// Four words of the state.
type Row = (u32, u32, u32, u32);

/// The sixteen words, by rows.
#[derive(Clone, Copy)]
struct State {
    a: Row,
    b: Row,
    c: Row,
    d: Row,
}

impl State {
    #[inline(always)]
    fn new(key: &[Word; 4], first: u64, last: u64) -> Self {
        let [k0, k1, k2, k3] = key;
        Self {
            a: CONSTANTS.into(),
            b: row(k0.load(), k1.load()),
            c: row(k2.load(), k3.load()),
            d: row(first, last),
        }
    }

    /// RFC 8439 §2.3: ten times four columns, four diagonals.
    #[inline(always)]
    fn rounds(self) -> Self {
        let Self {
            mut a,
            mut b,
            mut c,
            mut d,
        } = self;
        for _ in 0..10 {
            (a.0, b.0, c.0, d.0) = quarter_round(a.0, b.0, c.0, d.0);
            (a.1, b.1, c.1, d.1) = quarter_round(a.1, b.1, c.1, d.1);
            (a.2, b.2, c.2, d.2) = quarter_round(a.2, b.2, c.2, d.2);
            (a.3, b.3, c.3, d.3) = quarter_round(a.3, b.3, c.3, d.3);
            (a.0, b.1, c.2, d.3) = quarter_round(a.0, b.1, c.2, d.3);
            (a.1, b.2, c.3, d.0) = quarter_round(a.1, b.2, c.3, d.0);
            (a.2, b.3, c.0, d.1) = quarter_round(a.2, b.3, c.0, d.1);
            (a.3, b.0, c.1, d.2) = quarter_round(a.3, b.0, c.1, d.2);
        }
        Self { a, b, c, d }
    }
}

/// RFC 8439 §2.1.
#[inline(always)]
fn quarter_round(a: u32, b: u32, c: u32, d: u32) -> Row {
    let a = a.wrapping_add(b);
    let d = (d ^ a).rotate_left(16);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_left(12);
    let a = a.wrapping_add(b);
    let d = (d ^ a).rotate_left(8);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_left(7);
    (a, b, c, d)
}

#[inline(always)]
fn row(low: u64, high: u64) -> Row {
    (
        low as u32,
        (low >> 32) as u32,
        high as u32,
        (high >> 32) as u32,
    )
}

/// The sums of two words of the state before and after, as one.
#[inline(always)]
fn pair(start_low: u32, start_high: u32, end_low: u32, end_high: u32) -> u64 {
    let low = start_low.wrapping_add(end_low);
    let high = start_high.wrapping_add(end_high);
    u64::from(low) | u64::from(high) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<const N: usize>(bytes: &[u8]) -> [Word; N] {
        let mut words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            Word::new(u64::from_le_bytes(word))
        });
        std::array::from_fn(|_| words.next().unwrap_or_default())
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .map(|digit| digit as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    #[test]
    fn rfc8439_2_3_2_block() {
        let key: Vec<u8> = (0..32).collect();
        let iv = hex("00000009 0000004a 00000000");
        let (first, last) = nonce(&words(&iv), 0, 1);
        let out = words(&[]);
        block(&words(&key), first, last, &out);
        let out: Vec<u8> = out
            .iter()
            .flat_map(|word| word.load().to_le_bytes())
            .collect();
        let expected = hex(
            "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e
             d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn the_packet_number_is_the_end_of_the_nonce() {
        let iv = hex("e0459b34 74bdd0e4 4a41c144");
        // RFC 9001 §A.5: packet number 654360564.
        let (first, last) = nonce(&words(&iv), 654_360_564, 7);
        let mut bytes = first.to_le_bytes().to_vec();
        bytes.extend(last.to_le_bytes());
        assert_eq!(bytes[4..], hex("e0459b3474bdd0e46d417eb0"));
        assert_eq!(bytes[..4], [7, 0, 0, 0]);
    }

    #[test]
    fn rfc9001_a_5_mask() {
        let key = hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4");
        let sample: [Word; 2] = words(&hex("5e5cd55c41f69080575d7999c25a5bfb"));
        let mask = header_protection_mask(&words(&key), sample[0].load(), sample[1].load());
        assert_eq!(mask.to_le_bytes()[..5], hex("aefefe7d03"));
    }
}
