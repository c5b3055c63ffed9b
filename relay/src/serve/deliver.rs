//! Carrying decisions out: subscribers' streams are opened, filled, ended, and given up in time (draft §8).

use core::mem;
use std::collections::HashMap;

use quic_lite::stream::{SendState, Streams};
use quic_lite::wire::stream_id::{Dir, StreamId};

use super::counters::Counters;
use super::peer::{Outgoing, Peer};
use super::timers::{Timer, Timers};
use super::{Context, Relay};
use crate::cache::StreamStore;
use crate::forward::{Route, Send, begin};
use crate::limits;
use crate::moqt::{Location, ResetCode};
use crate::track::{
    Listener, PeerId, StreamKey, Subscription, SubscriptionId, TrackId, Upstream, stream_priority,
};

/// The parts of the relay that sending needs, while a stream is borrowed.
pub(super) struct Delivery<'a, 'b> {
    pub(super) cx: &'a mut Context<'b>,
    pub(super) peers: &'a mut HashMap<PeerId, Peer>,
    pub(super) subscriptions: &'a mut HashMap<SubscriptionId, Subscription>,
    pub(super) counters: &'a mut Counters,
    pub(super) timers: &'a mut Timers,
    pub(super) default_priority: u8,
    pub(super) max_pending: u64,
    /// Peers that much was written to: their backlog is to be counted.
    pub(super) over: Vec<PeerId>,
}

/// A publisher's stream: its track, whose and which it is, and what it has.
type Of<'a> = (TrackId, (PeerId, StreamId), &'a StreamStore);

impl Delivery<'_, '_> {
    /// Carries out the sends for one listener.
    pub(super) fn deliver(
        &mut self,
        key: StreamKey,
        of: Of<'_>,
        listener: &mut Listener,
        sends: &mut Vec<Send>,
    ) {
        let mut dead = false;
        for send in sends.drain(..) {
            if dead {
                continue;
            }
            dead = match send {
                Send::Open => !self.open(key, of, listener),
                send => !self.carry_out(listener, send),
            };
        }
        if dead {
            listener.route = Route::Closed;
        }
    }

    fn open(
        &mut self,
        key: StreamKey,
        (track, source, store): Of<'_>,
        listener: &mut Listener,
    ) -> bool {
        let (Some(peer), Some(subscription)) = (
            self.peers.get_mut(&listener.peer),
            self.subscriptions.get_mut(&listener.subscription),
        ) else {
            return false;
        };
        let shift = match listener.route {
            Route::Open { from, prefix } => (from, prefix),
            _ => (0, 0),
        };
        // Each byte keeps its place, from the first on.
        let same = shift.0 == shift.1 && shift.0 <= store.header_len();
        let opened = match self.cx.net.offload() {
            Some(offload) => offload.open(source, listener.peer, same),
            None => open_stream(self.cx, listener.peer),
        };
        let Some(streams) = self.cx.net.streams(listener.peer) else {
            return false;
        };
        let Some(id) = opened else {
            peer.block(key, listener.subscription);
            return false;
        };
        subscription.streams_opened += 1;
        self.counters.forwarded_streams += 1;
        let header = store.header();
        let publisher = header.publisher_priority.unwrap_or(self.default_priority);
        let priority = stream_priority(
            subscription.priority,
            publisher,
            subscription.order,
            header.group_id,
        );
        let _ = streams.set_priority(id, priority);
        if is_over(streams, id) {
            // The kernel has sent all of it, and it has arrived or is not wanted.
            return false;
        }
        let source = Some((key, listener.subscription));
        peer.outgoing.insert(
            id,
            Outgoing {
                track,
                group: header.group_id,
                source,
                shift,
            },
        );
        listener.stream = Some(id);
        if let Some(timeout) = subscription.timeouts.shortest() {
            let at = self.cx.now + timeout.max(limits::TIMEOUT_CHECK);
            self.timers.set_earlier(Timer::Delivery(listener.peer), at);
        }
        true
    }

    fn carry_out(&mut self, listener: &Listener, send: Send) -> bool {
        let (Some(id), Some(streams)) = (listener.stream, self.cx.net.streams(listener.peer))
        else {
            return false;
        };
        match send {
            Send::Write { offset, chunk } => {
                let len = chunk.len() as u64;
                if streams.write_at(id, offset, chunk).is_err() {
                    return false;
                }
                self.counters.forwarded_bytes += len;
                self.counters.forwarded_pieces += 1;
                self.count(listener.peer, len);
            }
            // The same end may be told twice.
            Send::Finish(size) => drop(streams.finish_at(id, size)),
            Send::Reset(code) => {
                let _ = streams.reset(id, code);
                if let Some(peer) = self.peers.get_mut(&listener.peer) {
                    peer.outgoing.remove(&id);
                }
            }
            Send::Open => {}
        }
        true
    }

