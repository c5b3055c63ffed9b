//! How rights end: what rests on a token ends with it. MOQT draft §10.2.2, §10.11; RFC 7519 §4.1.4.
//!
//! One timer of a peer goes off when the first of its tokens is over. Then everything that the peer has
//! under way is looked at once more. What no token allows any longer is stopped at once, also where bytes
//! wait for the subscriber or for the kernel, and the peer hears why. A peer without any token may show
//! another one for a while, and is closed after that.

use quic_lite::Time;
use quic_lite::wire::stream_id::StreamId;

use super::peer::Task;
use super::timers::Timer;
use super::{Context, Relay};
use crate::access::{Denied, NEVER};
use crate::moqt::{DoneCode, MoqtError, ResetCode};
use crate::session::RequestId;
use crate::track::{PeerId, StreamKey, TrackId};

/// Why a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No token allows it any more.
    Over,
    /// A REQUEST_UPDATE was refused.
    Update,
}

impl Relay {
    /// A right of a peer may be over; or it is to be seen when the first one will be.
    pub(super) fn on_rights_timeout(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let (Some(unix), Some(entry)) = (self.access.unix(cx.now), self.peers.get_mut(&peer))
        else {
            return;
        };
        if self.access.is_open() {
            return;
        }
        let tasks = &entry.tasks;
        entry.rights.prune(unix, |id| tasks.contains_key(&id));
        let mut tasks: Vec<(RequestId, Task)> =
            tasks.iter().map(|(id, task)| (*id, task.clone())).collect();
        // What others rest on goes first.
        tasks.sort_unstable_by_key(|(id, task)| (rank(task), *id));
        let mut has_lost = false;
        for (id, task) in tasks {
            let still = self.peers.get(&peer);
            let is_there = still.is_some_and(|entry| entry.tasks.contains_key(&id));
            if is_there && !self.may_go_on(unix, (peer, id), &task) {
                has_lost = true;
                self.revoke(cx, (peer, id), task, Why::Over);
            }
        }
        self.stop_fetched(cx, unix, peer);
        if has_lost && let Some(offload) = cx.net.offload() {
            offload.leave(peer);
        }
        self.watch_rights(cx, peer);
    }

