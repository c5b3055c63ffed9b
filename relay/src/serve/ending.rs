//! How tracks end: publishers refuse, fall silent, say goodbye or vanish, or nobody cares; and how all
//! sessions do. MOQT draft §3.5, §10.11.

use core::time::Duration;

use super::timers::Timer;
use super::{Context, Relay};
use crate::moqt::message::{PublishDone, RequestError};
use crate::moqt::{CloseCode, DoneCode, MoqtError, RequestErrorCode};
use crate::session::RequestId;
use crate::track::{Done, PeerId, Track, TrackId, Upstream};

impl Relay {
    /// A publisher has refused our SUBSCRIBE; of a track that it brings, only an update, which changes nothing.
    pub(super) fn on_upstream_refused(
        &mut self,
        cx: &mut Context<'_>,
        from: (PeerId, RequestId),
        id: TrackId,
        error: &RequestError,
    ) {
        let track = self.tracks.get(&id);
        if track.is_some_and(|track| track.is_live() && track.upstream.request() == Some(from)) {
            return;
        }
        if let Some(entry) = self.peers.get_mut(&from.0) {
            entry.tasks.remove(&from.1);
        }
        self.with(cx, from.0, |session, streams| {
            session.finish(streams, from.1)
        });
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        if track.successor == Some(from) {
            track.successor = None;
            return;
        }
        if track.upstream.request() == Some(from) {
            self.on_asked_in_vain(cx, id, from.0, error.clone());
        }
    }

    /// A publisher does not answer.
    pub(super) fn on_asked_timeout(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        if let Some(successor) = track.successor.take() {
            self.cancel_upstream(cx, successor);
        } else if let Upstream::Pending { peer, request } = track.upstream {
            self.cancel_upstream(cx, (peer, request));
            let code = RequestErrorCode::TIMEOUT;
            let error = RequestError::new(code, "the publisher does not answer");
            self.on_asked_in_vain(cx, id, peer, error);
        }
    }

