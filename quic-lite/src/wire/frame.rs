//! Frames (RFC 9000 §12.4, §19; RFC 9221): the payload of a packet, one by one.
//!
//! One file per family of frames has its fields, `parse`, `encode` and `Display`; this one has the [`Frame`]
//! enum, the [`frames`] iterator, and what the type of a frame alone decides (Table 3).
//! Promise: the iterator takes at least one byte per step or ends; it allocates nothing.
//! Not here: an empty payload, which is a PROTOCOL_VIOLATION that the receiver reports.

pub mod ack;
pub mod ack_frequency;
pub mod close;
pub mod connection_id;
pub mod crypto;
pub mod datagram;
pub mod flow;
pub mod path;
pub mod reset;
pub mod stream;
#[cfg(test)]
mod tests;

pub use ack::{Ack, EcnCounts};
pub use ack_frequency::AckFrequency;
pub use close::{CloseError, ConnectionClose};
pub use connection_id::{NewConnectionId, RetireConnectionId};
pub use crypto::{Crypto, NewToken};
pub use datagram::Datagram;
pub use flow::{
    DataBlocked, MaxData, MaxStreamData, MaxStreams, StreamDataBlocked, StreamsBlocked,
};
pub use path::{PathChallenge, PathResponse};
pub use reset::{ResetStream, StopSending};
pub use stream::Stream;

use self::frame_type as t;
use super::error::{WireError, WireErrorKind, ensure, refuse};
use super::header::PacketType;
use super::stream_id::{Dir, Side};
use super::writer::{Full, Writer};
use super::{PResult, varint};
use core::fmt;

