//! ⑦⑧ One connection, without sockets and without a clock (RFC 9000). It owns the parts and ties them
//! together; the logic is in the parts, or in the files of `connection/`:
//!
//! | file | what | RFC |
//! |---|---|---|
//! | `receive`, `dispatch` | datagram → packets → frames → parts | 9000 §12, §13 |
//! | `transmit`, `build`, `control` | parts → frames → packets → datagrams | 9000 §12–§14 |
//! | `handshake`, `negotiation`, `post_handshake`, `crypto` | set up | 9000 §7, 9001 §4 |
//! | `keys`, `spaces` | keys, packet number spaces | 9001 §5, §6 |
//! | `path`, `migration`, `ids` | addresses and connection IDs | 9000 §5.1, §8, §9 |
//! | `state`, `ending`, `close`, `timeout`, `timers` | time and the end | 9000 §10 |
//! | `application`, `raw`, `event`, `datagrams` | what the owner sees | 9221 |
//! | `usage` | how full it is | none |
//! | `sharing` | another sender of its packets | none |
//! | `observing` | what an observer is told | none |
//!
//! Five calls drive it: [`Connection::receive`] for each datagram, [`Connection::transmit`] until it has
//! nothing, [`Connection::on_timeout`] at [`Connection::next_timeout`], [`Connection::poll_event`] until
//! it is empty. Any call may change what the others return. Promise: nothing here reads a clock or an
//! entropy source, and what the peer can make it keep is bounded by [`Config`] and constants.
//!
//! ```
//! # fn main() -> Result<(), quic_lite::tls::rustls::Error> {
//! # use std::sync::Arc;
//! # use quic_lite::{Time, config::Config, rng::Rng, tls::ClientTls, token::ResetKey};
//! # use quic_lite::connection::{Connection, FourTuple, Parts};
//! # use quic_lite::wire::connection_id::ConnectionId;
//! # let parts = Parts {
//! #     config: Arc::new(Config::default()),
//! #     path: FourTuple { local: ([127, 0, 0, 1], 5000).into(), remote: ([127, 0, 0, 1], 4433).into() },
//! #     local_cid: ConnectionId::EMPTY,
//! #     reset_key: Arc::new(ResetKey::new([1; 32])),
//! #     rng: Rng::from_number(1),
//! # };
//! # let (now, tls) = (Time::ZERO, ClientTls::insecure(&[b"hq"])?);
//! let mut client = Connection::client(now, parts, &tls, "localhost", Vec::new())?;
//! let mut buffer = [0; 1500];
//! let initial = client.transmit(now, &mut buffer, 1).expect("the Initial packet");
//! assert_eq!(initial.len, 1200);
//! # Ok(())
//! # }
//! ```

mod application;
mod build;
mod close;
mod control;
mod crypto;
mod datagrams;
mod dispatch;
mod ending;
mod event;
mod handshake;
mod ids;
mod keys;
mod migration;
mod negotiation;
mod observing;
mod path;
mod post_handshake;
mod raw;
mod receive;
mod sharing;
mod spaces;
mod state;
#[cfg(test)]
mod tests;
mod timeout;
mod timers;
mod transmit;
mod usage;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::Config;
use crate::error::ConnectionError;
use crate::protection::Keys;
use crate::recovery::{Outcome, Recovery, SentFrame, SpaceId};
use crate::rng::Rng;
use crate::stream::Streams;
use crate::time::Time;
use crate::tls::{ClientTls, ServerTls, TlsSession, rustls};
use crate::token::ResetKey;
use crate::wire::connection_id::ConnectionId;
use crate::wire::stream_id::Side;
use crate::wire::transport_parameters::TransportParameters;

pub use crate::other_sender::{
    Grant, OtherFrames, OtherPacket, OtherSender, OtherStreamFrame, Outstanding,
};
pub use datagrams::DatagramError;
pub use event::Event;
pub use path::{Ecn, FourTuple, Transmit};
pub use raw::{RawKeys, Stats};
pub use state::State;
pub use usage::Usage;

