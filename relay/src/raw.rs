//! The raw protocol: every stream and datagram of a publisher goes to every subscriber. No RFC; this is
//! its definition.
//!
//! A client says in ALPN what it is: [`PUBLISHER`] or [`SUBSCRIBER`]. There is one channel: whatever any
//! publisher sends goes to all subscribers, and what the bytes mean is theirs to know.
//!
//! - A unidirectional stream of a publisher becomes one unidirectional stream to each subscriber that is
//!   there when its first bytes come: the same bytes at the same offsets, passed on as they come, in any
//!   order; the same end; a reset with the same code. Stream IDs are those that are next on each connection.
//! - A DATAGRAM frame goes to each subscriber, unchanged, once; where there is no room for it, not at all.
//! - A subscriber that comes late begins with the next stream.
//! - A subscriber that is too slow, or allows too few streams, loses whole streams, the oldest first:
//!   they are reset with [`code::TOO_SLOW`], or never opened. Others feel nothing of it.
//! - What a publisher that is gone has not finished is reset with [`code::PUBLISHER_GONE`].
//! - Nothing else is carried: bidirectional streams, and streams of subscribers, are stopped with
//!   [`code::NOT_CARRIED`], which also shows a subscriber that it is known; its datagrams are dropped.
//!
//! [`RawRelay`] is sans-IO and acts through a [`Network`](crate::serve::Network), as the MOQT relay does;
//! what it tells another forwarder, such as the kernel, is in `raw/offloading.rs`.
//! Promise: no peer can make it panic or hold more than [`RawConfig`] allows.

mod backlog;
mod offloading;
mod stream;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use quic_lite::stream::{Chunk, ReadChunk, StreamEvent};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::stream_id::{Dir, StreamId};

use crate::limits;
use crate::serve::{Context, Counters};
use crate::track::{PeerId, StreamKey};
use backlog::Subscriber;
use offloading::{Opened, carried, end, has_sent, open, tell_begun};
use stream::Stream;

/// The ALPN of a publisher.
pub const PUBLISHER: &[u8] = b"qr-raw-pub";
/// The ALPN of a subscriber.
pub const SUBSCRIBER: &[u8] = b"qr-raw-sub";

/// Application error codes.
pub mod code {
    /// Nothing is wrong: the connection is closed because it is over.
    pub const NONE: u64 = 0;
    /// The publisher left before the end of the stream.
    pub const PUBLISHER_GONE: u64 = 1;
    /// The subscriber does not keep up.
    pub const TOO_SLOW: u64 = 2;
    /// Such streams are not carried.
    pub const NOT_CARRIED: u64 = 3;
    /// There are too many publishers already.
    pub const TOO_MANY: u64 = 4;
    /// The relay asks for tokens, and this protocol has no place for one.
    pub const UNAUTHORIZED: u64 = 5;
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends to all subscribers.
    Publisher,
    /// It takes what all publishers send.
    Subscriber,
}

impl Role {
    /// What a client with this ALPN is; `None` when it does not speak this protocol.
    pub fn from_alpn(alpn: &[u8]) -> Option<Self> {
        match alpn {
            PUBLISHER => Some(Self::Publisher),
            SUBSCRIBER => Some(Self::Subscriber),
            _ => None,
        }
    }
}

/// What the raw relay may use.
#[derive(Clone, Debug)]
pub struct RawConfig {
    /// Bytes that may wait for one subscriber before its oldest streams are given up.
    pub max_pending: u64,
    /// Bytes kept, for all together, of streams that a subscriber has no stream credit for.
    pub max_kept: u64,
    /// Streams that may wait for the stream credit of one subscriber.
    pub max_blocked: usize,
    /// Publishers at a time.
    pub max_publishers: usize,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            max_pending: limits::PENDING,
            max_kept: limits::RAW_KEPT,
            max_blocked: limits::RAW_BLOCKED_STREAMS,
            max_publishers: limits::RAW_PUBLISHERS,
        }
    }
}

/// The raw relay.
#[derive(Debug)]
pub struct RawRelay {
    config: RawConfig,
    publishers: HashMap<PeerId, Publisher>,
    subscribers: HashMap<PeerId, Subscriber>,
    /// Those that are not over, and those that somebody waits for; oldest first.
    streams: BTreeMap<StreamKey, Stream>,
    next_id: u64,
    /// What it costs to keep bytes in `streams`.
    kept: u64,
    counters: Counters,
}

/// A publisher.
#[derive(Debug)]
struct Publisher {
    /// Its number, for another forwarder.
    number: u64,
    /// Its streams that are not over.
    streams: BTreeMap<StreamId, StreamKey>,
}

impl RawRelay {
    /// A relay without peers.
    pub fn new(config: RawConfig) -> Self {
        Self {
            config,
            publishers: HashMap::new(),
            subscribers: HashMap::new(),
            streams: BTreeMap::new(),
            next_id: 0,
            kept: 0,
            counters: Counters::default(),
        }
    }

