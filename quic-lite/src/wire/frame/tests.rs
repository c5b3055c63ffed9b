//! Every frame: its bytes, its way back, its truncations, and which packets may carry it (RFC 9000 §12.4, §19).

use super::*;
use crate::error::TransportErrorCode;
use crate::range_set::RangeSet;
use crate::wire::connection_id::ConnectionId;
use crate::wire::stream_id::StreamId;
use alloc::string::ToString;
use alloc::vec::Vec;

const ACK: [u8; 7] = [0x02, 9, 25, 1, 2, 1, 1];

/// Each frame with the bytes we write for it, its line in a log, and the packets that may carry it.
fn examples() -> Vec<(&'static [u8], &'static str, &'static str, Frame<'static>)> {
    let Ok((_, ack)) = Frame::parse(&ACK) else {
        panic!("ACK")
    };
    let stream_id = StreamId::new(Side::Client, Dir::Bi, 1);
    let connection_id = ConnectionId::new(&[0xab, 0xcd]).unwrap();
    let transport = CloseError::Transport {
        code: TransportErrorCode::PROTOCOL_VIOLATION,
        frame_type: 6,
    };
    let close = |error| {
        Frame::ConnectionClose(ConnectionClose {
            error,
            reason: b"no",
        })
    };
    let new_connection_id = NewConnectionId {
        sequence_number: 2,
        retire_prior_to: 1,
        connection_id,
        stateless_reset_token: [5; 16],
    };
    let frequency = AckFrequency {
        sequence_number: 1,
        ack_eliciting_threshold: 10,
        requested_max_ack_delay: 25_000,
        reordering_threshold: 3,
    };
    Vec::from([
        (
            &[0, 0, 0][..],
            "PADDING length=3",
            "IH01",
            Frame::Padding { length: 3 },
        ),
        (&[1], "PING", "IH01", Frame::Ping),
        (&ACK, "ACK 7-9,3-4 delay=25", "IH_1", ack),
        (
            &[4, 4, 0x40, 0x41, 9],
            "RESET_STREAM id=4 code=0x41 final_size=9",
            "__01",
            Frame::ResetStream(ResetStream {
                stream_id,
                application_error_code: 0x41,
                final_size: 9,
            }),
        ),
        (
            &[5, 4, 7],
            "STOP_SENDING id=4 code=0x7",
            "__01",
            Frame::StopSending(StopSending {
                stream_id,
                application_error_code: 7,
            }),
        ),
        (
            &[6, 3, 2, 8, 9],
            "CRYPTO offset=3 length=2",
            "IH_1",
            Frame::Crypto(Crypto {
                offset: 3,
                data: &[8, 9],
            }),
        ),
        (
            &[7, 2, 0xaa, 0xbb],
            "NEW_TOKEN token=aabb",
            "___1",
            Frame::NewToken(NewToken {
                token: &[0xaa, 0xbb],
            }),
        ),
        (
            &[0x0f, 4, 7, 2, 8, 9],
            "STREAM id=4 (client bi) offset=7 length=2 fin",
            "__01",
            Frame::Stream(Stream {
                stream_id,
                offset: 7,
                fin: true,
                data: &[8, 9],
            }),
        ),
        (
            &[0x10, 5],
            "MAX_DATA 5",
            "__01",
            Frame::MaxData(MaxData { maximum_data: 5 }),
        ),
        (
            &[0x11, 4, 5],
            "MAX_STREAM_DATA id=4 5",
            "__01",
            Frame::MaxStreamData(MaxStreamData {
                stream_id,
                maximum_stream_data: 5,
            }),
        ),
        (
            &[0x12, 5],
            "MAX_STREAMS bi 5",
            "__01",
            Frame::MaxStreams(MaxStreams {
                dir: Dir::Bi,
                maximum_streams: 5,
            }),
        ),
        (
            &[0x13, 5],
            "MAX_STREAMS uni 5",
            "__01",
            Frame::MaxStreams(MaxStreams {
                dir: Dir::Uni,
                maximum_streams: 5,
            }),
        ),
        (
            &[0x14, 5],
            "DATA_BLOCKED 5",
            "__01",
            Frame::DataBlocked(DataBlocked { maximum_data: 5 }),
        ),
        (
            &[0x15, 4, 5],
            "STREAM_DATA_BLOCKED id=4 5",
            "__01",
            Frame::StreamDataBlocked(StreamDataBlocked {
                stream_id,
                maximum_stream_data: 5,
            }),
        ),
        (
            &[0x16, 5],
            "STREAMS_BLOCKED bi 5",
            "__01",
            Frame::StreamsBlocked(StreamsBlocked {
                dir: Dir::Bi,
                maximum_streams: 5,
            }),
        ),
        (
            &[0x17, 5],
            "STREAMS_BLOCKED uni 5",
            "__01",
            Frame::StreamsBlocked(StreamsBlocked {
                dir: Dir::Uni,
                maximum_streams: 5,
            }),
        ),
        (
            &[
                0x18, 2, 1, 2, 0xab, 0xcd, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
            ],
            "NEW_CONNECTION_ID seq=2 retire_prior_to=1 cid=abcd",
            "__01",
            Frame::NewConnectionId(new_connection_id),
        ),
        (
            &[0x19, 3],
            "RETIRE_CONNECTION_ID seq=3",
            "___1",
            Frame::RetireConnectionId(RetireConnectionId { sequence_number: 3 }),
        ),
        (
            &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
            "PATH_CHALLENGE data=0102030405060708",
            "__01",
            Frame::PathChallenge(PathChallenge {
                data: [1, 2, 3, 4, 5, 6, 7, 8],
            }),
        ),
        (
            &[0x1b, 1, 2, 3, 4, 5, 6, 7, 8],
            "PATH_RESPONSE data=0102030405060708",
            "___1",
            Frame::PathResponse(PathResponse {
                data: [1, 2, 3, 4, 5, 6, 7, 8],
            }),
        ),
        (
            &[0x1c, 0x0a, 6, 2, b'n', b'o'],
            "CONNECTION_CLOSE PROTOCOL_VIOLATION frame_type=0x6 reason=\"no\"",
            "IH01",
            close(transport),
        ),
        (
            &[0x1d, 0x40, 0x99, 2, b'n', b'o'],
            "CONNECTION_CLOSE application code=0x99 reason=\"no\"",
            "__01",
            close(CloseError::Application { code: 0x99 }),
        ),
        (&[0x1e], "HANDSHAKE_DONE", "___1", Frame::HandshakeDone),
        (
            &[0x31, 2, 8, 9],
            "DATAGRAM length=2",
            "__01",
            Frame::Datagram(Datagram { data: &[8, 9] }),
        ),
        (
            &[0x40, 0xaf, 1, 10, 0x80, 0, 0x61, 0xa8, 3],
            "ACK_FREQUENCY seq=1 packets=10 delay=25000us reordering=3",
            "__01",
            Frame::AckFrequency(frequency),
        ),
        (&[0x1f], "IMMEDIATE_ACK", "__01", Frame::ImmediateAck),
    ])
}

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = [0; 100];
    let mut out = Writer::new(&mut buffer);
    frame.encode(&mut out).unwrap();
    out.written().to_vec()
}

