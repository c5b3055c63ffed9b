//! What must hold for any bytes: each property takes some, asserts, and never fails (RFC 9000, RFC 9001,
//! RFC 9002, draft-ietf-moq-transport-18).
//!
//! ```text
//! cargo test --manifest-path fuzz/Cargo.toml                    replays fuzz/corpus on stable
//! cargo run --manifest-path fuzz/Cargo.toml --example seeds     writes the named seeds of src/seeds again
//! cargo +nightly fuzz run TARGET -- -max_total_time=60          searches for new inputs (cargo-fuzz)
//! ```
//!
//! Where bytes alone do not get past the cryptography, they are a script: `arbitrary` reads steps from them,
//! and the property seals what the steps say. TLS has no chance in it here ([`tls`]), so an input does the
//! same each time. A file in `fuzz/corpus/TARGET/` has a name that says what it is. An input that broke
//! something is added there under the name of the fault; what the fuzzer collects by itself is not committed.

mod bytes;
#[path = "../../ebpf/loader/tests/support/case.rs"]
mod case;
mod control;
mod data;
mod fast_path;
mod initial;
mod kernel;
mod memory;
#[path = "../../ebpf/loader/tests/support/network.rs"]
mod network;
mod order;
mod peer;
mod protect;
mod ranges;
mod reassembly;
mod recovery;
#[path = "../../ebpf/loader/tests/support/reference.rs"]
mod reference;
mod script;
pub mod seeds;
mod session;
mod text;
pub mod tls;
mod token;
mod wire;
#[path = "../../ebpf/loader/tests/support/world.rs"]
mod world;

pub use control::{moqt_control, moqt_session};
pub use data::{moqt_data, moqt_datagram, moqt_fetch};
pub use fast_path::fastpath_diff;
pub use initial::{initial_client, initial_server};
pub use kernel::kernel_twin;
pub use order::moqt_order;
pub use protect::{packet_number, packet_protection};
pub use ranges::{range_set, received_numbers};
pub use reassembly::reassembly;
pub use recovery::recovery;
pub use script::{posths_client, posths_server};
pub use text::{ivf, relay_url};
pub use token::token;
pub use wire::{coalesced_datagram, frames_roundtrip, packet_header, transport_params, varint};

/// A property: it takes any bytes and panics when something does not hold for them.
pub type Property = fn(&[u8]);

/// A fuzz target; a folder of the corpus belongs to each.
pub struct Target {
    /// Its name, and that of its binary.
    pub name: &'static str,
    /// What must hold.
    pub property: Property,
    /// How many truncated and changed inputs `cargo test` makes of each file of its corpus.
    pub changes: usize,
}

const fn target(name: &'static str, property: Property, changes: usize) -> Target {
    Target {
        name,
        property,
        changes,
    }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("varint", varint, 2500),
    target("packet_number", packet_number, 2500),
    target("packet_header", packet_header, 2500),
    target("coalesced_datagram", coalesced_datagram, 2500),
    target("frames_roundtrip", frames_roundtrip, 2500),
    target("transport_params", transport_params, 2500),
    target("packet_protection", packet_protection, 200),
    target("token", token, 500),
    target("initial_server", initial_server, 100),
    target("initial_client", initial_client, 100),
    target("posths_server", posths_server, 60),
    target("posths_client", posths_client, 60),
    target("reassembly", reassembly, 2500),
    target("range_set", range_set, 2500),
    target("received_numbers", received_numbers, 2500),
    target("recovery", recovery, 2500),
    target("moqt_control", moqt_control, 2500),
    target("moqt_session", moqt_session, 200),
    target("moqt_data", moqt_data, 2500),
    target("moqt_datagram", moqt_datagram, 2500),
    target("moqt_fetch", moqt_fetch, 2500),
    target("moqt_order", moqt_order, 2500),
    target("relay_url", relay_url, 2500),
    target("ivf", ivf, 2500),
    target("fastpath_diff", fastpath_diff, 200),
    target("kernel_twin", kernel_twin, 5),
];
