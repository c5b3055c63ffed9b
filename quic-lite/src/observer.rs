//! An observer of one connection: what it is told, packet by packet. No RFC; the events are those of
//! draft-ietf-quic-qlog-quic-events, which a file of the relay's `--qlog` is made of.
//!
//! Promise: a connection without an observer pays one look at an `Option` per event, and nothing is
//! allocated or copied for one. An observer sees and changes nothing: what it is told is borrowed. It is
//! told of packets with their frames in clear, so who observes can read everything.

use core::fmt;

use crate::connection::{FourTuple, OtherFrames, State};
use crate::error::ConnectionError;
use crate::protection::CipherSuite;
use crate::recovery::{Recovery, SpaceId};
use crate::time::Time;
use crate::wire::connection_id::ConnectionId;
use crate::wire::header::PacketType;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;
use crate::wire::transport_parameters::TransportParameters;

/// Watches one connection.
pub trait Observer: fmt::Debug + Send {
    /// Something happened. `now` is the time of the call that made it happen; it never goes back.
    fn observe(&mut self, now: Time, event: &Observed<'_>);
}

/// Something that happened in a connection.
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// Observation begins, before the first packet.
    Started {
        /// From where to where.
        path: FourTuple,
        /// Our connection ID.
        local_cid: ConnectionId,
        /// The connection ID that our first packets go to.
        remote_cid: ConnectionId,
    },
    /// A side's transport parameters are known (RFC 9000 §18).
    Parameters {
        /// Whose.
        by: Side,
        /// Its choices.
        parameters: &'a TransportParameters,
    },
    /// TLS has finished.
    Negotiated {
        /// The suite of 1-RTT packets.
        suite: Option<CipherSuite>,
        /// The application protocol.
        alpn: Option<&'a [u8]>,
    },
    /// A packet is about to leave.
    PacketSent(&'a ObservedPacket<'a>),
    /// A packet came, was authentic and new. What it causes is told after it.
    PacketReceived(&'a ObservedPacket<'a>),
    /// Another sender told of a packet, some time after it left.
    SentByOther {
        /// Its number.
        number: PacketNumber,
        /// When it left.
        time: Time,
        /// UDP payload in bytes.
        size: u16,
        /// What it carried.
        frames: &'a OtherFrames,
    },
    /// A Retry changed our Initial packets (RFC 9000 §17.2.5).
    RetryReceived {
        /// The server's new connection ID.
        source_cid: ConnectionId,
        /// Bytes of its token.
        token_len: usize,
    },
    /// A packet came and was not used.
    PacketDropped {
        /// Where it belongs.
        space: SpaceId,
        /// Its bytes.
        size: usize,
        /// Why.
        why: Dropped,
    },
    /// A packet that we sent is lost (RFC 9002 §6.1).
    PacketLost {
        /// Whose numbers.
        space: SpaceId,
        /// Its number.
        number: PacketNumber,
    },
    /// Loss recovery or congestion control may have changed.
    Recovery(&'a Recovery),
    /// 1-RTT keys changed (RFC 9001 §6).
    KeysUpdated {
        /// Who began.
        by: Side,
        /// How many updates there have been.
        updates: u64,
    },
    /// The keys of a space are gone (RFC 9001 §4.9).
    KeysDiscarded(SpaceId),
    /// The connection went from one state to another.
    State {
        /// Before.
        old: State,
        /// Now.
        new: State,
    },
    /// It is known why the connection ends; a last packet or two may follow.
    Closed(&'a ConnectionError),
}

/// A packet, in clear.
#[derive(Clone, Copy, Debug)]
pub struct ObservedPacket<'a> {
    /// Its type.
    pub packet_type: PacketType,
    /// Its number.
    pub number: PacketNumber,
    /// The first byte without protection: key phase and length of the number.
    pub first_byte: u8,
    /// Destination and source connection ID of a long header.
    pub cids: Option<(ConnectionId, ConnectionId)>,
    /// An Initial with a token (RFC 9000 §8.1).
    pub has_token: bool,
    /// Bytes of the packet, header and tag included.
    pub size: usize,
    /// Its frames, for [`frames`](crate::wire::frame::frames).
    pub payload: &'a [u8],
    /// A search for a larger datagram size (RFC 9000 §14.4).
    pub mtu_probe: bool,
}

/// Why a packet was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It came before (RFC 9000 §12.3).
    Duplicate,
    /// It does not authenticate.
    Undecryptable,
}
