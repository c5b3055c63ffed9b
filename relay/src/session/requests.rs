//! Requests: one bidirectional stream each (draft §3.2, §3.2.4, §10.1).

use quic_lite::Time;
use quic_lite::stream::{Chunk, ReadChunk, Streams};
use quic_lite::wire::stream_id::{Dir, Side, StreamId};

use super::rules::{self, Kind};
use super::{Ended, RequestId, Session, SessionError, SessionEvent};
use crate::limits;
use crate::moqt::message::{GoAway, MAX_MESSAGE_LEN, RequestError, RequestUpdate};
use crate::moqt::{CloseCode, Message, MoqtError, Parameters, RequestErrorCode, ResetCode};

/// Priority of request streams: below the control stream, above all data (draft §7.2).
const REQUEST_PRIORITY: i32 = i32::MAX - 1;

/// A request of either side.
#[derive(Debug)]
pub(super) struct Request {
    kind: Kind,
    ours: bool,
    /// `None` while a request of ours waits for stream credit.
    stream: Option<StreamId>,
    /// A request of ours that waits: its first message.
    unsent: Vec<u8>,
    /// The start of the peer's next message.
    buffer: Vec<u8>,
    answered: bool,
    peer_finished: bool,
    finished: bool,
    going_away: bool,
    /// PUBLISH_DONE has come: the alias may be given to another track.
    pub(super) done: bool,
}

impl Request {
    fn new(kind: Kind, ours: bool, stream: Option<StreamId>) -> Self {
        Self {
            kind,
            ours,
            stream,
            unsent: Vec::new(),
            buffer: Vec::new(),
            answered: false,
            peer_finished: false,
            finished: false,
            going_away: false,
            done: false,
        }
    }
}

impl Session {
    /// Makes a request; the session writes the Request ID into `message`.
    pub fn request(
        &mut self,
        streams: &mut Streams,
        mut message: Message,
    ) -> Result<RequestId, SessionError> {
        if self.closed || self.control.peer_is_going_away() {
            return Err(SessionError::Closed);
        }
        let Some(kind) = Kind::opened_by(&message) else {
            return Err(SessionError::UnknownRequest);
        };
        if self.queued.len() >= self.config.max_queued_requests {
            return Err(SessionError::Busy);
        }
        let id = RequestId(self.next_request_id);
        message.set_request_id(id.0);
        let mut request = Request::new(kind, true, None);
        if !message.encode(&mut request.unsent) {
            return Err(SessionError::TooLong);
        }
        self.next_request_id += 2;
        self.requests.insert(id, request);
        self.queued.push_back(id);
        self.open_queued(streams);
        Ok(id)
    }

    /// Opens streams for requests of ours that wait for credit.
    pub(super) fn open_queued(&mut self, streams: &mut Streams) {
        while let Some(id) = self.queued.front().copied() {
            let Some(request) = self.requests.get_mut(&id) else {
                self.queued.pop_front();
                continue;
            };
            let Some(stream) = streams.open(Dir::Bi) else {
                return;
            };
            self.queued.pop_front();
            request.stream = Some(stream);
            let _ = streams.set_priority(stream, REQUEST_PRIORITY);
            let _ = streams.write_chunk(stream, Chunk::from(core::mem::take(&mut request.unsent)));
            self.streams.insert(stream, id);
        }
    }

    /// Sends a message on a request of either side.
    pub fn send(
        &mut self,
        streams: &mut Streams,
        id: RequestId,
        message: &Message,
    ) -> Result<(), SessionError> {
        let request = self
            .requests
            .get_mut(&id)
            .ok_or(SessionError::UnknownRequest)?;
        let mut out = Vec::new();
        if !message.encode(&mut out) {
            return Err(SessionError::TooLong);
        }
        let answers = !request.ours && !core::mem::replace(&mut request.answered, !request.ours);
        let Some(stream) = request.stream else {
            request.unsent.extend_from_slice(&out);
            return Ok(());
        };
        if streams.unacked_bytes(stream) > self.config.max_request_backlog {
            return Err(SessionError::Busy);
        }
        if answers && matches!(message, Message::RequestError(_)) {
            // Draft §5.1.1: what is refused brings no objects, so its alias is free.
            self.retire_aliases(id);
        }
        streams
            .write_chunk(stream, out.into())
            .map_err(|_| SessionError::UnknownRequest)
    }

