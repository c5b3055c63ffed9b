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

pub use frames::frames;
pub use header::packet_header;
pub use integers::{packet_number, varint};
pub use transport_parameters::transport_params;

/// A property: it takes any bytes and panics when decoders disagree without a reason.
pub type Property = fn(&[u8]) -> Vec<&'static str>;

/// Every target by name. The seeds are those of the target of the same name in `fuzz/corpus`, beside its own.
pub const TARGETS: [(&str, Property); 5] = [
    ("varint", varint),
    ("packet_number", packet_number),
    ("packet_header", packet_header),
    ("frames", frames),
    ("transport_params", transport_params),
];

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
