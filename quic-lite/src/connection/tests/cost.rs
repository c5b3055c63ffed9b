//! What a connection costs: memory when idle, time per packet. Prints; the bounds are generous.
//! Real figures: `cargo test --release -p quic-lite --lib cost -- --nocapture --ignored`.

use core::time::Duration;

use super::{Direction, Pair, Setup};
use crate::config::Config;
use crate::connection::Connection;
use crate::stream::{Chunk, Read};
use crate::wire::stream_id::Dir;

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn the_struct_is_small() {
    let size = size_of::<Connection>();
    println!("Connection: {size} bytes");
    assert!(size < 4096, "{size}");
}

#[test]
#[ignore = "needs a process of its own"]
fn idle_connections_are_small() {
    let config = Config {
        max_idle_timeout: Duration::ZERO,
        ..Config::default()
    };
    let connect = |seed| {
        let setup = Setup {
            client: config.clone(),
            server: config.clone(),
            seed,
            ..Setup::default()
        };
        let mut pair = Pair::connected(setup);
        pair.run_for(Duration::from_secs(5));
        (pair.client, pair.server)
    };
    let warm: Vec<_> = (0..200).map(connect).collect();
    let before = resident();
    let pairs: Vec<_> = (0..1000).map(connect).collect();
    let each = (resident() - before) / pairs.len() / 2;
    println!("idle connection: {each} bytes");
    assert!(each < 32 << 10 && warm.len() == 200, "{each}");
}

/// Moves datagrams between the two without a link: only the connections cost time.
fn shuttle(pair: &mut Pair, buffer: &mut [u8]) -> u64 {
    let mut packets = 0;
    let (to_server, to_client) = (pair.server().path(), pair.client.path());
    for direction in [Direction::ToServer, Direction::ToClient] {
        loop {
            let server = pair.server.as_mut().unwrap();
            let (from, to, path) = match direction {
                Direction::ToServer => (&mut pair.client, server, to_server),
                Direction::ToClient => (server, &mut pair.client, to_client),
            };
            let Some(transmit) = from.transmit(pair.now, buffer, 10) else {
                break;
            };
            let size = transmit.segment_size.unwrap_or(transmit.len);
            for datagram in buffer[..transmit.len].chunks_mut(size) {
                to.receive(pair.now, path, transmit.ecn, datagram);
                packets += 1;
            }
        }
    }
    packets
}

#[test]
#[ignore = "a measurement"]
fn speed_of_a_bulk_transfer_on_a_stream() {
    let config = Config {
        initial_stream_window: 8 << 20,
        initial_connection_window: 16 << 20,
        ..Config::default()
    };
    let mut pair = Pair::connected(Setup {
        client: config.clone(),
        server: config,
        ..Setup::default()
    });
    let id = pair.client.open(Dir::Uni).unwrap();
    let (mut buffer, mut into, mut read, mut packets) = (vec![0; 65536], vec![0; 65536], 0, 0);
    let data = Chunk::from(vec![7; 64 << 10]);
    #[expect(clippy::disallowed_methods, reason = "a measurement")]
    let start = std::time::Instant::now();
    while read < 300 << 20 {
        while pair.client.streams().unsent_bytes(id) < 256 << 10 {
            pair.client.write_chunk(id, data.clone()).unwrap();
        }
        packets += shuttle(&mut pair, &mut buffer);
        while let Ok(Read::Bytes(n)) = pair.server().read(id, &mut into) {
            read += n;
        }
        pair.now = pair.now + Duration::from_micros(200);
        let now = pair.now;
        pair.client.on_timeout(now);
        pair.server().on_timeout(now);
        while pair
            .client
            .poll_event()
            .or_else(|| pair.server().poll_event())
            .is_some()
        {}
    }
    let took = start.elapsed();
    let bits = read as f64 * 8.0 / took.as_secs_f64() / 1e9;
    println!(
        "stream: {bits:.2} Gbit/s, {:.2} µs per packet (both sides)",
        took.as_secs_f64() * 1e6 / packets as f64
    );
}

#[test]
#[ignore = "a measurement"]
fn speed_of_datagrams() {
    let mut pair = Pair::connected(Setup::default());
    let (mut buffer, mut got, mut packets) = (vec![0; 65536], 0_u64, 0);
    let data = Chunk::from(vec![7; 1200]);
    #[expect(clippy::disallowed_methods, reason = "a measurement")]
    let start = std::time::Instant::now();
    while got < 300_000 {
        while pair.client.queued_datagrams().0 < 64 {
            pair.client.send_datagram_chunk(data.clone()).unwrap();
        }
        packets += shuttle(&mut pair, &mut buffer);
        while pair.server().receive_datagram().is_some() {
            got += 1;
        }
        pair.now = pair.now + Duration::from_micros(200);
        let now = pair.now;
        pair.client.on_timeout(now);
        pair.server().on_timeout(now);
        while pair
            .client
            .poll_event()
            .or_else(|| pair.server().poll_event())
            .is_some()
        {}
    }
    let took = start.elapsed();
    println!(
        "datagrams: {:.2} µs per packet (both sides)",
        took.as_secs_f64() * 1e6 / packets as f64
    );
}
