//! Rows 8 and 10: frames where they must not be, and frames that are none. RFC 9000 §12.4.

#[path = "samples.rs"]
mod samples;

use integration::{Duel, Setup};
use quic_lite::Side;
use quic_lite::connection::{Connection, State};
use quic_lite::error::TransportErrorCode as Code;
use quic_lite::wire::frame::frames;
use quic_lite::wire::header::PacketType;

use samples::{Sample, samples};

/// What a packet with one frame leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing: the connection goes on.
    Fine,
    /// The endpoint closes.
    Closes(Code),
    /// The peer has closed.
    PeerCloses,
}

const TYPES: [PacketType; 4] = [
    PacketType::Initial,
    PacketType::ZeroRtt,
    PacketType::Handshake,
    PacketType::OneRtt,
];

/// RFC 9000 Table 3 and what we have not negotiated, said once more in the words of the table.
fn expected(sample: &Sample, packet_type: PacketType, to: Side, is_complete: bool) -> Outcome {
    let is_readable = match packet_type {
        // Never accepted.
        PacketType::ZeroRtt => false,
        // Their keys are gone.
        PacketType::Initial | PacketType::Handshake => !is_complete,
        // Before, they wait for their keys.
        PacketType::OneRtt => is_complete,
    };
    if !is_readable {
        return Outcome::Fine;
    }
    let letter = match packet_type {
        PacketType::Initial => 'I',
        PacketType::Handshake => 'H',
        PacketType::ZeroRtt => '0',
        PacketType::OneRtt => '1',
    };
    let violation = Outcome::Closes(Code::PROTOCOL_VIOLATION);
    match sample.name {
        "unknown" => Outcome::Closes(Code::FRAME_ENCODING_ERROR),
        _ if !sample.packets.contains(letter) => violation,
        "NEW_TOKEN" | "HANDSHAKE_DONE" if to == Side::Server => violation,
        "ACK_FREQUENCY" | "IMMEDIATE_ACK" => Outcome::Closes(Code::FRAME_ENCODING_ERROR),
        // RFC 9001 §4.4: a client has nothing to say to TLS after the handshake.
        "CRYPTO" if packet_type == PacketType::OneRtt && to == Side::Server => {
            Outcome::Closes(Code::crypto(10))
        }
        // Our client has sent no Handshake packet yet.
        "ACK" | "ACK_ECN" if packet_type == PacketType::Handshake && to == Side::Client => {
            violation
        }
        "CONNECTION_CLOSE" | "APPLICATION_CLOSE" => Outcome::PeerCloses,
        _ => Outcome::Fine,
    }
}

fn outcome(duel: &Duel) -> Outcome {
    let state = duel.connection().map(Connection::state);
    match (duel.code(), state) {
        (Some(code), _) => Outcome::Closes(code),
        (None, Some(State::Draining)) => Outcome::PeerCloses,
        (None, _) => {
            assert!(duel.error().is_none(), "{:?}", duel.error());
            Outcome::Fine
        }
    }
}

/// All frame types, in all packet types, to both sides, before and after the handshake
/// (quic-go, CVE-2025-59530 and CVE-2023-46239).
#[test]
fn row_08_every_frame_in_every_packet_on_both_sides_before_and_after() {
    let mut cells = 0;
    for side in [Side::Server, Side::Client] {
        for sample in samples(side.peer()) {
            for packet_type in TYPES {
                check_cell(&sample, packet_type, side, false);
                check_cell(&sample, packet_type, side, true);
                cells += 2;
            }
        }
    }
    assert_eq!(cells, 36 * 16, "a type is missing");
}

fn check_cell(sample: &Sample, packet_type: PacketType, side: Side, is_complete: bool) {
    let mut duel = Duel::at(side, is_complete);
    duel.send(packet_type, |out| {
        out.put(&sample.bytes).expect("it fits");
    });
    let wanted = expected(sample, packet_type, side, is_complete);
    let place = (sample.name, packet_type, side, is_complete);
    assert_eq!(outcome(&duel), wanted, "{place:?}");
}

/// Frames that came before their keys take effect when the keys are there, as if they had come then.
#[test]
fn row_08_every_frame_in_a_packet_that_overtakes_the_handshake() {
    for side in [Side::Server, Side::Client] {
        for sample in samples(side.peer())
            .iter()
            .filter(|sample| sample.is_timeless())
        {
            let mut duel = Duel::against(side, Setup::default());
            duel.begin();
            duel.send(PacketType::OneRtt, |out| {
                out.put(&sample.bytes).expect("it fits");
            });
            duel.shake(PacketType::OneRtt);
            let wanted = expected(sample, PacketType::OneRtt, side, true);
            assert_eq!(outcome(&duel), wanted, "{} to {side:?}", sample.name);
        }
    }
}

/// Every truncation of every frame is an encoding error or another frame, never a panic
/// (quinn, RUSTSEC-2023-0063).
#[test]
fn row_10_every_truncated_frame_is_an_error_or_whole() {
    for sample in samples(Side::Server) {
        for len in 1..sample.bytes.len() {
            let cut = &sample.bytes[..len];
            let mut consumed = 0;
            let is_whole = frames(cut)
                .inspect(|_| consumed += 1)
                .all(|frame| frame.is_ok());
            assert!(consumed <= len, "{}: no progress", sample.name);
            // One duel for each sort of truncation: in the type, in the fields, in the data.
            if len > 2 && len + 1 < sample.bytes.len() {
                continue;
            }
            let mut duel = Duel::against_client(Setup::default()).shaken();
            duel.send(PacketType::OneRtt, |out| out.put(cut).expect("it fits"));
            if !is_whole {
                let code = Some(Code::FRAME_ENCODING_ERROR);
                assert_eq!(duel.code(), code, "{} cut to {len}", sample.name);
            }
        }
    }
}

/// A type in more bytes than it needs, or cut off (haproxy read one as PADDING, for ever).
#[test]
fn row_10_types_that_are_unknown_long_or_cut_off_are_refused() {
    let mut payloads: Vec<Vec<u8>> = vec![
        vec![0x21, 0, 0, 0],
        vec![0x40, 0x21, 0, 0],
        vec![0x40],
        vec![0x80, 0],
        vec![0xc0, 0, 0, 0, 0],
        vec![0xff; 8],
        vec![0, 0, 0, 0x40],
    ];
    payloads.extend((0..0x20).map(|frame_type| vec![0x40, frame_type, 0, 0, 0, 0, 0, 0]));
    payloads.extend((0..0x20).map(|frame_type| vec![0x80, 0, 0, frame_type, 0, 0, 0, 0]));
    for payload in payloads {
        let mut duel = Duel::against_server(Setup::default()).shaken();
        duel.send(PacketType::OneRtt, |out| {
            out.put(&payload).expect("it fits")
        });
        // RFC 9000 §12.4 allows PROTOCOL_VIOLATION for types that are too long.
        let codes = [
            Some(Code::FRAME_ENCODING_ERROR),
            Some(Code::PROTOCOL_VIOLATION),
        ];
        assert!(
            codes.contains(&duel.code()),
            "{payload:x?}: {:?}",
            duel.error()
        );
    }
}
