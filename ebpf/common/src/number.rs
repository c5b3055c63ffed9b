//! Packet numbers on the wire: which number a truncated one means, and how short one may be (RFC 9000 §17.1,
//! Appendix A.2 and A.3).

/// RFC 9000 Appendix A.3: the number that `truncated`, of `len` bytes, stands for, when `expected` is one more
/// than the largest that was authentic.
#[inline(always)]
pub fn decode(expected: u64, truncated: u32, len: u64) -> u64 {
    let window = 1_u64 << ((len << 3) & 63);
    let half = window >> 1;
    let candidate = (expected & !window.wrapping_sub(1)) | u64::from(truncated);
    if candidate.wrapping_add(half) <= expected && candidate < LIMIT.wrapping_sub(window) {
        return candidate.wrapping_add(window);
    }
    if candidate > expected.wrapping_add(half) && candidate >= window {
        return candidate.wrapping_sub(window);
    }
    candidate
}

/// RFC 9000 §17.1: with how many bytes a number must be written that is smaller than `bound`, when the peer
/// has acknowledged all below `acknowledged` that it will; `None`: with more than there may be.
#[inline(always)]
pub fn encoded_len(bound: u64, acknowledged: u64) -> Option<u64> {
    // Twice as many numbers as are under way must differ.
    let under_way = bound.saturating_sub(acknowledged);
    match under_way {
        ..=0x80 => Some(1),
        0x81..=0x8000 => Some(2),
        0x8001..=0x80_0000 => Some(3),
        0x80_0001..=0x8000_0000 => Some(4),
        _ => None,
    }
}

/// RFC 9000 §12.3: packet numbers are smaller than this.
pub const LIMIT: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_appendix_a_are_decoded_and_encoded() {
        assert_eq!(decode(0xa82f_30ea + 1, 0x9b32, 2), 0xa82f_9b32);
        assert_eq!(encoded_len(0xac_5c02 + 1, 0xab_e8b3 + 1), Some(2));
        assert_eq!(encoded_len(0xac_e8fe + 1, 0xab_e8b3 + 1), Some(3));
    }

    #[test]
    fn every_number_near_the_expected_one_is_decoded() {
        let numbers = [0, 1, 5, 127, 128, 255, 256, 40_000, 1 << 20, 1_u64 << 40];
        for (expected, len) in numbers
            .into_iter()
            .flat_map(|n| (1..=4).map(move |len| (n, len)))
        {
            let half = 1_u64 << (8 * len - 1);
            let distances = [0, 1, 2, 100, 127, half / 2, half - 1].map(|d| d.min(half - 1));
            let before = distances.map(|distance| expected.saturating_sub(distance));
            let behind = distances.map(|distance| expected + distance);
            for number in before.into_iter().chain(behind) {
                let truncated = (number & (2 * half - 1)) as u32;
                assert_eq!(decode(expected, truncated, len), number, "{expected} {len}");
            }
        }
    }

    #[test]
    fn a_receiver_that_has_seen_nothing_since_decodes_what_is_encoded() {
        for acknowledged in [0, 7, 1 << 30] {
            for under_way in [
                1,
                100,
                128,
                129,
                0x8000,
                0x8001,
                0x80_0000,
                0x80_0001,
                0x8000_0000,
            ] {
                let number = acknowledged + under_way - 1;
                let len = encoded_len(number + 1, acknowledged).expect("it fits");
                let truncated = (number & ((1 << (8 * len)) - 1)) as u32;
                assert_eq!(decode(acknowledged, truncated, len), number);
            }
        }
        assert_eq!(encoded_len(0x8000_0001, 0), None);
    }
}
