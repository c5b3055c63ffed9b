//! What the relay keeps of a track: the bytes of its streams, once, and where objects stand in them. No RFC.
//!
//! A stream is stored as the chunks that came, in any order; subscribers' streams point into the same
//! bytes. The object boundaries are found as the front closes. Which group may be dropped first is
//! [`Ages`]' question; the relay asks it when the sum of all costs is above its limit.

use std::collections::VecDeque;

use quic_lite::Time;
use quic_lite::range_set::RangeSet;
use quic_lite::stream::{Chunk, Pieces};

use crate::moqt::scanner::{ObjectSpan, Scanned, Scanner};
use crate::moqt::{Location, MoqtError, SubgroupHeader, SubgroupId};

/// What a chunk costs beside its bytes: an entry of a queue that may be half empty, a reference count.
const CHUNK_COST: usize = 112;
/// What an object costs beside its bytes: an entry of a vector that may be half empty.
const OBJECT_COST: usize = 2 * size_of::<Placed>();

/// An object of a stored stream, and when its first byte came.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Where it stands.
    pub span: ObjectSpan,
    /// When it began to arrive.
    pub since: Time,
}

/// The stored bytes of one upstream subgroup stream.
#[derive(Debug)]
pub struct StreamStore {
    header: SubgroupHeader,
    header_len: u64,
    chunks: Pieces,
    received: RangeSet,
    final_size: Option<u64>,
    finished_at: Option<Time>,
    reset: Option<u64>,
    scanner: Scanner,
    objects: Vec<Placed>,
    cost: usize,
    /// Bytes were dropped: what comes is forwarded, but nobody can start here any more.
    dropped: bool,
}

impl StreamStore {
    /// An empty store for a stream that starts with `header`, which is `header_len` bytes long.
    pub fn new(header: SubgroupHeader, header_len: u64) -> Self {
        Self {
            header,
            header_len,
            chunks: Pieces::default(),
            received: RangeSet::new(),
            final_size: None,
            finished_at: None,
            reset: None,
            scanner: Scanner::new(header.properties, header_len),
            objects: Vec::new(),
            cost: 0,
            dropped: false,
        }
    }

    /// Adds bytes that did not come before; tells which objects they begin or end.
    pub fn insert(
        &mut self,
        now: Time,
        offset: u64,
        chunk: Chunk,
        seen: &mut Vec<Scanned>,
    ) -> Result<(), MoqtError> {
        let end = offset.saturating_add(chunk.len() as u64);
        self.received.insert(offset..end);
        self.cost += chunk.len() + CHUNK_COST;
        self.chunks.insert(offset, chunk);
        let first = seen.len();
        self.scan(seen)?;
        seen[first..].iter().for_each(|seen| self.note(now, seen));
        if self.dropped {
            self.forget_bytes();
        }
        Ok(())
    }

    fn note(&mut self, since: Time, scanned: &Scanned) {
        match (scanned, self.objects.last_mut()) {
            (Scanned::Started(span), _) => {
                self.cost += OBJECT_COST;
                self.objects.push(Placed { span: *span, since });
            }
            (Scanned::Measured(span), Some(last)) => last.span = *span,
            _ => {}
        }
    }

    fn scan(&mut self, seen: &mut Vec<Scanned>) -> Result<(), MoqtError> {
        loop {
            let position = self.scanner.position();
            let next = self.chunks.iter_from(position).next();
            let Some((offset, chunk)) = next.filter(|(offset, _)| *offset <= position) else {
                return Ok(());
            };
            let skip = usize::try_from(position - offset).unwrap_or(usize::MAX);
            let Some(bytes) = chunk.get(skip..).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            self.scanner.push(bytes, seen)?;
        }
    }

    /// The stream's size is known; false when it ends inside an object (draft §11.4).
    pub fn finish(&mut self, now: Time, final_size: u64) {
        self.final_size = Some(final_size);
        self.finished_at.get_or_insert(now);
    }

    /// The stream was given up by its publisher.
    pub fn reset(&mut self, code: u64) {
        self.reset = Some(code);
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.reset.is_some() || self.is_complete()
    }

    /// Whether all bytes have come, up to the end.
    pub fn is_complete(&self) -> bool {
        self.final_size
            .is_some_and(|size| size == 0 || self.received.contains_range(&(0..size)))
    }

    /// Whether the stream ends inside an object, which is the publisher's fault (draft §11.4).
    pub fn ends_badly(&self) -> bool {
        self.is_complete() && !self.scanner.is_between_objects()
    }

    /// The header.
    pub const fn header(&self) -> &SubgroupHeader {
        &self.header
    }

    /// How many bytes the header takes.
    pub const fn header_len(&self) -> u64 {
        self.header_len
    }

    /// The size, once it is known.
    pub const fn final_size(&self) -> Option<u64> {
        self.final_size
    }

