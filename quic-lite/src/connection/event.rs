//! What a connection tells its application, and the endpoint that routes its packets. No RFC.

use crate::error::ConnectionError;
use crate::stream::StreamEvent;
use crate::wire::connection_id::ConnectionId;

use super::path::FourTuple;

/// Something happened. Events of streams come after all others but `Closed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The TLS handshake is complete: the peer is who it says, and application data may flow.
    Connected,
    /// Both sides know that the handshake is complete (RFC 9001 §4.1.2); paths and keys may change now.
    HandshakeConfirmed,
    /// Something happened to a stream.
    Stream(StreamEvent),
    /// Datagrams wait for `receive_datagram`; said once until all of them are read.
    DatagramReceived,
    /// A server gave this token for the next connection to it (RFC 9000 §8.1.3).
    NewToken(Vec<u8>),
    /// Packets go over another path now (RFC 9000 §9), whose address may still be unproved.
    PathChanged {
        /// The path before.
        old: FourTuple,
        /// The path now.
        new: FourTuple,
    },
    /// The path now in use is validated (RFC 9000 §8.2): the address may be trusted.
    PathValidated(FourTuple),
    /// A key update happened (RFC 9001 §6): new packets carry this key phase. Another sender was suspended
    /// before it, and wants the new keys.
    KeysUpdated {
        /// The Key Phase bit from now on.
        phase: bool,
    },
    /// Our packets go to this connection ID of the peer from now on (RFC 9000 §5.1.2).
    RemoteCidChanged(ConnectionId),
    /// For the endpoint, which passes it on: packets to this connection ID are for this connection.
    ConnectionIdIssued(ConnectionId),
    /// For the endpoint, which passes it on: this connection ID is no longer in use.
    ConnectionIdRetired(ConnectionId),
    /// For the endpoint: a datagram that ends with this token is the peer's stateless reset.
    ResetTokenLearned([u8; 16]),
    /// For the endpoint: this stateless reset token no longer counts.
    ResetTokenForgotten([u8; 16]),
    /// The connection is over. Some packets may still be sent; see `is_drained`.
    Closed(ConnectionError),
}
