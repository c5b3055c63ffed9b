//! Subscribers: SUBSCRIBE, TRACK_STATUS, REQUEST_UPDATE and the end of subscriptions (draft §5.1, §9.4).

use quic_lite::Time;

use super::peer::Task;
use super::timers::Timer;
use super::{Context, Relay};
use crate::forward::Window;
use crate::moqt::message::{PublishDone, RequestError, RequestOk, Subscribe, SubscribeOk};
use crate::moqt::{
    DoneCode, Filter, GroupOrder, Message, Parameters, RequestErrorCode, ResetCode, key_value,
};
use crate::session::RequestId;
use crate::track::{
    PeerId, Subscription, SubscriptionId, Track, TrackId, TrackKey, Upstream, Waiting,
};

impl Relay {
    /// A SUBSCRIBE.
    pub(super) fn on_subscribe(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        message: Subscribe,
    ) {
        let rendezvous = message.parameters.rendezvous_timeout;
        self.wait_for(
            cx,
            (peer, id),
            message.track,
            Some(message.parameters),
            rendezvous,
        );
    }

    /// A TRACK_STATUS: as a SUBSCRIBE, but nothing follows the answer (draft §10.14).
    pub(super) fn on_track_status(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        message: Subscribe,
    ) {
        self.wait_for(cx, (peer, id), message.track, None, None);
    }

    fn wait_for(
        &mut self,
        cx: &mut Context<'_>,
        (peer, request): (PeerId, RequestId),
        name: crate::moqt::FullTrackName,
        subscribe: Option<Parameters>,
        rendezvous_ms: Option<u64>,
    ) {
        let Some(scope) = self.scope(peer) else {
            return;
        };
        if name.namespace.is_reserved() {
            // Draft §3.1.5, §3.1.6: session-level tracks are not for others, and we have none.
            self.refuse(
                cx,
                peer,
                request,
                RequestErrorCode::DOES_NOT_EXIST,
                "no such track",
            );
            return;
        }
        let Some(track_id) = self.track_of(&TrackKey { scope, name }) else {
            self.refuse(
                cx,
                peer,
                request,
                RequestErrorCode::EXCESSIVE_LOAD,
                "too many tracks",
            );
            return;
        };
        if subscribe.is_some() && self.is_subscribed(peer, track_id) {
            self.refuse(
                cx,
                peer,
                request,
                RequestErrorCode::DUPLICATE_SUBSCRIPTION,
                "already subscribed",
            );
            return;
        }
        let until = self.may_wait_until(cx.now, track_id, rendezvous_ms);
        self.task(peer, request, Task::Waiting(track_id));
        if let Some(track) = self.tracks.get_mut(&track_id) {
            track.waiting.push(Waiting {
                peer,
                request,
                subscribe,
                until,
                updates: 0,
            });
        }
        if self.tracks.get(&track_id).is_some_and(Track::is_live) {
            self.serve_waiting(cx, track_id);
        } else {
            self.seek(cx, track_id);
        }
    }

    fn is_subscribed(&self, peer: PeerId, track: TrackId) -> bool {
        let taking = self
            .peers
            .get(&peer)
            .is_some_and(|peer| peer.subscriptions.contains_key(&track));
        let waits = |it: &Waiting| it.peer == peer && it.subscribe.is_some();
        taking
            || self
                .tracks
                .get(&track)
                .is_some_and(|track| track.waiting.iter().any(waits))
    }

    /// Until when a request may wait for a publisher to appear (draft §10.2.6).
    fn may_wait_until(
        &self,
        now: Time,
        track: TrackId,
        rendezvous_ms: Option<u64>,
    ) -> Option<Time> {
        let asked = core::time::Duration::from_millis(rendezvous_ms.unwrap_or(0))
            .min(self.config.max_rendezvous);
        // A publisher that was lost a moment ago is likely to come back.
        let grace = if self.timers.is_set(&Timer::Lost(track)) {
            self.config.publisher_grace
        } else {
            asked
        };
        let wait = asked.max(grace);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// A track has come: who waits for it is answered.
    pub(super) fn serve_waiting(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        let waiting = core::mem::take(&mut track.waiting);
        self.timers.stop(&Timer::Waiting(id));
        for waiting in waiting {
            if let Some(entry) = self.peers.get_mut(&waiting.peer) {
                entry.tasks.remove(&waiting.request);
            }
            match &waiting.subscribe {
                Some(parameters) => self.establish(cx, id, &waiting, parameters),
                None => self.answer_status(cx, id, &waiting),
            }
        }
    }

    fn answer_status(&mut self, cx: &mut Context<'_>, id: TrackId, waiting: &Waiting) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let parameters = Parameters {
            largest_object: track.largest,
            ..Parameters::default()
        };
        let ok = Message::RequestOk(RequestOk {
            parameters,
            properties: track.properties.clone(),
        });
        self.send(cx, waiting.peer, waiting.request, &ok);
        self.with(cx, waiting.peer, |session, streams| {
            session.finish(streams, waiting.request)
        });
        self.linger(cx.now, id);
    }