    /// When the size became known.
    pub const fn finished_at(&self) -> Option<Time> {
        self.finished_at
    }

    /// The publisher's code, if it has reset the stream.
    pub const fn reset_code(&self) -> Option<u64> {
        self.reset
    }

    /// What it costs to keep.
    pub const fn cost(&self) -> usize {
        self.cost
    }

    /// Whether a subscriber can still be served from the first byte.
    pub const fn is_whole(&self) -> bool {
        !self.dropped
    }

    /// The objects found so far, in order.
    pub fn objects(&self) -> &[Placed] {
        &self.objects
    }

    /// The ID of the first object, once it has come.
    pub fn first_object(&self) -> Option<u64> {
        self.objects.first().map(|placed| placed.span.id)
    }

    /// The Subgroup ID, as far as it is known.
    pub fn subgroup_id(&self) -> Option<u64> {
        match self.header.subgroup_id {
            SubgroupId::Zero => Some(0),
            SubgroupId::FirstObject => self.first_object(),
            SubgroupId::Explicit(id) => Some(id),
        }
    }

    /// The first object whose ID is at least `object`.
    pub fn object_from(&self, object: u64) -> Option<ObjectSpan> {
        let index = self
            .objects
            .partition_point(|placed| placed.span.id < object);
        self.objects.get(index).map(|placed| placed.span)
    }

    /// The first object that did not begin to arrive before `limit`: the one after the last, when all did.
    pub fn fresh_from(&self, limit: Time) -> u64 {
        let stale = self.objects.partition_point(|placed| placed.since < limit);
        match (self.objects.get(stale), self.objects.last()) {
            _ if stale == 0 => 0,
            (Some(fresh), _) => fresh.span.id,
            (None, Some(last)) => last.span.id.saturating_add(1),
            (None, None) => 0,
        }
    }

    /// The object that the byte at `offset` belongs to; the first one for bytes of the header.
    pub fn object_at(&self, offset: u64) -> Option<&Placed> {
        let index = self
            .objects
            .partition_point(|placed| placed.span.start <= offset);
        self.objects.get(index.saturating_sub(1))
    }

    /// Whether all bytes of an object have come and are kept.
    pub fn has(&self, span: &ObjectSpan) -> bool {
        let end = span.end.unwrap_or(u64::MAX);
        !self.dropped && self.received.contains_range(&(span.start..end))
    }

    /// The stored bytes from `offset` on, with their offsets, holes left out.
    pub fn pieces_from(&self, offset: u64) -> impl Iterator<Item = (u64, Chunk)> + '_ {
        self.chunks
            .iter_from(offset)
            .filter_map(move |(start, chunk)| {
                let skip = usize::try_from(offset.saturating_sub(start)).ok()?;
                Some((start + skip as u64, chunk.slice(skip..chunk.len())))
            })
    }

    /// A copy of stored bytes; `None` unless all of them are there.
    pub fn bytes(&self, start: u64, end: u64) -> Option<Vec<u8>> {
        if self.dropped || start > end || !self.received.contains_range(&(start..end)) {
            return None;
        }
        let len = usize::try_from(end - start).ok()?;
        let mut bytes = Vec::with_capacity(len);
        for (_, chunk) in self.pieces_from(start) {
            let left = len - bytes.len();
            bytes.extend_from_slice(chunk.get(..left).unwrap_or(&chunk));
            if bytes.len() == len {
                break;
            }
        }
        Some(bytes)
    }

    /// Keeps nothing from here on; what subscribers' streams still need, they hold themselves.
    pub fn drop_bytes(&mut self) {
        self.dropped = true;
        self.forget_bytes();
    }

    fn forget_bytes(&mut self) {
        let position = self.scanner.position();
        // What the scanner has not passed it still needs.
        self.chunks
            .remove_in(&(0..position), |span| span.end <= position);
        self.objects = self.objects.pop().into_iter().collect();
        self.cost = self
            .chunks
            .iter()
            .map(|(_, chunk)| chunk.len() + CHUNK_COST)
            .sum::<usize>()
            + self.objects.len() * OBJECT_COST;
    }
}

/// An object that came in a datagram.
#[derive(Clone, Debug)]
pub struct StoredDatagram {
    /// Which object.
    pub location: Location,
    /// All of the datagram.
    pub bytes: Chunk,
    /// When it came.
    pub since: Time,
}

impl StoredDatagram {
    /// What it costs to keep.
    pub fn cost(&self) -> usize {
        self.bytes.len() + CHUNK_COST
    }
}

/// In which order groups were last of use; `K` names a group of a track.
#[derive(Debug)]
pub struct Ages<K> {
    queue: VecDeque<(u64, K)>,
    stamp: u64,
    /// When the queue is longer, outdated entries are to be dropped.
    limit: usize,
}

impl<K> Default for Ages<K> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            stamp: 0,
            limit: 64,
        }
    }
}

