//! A hostile or odd peer: frames written by hand under the real keys.

use core::time::Duration;

use super::pair::{CLIENT, SERVER};
use super::{Pair, Setup};
use crate::connection::path::Path;
use crate::connection::{Connection, Event, FourTuple, State};
use crate::error::ConnectionError;
use crate::protection::{Keys, TAG_LEN, seal_packet};
use crate::range_set::RangeSet;
use crate::recovery::SpaceId;
use crate::time::Time;
use crate::wire::frame::{
    Ack, Crypto, Frame, NewConnectionId, NewToken, PathChallenge, RetireConnectionId, Stream,
};
use crate::wire::header::{LongHeader, LongType, ShortHeader};
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::{Dir, Side, StreamId};
use crate::wire::writer::Writer;

/// Sends a 1-RTT packet with these frames from the client to the server, under the client's keys.
pub(super) fn inject(pair: &mut Pair, write: impl FnOnce(&mut Writer<'_>)) {
    let now = pair.now;
    inject_between(now, &mut pair.client, pair.server.as_mut().unwrap(), write);
}

pub(super) fn inject_between(
    now: Time,
    from: &mut Connection,
    to: &mut Connection,
    write: impl FnOnce(&mut Writer<'_>),
) {
    let number = from.allocate(SpaceId::Data).unwrap();
    let keys = from.keys().unwrap();
    let mut buffer = [0; 1400];
    let mut out = Writer::new(&mut buffer);
    let header = ShortHeader {
        destination_cid: from.remote_cid(),
        spin: false,
    };
    let layout = header.encode(keys.phase, number, 4, &mut out).unwrap();
    write(&mut out);
    out.put_zeros(TAG_LEN).unwrap();
    let len = out.len();
    seal_packet(&mut buffer[..len], layout.pn_offset, number, keys.local).unwrap();
    let tuple = to.path();
    to.receive(now, tuple, None, &mut buffer[..len]);
}

fn server_code(pair: &mut Pair) -> String {
    pair.exchange();
    match pair.server_error() {
        Some(ConnectionError::Transport(error)) => error.code.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_packet_without_frames_is_a_violation() {
    let mut pair = Pair::connected(Setup::default());
    inject(&mut pair, |_| {});
    assert_eq!(server_code(&mut pair), "PROTOCOL_VIOLATION");
    assert_eq!(pair.server().state(), State::Closing);
    pair.run_for(Duration::from_millis(30));
    assert_eq!(pair.client.state(), State::Draining);
}

#[test]
fn handshake_done_from_a_client_is_a_violation() {
    let mut pair = Pair::connected(Setup::default());
    inject(&mut pair, |out| Frame::HandshakeDone.encode(out).unwrap());
    assert_eq!(server_code(&mut pair), "PROTOCOL_VIOLATION");
}

#[test]
fn an_unknown_frame_is_an_encoding_error() {
    let mut pair = Pair::connected(Setup::default());
    inject(&mut pair, |out| out.put(&[0x21, 0, 0, 0]).unwrap());
    assert_eq!(server_code(&mut pair), "FRAME_ENCODING_ERROR");
}

#[test]
fn acknowledging_what_was_not_sent_is_a_violation() {
    for ahead in [0, 1, 1 << 40] {
        let mut pair = Pair::connected(Setup::default());
        let next = pair.server().next_packet_number().value() + ahead;
        inject(&mut pair, |out| {
            let mut acked = RangeSet::new();
            acked.insert(next..next + 1);
            Ack::encode_ranges(&acked, 0, None, out).unwrap();
        });
        assert_eq!(server_code(&mut pair), "PROTOCOL_VIOLATION");
    }
}

#[test]
fn acknowledging_a_skipped_number_is_a_violation() {
    let mut pair = Pair::connected(Setup::default());
    let skipped = pair.server().allocate(SpaceId::Data).unwrap();
    pair.server().recovery.on_skipped(SpaceId::Data, skipped);
    pair.server().ping();
    pair.run_for(Duration::from_millis(100));
    let largest = pair.server().next_packet_number().value();
    inject(&mut pair, |out| {
        let mut acked = RangeSet::new();
        acked.insert(0..largest);
        Ack::encode_ranges(&acked, 0, None, out).unwrap();
    });
    assert_eq!(server_code(&mut pair), "PROTOCOL_VIOLATION");
}

#[test]
fn floods_of_path_challenges_and_new_connection_ids_stay_bounded() {
    let mut pair = Pair::connected(Setup::default());
    for at in 0..10_000_u64 {
        inject(&mut pair, |out| {
            for part in 0..50_u64 {
                let data = (at * 50 + part).to_be_bytes();
                Frame::PathChallenge(PathChallenge { data })
                    .encode(out)
                    .unwrap();
            }
        });
    }
    pair.exchange();
    assert!(pair.server().is_established());
    let answers = pair.sent.len();
    assert!(answers < 100, "{answers}");
    for sequence_number in 10..1000 {
        inject(&mut pair, |out| {
            let connection_id =
                crate::wire::connection_id::ConnectionId::new(&[sequence_number as u8; 9]).unwrap();
            let frame = NewConnectionId {
                sequence_number,
                retire_prior_to: sequence_number,
                connection_id,
                stateless_reset_token: [1; 16],
            };
            Frame::NewConnectionId(frame).encode(out).unwrap();
        });
        if !pair.server().is_established() {
            break;
        }
    }
    assert_eq!(server_code(&mut pair), "CONNECTION_ID_LIMIT_ERROR");
}

#[test]
fn a_stream_beyond_the_limit_ends_the_connection() {
    let mut pair = Pair::connected(Setup::default());
    inject(&mut pair, |out| {
        let stream_id = StreamId::new(Side::Client, Dir::Uni, 1 << 40);
        Frame::Stream(Stream {
            stream_id,
            offset: 0,
            fin: false,
            data: b"x",
        })
        .encode(out)
        .unwrap();
    });
    assert_eq!(server_code(&mut pair), "STREAM_LIMIT_ERROR");
}

#[test]
fn crypto_after_the_handshake_from_a_client_is_refused() {
    let mut pair = Pair::connected(Setup::default());
    inject(&mut pair, |out| {
        let frame = Crypto {
            offset: 0,
            data: &[24, 0, 0, 1, 0],
        };
        Frame::Crypto(frame).encode(out).unwrap();
    });
    assert_eq!(server_code(&mut pair), "CRYPTO_ERROR(alert 10)");
}

/// Sends an Initial packet with these frames from the client to the server, in a full datagram.
fn inject_initial(pair: &mut Pair, write: impl FnOnce(&mut Writer<'_>)) {
    let server = pair.server();
    let dcid = server.handshake.initial_dcid;
    let keys = crate::protection::Keys::initial(&dcid, Side::Client);
    let header = LongHeader {
        long_type: LongType::Initial { token: &[] },
        destination_cid: dcid,
        source_cid: server.handshake.remote_cid.unwrap(),
    };
    let mut buffer = [0; 1200];
    let number = PacketNumber::new(1000);
    let mut out = Writer::new(&mut buffer[..1200 - TAG_LEN]);
    let layout = header.encode(number, 4, &mut out).unwrap();
    write(&mut out);
    out.put_zeros(out.remaining()).unwrap();
    layout.set_length(TAG_LEN, &mut out).unwrap();
    seal_packet(&mut buffer, layout.pn_offset, number, &keys.local).unwrap();
    let (now, tuple) = (pair.now, pair.server().path());
    pair.server().receive(now, tuple, None, &mut buffer);
}

/// A server that has the client's first Initial and nothing else.
fn half_open() -> Pair {
    let mut pair = Pair::new(Setup::default());
    pair.run_for(Duration::from_millis(12));
    pair.flying.clear();
    pair
}

#[test]
fn frames_that_an_initial_must_not_carry_are_violations() {
    let stream = Frame::Stream(Stream {
        stream_id: StreamId::new(Side::Client, Dir::Bi, 0),
        offset: 0,
        fin: false,
        data: b"early",
    });
    let forbidden = [
        stream,
        Frame::HandshakeDone,
        Frame::PathChallenge(PathChallenge { data: [0; 8] }),
    ];
    for frame in forbidden {
        let mut pair = half_open();
        inject_initial(&mut pair, |out| frame.encode(out).unwrap());
        assert_eq!(server_code(&mut pair), "PROTOCOL_VIOLATION");
    }
    let mut pair = half_open();
    inject_initial(&mut pair, |out| Frame::Ping.encode(out).unwrap());
    assert_eq!(pair.server().state(), State::Handshake);
}

#[test]
fn crypto_far_ahead_is_refused() {
    for offset in [1 << 20, 1 << 61] {
        let mut pair = half_open();
        inject_initial(&mut pair, |out| {
            Frame::Crypto(Crypto { offset, data: b"x" })
                .encode(out)
                .unwrap()
        });
        assert_eq!(server_code(&mut pair), "CRYPTO_BUFFER_EXCEEDED");
    }
}

#[test]
fn a_small_datagram_with_an_initial_is_dropped() {
    let mut pair = Pair::new(Setup::default());
    pair.run_for(Duration::from_millis(12));
    let received = pair.server().stats().packets_received;
    let mut datagram = vec![0xc0; 600];
    let (now, tuple) = (pair.now, pair.server().path());
    pair.server().receive(now, tuple, None, &mut datagram);
    assert_eq!(pair.server().stats().packets_received, received);
}

#[test]
fn an_acknowledgement_behind_the_clients_finished_is_no_violation() {
    let mut pair = Pair::new(Setup::default());
    pair.run_until(Duration::from_secs(1), |pair| pair.client.is_established());
    pair.flying.clear();
    let (destination_cid, source_cid) = (
        pair.client.remote_cid(),
        pair.client.local_cids().next().unwrap(),
    );
    let space = pair.client.spaces.get_mut(SpaceId::Handshake).unwrap();
    space.crypto_send.resend_all();
    let number = space.numbers.allocate();
    let mut buffer = [0; 1400];
    let mut out = Writer::new(&mut buffer);
    let header = LongHeader {
        long_type: LongType::Handshake,
        destination_cid,
        source_cid,
    };
    let layout = header.encode(number, 4, &mut out).unwrap();
    space.crypto_send.write_frames(&mut out, &mut Vec::new());
    let mut acked = RangeSet::new();
    acked.insert(0..1);
    Ack::encode_ranges(&acked, 0, None, &mut out).unwrap();
    layout.set_length(TAG_LEN, &mut out).unwrap();
    out.put_zeros(TAG_LEN).unwrap();
    let len = out.len();
    let keys = space.keys.local().unwrap();
    seal_packet(&mut buffer[..len], layout.pn_offset, number, keys).unwrap();
    let (tuple, now) = (pair.server().path(), pair.now);
    pair.server().receive(now, tuple, None, &mut buffer[..len]);
    assert_eq!(pair.server().state(), State::Confirmed);
}

#[test]
fn a_servers_initial_with_a_token_is_dropped() {
    for token in [&b""[..], b"token"] {
        let mut pair = Pair::new(Setup::default());
        let original = pair.client.remote_cid();
        let keys = Keys::initial(&original, Side::Server).local;
        let number = PacketNumber::ZERO;
        let header = LongHeader {
            long_type: LongType::Initial { token },
            destination_cid: pair.client.local_cids().next().unwrap(),
            source_cid: original,
        };
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        let layout = header.encode(number, 4, &mut out).unwrap();
        Frame::Ping.encode(&mut out).unwrap();
        layout.set_length(TAG_LEN, &mut out).unwrap();
        out.put_zeros(TAG_LEN).unwrap();
        let len = out.len();
        seal_packet(&mut buffer[..len], layout.pn_offset, number, &keys).unwrap();
        let (tuple, now) = (pair.client.path(), pair.now);
        pair.client.receive(now, tuple, None, &mut buffer[..len]);
        let taken = u64::from(token.is_empty());
        assert_eq!(pair.client.stats().packets_received, taken);
    }
}

#[test]
fn a_forged_datagram_does_not_choose_the_address_we_send_from() {
    let mut pair = Pair::new(Setup::default());
    pair.client.path = Path::validated(FourTuple {
        local: ([0, 0, 0, 0], 1000).into(),
        remote: SERVER.into(),
    });
    let tuple = FourTuple {
        local: ([10, 0, 0, 66], 1000).into(),
        remote: SERVER.into(),
    };
    pair.client.receive(pair.now, tuple, None, &mut [0x40; 60]);
    assert!(pair.client.path().local.ip().is_unspecified());
    pair.run_until(Duration::from_secs(1), |pair| pair.client.is_established());
    assert_eq!(pair.client.path().local, CLIENT.into());
}

#[test]
fn connection_ids_that_were_not_sent_yet_cannot_be_retired() {
    let mut pair = Pair::connected(Setup::default());
    inject(&mut pair, |out| {
        for sequence_number in 1..20 {
            let frame = RetireConnectionId { sequence_number };
            Frame::RetireConnectionId(frame).encode(out).unwrap();
        }
    });
    assert_eq!(server_code(&mut pair), "PROTOCOL_VIOLATION");
}

#[test]
fn of_a_flood_of_tokens_the_latest_is_kept() {
    let mut pair = Pair::connected(Setup::default());
    while pair.client.poll_event().is_some() {}
    for number in 0..10_000_u32 {
        let now = pair.now;
        inject_between(
            now,
            pair.server.as_mut().unwrap(),
            &mut pair.client,
            |out| {
                let token = &number.to_be_bytes();
                Frame::NewToken(NewToken { token }).encode(out).unwrap();
            },
        );
    }
    let token = 9_999_u32.to_be_bytes().to_vec();
    assert_eq!(pair.client.poll_event(), Some(Event::NewToken(token)));
    assert_eq!(pair.client.poll_event(), None);
}
