//! Where tracks come from: publishers are found, asked, replaced and missed (draft §9.5).
//!
//! One publisher at a time feeds a track: the newest that offers it. A publisher that comes back, or
//! another one for the same name, takes over, and the subscribers stay.

use std::collections::HashSet;

use super::dial::Above;
use super::peer::Task;
use super::timers::Timer;
use super::{Context, Relay};
use crate::forward::Window;
use crate::moqt::message::{Publish, RequestError, RequestOk, Subscribe, SubscribeOk};
use crate::moqt::{
    Filter, Location, Message, Namespace, Parameters, Properties, RequestErrorCode, ResetCode,
};
use crate::session::RequestId;
use crate::track::{LiveUpstream, PeerId, Scope, StreamKey, Track, TrackId, TrackKey, Upstream};

impl Relay {
    /// The track of this name; a new one without a publisher when there is none.
    pub(super) fn track_of(&mut self, key: &TrackKey) -> Option<TrackId> {
        if let Some(id) = self.by_name.get(key) {
            return Some(*id);
        }
        if self.tracks.len() >= self.config.max_tracks {
            return None;
        }
        let id = TrackId(self.new_id());
        self.by_name.insert(key.clone(), id);
        self.tracks
            .insert(id, Track::new(key.clone(), Properties::default()));
        Some(id)
    }

    /// Looks for a publisher of a track that somebody waits for, one after the other.
    pub(super) fn seek(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self
            .tracks
            .get(&id)
            .filter(|track| matches!(track.upstream, Upstream::None))
        else {
            return;
        };
        let key = track.key.clone();
        let mut untried = self.registry.publishers(&key);
        untried.retain(|peer| !track.refused_by.contains(peer));
        for peer in untried {
            if self.ask(cx, id, peer, &key) {
                return;
            }
        }
        match self.above(cx, &key.scope) {
            Above::Ready(peer) if !self.was_refused(id, peer) && self.ask(cx, id, peer, &key) => {}
            Above::Connecting => self.wait_for_above(cx, id),
            _ => self.on_waiting_timeout(cx, id),
        }
    }

    fn was_refused(&self, id: TrackId, peer: PeerId) -> bool {
        self.tracks
            .get(&id)
            .is_some_and(|track| track.refused_by.contains(&peer))
    }

    /// Sends a SUBSCRIBE: everything from now on (draft §9.2: the filters of subscribers are ours to apply).
    fn ask(&mut self, cx: &mut Context<'_>, id: TrackId, peer: PeerId, key: &TrackKey) -> bool {
        let Some(track) = self.tracks.get(&id) else {
            return false;
        };
        // Only a relay can wait for a publisher to appear (draft §10.2.6).
        let patience = track.patience(cx.now).filter(|_| self.is_above(peer));
        let parameters = Parameters {
            new_group_request: track.wished_group(),
            rendezvous_timeout: patience.map(|left| left.as_millis() as u64),
            ..Parameters::default()
        };
        let message = Message::Subscribe(Subscribe {
            request_id: 0,
            track: key.name.clone(),
            parameters,
        });
        let asked = self.with(cx, peer, |session, streams| {
            session.request(streams, message)
        });
        let Some(Ok(request)) = asked else {
            return false;
        };
        self.task(peer, request, Task::Upstream(id));
        if let Some(track) = self.tracks.get_mut(&id) {
            match track.upstream {
                Upstream::None => track.upstream = Upstream::Pending { peer, request },
                _ => track.successor = Some((peer, request)),
            }
        }
        let wait = self.config.ask_timeout + patience.unwrap_or_default();
        self.timers.set(Timer::Asked(id), cx.now + wait);
        true
    }

    /// A publisher has appeared for a namespace: it gets the subscriptions that are open or waiting.
    pub(super) fn on_publisher(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        scope: &Scope,
        namespace: &Namespace,
    ) {
        let covered =
            |key: &TrackKey| key.scope == *scope && namespace.is_prefix_of(&key.name.namespace);
        let tracks: Vec<(TrackKey, TrackId)> = self
            .by_name
            .iter()
            .filter(|(key, _)| covered(key))
            .map(|(key, id)| (key.clone(), *id))
            .collect();
        for (key, id) in tracks {
            self.reconsider(cx, (id, &key), peer);
        }
    }

