//! Our decoders beside those of others, over the same bytes: quinn-proto, s2n-quic-core and octets, which is quiche's
//! (RFC 9000 §16 to §19).
//!
//! Each property asks three things: do both accept, do both read the same, do both end at the same byte. Where another
//! decoder answers differently and neither is wrong, the difference has a name and a reason in a table
//! ([`Difference`]); everything else is a failure. Not here: what only a connection can judge.

pub mod frames;
pub mod header;
pub mod integers;
pub mod transport_parameters;

use std::alloc::System;

use frames::frames;
use header::packet_header;
use integers::{packet_number, varint};
use mockalloc::{Mockalloc, record_allocs};
use transport_parameters::transport_params;

/// A property: it takes any bytes and panics when decoders disagree without a reason.
type Property = fn(&[u8]) -> Vec<&'static str>;

/// Every target by name. The seeds are those of the target of the same name in `fuzz/corpus`, beside its own.
const TARGETS: [(&str, Property); 5] = [
    ("varint", varint),
    ("packet_number", packet_number),
    ("packet_header", packet_header),
    ("frames", frames),
    ("transport_params", transport_params),
];

/// The targets by name.
pub fn targets() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|(name, _)| *name)
}

/// The target of that name, over this input, under a ceiling of what all decoders together may allocate at once.
/// Returns the names of the differences that explained something.
pub fn run(name: &str, data: &[u8]) -> Vec<&'static str> {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, property) = target.expect("there is such a target");
    let mut explained = Vec::new();
    let used = record_allocs(|| explained = property(data)).peak_mem();
    let len = data.len() as u64;
    let allowed = CEILING + CEILING_PER_BYTE * len;
    assert!(
        used <= allowed,
        "{name}: {used} bytes at once for an input of {len}, {allowed} allowed"
    );
    explained
}

#[global_allocator]
static ALLOCATOR: Mockalloc<System> = Mockalloc(System);

const CEILING: u64 = 8 << 10;
/// The most is made of an ACK frame: a range takes two bytes and stands as two integers in two lists, whose room has
/// grown by doubling.
const CEILING_PER_BYTE: u64 = 48;

/// Where another decoder and ours may differ, and why.
pub struct Difference {
    /// In a few words.
    pub name: &'static str,
    /// Who is stricter, and why that is no fault of ours.
    pub reason: &'static str,
    /// Whether the input is of this kind.
    applies: fn(&[u8]) -> bool,
}

/// Panics unless both are the same or a difference explains it; says which one did.
fn agree<T: PartialEq + std::fmt::Debug>(
    who: &str,
    input: &[u8],
    ours: &T,
    theirs: &T,
    differences: &[Difference],
) -> Option<&'static str> {
    if ours == theirs {
        return None;
    }
    let known = differences.iter().find(|known| (known.applies)(input));
    assert!(
        known.is_some(),
        "{who} reads {input:02x?} differently\n  ours:   {ours:?}\n  theirs: {theirs:?}"
    );
    known.map(|known| known.name)
}
