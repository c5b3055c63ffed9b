//! Data on streams: complete, with loss, both ways, and what it costs.

use core::time::Duration;
use std::collections::BTreeMap;

use super::pair::random_loss;
use super::{Direction, Pair, Setup};
use crate::connection::Connection;
use crate::stream::{Read, StreamEvent};
use crate::wire::stream_id::{Dir, StreamId};

/// Reads all that is there; true when the stream ended.
fn drain(connection: &mut Connection, id: StreamId, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match connection.read(id, &mut buffer).unwrap() {
            Read::Bytes(n) => into.extend_from_slice(&buffer[..n]),
            Read::Blocked => return false,
            Read::Finished => return true,
            Read::Reset(code) => panic!("reset {code}"),
        }
    }
}

/// Writes as much of `data` as fits, and finishes at its end.
fn feed(connection: &mut Connection, id: StreamId, data: &[u8], at: &mut usize) {
    while *at < data.len() {
        match connection.write(id, &data[*at..]).unwrap() {
            0 => return,
            n => *at += n,
        }
    }
    if *at == data.len() {
        connection.finish(id).unwrap();
        *at += 1;
    }
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|at| ((at * 31 + seed * 7) >> 3) as u8)
        .collect()
}

/// One transfer from each side on a stream of its own; returns how long it took.
fn transfer_both_ways(pair: &mut Pair, dir: Dir, len: usize) -> Duration {
    let start = pair.now;
    let (up, down) = (pattern(len, 1), pattern(len, 2));
    let (up_id, down_id) = (
        pair.client.open(dir).unwrap(),
        pair.server().open(dir).unwrap(),
    );
    let (mut up_at, mut down_at) = (0, 0);
    let mut got: BTreeMap<StreamId, (Vec<u8>, bool)> = BTreeMap::new();
    pair.run_until(Duration::from_secs(120), |pair| {
        feed(&mut pair.client, up_id, &up, &mut up_at);
        feed(pair.server(), down_id, &down, &mut down_at);
        for event in pair.take_stream_events(Direction::ToServer) {
            if let StreamEvent::Readable(id) = event
                && id == up_id
            {
                let (data, finished) = got.entry(id).or_default();
                *finished |= drain(pair.server(), id, data);
            }
        }
        for event in pair.take_stream_events(Direction::ToClient) {
            if let StreamEvent::Readable(id) = event
                && id == down_id
            {
                let (data, finished) = got.entry(id).or_default();
                *finished |= drain(&mut pair.client, id, data);
            }
        }
        pair.exchange();
        got.values().filter(|(_, finished)| *finished).count() == 2
    });
    assert!(got[&up_id].0 == up && got[&down_id].0 == down);
    pair.now.since(start)
}

#[test]
fn a_megabyte_each_way_on_both_kinds_of_streams() {
    for dir in [Dir::Bi, Dir::Uni] {
        let mut pair = Pair::connected(Setup::default());
        let took = transfer_both_ways(&mut pair, dir, 1 << 20);
        assert!(took < Duration::from_millis(500), "{took:?}");
        let stats = *pair.client.stats();
        assert_eq!(stats.packets_lost, 0);
        assert_eq!(
            (stats.packets_undecryptable, stats.packets_duplicate),
            (0, 0)
        );
    }
}

#[test]
fn large_transfers_fill_larger_datagrams_in_batches() {
    let mut pair = Pair::connected(Setup::default());
    assert_eq!(pair.client.max_datagram_size(), 1452);
    pair.sent.clear();
    transfer_both_ways(&mut pair, Dir::Bi, 1 << 20);
    let full = pair.sent.iter().filter(|(_, len)| *len == 1452).count();
    assert!(full > 1300, "{full}");
}

#[test]
fn transfers_survive_loss() {
    for seed in 0..5 {
        let mut pair = Pair::connected(Setup {
            seed,
            ..Setup::default()
        });
        pair.filter = random_loss(seed, 5);
        transfer_both_ways(&mut pair, Dir::Bi, 300_000);
        let lost = pair.client.stats().packets_lost + pair.server().stats().packets_lost;
        assert!(lost > 10, "{lost}");
    }
}

#[test]
fn transfers_survive_corruption() {
    let mut pair = Pair::connected(Setup::default());
    let mut rng = crate::rng::Rng::from_number(9);
    pair.filter = Box::new(move |flying| {
        if rng.below(50) == 0 {
            let at = rng.below(flying.bytes.len() as u64) as usize;
            flying.bytes[at] ^= 1 << rng.below(8);
        }
        true
    });
    transfer_both_ways(&mut pair, Dir::Uni, 300_000);
    assert!(
        pair.client.stats().packets_undecryptable + pair.server().stats().packets_undecryptable > 0
    );
}

#[test]
fn transfers_survive_a_black_hole() {
    let mut pair = Pair::connected(Setup::default());
    let start = pair.now;
    let outage = start + Duration::from_millis(60)..start + Duration::from_millis(1500);
    pair.filter = Box::new(move |flying| !outage.contains(&flying.at));
    let took = transfer_both_ways(&mut pair, Dir::Bi, 1 << 20);
    assert!(
        took > Duration::from_millis(1400) && took < Duration::from_secs(6),
        "{took:?}"
    );
}

#[test]
fn duplicates_are_not_taken_twice() {
    let mut pair = Pair::connected(Setup::default());
    let id = pair.client.open(Dir::Uni).unwrap();
    pair.client.write(id, b"once").unwrap();
    pair.exchange();
    let copy = pair.flying.back().unwrap().clone();
    pair.flying.push_back(copy);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.server().stats().packets_duplicate, 1);
}

#[test]
fn many_small_streams_leave_nothing_behind() {
    let mut pair = Pair::connected(Setup::default());
    for round in 0..200 {
        for _ in 0..20 {
            let id = pair.client.open(Dir::Uni).unwrap();
            pair.client.write(id, &pattern(100, round)).unwrap();
            pair.client.finish(id).unwrap();
        }
        pair.run_for(Duration::from_millis(60));
        for event in pair.take_stream_events(Direction::ToServer) {
            if let StreamEvent::Readable(id) = event {
                let mut data = Vec::new();
                assert!(drain(pair.server(), id, &mut data));
            }
        }
    }
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.client.streams().open_parts(), 0);
    assert_eq!(pair.server().streams().open_parts(), 0);
    assert_eq!(pair.client.bytes_in_flight(), 0);
}
