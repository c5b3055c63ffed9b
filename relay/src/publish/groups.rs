//! Units become objects, groups become streams (draft-18 §2.3, §11.4.2) or datagrams (§11.3).
//!
//! A group begins where a receiver can start: at a key frame, and in a file of unknown kind every
//! second or every MiB. What the peer has not acknowledged is bounded: [`Groups::has_room`] says when to go on.

use std::collections::VecDeque;
use std::time::Duration;

use quic_lite::Time;
use quic_lite::connection::{Connection, DatagramError};
use quic_lite::stream::{Chunk, StreamEvent};
use quic_lite::wire::stream_id::{Dir, StreamId};
use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::subgroup::{Body, Object};
use quic_relay::moqt::{Location, SubgroupHeader, SubgroupId};

use crate::clock::unix_micros;
use crate::error::{Failure, Kind, Result};
use crate::media::{Piece, TrackFacts, WHOLE, cut};
use crate::source::Unit;

/// The groups of one track, as they are sent.
#[derive(Debug)]
pub(super) struct Groups {
    first: u64,
    manner: Manner,
    current: Option<Group>,
    next_group: u64,
    opened: u64,
    /// Units before this one were not wanted.
    has_skipped: bool,
    /// Streams of which something is not acknowledged yet.
    unfinished: Vec<StreamId>,
    /// Datagrams that the connection has no room for yet.
    queue: VecDeque<Vec<u8>>,
}

/// How groups are written.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// The track's alias.
    pub(super) alias: u64,
    /// Objects go in datagrams.
    pub(super) is_datagram: bool,
    /// What to say about the track in each group, where no session says it.
    pub(super) in_band: Option<TrackFacts>,
}

/// The group that is being sent.
#[derive(Debug)]
struct Group {
    id: u64,
    stream: Option<StreamId>,
    next_object: u64,
    begun: Time,
    bytes: usize,
}

/// What became of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way.
    Yes,
    /// Nobody wants it, or not the part of the group before it.
    Skipped,
    /// There is no stream for it yet.
    Later,
}

