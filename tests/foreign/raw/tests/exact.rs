//! Everything arrives bit for bit, whoever sends it: with the fast path off, on, and switched while it runs; over IPv4 and
//! IPv6; with loss. No RFC.
//!
//! The relay is `$QUIC_RELAY`; `make foreign` sets it. Needs root; says SKIP and why otherwise.

use foreign_raw::relay::{Peers, SOON, Stack};
use foreign_raw::scenario::{LIMIT, Mode, Scene, assert_by_kernel};
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
        Mode::On | Mode::Netlink => assert_by_kernel(packets, 0.5),
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

#[test]
fn kernel_over_ipv4() {
    exact("kernel_over_ipv4", Mode::On, Family::V4);
}

#[test]
fn kernel_over_ipv6() {
    exact("kernel_over_ipv6", Mode::On, Family::V6);
}

#[test]
fn kernel_attached_by_netlink() {
    exact("kernel_attached_by_netlink", Mode::Netlink, Family::V4);
}

#[test]
fn switched_at_random_over_ipv4() {
    exact("switched_at_random_over_ipv4", Mode::switched("switched_at_random_over_ipv4"), Family::V4);
}

#[test]
fn switched_at_random_over_ipv6() {
    exact("switched_at_random_over_ipv6", Mode::switched("switched_at_random_over_ipv6"), Family::V6);
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

#[test]
fn two_percent_loss_with_the_kernel() {
    with_loss("two_percent_loss_with_the_kernel", Mode::On);
}

#[test]
fn two_percent_loss_switched_at_random() {
    let test = "two_percent_loss_switched_at_random";
    with_loss(test, Mode::switched(test));
}

#[test]
fn subscribers_of_the_other_family_are_served_by_userspace() {
    let test = "subscribers_of_the_other_family_are_served_by_userspace";
    let Some((world, relay)) = Scene::relay(test, Mode::On) else {
        return;
    };
    let subscribers = [Family::V4, Family::V6].map(|family| PEERS.subscriber(&world, Stack::Quinn, family, ""));
    let publisher = PEERS.publisher(&world, Family::V4, "streams=300 datagrams=300");
    let mut scene = Scene { publisher, subscribers: subscribers.into(), relay, world };
    scene.publisher.order("go");
    let sent = scene.publisher.event("sent", LIMIT);
    scene.check(&sent, true);
    let status = scene.relay.status();
    let subscribers = status["connections"].as_array().into_iter().flatten().filter(|one| one["role"] == "subscriber");
    for connection in subscribers {
        let of_ipv6 = connection["peer"].as_str().is_some_and(|peer| peer.starts_with("[fd73"));
        assert_eq!(connection["packets_from_kernel"] == 0, of_ipv6, "{connection}");
    }
}

#[test]
fn publisher_without_chacha20_is_served_by_userspace_which_says_why() {
    let test = "publisher_without_chacha20_is_served_by_userspace_which_says_why";
    let Some((world, relay)) = Scene::relay(test, Mode::On) else {
        return;
    };
    let subscribers = vec![PEERS.subscriber(&world, Stack::Quinn, Family::V4, "")];
    let publisher = PEERS.publisher(&world, Family::V4, "streams=200 datagrams=200 aes=1");
    let mut scene = Scene { publisher, subscribers, relay, world };
    scene.publisher.order("go");
    let sent = scene.publisher.event("sent", LIMIT);
    scene.check(&sent, true);
    let status = scene.relay.status();
    let publisher = status["connections"].as_array().into_iter().flatten().find(|one| one["role"] == "publisher");
    let reason = publisher.expect("it is there")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("cipher"), "{status:#}");
    assert_eq!(scene.relay.packets().0, 0);
}

/// Its copies are longer than the publisher's packets, for which the relay asks publishers to leave room.
#[test]
fn subscriber_with_longer_connection_ids_than_ours() {
    let test = "subscriber_with_longer_connection_ids_than_ours";
    let Some((world, relay)) = Scene::relay(test, Mode::On) else {
        return;
    };
    let subscribers = ["cid=0", "cid=20"].map(|words| PEERS.subscriber(&world, Stack::Quiche, Family::V6, words));
    let publisher = PEERS.publisher(&world, Family::V6, MIXED);
    let mut scene = Scene { publisher, subscribers: subscribers.into(), relay, world };
    let (_, packets) = scene.play(Mode::On, true);
    assert_by_kernel(packets, 0.5);
}

#[test]
fn relay_with_one_interface_in_both_roles() {
    let test = "relay_with_one_interface_in_both_roles";
    let Some((world, relay)) = Scene::relay(test, Mode::On) else {
        return;
    };
    let subscribers = [Stack::Quinn, Stack::Quiche].map(|stack| PEERS.subscriber(&world, stack, Family::V4, ""));
    let place = foreign_raw::world::Place::Subscribers;
    let publisher = PEERS.publisher_at(&world, place, Family::V4, MIXED);
    let mut scene = Scene { publisher, subscribers: subscribers.into(), relay, world };
    let (_, packets) = scene.play(Mode::On, true);
    assert_by_kernel(packets, 0.5);
    scene.publisher.order("leave");
    assert!(scene.publisher.ends(SOON).success());
}
