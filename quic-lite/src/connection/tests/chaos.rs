//! Random schedules: loss, delay, reordering, duplication, moves, key updates, streams and datagrams at
//! once. Whatever happens, the bytes are right, nobody blames the other, and nothing is left behind.

use core::time::Duration;
use std::collections::BTreeMap;

use super::{Direction, Pair, Setup};
use crate::config::Config;
use crate::connection::Connection;
use crate::rng::Rng;
use crate::stream::{Chunk, ReadChunk, StreamEvent};
use crate::wire::stream_id::{Dir, StreamId};

/// The byte that stands at `offset` of a stream.
fn byte(id: StreamId, offset: u64) -> u8 {
    (offset.wrapping_mul(31).wrapping_add(id.value() * 7) >> 3) as u8
}

/// Ranges of a stream that arrived, and how long it is.
#[derive(Default)]
struct Got {
    bytes: u64,
    size: Option<u64>,
}

struct Chaos {
    pair: Pair,
    rng: Rng,
    sizes: BTreeMap<(bool, StreamId), u64>,
    got: BTreeMap<(bool, StreamId), Got>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_number(seed ^ 0xc0ffee);
        let interval = [u64::MAX, 20, 200][rng.below(3) as usize];
        let config = Config {
            key_update_interval: interval,
            initial_connection_window: 20_000 + rng.below(200_000),
            initial_stream_window: 5000 + rng.below(100_000),
            max_uni_streams: 5 + rng.below(50),
            max_bidi_streams: 5,
            // Or a client that moved without knowing would never be found again.
            keep_alive: Some(Duration::from_secs(1)),
            ..Config::default()
        };
        let delay = Duration::from_millis(1 + rng.below(100));
        let setup = Setup {
            client: config.clone(),
            server: config,
            seed,
            delay,
            ..Setup::default()
        };
        let mut pair = Pair::new(setup);
        pair.filter = bad_link(rng.fork());
        Self {
            pair,
            rng,
            sizes: BTreeMap::new(),
            got: BTreeMap::new(),
        }
    }

    fn side(&mut self, is_client: bool) -> &mut Connection {
        if is_client {
            &mut self.pair.client
        } else {
            self.pair.server()
        }
    }

    /// Something that an application might do.
    fn act(&mut self) {
        let is_client = self.rng.below(2) == 0;
        match self.rng.below(10) {
            0..5 => self.send_stream(is_client),
            5..7 => drop(self.side(is_client).send_datagram(&[1; 500])),
            7 => self.side(is_client).ping(),
            8 => drop(self.side(is_client).force_key_update()),
            _ => self.move_client(),
        }
    }

    fn move_client(&mut self) {
        let host = 1 + self.rng.below(3) as u8;
        let port = 1000 + self.rng.below(3) as u16;
        self.pair.client_address = ([10, 0, 0, host], port).into();
    }

    fn send_stream(&mut self, is_client: bool) {
        let dir = if self.rng.below(2) == 0 {
            Dir::Uni
        } else {
            Dir::Bi
        };
        let size = 1 + self.rng.below(30_000);
        let (cut, at_end) = (self.rng.below(size + 1), self.rng.below(2) == 0);
        let connection = self.side(is_client);
        let Some(id) = connection.open(dir) else {
            return;
        };
        let bytes: Vec<u8> = (0..size).map(|offset| byte(id, offset)).collect();
        let whole = Chunk::from(bytes);
        let (head, tail) = (
            whole.slice(0..cut as usize),
            whole.slice(cut as usize..size as usize),
        );
        if !at_end {
            connection.finish_at(id, size).unwrap();
        }
        connection.write_at(id, cut, tail).unwrap();
        connection.write_at(id, 0, head).unwrap();
        if at_end {
            connection.finish_at(id, size).unwrap();
        }
        self.sizes.insert((is_client, id), size);
    }

    fn read_all(&mut self) {
        for (direction, from_client) in [(Direction::ToServer, true), (Direction::ToClient, false)]
        {
            let events = self.pair.take_stream_events(direction);
            let readable = events.into_iter().filter_map(|event| match event {
                StreamEvent::Readable(id) => Some(id),
                _ => None,
            });
            readable.for_each(|id| self.read(from_client, id));
        }
    }

    fn read(&mut self, from_client: bool, id: StreamId) {
        let reader = if from_client {
            self.pair.server.as_mut().unwrap()
        } else {
            &mut self.pair.client
        };
        let got = self.got.entry((from_client, id)).or_default();
        // News of the end may follow after the end was read.
        while got.size.is_none() {
            match reader.read_unordered(id).unwrap() {
                ReadChunk::Chunk { offset, chunk } => {
                    got.bytes += chunk.len() as u64;
                    let right = (offset..)
                        .zip(chunk.iter())
                        .all(|(offset, have)| *have == byte(id, offset));
                    assert!(right, "{id} at {offset}");
                }
                ReadChunk::Blocked => return,
                ReadChunk::Finished => {
                    got.size = Some(got.bytes);
                    return;
                }
                ReadChunk::Reset(code) => panic!("{id} reset {code}"),
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.sizes
            .iter()
            .all(|(key, size)| self.got.get(key).is_some_and(|got| got.size == Some(*size)))
    }

    fn run(&mut self) {
        let up = |pair: &mut Pair| {
            pair.client.is_established()
                && pair.server.as_ref().is_some_and(Connection::is_established)
        };
        self.pair.run_until(Duration::from_secs(10), up);
        for _ in 0..60 {
            for _ in 0..self.rng.below(4) {
                self.act();
            }
            let pause = Duration::from_micros(self.rng.below(100_000));
            self.pair.run_for(pause);
            self.read_all();
            while self.pair.client.receive_datagram().is_some() {}
        }
        for _ in 0..2000 {
            self.pair.run_for(Duration::from_millis(50));
            self.read_all();
            if self.is_complete() {
                break;
            }
        }
        assert!(
            self.is_complete(),
            "{:?} {:?}",
            self.pair.client_error(),
            self.pair.server_error()
        );
        // A last exchange without loss settles everything; the client shows where it is.
        self.pair.filter = Box::new(|_| true);
        self.pair.client.ping();
        self.pair.run_for(Duration::from_secs(20));
        for is_client in [true, false] {
            let connection = self.side(is_client);
            assert!(connection.is_established() && connection.error().is_none());
            // At most a PING to keep alive.
            assert!(
                connection.bytes_in_flight() < 64,
                "{}",
                connection.bytes_in_flight()
            );
        }
    }
}

pub(super) fn bad_link(mut rng: Rng) -> Box<dyn FnMut(&mut super::pair::Flying) -> bool> {
    let (loss, late, corrupt) = (rng.below(15), rng.below(20), rng.below(4));
    Box::new(move |flying| {
        if rng.below(100) < late {
            flying.at = flying.at + Duration::from_micros(rng.below(50_000));
        }
        if rng.below(100) < corrupt {
            let at = rng.below(flying.bytes.len() as u64) as usize;
            flying.bytes[at] ^= 1 << rng.below(8);
        }
        rng.below(100) >= loss
    })
}

/// `SEEDS=5000 cargo test -p quic-lite random_schedules` looks for new failures.
#[test]
fn random_schedules_lose_nothing() {
    let seeds = std::env::var("SEEDS").map_or(SEEDS, |count| count.parse().unwrap());
    for seed in 0..seeds {
        Chaos::new(seed).run();
    }
}

const SEEDS: u64 = 200;
