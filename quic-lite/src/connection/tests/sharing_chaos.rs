//! Random schedules with two senders: loss, moves, key updates, streams given up, kernels that come and
//! go, tell late, in any order, and waste numbers. Every byte is right and nobody blames the other.

use core::time::Duration;

use super::chaos::bad_link;
use super::kernel::Unit;
use super::relayed::Relay;
use super::{Pair, Setup};
use crate::config::Config;
use crate::rng::Rng;

fn setup(seed: u64, rng: &mut Rng) -> Setup {
    let config = Config {
        key_update_interval: [u64::MAX, 30, 200][rng.below(3) as usize],
        initial_connection_window: 10_000 + rng.below(200_000),
        initial_stream_window: 3000 + rng.below(100_000),
        max_uni_streams: 3 + rng.below(40),
        // Or a client that moved without knowing would never be found again.
        keep_alive: Some(Duration::from_secs(1)),
        ..Config::default()
    };
    Setup {
        client: config.clone(),
        server: config,
        seed,
        delay: Duration::from_millis(1 + rng.below(60)),
        ..Setup::default()
    }
}

fn set_manners(relay: &mut Relay, rng: &mut Rng) {
    let mut kernel = relay.kernel();
    kernel.late = Duration::from_millis(rng.below(2) * rng.below(80));
    kernel.shuffles = rng.below(2) == 0;
    kernel.restless = rng.below(2) * rng.below(20);
    kernel.burns = rng.below(2) * rng.below(15);
    drop(kernel);
    relay.refuses = rng.below(40);
}

/// Something that an application, a peer or a kernel might do.
fn act(relay: &mut Relay, rng: &mut Rng) {
    let index = rng.below(relay.upstream.len() as u64) as usize;
    match rng.below(40) {
        0..20 => relay.publish(index),
        20..25 => relay.begin(1 + rng.below(15_000)),
        25..28 => drop(relay.send(&[Unit::Datagram(vec![1; 300])])),
        28 => drop(relay.pair.server().send_datagram(&[1; 500])),
        29 => drop(relay.pair.server().force_key_update()),
        30 => drop(relay.pair.client.force_key_update()),
        31 => {
            let (host, port) = (1 + rng.below(3) as u8, 1000 + rng.below(3) as u16);
            relay.pair.client_address = ([10, 0, 0, host], port).into();
        }
        32 => relay.stop(index),
        33 => relay.reset(index),
        34 => {
            relay.replace_kernel();
            set_manners(relay, rng);
        }
        35..37 => relay.hand_over(index),
        _ => relay.pair.client.ping(),
    }
}

fn one_schedule(seed: u64) {
    let mut rng = Rng::from_number(seed ^ 0xca05);
    let mut relay = Relay::new(setup(seed, &mut rng));
    set_manners(&mut relay, &mut rng);
    relay.pair.filter = bad_link(rng.fork());
    relay.begin(5000);
    for _ in 0..150 {
        for _ in 0..rng.below(5) {
            act(&mut relay, &mut rng);
        }
        relay.pass(Duration::from_micros(rng.below(30_000)));
    }
    relay.kernel().restless = 0;
    relay.run();
    // A last exchange without loss settles everything; the client shows where it is.
    relay.pair.filter = Box::new(|_| true);
    relay.pair.client.ping();
    relay.pass(Duration::from_secs(20));
    let Pair { client, server, .. } = &relay.pair;
    for connection in [client, server.as_ref().unwrap()] {
        assert!(connection.is_established() && connection.error().is_none());
        // At most a PING to keep alive.
        assert!(
            connection.bytes_in_flight() < 64,
            "{}",
            connection.bytes_in_flight()
        );
    }
    assert_eq!(relay.kernel().untold(), 0);
}

/// `SEEDS=5000 cargo test -p quic-lite random_schedules` looks for new failures.
#[test]
fn random_schedules_of_two_senders_lose_nothing() {
    let seeds = std::env::var("SEEDS").map_or(SEEDS, |count| count.parse().unwrap());
    (0..seeds).for_each(one_schedule);
}

const SEEDS: u64 = 100;
