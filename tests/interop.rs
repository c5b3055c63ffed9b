//! The 17 cases of quic-interop-runner that a relay must pass, and the names of seven of our own for the kernel path. Client
//! and server are ours, on the simulated network. RFC 9000, RFC 9001, RFC 9002.
//!
//! A case is a row of [`CASES`]: a link, files, and what a judge asks of both sides' packets. The runner's questions are
//! each judge's first; what we ask beyond them stands in the judge's own words. A failure prints its `SEED`.

#[path = "interop/amplificationlimit.rs"]
mod amplificationlimit;
#[path = "interop/blackhole.rs"]
mod blackhole;
#[path = "interop/cases.rs"]
mod cases;
#[path = "interop/chacha20.rs"]
mod chacha20;
#[path = "interop/ecn.rs"]
mod ecn;
#[path = "interop/faults.rs"]
mod faults;
#[path = "interop/handshake.rs"]
mod handshake;
#[path = "interop/ipv6.rs"]
mod ipv6;
#[path = "interop/keyupdate.rs"]
mod keyupdate;
#[path = "interop/longrtt.rs"]
mod longrtt;
#[path = "interop/multiplexing.rs"]
mod multiplexing;
#[path = "interop/rebind.rs"]
mod rebind;
#[path = "interop/retry.rs"]
mod retry;
#[path = "interop/run.rs"]
mod run;
#[path = "interop/tls.rs"]
mod tls;
#[path = "interop/transfer.rs"]
mod transfer;

use integration::Scenario;
use run::Link::{Blackhole, Corruption, Delay, DropList, Loss, Plain};
use run::{Files, Link, Run, Verdict, fetch, plain};

/// A case of the runner.
struct Case(
    /// As the runner calls it.
    &'static str,
    Link,
    /// The bytes of each file.
    &'static [u64],
    /// It takes no longer, in seconds.
    u64,
    /// With how many seeds it is played.
    u64,
    /// What is special about the endpoints.
    fn(&mut Scenario),
    /// How the files are fetched, in so much time.
    fn(&mut Files, std::time::Duration),
    /// What is asked afterwards.
    fn(&Run) -> Verdict,
);

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;

#[rustfmt::skip]
const CASES: [Case; 17] = [
    //   name                   link             files                  s seeds  endpoints                      play                  judge
    Case("handshake",           Plain,           &[KB],                60, 5,  plain,                         fetch,                handshake::judge),
    Case("transfer",            Plain,           &[2*MB, 3*MB, 5*MB],  60, 2,  transfer::small_windows,       fetch,                transfer::judge),
    Case("longrtt",             Delay(750),      &[KB],                60, 5,  plain,                         fetch,                longrtt::judge),
    Case("chacha20",            Plain,           &[3*MB],              60, 2,  chacha20::offer,               fetch,                chacha20::judge),
    Case("multiplexing",        Plain,           &[32; 1999],          60, 2,  multiplexing::few_streams,     fetch,                multiplexing::judge),
    Case("retry",               Plain,           &[10*KB],             60, 5,  retry::demand,                 fetch,                retry::judge),
    Case("blackhole",           Blackhole(5, 2), &[10*MB],             60, 4,  faults::either_congestion,     fetch,                blackhole::judge),
    Case("keyupdate",           Plain,           &[3*MB],              60, 3,  plain,                         keyupdate::by_client, keyupdate::judge),
    Case("ecn",                 Plain,           &[100*KB],            60, 5,  plain,                         fetch,                ecn::judge),
    Case("amplificationlimit",  DropList(2, 7),  &[5*KB],              60, 10, amplificationlimit::long_chain, fetch,               amplificationlimit::judge),
    Case("handshakeloss",       Loss(30),        &[KB],               300, 3,  faults::patient,               faults::multiconnect, faults::judge_handshakes),
    Case("transferloss",        Loss(2),         &[2*MB],              60, 6,  faults::either_congestion,     fetch,                faults::judge_transfer),
    Case("handshakecorruption", Corruption(30),  &[KB],               300, 3,  faults::patient,               faults::multiconnect, faults::judge_handshakes),
    Case("transfercorruption",  Corruption(2),   &[2*MB],              60, 6,  faults::either_congestion,     fetch,                faults::judge_transfer),
    Case("ipv6",                Plain,           &[5*KB, 10*KB],       60, 5,  ipv6::addresses,               fetch,                ipv6::judge),
    Case("rebind-port",         Plain,           &[10*MB],             60, 3,  rebind::speak_up,              rebind::ports,        rebind::judge_ports),
    Case("rebind-addr",         Plain,           &[10*MB],             60, 3,  rebind::speak_up,              rebind::addresses,    rebind::judge_addresses),
];

/// Ours, for the kernel path: with the kernel's stand-in in `tests/offload/variants.rs`, and these with a real kernel (root).
#[rustfmt::skip]
const FAST_PATH: [(&str, &str); 7] = [
    ("fp-handover",  "tests/foreign/raw/tests/exact.rs::switched_at_random_over_ipv4"),
    ("fp-loss",      "tests/foreign/raw/tests/exact.rs::two_percent_loss_with_the_kernel"),
    ("fp-keyupdate", "tests/foreign/raw/tests/changes.rs::key_update_every_hundred_packets"),
    ("fp-rebind",    "tests/foreign/raw/tests/changes.rs::subscriber_takes_another_port_again_and_again"),
    ("fp-restart",   "tests/foreign/raw/tests/failures.rs::killed_relay_forwards_nothing_and_leaves_nothing"),
    ("fp-mapfull",   "tests/foreign/raw/tests/changes.rs::more_subscribers_than_slots"),
    ("fp-off",       "tests/foreign/raw/tests/exact.rs::userspace_alone_over_ipv4"),
];
