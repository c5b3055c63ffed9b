//! `amplificationlimit`: nine certificates, and the client's second to seventh datagram are lost. The server may send
//! three times what it got until the client has proved its address, and the client must break the deadlock. RFC 9000
//! §8.1, RFC 9002 §6.2.2.1.
//!
//! The limit itself is checked after every datagram of every run (`tests/harness/invariants.rs`): three times, where
//! the runner lets four pass.

use integration::{Scenario, certificates};
use quic_lite::Side;
use quic_lite::wire::header::PacketType;

use super::run::{Run, Verdict, ensure};

/// The server shows nine certificates.
pub fn long_chain(scenario: &mut Scenario) {
    scenario.chain = certificates::long();
}

/// Ours beside the runner's: datagrams of the client were lost indeed.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    let chain = run
        .pair
        .tap
        .crypto(Side::Server, PacketType::Handshake)
        .len();
    ensure(chain >= 7500, || format!("{chain} bytes of TLS"))?;
    let lost = run.pair.network.to_server.counts().lost;
    ensure(lost > 0, || "the client lost nothing".to_owned())
}
