//! Another sender of a connection's 1-RTT packets, such as the kernel: what both sides owe each other. No
//! RFC; each duty names the section that it serves.
//!
//! Both seal with the same keys, so they share one source of packet numbers and one count of
//! unidirectional streams, and the connection alone judges loss, congestion and flow control: it
//! *grants* what the other sender may spend, *revokes* that when it has something to send itself, and
//! is *told* of each packet when it asks, late, but before it believes an acknowledgement.
//!
//! Promise, of both: never more in flight than the congestion window (RFC 9002 §7), never more data
//! than the peer's limits (RFC 9000 §4), no packet number twice (§12.3).

use core::fmt;

use crate::time::Time;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::StreamId;

/// Another sender of a connection's 1-RTT packets.
///
/// A connection calls all of this from its own thread. The other sender may be at work at any time,
/// between any two calls, and even during one.
pub trait OtherSender: fmt::Debug + Send {
    /// Takes a packet number: one source for both senders (RFC 9000 §12.3).
    fn allocate(&mut self) -> PacketNumber;

    /// The number that `allocate` would return now, or a smaller one that it returned a moment ago:
    /// nothing that the peer can know of by now has this number or a larger one.
    fn next(&self) -> PacketNumber;

    /// Opens the next unidirectional stream, if both together have opened fewer than `maximum`. Returns
    /// its index: all of them count up from zero without holes (RFC 9000 §2.1).
    fn open_uni(&mut self, maximum: u64) -> Option<u64>;

    /// How many unidirectional streams both have opened.
    fn opened_uni(&self) -> u64;

    /// Stops its spending until the next `grant`. Returns what it has spent that `poll` has not told of;
    /// rather too much than too little, if it is spending at this moment. May be called again and again.
    fn revoke(&mut self) -> Outstanding;

    /// What it may spend from now on, beyond all that `poll` has told of. Takes the place of the last grant.
    fn grant(&mut self, grant: &Grant);

    /// Something that it has done and not told of; `None`: nothing that can be told now. Each packet
    /// number that it took is told of once, in the order of the numbers or nearly so.
    fn poll(&mut self) -> Option<OtherPacket>;

    /// `poll` has told of all its numbers below this one. An acknowledgement of a larger number may be of
    /// a packet that is told of later, and waits for it.
    fn unresolved(&self) -> PacketNumber;

    /// The peer allows more on one of our streams (MAX_STREAM_DATA, RFC 9000 §19.10).
    fn on_stream_limit(&mut self, id: StreamId, limit: u64);

    /// Nothing more is to be sent on a stream, because it is reset or stopped: when this returns nothing
    /// more is. Returns how far it has sent: where its furthest byte ends, zero when it sent nothing. The
    /// final size of the stream must not be below (RFC 9000 §4.5).
    fn release(&mut self, id: StreamId) -> u64;

    /// Keys, connection ID, address or state change: when this returns nothing more is sent, and `poll`
    /// tells of everything that was. Its owner, which hears of the change by an event
    /// ([`KeysUpdated`](crate::connection::Event::KeysUpdated),
    /// [`PathChanged`](crate::connection::Event::PathChanged),
    /// [`RemoteCidChanged`](crate::connection::Event::RemoteCidChanged),
    /// [`Closed`](crate::connection::Event::Closed)), gives it the new ones and sets it going again. The
    /// connection does not do that: `grant` alone must not.
    fn suspend(&mut self);
}

/// What another sender has spent and not told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Bytes of packets: UDP payload.
    pub bytes: u64,
    /// Bytes of the connection's flow control.
    pub data: u64,
}

/// What another sender may spend, and how its packets are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Bytes of packets, beyond those told of (RFC 9002 §7).
    pub bytes: u64,
    /// Bytes of the connection's flow control, beyond those told of (RFC 9000 §4.1).
    pub data: u64,
    /// How many unidirectional streams there may be, both senders' together (RFC 9000 §4.6).
    pub max_uni_streams: u64,
    /// The limit of a stream that it opens (RFC 9000 §18.2, initial_max_stream_data_uni).
    pub stream_data: u64,
    /// The largest number that the peer has acknowledged: packet numbers are shortened by it (RFC 9000 §17.1).
    pub largest_acked: Option<PacketNumber>,
    /// The largest UDP payload.
    pub max_datagram_size: u16,
    /// Whether its packets are to carry ECT(0) (RFC 9000 §13.4).
    pub ecn: bool,
    /// It is to waste the first number that it takes at or above this one, once, and tell of it as
    /// [`OtherPacket::Skipped`] (RFC 9000 §21.4). The largest number there is: none now.
    pub skip_at: PacketNumber,
}

/// What became of a packet number that another sender took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherPacket {
    /// It was sent, or may have been.
    Sent {
        /// The number.
        number: PacketNumber,
        /// When.
        time: Time,
        /// UDP payload in bytes.
        size: u16,
        /// Whether it carried ECT(0).
        ecn_marked: bool,
        /// What it carried.
        frames: OtherFrames,
    },
    /// It was left out on purpose.
    Skipped(PacketNumber),
    /// Something went wrong after it was taken: it was never sent.
    Burnt {
        /// The number.
        number: PacketNumber,
        /// What it would have carried. Its flow control counts as spent all the same; its bytes are for
        /// the connection to send.
        frames: OtherFrames,
    },
}

/// The frames of another sender's packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherFrames {
    /// STREAM frames, in the order of the packet; `None` behind the last.
    pub streams: [Option<OtherStreamFrame>; OtherFrames::MAX],
    /// How many DATAGRAM frames.
    pub datagrams: u8,
}

impl OtherFrames {
    /// So many STREAM frames at most.
    pub const MAX: usize = 4;
}

/// A STREAM frame of another sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherStreamFrame {
    /// The stream.
    pub id: StreamId,
    /// Offset of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// Whether the stream ends behind them.
    pub fin: bool,
}
