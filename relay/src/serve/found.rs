//! Objects as they are kept, made ready for a fetch stream (draft §11.4.4).

use quic_lite::Time;
use quic_lite::stream::Chunk;

use super::Relay;
use crate::cache::StreamStore;
use crate::limits;
use crate::moqt::Location;
use crate::moqt::datagram::ObjectDatagram;
use crate::moqt::fetch_object::{FetchContext, FetchObject};
use crate::moqt::scanner::ObjectSpan;
use crate::moqt::subgroup::{Body, Object};
use crate::moqt::varint::MAX_LEN;
use crate::track::Track;

/// An object that can be sent.
pub(super) struct Found {
    pub(super) location: Location,
    subgroup: Option<u64>,
    priority: u8,
    properties: Vec<u8>,
    payload: Vec<Chunk>,
}

impl Found {
    /// How long the payload is.
    pub(super) fn payload_len(&self) -> usize {
        self.payload.iter().map(|chunk| chunk.len()).sum()
    }
}

impl Relay {
    /// The complete objects of a group, by ID, that may still be served.
    pub(super) fn find(&self, now: Time, track: &Track, group: u64) -> Vec<Found> {
        let Some(kept) = track.groups.get(&group) else {
            return Vec::new();
        };
        let default_priority = track.properties.default_priority();
        let limit = track.stale_before(now).unwrap_or(Time::ZERO);
        let mut found = Vec::new();
        for store in kept
            .streams
            .iter()
            .filter_map(|key| self.streams.get(key))
            .map(|stream| &stream.store)
        {
            let priority = store
                .header()
                .publisher_priority
                .unwrap_or(default_priority);
            let objects = store
                .objects()
                .iter()
                .filter(|placed| placed.since >= limit && store.has(&placed.span));
            found.extend(objects.filter_map(|placed| object(store, &placed.span, priority)));
        }
        for datagram in kept.datagrams.iter().filter(|it| it.since >= limit) {
            if let Ok(Some(object)) = ObjectDatagram::parse_all(&datagram.bytes)
                && let Body::Payload(payload) = object.body
            {
                found.push(Found {
                    location: object.location,
                    subgroup: None,
                    priority: object.publisher_priority.unwrap_or(default_priority),
                    properties: object.properties.to_vec(),
                    payload: vec![Chunk::from(payload)],
                });
            }
        }
        found.sort_by_key(|found| found.location);
        found.dedup_by_key(|found| found.location);
        found
    }
}

/// A stored object, its payload still in the chunks it came in.
fn object(store: &StreamStore, span: &ObjectSpan, priority: u8) -> Option<Found> {
    let end = span.end?;
    let head = store.bytes(span.start, end.min(span.start + MAX_HEAD_LEN))?;
    let (_, (object, len)) = Object::parse_head(&head, store.header().properties, None).ok()?;
    if object.body.status() != 0 {
        return None;
    }
    let mut payload = Vec::new();
    let mut left = usize::try_from(len).ok()?;
    for (_, chunk) in store.pieces_from(end - len) {
        let piece = chunk.slice(0..left);
        left -= piece.len();
        payload.push(piece);
        if left == 0 {
            break;
        }
    }
    Some(Found {
        location: Location::new(store.header().group_id, span.id),
        subgroup: store.subgroup_id(),
        priority,
        properties: object.properties.to_vec(),
        payload,
    })
}

/// Appends an object; payloads are shared, what is ours is collected in `head`.
pub(super) fn put(
    context: &mut FetchContext,
    found: &Found,
    head: &mut Vec<u8>,
    pieces: &mut Vec<Chunk>,
) {
    let object = FetchObject {
        location: found.location,
        subgroup: found.subgroup,
        priority: found.priority,
        properties: &found.properties,
        payload: &[],
    };
    context.encode_head(&object, found.payload_len() as u64, head);
    pieces.push(Chunk::from(core::mem::take(head)));
    pieces.extend(
        found
            .payload
            .iter()
            .filter(|chunk| !chunk.is_empty())
            .cloned(),
    );
}

/// What stands before a payload: an ID, properties, a length.
const MAX_HEAD_LEN: u64 = limits::PROPERTIES as u64 + 4 * MAX_LEN as u64;
