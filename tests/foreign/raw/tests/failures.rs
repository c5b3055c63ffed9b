//! The relay dies or sleeps: the kernel does not go on without it for longer than its lease. No RFC.
//!
//! The relay is `$QUIC_RELAY`; `make foreign` sets it. Needs root; says SKIP and why otherwise.

use std::time::{Duration, Instant};

use foreign_raw::capture::{Capture, Seen};
use foreign_raw::relay::{Peers, Relay, SOON, assert_exact, cleanup};
use foreign_raw::scenario::{LIMIT, Mode, Scene};
use foreign_raw::world::{Family, PORT, Place};
use nix::sys::signal::Signal;

const PEERS: Peers = Peers { quinn: env!("CARGO_BIN_EXE_raw-quinn"), quiche: env!("CARGO_BIN_EXE_raw-quiche") };

/// Longer than the lease; the figure.
const LEASE: Duration = Duration::from_millis(500);

/// When packets from the relay to a subscriber came.
fn from_relay(seen: &[Seen]) -> Vec<Instant> {
    seen.iter().filter(|seen| seen.from.port() == PORT).map(|seen| seen.at).collect()
}

/// When packets from a publisher to the relay came.
fn to_relay(seen: &[Seen]) -> Vec<Instant> {
    seen.iter().filter(|seen| seen.to.port() == PORT).map(|seen| seen.at).collect()
}

/// Kills the relay while it forwards; what `cleanup` says then. Another relay starts in its place before, if so wished.
#[track_caller]
fn killed(test: &str, mode: Mode, is_replaced_first: bool) -> Option<String> {
    // A window that never fills: the publisher goes on although nobody answers.
    let words = "datagrams=4000 window=100000000";
    let mut scene = Scene::usual(test, &PEERS, mode, Family::V4, words, "")?;
    scene.publisher.order("go");
    std::thread::sleep(Duration::from_millis(500));
    let arrivals = Capture::start(&scene.world, Place::Relay, "to-pub");
    let capture = Capture::start(&scene.world, Place::Subscribers, "sub0");
    std::thread::sleep(Duration::from_millis(200));
    let (kernel, _) = scene.relay.packets();
    assert!(kernel > 300, "{:#}", scene.relay.status());
    assert_eq!(cleanup(&scene.world), "", "nothing is taken from a relay that runs");
    let killed = Instant::now();
    scene.relay.process.signal(Signal::SIGKILL);
    std::thread::sleep(Duration::from_millis(1500));
    let (seen, arrived) = (from_relay(&capture.stop()), to_relay(&arrivals.stop()));
    let late = |times: &[Instant]| times.iter().filter(|at| **at > killed + LEASE).count();
    eprintln!("after the kill and the lease: {} packets arrived, {} were forwarded", late(&arrived), late(&seen));
    assert!(seen.iter().any(|at| *at < killed), "nothing was forwarded before");
    assert!(late(&arrived) > 200, "the publisher did not go on");
    assert_eq!(late(&seen), 0);
    let left = (!is_replaced_first).then(|| cleanup(&scene.world));
    // Another relay in its place starts from nothing.
    let relay = Relay::start(test, &scene.world, mode.words()).expect("the first one did start");
    assert_eq!(relay.status()["fast_path"]["slots_used"], 0);
    drop(relay);
    Some(left.unwrap_or_else(|| cleanup(&scene.world)))
}

#[test]
fn killed_relay_forwards_nothing_and_leaves_nothing() {
    let left = killed("killed_relay_forwards_nothing_and_leaves_nothing", Mode::On, false);
    assert!(left.is_none_or(|left| left.is_empty()), "something was still attached");
}

#[test]
fn killed_relay_leaves_filters_of_netlink_that_are_cleaned_up() {
    let left = killed("killed_relay_leaves_filters_of_netlink_that_are_cleaned_up", Mode::Netlink, false);
    let Some(left) = left else { return };
    for interface in ["to-pub", "to-sub"] {
        for program in ["qrelay_ingress", "qrelay_clients", "qrelay_egress"] {
            let line = format!("removed {program} from {interface}\n");
            assert_eq!(left.matches(&line).count(), 1, "{left}");
        }
    }
}

#[test]
fn killed_relay_is_replaced_where_its_filters_are_still() {
    // A relay that is dropped is killed: of the two that were, one set of filters is there.
    let left = killed("killed_relay_is_replaced_where_its_filters_are_still", Mode::Netlink, true);
    assert!(left.is_none_or(|left| left.lines().count() == 6));
}

#[test]
fn sleeping_relay_stops_the_kernel_and_wakes_to_everything() {
    let test = "sleeping_relay_stops_the_kernel_and_wakes_to_everything";
    // Datagrams need no credit of the relay, so they go on while it sleeps; what comes too late of them is lost.
    let words = "long=2 long_size=4500000 datagrams=4500 datagram_max=200 window=100000000";
    let Some(mut scene) = Scene::usual(test, &PEERS, Mode::On, Family::V4, words, "") else {
        return;
    };
    let arrivals = Capture::start(&scene.world, Place::Relay, "to-pub");
    let capture = Capture::start(&scene.world, Place::Subscribers, "sub0");
    scene.publisher.order("go");
    std::thread::sleep(Duration::from_millis(500));
    scene.relay.process.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let woken = Instant::now();
    scene.relay.process.signal(Signal::SIGCONT);
    let (before, _) = scene.relay.packets();
    let sent = scene.publisher.event("sent", LIMIT);
    scene.check(&sent, false);
    let (after, _) = scene.relay.packets();
    let (times, arrived) = (from_relay(&capture.stop()), to_relay(&arrivals.stop()));
    let during = |times: &[Instant]| times.iter().filter(|at| **at > stopped + LEASE && **at < woken).count();
    eprintln!("in the sleep, after the lease: {} packets arrived, {} were forwarded", during(&arrived), during(&times));
    eprintln!("from the kernel at waking {before}, in the end {after}");
    assert!(times.iter().any(|at| *at < stopped), "nothing was forwarded before");
    assert!(during(&arrived) > 500, "the publisher did not go on");
    assert_eq!(during(&times), 0);
    assert!(before > 300 && after > before + 1000, "the kernel goes on: {before}, {after}");
}

#[test]
fn relay_that_ends_in_order_leaves_nothing() {
    let test = "relay_that_ends_in_order_leaves_nothing";
    let Some(mut scene) = Scene::usual(test, &PEERS, Mode::On, Family::V4, "streams=200", "") else {
        return;
    };
    scene.publisher.order("go");
    let sent = scene.publisher.event("sent", LIMIT);
    for subscriber in &mut scene.subscribers {
        assert_exact(&sent, &subscriber.event("received", SOON), true);
    }
    scene.relay.process.signal(Signal::SIGTERM);
    assert!(scene.relay.process.ends(SOON).success());
    assert_eq!(cleanup(&scene.world), "", "something was still attached");
}
