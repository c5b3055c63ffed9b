//! Who publishes what, and who wants to hear of it (draft §6).

use std::collections::{HashMap, HashSet};

use super::peer::Task;
use super::{Context, Relay};
use crate::moqt::message::{NamespaceRequest, RequestOk};
use crate::moqt::{Message, Namespace, Parameters, RequestErrorCode};
use crate::session::RequestId;
use crate::track::{PeerId, Scope, TrackKey};

/// A request of a peer.
type From = (PeerId, RequestId);

/// All publications and all watches.
#[derive(Debug, Default)]
pub(super) struct Registry {
    published: HashMap<(Scope, Namespace), Vec<Publication>>,
    /// The namespace of each offered track, by the PUBLISH.
    offers: HashMap<From, (Scope, Namespace)>,
    namespace_watches: HashMap<From, Watch>,
    track_watches: HashMap<From, Watch>,
}

/// A namespace as one peer publishes it.
#[derive(Debug)]
struct Publication {
    from: From,
    /// All tracks in it can be asked for; otherwise some track of it was offered.
    whole: bool,
}

/// A SUBSCRIBE_NAMESPACE or SUBSCRIBE_TRACKS.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) scope: Scope,
    pub(super) prefix: Namespace,
    /// For SUBSCRIBE_TRACKS: whether objects are wanted at once.
    pub(super) forward: bool,
    /// For SUBSCRIBE_NAMESPACE: what it has heard of.
    told: HashSet<Namespace>,
}

impl Watch {
    pub(super) fn new(scope: Scope, prefix: Namespace, forward: bool) -> Self {
        Self {
            scope,
            prefix,
            forward,
            told: HashSet::new(),
        }
    }

    pub(super) fn matches(&self, scope: &Scope, namespace: &Namespace) -> bool {
        self.scope == *scope && self.prefix.is_prefix_of(namespace)
    }
}

impl Registry {
    /// Who may bring a track: longer namespaces first, among equal ones the newest.
    pub(super) fn publishers(&self, key: &TrackKey) -> Vec<PeerId> {
        let at = |prefix| self.published.get(&(key.scope.clone(), prefix));
        let all = key.name.namespace.prefixes().filter_map(at);
        let whole = all.flat_map(|published| published.iter().rev().filter(|it| it.whole));
        let mut publishers = Vec::new();
        for publication in whole {
            if !publishers.contains(&publication.from.0) {
                publishers.push(publication.from.0);
            }
        }
        publishers
    }

    fn publish(&mut self, at: (Scope, Namespace), from: From, whole: bool) {
        let published = self.published.entry(at).or_default();
        published.retain(|it| it.from != from);
        published.push(Publication { from, whole });
    }

    /// Takes a publication back; true when nobody publishes the namespace any more.
    fn withdraw(&mut self, at: &(Scope, Namespace), from: From) -> bool {
        let Some(published) = self.published.get_mut(at) else {
            return false;
        };
        published.retain(|it| it.from != from);
        let gone = published.is_empty();
        if gone {
            self.published.remove(at);
        }
        gone
    }

    /// A track was offered: its namespace exists, for those who look for namespaces.
    pub(super) fn offer(&mut self, key: &TrackKey, peer: PeerId, request: RequestId) {
        let at = (key.scope.clone(), key.name.namespace.clone());
        self.publish(at.clone(), (peer, request), false);
        self.offers.insert((peer, request), at);
    }

    pub(super) fn unwatch_namespaces(&mut self, peer: PeerId, request: RequestId) {
        self.namespace_watches.remove(&(peer, request));
    }

    pub(super) fn unwatch_tracks(&mut self, peer: PeerId, request: RequestId) {
        self.track_watches.remove(&(peer, request));
    }

    pub(super) fn watch_tracks(&mut self, from: From, watch: Watch) {
        self.track_watches.insert(from, watch);
    }

    pub(super) fn track_watches(&self) -> impl Iterator<Item = (&From, &Watch)> {
        self.track_watches.iter()
    }

    pub(super) fn has_namespace_watch(&self, scope: &Scope) -> bool {
        self.namespace_watches
            .values()
            .any(|watch| watch.scope == *scope)
    }