    /// Whether a publisher that has just appeared should bring a track.
    fn reconsider(&mut self, cx: &mut Context<'_>, (id, key): (TrackId, &TrackKey), peer: PeerId) {
        let is_above = self.is_above(peer);
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        track.refused_by.retain(|refused| *refused != peer);
        let from_above = track
            .upstream
            .request()
            .map(|from| self.dials.is_dialed(from.0));
        match (&track.upstream, from_above) {
            (Upstream::None, _) => self.seek(cx, id),
            // What is published here goes before what the relay above may find.
            (
                Upstream::Pending {
                    peer: asked,
                    request,
                },
                Some(true),
            ) if !is_above => {
                let stale = (*asked, *request);
                track.upstream = Upstream::None;
                self.cancel_upstream(cx, stale);
                self.seek(cx, id);
            }
            (Upstream::Live(live), from_above)
                if live.peer != peer
                    && !live.offered
                    && track.successor.is_none()
                    && (from_above == Some(true) || !is_above) =>
            {
                self.ask(cx, id, peer, key);
            }
            _ => {}
        }
    }

    /// A publisher has accepted our SUBSCRIBE.
    pub(super) fn on_subscribe_ok(
        &mut self,
        cx: &mut Context<'_>,
        from: (PeerId, RequestId),
        id: TrackId,
        ok: SubscribeOk,
    ) {
        if ok.properties.mandatory().is_some() {
            // Draft §2.5.1: a track that needs what we do not understand is not passed on.
            self.cancel_upstream(cx, from);
            let error = RequestError::new(
                RequestErrorCode::UNSUPPORTED_EXTENSION,
                "mandatory track property",
            );
            self.refuse_waiting(cx, id, &error);
            self.on_upstream_ended(cx, from, id);
            return;
        }
        self.timers.stop(&Timer::Asked(id));
        let live = LiveUpstream {
            peer: from.0,
            request: from.1,
            offered: false,
            alias: ok.track_alias,
            streams: 0,
            open: HashSet::new(),
            done: None,
        };
        self.take_over(cx, id, live, ok.properties, ok.parameters.largest_object);
    }

    /// A publisher offers a track (draft §9.5).
    pub(super) fn on_publish(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        request: RequestId,
        message: Publish,
    ) {
        let (key, id) = match self.check_offer(peer, &message) {
            Ok(found) => found,
            Err((code, reason)) => {
                self.refuse(cx, peer, request, code, reason);
                return;
            }
        };
        // Draft §9.2: objects are wanted whatever the subscribers of the moment say; the next one then
        // finds the latest group here.
        self.task(peer, request, Task::Upstream(id));
        let parameters = Parameters {
            expires: self.expires_in(cx.now, (peer, request)),
            forward: Some(true),
            ..Parameters::default()
        };
        let ok = Message::RequestOk(RequestOk {
            parameters,
            properties: Properties::default(),
        });
        if !self.send(cx, peer, request, &ok) {
            return;
        }
        let live = LiveUpstream {
            peer,
            request,
            offered: true,
            alias: message.track_alias,
            streams: 0,
            open: HashSet::new(),
            done: None,
        };
        self.take_over(
            cx,
            id,
            live,
            message.properties,
            message.parameters.largest_object,
        );
        self.registry.offer(&key, peer, request);
        self.tell_namespace(cx, &key.scope, &key.name.namespace);
        self.offer_track(cx, id, peer);
    }

    /// The track that a PUBLISH is about, if it can be taken.
    fn check_offer(
        &mut self,
        peer: PeerId,
        message: &Publish,
    ) -> Result<(TrackKey, TrackId), (RequestErrorCode, &'static str)> {
        let not_found = (RequestErrorCode::DOES_NOT_EXIST, "reserved namespace");
        let scope = self.scope(peer).ok_or(not_found)?;
        if message.track.namespace.is_reserved() {
            return Err(not_found);
        }
        if message.properties.mandatory().is_some() {
            // Draft §2.5.1: a track that needs what we do not understand is not passed on.
            let code = RequestErrorCode::UNSUPPORTED_EXTENSION;
            return Err((code, "mandatory track property"));
        }
        let name = message.track.clone();
        let key = TrackKey { scope, name };
        let busy = (RequestErrorCode::EXCESSIVE_LOAD, "too many tracks");
        let id = self.track_of(&key).ok_or(busy)?;
        match self.tracks.get(&id).map(|track| &track.upstream) {
            Some(Upstream::Live(live)) if live.peer == peer && live.done.is_none() => {
                let code = RequestErrorCode::DUPLICATE_SUBSCRIPTION;
                Err((code, "already published"))
            }
            _ => Ok((key, id)),
        }
    }