impl Groups {
    /// No groups yet; IDs start at `first`.
    pub(super) fn new(first: u64, manner: Manner) -> Self {
        Self {
            first,
            manner,
            current: None,
            next_group: first,
            opened: 0,
            has_skipped: false,
            unfinished: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// The ID of the first group.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Whether another unit should be sent, or the peer is given time to acknowledge.
    pub(super) fn has_room(&mut self, connection: &mut Connection) -> bool {
        let streams = connection.streams();
        let unacked: u64 = self
            .unfinished
            .iter()
            .map(|id| streams.unacked_bytes(*id))
            .sum();
        unacked < AHEAD && self.queue.len() < MAX_QUEUE
    }

    /// Sends a unit; `wanted` is whether the relay wants any now.
    pub(super) fn send(
        &mut self,
        now: Time,
        connection: &mut Connection,
        unit: &Unit,
        wanted: bool,
    ) -> Result<Sent> {
        self.flush(connection)?;
        if !wanted {
            self.has_skipped = true;
            self.leave_group(connection, Body::EndOfGroup);
            return Ok(Sent::Skipped);
        }
        if self.begins_group(now, unit) {
            if !self.open_group(now, connection) {
                return Ok(Sent::Later);
            }
        } else if self.current.is_none() {
            return Ok(Sent::Skipped);
        }
        let limit = if self.manner.is_datagram {
            PIECE
        } else {
            WHOLE
        };
        for piece in cut(unit.timestamp, &unit.payload, limit) {
            self.send_piece(connection, piece);
        }
        self.flush(connection)?;
        Ok(Sent::Yes)
    }

    /// The end of the track; how many streams there were.
    pub(super) fn end(&mut self, connection: &mut Connection) -> u64 {
        match &self.manner.in_band {
            Some(_) => self.end_on_a_stream(connection),
            None => self.leave_group(connection, Body::EndOfTrack),
        }
        self.opened
    }

    /// Nothing but the last object says that the track is over: it must not get lost.
    fn end_on_a_stream(&mut self, connection: &mut Connection) {
        let (id, object) = match &self.current {
            Some(group) if group.stream.is_some() => {
                return self.leave_group(connection, Body::EndOfTrack);
            }
            Some(group) => (group.id, group.next_object),
            None => (self.next_group, 0),
        };
        let Some(stream) = self.open_stream(connection, id) else {
            return self.leave_group(connection, Body::EndOfTrack);
        };
        let mut out = Vec::new();
        let (properties, body) = (&[][..], Body::EndOfTrack);
        Object {
            id: object,
            properties,
            body,
        }
        .encode(&mut out, true, None);
        let _ = connection.write_chunk(stream, Chunk::from(out));
        let _ = connection.finish(stream);
        self.current = None;
    }

    /// Gives the connection the datagrams it has room for.
    pub(super) fn flush(&mut self, connection: &mut Connection) -> Result<()> {
        while let Some(datagram) = self.queue.front() {
            match connection.send_datagram(datagram) {
                Ok(()) => drop(self.queue.pop_front()),
                Err(DatagramError::Full) => return Ok(()),
                Err(DatagramError::Unsupported) => {
                    return Err(Failure::new(Kind::Refused, "the relay takes no datagrams")
                        .advise("publish without --datagrams"));
                }
                Err(DatagramError::TooLarge(limit)) => {
                    let what = format!("datagrams are limited to {limit} bytes on this path");
                    return Err(
                        Failure::new(Kind::Network, what).advise("publish without --datagrams")
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether the peer has everything.
    pub(super) fn is_acknowledged(&self, connection: &Connection) -> bool {
        let is_sent = self.queue.is_empty() && connection.queued_datagrams().0 == 0;
        let idle = connection.bytes_in_flight() == 0 && !connection.streams().has_pending();
        is_sent && idle && self.unfinished.is_empty()
    }

    /// Takes note of streams that are over.
    pub(super) fn on_stream_event(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Finished(id) | StreamEvent::Stopped { id, .. } => {
                self.unfinished.retain(|open| open != id);
            }
            _ => {}
        }
    }

    fn begins_group(&self, now: Time, unit: &Unit) -> bool {
        let Some(group) = &self.current else {
            // Behind frames that nobody wanted, a frame in the middle of a group is of no use.
            return unit.starts_group || unit.timestamp.is_none() || !self.has_skipped;
        };
        let is_old = now.since(group.begun) >= RAW_GROUP_TIME || group.bytes >= RAW_GROUP_BYTES;
        unit.starts_group || (unit.timestamp.is_none() && is_old)
    }

    /// Ends the current group and begins the next, if the peer allows another stream.
    fn open_group(&mut self, now: Time, connection: &mut Connection) -> bool {
        let id = self.next_group;
        let stream = match self.manner.is_datagram {
            true => None,
            false => match self.open_stream(connection, id) {
                Some(stream) => Some(stream),
                None => return false,
            },
        };
        self.leave_group(connection, Body::EndOfGroup);
        self.next_group += 1;
        self.has_skipped = false;
        self.current = Some(Group {
            id,
            stream,
            next_object: 0,
            begun: now,
            bytes: 0,
        });
        true
    }

    /// A stream that begins with the header of a group.
    fn open_stream(&mut self, connection: &mut Connection, group: u64) -> Option<StreamId> {
        let stream = connection.open(Dir::Uni)?;
        let mut header = Vec::new();
        self.header(group).encode(&mut header);
        let _ = connection.write_chunk(stream, Chunk::from(header));
        self.unfinished.push(stream);
        self.opened += 1;
        Some(stream)
    }

    fn header(&self, group_id: u64) -> SubgroupHeader {
        SubgroupHeader {
            track_alias: self.manner.alias,
            group_id,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: None,
            properties: true,
            end_of_group: true,
            first_object: true,
        }
    }

    /// Ends the current group, if there is one. Of a stream, the FIN says so; only what it cannot say
    /// takes an object.
    fn leave_group(&mut self, connection: &mut Connection, status: Body<'_>) {
        let Some(group) = &self.current else { return };
        let (id, object, stream) = (group.id, group.next_object, group.stream);
        if stream.is_none() || status == Body::EndOfTrack {
            self.write(connection, id, object, &[], status);
        }
        if let Some(stream) = stream {
            let _ = connection.finish(stream);
        }
        self.current = None;
    }

    fn send_piece(&mut self, connection: &mut Connection, piece: Piece<'_>) {
        let Some(group) = &mut self.current else {
            return;
        };
        let (id, object) = (group.id, group.next_object);
        group.next_object += 1;
        group.bytes += piece.payload.len();
        let mut facts = piece.facts;
        facts.sent = Some(unix_micros());
        let in_band = self.manner.in_band.filter(|_| object == 0);
        let properties = facts.encode_with(&in_band.unwrap_or_default());
        self.write(
            connection,
            id,
            object,
            &properties,
            Body::Payload(piece.payload),
        );
    }

    /// Writes an object to the current group's stream, or queues it as a datagram.
    fn write(
        &mut self,
        connection: &mut Connection,
        group: u64,
        object: u64,
        properties: &[u8],
        body: Body<'_>,
    ) {
        let mut out = Vec::with_capacity(properties.len() + 32);
        match self.current.as_ref().and_then(|group| group.stream) {
            Some(stream) => {
                let previous = object.checked_sub(1);
                Object {
                    id: object,
                    properties,
                    body,
                }
                .encode(&mut out, true, previous);
                // A stream that the relay has stopped takes nothing; the next group has another.
                let _ = connection.write_chunk(stream, Chunk::from(out));
            }
            None => {
                let datagram = ObjectDatagram {
                    track_alias: self.manner.alias,
                    location: Location::new(group, object),
                    publisher_priority: None,
                    end_of_group: false,
                    properties,
                    body,
                };
                datagram.encode(&mut out);
                self.queue.push_back(out);
            }
        }
    }
}

/// Not acknowledged at most: enough for 100 Mbit/s at 80 ms.
const AHEAD: u64 = 1 << 20;

/// Datagrams that may wait for the connection.
const MAX_QUEUE: usize = 256;

/// Payload of one datagram. Every hop can carry it: of the 1200 bytes that QUIC demands of a path
/// (RFC 9000 §14), packet header, tag, frame header and object header leave some 1100.
const PIECE: usize = 1024;

/// In a file of unknown kind, a late subscriber is at most this far behind ...
const RAW_GROUP_TIME: Duration = Duration::from_secs(1);

/// ... or this much.
const RAW_GROUP_BYTES: usize = 1 << 20;
