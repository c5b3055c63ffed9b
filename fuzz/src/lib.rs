//! What must hold for any bytes: each property takes some, asserts, and never fails (RFC 9000, RFC 9001,
//! RFC 9002, draft-ietf-moq-transport-18).
//!
//! ```text
//! cargo test --manifest-path fuzz/Cargo.toml                    replays fuzz/corpus on stable
//! cargo run --manifest-path fuzz/Cargo.toml --example seeds     writes the named seeds of src/seeds again
//! fuzz/campaign smoke --seconds 60 TARGET                       searches for new inputs (libFuzzer)
//! ```
//!
//! Where bytes alone do not get past the cryptography, they are a script: `arbitrary` reads steps from them,
//! and the property seals what the steps say. TLS has no chance in it here ([`tls`]), so an input does the
//! same each time. A file in `fuzz/corpus/TARGET/` has a name that says what it is. An input that broke
//! something is added there under the name of the fault; what the fuzzer collects by itself is not committed.

mod access;
mod bytes;
#[path = "../../ebpf/loader/tests/support/case.rs"]
mod case;
mod control;
mod data;
mod fast_path;
mod initial;
mod kernel;
#[path = "../../ebpf/loader/tests/support/network.rs"]
mod network;
mod options;
mod order;
mod peer;
mod protect;
mod ranges;
mod reassembly;
mod recovery;
#[path = "../../ebpf/loader/tests/support/reference.rs"]
mod reference;
mod relay;
mod script;
pub mod seeds;
mod session;
mod text;
pub mod tls;
mod token;
mod wire;
#[path = "../../ebpf/loader/tests/support/world.rs"]
mod world;

use integration::heap::peak;

use access::access_token;
use control::{moqt_control, moqt_session};
use data::{moqt_data, moqt_datagram, moqt_fetch};
use fast_path::fastpath_diff;
use initial::{initial_client, initial_server};
use kernel::kernel_twin;
use options::config;
use order::moqt_order;
use protect::{packet_number, packet_protection};
use ranges::{range_set, received_numbers};
use reassembly::reassembly;
use recovery::recovery;
use relay::relay;
use script::{posths_client, posths_server};
use text::{ivf, relay_url};
use token::token;
use wire::{coalesced_datagram, frames_roundtrip, packet_header, transport_params, varint};

/// A property: it takes any bytes and panics when something does not hold for them.
type Property = fn(&[u8]);

/// A fuzz target; a folder of the corpus belongs to each.
pub struct Target {
    /// Its name, and that of its binary.
    pub name: &'static str,
    /// What must hold.
    property: Property,
    /// How many truncated and changed inputs `cargo test` makes of each file of its corpus.
    pub changes: usize,
    /// How many bytes an input may have allocated at once.
    ceiling: Ceiling,
}

/// So many bytes, and so many more for each byte of the input.
struct Ceiling(usize, usize);

impl Target {
    /// What every target promises of every input: the property holds, without a panic, and within the ceiling.
    pub fn run(&self, data: &[u8]) {
        let used = peak(|| (self.property)(data));
        let Ceiling(base, more) = self.ceiling;
        let allowed = base + more * data.len();
        assert!(
            used <= allowed,
            "{}: {used} bytes at once for an input of {}, {allowed} allowed",
            self.name,
            data.len()
        );
    }
}

/// The target of that name, over this input.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.expect("there is such a target").run(data);
}

const fn target(
    name: &'static str,
    property: Property,
    changes: usize,
    ceiling: Ceiling,
) -> Target {
    Target {
        name,
        property,
        changes,
        ceiling,
    }
}

/// Of what takes the input as it is and keeps little of it.
const PLAIN: Ceiling = Ceiling(8 << 10, 8);

/// Every target.
pub const TARGETS: &[Target] = &[
    target("varint", varint, 2500, PLAIN),
    target("packet_number", packet_number, 2500, PLAIN),
    target("packet_header", packet_header, 2500, PLAIN),
    target("coalesced_datagram", coalesced_datagram, 2500, PLAIN),
    target(
        "frames_roundtrip",
        frames_roundtrip,
        2500,
        Ceiling(160 << 10, 32),
    ),
    target("transport_params", transport_params, 2500, PLAIN),
    target("packet_protection", packet_protection, 200, PLAIN),
    target("token", token, 500, PLAIN),
    target("initial_server", initial_server, 100, Ceiling(1 << 20, 256)),
    target(
        "initial_client",
        initial_client,
        100,
        Ceiling(512 << 10, 64),
    ),
    target("posths_server", posths_server, 60, Ceiling(1 << 20, 64)),
    target("posths_client", posths_client, 60, Ceiling(1 << 20, 64)),
    target("reassembly", reassembly, 2500, Ceiling(64 << 10, 128)),
    target("range_set", range_set, 2500, PLAIN),
    target(
        "received_numbers",
        received_numbers,
        2500,
        Ceiling(16 << 10, 128),
    ),
    target("recovery", recovery, 2500, Ceiling(64 << 10, 256)),
    target("moqt_control", moqt_control, 2500, PLAIN),
    target("moqt_session", moqt_session, 200, Ceiling(200 << 10, 64)),
    target("moqt_data", moqt_data, 2500, Ceiling(16 << 10, 256)),
    target("moqt_datagram", moqt_datagram, 2500, PLAIN),
    target("moqt_fetch", moqt_fetch, 2500, PLAIN),
    target("moqt_order", moqt_order, 2500, Ceiling(32 << 10, 128)),
    target("relay", relay, 200, Ceiling(1 << 20, 256)),
    target("access_token", access_token, 100, Ceiling(64 << 10, 64)),
    target("config", config, 200, Ceiling(128 << 10, 1024)),
    target("relay_url", relay_url, 2500, Ceiling(4 << 10, 32)),
    target("ivf", ivf, 2500, Ceiling(48 << 10, 4)),
    target("fastpath_diff", fastpath_diff, 200, Ceiling(16 << 10, 16)),
    target("kernel_twin", kernel_twin, 5, Ceiling(32 << 20, 16)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "greedy: 20008 bytes at once for an input of 1, 8200 allowed")]
    fn more_than_the_ceiling_is_noticed_though_it_was_freed() {
        let greedy: Property = |data| drop(std::hint::black_box(vec![0_u8; 20_007 + data.len()]));
        target("greedy", greedy, 0, PLAIN).run(&[0]);
    }

    #[test]
    fn each_byte_may_cost() {
        let fair: Property = |data| drop(std::hint::black_box(vec![0_u8; 8 * data.len()]));
        target("fair", fair, 0, PLAIN).run(&[0; 5000]);
    }
}
