//! ⑨ One MOQT session over one connection, for either role (draft §3).
//!
//! The session owns no connection: each call is given what it needs, so that the owner may keep
//! connections where it likes. [`Session::on_stream_event`] and [`Session::on_datagram`] take what comes,
//! [`Session::poll_event`] gives what it means. Requests are named by their Request ID and data
//! streams by their stream ID.
//!
//! Promise: what a peer can make a session hold is bounded by the transport's windows and stream
//! limits plus those of [`limits`]; an idle session owns next to nothing. Rules that end the session
//! when broken are checked here (`rules`); what a request means is for the owner to decide.
//!
//! ```
//! use quic_relay::moqt::Setup;
//! use quic_relay::session::{Session, SessionConfig};
//! use quic_lite::wire::stream_id::Side;
//! let session = Session::new(Side::Client, Setup::default(), SessionConfig::default());
//! assert!(!session.is_ready());
//! ```

mod control;
mod data;
mod requests;
mod rules;
mod tokens;

#[cfg(test)]
pub(crate) mod pipe;
#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use quic_lite::Time;
use quic_lite::range_set::RangeSet;
use quic_lite::stream::{Chunk, StreamEvent, Streams};
use quic_lite::wire::stream_id::{Dir, Side, StreamId};

use crate::limits;
use crate::moqt::message::GoAway;
use crate::moqt::{Message, MoqtError, Setup, SubgroupHeader};

pub use data::Data;
use data::{Alias, Held, Incoming};
use requests::Request;

/// A request of either side, by its Request ID (draft §10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What one session may use.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Whether the bytes of data streams are given out as they arrive, holes and all.
    pub unordered: bool,
    /// How long data waits for the message that names its track (draft §11.4.2).
    pub hold: Duration,
    /// How many streams may wait like that, and how many datagrams.
    pub max_held: usize,
    /// Control bytes of one request that may wait for the peer's acknowledgement.
    pub max_request_backlog: u64,
    /// Requests of ours that may wait for stream credit.
    pub max_queued_requests: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            unordered: false,
            hold: limits::HOLD_TIME,
            max_held: limits::HELD,
            max_request_backlog: limits::REQUEST_BACKLOG,
            max_queued_requests: limits::QUEUED_REQUESTS,
        }
    }
}

/// What a session tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The peer's SETUP is here.
    Ready(Setup),
    /// The peer makes a request.
    Request {
        /// Its ID.
        id: RequestId,
        /// One of the messages that open a request.
        message: Message,
    },
    /// The peer says something more on a request of either side.
    Message {
        /// Whose.
        id: RequestId,
        /// What.
        message: Message,
    },
    /// The peer will say nothing more on a request.
    Ended {
        /// Which.
        id: RequestId,
        /// How.
        how: Ended,
    },
    /// A subgroup stream of a track we subscribed to begins; [`Session::read`] reads it.
    Subgroup {
        /// The stream.
        stream: StreamId,
        /// The SUBSCRIBE or PUBLISH it belongs to.
        request: RequestId,
        /// Its header, which [`Session::read`] gives once more as bytes.
        header: SubgroupHeader,
        /// How many bytes the header takes.
        header_len: u64,
    },
    /// The answer to a FETCH of ours begins; [`Session::read`] reads it, FETCH_HEADER included.
    Fetch {
        /// The stream.
        stream: StreamId,
        /// The FETCH.
        request: RequestId,
    },
    /// More can be read from a stream that was announced.
    Readable(StreamId),
    /// An object in a datagram, as bytes, of a track we subscribed to.
    Datagram {
        /// The SUBSCRIBE or PUBLISH it belongs to.
        request: RequestId,
        /// All of the datagram.
        datagram: Chunk,
    },
    /// Something about a data stream of ours, or new stream credit.
    Stream(StreamEvent),
    /// The peer wants the session to end.
    GoAway(GoAway),
    /// The peer broke a rule, or the connection is over: nothing more comes.
    Closed(MoqtError),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer has said all it wanted. The request lives until we finish, too.
    Finished,
    /// The peer has cancelled; the request is forgotten.
    Cancelled(u64),
}

