//! Frames (RFC 9000 §19; RFC 9221) beside s2n-quic-core, the one stack that shows its decoder of them.

use crate::{Difference, agree};
use quic_lite::error::TransportErrorCode;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::frame as our;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::stream_id::{Dir, StreamId};
use quic_lite::wire::varint;
use s2n_codec::DecoderBufferMut;
use s2n_quic_core::frame::{Frame as Theirs, FrameMut};
use s2n_quic_core::stream::StreamType;
use s2n_quic_core::varint::VarInt;
use std::collections::BTreeSet;

/// Where s2n-quic-core and we may differ.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "acknowledgement frequency",
        reason: "ACK_FREQUENCY and IMMEDIATE_ACK are of a draft that s2n does not speak",
        applies: |i| matches!(frame_type(i), Some(0x1f | 0xaf)),
    },
    Difference {
        name: "frames of s2n's own",
        reason: "0xdc0000 to 0xdc0002 are extensions that nobody else speaks",
        applies: |i| matches!(frame_type(i), Some(0xdc_0000..=0xdc_0002)),
    },
    Difference {
        name: "empty token",
        reason: "§19.7: an empty NEW_TOKEN is an error; s2n finds it when it processes the frame, we when we parse it",
        applies: |i| i.first() == Some(&7) && fields(&i[1..], 1).is_some_and(|token| token[0] == 0),
    },
    Difference {
        name: "offset beyond 2^62-1",
        reason: "§19.6, §19.8: data beyond the largest offset is an error; s2n finds it when it assembles the stream",
        applies: ends_beyond_the_largest_offset,
    },
];

/// All frames of a payload, one by one, until one is refused. Says which differences explained something.
pub fn frames(data: &[u8]) -> Vec<&'static str> {
    let mut rest = data;
    let mut explained = BTreeSet::new();
    while !rest.is_empty() {
        let ours = Frame::parse(rest).ok();
        let mut copy = rest.to_vec();
        let theirs = DecoderBufferMut::new(&mut copy).decode::<FrameMut<'_>>();
        let theirs = theirs.ok().map(|(frame, after)| (after.len(), frame));
        let theirs = theirs
            .as_ref()
            .map(|(after, frame)| (*after, Read::theirs(frame)));
        let read = ours
            .as_ref()
            .map(|(after, frame)| (after.len(), Read::ours(frame)));
        explained.extend(agree("s2n", rest, &read, &theirs, DIFFERENCES));
        match ours {
            Some((after, _)) => rest = after,
            None => break,
        }
    }
    explained.into_iter().collect()
}

/// A frame as both read it; ranges are walked, since each keeps them as bytes.
#[derive(Debug, PartialEq)]
enum Read<'a> {
    Frame(Frame<'a>),
    Ack {
        delay: u64,
        ranges: Vec<(u64, u64)>,
        ecn_counts: Option<[u64; 3]>,
    },
    /// A frame that we have no words for.
    OfTheirOwn,
}

impl<'a> Read<'a> {
    fn ours(frame: &Frame<'a>) -> Self {
        match frame {
            Frame::Ack(ack) => Self::Ack {
                delay: ack.ack_delay,
                ranges: ack
                    .ranges()
                    .map(|range| (range.start().value(), range.end().value()))
                    .collect(),
                ecn_counts: ack
                    .ecn_counts
                    .map(|counts| [counts.ect0, counts.ect1, counts.ecn_ce]),
            },
            frame => Self::Frame(*frame),
        }
    }

    fn theirs(frame: &'a FrameMut<'a>) -> Self {
        Self::Frame(match frame {
            Theirs::Ack(ack) => {
                return Self::Ack {
                    delay: ack.ack_delay.as_u64(),
                    ranges: ack
                        .ack_ranges()
                        .map(|range| (range.start().as_u64(), range.end().as_u64()))
                        .collect(),
                    ecn_counts: ack.ecn_counts.map(|counts| {
                        [counts.ect_0_count, counts.ect_1_count, counts.ce_count]
                            .map(VarInt::as_u64)
                    }),
                };
            }
            Theirs::DcStatelessResetTokens(_) | Theirs::MtuProbingComplete(_) => {
                return Self::OfTheirOwn;
            }
            Theirs::Padding(frame) => Frame::Padding {
                length: frame.length,
            },
            Theirs::Ping(_) => Frame::Ping,
            Theirs::HandshakeDone(_) => Frame::HandshakeDone,
            Theirs::Crypto(frame) => Frame::Crypto(our::Crypto {
                offset: frame.offset.as_u64(),
                data: frame.data.as_less_safe_slice(),
            }),
            Theirs::NewToken(frame) => Frame::NewToken(our::NewToken { token: frame.token }),
            Theirs::Stream(frame) => Frame::Stream(our::Stream {
                stream_id: id(frame.stream_id),
                offset: frame.offset.as_u64(),
                fin: frame.is_fin,
                data: frame.data.as_less_safe_slice(),
            }),
            Theirs::Datagram(frame) => Frame::Datagram(our::Datagram {
                data: frame.data.as_less_safe_slice(),
            }),
            Theirs::ConnectionClose(frame) => Frame::ConnectionClose(our::ConnectionClose {
                error: match frame.frame_type {
                    Some(frame_type) => our::CloseError::Transport {
                        code: TransportErrorCode(frame.error_code.as_u64()),
                        frame_type: frame_type.as_u64(),
                    },
                    None => our::CloseError::Application {
                        code: frame.error_code.as_u64(),
                    },
                },
                reason: frame.reason.unwrap_or_default(),
            }),
            frame => control(frame),
        })
    }
}