    fn count(&mut self, peer: PeerId, len: u64) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.written += len;
            if entry.written > self.max_pending / 8 {
                entry.written = 0;
                self.over.push(peer);
            }
        }
    }
}

impl Relay {
    /// A subscription begins to take a stream that is there already.
    pub(super) fn listen(&mut self, cx: &mut Context<'_>, key: StreamKey, id: SubscriptionId) {
        let (Some(stream), Some(subscription)) =
            (self.streams.get_mut(&key), self.subscriptions.get(&id))
        else {
            return;
        };
        let (peer, alias) = (subscription.peer, subscription.alias);
        let track = self.tracks.get(&stream.track);
        let mut window = subscription.window;
        if let Some(limit) = track.and_then(|track| track.stale_before(cx.now)) {
            let group = stream.store.header().group_id;
            let fresh = Location::new(group, stream.store.fresh_from(limit));
            window.start = window.start.max(fresh);
        }
        let mut sends = mem::take(&mut self.sends);
        let route = begin(&window, alias, &stream.store, &mut sends);
        let mut listener = Listener {
            subscription: id,
            peer,
            alias,
            route,
            stream: None,
        };
        let mut delivery = Delivery {
            cx,
            peers: &mut self.peers,
            subscriptions: &mut self.subscriptions,
            counters: &mut self.counters,
            timers: &mut self.timers,
            default_priority: self
                .tracks
                .get(&stream.track)
                .map_or(128, |it| it.properties.default_priority()),
            max_pending: self.config.max_pending,
            over: Vec::new(),
        };
        delivery.deliver(
            key,
            (stream.track, stream.source, &stream.store),
            &mut listener,
            &mut sends,
        );
        let over = mem::take(&mut delivery.over);
        self.sends = sends;
        if listener.route != Route::Closed && !stream.store.is_over() {
            stream.audience.push(listener);
        }
        for peer in over {
            self.shed(cx, peer);
        }
    }

    /// A subscription takes what is kept of its track: the latest group (draft §5.1.3 leaves older ones
    /// to FETCH), as far as its window allows.
    pub(super) fn attach(&mut self, cx: &mut Context<'_>, id: SubscriptionId) {
        let Some(subscription) = self
            .subscriptions
            .get(&id)
            .filter(|it| it.forward && it.accepted)
        else {
            return;
        };
        let Some(track) = self.tracks.get(&subscription.track) else {
            return;
        };
        let latest = track.groups.last_key_value().map_or(0, |(group, _)| *group);
        let keys: Vec<StreamKey> = track
            .groups
            .range(latest..)
            .flat_map(|(_, group)| group.streams.iter().copied())
            .collect();
        for key in keys {
            self.listen(cx, key, id);
        }
    }

    /// Streams that waited for credit may open.
    pub(super) fn open_blocked(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        while let Some(next) = self.peers.get(&peer).and_then(|it| it.blocked.front()) {
            let (key, id) = *next;
            let openable = cx.net.streams(peer).map_or(0, |it| it.openable(Dir::Uni));
            if openable == 0 {
                // A refusal is what makes the transport tell of new credit.
                let _ = cx.net.streams(peer).and_then(|it| it.open(Dir::Uni));
                return;
            }
            if let Some(entry) = self.peers.get_mut(&peer) {
                entry.blocked.pop_front();
            }
            if self.subscriptions.get(&id).is_some_and(|it| it.forward) {
                self.listen(cx, key, id);
            }
        }
    }