    /// A publisher will not bring a track; another one may.
    fn on_asked_in_vain(
        &mut self,
        cx: &mut Context<'_>,
        id: TrackId,
        peer: PeerId,
        error: RequestError,
    ) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        track.upstream = Upstream::None;
        track.refused_by.push(peer);
        let final_answer = error.code != RequestErrorCode::DOES_NOT_EXIST;
        track.refusal = Some(error.clone());
        self.timers.stop(&Timer::Asked(id));
        self.seek(cx, id);
        let still_none = |track: &Track| matches!(track.upstream, Upstream::None);
        if final_answer && self.tracks.get(&id).is_some_and(still_none) {
            self.refuse_waiting(cx, id, &error);
            self.drop_if_unwanted(id);
        }
    }

    /// The publisher will open no more streams.
    pub(super) fn on_publish_done(
        &mut self,
        cx: &mut Context<'_>,
        from: (PeerId, RequestId),
        id: TrackId,
        done: PublishDone,
    ) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        if track.successor == Some(from) {
            track.successor = None;
        }
        let Upstream::Live(live) = &mut track.upstream else {
            return;
        };
        if (live.peer, live.request) != from {
            return;
        }
        let PublishDone {
            status,
            stream_count,
            reason,
        } = done;
        live.done = Some(Done {
            status,
            stream_count,
            heard: cx.now,
            reason,
        });
        let wait = self.patience_after_done(id);
        self.timers.set(Timer::Done(id), cx.now + wait);
        self.check_done(cx, id);
    }

    /// How long the streams that PUBLISH_DONE counted may be silent. Datagrams nobody counts; they are
    /// only a little late.
    fn patience_after_done(&self, id: TrackId) -> Duration {
        let is_counted = |track: &Track| {
            let has_streams = matches!(&track.upstream, Upstream::Live(live)
                if live.done.as_ref().is_some_and(|done| done.stream_count > 0));
            has_streams && !track.has_datagrams
        };
        match self.tracks.get(&id).is_some_and(is_counted) {
            true => self.config.done_timeout,
            false => self.config.done_timeout / 16,
        }
    }

    /// The streams of an ended track have been silent, or bytes of them still come.
    pub(super) fn on_done_timeout(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let wait = self.patience_after_done(id);
        let silent_at = match self.tracks.get(&id).map(|track| &track.upstream) {
            Some(Upstream::Live(live)) => live.done.as_ref().map(|done| done.heard + wait),
            _ => None,
        };
        match silent_at.filter(|at| *at > cx.now) {
            Some(at) => self.timers.set(Timer::Done(id), at),
            None => self.end_track(cx, id),
        }
    }

    /// Whether the publisher of a track has sent PUBLISH_DONE on this request.
    pub(super) fn is_done(&self, id: TrackId, from: (PeerId, RequestId)) -> bool {
        let upstream = self.tracks.get(&id).map(|track| &track.upstream);
        matches!(upstream, Some(Upstream::Live(live)) if (live.peer, live.request) == from && live.done.is_some())
    }

    /// Whether all streams that PUBLISH_DONE counted are over (draft §10.11).
    pub(super) fn check_done(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let Upstream::Live(live) = &track.upstream else {
            return;
        };
        let all_here = live
            .done
            .as_ref()
            .is_some_and(|done| live.streams >= done.stream_count && live.open.is_empty());
        if all_here && !track.may_have_datagrams() {
            self.end_track(cx, id);
        }
    }

    /// Passes PUBLISH_DONE on.
    pub(super) fn end_track(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let Upstream::Live(live) = &track.upstream else {
            return;
        };
        let Some(done) = live.done.clone() else {
            return;
        };
        self.finish_track(cx, id, done.status, &done.reason);
    }

    /// The request that brought a track is over: by the publisher's will, or with its connection.
    pub(super) fn on_upstream_ended(
        &mut self,
        cx: &mut Context<'_>,
        from: (PeerId, RequestId),
        id: TrackId,
    ) {
        self.unpublish_offer(cx, from);
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        if track.successor == Some(from) {
            track.successor = None;
            return;
        }
        if track.upstream.request() != Some(from) {
            return;
        }
        let goodbye = matches!(&track.upstream, Upstream::Live(live) if live.done.is_some());
        if goodbye {
            self.end_track(cx, id);
            return;
        }
        self.sever(cx, id);
        self.timers.stop(&Timer::Asked(id));
        self.timers
            .set(Timer::Lost(id), cx.now + self.config.publisher_grace);
        // Another publisher may be there already.
        self.seek_again(cx, id);
    }

    fn seek_again(&mut self, cx: &mut Context<'_>, id: TrackId) {
        if self.tracks.get(&id).is_some_and(Track::is_unwanted) {
            self.drop_if_unwanted(id);
            return;
        }
        self.seek(cx, id);
    }

    /// No publisher has come back in time.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>, id: TrackId) {
        if self.tracks.get(&id).is_some_and(|track| !track.is_live()) {
            self.finish_track(cx, id, DoneCode::TRACK_ENDED, "the publisher is gone");
        }
    }

    /// Ends a track for all its subscribers.
    pub(super) fn finish_track(
        &mut self,
        cx: &mut Context<'_>,
        id: TrackId,
        status: DoneCode,
        reason: &str,
    ) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        let subscriptions = track.subscriptions.clone();
        let from = track.upstream.request();
        let successor = track.successor.take();
        self.sever(cx, id);
        for subscription in subscriptions {
            self.end_subscription(cx, subscription, Some((status, reason)));
        }
        for (peer, request) in from.into_iter().chain(successor) {
            if let Some(entry) = self.peers.get_mut(&peer) {
                entry.tasks.remove(&request);
            }
            self.unpublish_offer(cx, (peer, request));
            self.with(cx, peer, |session, streams| {
                session.finish(streams, request)
            });
        }
        self.timers.stop(&Timer::Done(id));
        self.timers.stop(&Timer::Lost(id));
        self.progress_fetches(cx, id);
        self.drop_if_unwanted(id);
        self.seek(cx, id);
    }

    /// Nobody has taken a track for a while.
    pub(super) fn on_linger_timeout(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let offered = matches!(&track.upstream, Upstream::Live(live) if live.offered);
        if offered || !track.is_unwanted() {
            return;
        }
        if let Some(from) = track.upstream.request() {
            self.cancel_upstream(cx, from);
        }
        self.sever(cx, id);
        self.drop_if_unwanted(id);
    }

    /// Forgets a track that has neither a publisher nor anybody who wants it.
    pub(super) fn drop_if_unwanted(&mut self, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        if !track.is_unwanted() || !matches!(track.upstream, Upstream::None) {
            return;
        }
        self.evict_all(id);
        if let Some(track) = self.tracks.remove(&id) {
            self.by_name.remove(&track.key);
        }
        for timer in [
            Timer::Waiting(id),
            Timer::Asked(id),
            Timer::Done(id),
            Timer::Lost(id),
        ] {
            self.timers.stop(&timer);
        }
        self.timers.stop(&Timer::Linger(id));
        self.timers.stop(&Timer::Fetch(id));
    }

    /// Asks every peer to go elsewhere, and closes what is left after `timeout` (draft §3.5).
    pub fn shut_down(&mut self, cx: &mut Context<'_>, timeout: Duration) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        for peer in peers {
            self.with(cx, peer, |session, streams| {
                session.go_away(streams, &[], millis)
            });
        }
        self.timers.set(Timer::Shutdown, cx.now + timeout);
    }

    pub(super) fn close_all(&mut self, cx: &mut Context<'_>) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.fail(
                cx,
                peer,
                MoqtError::new(CloseCode::GOAWAY_TIMEOUT, "going away"),
            );
        }
    }
}
