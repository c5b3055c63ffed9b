//! The two control streams (draft §3.2): one unidirectional stream each way, SETUP first, never closed.

use quic_lite::stream::{Chunk, Streams};
use quic_lite::wire::stream_id::{Dir, Side, StreamId};

use super::{Session, SessionError, SessionEvent};
use crate::moqt::message::GoAway;
use crate::moqt::{CloseCode, Message, MoqtError, Setup};

/// The control streams' state.
#[derive(Debug, Default)]
pub(super) struct ControlStreams {
    outgoing: Option<StreamId>,
    incoming: Option<StreamId>,
    ready: bool,
    going_away: bool,
    peer_going_away: bool,
}

impl ControlStreams {
    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) const fn outgoing(&self) -> Option<StreamId> {
        self.outgoing
    }

    pub(super) const fn is_going_away(&self) -> bool {
        self.going_away
    }

    pub(super) const fn peer_is_going_away(&self) -> bool {
        self.peer_going_away
    }
}

impl Session {
    /// Opens our control stream and sends SETUP; later calls do nothing.
    pub fn start(&mut self, streams: &mut Streams) -> Result<(), MoqtError> {
        if self.control.outgoing.is_some() {
            return Ok(());
        }
        let Some(stream) = streams.open(Dir::Uni) else {
            return Ok(());
        };
        let mut out = Vec::new();
        let internal = MoqtError::new(CloseCode::INTERNAL_ERROR, "SETUP could not be sent");
        if !Message::Setup(self.setup.clone()).encode(&mut out) {
            return Err(internal);
        }
        self.control.outgoing = Some(stream);
        let _ = streams.set_priority(stream, i32::MAX);
        streams
            .write_chunk(stream, out.into())
            .map_err(|_| internal)
    }

    /// Asks the peer to end the session (draft §10.4); new requests are refused from here on.
    pub fn go_away(
        &mut self,
        streams: &mut Streams,
        uri: &[u8],
        timeout_ms: u64,
    ) -> Result<(), SessionError> {
        let stream = self.control.outgoing.ok_or(SessionError::Closed)?;
        if self.control.going_away {
            return Ok(());
        }
        // The first request that was not looked at: one after the largest so far.
        let parity = u64::from(self.role == Side::Client);
        let next = self.seen.last().map_or(0, |range| range.end);
        let message = GoAway {
            uri: uri.to_vec(),
            timeout: timeout_ms,
            request_id: Some(next.saturating_mul(2).saturating_add(parity)),
        };
        let mut out = Vec::new();
        if !Message::GoAway(message).encode(&mut out) {
            return Err(SessionError::TooLong);
        }
        self.control.going_away = true;
        streams
            .write_chunk(stream, Chunk::from(out))
            .map_err(|_| SessionError::Closed)
    }

    /// A stream of the peer starts with SETUP's type.
    pub(super) fn take_control(&mut self, id: StreamId) -> Result<(), MoqtError> {
        match self.control.incoming.replace(id) {
            None => Ok(()),
            Some(_) => Err(MoqtError::violation("second control stream")),
        }
    }

    /// A whole message on the peer's control stream.
    pub(super) fn on_control_message(&mut self, message: Message) -> Result<(), MoqtError> {
        match message {
            Message::Setup(mut setup) if !self.control.ready => {
                self.check_setup(&setup)?;
                self.tokens
                    .take_from_setup(&mut setup.authorization_tokens)?;
                self.control.ready = true;
                self.events.push_back(SessionEvent::Ready(setup));
                Ok(())
            }
            Message::GoAway(message) if self.control.ready => self.on_go_away(message),
            _ => Err(MoqtError::violation(
                "message not allowed on the control stream",
            )),
        }
    }

    fn check_setup(&self, setup: &Setup) -> Result<(), MoqtError> {
        if self.role == Side::Client {
            if setup.path.is_some() {
                return Err(MoqtError::new(
                    CloseCode::INVALID_PATH,
                    "PATH from a server",
                ));
            }
            if setup.authority.is_some() {
                return Err(MoqtError::new(
                    CloseCode::INVALID_AUTHORITY,
                    "AUTHORITY from a server",
                ));
            }
        }
        // RFC 3986 §3.3: path-abempty is empty or starts with a slash, and is printable ASCII.
        let path = setup.path.as_deref().unwrap_or_default();
        let query_only = path.first() == Some(&b'?');
        if !(path.is_empty() || path.starts_with(b"/") || query_only)
            || !path.iter().all(u8::is_ascii_graphic)
        {
            return Err(MoqtError::new(CloseCode::MALFORMED_PATH, "not a path"));
        }
        Ok(())
    }

    fn on_go_away(&mut self, message: GoAway) -> Result<(), MoqtError> {
        if self.control.peer_going_away {
            return Err(MoqtError::violation("second GOAWAY"));
        }
        if self.role == Side::Server && !message.uri.is_empty() {
            return Err(MoqtError::violation("GOAWAY with a URI from a client"));
        }
        // Draft §10.4: it names one of our requests, so it has our parity.
        let ours = u64::from(self.role == Side::Server);
        if message.request_id.is_some_and(|id| id & 1 != ours) {
            return Err(MoqtError::new(
                CloseCode::INVALID_REQUEST_ID,
                "GOAWAY names a request of the sender",
            ));
        }
        self.control.peer_going_away = true;
        self.events.push_back(SessionEvent::GoAway(message));
        Ok(())
    }
}