    /// All of a stream has reached the subscriber.
    pub(super) fn on_sent(&mut self, peer: PeerId, stream: StreamId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.outgoing.remove(&stream);
        }
    }

    /// The subscriber wants no more of a stream.
    pub(super) fn on_unwanted(&mut self, cx: &mut Context<'_>, peer: PeerId, stream: StreamId) {
        self.give_stream_up(cx, peer, stream, ResetCode::CANCELLED);
    }

    /// Stops sending one stream to one subscriber.
    pub(super) fn give_stream_up(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: StreamId,
        code: ResetCode,
    ) {
        let Some(out) = self
            .peers
            .get_mut(&peer)
            .and_then(|peer| peer.outgoing.remove(&id))
        else {
            return;
        };
        if let Some(streams) = cx.net.streams(peer) {
            // Stopped by the subscriber, it is reset already.
            let _ = streams.reset(id, code.0);
        }
        if let Some((key, subscription)) = out.source
            && let Some(stream) = self.streams.get_mut(&key)
        {
            stream
                .audience
                .retain(|listener| listener.subscription != subscription);
        }
    }

    /// Gives up all streams of one subscription that are not finished.
    pub(super) fn drop_streams(
        &mut self,
        cx: &mut Context<'_>,
        id: SubscriptionId,
        code: ResetCode,
    ) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let (peer, track) = (subscription.peer, subscription.track);
        let open = |(stream, out): (&StreamId, &Outgoing)| {
            let (key, of) = out
                .source
                .filter(|(_, of)| out.track == track && *of == id)?;
            let unfinished = self
                .streams
                .get(&key)
                .is_some_and(|source| !source.store.is_complete());
            (of == id && unfinished).then_some(*stream)
        };
        let unfinished: Vec<StreamId> = self
            .peers
            .get(&peer)
            .map(|peer| peer.outgoing.iter().filter_map(open).collect())
            .unwrap_or_default();
        for stream in unfinished {
            self.give_stream_up(cx, peer, stream, code);
        }
        self.leave_audiences(track, id);
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.blocked.retain(|(_, of)| *of != id);
        }
    }

    /// A subscription gets nothing more of the streams that are coming in.
    pub(super) fn leave_audiences(&mut self, track: TrackId, id: SubscriptionId) {
        let Some(Upstream::Live(live)) = self.tracks.get(&track).map(|track| &track.upstream)
        else {
            return;
        };
        for key in &live.open {
            if let Some(stream) = self.streams.get_mut(key) {
                stream
                    .audience
                    .retain(|listener| listener.subscription != id);
            }
        }
    }

    /// Counts what waits for a subscriber, and gives its oldest groups up when that is too much.
    pub(super) fn shed(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let limit = self.config.max_pending;
        let Some(entry) = self.peers.get(&peer) else {
            return;
        };
        let Some(streams) = cx.net.streams(peer) else {
            return;
        };
        let mut waiting: Vec<(u64, StreamId, u64)> = entry
            .outgoing
            .iter()
            .map(|(id, out)| (out.group, *id, streams.unacked_bytes(*id)))
            .filter(|(_, _, bytes)| *bytes > 0)
            .collect();
        let mut pending: u64 = waiting.iter().map(|(_, _, bytes)| bytes).sum();
        if pending <= limit {
            return;
        }
        waiting.sort_unstable();
        for (_, id, bytes) in waiting {
            if pending <= limit / 2 {
                break;
            }
            pending -= bytes;
            self.counters.shed_streams += 1;
            // Draft §8: a publisher may stop delivering what comes too late to be of use.
            self.give_stream_up(cx, peer, id, ResetCode::DELIVERY_TIMEOUT);
        }
    }

    /// Gives up streams whose delivery timeout has passed (draft §8).
    pub(super) fn check_timeouts(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let now = cx.now;
        let (Some(entry), Some(streams)) = (self.peers.get(&peer), cx.net.streams(peer)) else {
            return;
        };
        let mut late = Vec::new();
        let mut next = None;
        for (id, out) in &entry.outgoing {
            let Some((key, subscription)) = out.source else {
                continue;
            };
            let (Some(source), Some(subscription)) = (
                self.streams.get(&key),
                self.subscriptions.get(&subscription),
            ) else {
                continue;
            };
            let Some(shortest) = subscription.timeouts.shortest() else {
                continue;
            };
            let object =
                subscription
                    .timeouts
                    .object
                    .zip(unsent_since(streams, *id, out, &source.store));
            let subgroup = subscription
                .timeouts
                .subgroup
                .zip(source.store.finished_at());
            let due = object
                .into_iter()
                .chain(subgroup)
                .any(|(timeout, since)| now.since(since) > timeout);
            if due {
                late.push(*id);
            }
            next = next.into_iter().chain([shortest]).min();
        }
        for id in late {
            self.counters.late_streams += 1;
            self.give_stream_up(cx, peer, id, ResetCode::DELIVERY_TIMEOUT);
        }
        if let Some(after) = next {
            self.timers.set(
                Timer::Delivery(peer),
                now + (after / 4).max(limits::TIMEOUT_CHECK),
            );
        }
    }
}

fn open_stream(cx: &mut Context<'_>, peer: PeerId) -> Option<StreamId> {
    cx.net.streams(peer)?.open(Dir::Uni)
}

/// Whether nothing more can be sent on a stream.
fn is_over(streams: &Streams, id: StreamId) -> bool {
    !matches!(
        streams.send_state(id),
        Some(SendState::Ready | SendState::Send | SendState::DataSent)
    )
}

/// When the object began to arrive whose bytes are the next to be sent; `None` when all are sent.
fn unsent_since(
    streams: &Streams,
    id: StreamId,
    out: &Outgoing,
    store: &StreamStore,
) -> Option<quic_lite::Time> {
    if streams.unsent_bytes(id) == 0 {
        return None;
    }
    let sent = streams.send_offset_max(id)?;
    let (from, prefix) = out.shift;
    let upstream = sent.saturating_sub(prefix).saturating_add(from);
    store.object_at(upstream).map(|placed| placed.since)
}
