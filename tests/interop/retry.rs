//! `retry`: the server asks for the address first; the client comes back with the token, and its packet numbers go
//! on. RFC 9000 §8.1.2, §17.2.5.

use std::time::Duration;

use integration::{Kind, Scenario};
use quic_lite::Side;
use quic_lite::wire::header::PacketType;

use super::run::{Run, Verdict, ensure, equal};

/// The server sends Retry to everybody.
pub const fn demand(scenario: &mut Scenario) {
    scenario.retry = true;
}

/// Ours beside the runner's: one Retry, its token in every later Initial, and one round trip more than without.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    let tap = &run.pair.tap;
    equal("Retry packets", tap.kind(Kind::Retry), 1)?;
    let retry = tap
        .from(Side::Server)
        .find(|packet| packet.kind == Kind::Retry);
    let retry = retry.ok_or("no Retry from the server")?;
    let initials = || tap.of_type(Side::Client, PacketType::Initial);
    let (before, after): (Vec<_>, Vec<_>) = initials().partition(|it| it.time < retry.time);
    let highest_before = before.iter().map(|packet| packet.number).max();
    ensure(before.iter().all(|packet| packet.token.is_empty()), || {
        "a token before the Retry".to_owned()
    })?;
    ensure(!after.is_empty() && !retry.token.is_empty(), || {
        "no Initial or no token after the Retry".to_owned()
    })?;
    for packet in after {
        ensure(packet.token == retry.token, || {
            format!("another token: {packet}")
        })?;
        let goes_on = Some(packet.number) > highest_before;
        ensure(goes_on, || format!("numbers begin again: {packet}"))?;
    }
    let took = run.took();
    ensure(took < Duration::from_millis(110), || format!("{took:?}"))
}
