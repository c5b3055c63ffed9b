//! The raw protocol between stacks nobody here wrote, on loopback: a quinn publisher, quinn and quiche subscribers. No RFC;
//! the protocol is defined in `relay/src/raw.rs`.
//!
//! The relay is `$QUIC_RELAY`; `make foreign` sets it.

use std::process::Command;
use std::time::Duration;

use foreign_raw::process::{Process, required};
use foreign_raw::relay::{SOON, assert_exact};

const QUINN: &str = env!("CARGO_BIN_EXE_raw-quinn");
const QUICHE: &str = env!("CARGO_BIN_EXE_raw-quiche");
const LIMIT: Duration = Duration::from_secs(60);

/// A relay on a port of its own, and where it is.
fn relay() -> (Process, String) {
    let mut command = Command::new(required("QUIC_RELAY"));
    command.args(["serve", "--raw", "--bind", "127.0.0.1:0", "--tls-generate", "localhost", "--report", "-"]);
    let mut relay = Process::start("relay", &mut command);
    let address = relay.event("listening", SOON)["address"].as_str().expect("an address").to_owned();
    (relay, address)
}

#[track_caller]
fn peer(program: &str, role: &str, relay: &str, words: &str) -> Process {
    let mut command = Command::new(program);
    command.args([role, relay]).args(words.split_whitespace());
    let mut process = Process::start(&format!("{program} {role}"), &mut command);
    process.event("ready", SOON);
    process
}

/// One publisher, two quinn subscribers and one of quiche: they all get everything, once. What the publisher
/// and the first subscriber tell.
#[track_caller]
fn exact(publisher: &str, subscriber: &str) -> (serde_json::Value, serde_json::Value) {
    let (_relay, address) = relay();
    let mut subscribers = [(QUINN, subscriber), (QUINN, subscriber), (QUICHE, "credit=20")]
        .map(|(program, words)| peer(program, "sub", &address, words));
    let mut publisher = peer(QUINN, "pub", &address, publisher);
    publisher.order("go");
    let sent = publisher.event("sent", LIMIT);
    for subscriber in &mut subscribers {
        assert_exact(&sent, &subscriber.event("received", LIMIT), true);
    }
    let left = subscribers.each_mut().map(|subscriber| {
        subscriber.order("leave");
        let left = subscriber.event("left", SOON);
        assert_exact(&sent, &left, true);
        left
    });
    publisher.order("leave");
    assert!(publisher.ends(SOON).success());
    (sent, left[0].clone())
}

#[test]
fn every_stream_arrives_whole() {
    exact("streams=200 max=20000 interval=2000", "");
}

#[test]
fn streams_of_one_packet_as_fast_as_they_go_arrive_whole() {
    exact("streams=1000 max=900 interval=1", "");
}

#[test]
fn every_datagram_arrives_once() {
    exact("datagrams=500 interval=2000", "");
}

#[test]
fn streams_that_last_and_datagrams_arrive_side_by_side() {
    exact("streams=300 datagrams=300 long=3 long_size=400000", "");
}

#[test]
fn key_updates_of_both_sides_disturb_nothing() {
    let (sent, left) = exact("streams=600 update=50", "update=70");
    assert!(sent["updates"].as_u64() > Some(3) && left["updates"].as_u64() > Some(3), "{sent}, {left}");
}

#[test]
fn subscriber_that_takes_another_port_misses_nothing() {
    let (_relay, address) = relay();
    let mut subscriber = peer(QUINN, "sub", &address, "");
    let mut publisher = peer(QUINN, "pub", &address, "streams=1000");
    publisher.order("go");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(200));
        subscriber.order("rebind");
        subscriber.event("rebound", SOON);
    }
    let sent = publisher.event("sent", LIMIT);
    assert_exact(&sent, &subscriber.event("received", LIMIT), true);
}

#[test]
fn late_subscriber_gets_whole_streams_from_its_coming_on() {
    let (_relay, address) = relay();
    let mut early = peer(QUINN, "sub", &address, "");
    let mut publisher = peer(QUINN, "pub", &address, "streams=400 interval=4000 max=9000");
    publisher.order("go");
    std::thread::sleep(Duration::from_millis(500));
    let mut late = [QUINN, QUICHE].map(|program| peer(program, "sub", &address, "silence=700"));
    let sent = publisher.event("sent", LIMIT);
    for subscriber in &mut late {
        let received = subscriber.event("received", LIMIT);
        for name in ["altered", "doubled", "reset"] {
            assert_eq!(received[name], 0, "{received}");
        }
        let (got, all) = (received["streams"].as_u64(), sent["streams"].as_u64());
        assert!(got > Some(100) && got < all, "{received}");
    }
    assert_exact(&sent, &early.event("received", LIMIT), true);
}
