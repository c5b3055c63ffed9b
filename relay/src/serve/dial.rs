//! The relay above: dialed for each scope that needs it, asked for what nobody here publishes (draft §9).

use core::time::Duration;
use std::collections::HashMap;

use quic_lite::Time;

use super::config::own_setup;
use super::peer::Task;
use super::timers::Timer;
use super::{Context, Relay};
use crate::limits;
use crate::moqt::message::NamespaceRequest;
use crate::moqt::{CloseCode, Message, MoqtError, Namespace, Parameters, Setup};
use crate::track::{PeerId, Scope, TrackId, Upstream};

/// The connections to the relay above, one for each scope.
#[derive(Debug, Default)]
pub(super) struct Dials {
    scopes: HashMap<Scope, Dial>,
}

#[derive(Debug)]
struct Dial {
    peer: Option<PeerId>,
    ready: bool,
    backoff: Duration,
    watching: bool,
    /// Since when it is ready.
    since: Time,
}

/// Whether the relay above can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above {
    /// There is none.
    None,
    /// Soon, perhaps.
    Connecting,
    /// Yes.
    Ready(PeerId),
}

impl Dials {
    /// Whether a connection is one of ours to the relay above.
    pub(super) fn is_dialed(&self, peer: PeerId) -> bool {
        self.scopes.values().any(|dial| dial.peer == Some(peer))
    }

    /// The scope that a connection of ours is for.
    pub(super) fn scope_of(&self, peer: PeerId) -> Option<Scope> {
        self.scopes
            .iter()
            .find(|(_, dial)| dial.peer == Some(peer))
            .map(|(scope, _)| scope.clone())
    }
}

impl Relay {
    /// SETUP for the relay above: its path, followed by the scope's.
    pub(super) fn upstream_setup(&self, scope: &Scope) -> Setup {
        let mut setup = own_setup();
        if let Some(configured) = &self.config.upstream {
            let mut path = configured.scope().to_vec();
            path.extend_from_slice(&scope.0);
            if path.is_empty() {
                path.push(b'/');
            }
            let tokens = configured.path_tokens();
            let query: Vec<Vec<u8>> = tokens.map(|it| [b"jwt=", it].concat()).collect();
            if !query.is_empty() {
                path.push(b'?');
                path.extend(query.join(&b'&'));
            }
            setup.path = Some(path);
            setup.authority.clone_from(&configured.authority);
            setup
                .authorization_tokens
                .clone_from(&configured.authorization_tokens);
        }
        setup
    }

    pub(super) fn is_above(&self, peer: PeerId) -> bool {
        self.dials.is_dialed(peer)
    }

    /// The relay above, for this scope; dials it when it was not needed before.
    pub(super) fn above(&mut self, cx: &mut Context<'_>, scope: &Scope) -> Above {
        if self.config.upstream.is_none() {
            return Above::None;
        }
        match self.dials.scopes.get(scope) {
            Some(Dial {
                peer: Some(peer),
                ready: true,
                ..
            }) => Above::Ready(*peer),
            Some(_) => Above::Connecting,
            None if self.dials.scopes.len() >= limits::UPSTREAM_SCOPES => Above::None,
            None => {
                let dial = Dial {
                    peer: None,
                    ready: false,
                    backoff: limits::FIRST_BACKOFF,
                    watching: false,
                    since: Time::ZERO,
                };
                self.dials.scopes.insert(scope.clone(), dial);
                self.dial(cx, scope);
                Above::Connecting
            }
        }
    }

    /// Connects to the relay above before anybody needs it.
    pub fn connect_above(&mut self, cx: &mut Context<'_>) {
        self.above(cx, &Scope::from(&b""[..]));
    }

    pub(super) fn dial(&mut self, cx: &mut Context<'_>, scope: &Scope) {
        let now = cx.now;
        let Some(dial) = self
            .dials
            .scopes
            .get_mut(scope)
            .filter(|dial| dial.peer.is_none())
        else {
            return;
        };
        dial.peer = cx.net.dial(now);
        if dial.peer.is_none() {
            self.dial_later(cx, scope);
        }
    }

    fn dial_later(&mut self, cx: &mut Context<'_>, scope: &Scope) {
        if let Some(dial) = self.dials.scopes.get_mut(scope) {
            self.timers
                .set(Timer::Dial(scope.clone()), cx.now + dial.backoff);
            dial.backoff = (dial.backoff * 2).min(limits::LAST_BACKOFF);
        }
    }

    /// The relay above has answered SETUP.
    pub(super) fn on_dialed(&mut self, cx: &mut Context<'_>, peer: PeerId, scope: &Scope) {
        let Some(dial) = self
            .dials
            .scopes
            .get_mut(scope)
            .filter(|dial| dial.peer == Some(peer))
        else {
            return;
        };
        (dial.ready, dial.since) = (true, cx.now);
        let waiting: Vec<TrackId> = self
            .tracks
            .iter()
            .filter(|(_, track)| {
                track.key.scope == *scope && matches!(track.upstream, Upstream::None)
            })
            .map(|(id, _)| *id)
            .collect();
        for track in waiting {
            self.seek(cx, track);
        }
        if self.registry.has_namespace_watch(scope) {
            self.watch_above(cx, scope);
        }
    }

    /// Somebody wants to hear of namespaces: so do we, of all that the relay above knows.
    pub(super) fn watch_above(&mut self, cx: &mut Context<'_>, scope: &Scope) {
        let Above::Ready(peer) = self.above(cx, scope) else {
            return;
        };
        if self
            .dials
            .scopes
            .get(scope)
            .is_none_or(|dial| dial.watching)
        {
            return;
        }
        let message = Message::SubscribeNamespace(NamespaceRequest {
            request_id: 0,
            namespace: Namespace::empty(),
            parameters: Parameters::default(),
        });
        if let Some(Ok(id)) = self.with(cx, peer, |session, streams| {
            session.request(streams, message)
        }) {
            self.task(peer, id, Task::NamespaceSource);
            if let Some(dial) = self.dials.scopes.get_mut(scope) {
                dial.watching = true;
            }
        }
    }

    /// A connection is over, perhaps one to the relay above: it is tried again.
    pub(super) fn on_dial_lost(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let Some(scope) = self.dials.scope_of(peer) else {
            return;
        };
        if let Some(dial) = self.dials.scopes.get_mut(&scope) {
            // Its SETUP may have crossed ours, which it then refuses: that is no success.
            if dial.ready && cx.now.since(dial.since) >= limits::STEADY_CONNECTION {
                dial.backoff = limits::FIRST_BACKOFF;
            }
            dial.peer = None;
            dial.ready = false;
            dial.watching = false;
        }
        if !self.timers.is_set(&Timer::Shutdown) {
            self.dial_later(cx, &scope);
        }
    }

    /// A subscription waits while the relay above is being dialed, but not for ever.
    pub(super) fn wait_for_above(&mut self, cx: &mut Context<'_>, id: TrackId) {
        let until = cx.now + self.config.publisher_grace;
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        for waiting in &mut track.waiting {
            waiting.until = Some(waiting.until.map_or(until, |at| at.max(until)));
        }
        self.timers.set_earlier(Timer::Waiting(id), until);
    }

    /// A peer asks us to go elsewhere. The relay above is dialed again; a publisher is simply not asked
    /// for anything new.
    pub(super) fn on_peer_going_away(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        if self.dials.scope_of(peer).is_some() {
            self.fail(cx, peer, MoqtError::new(CloseCode::NO_ERROR, "going away"));
        }
    }
}
