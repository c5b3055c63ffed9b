//! Rows 1, 2, 6 and 13: what a peer does with acknowledgements, or without. RFC 9000 §13, §21.4.

use integration::{Acks, Duel, Setup};
use quic_lite::connection::{Connection, Grant, OtherPacket, OtherSender, Outstanding};
use quic_lite::error::TransportErrorCode;
use quic_lite::limits;
use quic_lite::protection::CipherSuite;
use quic_lite::range_set::RangeSet;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::{Dir, Side, StreamId};

const FLOOD: u64 = 100_000;
const SPACES: [PacketType; 3] = [
    PacketType::Initial,
    PacketType::Handshake,
    PacketType::OneRtt,
];

/// A duel in which the endpoint has so many bytes to send.
fn sending(side: Side, bytes: usize) -> Duel {
    let mut duel = Duel::against(side, Setup::default()).shaken();
    let connection = duel.connection_mut().expect("it is established");
    let id = connection.open(Dir::Uni).expect("the peer allows streams");
    let data = vec![1; bytes].into();
    connection.write_chunk(id, data).expect("the stream is new");
    duel
}

fn numbers(range: std::ops::Range<u64>) -> RangeSet {
    [range].into_iter().collect()
}

/// A peer that acknowledges all numbers in order to get more, received or not (quiche, CVE-2025-4820).
#[test]
fn row_01_an_optimistic_ack_of_every_number_is_caught_at_the_first_skip() {
    for side in [Side::Server, Side::Client] {
        let mut duel = sending(side, 16 << 20);
        duel.acks = Acks::Closed;
        let mut window = 0;
        duel.turn();
        while let Some(connection) = duel.connection().filter(|_| duel.error().is_none()) {
            window = window.max(connection.cwnd());
            let next = connection.next_packet_number().value();
            duel.now = duel.now + std::time::Duration::from_millis(10);
            duel.ack(PacketType::OneRtt, &numbers(0..next));
            assert!(next < 20_000, "nobody noticed");
        }
        assert_eq!(duel.code(), Some(TransportErrorCode::PROTOCOL_VIOLATION));
        let sent = duel.peer.received(PacketType::OneRtt).total();
        println!("{side:?}: noticed after {sent} packets, with a window of {window}");
        assert!(sent <= longest_distance(window) + window / 1200);
    }
}

/// Numbers between two that are left out, at most: one and a half periods of four windows.
fn longest_distance(window: u64) -> u64 {
    (4 * (window / 1200)).max(256) * 3 / 2 + 1
}

#[test]
fn row_01_skipped_numbers_are_as_near_as_the_window_demands() {
    let mut duel = sending(Side::Server, 16 << 20);
    duel.records = false;
    duel.turn();
    let window = duel.connection().map_or(0, Connection::cwnd);
    let received = duel.peer.received(PacketType::OneRtt);
    let skipped: Vec<u64> = received
        .gaps(0..received.last().map_or(0, |last| last.end))
        .flatten()
        .collect();
    println!(
        "{} of {} left out, window {window}",
        skipped.len(),
        received.total()
    );
    assert!(duel.is_established() && received.total() > 10_000 && skipped.len() > 2);
    let mut before = 0;
    for number in skipped {
        assert!(
            number - before <= longest_distance(window),
            "{number} after {before}"
        );
        before = number;
    }
}

/// Numbers that were never sent (quiche, CVE-2025-4821).
#[test]
fn row_02_an_ack_of_a_number_that_was_never_sent_closes_in_every_space() {
    for side in [Side::Server, Side::Client] {
        for packet_type in SPACES {
            for ahead in [0, 1, 1000, (1 << 62) - 1] {
                let mut duel = Duel::at(side, packet_type == PacketType::OneRtt);
                let received = duel.peer.received(packet_type).last();
                let next = received.map_or(0, |last| last.end);
                // 1-RTT: the next may be a number that is left out, which is as good.
                let number = (next + ahead).min((1 << 62) - 1);
                duel.ack(packet_type, &numbers(number..number + 1));
                let code = Some(TransportErrorCode::PROTOCOL_VIOLATION);
                assert_eq!(duel.code(), code, "{side:?} {packet_type:?} {number}");
            }
        }
    }
}

#[test]
fn row_02_the_window_grows_by_what_was_in_flight_only() {
    let mut duel = sending(Side::Server, 4000);
    duel.turn();
    let window = duel.connection().map(Connection::cwnd);
    let received = duel.peer.received(PacketType::OneRtt).clone();
    for _ in 0..10_000 {
        duel.ack(PacketType::OneRtt, &received);
    }
    assert!(duel.is_established());
    assert_eq!(duel.connection().map(Connection::cwnd), window);
}

/// Another sender took a number and has not told of it yet: its acknowledgement waits.
#[test]
fn row_02_an_ack_of_a_kernel_packet_before_its_report_is_held() {
    let mut duel = far();
    share(&mut duel, FAR, FAR + 10);
    duel.ack(PacketType::OneRtt, &numbers(FAR + 5..FAR + 6));
    assert!(duel.is_established(), "{:?}", duel.error());
    duel.ack(PacketType::OneRtt, &numbers(FAR + 20..FAR + 21));
    assert_eq!(duel.code(), Some(TransportErrorCode::PROTOCOL_VIOLATION));
}

