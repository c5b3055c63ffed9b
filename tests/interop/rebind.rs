//! `rebind-port`, `rebind-addr`: a NAT gives the client another port, or another address as well, after a second and
//! then every five, while 10 MB come. The first packet to each new address has a PATH_CHALLENGE, and the client
//! answers it. RFC 9000 §8.2, §9.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use integration::Scenario;
use integration::network::{CLIENT, address};
use quic_lite::Side;

use super::run::{Files, Run, Verdict, ensure};

/// A client that only receives must speak up now and then, or nobody learns where it is.
pub const fn speak_up(scenario: &mut Scenario) {
    scenario.client.keep_alive = Some(Duration::from_secs(1));
}

/// The port changes.
pub fn ports(pair: &mut Files, limit: Duration) {
    play(pair, limit, |moves| address(2, CLIENT.port() + moves));
}

/// The address changes, too.
pub fn addresses(pair: &mut Files, limit: Duration) {
    play(pair, limit, |moves| {
        address(2 + moves as u8, CLIENT.port() + moves)
    });
}

fn play(pair: &mut Files, limit: Duration, next: impl Fn(u16) -> SocketAddr) {
    let end = pair.now + limit;
    pair.run_for(Duration::from_secs(1));
    let mut moves = 0;
    while !pair.client.app.has_all() {
        moves += 1;
        assert!(pair.now < end, "the transfer does not end");
        pair.network.rebind(next(moves));
        pair.run_for(Duration::from_secs(5));
    }
}

/// `rebind-port`. Ours beside the runner's: an outage of a round trip or two per move, not more.
pub fn judge_ports(run: &Run) -> Verdict {
    run.check(1)?;
    let moves = run.pair.tap.new_paths()?;
    ensure(moves >= 2, || format!("{moves} new addresses"))?;
    let took = run.took();
    ensure(took < Duration::from_secs(12), || format!("{took:?}"))
}

/// `rebind-addr`.
pub fn judge_addresses(run: &Run) -> Verdict {
    judge_ports(run)?;
    let clients = run
        .pair
        .tap
        .from(Side::Server)
        .map(|packet| packet.client.ip());
    let ips: BTreeSet<_> = clients.collect();
    ensure(ips.len() > 2, || format!("only {ips:?}"))
}
