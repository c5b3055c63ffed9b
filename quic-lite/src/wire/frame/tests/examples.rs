//! One example of each frame (RFC 9000 §19, RFC 9221 §4), and its row of RFC 9000 §12.4, Table 3.

use crate::error::TransportErrorCode;
use crate::wire::connection_id::ConnectionId;
use crate::wire::frame::*;
use crate::wire::stream_id::StreamId;
use alloc::vec::Vec;

const ACK: [u8; 7] = [0x02, 9, 25, 1, 2, 1, 1];

/// A frame with the bytes we write for it, its line in a log, and the packets that may carry it.
pub struct Example {
    pub bytes: &'static [u8],
    pub line: &'static str,
    pub allowed: &'static str,
    pub frame: Frame<'static>,
}

fn example(
    bytes: &'static [u8],
    line: &'static str,
    allowed: &'static str,
    frame: Frame<'static>,
) -> Example {
    Example {
        bytes,
        line,
        allowed,
        frame,
    }
}

pub fn examples() -> Vec<Example> {
    let mut all = Vec::from(examples_of_packets_and_handshake());
    all.extend(examples_of_streams());
    all.extend(examples_of_credit());
    all.extend(examples_of_paths());
    all.extend(examples_of_closing());
    all
}

fn examples_of_packets_and_handshake() -> [Example; 9] {
    let Ok((_, ack)) = Frame::parse(&ACK) else {
        panic!("ACK")
    };
    let crypto = Crypto {
        offset: 3,
        data: &[8, 9],
    };
    let new_token = NewToken {
        token: &[0xaa, 0xbb],
    };
    let datagram = Datagram { data: &[8, 9] };
    let frequency = AckFrequency {
        sequence_number: 1,
        ack_eliciting_threshold: 10,
        requested_max_ack_delay: 25_000,
        reordering_threshold: 3,
    };
    let frequency_line = "ACK_FREQUENCY seq=1 packets=10 delay=25000us reordering=3";
    [
        example(
            &[0, 0, 0],
            "PADDING length=3",
            "IH01",
            Frame::Padding { length: 3 },
        ),
        example(&[1], "PING", "IH01", Frame::Ping),
        example(&ACK, "ACK 7-9,3-4 delay=25", "IH_1", ack),
        example(
            &[6, 3, 2, 8, 9],
            "CRYPTO offset=3 length=2",
            "IH_1",
            Frame::Crypto(crypto),
        ),
        example(
            &[7, 2, 0xaa, 0xbb],
            "NEW_TOKEN token=aabb",
            "___1",
            Frame::NewToken(new_token),
        ),
        example(&[0x1e], "HANDSHAKE_DONE", "___1", Frame::HandshakeDone),
        example(&[0x1f], "IMMEDIATE_ACK", "__01", Frame::ImmediateAck),
        example(
            &[0x31, 2, 8, 9],
            "DATAGRAM length=2",
            "__01",
            Frame::Datagram(datagram),
        ),
        example(
            &[0x40, 0xaf, 1, 10, 0x80, 0, 0x61, 0xa8, 3],
            frequency_line,
            "__01",
            Frame::AckFrequency(frequency),
        ),
    ]
}

fn stream_4() -> StreamId {
    StreamId::new(Side::Client, Dir::Bi, 1)
}

fn examples_of_streams() -> [Example; 3] {
    let stream_id = stream_4();
    let reset = ResetStream {
        stream_id,
        application_error_code: 0x41,
        final_size: 9,
    };
    let stop = StopSending {
        stream_id,
        application_error_code: 7,
    };
    let stream = Stream {
        stream_id,
        offset: 7,
        fin: true,
        data: &[8, 9],
    };
    let stream_line = "STREAM id=4 (client bi) offset=7 length=2 fin";
    [
        example(
            &[4, 4, 0x40, 0x41, 9],
            "RESET_STREAM id=4 code=0x41 final_size=9",
            "__01",
            Frame::ResetStream(reset),
        ),
        example(
            &[5, 4, 7],
            "STOP_SENDING id=4 code=0x7",
            "__01",
            Frame::StopSending(stop),
        ),
        example(
            &[0x0f, 4, 7, 2, 8, 9],
            stream_line,
            "__01",
            Frame::Stream(stream),
        ),
    ]
}