    /// Sets the timer for the first right of a peer that ends, or for the end of its patience.
    pub(super) fn watch_rights(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            return;
        };
        if let Some(at) = entry.rights.next_end() {
            entry.rights.bare_since = None;
            match at {
                NEVER => self.timers.stop(&Timer::Rights(peer)),
                at => self
                    .timers
                    .set(Timer::Rights(peer), self.access.time_at(at)),
            }
            return;
        }
        let since = *entry.rights.bare_since.get_or_insert(cx.now);
        let had_some = entry.rights.had_some();
        let at = since + self.config.bare_timeout;
        if at > cx.now {
            self.timers.set(Timer::Rights(peer), at);
            return;
        }
        let denied = match had_some {
            true => Denied::Expired,
            false => Denied::Missing,
        };
        self.tell_refused(peer, "a session without tokens", denied);
        let error = MoqtError::new(denied.close_code(), denied.reason());
        self.fail(cx, peer, error);
    }

    /// How long a request is allowed from now on, in milliseconds (draft §10.2.10); `None`: nobody knows.
    pub(super) fn expires_in(&self, now: Time, from: (PeerId, RequestId)) -> Option<u64> {
        let unix = self.access.unix(now).filter(|_| self.asks_for_tokens())?;
        let entry = self.peers.get(&from.0)?;
        let (action, name) = self.rests_on(from, entry.tasks.get(&from.1)?)?;
        let until = entry.rights.until(unix, (action, &name), from.1, &[]);
        let left = until.filter(|until| *until != NEVER)?.saturating_sub(unix);
        Some((left / 1000).max(1))
    }

    /// Whether a request is still allowed, by tokens or by another request that is.
    fn may_go_on(&self, unix: u64, from: (PeerId, RequestId), task: &Task) -> bool {
        let Some(entry) = self.peers.get(&from.0) else {
            return false;
        };
        if matches!(task, Task::NamespaceSource) {
            return true;
        }
        let Some((action, name)) = self.rests_on(from, task) else {
            return false;
        };
        let allowed = entry.rights.until(unix, (action, &name), from.1, &[]);
        allowed.is_some() || self.is_covered(from, task)
    }

    /// Whether a request came of another one of the same peer, which goes on: a subscription of a
    /// SUBSCRIBE_TRACKS, a track of a PUBLISH_NAMESPACE, a FETCH of a subscription.
    fn is_covered(&self, (peer, id): (PeerId, RequestId), task: &Task) -> bool {
        let Some(entry) = self.peers.get(&peer) else {
            return false;
        };
        let is_theirs = entry.session.is_peers(id);
        let name = |track: &TrackId| self.tracks.get(track).map(|track| &track.key.name);
        match task {
            Task::Fetch(track) => entry.subscriptions.contains_key(track),
            Task::Upstream(track) if !is_theirs => entry.tasks.values().any(|other| {
                matches!((other, name(track)), (Task::Namespace(prefix), Some(name))
                    if prefix.is_prefix_of(&name.namespace))
            }),
            Task::Subscription(subscription) if !is_theirs => {
                let subscription = self.subscriptions.get(subscription);
                let name = subscription.and_then(|it| name(&it.track));
                entry.tasks.iter().any(|(id, other)| {
                    let prefix = self.registry.prefix((peer, *id));
                    matches!((other, prefix, name), (Task::TracksWatch, Some(prefix), Some(name))
                        if prefix.is_prefix_of(&name.namespace))
                })
            }
            _ => false,
        }
    }

    /// Ends a request of a peer.
    pub(super) fn revoke(
        &mut self,
        cx: &mut Context<'_>,
        from: (PeerId, RequestId),
        task: Task,
        why: Why,
    ) {
        let (peer, id) = from;
        let is_answered = !matches!(task, Task::Waiting(_) | Task::Fetch(_));
        match task {
            Task::Subscription(subscription) => {
                let (code, reason) = match why {
                    Why::Over => (DoneCode::UNAUTHORIZED, Denied::Expired.reason()),
                    Why::Update => (DoneCode::UPDATE_FAILED, "the update was refused"),
                };
                let track = self.subscriptions.get(&subscription).map(|it| it.track);
                if let Some(track) = track {
                    self.stop_sending(cx, peer, |of| of == track);
                }
                self.end_subscription(cx, subscription, Some((code, reason)));
                return;
            }
            Task::Waiting(track) => self.stop_waiting(track, peer, id),
            Task::Fetch(track) => self.stop_fetching(track, peer, id),
            Task::Upstream(track) => {
                self.stop_taking(cx, peer, track);
                self.end_request(cx, from, why);
                self.on_upstream_ended(cx, from, track);
                return;
            }
            Task::Namespace(namespace) => self.withdraw(cx, from, &namespace),
            Task::NamespaceWatch => self.registry.unwatch_namespaces(peer, id),
            Task::TracksWatch => self.registry.unwatch_tracks(peer, id),
            Task::NamespaceSource => {}
        }
        if is_answered || why == Why::Update {
            self.end_request(cx, from, why);
        } else {
            let code = Denied::Expired.request_code();
            self.refuse(cx, peer, id, code, Denied::Expired.reason());
        }
    }

    /// Ends a request: both ways at once, or after what was just said on it.
    fn end_request(&mut self, cx: &mut Context<'_>, (peer, id): (PeerId, RequestId), why: Why) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.tasks.remove(&id);
        }
        self.with(cx, peer, |session, streams| match why {
            Why::Over => session.cancel(streams, id, ResetCode::EXPIRED_AUTH_TOKEN),
            Why::Update => session.finish(streams, id),
        });
    }

    /// Takes nothing more of a track from a peer; what came of streams that are not over is taken back.
    fn stop_taking(&mut self, cx: &mut Context<'_>, peer: PeerId, track: TrackId) {
        let Some(entry) = self.peers.get(&peer) else {
            return;
        };
        let of_track = |key: &StreamKey| self.streams.get(key).is_some_and(|it| it.track == track);
        let incoming: Vec<(StreamId, StreamKey)> = entry
            .incoming
            .iter()
            .filter(|(_, key)| of_track(key))
            .map(|(id, key)| (*id, *key))
            .collect();
        for (stream, key) in incoming {
            self.on_source_lost(cx, key);
            if let Some(entry) = self.peers.get_mut(&peer) {
                entry.incoming.remove(&stream);
            }
            self.with(cx, peer, |session, streams| {
                session.stop(streams, stream, ResetCode::EXPIRED_AUTH_TOKEN)
            });
        }
    }

    /// Answers to FETCHes that are still on their way, of tracks that a peer may not have any more.
    fn stop_fetched(&mut self, cx: &mut Context<'_>, unix: u64, peer: PeerId) {
        let Some(entry) = self.peers.get(&peer) else {
            return;
        };
        let fetched = entry.outgoing.values().filter(|out| out.source.is_none());
        let mut tracks: Vec<TrackId> = fetched.map(|out| out.track).collect();
        tracks.sort_unstable();
        tracks.dedup();
        // A request that nobody has: what it brought itself is gone with it.
        let none = RequestId(u64::MAX);
        tracks.retain(|track| !self.may_go_on(unix, (peer, none), &Task::Fetch(*track)));
        self.stop_sending(cx, peer, |of| tracks.contains(&of));
    }

    /// Resets all streams to a peer that carry these tracks.
    fn stop_sending(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        is_meant: impl Fn(TrackId) -> bool,
    ) {
        let outgoing = self
            .peers
            .get(&peer)
            .into_iter()
            .flat_map(|it| &it.outgoing);
        let streams: Vec<StreamId> = outgoing
            .filter(|(_, out)| is_meant(out.track))
            .map(|(id, _)| *id)
            .collect();
        for stream in streams {
            self.give_stream_up(cx, peer, stream, ResetCode::EXPIRED_AUTH_TOKEN);
        }
    }
}

/// What may have come of another request of the same peer is looked at after it.
const fn rank(task: &Task) -> u8 {
    match task {
        Task::Upstream(_) | Task::Subscription(_) => 1,
        Task::Fetch(_) => 2,
        _ => 0,
    }
}
