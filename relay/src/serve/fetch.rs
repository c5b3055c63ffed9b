//! FETCH (draft §10.12): past objects, from what is kept.
//!
//! Objects that are on their way are waited for a moment; what is not known by then is said to be
//! unknown. A range of which nothing is kept is refused: this relay does not fetch upstream.

use quic_lite::stream::Chunk;
use quic_lite::wire::stream_id::Dir;

use super::peer::{Outgoing, Task};
use super::timers::Timer;
use super::{Context, Relay};
use crate::cache::StreamStore;
use crate::moqt::datagram::ObjectDatagram;
use crate::moqt::fetch_object::{FetchContext, FetchItem, FetchObject, put_header};
use crate::moqt::message::{Fetch, FetchOk, FetchRange};
use crate::moqt::scanner::ObjectSpan;
use crate::moqt::subgroup::{Body, Object};
use crate::moqt::{GroupOrder, Location, Message, Parameters, RequestErrorCode};
use crate::session::RequestId;
use crate::track::{FetchJob, PeerId, Track, TrackId, TrackKey, stream_priority};

/// A refusal.
type Refusal = (RequestErrorCode, &'static str);

/// An object that can be sent.
struct Found {
    location: Location,
    subgroup: Option<u64>,
    priority: u8,
    properties: Vec<u8>,
    payload: Vec<Chunk>,
}

/// FETCHes of one track that may wait at a time.
const MAX_WAITING: usize = 1024;

impl Relay {
    /// A FETCH.
    pub(super) fn on_fetch(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        message: Fetch,
    ) {
        let (track, start, end) = match self.fetch_range(peer, &message.range) {
            Ok(range) => range,
            Err((code, reason)) => {
                self.refuse(cx, peer, id, code, reason);
                return;
            }
        };
        let Some(entry) = self
            .tracks
            .get_mut(&track)
            .filter(|track| track.fetches.len() < MAX_WAITING)
        else {
            self.refuse(
                cx,
                peer,
                id,
                RequestErrorCode::EXCESSIVE_LOAD,
                "too many FETCHes",
            );
            return;
        };
        let (end, told_end) = clip(end, entry.largest.unwrap_or_default());
        let until = match message.parameters.fill_timeout {
            Some(ms) => cx.now + core::time::Duration::from_millis(ms).min(self.config.fetch_wait),
            None => cx.now + self.config.fetch_wait,
        };
        entry.fetches.push(FetchJob {
            peer,
            request: id,
            start,
            end,
            told_end,
            order: message.parameters.group_order.unwrap_or_default(),
            priority: message.parameters.subscriber_priority.unwrap_or(128),
            until,
        });
        self.task(peer, id, Task::Fetch(track));
        self.progress_fetches(cx, track);
    }

    /// The track, and the range in the encoding of a standalone FETCH.
    fn fetch_range(
        &self,
        peer: PeerId,
        range: &FetchRange,
    ) -> Result<(TrackId, Location, Location), Refusal> {
        match range {
            FetchRange::Standalone { track, start, end } => {
                self.standalone(peer, track, *start, *end)
            }
            FetchRange::RelativeJoining {
                joining_request_id,
                joining_start,
            } => {
                let (track, joined) = self.joined(peer, *joining_request_id)?;
                let group = joined.group.saturating_sub(*joining_start);
                Ok((track, Location::new(group, 0), joined.next_object()))
            }
            FetchRange::AbsoluteJoining {
                joining_request_id,
                joining_start,
            } => {
                let (track, joined) = self.joined(peer, *joining_request_id)?;
                if *joining_start > joined.group {
                    return Err((
                        RequestErrorCode::INVALID_RANGE,
                        "start after the joining location",
                    ));
                }
                Ok((
                    track,
                    Location::new(*joining_start, 0),
                    joined.next_object(),
                ))
            }
        }
    }

    fn standalone(
        &self,
        peer: PeerId,
        name: &crate::moqt::FullTrackName,
        start: Location,
        end: Location,
    ) -> Result<(TrackId, Location, Location), Refusal> {
        let unknown = (RequestErrorCode::DOES_NOT_EXIST, "no such track");
        let scope = self.scope(peer).ok_or(unknown)?;
        let key = TrackKey {
            scope,
            name: name.clone(),
        };
        let id = *self.by_name.get(&key).ok_or(unknown)?;
        let track = self.tracks.get(&id).ok_or(unknown)?;
        let backwards = end.group < start.group
            || (end.group == start.group && end.object != 0 && end.object <= start.object);
        if backwards || track.largest.is_none_or(|largest| start > largest) {
            return Err((
                RequestErrorCode::INVALID_RANGE,
                "nothing published in the range",
            ));
        }
        Ok((id, start, end))
    }

    /// The track and joining location of a subscription (draft §10.12.2).
    fn joined(&self, peer: PeerId, request: u64) -> Result<(TrackId, Location), Refusal> {
        let task = self
            .peers
            .get(&peer)
            .and_then(|peer| peer.tasks.get(&RequestId(request)));
        let Some(Task::Subscription(id)) = task else {
            return Err((
                RequestErrorCode::INVALID_JOINING_REQUEST_ID,
                "no such subscription",
            ));
        };
        let invalid = |reason| (RequestErrorCode::INVALID_RANGE, reason);
        let subscription = self
            .subscriptions
            .get(id)
            .ok_or(invalid("no such subscription"))?;
        if !subscription.forward {
            return Err(invalid("the subscription does not forward"));
        }
        let joined = subscription
            .joined_at
            .ok_or(invalid("nothing was published before it"))?;
        Ok((subscription.track, joined))
    }

    pub(super) fn stop_fetching(&mut self, id: TrackId, peer: PeerId, request: RequestId) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track
                .fetches
                .retain(|job| (job.peer, job.request) != (peer, request));
        }
    }

    /// Answers the FETCHes whose objects are here, or that may wait no longer.
    pub(super) fn progress_fetches(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self
            .tracks
            .get_mut(&id)
            .filter(|track| !track.fetches.is_empty())
        else {
            return;
        };
        let jobs = core::mem::take(&mut track.fetches);
        let mut waiting = Vec::new();
        for job in jobs {
            if job.until > cx.now && !self.is_complete(id, &job) {
                waiting.push(job);
                continue;
            }
            self.answer_fetch(cx, id, &job);
        }
        if let Some(at) = waiting.iter().map(|job| job.until).min() {
            self.timers.set(Timer::Fetch(id), at);
        }
        if let Some(track) = self.tracks.get_mut(&id) {
            track.fetches = waiting;
        }
        self.linger(cx.now, id);
    }

    /// Whether nothing of the range is known to be on its way.
    fn is_complete(&self, id: TrackId, job: &FetchJob) -> bool {
        let Some(track) = self.tracks.get(&id) else {
            return true;
        };
        let groups = track.groups.range(job.start.group..=job.end.group);
        let streams = groups.flat_map(|(_, group)| group.streams.iter());
        let arriving = streams
            .filter_map(|key| self.streams.get(key))
            .any(|stream| is_arriving(&stream.store, job));
        // The last object was told of, so it is here or on its way.
        let last = self
            .find(track, job.end.group)
            .iter()
            .any(|found| found.location >= job.end);
        last && !arriving
    }

    fn answer_fetch(&mut self, cx: &mut Context<'_>, id: TrackId, job: &FetchJob) {
        if let Some(entry) = self.peers.get_mut(&job.peer) {
            entry.tasks.remove(&job.request);
        }
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let pieces = self.fetch_answer(track, job);
        let Some(pieces) = pieces else {
            let code = RequestErrorCode::INVALID_RANGE;
            self.refuse(cx, job.peer, job.request, code, "not in the cache");
            return;
        };
        let ended = track
            .ended_at
            .is_some_and(|end| end <= job.end.next_object());
        let ok = Message::FetchOk(FetchOk {
            end_of_track: ended,
            end: job.told_end,
            parameters: Parameters::default(),
            properties: track.properties.clone(),
        });
        let Some(stream) = cx
            .net
            .streams(job.peer)
            .and_then(|streams| streams.open(Dir::Uni))
        else {
            self.refuse(
                cx,
                job.peer,
                job.request,
                RequestErrorCode::EXCESSIVE_LOAD,
                "no stream credit",
            );
            return;
        };
        self.send(cx, job.peer, job.request, &ok);
        self.with(cx, job.peer, |session, streams| {
            session.finish(streams, job.request)
        });
        if let Some(streams) = cx.net.streams(job.peer) {
            let _ = streams.set_priority(
                stream,
                stream_priority(job.priority, 128, GroupOrder::Ascending, 0),
            );
            for piece in pieces {
                self.counters.forwarded_bytes += piece.len() as u64;
                let _ = streams.write_chunk(stream, piece);
            }
            let _ = streams.finish(stream);
        }
        if let Some(entry) = self.peers.get_mut(&job.peer) {
            let out = Outgoing {
                track: id,
                group: u64::MAX,
                source: None,
                shift: (0, 0),
            };
            entry.outgoing.insert(stream, out);
        }
        self.counters.fetches += 1;
        for group in job.start.group..=job.end.group.min(job.start.group.saturating_add(64)) {
            if self
                .tracks
                .get(&id)
                .is_some_and(|track| track.groups.contains_key(&group))
            {
                self.touch(id, group);
            }
        }
        self.shed(cx, job.peer);
    }

    /// All of the fetch stream, in pieces; `None` when nothing of the range is kept.
    fn fetch_answer(&self, track: &Track, job: &FetchJob) -> Option<Vec<Chunk>> {
        let mut groups: Vec<u64> = track
            .groups
            .range(job.start.group..=job.end.group)
            .map(|(id, _)| *id)
            .collect();
        let ascending = job.order == GroupOrder::Ascending;
        if !ascending {
            groups.reverse();
        }
        let mut head = Vec::new();
        put_header(&mut head, job.request.0);
        let mut context = FetchContext::new(job.order);
        let (mut pieces, mut any, mut last) = (Vec::new(), false, None);
        for group in groups {
            for found in self.find(track, group) {
                if found.location < job.start || found.location > job.end {
                    continue;
                }
                if let Some(before) = unknown_before(any, job, found.location).filter(|_| ascending)
                {
                    context.encode(&FetchItem::Unknown(before), &mut head);
                }
                any = true;
                last = Some(found.location);
                put(&mut context, &found, &mut head, &mut pieces);
            }
        }
        if ascending && any && last.is_some_and(|last| last < job.end) && job.told_end.object != 0 {
            context.encode(&FetchItem::Unknown(job.end), &mut head);
        }
        pieces.push(Chunk::from(head));
        any.then_some(pieces)
    }

    /// The complete objects of a group, by ID.
    fn find(&self, track: &Track, group: u64) -> Vec<Found> {
        let Some(kept) = track.groups.get(&group) else {
            return Vec::new();
        };
        let default_priority = track.properties.default_priority();
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
                .filter(|placed| store.has(&placed.span));
            found.extend(objects.filter_map(|placed| object(store, &placed.span, priority)));
        }
        for datagram in &kept.datagrams {
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
    // Whatever stands before the payload: an ID, properties, a length.
    let all = store.bytes(span.start, end)?;
    let (rest, object) = Object::parse(&all, store.header().properties, None).ok()?;
    let Body::Payload(payload) = object.body else {
        return None;
    };
    let payload_start = end - rest.len() as u64 - payload.len() as u64;
    let mut chunks = Vec::new();
    let mut left = payload.len();
    for (_, chunk) in store.pieces_from(payload_start) {
        let piece = chunk.slice(0..left);
        left -= piece.len();
        chunks.push(piece);
        if left == 0 {
            break;
        }
    }
    Some(Found {
        location: Location::new(store.header().group_id, span.id),
        subgroup: store.subgroup_id(),
        priority,
        properties: object.properties.to_vec(),
        payload: chunks,
    })
}

