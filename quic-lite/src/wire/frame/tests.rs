//! Every frame: its bytes, its way back, its truncations, and which packets may carry it (RFC 9000 §12.4, §19).

mod examples;

use self::examples::{Example, examples};
use super::*;
use crate::range_set::RangeSet;
use crate::wire::stream_id::StreamId;
use alloc::string::ToString;
use alloc::vec::Vec;

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
    for Example {
        bytes, line, frame, ..
    } in examples()
    {
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
    for Example {
        bytes, line, frame, ..
    } in examples()
    {
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
    for Example {
        bytes, line, frame, ..
    } in examples()
    {
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
    for Example {
        bytes, line, frame, ..
    } in examples()
    {
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
    for Example {
        line,
        allowed,
        frame,
        ..
    } in examples()
    {
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
    for Example { line, frame, .. } in examples() {
        let only_server = matches!(frame, Frame::NewToken(_) | Frame::HandshakeDone);
        assert_eq!(frame.is_allowed_from(Side::Client), !only_server, "{line}");
        assert!(frame.is_allowed_from(Side::Server));
    }
}

#[test]
fn three_frames_elicit_no_ack_and_four_only_probe() {
    let names = |test: fn(&Frame<'_>) -> bool| {
        let chosen = examples()
            .into_iter()
            .filter(|example| test(&example.frame));
        chosen
            .map(|Example { line, .. }| line.split(' ').next().unwrap())
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
    for Example {
        bytes, line, frame, ..
    } in examples()
    {
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
        .flat_map(|example| example.bytes)
        .copied()
        .collect();
    let expected = examples().into_iter().map(|example| Ok(example.frame));
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

#[test]
fn an_ack_with_ecn_counts_fits_into_any_room_with_as_many_ranges_as_that_has() {
    let mut received = RangeSet::new();
    for range in 0..20 {
        received.insert(range * 3..range * 3 + 2);
    }
    let counts = EcnCounts {
        ect0: 1,
        ect1: 2,
        ecn_ce: 3,
    };
    let mut buffer = [0; 80];
    // Type, largest, delay, two bytes for the count, first range, three counts: no ACK is shorter.
    for room in 9..buffer.len() {
        let mut out = Writer::new(&mut buffer[..room]);
        let ranges = Ack::encode_ranges(&received, 0, Some(counts), &mut out).unwrap();
        assert_eq!(ranges, (1 + (room - 9) / 2).min(20), "{room} bytes");
    }
}

#[test]
fn a_datagrams_encoded_len_is_what_it_takes() {
    for length in [0, 1, 63, 64] {
        let data = [7; 64];
        let datagram = Datagram {
            data: &data[..length],
        };
        let written = encode(&Frame::Datagram(datagram));
        assert_eq!(datagram.encoded_len(), written.len());
    }
}
