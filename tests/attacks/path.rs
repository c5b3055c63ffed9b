//! Rows 5 and 14: what an address can make an endpoint send. RFC 9000 §8.

use std::time::Duration;

use integration::{Acks, Duel, Setup, certificates};
use quic_lite::Side;
use quic_lite::rng::Rng;
use quic_lite::wire::frame::{Frame, PathChallenge, PathResponse};
use quic_lite::wire::header::PacketType;
use quic_lite::wire::writer::Writer;

const FLOOD: u64 = 100_000;

/// A peer that acknowledges nothing asks a hundred thousand times (quic-go, CVE-2023-49295).
#[test]
fn row_05_a_path_challenge_flood_is_answered_within_the_window() {
    for side in [Side::Server, Side::Client] {
        let mut duel = Duel::against(side, Setup::default()).shaken();
        (duel.acks, duel.records) = (Acks::Closed, false);
        let (before, answers) = (
            duel.heap.held(),
            duel.peer.received(PacketType::OneRtt).total(),
        );
        for number in 0..FLOOD {
            let data = number.to_be_bytes();
            let frame = Frame::PathChallenge(PathChallenge { data });
            duel.send_frames(PacketType::OneRtt, &[frame]);
        }
        assert!(duel.is_established());
        // Every second packet is acknowledged. Beside that: the first window, and a few beyond it.
        let answers = duel.peer.received(PacketType::OneRtt).total() - answers - FLOOD / 2;
        let more = duel.heap.held() - before;
        println!("{side:?}: {answers} answers, {more} bytes held");
        assert!(answers < 50 && more < 64 << 10);
        // The window opens as soon as the peer acknowledges: the next one is answered.
        (duel.acks, duel.records) = (Acks::Open, true);
        duel.run_for(Duration::from_secs(1));
        let data = *b"at last!";
        duel.send_frames(
            PacketType::OneRtt,
            &[Frame::PathChallenge(PathChallenge { data })],
        );
        let answer = Frame::PathResponse(PathResponse { data });
        assert!(
            duel.seen
                .iter()
                .any(|seen| seen.has(|frame| *frame == answer))
        );
    }
}

/// Coalesced Initials count once, by their datagram, whatever else comes and whenever (OpenSSL,
/// CVE-2026-35191). The certificates are more than the limit admits.
#[test]
fn row_14_never_more_than_three_times_what_came_whole_datagrams_on_both_sides() {
    for seed in 1..=40 {
        let mut rng = Rng::from_number(seed);
        let setup = Setup {
            seed,
            chain: certificates::long(),
            ..Setup::default()
        };
        let mut duel = Duel::against_server(setup);
        duel.acks = Acks::Closed;
        for _ in 0..30 {
            let datagram = random_datagram(&mut duel, &mut rng);
            duel.deliver(datagram);
            check(&duel, seed);
            if rng.below(3) == 0 {
                duel.run_for(Duration::from_millis(rng.below(3000)));
                check(&duel, seed);
            }
        }
        assert!(duel.sent.1 > 1200, "SEED={seed}: nothing was answered");
    }
}

fn check(duel: &Duel, seed: u64) {
    let (received, sent) = (duel.delivered.1, duel.sent.1);
    assert!(
        sent <= 3 * received,
        "SEED={seed}: {received} bytes came, {sent} went"
    );
}

/// One to ten Initials, the ClientHello among the first, with or without padding and garbage behind.
fn random_datagram(duel: &mut Duel, rng: &mut Rng) -> Vec<u8> {
    let hello = duel.peer.next_crypto(PacketType::Initial);
    let mut datagram = hello.unwrap_or_default();
    for _ in 0..rng.below(10) {
        let least = 100 * rng.below(4) as usize;
        let ping = |out: &mut Writer<'_>| Frame::Ping.encode(out).expect("it fits");
        datagram.extend(duel.peer.packet(PacketType::Initial, least, ping));
    }
    let garbage = rng.below(100) as usize;
    datagram.resize(
        (datagram.len() + garbage).max(1200 * rng.below(2) as usize),
        0x11,
    );
    datagram.truncate(1452);
    if datagram.is_empty() {
        datagram.push(0xff);
    }
    datagram
}