    /// SUBSCRIBE_OK, and what is kept of the track.
    fn establish(
        &mut self,
        cx: &mut Context<'_>,
        id: TrackId,
        waiting: &Waiting,
        parameters: &Parameters,
    ) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let ended = |end: u64| track.largest.is_some_and(|largest| end < largest.group);
        if let Some(Filter::AbsoluteRange { end_group, .. }) = parameters.subscription_filter
            && ended(end_group)
        {
            // Draft §5.1.2: what was asked for is in the past.
            let code = RequestErrorCode::INVALID_RANGE;
            self.refuse(
                cx,
                waiting.peer,
                waiting.request,
                code,
                "the range has been published",
            );
            return;
        }
        let (properties, largest) = (track.properties.clone(), track.largest);
        let Some(subscription) = self.subscribe(waiting.peer, waiting.request, id, parameters)
        else {
            return;
        };
        let track_alias = self
            .subscriptions
            .get(&subscription)
            .map_or(0, |it| it.alias);
        let parameters = Parameters {
            expires: self.expires_in(cx.now, (waiting.peer, waiting.request)),
            largest_object: largest,
            ..Parameters::default()
        };
        let ok = Message::SubscribeOk(SubscribeOk {
            track_alias,
            parameters,
            properties,
        });
        if self.send(cx, waiting.peer, waiting.request, &ok) {
            self.answer_updates(cx, (waiting.peer, waiting.request), waiting.updates);
            self.attach(cx, subscription);
            self.tell_served(cx, subscription);
            self.after_establishing(cx, subscription);
        }
    }

    /// Makes a subscription; the alias is the publisher's where that is free.
    pub(super) fn subscribe(
        &mut self,
        peer: PeerId,
        request: RequestId,
        track_id: TrackId,
        parameters: &Parameters,
    ) -> Option<SubscriptionId> {
        let id = SubscriptionId(self.new_id());
        let track = self.tracks.get_mut(&track_id)?;
        let Upstream::Live(live) = &track.upstream else {
            return None;
        };
        let entry = self.peers.get_mut(&peer)?;
        let alias = entry.pick_alias(live.alias);
        let forward = parameters.forward.unwrap_or(true);
        let default_order = track
            .properties
            .int(key_value::key::GROUP_ORDER)
            .and_then(GroupOrder::from_number)
            .unwrap_or_default();
        let subscription = Subscription {
            peer,
            request,
            track: track_id,
            alias,
            filter: parameters.subscription_filter,
            window: Window::new(parameters.subscription_filter, track.largest),
            forward,
            accepted: true,
            priority: parameters.subscriber_priority.unwrap_or(128),
            order: parameters.group_order.unwrap_or(default_order),
            timeouts: track.timeouts(parameters),
            parameters: parameters.clone(),
            streams_opened: 0,
            joined_at: track.largest.filter(|_| forward),
        };
        track.subscriptions.push(id);
        entry.aliases.insert(alias, id);
        entry.subscriptions.insert(track_id, id);
        entry.take_up(request, Task::Subscription(id));
        self.subscriptions.insert(id, subscription);
        self.timers.stop(&Timer::Linger(track_id));
        Some(id)
    }

    fn after_establishing(&mut self, cx: &mut Context<'_>, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let (track, wish) = (
            subscription.track,
            subscription.parameters.new_group_request,
        );
        if let Some(wish) = wish {
            self.wish_group(cx, track, wish);
        }
        self.progress_fetches(cx, track);
    }

    /// Refuses everybody who waits for a track.
    pub(super) fn refuse_waiting(
        &mut self,
        cx: &mut Context<'_>,
        id: TrackId,
        error: &RequestError,
    ) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        for waiting in core::mem::take(&mut track.waiting) {
            self.refuse_with(cx, waiting.peer, waiting.request, error.clone());
        }
    }

    /// Refuses those who wait for a publisher and may wait no longer.
    pub(super) fn on_waiting_timeout(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self
            .tracks
            .get_mut(&id)
            .filter(|track| matches!(track.upstream, Upstream::None))
        else {
            return;
        };
        let now = cx.now;
        let (over, rest): (Vec<Waiting>, Vec<Waiting>) = core::mem::take(&mut track.waiting)
            .into_iter()
            .partition(|waiting| waiting.until.is_none_or(|until| until <= now));
        let next = rest.iter().filter_map(|waiting| waiting.until).min();
        track.waiting = rest;
        let refusal = track.refusal.clone();
        for waiting in over {
            // Draft §10.2.6: a wait that was granted and is over ends with TIMEOUT.
            let (code, reason) = match waiting.until {
                Some(_) => (RequestErrorCode::TIMEOUT, "no publisher came"),
                None => (RequestErrorCode::DOES_NOT_EXIST, "not found: no publisher"),
            };
            let ours = RequestError::new(code, reason);
            let error = refusal.clone().filter(|_| waiting.until.is_none());
            self.refuse_with(cx, waiting.peer, waiting.request, error.unwrap_or(ours));
        }
        match next {
            Some(at) => self.timers.set(Timer::Waiting(id), at),
            None => {
                self.timers.stop(&Timer::Waiting(id));
                self.drop_if_unwanted(id);
            }
        }
    }

    pub(super) fn stop_waiting(&mut self, id: TrackId, peer: PeerId, request: RequestId) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track
                .waiting
                .retain(|waiting| (waiting.peer, waiting.request) != (peer, request));
            self.drop_if_unwanted(id);
        }
    }

    /// Ends a subscription: with PUBLISH_DONE when there is a reason, silently when the peer ended it.
    pub(super) fn end_subscription(
        &mut self,
        cx: &mut Context<'_>,
        id: SubscriptionId,
        done: Option<(DoneCode, &str)>,
    ) {
        self.drop_streams(cx, id, ResetCode::CANCELLED);
        let Some(subscription) = self.forget_subscription(cx, id) else {
            return;
        };
        let (peer, request) = (subscription.peer, subscription.request);
        if let Some((status, reason)) = done {
            let stream_count = subscription.streams_opened;
            let message = Message::PublishDone(PublishDone {
                status,
                stream_count,
                reason: reason.into(),
            });
            self.with(cx, peer, |session, streams| {
                session.send(streams, request, &message)
            });
        }
        self.with(cx, peer, |session, streams| {
            session.finish(streams, request)
        });
    }

    /// Takes a subscription out of everything that knows it.
    pub(super) fn forget_subscription(
        &mut self,
        cx: &mut Context<'_>,
        id: SubscriptionId,
    ) -> Option<Subscription> {
        let subscription = self.subscriptions.remove(&id)?;
        if let Some(offload) = cx.net.offload() {
            offload.unserve(subscription.track, id);
        }
        if let Some(entry) = self.peers.get_mut(&subscription.peer) {
            entry.subscriptions.remove(&subscription.track);
            entry.aliases.remove(&subscription.alias);
            entry.tasks.remove(&subscription.request);
            entry.blocked.retain(|(_, of)| *of != id);
        }
        if let Some(track) = self.tracks.get_mut(&subscription.track) {
            track.subscriptions.retain(|other| *other != id);
        }
        self.leave_audiences(subscription.track, id);
        self.linger(cx.now, subscription.track);
        Some(subscription)
    }

    /// A track may have lost its last subscriber.
    pub(super) fn linger(&mut self, now: Time, id: TrackId) {
        let Some(track) = self.tracks.get(&id).filter(|track| track.is_unwanted()) else {
            return;
        };
        match track.upstream {
            Upstream::None => self.drop_if_unwanted(id),
            _ => self.timers.set(Timer::Linger(id), now + self.config.linger),
        }
    }
}