fn examples_of_credit() -> [Example; 8] {
    let stream_id = stream_4();
    let (maximum_data, maximum_stream_data, maximum_streams) = (5, 5, 5);
    let max_data = Frame::MaxData(MaxData { maximum_data });
    let max_stream_data = Frame::MaxStreamData(MaxStreamData {
        stream_id,
        maximum_stream_data,
    });
    let max_streams = |dir| {
        Frame::MaxStreams(MaxStreams {
            dir,
            maximum_streams,
        })
    };
    let data_blocked = Frame::DataBlocked(DataBlocked { maximum_data });
    let stream_data_blocked = Frame::StreamDataBlocked(StreamDataBlocked {
        stream_id,
        maximum_stream_data,
    });
    let streams_blocked = |dir| {
        Frame::StreamsBlocked(StreamsBlocked {
            dir,
            maximum_streams,
        })
    };
    [
        example(&[0x10, 5], "MAX_DATA 5", "__01", max_data),
        example(
            &[0x11, 4, 5],
            "MAX_STREAM_DATA id=4 5",
            "__01",
            max_stream_data,
        ),
        example(&[0x12, 5], "MAX_STREAMS bi 5", "__01", max_streams(Dir::Bi)),
        example(
            &[0x13, 5],
            "MAX_STREAMS uni 5",
            "__01",
            max_streams(Dir::Uni),
        ),
        example(&[0x14, 5], "DATA_BLOCKED 5", "__01", data_blocked),
        example(
            &[0x15, 4, 5],
            "STREAM_DATA_BLOCKED id=4 5",
            "__01",
            stream_data_blocked,
        ),
        example(
            &[0x16, 5],
            "STREAMS_BLOCKED bi 5",
            "__01",
            streams_blocked(Dir::Bi),
        ),
        example(
            &[0x17, 5],
            "STREAMS_BLOCKED uni 5",
            "__01",
            streams_blocked(Dir::Uni),
        ),
    ]
}

fn examples_of_paths() -> [Example; 4] {
    const ISSUE: [u8; 22] = [
        0x18, 2, 1, 2, 0xab, 0xcd, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    ];
    const DATA: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
    let issue = NewConnectionId {
        sequence_number: 2,
        retire_prior_to: 1,
        connection_id: ConnectionId::new(&[0xab, 0xcd]).unwrap(),
        stateless_reset_token: [5; 16],
    };
    let issue_line = "NEW_CONNECTION_ID seq=2 retire_prior_to=1 cid=abcd";
    let retire = Frame::RetireConnectionId(RetireConnectionId { sequence_number: 3 });
    let challenge = Frame::PathChallenge(PathChallenge { data: DATA });
    let response = Frame::PathResponse(PathResponse { data: DATA });
    [
        example(&ISSUE, issue_line, "__01", Frame::NewConnectionId(issue)),
        example(&[0x19, 3], "RETIRE_CONNECTION_ID seq=3", "___1", retire),
        example(
            &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
            "PATH_CHALLENGE data=0102030405060708",
            "__01",
            challenge,
        ),
        example(
            &[0x1b, 1, 2, 3, 4, 5, 6, 7, 8],
            "PATH_RESPONSE data=0102030405060708",
            "___1",
            response,
        ),
    ]
}

fn examples_of_closing() -> [Example; 2] {
    let close = |error| {
        Frame::ConnectionClose(ConnectionClose {
            error,
            reason: b"no",
        })
    };
    let transport = close(CloseError::Transport {
        code: TransportErrorCode::PROTOCOL_VIOLATION,
        frame_type: 6,
    });
    let transport_line = "CONNECTION_CLOSE PROTOCOL_VIOLATION frame_type=0x6 reason=\"no\"";
    let application = close(CloseError::Application { code: 0x99 });
    let application_line = "CONNECTION_CLOSE application code=0x99 reason=\"no\"";
    [
        example(
            &[0x1c, 0x0a, 6, 2, b'n', b'o'],
            transport_line,
            "IH01",
            transport,
        ),
        example(
            &[0x1d, 0x40, 0x99, 2, b'n', b'o'],
            application_line,
            "__01",
            application,
        ),
    ]
}