/// Why a call was not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// There is no such request.
    UnknownRequest,
    /// The message does not fit into 65535 bytes.
    TooLong,
    /// Too much waits for the peer already.
    Busy,
    /// The session is over or ending.
    Closed,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    role: Side,
    config: SessionConfig,
    setup: Setup,
    control: control::ControlStreams,
    requests: HashMap<RequestId, Request>,
    /// The request of each bidirectional stream; a stream of the peer without one has not said it yet.
    streams: HashMap<StreamId, RequestId>,
    /// The peer's streams whose first message is not complete.
    nameless: HashMap<StreamId, Vec<u8>>,
    queued: VecDeque<RequestId>,
    next_request_id: u64,
    /// The peer's Request IDs, halved.
    seen: RangeSet,
    incoming: HashMap<StreamId, Incoming>,
    aliases: HashMap<u64, Alias>,
    tokens: tokens::TokenCache,
    held: VecDeque<Held>,
    events: VecDeque<SessionEvent>,
    closed: bool,
}

impl Session {
    /// A session that will announce `setup`.
    pub fn new(role: Side, setup: Setup, config: SessionConfig) -> Self {
        Self {
            role,
            config,
            tokens: tokens::TokenCache::new(setup.max_auth_token_cache_size),
            setup,
            control: control::ControlStreams::default(),
            requests: HashMap::new(),
            streams: HashMap::new(),
            nameless: HashMap::new(),
            queued: VecDeque::new(),
            // Draft §10.1: clients count 0, 2, 4, servers 1, 3, 5.
            next_request_id: u64::from(role == Side::Server),
            seen: RangeSet::new(),
            incoming: HashMap::new(),
            aliases: HashMap::new(),
            held: VecDeque::new(),
            events: VecDeque::new(),
            closed: false,
        }
    }

    /// Which side this is.
    pub const fn role(&self) -> Side {
        self.role
    }

    /// Whether the peer's SETUP has come.
    pub const fn is_ready(&self) -> bool {
        self.control.is_ready()
    }

    /// Whether nothing more will happen.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// When [`Self::on_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<Time> {
        self.held.front().map(|held| held.until)
    }

    /// Lets go of data whose track was never named.
    pub fn on_timeout(&mut self, now: Time, streams: &mut Streams) {
        self.drop_held_until(now, streams);
    }

    /// Takes an event of the connection's streams; an error is to close the session.
    pub fn on_stream_event(
        &mut self,
        now: Time,
        streams: &mut Streams,
        event: StreamEvent,
    ) -> Result<(), MoqtError> {
        match event {
            StreamEvent::Opened(_) => Ok(()),
            StreamEvent::Readable(id) if id.dir() == Dir::Bi => {
                self.on_request_bytes(now, streams, id)
            }
            StreamEvent::Readable(id) => self.on_incoming_bytes(now, streams, id),
            StreamEvent::Stopped { id, code } if id.dir() == Dir::Bi => {
                self.on_request_stopped(streams, id, code);
                Ok(())
            }
            StreamEvent::Stopped { id, .. } if Some(id) == self.control.outgoing() => {
                Err(MoqtError::violation("control stream stopped"))
            }
            StreamEvent::Available(Dir::Bi) => {
                self.open_queued(streams);
                Ok(())
            }
            event => {
                if matches!(event, StreamEvent::Available(Dir::Uni)) {
                    self.start(streams)?;
                }
                if event.stream_id().is_none_or(|id| id.dir() == Dir::Uni) {
                    self.events.push_back(SessionEvent::Stream(event));
                }
                Ok(())
            }
        }
    }

    /// Ends the session; whoever calls this closes the connection with the error's code.
    pub fn fail(&mut self, error: MoqtError) {
        self.closed = true;
        self.events.push_back(SessionEvent::Closed(error));
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownRequest => "no such request",
            Self::TooLong => "message longer than 65535 bytes",
            Self::Busy => "too much waits for the peer",
            Self::Closed => "the session is over",
        })
    }
}

impl std::error::Error for SessionError {}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {}", self.0)
    }
}