/// Frames of a fixed shape.
fn control<'a>(frame: &FrameMut<'_>) -> Frame<'a> {
    match frame {
        Theirs::ResetStream(frame) => Frame::ResetStream(our::ResetStream {
            stream_id: id(frame.stream_id),
            application_error_code: frame.application_error_code.as_u64(),
            final_size: frame.final_size.as_u64(),
        }),
        Theirs::StopSending(frame) => Frame::StopSending(our::StopSending {
            stream_id: id(frame.stream_id),
            application_error_code: frame.application_error_code.as_u64(),
        }),
        Theirs::MaxData(frame) => Frame::MaxData(our::MaxData {
            maximum_data: frame.maximum_data.as_u64(),
        }),
        Theirs::MaxStreamData(frame) => Frame::MaxStreamData(our::MaxStreamData {
            stream_id: id(frame.stream_id),
            maximum_stream_data: frame.maximum_stream_data.as_u64(),
        }),
        Theirs::MaxStreams(frame) => Frame::MaxStreams(our::MaxStreams {
            dir: dir(frame.stream_type),
            maximum_streams: frame.maximum_streams.as_u64(),
        }),
        Theirs::DataBlocked(frame) => Frame::DataBlocked(our::DataBlocked {
            maximum_data: frame.data_limit.as_u64(),
        }),
        Theirs::StreamDataBlocked(frame) => Frame::StreamDataBlocked(our::StreamDataBlocked {
            stream_id: id(frame.stream_id),
            maximum_stream_data: frame.stream_data_limit.as_u64(),
        }),
        Theirs::StreamsBlocked(frame) => Frame::StreamsBlocked(our::StreamsBlocked {
            dir: dir(frame.stream_type),
            maximum_streams: frame.stream_limit.as_u64(),
        }),
        Theirs::NewConnectionId(frame) => Frame::NewConnectionId(our::NewConnectionId {
            sequence_number: frame.sequence_number.as_u64(),
            retire_prior_to: frame.retire_prior_to.as_u64(),
            connection_id: ConnectionId::new(frame.connection_id).expect("s2n refuses longer ones"),
            stateless_reset_token: *frame.stateless_reset_token,
        }),
        Theirs::RetireConnectionId(frame) => Frame::RetireConnectionId(our::RetireConnectionId {
            sequence_number: frame.sequence_number.as_u64(),
        }),
        Theirs::PathChallenge(frame) => {
            Frame::PathChallenge(our::PathChallenge { data: *frame.data })
        }
        Theirs::PathResponse(frame) => Frame::PathResponse(our::PathResponse { data: *frame.data }),
        other => unreachable!("{other:?} is told apart before"),
    }
}

fn id(stream_id: VarInt) -> StreamId {
    StreamId::from_value(stream_id.as_u64()).expect("it is at most 2^62-1")
}

fn dir(stream_type: StreamType) -> Dir {
    match stream_type {
        StreamType::Bidirectional => Dir::Bi,
        StreamType::Unidirectional => Dir::Uni,
    }
}

/// The integer that a frame begins with, in however many bytes.
fn frame_type(i: &[u8]) -> Option<u64> {
    varint::parse(i).ok().map(|(_, frame_type)| frame_type)
}

/// The first `count` integers of a frame's body.
fn fields(mut i: &[u8], count: usize) -> Option<Vec<u64>> {
    let mut fields = Vec::new();
    for _ in 0..count {
        let (rest, field) = varint::parse(i).ok()?;
        fields.push(field);
        i = rest;
    }
    Some(fields)
}

fn ends_beyond_the_largest_offset(i: &[u8]) -> bool {
    let mut copy = i.to_vec();
    let end = match DecoderBufferMut::new(&mut copy).decode::<FrameMut<'_>>() {
        Ok((Theirs::Crypto(frame), _)) => frame.offset.as_u64() + frame.data.len() as u64,
        Ok((Theirs::Stream(frame), _)) => frame.offset.as_u64() + frame.data.len() as u64,
        _ => 0,
    };
    end > varint::MAX
}