fn kind(bytes: &[u8]) -> WireErrorKind {
    Frame::parse(bytes).unwrap_err().kind
}

#[test]
fn every_frame_is_read_written_and_printed() {
    for (bytes, line, _, frame) in examples() {
        assert_eq!(Frame::parse(bytes), Ok((&[][..], frame)), "{line}");
        assert_eq!(encode(&frame), bytes, "{line}");
        assert_eq!(frame.to_string(), line);
        assert_eq!(
            varint::parse(bytes).unwrap().1,
            frame.frame_type(),
            "{line}"
        );
    }
}

#[test]
fn every_truncation_of_every_frame_is_refused() {
    for (bytes, line, _, frame) in examples() {
        for end in 0..bytes.len() {
            let cut = Frame::parse(&bytes[..end]);
            // A run of PADDING is several frames: cut, it is a shorter run.
            let shorter = matches!(frame, Frame::Padding { .. }) && end > 0;
            assert_eq!(cut.is_ok(), shorter, "{line} cut at {end}: {cut:?}");
        }
    }
}

#[test]
fn an_error_names_the_frame_it_is_in() {
    for (bytes, line, _, frame) in examples() {
        if bytes.len() > 2 && !matches!(frame, Frame::Padding { .. }) {
            let error = Frame::parse(&bytes[..bytes.len() - 1]).unwrap_err();
            assert_eq!(
                (error.kind, error.frame_type),
                (WireErrorKind::Truncated, Some(frame.frame_type())),
                "{line}"
            );
        }
    }
}

#[test]
fn every_frame_that_does_not_fit_writes_nothing() {
    for (bytes, line, _, frame) in examples() {
        for room in 0..bytes.len() {
            let mut buffer = [0; 100];
            let mut out = Writer::new(&mut buffer[..room]);
            assert_eq!(frame.encode(&mut out), Err(Full), "{line}");
            assert!(out.is_empty(), "{line}");
        }
    }
}

/// Pins the permissions to RFC 9000 §12.4, Table 3 and §12.5.
#[test]
fn each_packet_type_carries_only_its_frames() {
    let packet_types = [
        PacketType::Initial,
        PacketType::Handshake,
        PacketType::ZeroRtt,
        PacketType::OneRtt,
    ];
    for (_, line, allowed, frame) in examples() {
        let mut found = ['_'; 4];
        for ((found, letter), packet_type) in found.iter_mut().zip("IH01".chars()).zip(packet_types)
        {
            if frame.is_allowed_in(packet_type) {
                *found = letter;
            }
        }
        assert_eq!(
            found.iter().collect::<alloc::string::String>(),
            allowed,
            "{line}"
        );
    }
}