    /// Refuses a request of the peer: REQUEST_ERROR and the end of the stream (draft §3.2.4).
    pub fn refuse(
        &mut self,
        streams: &mut Streams,
        id: RequestId,
        code: RequestErrorCode,
        reason: &str,
    ) {
        self.refuse_with(streams, id, RequestError::new(code, reason));
    }

    /// Refuses a request of the peer with all of REQUEST_ERROR's fields.
    pub fn refuse_with(&mut self, streams: &mut Streams, id: RequestId, error: RequestError) {
        if self
            .send(streams, id, &Message::RequestError(error))
            .is_ok()
        {
            self.finish(streams, id);
        }
    }

    /// Changes the parameters of a request (draft §10.9).
    pub fn update(
        &mut self,
        streams: &mut Streams,
        id: RequestId,
        parameters: Parameters,
    ) -> Result<(), SessionError> {
        let request_id = self.next_request_id;
        self.send(
            streams,
            id,
            &Message::RequestUpdate(RequestUpdate {
                request_id,
                parameters,
            }),
        )?;
        self.next_request_id += 2;
        Ok(())
    }

    /// Says nothing more on a request; it is forgotten once the peer has finished, too.
    pub fn finish(&mut self, streams: &mut Streams, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        match request.stream {
            Some(stream) => {
                let _ = streams.finish(stream);
                request.finished = true;
                // A single question or a refusal ends both ways; nothing more is of interest.
                if request.peer_finished {
                    self.forget(id);
                }
            }
            None => self.forget(id),
        }
    }

    /// Ends a request at once, both ways (draft §3.2.4).
    pub fn cancel(&mut self, streams: &mut Streams, id: RequestId, code: ResetCode) {
        if let Some(stream) = self.requests.get(&id).and_then(|request| request.stream) {
            end_stream(streams, stream, code);
        }
        self.forget(id);
    }

    /// Whether the request is still known.
    pub fn has_request(&self, id: RequestId) -> bool {
        self.requests.contains_key(&id)
    }

    /// Whether the request came from the peer.
    pub fn is_peers(&self, id: RequestId) -> bool {
        id.0 & 1 != u64::from(self.role == Side::Server)
    }

    fn forget(&mut self, id: RequestId) {
        if let Some(request) = self.requests.remove(&id) {
            if let Some(stream) = request.stream {
                self.streams.remove(&stream);
            }
            self.retire_aliases(id);
        }
    }

    /// Bytes on a bidirectional stream.
    pub(super) fn on_request_bytes(
        &mut self,
        now: Time,
        streams: &mut Streams,
        stream: StreamId,
    ) -> Result<(), MoqtError> {
        if !self.is_ready() {
            // Draft §3.2: requests may overtake SETUP; their bytes wait in the transport until then.
            self.nameless.entry(stream).or_default();
            return Ok(());
        }
        loop {
            match streams.read_chunk(stream) {
                Ok(ReadChunk::Chunk { chunk, .. }) => {
                    self.on_chunk(now, streams, stream, &chunk)?
                }
                Ok(ReadChunk::Finished) => return self.on_request_finished(streams, stream),
                Ok(ReadChunk::Reset(code)) => {
                    self.on_request_reset(streams, stream, code);
                    return Ok(());
                }
                Ok(ReadChunk::Blocked) | Err(_) => return Ok(()),
            }
        }
    }

