//! Connections change while the kernel forwards: keys, addresses, who is there, more than there is room for. Nothing is
//! altered or lost by that, and the kernel goes on. RFC 9001 §6, RFC 9000 §9.
//!
//! The relay is `$QUIC_RELAY`; `make foreign` sets it. Needs root; says SKIP and why otherwise.

use std::time::{Duration, Instant};

use foreign_raw::capture::{Capture, Seen};
use foreign_raw::process::Process;
use foreign_raw::relay::{Peers, SOON, Stack};
use foreign_raw::scenario::{LIMIT, Mode, Scene, assert_by_kernel};
use foreign_raw::world::{Family, PORT, Place};
use serde_json::Value;

const PEERS: Peers = Peers { quinn: env!("CARGO_BIN_EXE_raw-quinn"), quiche: env!("CARGO_BIN_EXE_raw-quiche") };

#[test]
fn key_update_every_hundred_packets() {
    let test = "key_update_every_hundred_packets";
    let words = "streams=1500 datagrams=1500 update=100";
    let Some(mut scene) = Scene::usual(test, &PEERS, Mode::On, Family::V4, words, "update=100") else {
        return;
    };
    let (sent, packets) = scene.play(Mode::On, true);
    assert!(sent["updates"].as_u64() > Some(5), "{sent}");
    assert_by_kernel(packets, 0.3);
}

#[test]
fn subscriber_takes_another_port_again_and_again() {
    let test = "subscriber_takes_another_port_again_and_again";
    let Some(mut scene) = Scene::usual(test, &PEERS, Mode::On, Family::V4, "streams=1500 datagrams=1500", "") else {
        return;
    };
    scene.publisher.order("go");
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(250));
        scene.subscribers[0].order("rebind");
        scene.subscribers[0].event("rebound", SOON);
    }
    let sent = scene.publisher.event("sent", LIMIT);
    // A datagram to the port that was left is lost.
    scene.check(&sent, false);
    assert_by_kernel(scene.relay.packets(), 0.4);
}

#[test]
fn publisher_takes_another_port_again_and_again() {
    let test = "publisher_takes_another_port_again_and_again";
    let Some(mut scene) = Scene::usual(test, &PEERS, Mode::On, Family::V6, "streams=1500 datagrams=1500", "") else {
        return;
    };
    scene.publisher.order("go");
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(250));
        scene.publisher.order("rebind");
        scene.publisher.event("rebound", SOON);
    }
    let sent = scene.publisher.event("sent", LIMIT);
    scene.check(&sent, false);
    assert_by_kernel(scene.relay.packets(), 0.4);
}

/// RFC 9000 §8.1: up to three times what came from an address that has not been validated.
#[test]
fn unvalidated_address_gets_no_packet_from_the_kernel() {
    let test = "unvalidated_address_gets_no_packet_from_the_kernel";
    // So slow that what gathers for the one who is not heard of is less than the relay keeps for it.
    let words = "streams=1200 datagrams=1200 interval=2000";
    let Some(mut scene) = Scene::usual(test, &PEERS, Mode::On, Family::V4, words, "") else {
        return;
    };
    scene.publisher.order("go");
    std::thread::sleep(Duration::from_millis(300));
    scene.world.block(Family::V4, NEW_PORT);
    let capture = Capture::start(&scene.world, Place::Subscribers, "sub0");
    scene.subscribers[0].order(&format!("rebind {NEW_PORT}"));
    scene.subscribers[0].event("rebound", SOON);
    std::thread::sleep(Duration::from_millis(800));
    let seen = capture.stop();
    scene.world.unblock();
    let bytes = |wanted: &dyn Fn(&&Seen) -> bool| seen.iter().filter(wanted).map(|seen| seen.payload).sum::<usize>();
    let (sent, received) = (bytes(&|seen| seen.to.port() == NEW_PORT), bytes(&|seen| seen.from.port() == NEW_PORT));
    let others = seen.iter().filter(|seen| seen.from.port() == PORT && seen.to.port() != NEW_PORT).count();
    eprintln!("from the new port {received} bytes, to it {sent}, to others {others} packets");
    assert!(received > 0 && others > 300, "the run was not what it should be");
    assert!(sent <= 3 * received, "{sent} bytes for {received}");
    let sent = scene.publisher.event("sent", LIMIT);
    scene.check(&sent, false);
}

/// Any that is free.
const NEW_PORT: u16 = 7777;

#[test]
fn thousand_joins_and_leaves() {
    let test = "thousand_joins_and_leaves";
    let Some(mut scene) = Scene::usual(test, &PEERS, Mode::On, Family::V4, "streams=4000 datagrams=4000 interval=2000", "")
    else {
        return;
    };
    scene.publisher.order("go");
    let relay = scene.world.relay_address(Place::Subscribers, Family::V4).to_string();
    let mut command = scene.world.command(Place::Subscribers, PEERS.quinn);
    command.args(["visit", &relay, "visits=1000", "at_once=8"]);
    let begun = Instant::now();
    let visited = Process::start("visitors", &mut command).event("visited", LIMIT);
    eprintln!("{visited} in {:?}", begun.elapsed());
    assert_eq!(visited["altered"], 0, "{visited}");
    assert!(visited["whole"].as_u64() > Some(500), "{visited}");
    let sent = scene.publisher.event("sent", LIMIT);
    // RFC 9221 §5.2: a thousand handshakes on a busy machine may cost a datagram.
    scene.check(&sent, false);
    assert_by_kernel(scene.relay.packets(), 0.3);
    // A publisher and three subscribers; visitors that have not been heard leaving are forgotten soon.
    let status = until(SOON, || scene.relay.status(), |status| status["fast_path"]["slots_used"] == 4);
    assert_eq!(status["fast_path"]["slots_used"], 4, "{status:#}");
}

#[track_caller]
fn until(limit: Duration, look: impl Fn() -> Value, is_good: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + limit;
    loop {
        let value = look();
        if is_good(&value) || Instant::now() > end {
            return value;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn more_subscribers_than_slots() {
    let test = "more_subscribers_than_slots";
    let Some(world) = foreign_raw::world::World::build(test) else {
        return;
    };
    let words = "--raw --fast-path require --fast-path-slots 4";
    let Some(relay) = foreign_raw::relay::Relay::start(test, &world, words) else {
        return;
    };
    // Before the subscribers, so that it has a slot.
    let publisher = PEERS.publisher(&world, Family::V4, "streams=800 datagrams=800");
    let stacks = [Stack::Quinn, Stack::Quinn, Stack::Quiche, Stack::Quinn, Stack::Quiche, Stack::Quinn];
    let subscribers = stacks.map(|stack| PEERS.subscriber(&world, stack, Family::V4, "")).into();
    let mut scene = Scene { publisher, subscribers, relay, world };
    scene.publisher.order("go");
    let sent = scene.publisher.event("sent", LIMIT);
    scene.check(&sent, true);
    let status = scene.relay.status();
    let subscribers = status["connections"].as_array().into_iter().flatten().filter(|one| one["role"] == "subscriber");
    let (inside, outside): (Vec<_>, Vec<_>) = subscribers.partition(|one| one["in_kernel"] == true);
    assert_eq!((inside.len(), outside.len()), (3, 3), "{status:#}");
    assert!(outside.iter().all(|one| one["packets_from_kernel"] == 0 && one["reason"].is_string()), "{status:#}");
    assert!(inside.iter().all(|one| one["packets_from_kernel"].as_u64() > Some(300)), "{status:#}");
}
