//! `chacha20`: the client offers TLS_CHACHA20_POLY1305_SHA256 alone and gets it. RFC 9001 §5.3.

use integration::Scenario;
use quic_lite::protection::CipherSuite;

use super::run::{Run, Verdict, equal};
use super::tls;

/// The client offers one suite.
pub fn offer(scenario: &mut Scenario) {
    scenario.suites = vec![CipherSuite::ChaCha20Poly1305Sha256];
}

/// Ours beside the runner's: what the server took.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    let tap = &run.pair.tap;
    equal("offered", tls::offered(tap), Some(vec![CHACHA20]))?;
    equal("chosen", tls::chosen(tap), Some(CHACHA20))
}

/// RFC 8446 §B.4.
const CHACHA20: u16 = 0x1303;
