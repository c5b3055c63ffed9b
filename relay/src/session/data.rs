//! The peer's unidirectional streams and datagrams (draft §3.3, §11).
//!
//! A stream is read in order until its header is complete; then it waits until its track alias is
//! known, and is announced. What waits stays in the transport, bounded by its windows, except for the
//! bytes that came with the header.

use core::mem;

use quic_lite::Time;
use quic_lite::stream::{Chunk, ReadChunk, Streams};
use quic_lite::wire::stream_id::StreamId;

use super::{RequestId, Session, SessionEvent};
use crate::limits;
use crate::moqt::datagram::ObjectDatagram;
use crate::moqt::message::{MAX_MESSAGE_LEN, SETUP_TYPE};
use crate::moqt::subgroup::is_subgroup_type;
use crate::moqt::{CloseCode, Message, MoqtError, ResetCode, SubgroupHeader, fetch_object, varint};

/// The stream type of padding (draft §11.5.1).
const PADDING_TYPE: u64 = 0x132b_3e28;

/// What [`Session::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Some bytes.
    Chunk {
        /// Where they stand in the stream.
        offset: u64,
        /// The bytes.
        chunk: Chunk,
    },
    /// Nothing is there yet.
    Blocked,
    /// All was read.
    Finished,
    /// The peer has reset the stream.
    Reset(u64),
}

/// A stream of the peer.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Its type and header are not complete.
    Typing(Vec<u8>),
    /// It is the control stream; the start of its next message.
    Control(Vec<u8>),
    /// It waits for its alias; the bytes that came so far.
    Held(Vec<u8>),
    /// It was announced; the bytes that came before that.
    Given(Vec<u8>),
    /// It is thrown away.
    Padding,
}

/// A track alias that the peer has chosen.
#[derive(Debug)]
pub(super) struct Alias {
    request: RequestId,
    live: bool,
}

/// Something that waits for an alias.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) until: Time,
    alias: u64,
    what: HeldData,
}

#[derive(Debug)]
enum HeldData {
    Stream(StreamId, SubgroupHeader, u64),
    Datagram(Chunk),
}

impl Session {
    /// Reads from a stream that was announced; `Finished` and `Reset` end it.
    pub fn read(&mut self, streams: &mut Streams, stream: StreamId) -> Data {
        if let Some(Incoming::Given(start)) = self.incoming.get_mut(&stream)
            && !start.is_empty()
        {
            return Data::Chunk {
                offset: 0,
                chunk: Chunk::from(mem::take(start)),
            };
        }
        let read = match self.config.unordered {
            true => streams.read_unordered(stream),
            false => streams.read_chunk(stream),
        };
        match read {
            Ok(ReadChunk::Chunk { offset, chunk }) => Data::Chunk { offset, chunk },
            Ok(ReadChunk::Blocked) => Data::Blocked,
            Ok(ReadChunk::Finished) => self.end(stream, Data::Finished),
            Ok(ReadChunk::Reset(code)) => self.end(stream, Data::Reset(code)),
            Err(_) => self.end(stream, Data::Reset(ResetCode::CANCELLED.0)),
        }
    }

    /// Wants no more of a stream that was announced.
    pub fn stop(&mut self, streams: &mut Streams, stream: StreamId, code: ResetCode) {
        let _ = streams.stop_sending(stream, code.0);
        self.incoming.remove(&stream);
    }

    fn end(&mut self, stream: StreamId, how: Data) -> Data {
        self.incoming.remove(&stream);
        how
    }