    /// What was done so far, and what there is now. Each publisher counts as a track.
    pub fn counters(&self) -> Counters {
        Counters {
            peers: (self.publishers.len() + self.subscribers.len()) as u64,
            tracks: self.publishers.len() as u64,
            subscriptions: self.subscribers.len() as u64,
            cache_bytes: self.kept,
            ..self.counters
        }
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.publishers.is_empty() && self.subscribers.is_empty()
    }

    /// What a peer is; `None` when it is none of ours.
    pub fn role(&self, peer: PeerId) -> Option<Role> {
        if self.subscribers.contains_key(&peer) {
            return Some(Role::Subscriber);
        }
        self.publishers
            .contains_key(&peer)
            .then_some(Role::Publisher)
    }

    /// A connection is established.
    pub fn on_connected(&mut self, cx: &mut Context<'_>, peer: PeerId, role: Role) {
        let number = self.new_id();
        match role {
            Role::Publisher if self.publishers.len() >= self.config.max_publishers => {
                cx.net
                    .close(cx.now, peer, code::TOO_MANY, "too many publishers");
            }
            Role::Publisher => {
                let streams = BTreeMap::new();
                self.publishers.insert(peer, Publisher { number, streams });
                self.tell_publisher(cx, peer);
            }
            Role::Subscriber => {
                self.subscribers.insert(peer, Subscriber::new(number));
                self.tell_subscriber(cx, peer);
            }
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Something happened to a stream of a connection.
    pub fn on_stream_event(&mut self, cx: &mut Context<'_>, peer: PeerId, event: StreamEvent) {
        let Some(role) = self.role(peer) else {
            return;
        };
        match (role, event) {
            (Role::Publisher, StreamEvent::Readable(id)) if id.dir() == Dir::Uni => {
                self.on_readable(cx, peer, id);
            }
            (Role::Publisher, StreamEvent::Opened(id)) if id.dir() == Dir::Uni => {}
            (_, StreamEvent::Opened(id)) => refuse(cx, peer, id),
            (Role::Subscriber, StreamEvent::Finished(id)) => drop(self.let_go(peer, id)),
            (Role::Subscriber, StreamEvent::Stopped { id, .. }) => self.on_stopped(peer, id),
            (Role::Subscriber, StreamEvent::Available(Dir::Uni)) => self.open_blocked(cx, peer),
            _ => {}
        }
    }

    /// A datagram came in this packet.
    pub fn on_datagram(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        (packet, datagram): (PacketNumber, &Chunk),
    ) {
        let Some(publisher) = self.publishers.get(&peer) else {
            return;
        };
        let len = datagram.len() as u64;
        self.counters.received_datagrams += 1;
        self.counters.received_bytes += len;
        if let Some(everybody) = carried(cx, publisher, packet) {
            self.counters.forwarded_datagrams += everybody;
            self.counters.forwarded_bytes += everybody * len;
            return;
        }
        for subscriber in self.subscribers.keys() {
            let is_sent = has_sent(cx, publisher, packet, *subscriber);
            if is_sent || cx.net.send_datagram(*subscriber, datagram.clone()) {
                self.counters.forwarded_datagrams += 1;
                self.counters.forwarded_bytes += len;
            } else {
                self.counters.dropped_datagrams += 1;
            }
        }
    }

    /// A connection is over.
    pub fn on_closed(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        self.untell(cx, peer);
        if let Some(publisher) = self.publishers.remove(&peer) {
            for key in publisher.streams.into_values() {
                self.on_reset(cx, key, code::PUBLISHER_GONE);
            }
        }
        if let Some(subscriber) = self.subscribers.remove(&peer) {
            subscriber.streams().for_each(|key| self.leave(key, peer));
        }
    }

    /// A subscriber gets nothing of a stream any more.
    fn leave(&mut self, key: StreamKey, peer: PeerId) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.forget(peer);
        }
        self.settle(key);
    }

    /// Ends all connections.
    pub fn shut_down(&mut self, cx: &mut Context<'_>) {
        let peers = self.publishers.keys().chain(self.subscribers.keys());
        let peers: Vec<PeerId> = peers.copied().collect();
        for peer in peers {
            cx.net.close(cx.now, peer, code::NONE, "going away");
            self.on_closed(cx, peer);
        }
    }