#[test]
fn only_servers_send_tokens_and_confirm_the_handshake() {
    for (_, line, _, frame) in examples() {
        let only_server = matches!(frame, Frame::NewToken(_) | Frame::HandshakeDone);
        assert_eq!(frame.is_allowed_from(Side::Client), !only_server, "{line}");
        assert!(frame.is_allowed_from(Side::Server));
    }
}

#[test]
fn three_frames_elicit_no_ack_and_four_only_probe() {
    let names = |test: fn(&Frame<'_>) -> bool| {
        let chosen = examples().into_iter().filter(|example| test(&example.3));
        chosen
            .map(|(_, line, ..)| line.split(' ').next().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(|frame| !frame.is_ack_eliciting()),
        ["PADDING", "ACK", "CONNECTION_CLOSE", "CONNECTION_CLOSE"]
    );
    assert_eq!(
        names(|frame| frame.is_probing()),
        [
            "PADDING",
            "NEW_CONNECTION_ID",
            "PATH_CHALLENGE",
            "PATH_RESPONSE"
        ]
    );
}

#[test]
fn a_frame_type_in_a_longer_form_is_refused() {
    for (bytes, line, _, frame) in examples() {
        let minimal = varint::size(frame.frame_type());
        for length in [2, 4, 8].into_iter().filter(|length| *length > minimal) {
            let mut buffer = [0; 100];
            let mut out = Writer::new(&mut buffer);
            out.varint_with_len(frame.frame_type(), length).unwrap();
            out.put(&bytes[minimal..]).unwrap();
            assert_eq!(
                kind(out.written()),
                WireErrorKind::FrameTypeNotMinimal,
                "{line}"
            );
        }
    }
}

#[test]
fn unknown_frame_types_are_refused() {
    for frame_type in [0x20, 0x2f, 0x32, 0x3f, 0x40ff, varint::MAX] {
        let mut buffer = [0; 100];
        let mut out = Writer::new(&mut buffer);
        out.varint(frame_type).unwrap();
        out.put_zeros(20).unwrap();
        let error = Frame::parse(out.written()).unwrap_err();
        assert_eq!(
            (error.kind, error.frame_type),
            (WireErrorKind::UnknownFrameType, Some(frame_type))
        );
    }
}

#[test]
fn a_payload_gives_its_frames_in_order_and_ends_at_the_first_error() {
    let payload: Vec<u8> = examples()
        .iter()
        .flat_map(|example| example.0)
        .copied()
        .collect();
    let expected = examples().into_iter().map(|example| Ok(example.3));
    assert!(frames(&payload).eq(expected));

    let mut found = frames(&[1, 0x20, 1, 1]);
    assert_eq!(found.next(), Some(Ok(Frame::Ping)));
    assert!(matches!(found.next(), Some(Err(_))));
    assert_eq!(found.next(), None);
}

#[test]
fn frames_without_a_length_reach_to_the_end_of_the_packet() {
    let data: &[u8] = &[1, 0, 0, 1];
    let stream = Stream {
        stream_id: StreamId::new(Side::Server, Dir::Uni, 0),
        offset: 0,
        fin: false,
        data,
    };
    assert!(frames(&[0x08, 3, 1, 0, 0, 1]).eq([Ok(Frame::Stream(stream))]));
    assert!(frames(&[0x30, 1, 0, 0, 1]).eq([Ok(Frame::Datagram(Datagram { data }))]));
    let mut buffer = [0; 9];
    let mut out = Writer::new(&mut buffer);
    Datagram { data }.encode_with(false, &mut out).unwrap();
    assert_eq!(out.written(), [0x30, 1, 0, 0, 1]);
}

#[test]
fn fields_at_their_largest_round_trip() {
    let largest = StreamId::from_value(varint::MAX).unwrap();
    for frame in [
        Frame::ResetStream(ResetStream {
            stream_id: largest,
            application_error_code: varint::MAX,
            final_size: varint::MAX,
        }),
        Frame::MaxStreamData(MaxStreamData {
            stream_id: largest,
            maximum_stream_data: varint::MAX,
        }),
        Frame::MaxData(MaxData {
            maximum_data: varint::MAX,
        }),
        Frame::RetireConnectionId(RetireConnectionId {
            sequence_number: varint::MAX,
        }),
    ] {
        assert_eq!(Frame::parse(&encode(&frame)), Ok((&[][..], frame)));
    }
    let mut buffer = [0; 100];
    let above = Frame::MaxData(MaxData {
        maximum_data: varint::MAX + 1,
    });
    assert_eq!(above.encode(&mut Writer::new(&mut buffer)), Err(Full));
}

#[test]
fn an_ack_with_ecn_has_its_own_type() {
    let received: RangeSet = [3..5, 7..10].into_iter().collect();
    let mut buffer = [0; 30];
    let mut out = Writer::new(&mut buffer);
    Ack::encode_ranges(&received, 1, Some(EcnCounts::default()), &mut out).unwrap();
    let (_, frame) = Frame::parse(out.written()).unwrap();
    assert_eq!(frame.frame_type(), frame_type::ACK_ECN);
    assert_eq!(encode(&frame), out.written());
    assert!(!frame.is_ack_eliciting());
}
