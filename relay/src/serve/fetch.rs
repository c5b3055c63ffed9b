//! FETCH (draft §10.12): past objects, from what is kept.
//!
//! Objects that are on their way are waited for a moment; what is not known by then is said to be
//! unknown. A range of which nothing is kept is refused: this relay does not fetch upstream.

use quic_lite::Time;
use quic_lite::stream::Chunk;
use quic_lite::wire::stream_id::Dir;

use super::found::{Found, put};
use super::peer::{Outgoing, Task};
use super::timers::Timer;
use super::{Context, Relay};
use crate::cache::StreamStore;
use crate::limits;
use crate::moqt::fetch_object::{FetchContext, FetchItem, put_header};
use crate::moqt::message::{Fetch, FetchOk, FetchRange};
use crate::moqt::{GroupOrder, Location, Message, Parameters, RequestErrorCode};
use crate::session::RequestId;
use crate::track::{FetchJob, PeerId, Track, TrackId, TrackKey, stream_priority};

/// A refusal.
type Refusal = (RequestErrorCode, &'static str);

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
        let entry = self.tracks.get_mut(&track);
        let Some(entry) = entry.filter(|track| track.fetches.len() < limits::FETCHES) else {
            let code = RequestErrorCode::EXCESSIVE_LOAD;
            self.refuse(cx, peer, id, code, "too many FETCHes");
            return;
        };
        let (end, told_end) = clip(end, entry.largest.unwrap_or_default());
        if end < start {
            // A publisher that started again has published less than its predecessor.
            let code = RequestErrorCode::INVALID_RANGE;
            self.refuse(cx, peer, id, code, "nothing published in the range");
            return;
        }
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
            updates: 0,
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
            self.drop_if_unwanted(id);
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
        !arriving && self.has_from(track, job.end)
    }

    /// Whether an object at or after this location is complete, in its group.
    fn has_from(&self, track: &Track, location: Location) -> bool {
        let Some(group) = track.groups.get(&location.group) else {
            return false;
        };
        let has = |store: &StreamStore| {
            let span = store.object_from(location.object);
            span.is_some_and(|span| store.has(&span))
        };
        let mut streams = group.streams.iter().filter_map(|key| self.streams.get(key));
        let mut datagrams = group.datagrams.iter();
        streams.any(|stream| has(&stream.store)) || datagrams.any(|it| it.location >= location)
    }

    fn answer_fetch(&mut self, cx: &mut Context<'_>, id: TrackId, job: &FetchJob) {
        let (peer, request) = (job.peer, job.request);
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.tasks.remove(&request);
        }
        let (ok, pieces) = match self.fetch_answer(cx.now, id, job) {
            Ok(answer) => answer,
            Err((code, reason)) => {
                self.refuse(cx, peer, request, code, reason);
                return;
            }
        };
        let stream = cx.net.streams(peer).and_then(|it| it.open(Dir::Uni));
        let Some(stream) = stream else {
            let code = RequestErrorCode::EXCESSIVE_LOAD;
            self.refuse(cx, peer, request, code, "no stream credit");
            return;
        };
        self.send(cx, peer, request, &Message::FetchOk(ok));
        self.answer_updates(cx, (peer, request), job.updates);
        self.with(cx, peer, |session, streams| {
            session.finish(streams, request)
        });
        if let Some(streams) = cx.net.streams(peer) {
            let priority = stream_priority(job.priority, 128, GroupOrder::Ascending, 0);
            let _ = streams.set_priority(stream, priority);
            for piece in pieces {
                self.counters.forwarded_bytes += piece.len() as u64;
                let _ = streams.write_chunk(stream, piece);
            }
            let _ = streams.finish(stream);
        }
        if let Some(entry) = self.peers.get_mut(&peer) {
            let out = Outgoing {
                track: id,
                group: u64::MAX,
                source: None,
                shift: (0, 0),
            };
            entry.outgoing.insert(stream, out);
        }
        self.counters.fetches += 1;
        self.touch_range(id, job);
        self.shed(cx, peer);
    }

    fn touch_range(&mut self, id: TrackId, job: &FetchJob) {
        let groups: Vec<u64> = self
            .tracks
            .get(&id)
            .map(|track| track.groups.range(job.start.group..=job.end.group))
            .map(|groups| groups.map(|(group, _)| *group).collect())
            .unwrap_or_default();
        for group in groups {
            self.touch(id, group);
        }
    }

    /// FETCH_OK and all of the fetch stream, in pieces.
    fn fetch_answer(
        &self,
        now: Time,
        id: TrackId,
        job: &FetchJob,
    ) -> Result<(FetchOk, Vec<Chunk>), Refusal> {
        let none = (RequestErrorCode::INVALID_RANGE, "not in the cache");
        let track = self.tracks.get(&id).ok_or(none)?;
        let mut found = self.in_range(now, track, job);
        let (Some(first), Some(last)) = (found.first(), found.last()) else {
            return Err(none);
        };
        let (first, last) = (first.location, last.location);
        let bytes: usize = found.iter().map(Found::payload_len).sum();
        if bytes as u64 > self.config.max_pending {
            return Err((RequestErrorCode::EXCESSIVE_LOAD, "range too large"));
        }
        let (mut head, mut pieces) = (Vec::new(), Vec::new());
        put_header(&mut head, job.request.0);
        let mut context = FetchContext::new(job.order);
        let ascending = job.order == GroupOrder::Ascending;
        if ascending && first.group > job.start.group {
            // Earlier groups were asked for, and nothing is known of them.
            let before = Location::new(first.group - 1, u64::MAX);
            context.encode(&FetchItem::Unknown(before), &mut head);
        }
        if !ascending {
            found.sort_by_key(|it| (core::cmp::Reverse(it.location.group), it.location.object));
        }
        for object in &found {
            put(&mut context, object, &mut head, &mut pieces);
        }
        if ascending && last < job.end && job.told_end.object != 0 {
            context.encode(&FetchItem::Unknown(job.end), &mut head);
        }
        pieces.push(Chunk::from(head));
        let ended = track.ended_at;
        let ok = FetchOk {
            end_of_track: ended.is_some_and(|end| end <= job.end.next_object()),
            end: job.told_end,
            parameters: Parameters::default(),
            properties: track.properties.clone(),
        };
        Ok((ok, pieces))
    }

    /// The complete objects of a range, in order.
    fn in_range(&self, now: Time, track: &Track, job: &FetchJob) -> Vec<Found> {
        let groups = track.groups.range(job.start.group..=job.end.group);
        let objects = groups.flat_map(|(group, _)| self.find(now, track, *group));
        let wanted = job.start..=job.end;
        objects.filter(|it| wanted.contains(&it.location)).collect()
    }
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
