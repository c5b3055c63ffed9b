//! Row 3: floods of CRYPTO frames, in holes and in order. RFC 9000 §7.5.

use integration::{Duel, Setup};
use quic_lite::Side;
use quic_lite::error::TransportErrorCode;
use quic_lite::wire::frame::{Crypto, Frame};
use quic_lite::wire::header::PacketType;

/// Where CRYPTO frames can go: the packet type, and whether the handshake is complete by then.
const PLACES: [(PacketType, bool); 3] = [
    (PacketType::Initial, false),
    (PacketType::Handshake, false),
    (PacketType::OneRtt, true),
];

/// A duel for each side and place.
fn duels() -> impl Iterator<Item = (Side, PacketType, Duel)> {
    let sides = [Side::Server, Side::Client].into_iter();
    sides.flat_map(|side| {
        PLACES
            .into_iter()
            .map(move |(packet_type, is_complete)| (side, packet_type, Duel::at(side, is_complete)))
    })
}

fn send(duel: &mut Duel, packet_type: PacketType, offset: u64, data: &[u8]) {
    duel.send_frames(packet_type, &[Frame::Crypto(Crypto { offset, data })]);
}

const EXCEEDED: Option<TransportErrorCode> = Some(TransportErrorCode::CRYPTO_BUFFER_EXCEEDED);

/// One byte far ahead must not cost the bytes before it (s2n-quic, GHSA-9q54-f358-3fqf).
#[test]
fn row_03_crypto_at_a_high_offset_is_refused_without_memory_for_it() {
    for (side, packet_type, mut duel) in duels() {
        let before = duel.heap.peak();
        send(&mut duel, packet_type, 1 << 61, b"x");
        assert_eq!(duel.code(), EXCEEDED, "{side:?} {packet_type:?}");
        assert!(duel.heap.peak() - before < 16 << 10);
    }
    for (side, packet_type, mut duel) in duels() {
        let before = duel.heap.peak();
        send(&mut duel, packet_type, (64 << 10) - 1, b"x");
        assert_eq!(duel.code(), None, "{side:?} {packet_type:?}");
        assert!(duel.heap.peak() - before < 16 << 10);
    }
}

#[test]
fn row_03_crypto_in_crumbs_is_refused_after_a_few() {
    for (side, packet_type, mut duel) in duels() {
        let before = duel.heap.peak();
        let mut sent = 0;
        while duel.error().is_none() {
            sent += 1;
            assert!(sent <= 200, "{side:?} {packet_type:?}: no bound");
            send(&mut duel, packet_type, 20_000 + 2 * sent, b"x");
        }
        assert_eq!(duel.code(), EXCEEDED);
        assert!(duel.heap.peak() - before < 64 << 10);
    }
}

#[test]
fn row_03_crypto_ahead_of_a_hole_takes_64_kib_at_most() {
    for (side, packet_type, mut duel) in duels() {
        let before = duel.heap.peak();
        let mut offset = 20_000;
        while duel.error().is_none() && offset < 1 << 20 {
            send(&mut duel, packet_type, offset, &[0; 1000]);
            offset += 1000;
        }
        assert_eq!(duel.code(), EXCEEDED, "{side:?} {packet_type:?}");
        assert!(duel.heap.peak() - before < 96 << 10);
    }
}

/// The same bytes again and again, in pieces of all lengths: what is kept is counted once.
#[test]
fn row_03_crypto_that_overlaps_is_kept_once() {
    for (side, packet_type, mut duel) in duels() {
        let before = duel.heap.held();
        for round in 0..2000 {
            let len = 1 + (round * 7) % 900;
            send(&mut duel, packet_type, 20_000, &vec![0; len]);
        }
        assert_eq!(duel.code(), None, "{side:?} {packet_type:?}");
        assert!(duel.heap.held() - before < 64 << 10);
    }
}

/// A message that is announced with 16 MiB and comes in order.
#[test]
fn row_03_an_endless_tls_message_is_given_up() {
    let mut duel = Duel::against_server(Setup::default());
    let client_hello = [1, 0xff, 0xff, 0xff];
    let mut offset = 0;
    duel.records = false;
    while duel.error().is_none() && offset < 16 << 20 {
        let mut data = vec![0; 1000];
        if offset == 0 {
            data[..4].copy_from_slice(&client_hello);
        }
        send(&mut duel, PacketType::Initial, offset, &data);
        offset += 1000;
    }
    println!(
        "given up after {offset} bytes: {:?}, peak {}",
        duel.error(),
        duel.heap.peak()
    );
    assert!(duel.code().is_some() && duel.heap.peak() < 512 << 10);
}

/// CRYPTO in 1-RTT packets after the handshake (quiche, CVE-2024-1765).
#[test]
fn row_03_a_flood_of_tickets_is_passed_over() {
    let mut duel = Duel::against_client(Setup::default()).shaken();
    duel.records = false;
    let before = duel.heap.held();
    // Behind the tickets of the server's own TLS: one of 16 MiB.
    let mut offset = duel.peer.crypto_len(PacketType::OneRtt);
    let mut data = vec![0; 1000];
    data[..4].copy_from_slice(&[4, 0xff, 0xff, 0xff]);
    for _ in 0..16_000 {
        send(&mut duel, PacketType::OneRtt, offset, &data);
        offset += 1000;
        data.fill(0);
    }
    assert!(duel.is_established(), "{:?}", duel.error());
    assert!(duel.heap.held() - before < 64 << 10);
    let mut duel = Duel::against_server(Setup::default()).shaken();
    send(&mut duel, PacketType::OneRtt, 0, &[4, 0, 0, 1]);
    assert!(duel.code().is_some(), "a client has nothing to say");
}
