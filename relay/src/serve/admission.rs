//! The one place where a session or a request is let in or refused. MOQT draft §9.1, §9.3, §10.2.2.
//!
//! A request is looked at before anything else knows of it, so what is refused leaves no trace: no track,
//! no publication, nothing for the kernel. How rights end is in [`super::revocation`].

use std::sync::Arc;

use log::Level;
use quic_lite::Time;
use quic_lite::endpoint::Handle;

use super::config::own_setup;
use super::peer::Task;
use super::revocation::Why;
use super::timers::Timer;
use super::{Context, Relay};
use crate::access::{Action, Denied, Grant, Rights, full_name, token_values};
use crate::moqt::message::{FetchRange, RequestError};
use crate::moqt::{CloseCode, Message, MoqtError, Namespace, Parameters, Setup};
use crate::session::RequestId;
use crate::track::{PeerId, TrackId};

/// What somebody wants to do, and with what: the path of the URL and the namespace.
pub(super) type Wish = (Action, Namespace);

impl Relay {
    /// What time of day it is, in microseconds since 1970. To be called before there are connections and
    /// from time to time: clocks are set.
    pub fn set_clock(&mut self, now: Time, unix: u64) {
        if self.access.set_clock(now, unix) {
            // Every end of a right was computed from the old time.
            for peer in self.peers.keys() {
                self.timers.set(Timer::Rights(*peer), now);
            }
        }
    }

    /// Whether tokens are asked for.
    pub fn asks_for_tokens(&self) -> bool {
        !self.access.is_open()
    }

    /// What we say of ourselves to those who connect.
    pub(super) fn own_setup(&self) -> Setup {
        let cache = self.config.token_cache_bytes;
        Setup {
            max_auth_token_cache_size: self.asks_for_tokens().then_some(cache),
            ..own_setup()
        }
    }

    /// A session begins: its tokens must be good, but may come later.
    pub(super) fn admit_session(&mut self, cx: &mut Context<'_>, peer: PeerId, setup: &Setup) {
        if self.access.is_open() {
            return;
        }
        let mut tokens = token_values(&setup.authorization_tokens);
        for token in setup.path_tokens() {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        let checked = match (self.access.unix(cx.now), self.peers.get_mut(&peer)) {
            (Some(unix), Some(entry)) => entry.rights.check(&self.access, unix, &tokens),
            _ => Err(Denied::Missing),
        };
        match checked {
            Ok(grants) => {
                if let Some(entry) = self.peers.get_mut(&peer) {
                    entry.rights.add(grants);
                }
                self.on_rights_timeout(cx, peer);
            }
            Err(denied) => {
                self.tell_refused(peer, "SETUP", denied);
                let error = MoqtError::new(denied.close_code(), denied.reason());
                self.fail(cx, peer, error);
            }
        }
    }

    /// What the relay above may do: we have called it, it is who it says, and it brings what we ask for.
    pub(super) fn trust(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.rights = Rights::of(Grant::to_publish());
        }
    }

    /// Whether a request is let in; if not, it is refused.
    pub(super) fn admit(
        &mut self,
        cx: &mut Context<'_>,
        from: (PeerId, RequestId),
        message: &Message,
    ) -> bool {
        if self.access.is_open() {
            return true;
        }
        let wish = self.wish(from.0, message);
        let tokens = message
            .parameters()
            .map(|it| token_values(&it.authorization_tokens));
        let result = self.allow(cx, from, wish, &tokens.unwrap_or_default());
        let Err(denied) = result else {
            return true;
        };
        self.tell_refused(from.0, message.name(), denied);
        self.refuse_with(cx, from.0, from.1, refusal(denied));
        self.close_if_guessing(cx, from.0);
        false
    }

    /// Whether a REQUEST_UPDATE is let in; if not, its request ends (draft §10.9.1).
    pub(super) fn admit_update(
        &mut self,
        cx: &mut Context<'_>,
        from: (PeerId, RequestId),
        task: Option<&Task>,
        parameters: &Parameters,
    ) -> bool {
        let (Some(task), false) = (task, self.access.is_open()) else {
            return true;
        };
        let prefix = parameters.track_namespace_prefix.as_ref();
        let scope = self.scope(from.0);
        let wish = match (prefix, scope) {
            (Some(prefix), Some(scope)) => full_name(&scope, prefix)
                .map(|name| (Action::Subscribe, name))
                .ok_or(Denied::Missing),
            _ => self.rests_on(from, task).ok_or(Denied::Missing),
        };
        let tokens = token_values(&parameters.authorization_tokens);
        // What is derived from another request is looked at when that one ends.
        let result = match tokens.is_empty() && prefix.is_none() {
            true => Ok(()),
            false => self.allow(cx, from, wish.map(Some), &tokens),
        };
        let Err(denied) = result else {
            return true;
        };
        self.tell_refused(from.0, "REQUEST_UPDATE", denied);
        let error = Message::RequestError(refusal(denied));
        self.send(cx, from.0, from.1, &error);
        self.revoke(cx, from, task.clone(), Why::Update);
        self.close_if_guessing(cx, from.0);
        false
    }

