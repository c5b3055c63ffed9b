//! SUBSCRIBE_TRACKS: the relay offers tracks with PUBLISH of its own (draft §6.1, §9.5, §10.19).

use quic_lite::wire::stream_id::Dir;

use super::namespaces::Watch;
use super::peer::Task;
use super::{Context, Relay};
use crate::forward::Window;
use crate::moqt::message::{NamespaceRequest, Publish, PublishBlocked, RequestOk};
use crate::moqt::{FullTrackName, Message, Parameters};
use crate::session::RequestId;
use crate::track::{PeerId, SubscriptionId, Track, TrackId, Upstream};

impl Relay {
    /// A SUBSCRIBE_TRACKS.
    pub(super) fn on_subscribe_tracks(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        message: NamespaceRequest,
    ) {
        let Some(scope) = self.scope(peer) else {
            return;
        };
        let prefix = message.namespace;
        if self.refuses_overlap(cx, (peer, id), &prefix, true) {
            return;
        }
        let forward = message.parameters.forward.unwrap_or(true);
        self.registry
            .watch_tracks((peer, id), Watch::new(scope, prefix, forward));
        self.task(peer, id, Task::TracksWatch);
        if self.send(cx, peer, id, &Message::RequestOk(RequestOk::default())) {
            self.offer_all(cx, (peer, id));
        }
    }

    /// Offers all tracks that a watch wants and does not have.
    pub(super) fn offer_all(&mut self, cx: &mut Context<'_>, from: (PeerId, RequestId)) {
        let Some((_, watch)) = self
            .registry
            .track_watches()
            .find(|(other, _)| **other == from)
        else {
            return;
        };
        let live = |track: &Track| match &track.upstream {
            Upstream::Live(live) => live.peer != from.0 && live.done.is_none(),
            _ => false,
        };
        let tracks: Vec<TrackId> = self
            .tracks
            .iter()
            .filter(|(_, track)| {
                live(track) && watch.matches(&track.key.scope, &track.key.name.namespace)
            })
            .map(|(id, _)| *id)
            .collect();
        let forward = watch.forward;
        for track in tracks {
            self.offer(cx, from, track, forward);
        }
    }

    /// A track was published: everybody who wants tracks of its namespace gets an offer, but not its
    /// publisher.
    pub(super) fn offer_track(&mut self, cx: &mut Context<'_>, id: TrackId, publisher: PeerId) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let key = &track.key;
        let wanted: Vec<((PeerId, RequestId), bool)> = self
            .registry
            .track_watches()
            .filter(|(from, watch)| {
                from.0 != publisher && watch.matches(&key.scope, &key.name.namespace)
            })
            .map(|(from, watch)| (*from, watch.forward))
            .collect();
        for (from, forward) in wanted {
            self.offer(cx, from, id, forward);
        }
    }

    fn offer(
        &mut self,
        cx: &mut Context<'_>,
        (peer, watch): (PeerId, RequestId),
        id: TrackId,
        forward: bool,
    ) {
        let (Some(track), Some(entry)) = (self.tracks.get(&id), self.peers.get(&peer)) else {
            return;
        };
        let Upstream::Live(live) = &track.upstream else {
            return;
        };
        // Draft §9.5: a SUBSCRIBE of theirs for the same track goes first.
        if entry.subscriptions.contains_key(&id) || track.waiting.iter().any(|it| it.peer == peer) {
            return;
        }
        if cx
            .net
            .streams(peer)
            .is_none_or(|streams| streams.openable(Dir::Bi) == 0)
        {
            self.tell_blocked(cx, (peer, watch), id);
            return;
        }
        let message = Message::Publish(Publish {
            request_id: 0,
            track: track.key.name.clone(),
            track_alias: entry.pick_alias(live.alias),
            parameters: Parameters {
                largest_object: track.largest,
                forward: Some(forward),
                ..Parameters::default()
            },
            properties: track.properties.clone(),
        });
        let Some(Ok(request)) = self.with(cx, peer, |session, streams| {
            session.request(streams, message)
        }) else {
            return;
        };
        let parameters = Parameters {
            forward: Some(forward),
            ..Parameters::default()
        };
        if let Some(subscription) = self.subscribe(peer, request, id, &parameters)
            && let Some(subscription) = self.subscriptions.get_mut(&subscription)
        {
            subscription.accepted = false;
        }
    }

    /// Draft §10.20: there is no stream to offer a track on.
    fn tell_blocked(&mut self, cx: &mut Context<'_>, from: (PeerId, RequestId), id: TrackId) {
        let (Some((_, watch)), Some(track)) = (
            self.registry
                .track_watches()
                .find(|(other, _)| **other == from),
            self.tracks.get(&id),
        ) else {
            return;
        };
        let name = &track.key.name;
        let suffix = name.namespace.suffix_after(&watch.prefix);
        if let Some(track) = suffix.and_then(|suffix| FullTrackName::new(suffix, name.name())) {
            self.send(
                cx,
                from.0,
                from.1,
                &Message::PublishBlocked(PublishBlocked { track }),
            );
        }
    }

    /// A subscriber takes a track it was offered.
    pub(super) fn on_offer_accepted(
        &mut self,
        cx: &mut Context<'_>,
        id: SubscriptionId,
        parameters: &Parameters,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&id).filter(|it| !it.accepted) else {
            // An answer to an update; we make none downstream.
            return;
        };
        let Some(track) = self.tracks.get(&subscription.track) else {
            return;
        };
        let track_id = subscription.track;
        subscription.accepted = true;
        subscription.parameters = parameters.clone();
        subscription.filter = parameters.subscription_filter;
        subscription.window = Window::new(parameters.subscription_filter, track.largest);
        subscription.timeouts = track.timeouts(parameters);
        subscription.priority = parameters.subscriber_priority.unwrap_or(128);
        subscription.order = parameters.group_order.unwrap_or(subscription.order);
        // Draft §10.2.12: FORWARD that is not mentioned is 1.
        subscription.forward = parameters.forward.unwrap_or(true);
        subscription.joined_at = track.largest.filter(|_| subscription.forward);
        self.attach(cx, id);
        self.tell_served(cx, id);
        if let Some(wish) = parameters.new_group_request {
            self.wish_group(cx, track_id, wish);
        }
    }
}
