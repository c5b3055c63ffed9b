//! Checksums that devices complete, and packets that they cut: whatever is switched on or off, every packet that leaves is
//! right. RFC 768, RFC 8200 §8.1.
//!
//! Veth devices look at no checksum, so the tests do: in every packet that stands on the wire behind the relay. The relay is
//! `$QUIC_RELAY`; `make foreign` sets it. Needs root and ethtool; says SKIP and why otherwise.

use foreign_raw::capture::{Capture, Seen, Sum};
use foreign_raw::relay::Peers;
use foreign_raw::scenario::{Mode, Scene, assert_by_kernel};
use foreign_raw::world::{Family, PORT, Place};

const PEERS: Peers = Peers { quinn: env!("CARGO_BIN_EXE_raw-quinn"), quiche: env!("CARGO_BIN_EXE_raw-quiche") };

const PLACES: [Place; 3] = [Place::Publisher, Place::Relay, Place::Subscribers];

/// Runs with transmit checksums left to the devices or not, at the publisher and behind the relay.
#[track_caller]
fn sums(test: &str, mode: Mode, family: Family, publisher: &str, relay: &str) {
    let Some(mut scene) = Scene::usual(test, &PEERS, mode, family, "streams=300 datagrams=300", "") else {
        return;
    };
    scene.world.offloads(Place::Publisher, "pub0", &format!("tx {publisher}"));
    scene.world.offloads(Place::Relay, "to-sub", &format!("tx {relay}"));
    let capture = Capture::start(&scene.world, Place::Subscribers, "sub0");
    let (_, packets) = scene.play(mode, true);
    if mode == Mode::On {
        assert_by_kernel(packets, 0.5);
    }
    let seen = capture.stop();
    let seen: Vec<&Seen> = seen.iter().filter(|seen| seen.from.port() == PORT).collect();
    assert!(seen.len() as u64 >= packets.0, "{} of {} packets were seen", seen.len(), packets.0);
    for one in &seen {
        let is_right = one.sum == Sum::Right || (relay == "on" && one.sum == Sum::Partial);
        let is_clean = one.dont_fragment && one.ttl == 64 && one.ecn != 1 && one.ecn != 3;
        assert!(is_right && is_clean, "{one:?}; offload {publisher} at the publisher, {relay} at the relay");
    }
    for place in PLACES {
        assert_eq!(scene.world.bad_checksums(place), 0, "{place:?}: offload {publisher}, {relay}");
    }
}

#[track_caller]
fn all_sums(test: &str, mode: Mode, family: Family) {
    for (publisher, relay) in [("on", "off"), ("off", "off"), ("on", "on"), ("off", "on")] {
        sums(test, mode, family, publisher, relay);
    }
}

#[test]
fn checksums_of_userspace() {
    sums("checksums_of_userspace", Mode::Off, Family::V4, "on", "off");
    sums("checksums_of_userspace", Mode::Off, Family::V6, "on", "off");
}

#[test]
fn checksums_of_the_kernel_over_ipv4() {
    all_sums("checksums_of_the_kernel_over_ipv4", Mode::On, Family::V4);
}

#[test]
fn checksums_of_the_kernel_over_ipv6() {
    all_sums("checksums_of_the_kernel_over_ipv6", Mode::On, Family::V6);
}

/// A sender on a veth hands over many packets as one; a real device never delivers that. They go up whole, or are cut.
#[track_caller]
fn super_packets(test: &str, mode: Mode, words: &str) {
    let words = format!("long=4 long_size=2000000 streams=200 max=20000 {words}");
    let Some(mut scene) = Scene::usual(test, &PEERS, mode, Family::V4, &words, "") else {
        return;
    };
    scene.world.link(Place::Publisher, "pub0", "gso_max_segs 64");
    scene.world.offloads(Place::Publisher, "pub0", "tx on tx-udp-segmentation on");
    let capture = Capture::start(&scene.world, Place::Relay, "to-pub");
    scene.play(mode, true);
    let seen = capture.stop();
    let largest = seen.iter().filter(|seen| seen.to.port() == PORT).map(|seen| seen.payload).max();
    eprintln!("largest packet at the relay: {largest:?}");
    assert!(largest > Some(3000), "no packet was a packet of packets: {largest:?}");
    for place in PLACES {
        assert_eq!(scene.world.bad_checksums(place), 0, "{place:?}");
    }
}

#[test]
fn super_packets_with_userspace_alone() {
    super_packets("super_packets_with_userspace_alone", Mode::Off, "");
}

#[test]
fn super_packets_with_the_kernel() {
    super_packets("super_packets_with_the_kernel", Mode::On, "");
}
