//! Flow control frames (RFC 9000 §19.9 to §19.14): credit for bytes and streams, and the news that it is used up.
//! Promise: a parsed count of streams is at most 2^60.

use super::frame_type;
use crate::wire::error::{WireErrorKind, ensure};
use crate::wire::stream_id::{Dir, StreamId};
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, varint};
use core::fmt;

/// How many bytes the peer may send on all streams together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxData {
    /// The sum over all streams.
    pub maximum_data: u64,
}

/// How many bytes the peer may send on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxStreamData {
    /// Which stream.
    pub stream_id: StreamId,
    /// The offset that data must not pass.
    pub maximum_stream_data: u64,
}

/// How many streams of one direction the peer may open over the life of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxStreams {
    /// Of which direction.
    pub dir: Dir,
    /// Their count, at most 2^60.
    pub maximum_streams: u64,
}

/// The peer has data but no credit left on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataBlocked {
    /// The limit it is blocked at.
    pub maximum_data: u64,
}

/// The peer has data but no credit left on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamDataBlocked {
    /// Which stream.
    pub stream_id: StreamId,
    /// The limit it is blocked at.
    pub maximum_stream_data: u64,
}

/// The peer would open a stream but has no credit left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamsBlocked {
    /// Of which direction.
    pub dir: Dir,
    /// The limit it is blocked at, at most 2^60.
    pub maximum_streams: u64,
}

impl MaxData {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, maximum_data) = varint::parse(i)?;
        Ok((i, Self { maximum_data }))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::MAX_DATA)?;
        out.varint(self.maximum_data)
    }
}

impl MaxStreamData {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, stream_id) = StreamId::parse(i)?;
        let (i, maximum_stream_data) = varint::parse(i)?;
        Ok((
            i,
            Self {
                stream_id,
                maximum_stream_data,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::MAX_STREAM_DATA)?;
        out.varint(self.stream_id.value())?;
        out.varint(self.maximum_stream_data)
    }
}

impl MaxStreams {
    pub(super) fn parse(i: &[u8], dir: Dir) -> PResult<'_, Self> {
        let (i, maximum_streams) = stream_count(i)?;
        Ok((
            i,
            Self {
                dir,
                maximum_streams,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(self.frame_type())?;
        out.varint(self.maximum_streams)
    }

    pub(super) const fn frame_type(&self) -> u64 {
        match self.dir {
            Dir::Bi => frame_type::MAX_STREAMS_BIDI,
            Dir::Uni => frame_type::MAX_STREAMS_UNI,
        }
    }
}

impl DataBlocked {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, maximum_data) = varint::parse(i)?;
        Ok((i, Self { maximum_data }))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::DATA_BLOCKED)?;
        out.varint(self.maximum_data)
    }
}

impl StreamDataBlocked {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, stream_id) = StreamId::parse(i)?;
        let (i, maximum_stream_data) = varint::parse(i)?;
        Ok((
            i,
            Self {
                stream_id,
                maximum_stream_data,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::STREAM_DATA_BLOCKED)?;
        out.varint(self.stream_id.value())?;
        out.varint(self.maximum_stream_data)
    }
}

impl StreamsBlocked {
    pub(super) fn parse(i: &[u8], dir: Dir) -> PResult<'_, Self> {
        let (i, maximum_streams) = stream_count(i)?;
        Ok((
            i,
            Self {
                dir,
                maximum_streams,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(self.frame_type())?;
        out.varint(self.maximum_streams)
    }

    pub(super) const fn frame_type(&self) -> u64 {
        match self.dir {
            Dir::Bi => frame_type::STREAMS_BLOCKED_BIDI,
            Dir::Uni => frame_type::STREAMS_BLOCKED_UNI,
        }
    }
}

/// RFC 9000 §4.6: a count above 2^60 would allow stream IDs that cannot be written.
fn stream_count(i: &[u8]) -> PResult<'_, u64> {
    let (i, count) = varint::parse(i)?;
    ensure(
        count <= StreamId::MAX_COUNT,
        WireErrorKind::StreamCountTooLarge,
    )?;
    Ok((i, count))
}

impl fmt::Display for MaxData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MAX_DATA {}", self.maximum_data)
    }
}

impl fmt::Display for MaxStreamData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MAX_STREAM_DATA id={} {}",
            self.stream_id, self.maximum_stream_data
        )
    }
}

impl fmt::Display for MaxStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MAX_STREAMS {} {}", self.dir, self.maximum_streams)
    }
}

impl fmt::Display for DataBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DATA_BLOCKED {}", self.maximum_data)
    }
}

impl fmt::Display for StreamDataBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "STREAM_DATA_BLOCKED id={} {}",
            self.stream_id, self.maximum_stream_data
        )
    }
}

impl fmt::Display for StreamsBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "STREAMS_BLOCKED {} {}", self.dir, self.maximum_streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Frame;

    #[test]
    fn a_stream_count_of_two_to_the_sixty_is_the_largest() {
        for frame_type in [0x12, 0x13, 0x16, 0x17] {
            let largest = [frame_type, 0xd0, 0, 0, 0, 0, 0, 0, 0];
            assert!(Frame::parse(&largest).is_ok());
            let above = [frame_type, 0xd0, 0, 0, 0, 0, 0, 0, 1];
            assert_eq!(
                Frame::parse(&above).unwrap_err().kind,
                WireErrorKind::StreamCountTooLarge
            );
        }
    }
}