    /// SETUP has come: requests that overtook it are looked at.
    pub(super) fn read_waiting(
        &mut self,
        now: Time,
        streams: &mut Streams,
    ) -> Result<(), MoqtError> {
        // Nothing was read from them yet, so there is nothing to keep.
        let waiting = core::mem::take(&mut self.nameless);
        waiting
            .into_keys()
            .try_for_each(|stream| self.on_request_bytes(now, streams, stream))
    }

    fn on_chunk(
        &mut self,
        now: Time,
        streams: &mut Streams,
        stream: StreamId,
        bytes: &[u8],
    ) -> Result<(), MoqtError> {
        let mut buffer = match self
            .streams
            .get(&stream)
            .and_then(|id| self.requests.get_mut(id))
        {
            Some(request) => core::mem::take(&mut request.buffer),
            None => self.nameless.remove(&stream).unwrap_or_default(),
        };
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        while let Some((message, len)) = Message::decode(&buffer[used..])? {
            used += len;
            match self.streams.get(&stream).copied() {
                Some(id) => self.on_request_message(now, streams, id, message)?,
                None => self.on_first_message(now, streams, stream, message)?,
            }
        }
        buffer.drain(..used);
        if buffer.len() > MAX_MESSAGE_LEN {
            return Err(MoqtError::violation("message longer than messages can be"));
        }
        // An empty buffer gives its memory back: most requests say nothing for hours.
        if buffer.is_empty() {
            buffer = Vec::new();
        }
        match self
            .streams
            .get(&stream)
            .map(|id| self.requests.get_mut(id))
        {
            Some(Some(request)) => request.buffer = buffer,
            Some(None) => {}
            None if stream.initiator() != self.role => {
                self.nameless.insert(stream, buffer);
            }
            None => {}
        }
        Ok(())
    }

    fn on_first_message(
        &mut self,
        now: Time,
        streams: &mut Streams,
        stream: StreamId,
        mut message: Message,
    ) -> Result<(), MoqtError> {
        let (Some(kind), Some(id)) = (Kind::opened_by(&message), message.request_id()) else {
            return Err(MoqtError::violation(
                "request stream does not start with a request",
            ));
        };
        self.take_request_id(id)?;
        self.resolve_tokens(&mut message)?;
        let id = RequestId(id);
        let _ = streams.set_priority(stream, REQUEST_PRIORITY);
        self.streams.insert(stream, id);
        self.requests
            .insert(id, Request::new(kind, false, Some(stream)));
        if self.control.is_going_away() {
            // Draft §10.4: what comes after our GOAWAY is refused.
            self.refuse(streams, id, RequestErrorCode::GOING_AWAY, "going away");
            return Ok(());
        }
        let alias = match &message {
            Message::Publish(publish) => Some(publish.track_alias),
            _ => None,
        };
        self.announce(
            now,
            streams,
            (id, alias),
            SessionEvent::Request { id, message },
        )
    }

    fn on_request_message(
        &mut self,
        now: Time,
        streams: &mut Streams,
        id: RequestId,
        mut message: Message,
    ) -> Result<(), MoqtError> {
        self.resolve_tokens(&mut message)?;
        let Some(request) = self.requests.get_mut(&id) else {
            return Ok(());
        };
        rules::check(request.kind, request.ours, request.answered, &message)?;
        match &message {
            Message::GoAway(message) => check_request_go_away(request, self.role, message)?,
            Message::PublishDone(_) => request.done = true,
            Message::RequestUpdate(update) => {
                let request_id = update.request_id;
                self.take_request_id(request_id)?;
            }
            _ if request.ours => request.answered = true,
            _ => {}
        }
        let alias = match &message {
            Message::SubscribeOk(ok) => Some(ok.track_alias),
            _ => None,
        };
        self.announce(
            now,
            streams,
            (id, alias),
            SessionEvent::Message { id, message },
        )
    }

