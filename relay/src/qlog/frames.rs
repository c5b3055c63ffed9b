//! Frames in the words of qlog: draft-ietf-quic-qlog-quic-events-02 §5.3 ("QuicFrame").

use qlog::events::RawInfo;
use qlog::events::quic::{AckedRanges, ErrorSpace, QuicFrame, StreamType};
use qlog::{HexSlice, Token, TokenType};
use quic_lite::Dir;
use quic_lite::connection::{OtherFrames, OtherStreamFrame};
use quic_lite::wire::frame::{Ack, CloseError, ConnectionClose, Frame, frame_type, frames};
use quic_relay::limits;

/// The first frames of a packet that was opened or is about to be sealed; `ack_delay_exponent` is its sender's.
pub(super) fn all(payload: &[u8], ack_delay_exponent: u32) -> Vec<QuicFrame> {
    frames(payload)
        .map_while(Result::ok)
        .take(limits::QLOG_FRAMES)
        .map(|frame| one(&frame, ack_delay_exponent))
        .collect()
}

/// What another sender tells of its frames.
pub(super) fn of_other(frames: &OtherFrames) -> Vec<QuicFrame> {
    let streams = frames.streams.iter().flatten().map(other_stream);
    // How long each of them was is not told.
    let datagrams = (0..frames.datagrams).map(|_| unknown(frame_type::DATAGRAM));
    streams.chain(datagrams).collect()
}

fn one(frame: &Frame<'_>, ack_delay_exponent: u32) -> QuicFrame {
    match frame {
        Frame::Ack(ack) => acknowledgement(ack, ack_delay_exponent),
        Frame::Crypto(frame) => QuicFrame::Crypto {
            offset: frame.offset,
            length: frame.data.len() as u64,
        },
        Frame::Stream(frame) => QuicFrame::Stream {
            stream_id: frame.stream_id.value(),
            offset: frame.offset,
            length: frame.data.len() as u64,
            fin: frame.fin.then_some(true),
            raw: None,
        },
        Frame::Datagram(frame) => QuicFrame::Datagram {
            length: frame.data.len() as u64,
            raw: None,
        },
        Frame::ConnectionClose(frame) => close(frame),
        Frame::Padding { length } => QuicFrame::Padding {
            length: None,
            payload_length: u32::try_from(*length).unwrap_or(u32::MAX),
        },
        Frame::Ping => QuicFrame::Ping {
            length: None,
            payload_length: None,
        },
        Frame::HandshakeDone => QuicFrame::HandshakeDone,
        Frame::AckFrequency(_) => unknown(frame_type::ACK_FREQUENCY),
        Frame::ImmediateAck => unknown(frame_type::IMMEDIATE_ACK),
        other => of_stream_or_id(other),
    }
}

/// Frames of flow control and stream states, connection IDs and paths.
fn of_stream_or_id(frame: &Frame<'_>) -> QuicFrame {
    match frame {
        Frame::ResetStream(frame) => QuicFrame::ResetStream {
            stream_id: frame.stream_id.value(),
            error_code: frame.application_error_code,
            final_size: frame.final_size,
            length: None,
            payload_length: None,
        },
        Frame::StopSending(frame) => QuicFrame::StopSending {
            stream_id: frame.stream_id.value(),
            error_code: frame.application_error_code,
            length: None,
            payload_length: None,
        },
        Frame::NewToken(frame) => QuicFrame::NewToken {
            token: Token {
                ty: Some(TokenType::Resumption),
                details: None,
                raw: Some(RawInfo {
                    length: Some(frame.token.len() as u64),
                    ..RawInfo::default()
                }),
            },
        },
        Frame::NewConnectionId(frame) => QuicFrame::NewConnectionId {
            sequence_number: small(frame.sequence_number),
            retire_prior_to: small(frame.retire_prior_to),
            connection_id_length: u8::try_from(frame.connection_id.len()).ok(),
            connection_id: hex(frame.connection_id.as_slice()),
            stateless_reset_token: None,
        },
        Frame::RetireConnectionId(frame) => QuicFrame::RetireConnectionId {
            sequence_number: small(frame.sequence_number),
        },
        Frame::PathChallenge(frame) => QuicFrame::PathChallenge {
            data: Some(hex(&frame.data)),
        },
        Frame::PathResponse(frame) => QuicFrame::PathResponse {
            data: Some(hex(&frame.data)),
        },
        other => credit(other),
    }
}

fn credit(frame: &Frame<'_>) -> QuicFrame {
    match frame {
        Frame::MaxData(frame) => QuicFrame::MaxData {
            maximum: frame.maximum_data,
        },
        Frame::MaxStreamData(frame) => QuicFrame::MaxStreamData {
            stream_id: frame.stream_id.value(),
            maximum: frame.maximum_stream_data,
        },
        Frame::MaxStreams(frame) => QuicFrame::MaxStreams {
            stream_type: stream_type(frame.dir),
            maximum: frame.maximum_streams,
        },
        Frame::DataBlocked(frame) => QuicFrame::DataBlocked {
            limit: frame.maximum_data,
        },
        Frame::StreamDataBlocked(frame) => QuicFrame::StreamDataBlocked {
            stream_id: frame.stream_id.value(),
            limit: frame.maximum_stream_data,
        },
        Frame::StreamsBlocked(frame) => QuicFrame::StreamsBlocked {
            stream_type: stream_type(frame.dir),
            limit: frame.maximum_streams,
        },
        other => unknown(other.frame_type()),
    }
}

fn acknowledgement(ack: &Ack<'_>, exponent: u32) -> QuicFrame {
    let mut ranges: Vec<(u64, u64)> = ack
        .ranges()
        .take(limits::QLOG_FRAMES)
        .map(|range| (range.start().value(), range.end().value()))
        .collect();
    ranges.reverse();
    let counts = ack.ecn_counts;
    QuicFrame::Ack {
        // RFC 9000 §19.3: in units of so many microseconds.
        ack_delay: Some(ack.ack_delay as f32 * 2_f32.powi(exponent as i32) / 1000.0),
        acked_ranges: Some(AckedRanges::Double(ranges)),
        ect1: counts.map(|counts| counts.ect1),
        ect0: counts.map(|counts| counts.ect0),
        ce: counts.map(|counts| counts.ecn_ce),
        length: None,
        payload_length: None,
    }
}

fn close(frame: &ConnectionClose<'_>) -> QuicFrame {
    let (space, code, trigger) = match frame.error {
        CloseError::Transport { code, frame_type } => {
            (ErrorSpace::TransportError, code.0, Some(frame_type))
        }
        CloseError::Application { code } => (ErrorSpace::ApplicationError, code, None),
    };
    QuicFrame::ConnectionClose {
        error_space: Some(space),
        error_code: Some(code),
        error_code_value: None,
        reason: Some(String::from_utf8_lossy(frame.reason).into_owned()),
        trigger_frame_type: trigger,
    }
}

fn other_stream(frame: &OtherStreamFrame) -> QuicFrame {
    QuicFrame::Stream {
        stream_id: frame.id.value(),
        offset: frame.offset,
        length: frame.len,
        fin: frame.fin.then_some(true),
        raw: None,
    }
}

fn unknown(frame_type: u64) -> QuicFrame {
    QuicFrame::Unknown {
        raw_frame_type: frame_type,
        frame_type_value: None,
        raw: None,
    }
}

const fn stream_type(dir: Dir) -> StreamType {
    match dir {
        Dir::Bi => StreamType::Bidirectional,
        Dir::Uni => StreamType::Unidirectional,
    }
}

/// The draft counts connection IDs with 32 bits.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    HexSlice::new(bytes).to_string()
}