    /// Bytes, the end or a reset on a stream of the peer.
    pub(super) fn on_incoming_bytes(
        &mut self,
        now: Time,
        streams: &mut Streams,
        stream: StreamId,
    ) -> Result<(), MoqtError> {
        match self.incoming.get(&stream) {
            Some(Incoming::Given(_)) => {
                self.events.push_back(SessionEvent::Readable(stream));
                return Ok(());
            }
            Some(Incoming::Held(_)) => return Ok(()),
            _ => {}
        }
        while matches!(
            self.incoming.get(&stream),
            None | Some(Incoming::Typing(_) | Incoming::Control(_) | Incoming::Padding)
        ) {
            match streams.read_chunk(stream) {
                Ok(ReadChunk::Chunk { chunk, .. }) => {
                    self.on_start(now, streams, stream, &chunk)?
                }
                Ok(ReadChunk::Blocked) => return Ok(()),
                Ok(ReadChunk::Finished | ReadChunk::Reset(_)) => return self.on_early_end(stream),
                Err(_) => {
                    self.incoming.remove(&stream);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The end of a stream that was never announced.
    fn on_early_end(&mut self, stream: StreamId) -> Result<(), MoqtError> {
        match self.incoming.remove(&stream) {
            Some(Incoming::Control(_)) => Err(MoqtError::violation("control stream closed")),
            // A reset may come before the header; a stream may also end before it means anything.
            _ => Ok(()),
        }
    }

    /// Bytes of a stream whose header is not complete, or of the control stream.
    fn on_start(
        &mut self,
        now: Time,
        streams: &mut Streams,
        stream: StreamId,
        bytes: &[u8],
    ) -> Result<(), MoqtError> {
        match self.incoming.remove(&stream) {
            Some(Incoming::Padding) => {
                self.incoming.insert(stream, Incoming::Padding);
                Ok(())
            }
            Some(Incoming::Control(mut buffer)) => {
                buffer.extend_from_slice(bytes);
                self.on_control_bytes(now, streams, stream, buffer)
            }
            Some(Incoming::Typing(mut buffer)) => {
                buffer.extend_from_slice(bytes);
                self.on_header(now, streams, stream, buffer)
            }
            _ => self.on_header(now, streams, stream, bytes.to_vec()),
        }
    }

    fn on_control_bytes(
        &mut self,
        now: Time,
        streams: &mut Streams,
        stream: StreamId,
        mut buffer: Vec<u8>,
    ) -> Result<(), MoqtError> {
        let was_ready = self.is_ready();
        let mut used = 0;
        while let Some((message, len)) = Message::decode(&buffer[used..])? {
            used += len;
            self.on_control_message(message)?;
        }
        buffer.drain(..used);
        if buffer.len() > MAX_MESSAGE_LEN {
            return Err(MoqtError::violation("message longer than messages can be"));
        }
        buffer.shrink_to_fit();
        self.incoming.insert(stream, Incoming::Control(buffer));
        if !was_ready && self.is_ready() {
            self.read_waiting(now, streams)?;
        }
        Ok(())
    }

    fn on_header(
        &mut self,
        now: Time,
        streams: &mut Streams,
        stream: StreamId,
        buffer: Vec<u8>,
    ) -> Result<(), MoqtError> {
        let Some(stream_type) = complete(varint::vi64(&buffer))? else {
            return self.keep_typing(stream, buffer);
        };
        match stream_type {
            SETUP_TYPE => {
                self.take_control(stream)?;
                self.on_control_bytes(now, streams, stream, buffer)
            }
            PADDING_TYPE => {
                self.incoming.insert(stream, Incoming::Padding);
                Ok(())
            }
            fetch_object::FETCH_TYPE => {
                let Some(request) = complete(fetch_object::header(&buffer))? else {
                    return self.keep_typing(stream, buffer);
                };
                self.on_fetch_stream(streams, stream, RequestId(request), buffer);
                Ok(())
            }
            other if is_subgroup_type(other) => {
                let Some((header, header_len)) = header(&buffer)? else {
                    return self.keep_typing(stream, buffer);
                };
                self.on_subgroup(now, streams, (stream, header, header_len), buffer);
                Ok(())
            }
            _ => Err(MoqtError::violation("unknown stream type")),
        }
    }

    fn keep_typing(&mut self, stream: StreamId, buffer: Vec<u8>) -> Result<(), MoqtError> {
        self.incoming.insert(stream, Incoming::Typing(buffer));
        Ok(())
    }

    fn on_fetch_stream(
        &mut self,
        streams: &mut Streams,
        stream: StreamId,
        request: RequestId,
        buffer: Vec<u8>,
    ) {
        if self.is_peers(request) || !self.has_request(request) {
            // A cancelled FETCH; its stream may still be on its way.
            let _ = streams.stop_sending(stream, ResetCode::CANCELLED.0);
            return;
        }
        self.incoming.insert(stream, Incoming::Given(buffer));
        self.events
            .push_back(SessionEvent::Fetch { stream, request });
    }

    fn on_subgroup(
        &mut self,
        now: Time,
        streams: &mut Streams,
        (stream, header, header_len): (StreamId, SubgroupHeader, u64),
        buffer: Vec<u8>,
    ) {
        match self.aliases.get(&header.track_alias) {
            Some(Alias {
                request,
                live: true,
            }) => {
                let request = *request;
                self.incoming.insert(stream, Incoming::Given(buffer));
                self.events.push_back(SessionEvent::Subgroup {
                    stream,
                    request,
                    header,
                    header_len,
                });
            }
            // Draft §11.1: objects may arrive after the subscription has ended.
            Some(Alias { live: false, .. }) => {
                let _ = streams.stop_sending(stream, ResetCode::CANCELLED.0);
            }
            None => {
                self.incoming.insert(stream, Incoming::Held(buffer));
                self.hold(
                    now,
                    streams,
                    header.track_alias,
                    HeldData::Stream(stream, header, header_len),
                );
            }
        }
    }

    /// A datagram; an error is to close the session.
    pub fn on_datagram(
        &mut self,
        now: Time,
        streams: &mut Streams,
        datagram: Chunk,
    ) -> Result<(), MoqtError> {
        let Some(object) = ObjectDatagram::parse_all(&datagram)? else {
            return Ok(());
        };
        let alias = object.track_alias;
        match self.aliases.get(&alias) {
            Some(Alias {
                request,
                live: true,
            }) => {
                let request = *request;
                self.events
                    .push_back(SessionEvent::Datagram { request, datagram });
            }
            Some(Alias { live: false, .. }) => {}
            None => self.hold(now, streams, alias, HeldData::Datagram(datagram)),
        }
        Ok(())
    }

    fn hold(&mut self, now: Time, streams: &mut Streams, alias: u64, what: HeldData) {
        if self.held.len() >= self.config.max_held
            && let Some(oldest) = self.held.pop_front()
        {
            self.let_go(streams, oldest);
        }
        self.held.push_back(Held {
            until: now + self.config.hold,
            alias,
            what,
        });
    }

    /// Lets go of what has waited until `now`.
    pub(super) fn drop_held_until(&mut self, now: Time, streams: &mut Streams) {
        while self.held.front().is_some_and(|held| held.until <= now) {
            if let Some(held) = self.held.pop_front() {
                self.let_go(streams, held);
            }
        }
    }

    fn let_go(&mut self, streams: &mut Streams, held: Held) {
        if let HeldData::Stream(stream, ..) = held.what {
            self.stop(streams, stream, ResetCode::CANCELLED);
        }
    }

    /// The peer names a track.
    pub(super) fn take_alias(&mut self, alias: u64, request: RequestId) -> Result<(), MoqtError> {
        if let Some(old) = self.aliases.get(&alias) {
            let ended = !old.live
                || self
                    .requests
                    .get(&old.request)
                    .is_none_or(|request| request.done);
            if !ended {
                // Draft §11.1: one alias, one track.
                return Err(MoqtError::new(
                    CloseCode::DUPLICATE_TRACK_ALIAS,
                    "track alias in use",
                ));
            }
        }
        self.aliases.insert(
            alias,
            Alias {
                request,
                live: true,
            },
        );
        Ok(())
    }

    /// Announces the data that has waited for `alias`.
    pub(super) fn release(
        &mut self,
        now: Time,
        streams: &mut Streams,
        alias: u64,
        request: RequestId,
    ) {
        self.drop_held_until(now, streams);
        for held in mem::take(&mut self.held) {
            match held.what {
                _ if held.alias != alias => self.held.push_back(held),
                HeldData::Stream(stream, header, header_len) => {
                    let start = match self.incoming.remove(&stream) {
                        Some(Incoming::Held(start)) => start,
                        _ => Vec::new(),
                    };
                    self.incoming.insert(stream, Incoming::Given(start));
                    self.events.push_back(SessionEvent::Subgroup {
                        stream,
                        request,
                        header,
                        header_len,
                    });
                }
                HeldData::Datagram(datagram) => {
                    self.events
                        .push_back(SessionEvent::Datagram { request, datagram });
                }
            }
        }
    }

    /// A request has ended: its alias only serves to recognise what comes late.
    pub(super) fn retire_aliases(&mut self, id: RequestId) {
        let mut retired = 0;
        self.aliases.retain(|_, alias| {
            if alias.request == id {
                alias.live = false;
            }
            retired += usize::from(!alias.live);
            alias.live || retired <= limits::RETIRED_ALIASES
        });
    }
}

/// A complete subgroup header and its length; `None` when more bytes are needed.
fn header(buffer: &[u8]) -> Result<Option<(SubgroupHeader, u64)>, MoqtError> {
    let parsed = SubgroupHeader::parse(buffer);
    let len = parsed
        .as_ref()
        .map_or(0, |(rest, _)| buffer.len() - rest.len());
    Ok(complete(parsed)?.map(|header| (header, len as u64)))
}

/// The value of a complete parse; `None` when more bytes are needed.
fn complete<T>(parsed: crate::moqt::PResult<'_, T>) -> Result<Option<T>, MoqtError> {
    match parsed {
        Ok((_, value)) => Ok(Some(value)),
        Err(error) => match MoqtError::from(error) {
            error if error.is_truncated() => Ok(None),
            error => Err(error),
        },
    }
}
