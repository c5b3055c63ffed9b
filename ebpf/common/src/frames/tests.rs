//! The walk against what was written.

use super::*;
use crate::scratch::TEXT_WORDS;

fn text(bytes: &[u8]) -> Text {
    // Behind the end stands what must not matter.
    let mut padded = [0x0f; TEXT_WORDS * 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    std::array::from_fn(|word| {
        u64::from_le_bytes(padded[word * 8..word * 8 + 8].try_into().unwrap())
    })
}

/// All units, or `None` if the walk came to no end.
fn walk(bytes: &[u8]) -> Option<Vec<Unit>> {
    let text = text(bytes);
    let mut walk = Walk::new(bytes.len() as u64);
    let mut units = Vec::new();
    for _ in 0..STEPS {
        match walk.step(&text) {
            Step::More => {}
            Step::Unit(unit) => units.push(unit),
            Step::End => return Some(units),
            Step::Malformed => return None,
        }
    }
    None
}

/// One of each frame that is no unit.
const OTHERS: &[&[u8]] = &[
    &[0],
    &[0; 100],
    &[1],
    &[2, 0x40, 9, 1, 0, 3],
    &[2, 0x40, 9, 1, 3, 3, 1, 1, 2, 0x41, 1, 5, 6],
    &[3, 0x40, 9, 1, 1, 3, 1, 1, 7, 0x80, 0, 0, 8, 9],
    &[4, 1, 2, 3],
    &[5, 1, 2],
    &[6, 1, 3, 9, 9, 9],
    &[7, 2, 9, 9],
    &[0x08 | 2, 0, 3, 9, 9, 9],
    &[0x10, 1],
    &[0x11, 1, 2],
    &[0x12, 1],
    &[0x13, 1],
    &[0x14, 1],
    &[0x15, 1, 2],
    &[0x16, 1],
    &[0x17, 1],
    &[
        0x18, 1, 0, 4, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    ],
    &[0x19, 1],
    &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
    &[0x1b, 1, 2, 3, 4, 5, 6, 7, 8],
    &[0x1c, 1, 2, 3, 9, 9, 9],
    &[0x1d, 1, 3, 9, 9, 9],
    &[0x1e],
    &[0x1f],
    &[0x40, 0xaf, 1, 2, 3, 4],
];

const STREAM_OFF_LEN_FIN: &[u8] = &[0x0f, 0x40, 0x06, 0x44, 0x00, 0x05, 1, 2, 3, 4, 5];

#[test]
fn each_frame_has_the_length_it_has() {
    for frame in OTHERS {
        let bytes = [frame, STREAM_OFF_LEN_FIN, frame].concat();
        let at = frame.len() as u64;
        let unit = Unit {
            at,
            data: at + 6,
            end: at + 11,
            id_at: at + 1,
            id_len: 2,
            id: 6,
            offset: 1024,
            fin: 1,
        };
        assert_eq!(walk(&bytes), Some(vec![unit]), "{frame:x?}");
    }
}

#[test]
fn a_frame_that_is_cut_off_is_malformed() {
    for frame in OTHERS.iter().chain(&[STREAM_OFF_LEN_FIN]) {
        if frame[0] == 0 {
            continue;
        }
        for len in 1..frame.len() {
            assert_eq!(walk(&frame[..len]), None, "{:x?}", &frame[..len]);
        }
    }
}

#[test]
fn unknown_frames_are_malformed() {
    for kind in (0x20..0x30).chain(0x32..=0xff) {
        let bytes = [kind, 1, 1, 1, 1, 1, 1, 1, 1];
        assert_eq!(walk(&bytes), None, "{kind:#x}");
    }
}

#[test]
fn lengths_that_wrap_around_are_malformed() {
    let max = [0xff; 8];
    for head in [
        &[0x0a, 2][..],
        &[0x31],
        &[0x06, 1],
        &[0x07],
        &[0x18, 1, 1],
        &[0x02, 1, 1],
    ] {
        assert_eq!(walk(&[head, &max, &[0; 40]].concat()), None, "{head:x?}");
    }
}

#[test]
fn frames_without_length_run_to_the_end() {
    let units = walk(&[0x08, 2, 7, 7, 7]).expect("frames");
    assert_eq!((units[0].data, units[0].end, units[0].fin), (2, 5, 0));
    let units = walk(&[0x31, 1, 7, 0x30, 7, 7]).expect("frames");
    assert_eq!((units[0].data, units[0].end, units[0].id_len), (2, 3, 0));
    assert_eq!((units[1].at, units[1].data, units[1].end), (3, 4, 6));
    let units = walk(&[0x09, 2]).expect("frames");
    assert_eq!((units[0].data, units[0].end, units[0].fin), (2, 2, 1));
}

#[test]
fn a_long_run_of_padding_is_walked_over() {
    for len in [1, 7, 8, 9, 31, 32, 33, 1000, 1440] {
        let bytes = [&vec![0; len][..], &[0x09, 2]].concat();
        assert_eq!(walk(&bytes).map(|units| units.len()), Some(1), "{len}");
        let bytes = [&[0x0b, 2, 0][..], &vec![0; len]].concat();
        assert_eq!(walk(&bytes).map(|units| units.len()), Some(1), "{len}");
    }
    assert_eq!(walk(&[]), Some(vec![]));
    assert_eq!(walk(&[1; 100]), None, "too many frames");
}