impl<K> Ages<K> {
    /// A group was of use just now; the stamp to remember with it.
    pub fn touch(&mut self, key: K) -> u64 {
        self.stamp += 1;
        self.queue.push_back((self.stamp, key));
        self.stamp
    }

    /// The group that was not of use for longest; outdated entries have another stamp than the group.
    pub fn pop(&mut self) -> Option<(u64, K)> {
        self.queue.pop_front()
    }

    /// Whether outdated entries may outnumber the others.
    pub fn is_long(&self) -> bool {
        self.queue.len() > self.limit
    }

    /// Drops outdated entries.
    pub fn retain(&mut self, mut current: impl FnMut(u64, &K) -> bool) {
        self.queue.retain(|(stamp, key)| current(*stamp, key));
        self.limit = 64 + 2 * self.queue.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moqt::subgroup::{Body, Object};

    fn header() -> SubgroupHeader {
        SubgroupHeader {
            track_alias: 1,
            group_id: 2,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: Some(9),
            properties: false,
            end_of_group: true,
            first_object: true,
        }
    }

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        header().encode(&mut out);
        for id in 0..4u64 {
            let previous = id.checked_sub(1);
            Object {
                id,
                properties: &[],
                body: Body::Payload(&[7; 50]),
            }
            .encode(&mut out, false, previous);
        }
        out
    }

    #[test]
    fn bytes_in_any_order_give_the_same_objects() {
        let bytes = stream();
        let pieces: Vec<(usize, &[u8])> = bytes
            .chunks(7)
            .enumerate()
            .map(|(n, piece)| (n * 7, piece))
            .collect();
        for rotate in 0..pieces.len() {
            let mut pieces = pieces.clone();
            pieces.rotate_left(rotate);
            let mut store = StreamStore::new(header(), 4);
            let mut seen = Vec::new();
            for (offset, piece) in pieces {
                store
                    .insert(Time::ZERO, offset as u64, Chunk::from(piece), &mut seen)
                    .expect("valid");
            }
            store.finish(Time::ZERO, bytes.len() as u64);
            assert!(store.is_complete() && !store.ends_badly());
            assert_eq!(
                store
                    .objects()
                    .iter()
                    .map(|placed| placed.span.id)
                    .collect::<Vec<_>>(),
                [0, 1, 2, 3]
            );
            let span = store.object_from(2).expect("there");
            assert!(store.has(&span));
            let end = span.end.expect("measured");
            assert_eq!(
                store.bytes(span.start, end).expect("kept"),
                bytes[span.start as usize..end as usize]
            );
            assert_eq!(
                store.object_at(end - 1).map(|placed| placed.span.id),
                Some(2)
            );
        }
    }

    #[test]
    fn a_stream_that_ends_inside_an_object_is_noticed() {
        let bytes = stream();
        let mut store = StreamStore::new(header(), 4);
        store
            .insert(Time::ZERO, 0, Chunk::from(&bytes[..30]), &mut Vec::new())
            .expect("valid");
        store.finish(Time::ZERO, 30);
        assert!(store.ends_badly());
    }

    #[test]
    fn dropped_bytes_cost_nothing_and_scanning_goes_on() {
        let bytes = stream();
        let mut store = StreamStore::new(header(), 4);
        let mut seen = Vec::new();
        store
            .insert(Time::ZERO, 0, Chunk::from(&bytes[..60]), &mut seen)
            .expect("valid");
        store.drop_bytes();
        assert!(store.cost() < 100 && !store.is_whole());
        store
            .insert(Time::ZERO, 60, Chunk::from(&bytes[60..]), &mut seen)
            .expect("valid");
        assert!(store.cost() < 100);
        let started = seen
            .iter()
            .filter(|seen| matches!(seen, Scanned::Started(_)))
            .count();
        assert_eq!(started, 4);
    }

    #[test]
    fn pieces_start_where_asked() {
        let mut store = StreamStore::new(header(), 4);
        let bytes = stream();
        store
            .insert(Time::ZERO, 0, Chunk::from(&bytes[..10]), &mut Vec::new())
            .expect("valid");
        store
            .insert(Time::ZERO, 20, Chunk::from(&bytes[20..30]), &mut Vec::new())
            .expect("valid");
        let pieces: Vec<_> = store
            .pieces_from(6)
            .map(|(offset, chunk)| (offset, chunk.len()))
            .collect();
        assert_eq!(pieces, [(6, 4), (20, 10)]);
        assert_eq!(store.bytes(6, 21), None);
    }

    #[test]
    fn the_least_recently_touched_comes_first() {
        let mut ages = Ages::default();
        let old = ages.touch("a");
        ages.touch("b");
        let new = ages.touch("a");
        ages.retain(|stamp, key| *key != "a" || stamp == new);
        assert_ne!(old, new);
        assert_eq!(ages.pop().map(|(_, key)| key), Some("b"));
        assert_eq!(ages.pop(), Some((new, "a")));
    }
}
