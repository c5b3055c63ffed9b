//! Row 4: floods of NEW_CONNECTION_ID and RETIRE_CONNECTION_ID. RFC 9000 §5.1, §19.15, §19.16.

use integration::{Acks, Duel, Setup};
use quic_lite::Side;
use quic_lite::error::TransportErrorCode;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::frame::{Frame, NewConnectionId, RetireConnectionId};
use quic_lite::wire::header::PacketType;

const FLOOD: u64 = 100_000;
const LIMIT: Option<TransportErrorCode> = Some(TransportErrorCode::CONNECTION_ID_LIMIT_ERROR);

fn new_id(sequence_number: u64, retire_prior_to: u64) -> Frame<'static> {
    let cid = (0xc1d_0000_0000 + sequence_number).to_be_bytes();
    Frame::NewConnectionId(NewConnectionId {
        sequence_number,
        retire_prior_to,
        connection_id: ConnectionId::new(&cid).expect("eight bytes"),
        stateless_reset_token: [7; 16],
    })
}

/// Sends the frames one by one, until the endpoint closes, to a duel with closed ACK valve. Returns how many
/// it took, and how much memory.
fn flood(side: Side, frame: impl Fn(u64) -> Frame<'static>) -> (Duel, u64, isize) {
    let mut duel = Duel::against(side, Setup::default()).shaken();
    (duel.acks, duel.records) = (Acks::Closed, false);
    let before = duel.heap.peak();
    let mut sent = 0;
    while sent < FLOOD && duel.error().is_none() {
        duel.send_frames(PacketType::OneRtt, &[frame(sent)]);
        sent += 1;
    }
    let more = duel.heap.peak() - before;
    println!(
        "{side:?}: {sent} frames, {:?}, {more} bytes more",
        duel.code()
    );
    (duel, sent, more)
}

/// Each retires all before it (quic-go, CVE-2024-22189; quiche, CVE-2024-1410).
#[test]
fn row_04_new_connection_id_flood_is_bounded() {
    for side in [Side::Server, Side::Client] {
        let (duel, sent, more) = flood(side, |at| new_id(at + 1, at + 1));
        assert_eq!(duel.code(), LIMIT);
        assert!(sent < 100 && more < 32 << 10);
    }
}

#[test]
fn row_04_more_connection_ids_than_asked_for_close() {
    for side in [Side::Server, Side::Client] {
        let (duel, sent, more) = flood(side, |at| new_id(at + 1, 0));
        assert_eq!(duel.code(), LIMIT);
        assert!(sent < 10 && more < 16 << 10);
    }
}

/// IDs that are retired before they come, with holes between (quinn, RUSTSEC-2026-0339).
#[test]
fn row_04_connection_ids_that_are_retired_already_are_bounded() {
    for side in [Side::Server, Side::Client] {
        for distance in [1, 2] {
            let (duel, sent, more) = flood(side, |at| match at {
                0 => new_id(1 << 20, 1 << 20),
                _ => new_id(at * distance, 0),
            });
            assert_eq!(duel.code(), LIMIT);
            assert!(sent < 100 && more < 32 << 10);
        }
    }
}

/// The same frame again and again is no reason to close (OpenSSL, CVE-2026-107494).
#[test]
fn row_04_repeated_connection_ids_change_nothing() {
    for side in [Side::Server, Side::Client] {
        for frame in [new_id(1, 0), new_id(1, 1)] {
            let (duel, sent, more) = flood(side, |_| frame);
            assert!(duel.is_established() && sent == FLOOD && more < 64 << 10);
        }
    }
}

/// A peer that retires whatever it is given gets new ones for ever, and the endpoint forgets the old ones.
#[test]
fn row_04_retire_connection_id_flood_keeps_the_tables_small() {
    for side in [Side::Server, Side::Client] {
        let mut duel = Duel::against(side, Setup::default()).shaken();
        let (mut retired, mut held) = (0, 0);
        for round in 0..5000 {
            let sequence_number = retired + 1;
            duel.send_frames(
                PacketType::OneRtt,
                &[Frame::RetireConnectionId(RetireConnectionId {
                    sequence_number,
                })],
            );
            retired += 1;
            duel.seen.clear();
            duel.events.clear();
            if round == 1000 {
                held = duel.heap.held();
            }
        }
        assert!(duel.is_established(), "{:?}", duel.error());
        let cids = duel
            .connection()
            .map_or(0, |connection| connection.local_cids().count());
        let more = duel.heap.held() - held;
        println!("{side:?}: {cids} IDs, {more} bytes more");
        assert!(cids <= 4 && more < 4 << 10);
    }
}

/// With a closed ACK valve the window holds back the new IDs, and what was not sent cannot be retired.
#[test]
fn row_04_retire_connection_id_flood_without_acks_ends_at_the_window() {
    let (duel, sent, more) = flood(Side::Server, |at| {
        let sequence_number = at + 1;
        Frame::RetireConnectionId(RetireConnectionId { sequence_number })
    });
    assert_eq!(duel.code(), Some(TransportErrorCode::PROTOCOL_VIOLATION));
    assert!(sent < 1000 && more < 128 << 10);
}
