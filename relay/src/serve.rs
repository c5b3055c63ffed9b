//! The relay: publishers on one side, subscribers on the other, every byte stored once between them. MOQT draft §9.
//!
//! [`Relay`] is sans-IO: it is told what happens on each connection and acts through a [`Network`], which
//! is an endpoint with sockets in the program and a pair of in-memory streams in tests. One upstream
//! subscription per track feeds all its subscribers; what comes in is forwarded as it comes
//! ([`crate::forward`]), kept for those who join late ([`crate::cache`]), and let go when a subscriber
//! is too slow for it. [`server::Server`] binds it to an endpoint.
//!
//! Promise: no peer can make it panic or hold more than [`RelayConfig`] allows; what one subscriber does
//! or fails to do changes nothing for another.

mod admission;
mod config;
mod connections;
mod counters;
mod data;
mod deliver;
mod dial;
mod downstream;
mod ending;
mod fetch;
mod found;
mod keep;
mod namespaces;
mod network;
mod offers;
mod offloading;
mod peer;
mod revocation;
pub mod server;
mod timers;
mod updates;
mod upstream;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use quic_lite::Time;
use quic_lite::stream::{Chunk, StreamEvent, Streams};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::stream_id::{Dir, Side};

pub use config::RelayConfig;
pub use counters::{Counters, Roles};
pub use network::{Context, Network};

use crate::access::Access;
use crate::cache::Ages;
use crate::forward::Send;
use crate::moqt::message::RequestError;
use crate::moqt::{CloseCode, Message, MoqtError, RequestErrorCode, ResetCode, Setup};
use crate::session::{Ended, RequestId, Session, SessionConfig, SessionError, SessionEvent};
use crate::track::{
    PeerId, Scope, Stream, StreamKey, Subscription, SubscriptionId, Track, TrackId, TrackKey,
};
use dial::Dials;
use namespaces::Registry;
use peer::{Peer, Task};
use timers::{Timer, Timers};

/// The relay.
#[derive(Debug)]
pub struct Relay {
    config: RelayConfig,
    access: Access,
    peers: HashMap<PeerId, Peer>,
    tracks: HashMap<TrackId, Track>,
    by_name: HashMap<TrackKey, TrackId>,
    subscriptions: HashMap<SubscriptionId, Subscription>,
    /// Boxed: half of the table may be empty.
    streams: HashMap<StreamKey, Box<Stream>>,
    registry: Registry,
    dials: Dials,
    timers: Timers,
    ages: Ages<(TrackId, u64)>,
    /// What all that is kept costs.
    cost: usize,
    counters: Counters,
    next_id: u64,
    /// The scope of the peer that is being forgotten.
    closing: Option<Scope>,
    /// The packet whose datagram is being read.
    arriving: Option<PacketNumber>,
    /// Reused between pieces.
    sends: Vec<Send>,
}

impl Relay {
    /// A relay without peers.
    pub fn new(config: RelayConfig) -> Self {
        Self {
            access: Access::new(config.auth_key.clone()),
            config,
            peers: HashMap::new(),
            tracks: HashMap::new(),
            by_name: HashMap::new(),
            subscriptions: HashMap::new(),
            streams: HashMap::new(),
            registry: Registry::default(),
            dials: Dials::default(),
            timers: Timers::default(),
            ages: Ages::default(),
            cost: 0,
            counters: Counters::default(),
            next_id: 0,
            closing: None,
            arriving: None,
            sends: Vec::new(),
        }
    }

    /// What was done so far, and what there is now.
    pub fn counters(&self) -> Counters {
        Counters {
            peers: self.peers.len() as u64,
            tracks: self.tracks.len() as u64,
            subscriptions: self.subscriptions.len() as u64,
            cache_bytes: self.cost as u64,
            ..self.counters
        }
    }

    /// A connection is established.
    pub fn on_connected(&mut self, cx: &mut Context<'_>, peer: PeerId, role: Side) {
        let dialed = self.dials.scope_of(peer);
        let setup = match &dialed {
            Some(scope) => self.upstream_setup(scope),
            None => self.own_setup(),
        };
        let config = SessionConfig {
            unordered: true,
            ..SessionConfig::default()
        };
        let session = Session::new(role, setup, config);
        self.peers.insert(peer, Peer::new(session, dialed));
        let started = self.with(cx, peer, Session::start);
        if let Some(Err(error)) = started {
            self.fail(cx, peer, error);
        }
    }

