//! DATAGRAM frames (RFC 9221).

use core::time::Duration;

use super::{Pair, Setup};
use crate::config::Config;
use crate::connection::{DatagramError, Event};

#[test]
fn datagrams_arrive_both_ways() {
    let mut pair = Pair::connected(Setup::default());
    let max = pair.client.max_datagram_payload().unwrap();
    for len in [0, 1, 100, max] {
        pair.client.send_datagram(&vec![1; len]).unwrap();
        pair.server().send_datagram(&vec![2; len]).unwrap();
    }
    assert_eq!(
        pair.client.send_datagram(&vec![0; max + 1]),
        Err(DatagramError::TooLarge(max))
    );
    pair.run_for(Duration::from_millis(50));
    for connection in [&mut pair.client, pair.server.as_mut().unwrap()] {
        let lengths: Vec<_> = core::iter::from_fn(|| connection.receive_datagram())
            .map(|d| d.len())
            .collect();
        assert_eq!(lengths, [0, 1, 100, max]);
    }
    let told = pair
        .server_events
        .iter()
        .filter(|event| **event == Event::DatagramReceived);
    assert_eq!(told.count(), 1);
}

#[test]
fn a_peer_without_datagrams_gets_none() {
    let server = Config {
        max_datagram_frame_size: 0,
        ..Config::default()
    };
    let mut pair = Pair::connected(Setup {
        server,
        ..Setup::default()
    });
    assert_eq!(
        pair.client.send_datagram(b"x"),
        Err(DatagramError::Unsupported)
    );
    pair.server().send_datagram(b"x").unwrap();
    pair.run_for(Duration::from_millis(50));
    assert!(pair.client.receive_datagram().is_some());
}

#[test]
fn a_full_queue_says_so() {
    let client = Config {
        max_queued_datagrams: 3,
        ..Config::default()
    };
    let mut pair = Pair::connected(Setup {
        client,
        ..Setup::default()
    });
    assert!((0..3).all(|_| pair.client.send_datagram(b"x").is_ok()));
    assert_eq!(pair.client.send_datagram(b"x"), Err(DatagramError::Full));
    assert_eq!(pair.client.queued_datagrams().0, 3);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.client.queued_datagrams(), (0, 0));
}

#[test]
fn the_largest_datagram_does_not_wait_for_a_delayed_acknowledgement() {
    let mut pair = Pair::connected(Setup::default());
    pair.server().send_datagram(b"x").unwrap();
    pair.run_until(Duration::from_millis(20), |pair| {
        pair.client.receive_datagram().is_some()
    });
    let max = pair.client.max_datagram_payload().unwrap();
    pair.client.send_datagram(&vec![1; max]).unwrap();
    let begun = pair.now;
    pair.run_until(Duration::from_millis(100), |pair| {
        pair.server().receive_datagram().is_some()
    });
    assert_eq!(pair.now.since(begun), Duration::from_millis(10));
}

/// RFC 9221 §5: one DATAGRAM frame does not span packets, so most packets are smaller than the path carries.
#[test]
fn datagrams_alike_leave_in_one_call_and_others_do_not() {
    let mut pair = Pair::connected(Setup::default());
    let (now, mut buffer) = (pair.now, vec![0; 64 << 10]);
    let max = pair.client.max_datagram_payload().unwrap();
    let mut segments = |sizes: &[usize]| {
        for len in sizes {
            pair.client.send_datagram(&vec![1; *len]).unwrap();
        }
        let mut calls = Vec::new();
        while let Some(transmit) = pair.client.transmit(now, &mut buffer, 10) {
            let size = transmit.segment_size.unwrap_or(transmit.len);
            calls.push(transmit.len.div_ceil(size));
        }
        calls
    };
    let small = max * 3 / 4;
    assert_eq!(segments(&[small; 4]), [4]);
    assert_eq!(segments(&[small, small, max]), [2, 1]);
    assert_eq!(segments(&[small, max]), [1, 1]);
}
