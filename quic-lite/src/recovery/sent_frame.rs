//! What a sent packet carried, in the form that is kept until its fate is known. RFC 9000 §13.3.
//!
//! A `SentFrame` holds no bytes: it names the state to repeat, so that a retransmission carries
//! today's value of a limit, not yesterday's. Frames that are never repeated (PADDING, PING,
//! PATH_CHALLENGE, PATH_RESPONSE, DATAGRAM, CONNECTION_CLOSE) have no entry.

use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::{Dir, StreamId};

/// One frame of a sent packet whose acknowledgement or loss somebody wants to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SentFrame {
    /// CRYPTO bytes; the packet number space says at which level.
    Crypto {
        /// Offset of the first byte.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// STREAM bytes.
    Stream {
        /// The stream.
        id: StreamId,
        /// Offset of the first byte.
        offset: u64,
        /// How many bytes; may be zero when `fin` is set.
        len: u64,
        /// Whether the frame said that the stream ends here.
        fin: bool,
    },
    /// RESET_STREAM.
    ResetStream(StreamId),
    /// STOP_SENDING.
    StopSending(StreamId),
    /// MAX_DATA.
    MaxData,
    /// MAX_STREAM_DATA.
    MaxStreamData(StreamId),
    /// MAX_STREAMS.
    MaxStreams(Dir),
    /// DATA_BLOCKED.
    DataBlocked,
    /// STREAM_DATA_BLOCKED.
    StreamDataBlocked(StreamId),
    /// STREAMS_BLOCKED.
    StreamsBlocked(Dir),
    /// NEW_CONNECTION_ID with this sequence number.
    NewConnectionId(u64),
    /// RETIRE_CONNECTION_ID with this sequence number.
    RetireConnectionId(u64),
    /// HANDSHAKE_DONE.
    HandshakeDone,
    /// NEW_TOKEN.
    NewToken,
    /// ACK: never repeated, but its acknowledgement lets the receiver forget old ranges (§13.2.4).
    Ack {
        /// The Largest Acknowledged field that it carried.
        largest: PacketNumber,
    },
    /// ACK_FREQUENCY.
    AckFrequency,
}

impl SentFrame {
    /// Whether it carried bytes of a unidirectional stream.
    pub(crate) fn is_uni_stream(&self) -> bool {
        matches!(self, Self::Stream { id, .. } if id.dir() == Dir::Uni)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stream_id::Side;

    #[test]
    fn only_stream_frames_of_unidirectional_streams_are_such() {
        let stream = |dir| SentFrame::Stream {
            id: StreamId::new(Side::Server, dir, 0),
            offset: 0,
            len: 1,
            fin: false,
        };
        assert!(stream(Dir::Uni).is_uni_stream());
        assert!(!stream(Dir::Bi).is_uni_stream());
        let reset = SentFrame::ResetStream(StreamId::new(Side::Server, Dir::Uni, 0));
        assert!(!reset.is_uni_stream());
    }
}