    /// A publisher begins to feed a track, perhaps in place of another.
    fn take_over(
        &mut self,
        cx: &mut Context<'_>,
        id: TrackId,
        live: LiveUpstream,
        properties: Properties,
        largest: Option<Location>,
    ) {
        let new = (live.peer, live.request);
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        let old = core::mem::replace(&mut track.upstream, Upstream::Live(live)).request();
        let successor = track.successor.take().filter(|it| *it != new);
        let restarted = !track.groups.is_empty() || track.largest.is_some();
        track.properties = properties;
        track.largest = largest;
        track.ended_at = None;
        track.refused_by.clear();
        track.refusal = None;
        self.timers.stop(&Timer::Lost(id));
        for stale in old.into_iter().chain(successor).filter(|it| *it != new) {
            self.cancel_upstream(cx, stale);
        }
        if restarted {
            self.drop_sources(cx, id, new.0);
            self.evict_all(id);
            self.reopen_windows(id);
        }
        self.tell_fed(cx, id);
        self.serve_waiting(cx, id);
        self.timers.stop(&Timer::Linger(id));
        if self.tracks.get(&id).is_some_and(Track::is_unwanted) {
            self.timers
                .set(Timer::Linger(id), cx.now + self.config.linger);
        }
    }

    /// Streams of the publisher before end here.
    fn drop_sources(&mut self, cx: &mut Context<'_>, id: TrackId, except: PeerId) {
        let stale: Vec<StreamKey> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.track == id && stream.source.0 != except)
            .map(|(key, _)| *key)
            .collect();
        for key in stale {
            let Some(source) = self.streams.get(&key).map(|stream| stream.source) else {
                continue;
            };
            self.on_source_lost(cx, key);
            if let Some(entry) = self.peers.get_mut(&source.0) {
                entry.incoming.remove(&source.1);
            }
        }
    }

    /// A new publisher may count groups from the start: filters that were relative to the old one's
    /// progress would shut it out.
    fn reopen_windows(&mut self, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        for subscription in &track.subscriptions {
            if let Some(subscription) = self.subscriptions.get_mut(subscription)
                && matches!(
                    subscription.filter,
                    Some(Filter::NextGroupStart | Filter::LargestObject)
                )
            {
                subscription.window = Window::new(None, None);
            }
        }
    }

    /// Ends a subscription of ours without a word to anybody else.
    pub(super) fn cancel_upstream(
        &mut self,
        cx: &mut Context<'_>,
        (peer, request): (PeerId, RequestId),
    ) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.tasks.remove(&request);
        }
        self.unpublish_offer(cx, (peer, request));
        self.with(cx, peer, |session, streams| {
            session.cancel(streams, request, ResetCode::CANCELLED)
        });
    }

    /// A subscriber wishes for a new group; the wish goes upstream if it is not there yet (draft §10.2.13).
    pub(super) fn wish_group(&mut self, cx: &mut Context<'_>, id: TrackId, wish: u64) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        let dynamic = track
            .properties
            .int(crate::moqt::key_value::key::DYNAMIC_GROUPS)
            == Some(1);
        let known = track
            .largest
            .is_some_and(|largest| wish != 0 && wish <= largest.group);
        let asked = track.new_group_asked.is_some_and(|asked| asked >= wish);
        let Upstream::Live(live) = &track.upstream else {
            return;
        };
        if !dynamic || known || asked {
            return;
        }
        track.new_group_asked = Some(wish);
        let (peer, request) = (live.peer, live.request);
        let parameters = Parameters {
            new_group_request: Some(wish),
            ..Parameters::default()
        };
        self.with(cx, peer, |session, streams| {
            session.update(streams, request, parameters)
        });
    }
}
