//! Frames of any type with any values, under the real keys: an overflow, an index or an `expect` that a
//! peer can reach shows itself here, as tests check arithmetic. RFC 9000 §12.4, §21.

use core::time::Duration;

use super::peer::{inject, inject_between};
use super::{Pair, Setup};
use crate::config::Config;
use crate::connection::Connection;
use crate::rng::Rng;
use crate::wire::stream_id::{Dir, Side, StreamId};
use crate::wire::writer::{Full, Writer};

/// The values at which arithmetic goes wrong, and small ones that mean something.
fn value(rng: &mut Rng, near: u64) -> u64 {
    const EDGES: [u64; 12] = [
        0,
        1,
        63,
        64,
        16_383,
        16_384,
        (1 << 30) - 1,
        1 << 30,
        1 << 60,
        (1 << 60) + 1,
        (1 << 62) - 2,
        (1 << 62) - 1,
    ];
    match rng.below(12) {
        0 => EDGES[rng.below(12) as usize],
        1..4 => near.saturating_add(rng.below(5)).saturating_sub(2),
        _ => rng.below(12),
    }
}

/// A stream that the sender of a frame may name, or once in a while any.
fn stream_id(rng: &mut Rng, sender: Side, frame_type: u64) -> u64 {
    if rng.below(40) == 0 {
        return value(rng, 8);
    }
    let is_receivers_to_limit = matches!(frame_type, 0x05 | 0x11);
    let (initiator, dir, index) = match rng.below(3) {
        0 => (sender.peer(), Dir::Bi, 0),
        1 if is_receivers_to_limit => (sender.peer(), Dir::Uni, 0),
        1 => (sender, Dir::Uni, rng.below(6)),
        _ => (sender, Dir::Bi, rng.below(6)),
    };
    StreamId::new(initiator, dir, index).value()
}

/// One frame of any type but those that end the connection: its numbers, then its bytes.
fn put_frame(
    rng: &mut Rng,
    sender: Side,
    next_number: u64,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    const TYPES: [u64; 5] = [0x02, 0x03, 0x31, 0xaf, 0x1f];
    let frame_type = match rng.below(6) {
        0 => TYPES[rng.below(5) as usize],
        _ => rng.below(0x1c),
    };
    if matches!(frame_type, 0x02 | 0x03) {
        return put_ack(rng, frame_type, next_number, out);
    }
    // A client sends no token, and CRYPTO bytes after the handshake are a server's.
    if sender == Side::Client && matches!(frame_type, 0x06 | 0x07) {
        return out.varint(0x01);
    }
    out.varint(frame_type)?;
    if matches!(frame_type, 0x04 | 0x05 | 0x08..=0x0f | 0x11 | 0x15) {
        out.varint(stream_id(rng, sender, frame_type))?;
    }
    let (numbers, near) = match frame_type {
        0x04 => (2, 2000),
        0x05 | 0x06 | 0x0c..=0x0f | 0x11 | 0x15 => (1, 2000),
        0x10 | 0x12..=0x14 | 0x16 | 0x17 => (1, 256 << 10),
        0x19 => (1, 2),
        0xaf => (2, 2000),
        _ => (0, 0),
    };
    for _ in 0..numbers {
        out.varint(value(rng, near))?;
    }
    let bytes = rng.bytes::<24>();
    match frame_type {
        0xaf => {
            out.varint(value(rng, 25_000).max(1000))?;
            out.varint(value(rng, 3))
        }
        0x1a | 0x1b => out.put(&bytes[..8]),
        0x18 => {
            let sequence_number = value(rng, 4);
            out.varint(sequence_number)?;
            out.varint(rng.below(sequence_number + 1))?;
            out.put_u8(8)?;
            out.put(&sequence_number.to_le_bytes())?;
            out.put(&[sender as u8; 16])
        }
        0x06 | 0x07 | 0x0a | 0x0b | 0x0e | 0x0f | 0x31 => {
            let len = rng.below(25);
            out.varint(len)?;
            out.put(&bytes[..len as usize])
        }
        _ => Ok(()),
    }
}

fn put_ack(rng: &mut Rng, frame_type: u64, next: u64, out: &mut Writer<'_>) -> Result<(), Full> {
    let largest = match rng.below(8) {
        0 => value(rng, next),
        _ => rng.below(next),
    };
    let first = rng.below(largest.min(9) + 1);
    for number in [frame_type, largest, value(rng, 25), 0, first] {
        out.varint(number)?;
    }
    for _ in 0..3 * (frame_type & 1) {
        out.varint(value(rng, next))?;
    }
    Ok(())
}

fn config() -> Config {
    Config {
        min_ack_delay: Some(Duration::from_millis(1)),
        ..Config::default()
    }
}

/// Reads all there is, so that windows and streams move on.
fn read_all(connection: &mut Connection) {
    while let Some(event) = connection.poll_event() {
        if let crate::connection::Event::Stream(event) = event
            && let Some(id) = event.stream_id()
        {
            let _ = connection.read_unordered(id);
            let _ = connection.write(id, b"answer");
        }
    }
    while connection.receive_datagram().is_some() {}
}

fn one_connection(seed: u64) -> usize {
    let setup = Setup {
        client: config(),
        server: config(),
        seed,
        ..Setup::default()
    };
    let (mut pair, mut rng) = (Pair::connected(setup), Rng::from_number(seed));
    for connection in [&mut pair.client, pair.server.as_mut().unwrap()] {
        for dir in [Dir::Bi, Dir::Uni] {
            let id = connection.open(dir).unwrap();
            connection.write(id, &[1; 5000]).unwrap();
        }
    }
    for step in 0..60 {
        let to_server = rng.below(2) == 0;
        let now = pair.now;
        if to_server {
            let next = pair.server().next_packet_number().value();
            inject(&mut pair, |out| {
                put_frame(&mut rng, Side::Client, next, out).unwrap()
            });
        } else {
            let next = pair.client.next_packet_number().value();
            let server = pair.server.as_mut().unwrap();
            inject_between(now, server, &mut pair.client, |out| {
                put_frame(&mut rng, Side::Server, next, out).unwrap();
            });
        }
        read_all(&mut pair.client);
        read_all(pair.server());
        pair.run_for(Duration::from_millis(rng.below(40)));
        if !pair.client.is_established() || !pair.server().is_established() {
            println!(
                "END {:?} {:?}",
                pair.client.error(),
                pair.server.as_ref().unwrap().error()
            );
            return step;
        }
    }
    60
}

#[test]
fn no_frame_of_a_peer_makes_us_panic_or_turn_in_circles() {
    let steps: usize = (0..CONNECTIONS).map(one_connection).sum();
    println!("{steps} packets");
    assert!(steps as u64 > CONNECTIONS, "most frames end the connection");
}

const CONNECTIONS: u64 = 300;
