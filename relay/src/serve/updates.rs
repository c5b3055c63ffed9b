//! REQUEST_UPDATE (draft §10.9): what a request asks for changes while it lives.

use super::peer::Task;
use super::{Context, Relay};
use crate::forward::Window;
use crate::moqt::message::RequestOk;
use crate::moqt::{Location, Message, Parameters, Properties, ResetCode};
use crate::session::RequestId;
use crate::track::{PeerId, SubscriptionId, TrackId, Upstream};

impl Relay {
    /// A REQUEST_UPDATE (draft §10.9).
    pub(super) fn on_update(
        &mut self,
        cx: &mut Context<'_>,
        (peer, id): (PeerId, RequestId),
        task: Option<Task>,
        parameters: Parameters,
    ) {
        if !self.admit_update(cx, (peer, id), task.as_ref(), &parameters) {
            return;
        }
        let largest = match task {
            Some(Task::Subscription(subscription)) => {
                self.update_subscription(cx, subscription, &parameters)
            }
            Some(Task::NamespaceWatch | Task::TracksWatch) => {
                self.update_watch(cx, (peer, id), parameters);
                return;
            }
            // Draft §10.8, §10.13: the answer to the request itself comes first.
            Some(Task::Waiting(track)) => {
                self.update_waiting(track, (peer, id), &parameters);
                return;
            }
            Some(Task::Fetch(track)) => {
                self.update_fetch(track, (peer, id), &parameters);
                return;
            }
            _ => None,
        };
        let parameters = Parameters {
            expires: self.expires_in(cx.now, (peer, id)),
            largest_object: largest,
            ..Parameters::default()
        };
        let ok = Message::RequestOk(RequestOk {
            parameters,
            properties: Properties::default(),
        });
        self.send(cx, peer, id, &ok);
    }

    /// Answers the updates that came before their request was answered.
    pub(super) fn answer_updates(
        &mut self,
        cx: &mut Context<'_>,
        (peer, id): (PeerId, RequestId),
        updates: u32,
    ) {
        let ok = Message::RequestOk(RequestOk::default());
        for _ in 0..updates {
            if !self.send(cx, peer, id, &ok) {
                return;
            }
        }
    }

    fn update_waiting(
        &mut self,
        track: TrackId,
        from: (PeerId, RequestId),
        parameters: &Parameters,
    ) {
        let mut waiting = self
            .tracks
            .get_mut(&track)
            .into_iter()
            .flat_map(|track| track.waiting.iter_mut());
        let Some(found) = waiting.find(|it| (it.peer, it.request) == from) else {
            return;
        };
        found.updates = found.updates.saturating_add(1);
        if let Some(asked) = &mut found.subscribe {
            merge(asked, parameters);
        }
    }

    fn update_fetch(&mut self, track: TrackId, from: (PeerId, RequestId), parameters: &Parameters) {
        let mut jobs = self
            .tracks
            .get_mut(&track)
            .into_iter()
            .flat_map(|track| track.fetches.iter_mut());
        if let Some(job) = jobs.find(|it| (it.peer, it.request) == from) {
            job.updates = job.updates.saturating_add(1);
            job.priority = parameters.subscriber_priority.unwrap_or(job.priority);
        }
    }

    fn update_subscription(
        &mut self,
        cx: &mut Context<'_>,
        id: SubscriptionId,
        parameters: &Parameters,
    ) -> Option<Location> {
        let subscription = self.subscriptions.get_mut(&id)?;
        let track = self.tracks.get(&subscription.track)?;
        let (track_id, largest) = (subscription.track, track.largest);
        let before = subscription.forward;
        merge(&mut subscription.parameters, parameters);
        subscription.timeouts = track.timeouts(&subscription.parameters);
        subscription.priority = parameters
            .subscriber_priority
            .unwrap_or(subscription.priority);
        if let Some(filter) = parameters.subscription_filter {
            subscription.filter = Some(filter);
            subscription.window = Window::new(Some(filter), largest);
        }
        subscription.forward = parameters.forward.unwrap_or(before);
        match (before, subscription.forward) {
            (false, true) => {
                // Draft §5.1: this is where it joins; an unfiltered one gets the latest group, too.
                subscription.joined_at = largest;
                subscription.window = Window::new(subscription.filter, largest);
                if subscription.accepted {
                    self.attach(cx, id);
                }
            }
            // Draft §11.4.3: streams that miss objects are reset.
            (true, false) => self.drop_streams(cx, id, ResetCode::CANCELLED),
            _ => self.drop_unwanted(cx, id),
        }
        self.tell_served(cx, id);
        if let Some(wish) = parameters.new_group_request {
            self.wish_group(cx, track_id, wish);
        }
        largest
    }

    /// Gives up streams of groups that a new filter leaves out (draft §11.4.3).
    fn drop_unwanted(&mut self, cx: &mut Context<'_>, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let (peer, window) = (subscription.peer, subscription.window);
        let Some(Upstream::Live(live)) =
            self.tracks.get(&subscription.track).map(|it| &it.upstream)
        else {
            return;
        };
        let mut unwanted = Vec::new();
        for key in &live.open {
            let Some(stream) = self.streams.get_mut(key) else {
                continue;
            };
            if window
                .first_object(stream.store.header().group_id)
                .is_none()
            {
                let of_it = stream.audience.iter().filter(|it| it.subscription == id);
                unwanted.extend(of_it.filter_map(|listener| listener.stream));
                stream.audience.retain(|it| it.subscription != id);
            }
        }
        for stream in unwanted {
            self.give_stream_up(cx, peer, stream, ResetCode::CANCELLED);
        }
    }
}

/// Draft §10.9: what an update does not mention stays as it is.
fn merge(into: &mut Parameters, update: &Parameters) {
    into.object_delivery_timeout = update
        .object_delivery_timeout
        .or(into.object_delivery_timeout);
    into.subgroup_delivery_timeout = update
        .subgroup_delivery_timeout
        .or(into.subgroup_delivery_timeout);
    into.forward = update.forward.or(into.forward);
    into.subscriber_priority = update.subscriber_priority.or(into.subscriber_priority);
    into.subscription_filter = update.subscription_filter.or(into.subscription_filter);
    into.new_group_request = update.new_group_request.or(into.new_group_request);
}
