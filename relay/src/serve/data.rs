//! Objects from publishers: streams and datagrams in, to every subscriber out (draft §11).

use core::mem;

use quic_lite::stream::Chunk;
use quic_lite::wire::stream_id::StreamId;

use super::deliver::Delivery;
use super::peer::Task;
use super::{Context, Relay};
use crate::cache::{StoredDatagram, StreamStore};
use crate::forward::{News, Route, forward};
use crate::moqt::datagram::ObjectDatagram;
use crate::moqt::scanner::Scanned;
use crate::moqt::subgroup::patch_alias;
use crate::moqt::{DoneCode, Location, MoqtError, ResetCode, SubgroupHeader};
use crate::session::{Data, RequestId};
use crate::track::{Listener, PeerId, Stream, StreamKey, TrackId, Upstream};

impl Relay {
    /// A subgroup stream of a track we take begins.
    pub(super) fn on_subgroup(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        (stream, request): (StreamId, RequestId),
        (header, header_len): (SubgroupHeader, u64),
    ) {
        let Some(track_id) = self.upstream_track(peer, request) else {
            // The subscription ended, or was refused; what comes is not wanted.
            self.with(cx, peer, |session, streams| {
                session.stop(streams, stream, ResetCode::CANCELLED)
            });
            return;
        };
        let key = StreamKey(self.new_id());
        let store = StreamStore::new(header, header_len);
        let audience = self.audience(track_id, header.group_id);
        let kept = Stream {
            track: track_id,
            source: (peer, stream),
            store,
            audience,
        };
        self.streams.insert(key, Box::new(kept));
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.incoming.insert(stream, key);
        }
        if let Some(track) = self.tracks.get_mut(&track_id)
            && let Upstream::Live(live) = &mut track.upstream
        {
            live.streams += 1;
            live.open.insert(key);
        }
        self.counters.received_streams += 1;
        self.keep_stream(track_id, header.group_id, key);
        if let Some(offload) = cx.net.offload() {
            offload.begin(track_id, (peer, stream));
        }
        self.on_readable(cx, peer, stream);
    }

    /// The track that a request of or to this peer brings here.
    fn upstream_track(&self, peer: PeerId, request: RequestId) -> Option<TrackId> {
        let Some(Task::Upstream(id)) = self.peers.get(&peer)?.tasks.get(&request) else {
            return None;
        };
        match &self.tracks.get(id)?.upstream {
            Upstream::Live(live) if live.peer == peer && live.request == request => Some(*id),
            _ => None,
        }
    }

    /// Who is to get a new stream of this group.
    fn audience(&self, track: TrackId, group: u64) -> Vec<Listener> {
        let Some(track) = self.tracks.get(&track) else {
            return Vec::new();
        };
        let listen = |id: &_| {
            let subscription = self
                .subscriptions
                .get(id)
                .filter(|it| it.forward && it.accepted)?;
            let object = subscription.window.first_object(group)?;
            Some(Listener {
                subscription: *id,
                peer: subscription.peer,
                alias: subscription.alias,
                route: Route::Joining { object },
                stream: None,
            })
        };
        track.subscriptions.iter().filter_map(listen).collect()
    }

    /// Bytes, the end or a reset on a publisher's stream.
    pub(super) fn on_readable(&mut self, cx: &mut Context<'_>, peer: PeerId, id: StreamId) {
        let Some(key) = self
            .peers
            .get(&peer)
            .and_then(|peer| peer.incoming.get(&id))
            .copied()
        else {
            // Not ours any more: nothing of it is wanted.
            self.with(cx, peer, |session, streams| {
                session.stop(streams, id, ResetCode::CANCELLED)
            });
            return;
        };
        let size = cx
            .net
            .streams(peer)
            .and_then(|streams| streams.final_size(id));
        let news = self.streams.get_mut(&key).and_then(|stream| {
            let size = size.filter(|_| stream.store.final_size().is_none())?;
            stream.store.finish(cx.now, size);
            Some(size)
        });
        match self.read_pieces(cx, peer, (id, key)) {
            Ok(None) => {}
            Ok(Some(code)) => {
                self.on_source_reset(cx, key, code);
                return;
            }
            Err(error) => {
                self.on_malformed(cx, peer, key, error);
                return;
            }
        }
        if let Some(size) = news {
            self.announce(cx, key, News::End(size));
        }
        self.settle_source(cx, peer, key);
    }

    /// Reads what is there; the publisher's code when it has reset the stream.
    fn read_pieces(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        (id, key): (StreamId, StreamKey),
    ) -> Result<Option<u64>, MoqtError> {
        loop {
            let read = self.with(cx, peer, |session, streams| session.read(streams, id));
            match read {
                Some(Data::Chunk { offset, chunk }) => self.on_piece(cx, key, offset, &chunk)?,
                Some(Data::Reset(code)) => return Ok(Some(code)),
                Some(Data::Blocked | Data::Finished) | None => return Ok(None),
            }
        }
    }

    fn on_piece(
        &mut self,
        cx: &mut Context<'_>,
        key: StreamKey,
        offset: u64,
        chunk: &Chunk,
    ) -> Result<(), MoqtError> {
        let Some(stream) = self.streams.get_mut(&key) else {
            return Ok(());
        };
        let (track, group) = (stream.track, stream.store.header().group_id);
        let before = stream.store.cost();
        let mut seen = Vec::new();
        stream
            .store
            .insert(cx.now, offset, chunk.clone(), &mut seen)?;
        let after = stream.store.cost();
        self.counters.received_bytes += chunk.len() as u64;
        self.on_progress(cx, track, group, &seen);
        self.announce(cx, key, News::Bytes { offset, chunk });
        self.kept(track, group, before, after);
        Ok(())
    }

    /// Bytes of a group came, and began or ended these objects.
    fn on_progress(&mut self, cx: &Context<'_>, track: TrackId, group: u64, seen: &[Scanned]) {
        let Some(track) = self.tracks.get_mut(&track) else {
            return;
        };
        if let Upstream::Live(live) = &mut track.upstream
            && let Some(done) = &mut live.done
        {
            done.heard = cx.now;
        }
        for scanned in seen {
            match scanned {
                // Draft §5.1.2: the first byte of an object counts.
                Scanned::Started(span) => track.saw(Location::new(group, span.id)),
                Scanned::Status(span, 4) => track.ended_at = Some(Location::new(group, span.id)),
                _ => {}
            }
        }
    }

    /// Passes news of a stream on to everybody who gets it.
    fn announce(&mut self, cx: &mut Context<'_>, key: StreamKey, news: News<'_>) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let mut sends = mem::take(&mut self.sends);
        let mut delivery = Delivery {
            cx,
            peers: &mut self.peers,
            subscriptions: &mut self.subscriptions,
            counters: &mut self.counters,
            default_priority: self
                .tracks
                .get(&stream.track)
                .map_or(128, |it| it.properties.default_priority()),
            over: Vec::new(),
            max_pending: self.config.max_pending,
            timers: &mut self.timers,
        };
        let store = &stream.store;
        for listener in &mut stream.audience {
            forward(&mut listener.route, listener.alias, store, news, &mut sends);
            let of = (stream.track, stream.source, store);
            delivery.deliver(key, of, listener, &mut sends);
        }
        stream
            .audience
            .retain(|listener| listener.route != Route::Closed);
        let over = mem::take(&mut delivery.over);
        self.sends = sends;
        for peer in over {
            self.shed(cx, peer);
        }
    }

    /// Looks whether a stream, and with it its track, is over.
    fn settle_source(&mut self, cx: &mut Context<'_>, peer: PeerId, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let track = stream.track;
        if stream.store.ends_badly() {
            let error = MoqtError::violation("stream ends inside an object");
            self.on_malformed(cx, peer, key, error);
            return;
        }
        if stream.store.is_over() {
            // With room for each subscriber it would cost more than what is kept of the stream.
            stream.audience = Vec::new();
            let source = stream.source;
            if let Some(entry) = self.peers.get_mut(&source.0) {
                entry.incoming.remove(&source.1);
            }
            if let Some(offload) = cx.net.offload() {
                offload.end(source);
            }
            self.source_over(track, key);
        }
        self.progress_fetches(cx, track);
        self.check_done(cx, track);
    }

    fn source_over(&mut self, track: TrackId, key: StreamKey) {
        if let Some(entry) = self.tracks.get_mut(&track)
            && let Upstream::Live(live) = &mut entry.upstream
        {
            live.open.remove(&key);
        }
        self.forget_unkept(track, key);
    }

    /// The publisher has given a stream up.
    fn on_source_reset(&mut self, cx: &mut Context<'_>, key: StreamKey, code: u64) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let peer = stream.source.0;
        stream.store.reset(code);
        self.announce(cx, key, News::Reset(code));
        self.settle_source(cx, peer, key);
    }

    /// The publisher of a stream is gone or replaced.
    pub(super) fn on_source_lost(&mut self, cx: &mut Context<'_>, key: StreamKey) {
        let Some(stream) = self.streams.get(&key) else {
            return;
        };
        if stream.store.is_over() {
            self.source_over(stream.track, key);
        } else {
            self.on_source_reset(cx, key, ResetCode::CANCELLED.0);
        }
    }

    /// Draft §9.4: what broke a rule is not passed on; what was passed on is taken back.
    fn on_malformed(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        key: StreamKey,
        error: MoqtError,
    ) {
        let track = self.streams.get(&key).map(|stream| stream.track);
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.store.reset(ResetCode::MALFORMED_TRACK.0);
        }
        self.announce(cx, key, News::Reset(ResetCode::MALFORMED_TRACK.0));
        if let Some(track) = track {
            self.finish_track(cx, track, DoneCode::MALFORMED_TRACK, "malformed track");
        }
        self.fail(cx, peer, error);
    }

    /// An object in a datagram.
    pub(super) fn on_object(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        request: RequestId,
        datagram: &Chunk,
    ) {
        let (Some(id), Ok(Some(object))) = (
            self.upstream_track(peer, request),
            ObjectDatagram::parse_all(datagram),
        ) else {
            return;
        };
        self.counters.received_datagrams += 1;
        self.counters.received_bytes += datagram.len() as u64;
        let location = object.location;
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        track.saw(location);
        track.has_datagrams = true;
        match Self::carried(self.arriving, cx, id) {
            Some(everybody) => {
                self.counters.forwarded_datagrams += everybody;
                self.counters.forwarded_bytes += everybody * datagram.len() as u64;
            }
            None => self.forward_object(cx, id, datagram, &object),
        }
        self.keep_datagram(
            id,
            StoredDatagram {
                location,
                bytes: datagram.clone(),
                since: cx.now,
            },
        );
        self.progress_fetches(cx, id);
    }

    /// A datagram, to each who has not got it.
    fn forward_object(
        &mut self,
        cx: &mut Context<'_>,
        id: TrackId,
        datagram: &Chunk,
        object: &ObjectDatagram<'_>,
    ) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        for subscription in &track.subscriptions {
            let Some(subscription) = self.subscriptions.get(subscription) else {
                continue;
            };
            if !subscription.forward
                || !subscription.accepted
                || !subscription.window.contains(object.location)
            {
                continue;
            }
            let copy = with_alias(datagram, object, subscription.alias);
            let len = copy.len() as u64;
            let is_sent = Self::has_sent(self.arriving, cx, id, subscription.peer);
            if is_sent || cx.net.send_datagram(subscription.peer, copy) {
                self.counters.forwarded_datagrams += 1;
                self.counters.forwarded_bytes += len;
            } else {
                self.counters.dropped_datagrams += 1;
            }
        }
    }
}

/// The datagram as a subscriber gets it: the same bytes, unless it knows the track by another alias.
fn with_alias(datagram: &Chunk, object: &ObjectDatagram<'_>, alias: u64) -> Chunk {
    if object.track_alias == alias {
        return datagram.clone();
    }
    let mut copy = datagram.to_vec();
    if !patch_alias(&mut copy, alias) {
        copy.clear();
        ObjectDatagram {
            track_alias: alias,
            ..*object
        }
        .encode(&mut copy);
    }
    Chunk::from(copy)
}
