//! vi64, the draft's own variable-length integer (draft §1.4.1).
//!
//! The number of leading one bits of the first byte is the number of bytes that follow. All
//! 64 bits can be written, and longer encodings than needed are legal: a relay uses that to
//! replace a track alias without moving the bytes after it.

use super::{MoqtError, PResult};

/// The longest encoding.
pub const MAX_LEN: usize = 9;

/// Parses one vi64.
pub fn vi64(i: &[u8]) -> PResult<'_, u64> {
    let (i, first) = byte(i)?;
    let (i, tail) = take(i, encoded_len(first).saturating_sub(1))?;
    // The marker takes the leading ones and the zero after them.
    let mask = 0xffu8
        .checked_shr(first.leading_ones().saturating_add(1))
        .unwrap_or(0);
    let value = tail.iter().fold(u64::from(first & mask), |value, next| {
        (value << 8) | u64::from(*next)
    });
    Ok((i, value))
}

/// How long an encoding is, from its first byte.
pub const fn encoded_len(first: u8) -> usize {
    (first.leading_ones() as usize).saturating_add(1)
}

/// How many bytes the shortest encoding of `value` takes.
pub const fn size(value: u64) -> usize {
    let bits = 64u32.saturating_sub(value.leading_zeros()) as usize;
    match bits {
        0..=7 => 1,
        57.. => MAX_LEN,
        bits => bits.div_ceil(7),
    }
}

/// Appends the shortest encoding.
pub fn put(out: &mut Vec<u8>, value: u64) {
    put_encoded(out, value, size(value));
}

/// Writes `value` over `slot` in exactly as many bytes as `slot` has; false when it does not fit.
pub fn overwrite(slot: &mut [u8], value: u64) -> bool {
    let len = slot.len();
    if len < size(value) || len > MAX_LEN {
        return false;
    }
    let mut bytes = Vec::with_capacity(len);
    put_encoded(&mut bytes, value, len);
    slot.copy_from_slice(&bytes);
    true
}

/// Appends `value` in `len` bytes; `len` is known to be enough.
fn put_encoded(out: &mut Vec<u8>, value: u64, len: usize) {
    let bytes = value.to_be_bytes();
    let extra = len.saturating_sub(1);
    let marker = !0xffu8
        .checked_shr(u32::try_from(extra).unwrap_or(8))
        .unwrap_or(0);
    match bytes
        .len()
        .checked_sub(len)
        .and_then(|skip| bytes.get(skip..)?.split_first())
    {
        Some((first, rest)) => {
            out.push(marker | first);
            out.extend_from_slice(rest);
        }
        None => {
            out.push(marker);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Parses one byte.
pub fn byte(i: &[u8]) -> PResult<'_, u8> {
    match i.split_first() {
        Some((first, rest)) => Ok((rest, *first)),
        None => Err(nom::Err::Error(MoqtError::TRUNCATED)),
    }
}

/// Takes `len` bytes.
pub fn take(i: &[u8], len: usize) -> PResult<'_, &[u8]> {
    match i.split_at_checked(len) {
        Some((taken, rest)) => Ok((rest, taken)),
        None => Err(nom::Err::Error(MoqtError::TRUNCATED)),
    }
}

/// Parses a vi64 length and that many bytes, at most `max`.
pub fn prefixed<'a>(i: &'a [u8], max: usize, reason: &'static str) -> PResult<'a, &'a [u8]> {
    let (i, len) = vi64(i)?;
    match usize::try_from(len) {
        Ok(len) if len <= max => take(i, len),
        _ => MoqtError::violation(reason).fail(),
    }
}

/// Appends a vi64 length and the bytes.
pub fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> u64 {
        let (rest, value) = vi64(bytes).expect("valid");
        assert!(rest.is_empty());
        value
    }

    #[test]
    fn the_examples_of_the_draft() {
        for (bytes, expected) in [
            (&[0x25][..], 37),
            (&[0x80, 0x25], 37),
            (&[0xbb, 0xbd], 15_293),
            (&[0xed, 0x7f, 0x3e, 0x7d], 226_442_877),
            (&[0xfa, 0xa1, 0xa0, 0xe4, 0x03, 0xd8], 2_893_212_287_960),
            (
                &[0xfc, 0x89, 0x98, 0xab, 0xc6, 0x6b, 0xc0],
                151_288_809_941_952,
            ),
            (
                &[0xfe, 0xfa, 0x31, 0x8f, 0xa8, 0xe3, 0xca, 0x11],
                70_423_237_261_249_041,
            ),
            (&[0xff; 9], u64::MAX),
        ] {
            assert_eq!(value(bytes), expected);
        }
    }

    #[test]
    fn every_boundary_round_trips_in_the_shortest_form() {
        for bits in 0..64 {
            for v in [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                let mut out = Vec::new();
                put(&mut out, v);
                assert_eq!(out.len(), size(v));
                assert_eq!(value(&out), v);
            }
        }
        assert_eq!(
            (size(127), size(128), size((1 << 56) - 1), size(1 << 56)),
            (1, 2, 8, 9)
        );
    }

    #[test]
    fn longer_encodings_than_needed_keep_the_value() {
        for len in 1..=MAX_LEN {
            let mut slot = vec![0; len];
            assert!(overwrite(&mut slot, 5));
            assert_eq!(value(&slot), 5, "{len} bytes");
        }
        assert!(!overwrite(&mut [0], 128));
    }

    #[test]
    fn truncation_asks_for_more() {
        for len in 0..9 {
            let error = MoqtError::from(vi64(&[0xff; 9][..len]).expect_err("short"));
            assert!(error.is_truncated());
        }
    }
}
