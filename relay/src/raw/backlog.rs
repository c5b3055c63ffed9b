//! What waits for a subscriber, and what is given up when that is too much. No RFC.

use std::collections::{BTreeMap, VecDeque};

use quic_lite::wire::stream_id::StreamId;

use super::offloading::{Opened, open};
use super::stream::Stream;
use super::{RawRelay, code};
use crate::serve::Context;
use crate::track::{PeerId, StreamKey};

/// A subscriber.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    /// Its number, for another forwarder.
    pub(super) number: u64,
    /// Our streams to it that are not acknowledged to the end, oldest first.
    outgoing: BTreeMap<StreamId, StreamKey>,
    /// Streams that wait for its credit, oldest first.
    blocked: VecDeque<StreamKey>,
    /// Bytes handed to its streams since they were last counted.
    written: u64,
}

impl Subscriber {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    pub(super) fn has_blocked(&self) -> bool {
        !self.blocked.is_empty()
    }

    pub(super) fn opened(&mut self, id: StreamId, key: StreamKey) {
        self.outgoing.insert(id, key);
    }

    pub(super) fn closed(&mut self, id: StreamId) -> Option<StreamKey> {
        self.outgoing.remove(&id)
    }

    /// A stream waits; the one that waited longest when there are more than `max`.
    pub(super) fn block(&mut self, key: StreamKey, max: usize) -> Option<StreamKey> {
        self.blocked.push_back(key);
        (self.blocked.len() > max)
            .then(|| self.blocked.pop_front())
            .flatten()
    }

    /// Notes bytes; whether it is time to count what waits for it.
    pub(super) fn wrote(&mut self, len: u64, max_pending: u64) -> bool {
        self.written += len;
        let is_time = self.written > max_pending / 8;
        if is_time {
            self.written = 0;
        }
        is_time
    }

    /// All streams that have to do with it.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamKey> {
        self.outgoing.values().chain(&self.blocked).copied()
    }
}

impl RawRelay {
    /// A stream to a subscriber is over; where it came from.
    pub(super) fn let_go(&mut self, peer: PeerId, id: StreamId) -> Option<StreamKey> {
        self.subscribers.get_mut(&peer)?.closed(id)
    }

    /// A subscriber wants no more of a stream; the transport has reset it.
    pub(super) fn on_stopped(&mut self, peer: PeerId, id: StreamId) {
        if let Some(key) = self.let_go(peer, id)
            && let Some(stream) = self.streams.get_mut(&key)
        {
            stream.listeners.retain(|listener| *listener != (peer, id));
        }
    }

    /// Opens the streams that waited for a subscriber's credit, with all that has come of them.
    pub(super) fn open_blocked(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        while let Some(subscriber) = self.subscribers.get_mut(&peer)
            && let Some(key) = subscriber.blocked.front().copied()
        {
            let waits = |stream: &&mut Stream| stream.waiting.contains(&peer);
            let Some(stream) = self.streams.get_mut(&key).filter(waits) else {
                subscriber.blocked.pop_front();
                continue;
            };
            // A refusal is what makes the transport tell of new credit.
            let opened = open(cx, stream.source, peer, false);
            if matches!(opened, Opened::Not) {
                return;
            }
            subscriber.blocked.pop_front();
            stream.stop_waiting(peer);
            self.counters.forwarded_streams += 1;
            if let Opened::Now(id) = opened {
                subscriber.opened(id, key);
                self.replay(cx, key, (peer, id));
            }
            self.settle(key);
        }
    }

    /// Hands over what was kept of a stream; what comes later follows.
    fn replay(&mut self, cx: &mut Context<'_>, key: StreamKey, to: (PeerId, StreamId)) {
        let (Some(stream), Some(streams)) = (self.streams.get_mut(&key), cx.net.streams(to.0))
        else {
            return;
        };
        for (offset, chunk) in stream.pieces() {
            if streams.write_at(to.1, *offset, chunk.clone()).is_ok() {
                self.counters.forwarded_bytes += chunk.len() as u64;
                self.counters.forwarded_pieces += 1;
            }
        }
        if let Some(size) = stream.final_size {
            let _ = streams.finish_at(to.1, size);
        }
        stream.listeners.push(to);
    }

    /// A subscriber will not get a stream that it had no credit for.
    pub(super) fn give_up_waiting(&mut self, peer: PeerId, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(&key)
            && stream.stop_waiting(peer)
        {
            self.counters.shed_streams += 1;
        }
        self.settle(key);
    }

    /// When too much is kept for those without credit, the oldest of it goes.
    pub(super) fn bound_kept(&mut self) {
        while self.kept > self.config.max_kept {
            let mut keeping = self.streams.iter().filter(|(_, it)| it.kept() > 0);
            let Some(key) = keeping.next().map(|(key, _)| *key) else {
                return;
            };
            if let Some(stream) = self.streams.get_mut(&key) {
                self.counters.shed_streams += stream.waiting.len() as u64;
                stream.waiting.clear();
            }
            self.settle(key);
        }
    }

    /// Counts what waits for a subscriber, and gives its oldest streams up when that is too much.
    pub(super) fn shed(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let limit = self.config.max_pending;
        let (Some(subscriber), Some(streams)) =
            (self.subscribers.get_mut(&peer), cx.net.streams(peer))
        else {
            return;
        };
        let unacked = |id: &StreamId| (*id, streams.unacked_bytes(*id));
        let waiting: Vec<(StreamId, u64)> = subscriber.outgoing.keys().map(unacked).collect();
        let mut pending: u64 = waiting.iter().map(|(_, bytes)| bytes).sum();
        if pending <= limit {
            return;
        }
        let mut given_up = Vec::new();
        for (id, bytes) in waiting.into_iter().filter(|(_, bytes)| *bytes > 0) {
            if pending <= limit / 2 {
                break;
            }
            pending -= bytes;
            let _ = streams.reset(id, code::TOO_SLOW);
            given_up.push(id);
        }
        for id in given_up {
            self.counters.shed_streams += 1;
            self.on_stopped(peer, id);
        }
    }
}
