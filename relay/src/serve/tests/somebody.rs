//! A peer of the relay: a session, and what it has received.

use std::collections::{HashMap, VecDeque};

use quic_lite::Time;
use quic_lite::stream::{Chunk, StreamEvent, Streams};
use quic_lite::wire::stream_id::{Dir, Side, StreamId};

use super::support::{Credit, streams, subgroup};
use crate::moqt::{Message, Setup};
use crate::session::{Data, RequestId, Session, SessionConfig, SessionEvent};

/// The bytes of a stream, which a failing test shows only in part.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl core::ops::Deref for Bytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl core::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{:?}… {} bytes",
            &self.0[..self.0.len().min(8)],
            self.0.len()
        )
    }
}

/// What a peer has received on a data stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) bytes: Bytes,
    pub(super) finished: bool,
    pub(super) reset: Option<u64>,
}

/// Somebody connected to the relay.
pub(super) struct Somebody {
    pub(super) streams: Streams,
    pub(super) session: Session,
    pub(super) events: VecDeque<SessionEvent>,
    pub(super) data: HashMap<StreamId, Arrived>,
    pub(super) datagrams: Vec<Chunk>,
    /// Does not take anything in.
    pub(super) asleep: bool,
    pub(super) outbox: Vec<Chunk>,
}

impl Somebody {
    pub(super) fn new(role: Side, setup: Setup, credit: Credit) -> Self {
        Self {
            streams: streams(role, credit, Credit::default()),
            session: Session::new(role, setup, SessionConfig::default()),
            events: VecDeque::new(),
            data: HashMap::new(),
            datagrams: Vec::new(),
            asleep: false,
            outbox: Vec::new(),
        }
    }

    pub(super) fn work(&mut self, now: Time) {
        while let Some(event) = self.streams.poll_event() {
            self.session
                .on_stream_event(now, &mut self.streams, event)
                .expect("the relay keeps the rules");
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Subgroup { stream, .. }
                | SessionEvent::Fetch { stream, .. }
                | SessionEvent::Readable(stream) => self.read(stream),
                SessionEvent::Datagram { datagram, .. } => self.datagrams.push(datagram),
                event => self.events.push_back(event),
            }
        }
    }

    fn read(&mut self, stream: StreamId) {
        let arrived = self.data.entry(stream).or_default();
        loop {
            match self.session.read(&mut self.streams, stream) {
                Data::Chunk { chunk, .. } => arrived.bytes.0.extend_from_slice(&chunk),
                Data::Blocked => return,
                Data::Finished => {
                    arrived.finished = true;
                    return;
                }
                Data::Reset(code) => {
                    arrived.reset = Some(code);
                    return;
                }
            }
        }
    }

    pub(super) fn request(&mut self, message: Message) -> RequestId {
        self.session
            .request(&mut self.streams, message)
            .expect("credit")
    }

    pub(super) fn send(&mut self, id: RequestId, message: &Message) {
        self.session
            .send(&mut self.streams, id, message)
            .expect("open");
    }

    pub(super) fn send_datagram(&mut self, bytes: Vec<u8>) {
        self.outbox.push(bytes.into());
    }

    /// Writes a whole subgroup and ends it.
    pub(super) fn subgroup(&mut self, alias: u64, group: u64, ids: &[u64]) -> Bytes {
        let bytes = subgroup(alias, group, ids);
        let stream = self.open(&bytes);
        self.streams.finish(stream).expect("open");
        bytes
    }

    /// Opens a data stream with these bytes.
    pub(super) fn open(&mut self, bytes: &[u8]) -> StreamId {
        let stream = self.streams.open(Dir::Uni).expect("credit");
        self.streams
            .write_chunk(stream, bytes.into())
            .expect("open");
        stream
    }

    /// Opens a data stream with these bytes, if there is credit.
    pub(super) fn try_open(&mut self, bytes: &[u8]) -> Option<StreamId> {
        let stream = self.streams.open(Dir::Uni)?;
        self.streams.write_chunk(stream, bytes.into()).ok()?;
        Some(stream)
    }

    /// The next message, which must be on this request.
    pub(super) fn message(&mut self, id: RequestId) -> Message {
        loop {
            match self.events.pop_front() {
                Some(SessionEvent::Message { id: of, message }) if of == id => return message,
                Some(SessionEvent::Ready(_) | SessionEvent::Stream(_)) => {}
                other => panic!("expected a message on {id}, got {other:?}"),
            }
        }
    }

    /// The next request of the relay.
    pub(super) fn asked(&mut self) -> (RequestId, Message) {
        loop {
            match self.events.pop_front() {
                Some(SessionEvent::Request { id, message }) => return (id, message),
                Some(SessionEvent::Ready(_) | SessionEvent::Stream(_)) => {}
                other => panic!("expected a request, got {other:?}"),
            }
        }
    }

    /// Everything that happened but session setup and stream credit.
    pub(super) fn news(&mut self) -> Vec<SessionEvent> {
        let boring = |event: &SessionEvent| {
            matches!(
                event,
                SessionEvent::Ready(_)
                    | SessionEvent::Stream(StreamEvent::Finished(_) | StreamEvent::Available(_))
            )
        };
        self.events
            .drain(..)
            .filter(|event| !boring(event))
            .collect()
    }

    /// The bytes of all data streams that ended well, sorted.
    pub(super) fn whole(&self) -> Vec<Bytes> {
        let mut all: Vec<_> = self
            .data
            .values()
            .filter(|arrived| arrived.finished)
            .map(|arrived| arrived.bytes.clone())
            .collect();
        all.sort();
        all
    }
}
