//! Rows 1, 2, 6 and 13: what a peer does with acknowledgements, or without. RFC 9000 §13.2, §21.4.

use integration::{Acks, Duel, Setup};
use quic_lite::Side;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;

const FLOOD: u64 = 100_000;

/// A peer that sends for ever and acknowledges nothing (OpenSSL, CVE-2026-63075).
#[test]
fn row_13_packets_that_are_never_acknowledged_do_not_pile_up() {
    for side in [Side::Server, Side::Client] {
        let mut duel = Duel::against(side, Setup::default());
        duel.begin();
        // Not even the frames of the handshake are acknowledged: they stay the oldest.
        duel.acks = Acks::Closed;
        duel.complete();
        duel.records = false;
        let before = duel.heap.held();
        for _ in 0..FLOOD {
            duel.send_frames(PacketType::OneRtt, &[Frame::Ping]);
        }
        assert!(duel.is_established());
        let more = duel.heap.held() - before;
        println!(
            "{side:?}: {:?} datagrams and bytes, {more} bytes held",
            duel.sent
        );
        assert!(duel.sent.0 >= FLOOD / 2 && more < 128 << 10);
    }
}
