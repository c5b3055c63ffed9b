//! Two faults on purpose, and a property without any: `check.py` beside this lets the campaign look for them. No RFC.

/// The target of that name, over this input.
pub fn run(name: &str, data: &[u8]) {
    match name {
        "planted" => planted(data),
        _ => sound(data),
    }
}

/// Two faults, behind three bytes each; many inputs lead to either.
fn planted(data: &[u8]) {
    let Some(at) = data.windows(2).position(|pair| pair == b"QU") else {
        return;
    };
    match data[at..] {
        [_, _, b'A', ..] => refuse(data.len()),
        [_, _, b'B', ..] => beyond(data),
        _ => {}
    }
}

/// The first fault: its message depends on the input, its place does not.
#[inline(never)]
fn refuse(length: usize) {
    panic!("planted: refused at {length} bytes");
}

/// The second: an index that peers would like.
#[inline(never)]
fn beyond(data: &[u8]) {
    std::hint::black_box(data[data.len() + usize::from(data[0])]);
}

/// Nothing to find.
fn sound(data: &[u8]) {
    assert!(data.iter().filter(|byte| **byte == b'Q').count() <= data.len());
}