    /// The prefix of a watch.
    pub(super) fn prefix(&self, from: From) -> Option<&Namespace> {
        let watch = self.namespace_watches.get(&from);
        let watch = watch.or_else(|| self.track_watches.get(&from));
        watch.map(|watch| &watch.prefix)
    }

    /// How much it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let watches = self.namespace_watches.len() + self.track_watches.len();
        self.published.len() + self.offers.len() + watches
    }

    /// Whether a prefix shares a common prefix with another watch of the same kind and session.
    pub(super) fn overlaps(&self, from: From, prefix: &Namespace, tracks: bool) -> bool {
        let watches = if tracks {
            &self.track_watches
        } else {
            &self.namespace_watches
        };
        watches.iter().any(|(other, watch)| {
            other.0 == from.0 && other.1 != from.1 && watch.prefix.overlaps(prefix)
        })
    }
}

impl Relay {
    /// A PUBLISH_NAMESPACE.
    pub(super) fn on_publish_namespace(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        id: RequestId,
        message: NamespaceRequest,
    ) {
        let Some(scope) = self.scope(peer) else {
            return;
        };
        let namespace = message.namespace;
        if namespace.is_reserved() {
            self.refuse(
                cx,
                peer,
                id,
                RequestErrorCode::DOES_NOT_EXIST,
                "reserved namespace",
            );
            return;
        }
        self.task(peer, id, Task::Namespace(namespace.clone()));
        if !self.send(cx, peer, id, &Message::RequestOk(RequestOk::default())) {
            return;
        }
        self.registry
            .publish((scope.clone(), namespace.clone()), (peer, id), true);
        self.tell_namespace(cx, &scope, &namespace);
        self.on_publisher(cx, peer, &scope, &namespace);
    }

    /// A publisher, or the relay above, takes a namespace back.
    pub(super) fn withdraw(&mut self, cx: &mut Context<'_>, from: From, namespace: &Namespace) {
        let scope = self.registry_scope(from.0);
        let at = (scope, namespace.clone());
        if self.registry.withdraw(&at, from) {
            self.untell_namespace(cx, &at.0, &at.1);
        }
    }

    /// A request that published several namespaces is over.
    pub(super) fn withdraw_all(&mut self, cx: &mut Context<'_>, from: From) {
        let of_request = |published: &[Publication]| published.iter().any(|it| it.from == from);
        let all: Vec<(Scope, Namespace)> = self
            .registry
            .published
            .iter()
            .filter(|(_, published)| of_request(published))
            .map(|(at, _)| at.clone())
            .collect();
        for at in all {
            if self.registry.withdraw(&at, from) {
                self.untell_namespace(cx, &at.0, &at.1);
            }
        }
    }

    /// The scope of a peer; one that is gone already may still be found by what it dialed.
    fn registry_scope(&self, peer: PeerId) -> Scope {
        self.scope(peer)
            .or_else(|| self.closing.clone())
            .unwrap_or_else(|| Scope::from(&b""[..]))
    }

    /// The PUBLISH of a track is over.
    pub(super) fn unpublish_offer(&mut self, cx: &mut Context<'_>, from: From) {
        if let Some(at) = self.registry.offers.remove(&from)
            && self.registry.withdraw(&at, from)
        {
            self.untell_namespace(cx, &at.0, &at.1);
        }
    }

    /// The relay above knows a namespace.
    pub(super) fn on_upstream_namespace(
        &mut self,
        cx: &mut Context<'_>,
        from: From,
        namespace: Namespace,
    ) {
        let Some(scope) = self.scope(from.0) else {
            return;
        };
        let at = (scope, namespace);
        let is_new = !self.registry.published.contains_key(&at);
        if is_new && self.registry.published.len() >= self.config.max_published {
            // No more is known of it than of names that nobody publishes; a SUBSCRIBE goes there all the same.
            return;
        }
        self.registry.publish(at.clone(), from, true);
        self.tell_namespace(cx, &at.0, &at.1);
        self.on_publisher(cx, from.0, &at.0, &at.1);
    }