use close::Close;
use control::Control;
use datagrams::DatagramQueue;
use handshake::Handshake;
use ids::{LocalIds, RemoteIds};
use observing::Watch;
use path::{Path, PendingResponses};
use receive::Arrival;
use sharing::Sharing;
use spaces::{SpaceKeys, Spaces};
use timers::{Timer, Timers};

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
    config: Arc<Config>,
    state: State,
    handshake: Handshake,
    spaces: Spaces,
    recovery: Recovery,
    streams: Streams,
    datagrams_in: DatagramQueue,
    datagrams_out: DatagramQueue,
    control: Control,
    local_ids: LocalIds,
    remote_ids: RemoteIds,
    /// Our connection ID that the peer used last on the path in use.
    peer_uses: Option<ConnectionId>,
    path: Path,
    /// The last validated path while another one is tried.
    fallback: Option<Box<Path>>,
    responses: PendingResponses,
    peer: Box<TransportParameters>,
    timers: Timers,
    /// Nothing ack-eliciting was sent since a packet arrived (RFC 9000 §10.1).
    is_quiet: bool,
    close: Option<Box<Close>>,
    ended: Option<ConnectionError>,
    is_end_told: bool,
    events: VecDeque<Event>,
    reset_key: Arc<ResetKey>,
    rng: Rng,
    skip_random: u64,
    /// Frames of the datagram being written; memory that serves all datagrams.
    sent_frames: Vec<SentFrame>,
    outcome: Outcome,
    stats: Stats,
    sharing: Sharing,
    watch: Watch,
}

impl Connection {
    /// Begins a connection to a server; `token` is one of its NEW_TOKEN tokens, or empty.
    pub fn client(
        now: Time,
        mut parts: Parts,
        tls: &ClientTls,
        server_name: &str,
        token: Vec<u8>,
    ) -> Result<Self, rustls::Error> {
        // RFC 9000 §7.2: unpredictable, at least 8 bytes.
        let dcid = ConnectionId::new(&parts.rng.bytes::<8>()).unwrap_or_default();
        let parameters = TransportParameters {
            initial_source_connection_id: Some(parts.local_cid),
            ..parts.config.transport_parameters()
        };
        let tls = TlsSession::client(tls, server_name, &encode(&parameters, Side::Client))?;
        let path = Path::validated(parts.path);
        let mut handshake = Handshake::new(tls, dcid, dcid);
        handshake.token = token;
        let mut connection = Self::new(now, Side::Client, parts, handshake, path, dcid);
        if let Err(error) = connection.follow_tls(now) {
            connection.fail(now, error.into());
        }
        Ok(connection)
    }

    /// Accepts a connection; the datagram with the Initial goes to `receive` next.
    pub fn server(
        now: Time,
        parts: Parts,
        tls: &ServerTls,
        accepted: Accepted,
    ) -> Result<Self, rustls::Error> {
        let retried = accepted.original_cid.is_some();
        let original = accepted.original_cid.unwrap_or(accepted.destination_cid);
        let token = parts.reset_key.stateless_reset_token(&parts.local_cid);
        let parameters = TransportParameters {
            initial_source_connection_id: Some(parts.local_cid),
            original_destination_connection_id: Some(original),
            retry_source_connection_id: retried.then_some(accepted.destination_cid),
            stateless_reset_token: Some(token),
            ..parts.config.transport_parameters()
        };
        let tls = TlsSession::server(tls, &encode(&parameters, Side::Server))?;
        let path = match accepted.address_validated {
            true => Path::validated(parts.path),
            false => Path::unvalidated(parts.path),
        };
        let mut handshake = Handshake::new(tls, accepted.destination_cid, original);
        handshake.remote_cid = Some(accepted.source_cid);
        Ok(Self::new(
            now,
            Side::Server,
            parts,
            handshake,
            path,
            accepted.source_cid,
        ))
    }