    /// Tells of a message, and of the data that has waited for the alias in it.
    fn announce(
        &mut self,
        now: Time,
        streams: &mut Streams,
        (id, alias): (RequestId, Option<u64>),
        event: SessionEvent,
    ) -> Result<(), MoqtError> {
        if let Some(alias) = alias {
            self.take_alias(alias, id)?;
        }
        self.events.push_back(event);
        if let Some(alias) = alias {
            self.release(now, streams, alias, id);
        }
        Ok(())
    }

    /// Draft §10.1: the peer's parity, and each ID once.
    fn take_request_id(&mut self, id: u64) -> Result<(), MoqtError> {
        let wrong = MoqtError::new(
            CloseCode::INVALID_REQUEST_ID,
            "Request ID of the wrong side or used before",
        );
        let peers = u64::from(self.role == Side::Client);
        let half = id / 2;
        if id & 1 != peers || self.seen.contains(half) {
            return Err(wrong);
        }
        self.seen
            .insert_bounded(half..half + 1, limits::REQUEST_ID_RANGES);
        Ok(())
    }

    fn on_request_finished(
        &mut self,
        streams: &mut Streams,
        stream: StreamId,
    ) -> Result<(), MoqtError> {
        if self
            .nameless
            .remove(&stream)
            .is_some_and(|buffer| !buffer.is_empty())
        {
            return Err(MoqtError::violation("request stream ends inside a message"));
        }
        let Some(id) = self.streams.get(&stream).copied() else {
            let _ = streams.reset(stream, ResetCode::CANCELLED.0);
            return Ok(());
        };
        let Some(request) = self.requests.get_mut(&id) else {
            return Ok(());
        };
        if !request.buffer.is_empty() {
            return Err(MoqtError::violation("request stream ends inside a message"));
        }
        request.peer_finished = true;
        // Data may come after PUBLISH_DONE: the owner says when it has all it wants.
        let over = request.finished && !request.done;
        self.events.push_back(SessionEvent::Ended {
            id,
            how: Ended::Finished,
        });
        if over {
            self.forget(id);
        }
        Ok(())
    }

    /// The peer reads no more of a request stream.
    pub(super) fn on_request_stopped(
        &mut self,
        streams: &mut Streams,
        stream: StreamId,
        code: u64,
    ) {
        let id = self.streams.get(&stream).copied();
        match id.and_then(|id| Some((id, self.requests.get_mut(&id)?))) {
            // It may have something to say itself, and that says how the request ends.
            Some((id, request)) if !rules::stop_cancels(request.kind, request.ours) => {
                request.finished = true;
                if request.peer_finished && !request.done {
                    self.forget(id);
                }
            }
            _ => self.on_request_reset(streams, stream, code),
        }
    }

    /// The peer has cancelled a request (draft §3.2.4).
    fn on_request_reset(&mut self, streams: &mut Streams, stream: StreamId, code: u64) {
        self.nameless.remove(&stream);
        end_stream(streams, stream, ResetCode::CANCELLED);
        if let Some(id) = self.streams.get(&stream).copied() {
            self.events.push_back(SessionEvent::Ended {
                id,
                how: Ended::Cancelled(code),
            });
            self.forget(id);
        }
    }
}

fn check_request_go_away(
    request: &mut Request,
    role: Side,
    message: &GoAway,
) -> Result<(), MoqtError> {
    if core::mem::replace(&mut request.going_away, true) {
        return Err(MoqtError::violation("second GOAWAY on a request"));
    }
    if role == Side::Server && !message.uri.is_empty() {
        return Err(MoqtError::violation("GOAWAY with a URI from a client"));
    }
    Ok(())
}

fn end_stream(streams: &mut Streams, stream: StreamId, code: ResetCode) {
    // Either may have ended before: then there is nothing to do.
    let _ = streams.reset(stream, code.0);
    let _ = streams.stop_sending(stream, code.0);
}
