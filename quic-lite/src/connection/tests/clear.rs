//! Connections without protection of 1-RTT packets (draft-banks-quic-disable-encryption).

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pair::random_loss;
use super::{Pair, Setup};
use crate::config::Config;
use crate::stream::Read;
use crate::time::Time;
use crate::wire::stream_id::Dir;

const MESSAGE: &[u8] = b"anybody on the way can read this";

fn config(disable_1rtt_encryption: bool) -> Config {
    Config {
        disable_1rtt_encryption,
        key_update_interval: 20,
        ..Config::default()
    }
}

/// Datagrams on the link in which the message can be read, of the `sent` ones that arrive.
fn readable(client: bool, server: bool, sent: usize) -> u64 {
    let mut pair = Pair::connected(Setup {
        client: config(client),
        server: config(server),
        ..Setup::default()
    });
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    pair.filter = Box::new(move |flying| {
        let mut windows = flying.bytes.windows(MESSAGE.len());
        counter.fetch_add(windows.any(|it| it == MESSAGE).into(), Ordering::Relaxed);
        true
    });
    for _ in 0..sent {
        pair.client.send_datagram(MESSAGE).unwrap();
        pair.server().send_datagram(MESSAGE).unwrap();
        pair.run_for(Duration::from_millis(100));
        let arrived = [&mut pair.client, pair.server.as_mut().unwrap()]
            .map(|connection| connection.receive_datagram());
        assert!(arrived.iter().flatten().all(|it| it[..] == *MESSAGE));
        assert!(arrived.iter().all(Option::is_some));
    }
    assert!(
        pair.client.keys().unwrap().updates > 0,
        "keys change as ever"
    );
    seen.load(Ordering::Relaxed)
}

#[test]
fn packets_are_readable_when_both_want_that_and_never_otherwise() {
    assert_eq!(readable(true, true, 30), 60);
    assert_eq!(readable(true, false, 30), 0);
    assert_eq!(readable(false, true, 30), 0);
}

#[test]
fn a_stream_arrives_over_a_lossy_path_without_protection() {
    let mut pair = Pair::connected(Setup {
        client: config(true),
        server: config(true),
        ..Setup::default()
    });
    pair.filter = random_loss(7, 5);
    let sent: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let id = pair.client.open(Dir::Uni).unwrap();
    let (mut written, mut read) = (0, Vec::new());
    while read.len() < sent.len() && pair.now < Time::from_micros(60_000_000) {
        written += pair.client.write(id, &sent[written..]).unwrap();
        pair.run_for(Duration::from_millis(10));
        let mut buffer = [0; 4096];
        while let Ok(Read::Bytes(len)) = pair.server().read(id, &mut buffer) {
            read.extend_from_slice(&buffer[..len]);
        }
    }
    assert!(read == sent, "{} bytes of {}", read.len(), sent.len());
}