/// One frame, borrowing from the packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A run of PADDING frames (§19.1).
    Padding {
        /// How many of them, one byte each.
        length: usize,
    },
    /// Asks for an acknowledgement (§19.2).
    Ping,
    /// Packets that arrived (§19.3).
    Ack(Ack<'a>),
    /// The sending part of a stream ends early (§19.4).
    ResetStream(ResetStream),
    /// The peer should end the sending part of a stream (§19.5).
    StopSending(StopSending),
    /// Handshake bytes (§19.6).
    Crypto(Crypto<'a>),
    /// A token for a later connection (§19.7).
    NewToken(NewToken<'a>),
    /// Application bytes (§19.8).
    Stream(Stream<'a>),
    /// Credit for the connection (§19.9).
    MaxData(MaxData),
    /// Credit for a stream (§19.10).
    MaxStreamData(MaxStreamData),
    /// Credit to open streams (§19.11).
    MaxStreams(MaxStreams),
    /// The connection's credit is used up (§19.12).
    DataBlocked(DataBlocked),
    /// A stream's credit is used up (§19.13).
    StreamDataBlocked(StreamDataBlocked),
    /// The credit to open streams is used up (§19.14).
    StreamsBlocked(StreamsBlocked),
    /// A connection ID for the peer to use (§19.15).
    NewConnectionId(NewConnectionId),
    /// A connection ID that the peer will not use again (§19.16).
    RetireConnectionId(RetireConnectionId),
    /// Probes a path (§19.17).
    PathChallenge(PathChallenge),
    /// Answers a probe (§19.18).
    PathResponse(PathResponse),
    /// The end (§19.19).
    ConnectionClose(ConnectionClose<'a>),
    /// The server confirms the handshake (§19.20).
    HandshakeDone,
    /// An unreliable message (RFC 9221 §4).
    Datagram(Datagram<'a>),
    /// How often to acknowledge (draft-ietf-quic-ack-frequency).
    AckFrequency(AckFrequency),
    /// Asks for an acknowledgement now (draft-ietf-quic-ack-frequency).
    ImmediateAck,
}

/// The types of frames that carry no variant bits.
pub mod frame_type {
    /// §19.1
    pub const PADDING: u64 = 0x00;
    /// §19.2
    pub const PING: u64 = 0x01;
    /// §19.3, without ECN counts
    pub const ACK: u64 = 0x02;
    /// §19.3, with ECN counts
    pub const ACK_ECN: u64 = 0x03;
    /// §19.4
    pub const RESET_STREAM: u64 = 0x04;
    /// §19.5
    pub const STOP_SENDING: u64 = 0x05;
    /// §19.6
    pub const CRYPTO: u64 = 0x06;
    /// §19.7
    pub const NEW_TOKEN: u64 = 0x07;
    /// §19.8, the first of eight: the low bits are OFF, LEN and FIN
    pub const STREAM: u64 = 0x08;
    /// §19.9
    pub const MAX_DATA: u64 = 0x10;
    /// §19.10
    pub const MAX_STREAM_DATA: u64 = 0x11;
    /// §19.11, bidirectional
    pub const MAX_STREAMS_BIDI: u64 = 0x12;
    /// §19.11, unidirectional
    pub const MAX_STREAMS_UNI: u64 = 0x13;
    /// §19.12
    pub const DATA_BLOCKED: u64 = 0x14;
    /// §19.13
    pub const STREAM_DATA_BLOCKED: u64 = 0x15;
    /// §19.14, bidirectional
    pub const STREAMS_BLOCKED_BIDI: u64 = 0x16;
    /// §19.14, unidirectional
    pub const STREAMS_BLOCKED_UNI: u64 = 0x17;
    /// §19.15
    pub const NEW_CONNECTION_ID: u64 = 0x18;
    /// §19.16
    pub const RETIRE_CONNECTION_ID: u64 = 0x19;
    /// §19.17
    pub const PATH_CHALLENGE: u64 = 0x1a;
    /// §19.18
    pub const PATH_RESPONSE: u64 = 0x1b;
    /// §19.19, of the transport
    pub const CONNECTION_CLOSE: u64 = 0x1c;
    /// §19.19, of the application
    pub const APPLICATION_CLOSE: u64 = 0x1d;
    /// §19.20
    pub const HANDSHAKE_DONE: u64 = 0x1e;
    /// draft-ietf-quic-ack-frequency
    pub const IMMEDIATE_ACK: u64 = 0x1f;
    /// RFC 9221 §4, up to the end of the packet
    pub const DATAGRAM: u64 = 0x30;
    /// RFC 9221 §4, with a length
    pub const DATAGRAM_LEN: u64 = 0x31;
    /// draft-ietf-quic-ack-frequency
    pub const ACK_FREQUENCY: u64 = 0xaf;
}

impl<'a> Frame<'a> {
    /// Reads one frame. An error names the frame's type when that was readable.
    pub fn parse(i: &'a [u8]) -> Result<(&'a [u8], Self), WireError> {
        let (i, frame_type) = parse_type(i)?;
        Self::parse_body(i, frame_type).map_err(|error| WireError::from(error).in_frame(frame_type))
    }

    fn parse_body(i: &'a [u8], frame_type: u64) -> PResult<'a, Self> {
        match frame_type {
            t::PADDING => padding(i),
            t::PING => Ok((i, Self::Ping)),
            t::ACK | t::ACK_ECN => Ack::parse(i, frame_type == t::ACK_ECN).map(with(Self::Ack)),
            t::RESET_STREAM => ResetStream::parse(i).map(with(Self::ResetStream)),
            t::STOP_SENDING => StopSending::parse(i).map(with(Self::StopSending)),
            t::CRYPTO => Crypto::parse(i).map(with(Self::Crypto)),
            t::NEW_TOKEN => NewToken::parse(i).map(with(Self::NewToken)),
            0x08..=0x0f => Stream::parse(i, frame_type).map(with(Self::Stream)),
            t::MAX_DATA => MaxData::parse(i).map(with(Self::MaxData)),
            t::MAX_STREAM_DATA => MaxStreamData::parse(i).map(with(Self::MaxStreamData)),
            t::MAX_STREAMS_BIDI => MaxStreams::parse(i, Dir::Bi).map(with(Self::MaxStreams)),
            t::MAX_STREAMS_UNI => MaxStreams::parse(i, Dir::Uni).map(with(Self::MaxStreams)),
            t::DATA_BLOCKED => DataBlocked::parse(i).map(with(Self::DataBlocked)),
            t::STREAM_DATA_BLOCKED => {
                StreamDataBlocked::parse(i).map(with(Self::StreamDataBlocked))
            }
            t::STREAMS_BLOCKED_BIDI => {
                StreamsBlocked::parse(i, Dir::Bi).map(with(Self::StreamsBlocked))
            }
            t::STREAMS_BLOCKED_UNI => {
                StreamsBlocked::parse(i, Dir::Uni).map(with(Self::StreamsBlocked))
            }
            t::NEW_CONNECTION_ID => NewConnectionId::parse(i).map(with(Self::NewConnectionId)),
            t::RETIRE_CONNECTION_ID => {
                RetireConnectionId::parse(i).map(with(Self::RetireConnectionId))
            }
            t::PATH_CHALLENGE => PathChallenge::parse(i).map(with(Self::PathChallenge)),
            t::PATH_RESPONSE => PathResponse::parse(i).map(with(Self::PathResponse)),
            t::CONNECTION_CLOSE => {
                ConnectionClose::parse_transport(i).map(with(Self::ConnectionClose))
            }
            t::APPLICATION_CLOSE => {
                ConnectionClose::parse_application(i).map(with(Self::ConnectionClose))
            }
            t::HANDSHAKE_DONE => Ok((i, Self::HandshakeDone)),
            t::IMMEDIATE_ACK => Ok((i, Self::ImmediateAck)),
            t::DATAGRAM => Ok((&[], Self::Datagram(Datagram { data: i }))),
            t::DATAGRAM_LEN => Datagram::parse(i).map(with(Self::Datagram)),
            t::ACK_FREQUENCY => AckFrequency::parse(i).map(with(Self::AckFrequency)),
            _ => refuse(WireErrorKind::UnknownFrameType),
        }
    }

    /// Writes the frame, or nothing when it does not fit. STREAM and DATAGRAM get a length; the forms
    /// without one, for the end of a packet, are [`Stream::encode_with`] and [`Datagram::encode_with`].
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| match self {
            Self::Padding { length } => out.put_zeros(*length),
            Self::Ping | Self::HandshakeDone | Self::ImmediateAck => out.varint(self.frame_type()),
            Self::Ack(frame) => frame.encode(out),
            Self::ResetStream(frame) => frame.encode(out),
            Self::StopSending(frame) => frame.encode(out),
            Self::Crypto(frame) => frame.encode(out),
            Self::NewToken(frame) => frame.encode(out),
            Self::Stream(frame) => frame.encode_with(true, out),
            Self::MaxData(frame) => frame.encode(out),
            Self::MaxStreamData(frame) => frame.encode(out),
            Self::MaxStreams(frame) => frame.encode(out),
            Self::DataBlocked(frame) => frame.encode(out),
            Self::StreamDataBlocked(frame) => frame.encode(out),
            Self::StreamsBlocked(frame) => frame.encode(out),
            Self::NewConnectionId(frame) => frame.encode(out),
            Self::RetireConnectionId(frame) => frame.encode(out),
            Self::PathChallenge(frame) => frame.encode(out),
            Self::PathResponse(frame) => frame.encode(out),
            Self::ConnectionClose(frame) => frame.encode(out),
            Self::Datagram(frame) => frame.encode_with(true, out),
            Self::AckFrequency(frame) => frame.encode(out),
        })
    }

    /// The frame's type, as [`Self::encode`] writes it.
    pub fn frame_type(&self) -> u64 {
        match self {
            Self::Padding { .. } => t::PADDING,
            Self::Ping => t::PING,
            Self::Ack(Ack {
                ecn_counts: None, ..
            }) => t::ACK,
            Self::Ack(_) => t::ACK_ECN,
            Self::ResetStream(_) => t::RESET_STREAM,
            Self::StopSending(_) => t::STOP_SENDING,
            Self::Crypto(_) => t::CRYPTO,
            Self::NewToken(_) => t::NEW_TOKEN,
            Self::Stream(frame) => frame.frame_type(true),
            Self::MaxData(_) => t::MAX_DATA,
            Self::MaxStreamData(_) => t::MAX_STREAM_DATA,
            Self::MaxStreams(frame) => frame.frame_type(),
            Self::DataBlocked(_) => t::DATA_BLOCKED,
            Self::StreamDataBlocked(_) => t::STREAM_DATA_BLOCKED,
            Self::StreamsBlocked(frame) => frame.frame_type(),
            Self::NewConnectionId(_) => t::NEW_CONNECTION_ID,
            Self::RetireConnectionId(_) => t::RETIRE_CONNECTION_ID,
            Self::PathChallenge(_) => t::PATH_CHALLENGE,
            Self::PathResponse(_) => t::PATH_RESPONSE,
            Self::ConnectionClose(frame) => frame.frame_type(),
            Self::HandshakeDone => t::HANDSHAKE_DONE,
            Self::Datagram(_) => t::DATAGRAM_LEN,
            Self::AckFrequency(_) => t::ACK_FREQUENCY,
            Self::ImmediateAck => t::IMMEDIATE_ACK,
        }
    }

    /// Whether a packet with this frame is to be acknowledged (RFC 9002 §2).
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(
            self,
            Self::Ack(_) | Self::Padding { .. } | Self::ConnectionClose(_)
        )
    }

    /// Whether the frame alone does not mean that the peer has moved to this path (§9.1).
    pub const fn is_probing(&self) -> bool {
        matches!(
            self,
            Self::Padding { .. }
                | Self::PathChallenge(_)
                | Self::PathResponse(_)
                | Self::NewConnectionId(_)
        )
    }

    /// Whether a packet of this type may carry the frame (§12.4, Table 3; RFC 9221 §4). If not, it is
    /// a PROTOCOL_VIOLATION.
    pub const fn is_allowed_in(&self, packet_type: PacketType) -> bool {
        match self {
            Self::Padding { .. } | Self::Ping => true,
            Self::Ack(_) | Self::Crypto(_) => !matches!(packet_type, PacketType::ZeroRtt),
            Self::ConnectionClose(frame) => {
                frame.is_transport() || packet_type.carries_application_data()
            }
            // RFC 9000 §12.5: these answer something that cannot have happened before 1-RTT.
            Self::NewToken(_)
            | Self::PathResponse(_)
            | Self::RetireConnectionId(_)
            | Self::HandshakeDone => {
                matches!(packet_type, PacketType::OneRtt)
            }
            _ => packet_type.carries_application_data(),
        }
    }

    /// Whether an endpoint of this side may send the frame (§19.7, §19.20). If not, it is a PROTOCOL_VIOLATION.
    pub const fn is_allowed_from(&self, sender: Side) -> bool {
        !sender.is_client() || !matches!(self, Self::NewToken(_) | Self::HandshakeDone)
    }
}

/// The frames of a packet's payload.
///
/// ```
/// use quic_lite::wire::frame::{Frame, frames};
/// let found: Vec<_> = frames(&[0x01, 0x00, 0x00]).collect();
/// assert_eq!(found, [Ok(Frame::Ping), Ok(Frame::Padding { length: 2 })]);
/// ```
pub const fn frames(payload: &[u8]) -> Frames<'_> {
    Frames { rest: payload }
}

/// See [`frames`]. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Frame::parse(self.rest) {
            Ok((rest, frame)) => {
                self.rest = rest;
                Some(Ok(frame))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

impl core::iter::FusedIterator for Frames<'_> {}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Padding { length } => write!(f, "PADDING length={length}"),
            Self::Ping => f.write_str("PING"),
            Self::Ack(frame) => frame.fmt(f),
            Self::ResetStream(frame) => frame.fmt(f),
            Self::StopSending(frame) => frame.fmt(f),
            Self::Crypto(frame) => frame.fmt(f),
            Self::NewToken(frame) => frame.fmt(f),
            Self::Stream(frame) => frame.fmt(f),
            Self::MaxData(frame) => frame.fmt(f),
            Self::MaxStreamData(frame) => frame.fmt(f),
            Self::MaxStreams(frame) => frame.fmt(f),
            Self::DataBlocked(frame) => frame.fmt(f),
            Self::StreamDataBlocked(frame) => frame.fmt(f),
            Self::StreamsBlocked(frame) => frame.fmt(f),
            Self::NewConnectionId(frame) => frame.fmt(f),
            Self::RetireConnectionId(frame) => frame.fmt(f),
            Self::PathChallenge(frame) => frame.fmt(f),
            Self::PathResponse(frame) => frame.fmt(f),
            Self::ConnectionClose(frame) => frame.fmt(f),
            Self::HandshakeDone => f.write_str("HANDSHAKE_DONE"),
            Self::Datagram(frame) => frame.fmt(f),
            Self::AckFrequency(frame) => frame.fmt(f),
            Self::ImmediateAck => f.write_str("IMMEDIATE_ACK"),
        }
    }
}

/// RFC 9000 §12.4: a frame type stands in its shortest form, so that it has only one.
fn parse_type(i: &[u8]) -> Result<(&[u8], u64), WireError> {
    let (rest, frame_type) = varint::parse(i)?;
    let used = i.len().saturating_sub(rest.len());
    ensure(
        used == varint::size(frame_type),
        WireErrorKind::FrameTypeNotMinimal,
    )
    .map_err(|error| WireError::from(error).in_frame(frame_type))?;
    Ok((rest, frame_type))
}

/// The zero bytes behind a first one: padding is long, so it is one frame here.
fn padding(i: &[u8]) -> PResult<'_, Frame<'_>> {
    let more = i.iter().position(|byte| *byte != 0).unwrap_or(i.len());
    let rest = i.get(more..).unwrap_or_default();
    Ok((
        rest,
        Frame::Padding {
            length: more.saturating_add(1),
        },
    ))
}

fn with<'a, T>(
    variant: impl Fn(T) -> Frame<'a>,
) -> impl Fn((&'a [u8], T)) -> (&'a [u8], Frame<'a>) {
    move |(i, frame)| (i, variant(frame))
}
