//! Row 9: transport parameters at and beyond their bounds. RFC 9000 §7.4, §18.

use std::time::Duration;

use integration::{Duel, Setup};
use quic_lite::Side;
use quic_lite::error::TransportErrorCode;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;
use quic_lite::wire::varint;
use quic_lite::wire::writer::Writer;

fn put_varint(out: &mut Vec<u8>, value: u64) {
    let mut buffer = [0; 8];
    let mut writer = Writer::new(&mut buffer);
    writer.varint(value).expect("eight bytes hold any");
    out.extend_from_slice(writer.written());
}

fn integer(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, value);
    bytes
}

/// Takes a parameter out of encoded ones, if it is there.
fn remove(parameters: &mut Vec<u8>, id: u64) {
    let mut kept = Vec::new();
    let mut rest = parameters.as_slice();
    while !rest.is_empty() {
        let start = rest;
        let (after_id, own) = varint::parse(rest).expect("we encoded it");
        let (value, len) = varint::parse(after_id).expect("we encoded it");
        rest = &value[len as usize..];
        if own != id {
            kept.extend_from_slice(&start[..start.len() - rest.len()]);
        }
    }
    *parameters = kept;
}

fn add(parameters: &mut Vec<u8>, id: u64, value: &[u8]) {
    put_varint(parameters, id);
    put_varint(parameters, value.len() as u64);
    parameters.extend_from_slice(value);
}

/// Gives a parameter another value.
fn replace(id: u64, value: Vec<u8>) -> impl Fn(&mut Vec<u8>) + 'static {
    move |parameters| {
        remove(parameters, id);
        add(parameters, id, &value);
    }
}

/// How a handshake ends with an endpoint on this side whose peer declares what `alter` makes of it.
fn outcome(side: Side, alter: impl Fn(&mut Vec<u8>) + 'static) -> Option<TransportErrorCode> {
    let setup = Setup {
        alter: Some(Box::new(alter)),
        ..Setup::default()
    };
    let mut duel = Duel::against(side, setup);
    duel.shake(PacketType::OneRtt);
    if duel.error().is_none() {
        // Whatever timers follow from them, they run.
        duel.send_frames(PacketType::OneRtt, &[Frame::Ping]);
        duel.run_for(Duration::from_secs(5));
    }
    if duel.error().is_none() {
        assert!(duel.is_established());
    } else {
        assert!(duel.code().is_some(), "{:?}", duel.error());
    }
    duel.code()
}

const REFUSED: Option<TransportErrorCode> = Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR);

/// The integers, with the least and the largest value of each (quinn, CVE-2026-31812 and RUSTSEC-2026-0340).
const INTEGERS: [(u64, u64, u64); 13] = [
    (0x01, 0, MAX),
    (0x03, 1200, MAX),
    (0x04, 0, MAX),
    (0x05, 0, MAX),
    (0x06, 0, MAX),
    (0x07, 0, MAX),
    (0x08, 0, 1 << 60),
    (0x09, 0, 1 << 60),
    (0x0a, 0, 20),
    (0x0b, 0, (1 << 14) - 1),
    (0x0e, 2, MAX),
    (0x20, 0, MAX),
    // min_ack_delay: microseconds, at most the default max_ack_delay of 25 ms.
    (0xff04_de1b, 0, 25_000),
];

const MAX: u64 = (1 << 62) - 1;

#[test]
fn row_09_integers_at_their_bounds_work_and_beyond_are_refused() {
    for side in [Side::Server, Side::Client] {
        for (id, least, largest) in INTEGERS {
            let set = |value| outcome(side, replace(id, integer(value)));
            assert_eq!(set(least), None, "{side:?} {id:#x} = {least}");
            assert_eq!(set(largest), None, "{side:?} {id:#x} = {largest}");
            if least > 0 {
                assert_eq!(set(least - 1), REFUSED, "{side:?} {id:#x} below");
            }
            if largest < MAX {
                assert_eq!(set(largest + 1), REFUSED, "{side:?} {id:#x} above");
                assert_eq!(set(MAX), REFUSED, "{side:?} {id:#x} far above");
            }
        }
    }
}

/// All at their largest at once: windows, timers and limits are derived from them.
#[test]
fn row_09_all_parameters_at_their_largest_work_together() {
    for side in [Side::Server, Side::Client] {
        let code = outcome(side, |parameters| {
            for (id, _, largest) in INTEGERS {
                remove(parameters, id);
                add(parameters, id, &integer(largest));
            }
        });
        assert_eq!(code, None);
    }
}

#[test]
fn row_09_lengths_that_do_not_fit_are_refused() {
    for side in [Side::Server, Side::Client] {
        for (id, least, _) in INTEGERS {
            let empty = outcome(side, replace(id, Vec::new()));
            assert_eq!(empty, REFUSED, "{side:?} {id:#x} is empty");
            let mut longer = integer(least);
            longer.push(0);
            let longer = outcome(side, replace(id, longer));
            assert_eq!(longer, REFUSED, "{side:?} {id:#x} has a byte too many");
        }
        for cut in 1..10 {
            let code = outcome(side, move |parameters| {
                add(parameters, 0x1234, &[7; 10]);
                parameters.truncate(parameters.len() - cut);
            });
            assert_eq!(code, REFUSED, "{side:?} cut by {cut}");
        }
    }
}

#[test]
fn row_09_a_parameter_twice_is_refused() {
    for side in [Side::Server, Side::Client] {
        for id in [0x01, 0x04, 0x0b, 0x0f, 0xff04_de1b] {
            let code = outcome(side, move |parameters| {
                remove(parameters, id);
                add(parameters, id, &integer(5));
                add(parameters, id, &integer(5));
            });
            assert_eq!(code, REFUSED, "{side:?} {id:#x}");
        }
    }
}

/// What only a server may say.
#[test]
fn row_09_a_client_that_speaks_like_a_server_is_refused() {
    for (id, len) in [
        (0x00, 8),
        (0x02, 16),
        (0x0d, 6 + 18 + 1 + 8 + 16),
        (0x10, 8),
    ] {
        let mut value = vec![8; len];
        if id == 0x0d {
            value[24] = 8;
        }
        let code = outcome(Side::Server, move |parameters| {
            add(parameters, id, &value);
        });
        assert_eq!(code, REFUSED, "{id:#x}");
    }
}

/// Connection IDs other than those of the packets, or none (RFC 9000 §7.3).
#[test]
fn row_09_connection_ids_that_nobody_used_are_refused() {
    for side in [Side::Server, Side::Client] {
        let absent = outcome(side, |parameters| remove(parameters, 0x0f));
        assert_eq!(absent, REFUSED);
        let other = outcome(side, replace(0x0f, vec![5; 8]));
        assert_eq!(other, REFUSED);
        let long = outcome(side, replace(0x0f, vec![5; 21]));
        assert_eq!(long, REFUSED);
    }
}
