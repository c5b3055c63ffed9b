//! Rows 5 and 14: what an address can make an endpoint send. RFC 9000 §8.

use std::time::Duration;

use integration::{Acks, Duel, Setup};
use quic_lite::Side;
use quic_lite::wire::frame::{Frame, PathChallenge, PathResponse};
use quic_lite::wire::header::PacketType;

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