    /// Bytes, the end or a reset on a publisher's stream.
    fn on_readable(&mut self, cx: &mut Context<'_>, peer: PeerId, id: StreamId) {
        let known = self
            .publishers
            .get(&peer)
            .and_then(|publisher| publisher.streams.get(&id));
        let key = match known {
            Some(key) => *key,
            None if is_there(cx, peer, id) => self.begin(cx, peer, id),
            None => return,
        };
        let size = cx
            .net
            .streams(peer)
            .and_then(|streams| streams.final_size(id));
        let is_over = loop {
            let read = cx
                .net
                .streams(peer)
                .map(|streams| streams.read_unordered(id));
            match read {
                Some(Ok(ReadChunk::Chunk { offset, chunk })) => {
                    self.on_piece(cx, key, offset, &chunk);
                }
                Some(Ok(ReadChunk::Reset(code))) => {
                    self.forget_source(peer, id);
                    return self.on_reset(cx, key, code);
                }
                Some(Ok(ReadChunk::Finished) | Err(_)) => break true,
                Some(Ok(ReadChunk::Blocked)) | None => break false,
            }
        };
        if let Some(size) = size {
            self.on_end(cx, key, size);
        }
        if is_over {
            self.forget_source(peer, id);
            end(cx, (peer, id));
            if let Some(stream) = self.streams.get_mut(&key) {
                stream.is_over = true;
            }
            self.settle(key);
        }
    }

    /// The first bytes of a stream: each subscriber gets one for it, now or when it may.
    fn begin(&mut self, cx: &mut Context<'_>, peer: PeerId, id: StreamId) -> StreamKey {
        let key = StreamKey(self.new_id());
        let mut stream = Stream::new((peer, id));
        if let Some(publisher) = self.publishers.get_mut(&peer) {
            publisher.streams.insert(id, key);
            tell_begun(cx, publisher, stream.source);
        }
        let mut given_up = Vec::new();
        for (to, subscriber) in &mut self.subscribers {
            match open(cx, stream.source, *to, subscriber.has_blocked()) {
                Opened::Now(id) => {
                    subscriber.opened(id, key);
                    stream.listeners.push((*to, id));
                    self.counters.forwarded_streams += 1;
                }
                Opened::Over => self.counters.forwarded_streams += 1,
                Opened::Not => {
                    stream.waiting.push(*to);
                    let old = subscriber.block(key, self.config.max_blocked);
                    given_up.extend(old.map(|old| (*to, old)));
                }
            }
        }
        self.streams.insert(key, stream);
        self.counters.received_streams += 1;
        for (peer, old) in given_up {
            self.give_up_waiting(peer, old);
        }
        key
    }

    fn forget_source(&mut self, peer: PeerId, id: StreamId) {
        if let Some(publisher) = self.publishers.get_mut(&peer) {
            publisher.streams.remove(&id);
        }
    }

    fn on_piece(&mut self, cx: &mut Context<'_>, key: StreamKey, offset: u64, chunk: &Chunk) {
        let len = chunk.len() as u64;
        self.counters.received_bytes += len;
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if !stream.waiting.is_empty() {
            self.kept += stream.keep(offset, chunk.clone());
        }
        let mut over = Vec::new();
        for (peer, id) in &stream.listeners {
            let Some(streams) = cx.net.streams(*peer) else {
                continue;
            };
            if streams.write_at(*id, offset, chunk.clone()).is_err() {
                continue;
            }
            self.counters.forwarded_bytes += len;
            self.counters.forwarded_pieces += 1;
            let subscriber = self.subscribers.get_mut(peer);
            if subscriber.is_some_and(|it| it.wrote(len, self.config.max_pending)) {
                over.push(*peer);
            }
        }
        for peer in over {
            self.shed(cx, peer);
        }
        self.bound_kept();
    }

    /// The size of a stream is known; holes are filled as they come.
    fn on_end(&mut self, cx: &mut Context<'_>, key: StreamKey, size: u64) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if stream.final_size.replace(size).is_some() {
            return;
        }
        for (peer, id) in &stream.listeners {
            if let Some(streams) = cx.net.streams(*peer) {
                let _ = streams.finish_at(*id, size);
            }
        }
    }

    /// A stream is given up by its publisher.
    fn on_reset(&mut self, cx: &mut Context<'_>, key: StreamKey, code: u64) {
        let Some(stream) = self.streams.remove(&key) else {
            return;
        };
        self.kept -= stream.kept();
        end(cx, stream.source);
        for (peer, id) in stream.listeners {
            if let Some(streams) = cx.net.streams(peer) {
                let _ = streams.reset(id, code);
            }
            if let Some(subscriber) = self.subscribers.get_mut(&peer) {
                subscriber.closed(id);
            }
        }
    }

    /// Frees what nobody needs of a stream any more.
    fn settle(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if stream.waiting.is_empty() {
            self.kept -= stream.drop_kept();
            if stream.is_over {
                self.streams.remove(&key);
            }
        }
    }
}

/// Stops a stream that is not carried.
fn refuse(cx: &mut Context<'_>, peer: PeerId, id: StreamId) {
    if let Some(streams) = cx.net.streams(peer) {
        let _ = streams.stop_sending(id, code::NOT_CARRIED);
        let _ = streams.reset(id, code::NOT_CARRIED);
    }
}

/// Whether a stream has something to say: what is said of it may come after its end.
fn is_there(cx: &mut Context<'_>, peer: PeerId, id: StreamId) -> bool {
    cx.net
        .streams(peer)
        .is_some_and(|streams| streams.recv_state(id).is_some())
}
