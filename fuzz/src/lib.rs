//! What must hold for any bytes: each function takes some, asserts, and never fails (RFC 9000 §12.2, §16 to §19).
//!
//! ```text
//! cargo test --manifest-path fuzz/Cargo.toml                    replays fuzz/corpus on stable
//! cargo run --manifest-path fuzz/Cargo.toml --example seeds     writes the named seeds of seeds.rs again
//! cargo +nightly fuzz run TARGET -- -max_total_time=60          searches for new inputs (cargo-fuzz)
//! ```
//!
//! A file in `fuzz/corpus/TARGET/` has a name that says what it is. An input that broke something is added
//! there under the name of the fault; what the fuzzer collects by itself is not committed.

pub mod seeds;
mod wire;

pub use wire::{coalesced_datagram, frames_roundtrip, packet_header, transport_params, varint};

/// A property: it takes any bytes and panics when something does not hold for them.
pub type Property = fn(&[u8]);

/// Every target by name; a folder of the corpus belongs to each.
pub const TARGETS: [(&str, Property); 5] = [
    ("varint", varint),
    ("packet_header", packet_header),
    ("coalesced_datagram", coalesced_datagram),
    ("frames_roundtrip", frames_roundtrip),
    ("transport_params", transport_params),
];