    /// Tells everybody who wants to hear of it that a namespace exists.
    pub(super) fn tell_namespace(
        &mut self,
        cx: &mut Context<'_>,
        scope: &Scope,
        namespace: &Namespace,
    ) {
        let mut tell = Vec::new();
        for (from, watch) in &mut self.registry.namespace_watches {
            if watch.matches(scope, namespace)
                && watch.told.len() < self.config.max_namespaces
                && watch.told.insert(namespace.clone())
            {
                tell.extend(
                    namespace
                        .suffix_after(&watch.prefix)
                        .map(|suffix| (*from, suffix)),
                );
            }
        }
        for ((peer, id), suffix) in tell {
            self.send(cx, peer, id, &Message::Namespace(suffix));
        }
    }

    fn untell_namespace(&mut self, cx: &mut Context<'_>, scope: &Scope, namespace: &Namespace) {
        let mut tell = Vec::new();
        for (from, watch) in &mut self.registry.namespace_watches {
            if watch.scope == *scope && watch.told.remove(namespace) {
                tell.extend(
                    namespace
                        .suffix_after(&watch.prefix)
                        .map(|suffix| (*from, suffix)),
                );
            }
        }
        for ((peer, id), suffix) in tell {
            self.send(cx, peer, id, &Message::NamespaceDone(suffix));
        }
    }

    /// A SUBSCRIBE_NAMESPACE.
    pub(super) fn on_subscribe_namespace(
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
        if self.refuses_overlap(cx, (peer, id), &prefix, false) {
            return;
        }
        let watch = Watch::new(scope.clone(), prefix, true);
        let matching = self.known_namespaces(&watch);
        if matching.len() > self.config.max_namespaces {
            self.refuse(
                cx,
                peer,
                id,
                RequestErrorCode::NAMESPACE_TOO_LARGE,
                "too many namespaces",
            );
            return;
        }
        self.registry.namespace_watches.insert((peer, id), watch);
        self.task(peer, id, Task::NamespaceWatch);
        if !self.send(cx, peer, id, &Message::RequestOk(RequestOk::default())) {
            return;
        }
        for namespace in matching {
            self.tell_namespace(cx, &scope, &namespace);
        }
        self.watch_above(cx, &scope);
    }

    /// Refuses a watch whose prefix shares a common prefix with another of its session (draft §10.16).
    pub(super) fn refuses_overlap(
        &mut self,
        cx: &mut Context<'_>,
        from: From,
        prefix: &Namespace,
        tracks: bool,
    ) -> bool {
        let overlaps = self.registry.overlaps(from, prefix, tracks);
        if overlaps {
            let code = RequestErrorCode::PREFIX_OVERLAP;
            self.refuse(cx, from.0, from.1, code, "prefix overlaps another");
        }
        overlaps
    }

    fn known_namespaces(&self, watch: &Watch) -> Vec<Namespace> {
        let published = self.registry.published.keys();
        published
            .filter(|(scope, namespace)| watch.matches(scope, namespace))
            .map(|(_, namespace)| namespace.clone())
            .collect()
    }

    /// A REQUEST_UPDATE of a watch: it may have another prefix (draft §10.9.2).
    pub(super) fn update_watch(
        &mut self,
        cx: &mut Context<'_>,
        from: From,
        parameters: Parameters,
    ) {
        let (peer, id) = from;
        let tracks = self.registry.track_watches.contains_key(&from);
        if let Some(prefix) = parameters.track_namespace_prefix {
            if self.refuses_overlap(cx, from, &prefix, tracks) {
                self.registry.namespace_watches.remove(&from);
                self.registry.track_watches.remove(&from);
                return;
            }
            let watches = if tracks {
                &mut self.registry.track_watches
            } else {
                &mut self.registry.namespace_watches
            };
            if let Some(watch) = watches.get_mut(&from) {
                watch
                    .told
                    .retain(|namespace| prefix.is_prefix_of(namespace));
                watch.prefix = prefix;
            }
        }
        if !self.send(cx, peer, id, &Message::RequestOk(RequestOk::default())) {
            return;
        }
        let Some(watch) = self.registry.namespace_watches.get(&from) else {
            self.offer_all(cx, from);
            return;
        };
        let scope = watch.scope.clone();
        for namespace in self.known_namespaces(watch) {
            self.tell_namespace(cx, &scope, &namespace);
        }
    }
}