    /// Something happened to a stream of a connection.
    pub fn on_stream_event(&mut self, cx: &mut Context<'_>, peer: PeerId, event: StreamEvent) {
        let now = cx.now;
        let result = self.with(cx, peer, |session, streams| {
            session.on_stream_event(now, streams, event)
        });
        self.after(cx, peer, result);
    }

    /// A datagram came.
    pub fn on_datagram(&mut self, cx: &mut Context<'_>, peer: PeerId, datagram: Chunk) {
        let now = cx.now;
        let result = self.with(cx, peer, |session, streams| {
            session.on_datagram(now, streams, datagram)
        });
        self.after(cx, peer, result);
    }

    /// Acts on what the session made of an event.
    fn after(&mut self, cx: &mut Context<'_>, peer: PeerId, result: Option<Result<(), MoqtError>>) {
        self.pump(cx, peer);
        if let Some(Err(error)) = result {
            self.fail(cx, peer, error);
        }
        if let Some(at) = self
            .peers
            .get(&peer)
            .and_then(|peer| peer.session.next_timeout())
        {
            self.timers.set(Timer::Held(peer), at);
        }
    }

    fn pump(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        while let Some(event) = self
            .peers
            .get_mut(&peer)
            .and_then(|peer| peer.session.poll_event())
        {
            self.on_session_event(cx, peer, event);
        }
    }