/// Appends an object; payloads are shared, what is ours is collected in `head`.
fn put(context: &mut FetchContext, found: &Found, head: &mut Vec<u8>, pieces: &mut Vec<Chunk>) {
    let object = FetchObject {
        location: found.location,
        subgroup: found.subgroup,
        priority: found.priority,
        properties: &found.properties,
        payload: &[],
    };
    let len: usize = found.payload.iter().map(|chunk| chunk.len()).sum();
    context.encode_head(&object, len as u64, head);
    pieces.push(Chunk::from(core::mem::take(head)));
    pieces.extend(
        found
            .payload
            .iter()
            .filter(|chunk| !chunk.is_empty())
            .cloned(),
    );
}

/// The last location before the first object that is kept, when earlier groups were asked for: nothing
/// is known of them.
fn unknown_before(any: bool, job: &FetchJob, first: Location) -> Option<Location> {
    (!any && first.group > job.start.group).then(|| Location::new(first.group - 1, u64::MAX))
}

/// Whether a stream has begun an object of the range that is not complete, or is still to begin some.
fn is_arriving(store: &StreamStore, job: &FetchJob) -> bool {
    if store.is_over() || !store.is_whole() {
        return false;
    }
    let group = store.header().group_id;
    if group < job.end.group {
        return true;
    }
    let partial = |id: u64| Location::new(group, id) <= job.end;
    store
        .objects()
        .iter()
        .any(|placed| partial(placed.span.id) && !store.has(&placed.span))
}

/// The last location of a range, given the largest there is, and what FETCH_OK says of the end
/// (draft §10.13).
fn clip(end: Location, largest: Location) -> (Location, Location) {
    let last = match end.object {
        0 => Location::new(end.group, u64::MAX),
        object => Location::new(end.group, object - 1),
    };
    if last > largest {
        (largest, largest.next_object())
    } else {
        (last, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_beyond_what_is_published_are_cut() {
        let largest = Location::new(4, 7);
        assert_eq!(
            clip(Location::new(9, 0), largest),
            (largest, Location::new(4, 8))
        );
        assert_eq!(
            clip(Location::new(4, 0), largest),
            (largest, Location::new(4, 8))
        );
        assert_eq!(
            clip(Location::new(4, 8), largest),
            (largest, Location::new(4, 8))
        );
        assert_eq!(
            clip(Location::new(4, 3), largest),
            (Location::new(4, 2), Location::new(4, 3))
        );
        let whole = Location::new(3, u64::MAX);
        assert_eq!(
            clip(Location::new(3, 0), largest),
            (whole, Location::new(3, 0))
        );
    }
}