    /// Looks at tokens and rights; good tokens count for this request from now on.
    fn allow(
        &mut self,
        cx: &mut Context<'_>,
        (peer, id): (PeerId, RequestId),
        wish: Result<Option<Wish>, Denied>,
        tokens: &[&[u8]],
    ) -> Result<(), Denied> {
        let unix = self.access.unix(cx.now).ok_or(Denied::Missing)?;
        let entry = self.peers.get_mut(&peer).ok_or(Denied::Missing)?;
        let grants: Vec<Arc<Grant>> = entry.rights.check(&self.access, unix, tokens)?;
        if let Some((action, name)) = wish? {
            let until = entry.rights.until(unix, (action, &name), id, &grants);
            until.ok_or(Denied::Missing)?;
        }
        if grants.is_empty() {
            return Ok(());
        }
        entry.rights.add_to(id, grants);
        if entry.rights.requests() > 2 * entry.tasks.len() + 64 {
            let tasks = &entry.tasks;
            let is_open = |it| it == id || tasks.contains_key(&it);
            entry.rights.prune(unix, is_open);
        }
        self.watch_rights(cx, peer);
        Ok(())
    }

    /// Says that something was refused, aloud only once for each peer: strangers do not fill the log.
    pub(super) fn tell_refused(&mut self, peer: PeerId, what: &str, denied: Denied) {
        let entry = self.peers.get_mut(&peer);
        let is_first = entry.is_some_and(|entry| entry.rights.is_first_refusal());
        let level = if is_first { Level::Info } else { Level::Debug };
        log::log!(level, "{}: {what} refused: {denied}", Handle(peer.0));
    }

    fn close_if_guessing(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let entry = self.peers.get(&peer);
        if entry.is_some_and(|entry| entry.rights.is_guessing()) {
            log::info!("{}: closed: one bad token after the other", Handle(peer.0));
            let error = MoqtError::new(CloseCode::UNAUTHORIZED, "too many bad tokens");
            self.fail(cx, peer, error);
        }
    }

    /// What a request is for; nothing when it refers to another request, which is not there.
    fn wish(&self, peer: PeerId, message: &Message) -> Result<Option<Wish>, Denied> {
        let scope = self.scope(peer).ok_or(Denied::Missing)?;
        let (action, namespace) = match message {
            Message::Subscribe(it) | Message::TrackStatus(it) => {
                (Action::Subscribe, &it.track.namespace)
            }
            Message::SubscribeNamespace(it) | Message::SubscribeTracks(it) => {
                (Action::Subscribe, &it.namespace)
            }
            Message::Publish(it) => (Action::Publish, &it.track.namespace),
            Message::PublishNamespace(it) => (Action::Publish, &it.namespace),
            Message::Fetch(it) => match &it.range {
                FetchRange::Standalone { track, .. } => (Action::Subscribe, &track.namespace),
                // Draft §10.12.2: it goes with a subscription, which is looked at by itself.
                _ => return Ok(None),
            },
            _ => return Err(Denied::Missing),
        };
        let name = full_name(&scope, namespace).ok_or(Denied::Missing)?;
        Ok(Some((action, name)))
    }

    /// What a request that was let in is for.
    pub(super) fn rests_on(&self, from: (PeerId, RequestId), task: &Task) -> Option<Wish> {
        let scope = self.scope(from.0)?;
        let of_track = |id: &TrackId| Some(self.tracks.get(id)?.key.name.namespace.clone());
        let (action, namespace) = match task {
            Task::Subscription(id) => {
                let subscription = self.subscriptions.get(id)?;
                (Action::Subscribe, of_track(&subscription.track)?)
            }
            Task::Waiting(track) | Task::Fetch(track) => (Action::Subscribe, of_track(track)?),
            Task::Upstream(track) => (Action::Publish, of_track(track)?),
            Task::Namespace(namespace) => (Action::Publish, namespace.clone()),
            Task::NamespaceWatch | Task::TracksWatch => {
                (Action::Subscribe, self.registry.prefix(from)?.clone())
            }
            Task::NamespaceSource => return None,
        };
        Some((action, full_name(&scope, &namespace)?))
    }
}

/// Draft §10.6: asking again is of use when a token's time is still to come.
fn refusal(denied: Denied) -> RequestError {
    let retry_interval = match denied {
        Denied::Early(left) => u64::try_from(left.as_millis()).map_or(0, |ms| ms.saturating_add(2)),
        _ => 0,
    };
    RequestError {
        retry_interval,
        ..RequestError::new(denied.request_code(), denied.reason())
    }
}