    fn on_session_event(&mut self, cx: &mut Context<'_>, peer: PeerId, event: SessionEvent) {
        match event {
            SessionEvent::Ready(setup) => self.on_ready(cx, peer, &setup),
            SessionEvent::Request { id, message } => self.on_request(cx, peer, id, message),
            SessionEvent::Message { id, message } => self.on_message(cx, peer, id, message),
            SessionEvent::Ended { id, how } => self.on_ended(cx, peer, id, how),
            SessionEvent::Subgroup {
                stream,
                request,
                header,
                header_len,
            } => {
                self.on_subgroup(cx, peer, (stream, request), (header, header_len));
            }
            SessionEvent::Fetch { stream, .. } => {
                // We make no FETCH: nothing can be expected here.
                self.with(cx, peer, |session, streams| {
                    session.stop(streams, stream, ResetCode::CANCELLED)
                });
            }
            SessionEvent::Readable(stream) => self.on_readable(cx, peer, stream),
            SessionEvent::Datagram { request, datagram } => {
                self.on_object(cx, peer, request, &datagram)
            }
            SessionEvent::Stream(StreamEvent::Finished(stream)) => self.on_sent(peer, stream),
            SessionEvent::Stream(StreamEvent::Stopped { id, .. }) => self.on_unwanted(cx, peer, id),
            SessionEvent::Stream(StreamEvent::Available(Dir::Uni)) => self.open_blocked(cx, peer),
            SessionEvent::GoAway(_) => self.on_peer_going_away(cx, peer),
            SessionEvent::Stream(_) | SessionEvent::Closed(_) => {}
        }
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, peer: PeerId, setup: &Setup) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            return;
        };
        if let Some(scope) = entry.dialed.clone() {
            entry.scope = scope.clone();
            self.trust(peer);
            self.on_dialed(cx, peer, &scope);
        } else {
            entry.scope = Scope::from(setup.scope());
            self.admit_session(cx, peer, setup);
        }
    }

    fn on_request(&mut self, cx: &mut Context<'_>, peer: PeerId, id: RequestId, message: Message) {
        let open = self.peers.get(&peer).map_or(0, |peer| peer.tasks.len());
        if open >= self.config.max_requests {
            // Draft §13.1: one peer cannot have everything.
            let code = RequestErrorCode::EXCESSIVE_LOAD;
            self.refuse(cx, peer, id, code, "too many requests");
            return;
        }
        if !self.admit(cx, (peer, id), &message) {
            return;
        }
        match message {
            Message::Subscribe(message) => self.on_subscribe(cx, peer, id, message),
            Message::TrackStatus(message) => self.on_track_status(cx, peer, id, message),
            Message::Publish(message) => self.on_publish(cx, peer, id, message),
            Message::Fetch(message) => self.on_fetch(cx, peer, id, message),
            Message::PublishNamespace(message) => self.on_publish_namespace(cx, peer, id, message),
            Message::SubscribeNamespace(message) => {
                self.on_subscribe_namespace(cx, peer, id, message)
            }
            Message::SubscribeTracks(message) => self.on_subscribe_tracks(cx, peer, id, message),
            _ => {
                let code = RequestErrorCode::NOT_SUPPORTED;
                self.refuse(cx, peer, id, code, "not a request");
            }
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, peer: PeerId, id: RequestId, message: Message) {
        let task = self
            .peers
            .get(&peer)
            .and_then(|peer| peer.tasks.get(&id))
            .cloned();
        match (message, task) {
            (Message::SubscribeOk(ok), Some(Task::Upstream(track))) => {
                self.on_subscribe_ok(cx, (peer, id), track, ok);
            }
            (Message::RequestError(error), Some(Task::Upstream(track))) => {
                self.on_upstream_refused(cx, (peer, id), track, &error);
            }
            (Message::PublishDone(done), Some(Task::Upstream(track))) => {
                self.on_publish_done(cx, (peer, id), track, done);
            }
            (Message::RequestOk(ok), Some(Task::Subscription(subscription))) => {
                self.on_offer_accepted(cx, subscription, &ok.parameters);
            }
            (Message::RequestError(_), Some(Task::Subscription(subscription))) => {
                self.end_subscription(cx, subscription, None);
            }
            (Message::RequestUpdate(update), task) => {
                self.on_update(cx, (peer, id), task, update.parameters)
            }
            (Message::Namespace(suffix), Some(Task::NamespaceSource)) => {
                self.on_upstream_namespace(cx, (peer, id), suffix);
            }
            (Message::NamespaceDone(suffix), Some(Task::NamespaceSource)) => {
                self.withdraw(cx, (peer, id), &suffix);
            }
            _ => {}
        }
    }

    /// The peer will say nothing more on a request.
    fn on_ended(&mut self, cx: &mut Context<'_>, peer: PeerId, id: RequestId, how: Ended) {
        let task = self
            .peers
            .get(&peer)
            .and_then(|peer| peer.tasks.get(&id))
            .cloned();
        let cancelled = matches!(how, Ended::Cancelled(_));
        match task {
            // A subscriber that has no updates to send may end its side; that is no cancellation.
            Some(Task::Subscription(_) | Task::Waiting(_) | Task::Fetch(_)) if !cancelled => return,
            Some(Task::Subscription(subscription)) => self.end_subscription(cx, subscription, None),
            Some(Task::Waiting(track)) => self.stop_waiting(track, peer, id),
            Some(Task::Fetch(track)) => self.stop_fetching(track, peer, id),
            // It has said goodbye; its last streams are still on their way.
            Some(Task::Upstream(track)) if !cancelled && self.is_done(track, (peer, id)) => return,
            Some(Task::Upstream(track)) => self.on_upstream_ended(cx, (peer, id), track),
            Some(Task::Namespace(namespace)) => self.withdraw(cx, (peer, id), &namespace),
            Some(Task::NamespaceSource) => self.withdraw_all(cx, (peer, id)),
            Some(Task::NamespaceWatch) => self.registry.unwatch_namespaces(peer, id),
            Some(Task::TracksWatch) => self.registry.unwatch_tracks(peer, id),
            None => {}
        }
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.tasks.remove(&id);
        }
        self.with(cx, peer, |session, streams| session.finish(streams, id));
    }

    /// A connection is over.
    pub fn on_closed(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let Some(entry) = self.peers.remove(&peer) else {
            self.on_dial_lost(cx, peer);
            return;
        };
        self.closing = Some(entry.scope.clone());
        for subscription in entry.subscriptions.values() {
            self.forget_subscription(cx, *subscription);
        }
        for key in entry.incoming.into_values() {
            self.on_source_lost(cx, key);
        }
        for (id, task) in entry.tasks {
            match task {
                Task::Waiting(track) => self.stop_waiting(track, peer, id),
                Task::Fetch(track) => self.stop_fetching(track, peer, id),
                Task::Upstream(track) => self.on_upstream_ended(cx, (peer, id), track),
                Task::Namespace(namespace) => self.withdraw(cx, (peer, id), &namespace),
                Task::NamespaceSource => self.withdraw_all(cx, (peer, id)),
                Task::NamespaceWatch => self.registry.unwatch_namespaces(peer, id),
                Task::TracksWatch => self.registry.unwatch_tracks(peer, id),
                Task::Subscription(_) => {}
            }
        }
        self.closing = None;
        self.timers.stop(&Timer::Held(peer));
        self.timers.stop(&Timer::Delivery(peer));
        self.timers.stop(&Timer::Rights(peer));
        self.on_dial_lost(cx, peer);
    }

    /// Closes a session whose peer broke a rule.
    fn fail(&mut self, cx: &mut Context<'_>, peer: PeerId, error: MoqtError) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.session.fail(error);
        }
        self.counters.violations += u64::from(error.code() != CloseCode::NO_ERROR);
        cx.net.close(cx.now, peer, error.code().0, error.reason);
        self.on_closed(cx, peer);
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// When [`Self::on_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The time is at or after [`Self::next_timeout`].
    pub fn on_timeout(&mut self, cx: &mut Context<'_>) {
        while let Some(timer) = self.timers.pop_due(cx.now) {
            match timer {
                Timer::Held(peer) => self.on_held_timeout(cx, peer),
                Timer::Delivery(peer) => self.check_timeouts(cx, peer),
                Timer::Waiting(track) => self.on_waiting_timeout(cx, track),
                Timer::Asked(track) => self.on_asked_timeout(cx, track),
                Timer::Done(track) => self.on_done_timeout(cx, track),
                Timer::Lost(track) => self.give_up(cx, track),
                Timer::Linger(track) => self.on_linger_timeout(cx, track),
                Timer::Fetch(track) => self.progress_fetches(cx, track),
                Timer::Rights(peer) => self.on_rights_timeout(cx, peer),
                Timer::Dial(scope) => self.dial(cx, &scope),
                Timer::Shutdown => self.close_all(cx),
            }
        }
    }

    fn on_held_timeout(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let now = cx.now;
        self.with(cx, peer, |session, streams| {
            session.on_timeout(now, streams)
        });
        if let Some(at) = self
            .peers
            .get(&peer)
            .and_then(|peer| peer.session.next_timeout())
        {
            self.timers.set(Timer::Held(peer), at);
        }
    }

    /// Does something with the session of a peer, if both are still there.
    fn with<R>(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        act: impl FnOnce(&mut Session, &mut Streams) -> R,
    ) -> Option<R> {
        let streams = cx.net.streams(peer)?;
        let entry = self.peers.get_mut(&peer)?;
        Some(act(&mut entry.session, streams))
    }

    /// Sends a message on a request; a peer that lets too much pile up loses the request.
    fn send(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        message: &Message,
    ) -> bool {
        match self.with(cx, peer, |session, streams| {
            session.send(streams, id, message)
        }) {
            Some(Ok(())) => true,
            Some(Err(SessionError::Busy)) => {
                self.with(cx, peer, |session, streams| {
                    session.cancel(streams, id, ResetCode::EXCESSIVE_LOAD);
                });
                self.on_ended(cx, peer, id, Ended::Cancelled(ResetCode::EXCESSIVE_LOAD.0));
                false
            }
            _ => false,
        }
    }

    fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        code: RequestErrorCode,
        reason: &str,
    ) {
        self.refuse_with(cx, peer, id, RequestError::new(code, reason));
    }

    fn refuse_with(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        error: RequestError,
    ) {
        self.with(cx, peer, |session, streams| {
            session.refuse_with(streams, id, error)
        });
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.tasks.remove(&id);
        }
    }

    fn task(&mut self, peer: PeerId, id: RequestId, task: Task) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.take_up(id, task);
        }
    }

    fn scope(&self, peer: PeerId) -> Option<Scope> {
        self.peers.get(&peer).map(|peer| peer.scope.clone())
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
