//! Rows 19 and 20 of doc/attacks.md in bytes: a hundred thousand datagrams of garbage and as many Initials from as many
//! forged addresses, while media flows. RFC 9000 §8.1, §21.2, §21.5.

use std::net::SocketAddr;
use std::time::Duration;

use integration::forge::stranger;
use quic_lite::connection::FourTuple;
use quic_lite::rng::Rng;
use quic_relay::serve::RelayConfig;

use super::party::Part;
use super::world::{RELAY, World};
use super::{KIB, live, subgroup};

/// What strangers cost.
struct Cost {
    /// Bytes allocated at most, beyond what was before.
    peak: usize,
    /// Bytes that are left when it is over, and handshakes have had their time.
    rest: isize,
    /// Datagrams to strangers, and their bytes.
    answers: (u64, u64),
    /// How long it took.
    took: Duration,
}

/// So many datagrams of strangers, one every 20 µs, while a group of media goes by every 10 ms.
fn flood(mut datagram: impl FnMut(u32, &mut Rng) -> Vec<u8>) -> Cost {
    let mut world = World::new(RelayConfig {
        cache_bytes: 256 * KIB,
        ..RelayConfig::default()
    });
    world.join(Part::Publish, 1);
    let place = world.join(Part::Subscribe, 2);
    let mut groups = 0;
    let mut publish = |world: &mut World| {
        world.parties[0].publish(subgroup(groups, 3, 300));
        groups += 1;
    };
    // The cache is full, and all tables have their size.
    for _ in 0..400 {
        publish(&mut world);
        world.run(Duration::from_millis(10));
    }
    let (start, begun, mut rng) = (live(), world.now, Rng::from_number(1));
    world.strays = (0, 0);
    let mut peak = start;
    for number in 0..STRANGERS {
        let [_, b, c, d] = number.to_be_bytes();
        let remote = SocketAddr::from(([100, b, c, d], 20_000 + (number % 40_000) as u16));
        let path = FourTuple {
            local: RELAY,
            remote,
        };
        let mut bytes = datagram(number, &mut rng);
        world
            .relay
            .endpoint
            .receive(world.now, path, None, &mut bytes);
        if number % 50 == 49 {
            world.run(Duration::from_millis(1));
            peak = peak.max(live());
        }
        if number % 500 == 499 {
            publish(&mut world);
        }
    }
    world.run(Duration::from_millis(100));
    let (answers, took) = (world.strays, world.now.since(begun));
    assert_eq!(
        world.parties[place].tally.streams,
        2 * groups,
        "media was lost"
    );
    world.run(Duration::from_secs(20));
    assert_eq!(world.relay.endpoint.half_open(), 0);
    assert_eq!(world.relay.endpoint.len(), 3);
    Cost {
        peak: peak - start,
        rest: live() as isize - start as isize,
        answers,
        took,
    }
}

/// Bytes of every size, of which half look like 1-RTT packets and some like other versions.
fn garbage(_: u32, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; rng.below(1473) as usize];
    rng.fill(&mut bytes);
    bytes
}

#[test]
fn row_20_a_hundred_thousand_datagrams_of_garbage_cost_next_to_nothing() {
    let cost = flood(garbage);
    report("garbage", &cost);
    assert!(cost.peak <= 256 * KIB && cost.rest <= 64 * KIB as isize);
    // A thousand resets a second, of 60 bytes at most, and as many Version Negotiations of 600.
    let seconds = cost.took.as_secs() + 2;
    assert!(cost.answers.0 > 100 && cost.answers.0 <= 2 * 1000 * seconds);
    assert!(cost.answers.1 <= 660 * 1000 * seconds);
}

#[test]
fn row_19_a_hundred_thousand_forged_clients_cost_what_is_stated() {
    let first: Vec<Vec<u8>> = (0..16_u64).map(stranger).collect();
    let cost = flood(|number, _| first[number as usize % first.len()].clone());
    report("forged clients", &cost);
    // 256 handshakes, before Retry begins.
    assert!(cost.peak <= 256 * HALF_OPEN + 512 * KIB);
    assert!(cost.rest <= 128 * KIB as isize);
    // Less than what came, by far: a Retry is smaller than a sixth of an Initial.
    let came = u64::from(STRANGERS) * 1200;
    assert!(cost.answers.0 > u64::from(STRANGERS) / 2 && cost.answers.1 <= came / 6);
}

fn report(what: &str, cost: &Cost) {
    let Cost {
        peak,
        rest,
        answers,
        took,
    } = cost;
    println!(
        "{STRANGERS} {what} in {took:?}: at most {peak} bytes, {rest} afterwards; {} answers, {} bytes",
        answers.0, answers.1
    );
}

/// Datagrams, each from an address of its own.
const STRANGERS: u32 = 100_000;
/// What an unfinished handshake may cost a relay.
const HALF_OPEN: usize = 16 * KIB;
