//! ⑦⑧ One connection, without sockets and without a clock. RFC 9000.

mod keys;
mod path;
mod state;
mod timers;

use std::sync::Arc;

use crate::config::Config;
use crate::error::ConnectionError;
use crate::protection::{CipherSuite, Keys};
use crate::rng::Rng;
use crate::time::Time;
use crate::tls::{ClientTls, ServerTls, rustls};
use crate::token::ResetKey;
use crate::wire::connection_id::ConnectionId;
use crate::wire::stream_id::Side;

pub use path::{Ecn, FourTuple, Transmit};
pub use state::State;

/// Something happened. The order of events is the order of their causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The TLS handshake is complete: the peer is who it says, and application data may flow.
    Connected,
    /// Both sides know that the handshake is complete (RFC 9001 §4.1.2); paths and keys may change now.
    HandshakeConfirmed,
    /// Datagrams wait for `receive_datagram`; said once until all of them are read.
    DatagramReceived,
    /// A server gave this token for the next connection to it (RFC 9000 §8.1.3).
    NewToken(Vec<u8>),
    /// Packets go over another path now (RFC 9000 §9).
    PathChanged {
        /// The path before.
        old: FourTuple,
        /// The path now.
        new: FourTuple,
    },
    /// The path now in use is validated (RFC 9000 §8.2): the address may be trusted.
    PathValidated(FourTuple),
    /// A key update happened (RFC 9001 §6): new packets carry this key phase.
    KeysUpdated {
        /// The Key Phase bit from now on.
        phase: bool,
    },
    /// For the endpoint: packets to this connection ID are for this connection.
    ConnectionIdIssued(ConnectionId),
    /// For the endpoint: this connection ID is no longer in use.
    ConnectionIdRetired(ConnectionId),
    /// For the endpoint: a datagram that ends with this token is the peer's stateless reset.
    ResetTokenLearned([u8; 16]),
    /// For the endpoint: this stateless reset token no longer counts.
    ResetTokenForgotten([u8; 16]),
    /// The connection is over. Some packets may still be sent; see `is_drained`.
    Closed(ConnectionError),
}

/// What an endpoint gives to each of its connections.
#[derive(Debug)]
pub struct Parts {
    /// The application's choices.
    pub config: Arc<Config>,
    /// Where to, and where from.
    pub path: FourTuple,
    /// Our first connection ID, already known to whoever routes packets; all of ours have its length.
    pub local_cid: ConnectionId,
    /// Makes the stateless reset tokens of our connection IDs.
    pub reset_key: Arc<ResetKey>,
    /// Randomness, of this connection only.
    pub rng: Rng,
}

/// What a server knows from the client's first Initial.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// Its Destination Connection ID: the Initial keys come from it.
    pub destination_cid: ConnectionId,
    /// Its Source Connection ID.
    pub source_cid: ConnectionId,
    /// The Destination Connection ID before our Retry, out of the token, if there was a Retry.
    pub original_cid: Option<ConnectionId>,
    /// Whether a token has shown that the client receives at its address (RFC 9000 §8.1.2).
    pub address_validated: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    side: Side,
}

impl Connection {
    /// Begins a connection to a server; `token` is one of its NEW_TOKEN tokens, or empty.
    pub fn client(
        now: Time,
        parts: Parts,
        tls: &ClientTls,
        server_name: &str,
        token: Vec<u8>,
    ) -> Result<Self, rustls::Error> {
        let _ = (now, parts, tls, server_name, token);
        Ok(Self { side: Side::Client })
    }

    /// Accepts a connection; the datagram with the Initial goes to `receive` next.
    pub fn server(
        now: Time,
        parts: Parts,
        tls: &ServerTls,
        accepted: Accepted,
    ) -> Result<Self, rustls::Error> {
        let _ = (now, parts, tls, accepted);
        Ok(Self { side: Side::Server })
    }

    /// Takes a datagram, which is opened in place. Several packets may be in it, for this connection or not.
    pub fn receive(&mut self, now: Time, path: FourTuple, ecn: Option<Ecn>, datagram: &mut [u8]) {
        let _ = (now, path, ecn, datagram);
    }

    /// Writes up to `max_segments` datagrams of one size (the last may be shorter) into `buffer`.
    pub fn transmit(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        max_segments: usize,
    ) -> Option<Transmit> {
        let _ = (now, buffer, max_segments);
        None
    }

    /// When `on_timeout` wants to be called; may change with every other call.
    pub fn next_timeout(&self) -> Option<Time> {
        None
    }

    /// The time is at or after `next_timeout`.
    pub fn on_timeout(&mut self, now: Time) {
        let _ = now;
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Ends the connection with the application's code and words.
    pub fn close(&mut self, now: Time, code: u64, reason: &str) {
        let _ = (now, code, reason);
    }

    /// A server gives the client a token for its next connection (RFC 9000 §8.1.3).
    pub fn send_new_token(&mut self, token: Vec<u8>) {
        let _ = token;
    }

    /// Which side this is.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The connection IDs that the peer may send to, those of the handshake included.
    pub fn local_cids(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        core::iter::empty()
    }

    /// The path in use.
    pub fn path(&self) -> FourTuple {
        let any = ([0, 0, 0, 0], 0).into();
        FourTuple {
            local: any,
            remote: any,
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        State::Handshake
    }

    /// Whether the handshake is complete and nobody has closed.
    pub const fn is_established(&self) -> bool {
        self.state().is_established()
    }

    /// Whether nothing is left to send or to wait for.
    pub const fn is_drained(&self) -> bool {
        matches!(self.state(), State::Drained)
    }

    /// The suite that 1-RTT packets use.
    pub fn suite(&self) -> Option<CipherSuite> {
        self.keys().map(|keys| keys.local.suite)
    }

    /// The 1-RTT keys of both directions, once there are any.
    pub fn keys(&self) -> Option<RawKeys<'_>> {
        None
    }
}

/// The 1-RTT keys in use, for whoever else seals or opens packets of this connection.
#[derive(Clone, Copy, Debug)]
pub struct RawKeys<'a> {
    /// What we seal with.
    pub local: &'a Keys,
    /// What we open with.
    pub remote: &'a Keys,
    /// The Key Phase bit of both.
    pub phase: bool,
}