    fn new(
        now: Time,
        side: Side,
        parts: Parts,
        handshake: Handshake,
        path: Path,
        remote_cid: ConnectionId,
    ) -> Self {
        let Parts {
            config,
            local_cid,
            reset_key,
            mut rng,
            ..
        } = parts;
        let mut spaces = Spaces::new(config.max_ack_delay);
        if let Some(space) = spaces.get_mut(SpaceId::Initial) {
            space.keys = SpaceKeys::Long(Box::new(Keys::initial(&handshake.initial_dcid, side)));
        }
        let mut timers = Timers::default();
        timers.set(Timer::Handshake, Some(now + config.handshake_timeout));
        Self {
            side,
            state: State::Handshake,
            handshake,
            spaces,
            recovery: Recovery::new(side, &config.recovery()),
            streams: Streams::new(side, &config.streams()),
            datagrams_in: DatagramQueue::new(
                config.datagram_receive_bytes,
                config.max_queued_datagrams,
            ),
            datagrams_out: DatagramQueue::new(
                config.datagram_send_bytes,
                config.max_queued_datagrams,
            ),
            control: Control::default(),
            local_ids: LocalIds::new(local_cid),
            remote_ids: RemoteIds::new(remote_cid, config.active_connection_id_limit.max(2)),
            peer_uses: None,
            path,
            fallback: None,
            responses: PendingResponses::default(),
            peer: Box::default(),
            timers,
            is_quiet: true,
            close: None,
            ended: None,
            is_end_told: true,
            events: VecDeque::new(),
            reset_key,
            skip_random: rng.number(),
            rng,
            sent_frames: Vec::new(),
            outcome: Outcome::default(),
            stats: Stats::default(),
            sharing: Sharing::default(),
            watch: Watch::default(),
            config,
        }
    }

    /// Takes a datagram, which is opened in place. Several packets may be in it, for this connection or not.
    pub fn receive(&mut self, now: Time, path: FourTuple, ecn: Option<Ecn>, datagram: &mut [u8]) {
        self.watch.now = now;
        self.on_datagram(
            Arrival {
                now,
                tuple: path,
                ecn,
                len: datagram.len(),
            },
            datagram,
        );
    }

    /// Writes up to `max_segments` datagrams of one size (the last may be shorter) into `buffer`, which
    /// should hold as many of [`Config::max_udp_payload`] bytes. To be called until it returns `None`.
    pub fn transmit(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        max_segments: usize,
    ) -> Option<Transmit> {
        self.watch.now = now;
        self.next_transmit(now, buffer, max_segments)
    }

    /// When `on_timeout` wants to be called; may change with every other call.
    pub fn next_timeout(&self) -> Option<Time> {
        self.earliest_timeout()
    }

    /// The time is at or after `next_timeout`; `transmit` may have something now.
    pub fn on_timeout(&mut self, now: Time) {
        self.watch.now = now;
        self.serve_timeouts(now);
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self
            .events
            .pop_front()
            .or_else(|| self.streams.poll_event().map(Event::Stream));
        // The end comes last: what arrived before it can still be read.
        let end = self
            .ended
            .as_ref()
            .filter(|_| event.is_none() && !self.is_end_told);
        let event = event.or_else(|| end.cloned().map(Event::Closed));
        self.is_end_told |= matches!(event, Some(Event::Closed(_)));
        event
    }
}

fn encode(parameters: &TransportParameters, side: Side) -> Vec<u8> {
    let mut buffer = [0; TransportParameters::MAX_ENCODED_LEN];
    let mut out = crate::wire::writer::Writer::new(&mut buffer);
    parameters
        .encode(side, &mut out)
        .expect("MAX_ENCODED_LEN is enough for any parameters");
    out.written().to_vec()
}