/// A frame that claims more ranges than there are bytes (neqo, GHSA-5m9j-vr32-g7j5).
#[test]
fn row_06_ack_ranges_that_are_not_there_are_an_encoding_error() {
    for side in [Side::Server, Side::Client] {
        let mut duel = Duel::against(side, Setup::default()).shaken();
        let before = duel.heap.peak();
        duel.send(PacketType::OneRtt, |out| {
            let claimed = (1 << 62) - 1;
            for value in [2, 5, 0, claimed, 0, 0, 0, 0, 0] {
                out.varint(value).expect("it fits");
            }
        });
        let code = TransportErrorCode::FRAME_ENCODING_ERROR;
        assert_eq!(duel.code(), Some(code));
        assert!(duel.heap.peak() - before < 4 << 10);
    }
}

/// By number this would take years: the work goes with the packets that were sent.
#[test]
fn row_06_an_ack_of_a_trillion_numbers_costs_what_was_sent() {
    let mut duel = far();
    share(&mut duel, FAR, FAR);
    duel.connection_mut().expect("it is established").ping();
    duel.turn();
    let next = duel.connection().map(Connection::next_packet_number);
    let next = next.expect("it is established").value();
    // The first number may have been left out on purpose.
    assert!((FAR + 1..FAR + 4).contains(&next));
    let in_flight = |duel: &Duel| duel.connection().map(Connection::bytes_in_flight);
    assert!(in_flight(&duel) > Some(0));
    let mut all = numbers(0..FAR);
    all.insert(next - 1..next);
    duel.ack(PacketType::OneRtt, &all);
    assert!(duel.is_established(), "{:?}", duel.error());
    assert_eq!(in_flight(&duel), Some(0));
}

/// As many ranges as fit, again and again.
#[test]
fn row_06_frames_full_of_ranges_are_walked_once_and_leave_nothing() {
    let mut duel = far();
    share(&mut duel, FAR, FAR + 1);
    let every_second = (0..600).map(|n| FAR - 2 * n..FAR - 2 * n + 1);
    let ranges: RangeSet = every_second.collect();
    duel.ack(PacketType::OneRtt, &ranges);
    let before = duel.heap.held();
    for _ in 0..1000 {
        duel.ack(PacketType::OneRtt, &ranges);
    }
    assert!(duel.is_established(), "{:?}", duel.error());
    assert!(duel.heap.held() - before < 4 << 10);
}

/// What was acknowledged before another sender told of it is held in a few ranges: the newest.
#[test]
fn row_06_ranges_that_are_held_for_another_sender_are_few() {
    let mut duel = far();
    share(&mut duel, FAR, FAR + 2000);
    for half in [0, 1000] {
        let every_second = (0..500).map(|n| FAR + half + 2 * n..FAR + half + 2 * n + 1);
        duel.ack(PacketType::OneRtt, &every_second.collect());
    }
    let connection = duel.connection().expect("it is established");
    let held = connection.usage().find(|usage| usage.what == "ranges held");
    assert_eq!(
        held.map(|held| held.used),
        Some(limits::HELD_ACK_RANGES as u64)
    );
}

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

/// Where the numbers of [`FarSender`] begin.
const FAR: u64 = 1 << 40;

/// A server whose keys last for so many numbers (RFC 9001 §6.6).
fn far() -> Duel {
    let setup = Setup {
        suites: vec![CipherSuite::ChaCha20Poly1305Sha256],
        ..Setup::default()
    };
    Duel::against_server(setup).shaken()
}

/// Lets the endpoint's numbers go on from `told`, with those up to `next` taken and not told of.
fn share(duel: &mut Duel, told: u64, next: u64) {
    let connection = duel.connection_mut().expect("it is established");
    assert!(connection.set_other_sender(Box::new(FarSender { told, next })));
}

/// Another sender that has taken many numbers and says nothing.
#[derive(Debug)]
struct FarSender {
    told: u64,
    next: u64,
}

impl OtherSender for FarSender {
    fn allocate(&mut self) -> PacketNumber {
        self.next += 1;
        if self.told + 1 == self.next {
            self.told = self.next;
        }
        PacketNumber::new(self.next - 1)
    }

    fn next(&self) -> PacketNumber {
        PacketNumber::new(self.next)
    }

    fn open_uni(&mut self, _maximum: u64) -> Option<u64> {
        None
    }

    fn opened_uni(&self) -> u64 {
        0
    }

    fn revoke(&mut self) -> Outstanding {
        Outstanding::default()
    }

    fn grant(&mut self, _grant: &Grant) {}

    fn poll(&mut self) -> Option<OtherPacket> {
        None
    }

    fn unresolved(&self) -> PacketNumber {
        PacketNumber::new(self.told)
    }

    fn on_stream_limit(&mut self, _id: StreamId, _limit: u64) {}

    fn release(&mut self, _id: StreamId) -> u64 {
        0
    }

    fn suspend(&mut self) {}
}
