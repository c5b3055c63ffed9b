//! `handshakeloss`, `handshakecorruption`: fifty connections one after the other on a link that loses or damages 30 %.
//! `transferloss`, `transfercorruption`: 2 MB where it is 2 %. RFC 9002; RFC 9001 §5.5.

use std::time::Duration;

use integration::Scenario;
use integration::link::LinkCounts;
use quic_lite::Time;
use quic_lite::error::ConnectionError;
use quic_lite::io::Application;
use quic_lite::recovery::Congestion;

use super::run::{Files, Run, Verdict, ensure};

/// Nobody gives up before the runner does.
pub const fn patient(scenario: &mut Scenario) {
    scenario.client.handshake_timeout = Duration::from_secs(60);
    scenario.server.handshake_timeout = Duration::from_secs(60);
}

/// NewReno and CUBIC in turns.
pub const fn either_congestion(scenario: &mut Scenario) {
    let congestion = match scenario.seed % 2 {
        0 => Congestion::NewReno,
        _ => Congestion::Cubic,
    };
    scenario.client.congestion = congestion;
    scenario.server.congestion = congestion;
}

/// A file on each of fifty connections.
pub fn multiconnect(pair: &mut Files, limit: Duration) {
    let end = pair.now + limit;
    connect(pair, end);
    for _ in 1..CONNECTIONS {
        pair.connect_again();
        pair.client.app.want(1024);
        connect(pair, end);
    }
}

/// RFC 9000 §6.2: a client must believe a list of versions without its own. When the version in its Initial has been
/// damaged and then the one in the server's answer as well, it can only begin again.
fn connect(pair: &mut Files, end: Time) {
    let no_version = |pair: &Files| {
        let closed = pair.client.closed().map(|(_, error)| error);
        closed == Some(&ConnectionError::VersionNegotiation)
    };
    let done = |pair: &Files| pair.client.app.is_done() && pair.server.app.is_done();
    pair.run_until(end.since(pair.now), |pair| done(pair) || no_version(pair));
    while no_version(pair) {
        pair.connect_again();
        pair.run_until(end.since(pair.now), |pair| done(pair) || no_version(pair));
    }
}

/// `handshakeloss`, `handshakecorruption`: the runner wants as many handshakes as connections, not one more.
pub fn judge_handshakes(run: &Run) -> Verdict {
    run.check(CONNECTIONS)?;
    is_at_fault(run)
}

/// `transferloss`, `transfercorruption`. Ours beside the runner's: a tenth of the bandwidth at least.
pub fn judge_transfer(run: &Run) -> Verdict {
    run.check(1)?;
    is_at_fault(run)?;
    ensure(run.goodput() > 10, || format!("{} %", run.goodput()))
}

/// The link did what it should, in both directions.
fn is_at_fault(run: &Run) -> Verdict {
    let network = &run.pair.network;
    let is_bad = |counts: LinkCounts| counts.lost + counts.corrupted > 0;
    let counts = [network.to_server.counts(), network.to_client.counts()];
    ensure(counts.map(is_bad) == [true; 2], || format!("{counts:?}"))
}

const CONNECTIONS: usize = 50;
