//! Everything arrives bit for bit, whoever sends it: with the fast path off, on, and switched while it runs; over IPv4 and
//! IPv6; with loss. No RFC.
//!
//! The relay is `$QUIC_RELAY`; `make foreign` sets it. Needs root; says SKIP and why otherwise.

use foreign_raw::relay::Peers;
use foreign_raw::scenario::{Mode, Scene, assert_by_kernel};
use foreign_raw::world::Family;

const PEERS: Peers = Peers { quinn: env!("CARGO_BIN_EXE_raw-quinn"), quiche: env!("CARGO_BIN_EXE_raw-quiche") };

/// Short streams, datagrams and long streams, side by side, for a second.
const MIXED: &str = "streams=800 datagrams=800 long=2 long_size=300000";

#[track_caller]
fn exact(test: &str, mode: Mode, family: Family) {
    let Some(mut scene) = Scene::usual(test, &PEERS, mode, family, MIXED, "") else {
        return;
    };
    let (_, packets) = scene.play(mode, true);
    match mode {
        Mode::Off => assert_eq!(packets.0, 0),
        Mode::On => assert_by_kernel(packets, 0.8),
        Mode::Switched(_) => assert_by_kernel(packets, 0.1),
    }
}

#[test]
fn userspace_alone_over_ipv4() {
    exact("userspace_alone_over_ipv4", Mode::Off, Family::V4);
}

#[test]
fn userspace_alone_over_ipv6() {
    exact("userspace_alone_over_ipv6", Mode::Off, Family::V6);
}

/// Two percent on both legs, in both directions. Datagrams may be lost, but not altered or doubled.
#[track_caller]
fn with_loss(test: &str, mode: Mode) {
    let Some(mut scene) = Scene::usual(test, &PEERS, mode, Family::V4, MIXED, "quiet=2000") else {
        return;
    };
    scene.world.lose(2.0);
    let (_, packets) = scene.play(mode, false);
    if mode == Mode::On {
        assert_by_kernel(packets, 0.3);
    }
}

#[test]
fn two_percent_loss_with_userspace_alone() {
    with_loss("two_percent_loss_with_userspace_alone", Mode::Off);
}
