//! What the relay knows of one connection. No RFC.

use std::collections::{HashMap, VecDeque};

use quic_lite::wire::stream_id::StreamId;

use super::{Relay, Roles};
use crate::access::Rights;
use crate::limits;
use crate::moqt::{Namespace, varint};
use crate::session::{RequestId, Session};
use crate::track::{PeerId, Scope, StreamKey, SubscriptionId, TrackId};

/// A connection and its session.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) session: Session,
    /// Which names it means; known with its SETUP.
    pub(super) scope: Scope,
    /// It is the relay above, for this scope.
    pub(super) dialed: Option<Scope>,
    /// What each request is about.
    pub(super) tasks: HashMap<RequestId, Task>,
    pub(super) roles: Roles,
    /// What it may do.
    pub(super) rights: Rights,
    /// Its subscriptions.
    pub(super) subscriptions: HashMap<TrackId, SubscriptionId>,
    /// Its data streams.
    pub(super) incoming: HashMap<StreamId, StreamKey>,
    /// Our data streams to it that are not acknowledged to the end.
    pub(super) outgoing: HashMap<StreamId, Outgoing>,
    /// The aliases we gave it.
    pub(super) aliases: HashMap<u64, SubscriptionId>,
    /// Streams that wait for its stream credit.
    pub(super) blocked: VecDeque<(StreamKey, SubscriptionId)>,
    /// Bytes handed to its streams since they were last counted.
    pub(super) written: u64,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// It takes a track: their SUBSCRIBE or our PUBLISH.
    Subscription(SubscriptionId),
    /// It waits for a track: their SUBSCRIBE or TRACK_STATUS.
    Waiting(TrackId),
    /// It waits for past objects: their FETCH.
    Fetch(TrackId),
    /// It brings a track: our SUBSCRIBE or their PUBLISH.
    Upstream(TrackId),
    /// They publish all of a namespace.
    Namespace(Namespace),
    /// They want to hear of namespaces.
    NamespaceWatch,
    /// They want tracks.
    TracksWatch,
    /// We want to hear of namespaces.
    NamespaceSource,
}

/// A data stream to a subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    /// Which track.
    pub(super) track: TrackId,
    /// Which group; the highest number for the answer to a FETCH.
    pub(super) group: u64,
    /// What it comes from; `None` for the answer to a FETCH.
    pub(super) source: Option<(StreamKey, SubscriptionId)>,
    /// The upstream offset of its first byte that is passed on unchanged, and our bytes before it.
    pub(super) shift: (u64, u64),
}

impl Peer {
    pub(super) fn new(session: Session, dialed: Option<Scope>) -> Self {
        Self {
            session,
            scope: Scope::from(&b""[..]),
            dialed,
            tasks: HashMap::new(),
            roles: Roles::default(),
            rights: Rights::default(),
            subscriptions: HashMap::new(),
            incoming: HashMap::new(),
            outgoing: HashMap::new(),
            aliases: HashMap::new(),
            blocked: VecDeque::new(),
            written: 0,
        }
    }

    /// From now on a request is about this.
    pub(super) fn take_up(&mut self, request: RequestId, task: Task) {
        self.roles.publishes |= matches!(task, Task::Upstream(_));
        self.roles.subscribes |= matches!(task, Task::Subscription(_));
        self.tasks.insert(request, task);
    }

    /// The alias for a track whose publisher calls it `wanted`: the same, or when that is taken a free
    /// one of the same length, so that it can be replaced in place (draft §11.1).
    pub(super) fn pick_alias(&self, wanted: u64) -> u64 {
        if !self.aliases.contains_key(&wanted) {
            return wanted;
        }
        let bits = |len: usize| if len >= 9 { 64 } else { 7 * len };
        (varint::size(wanted)..=varint::MAX_LEN)
            .find_map(|len| {
                let last = u64::MAX >> (64 - bits(len));
                let first = if len == 1 { 0 } else { 1u64 << bits(len - 1) };
                // One more candidate than there are aliases: one of them is free, if there are as many.
                (0..=self.aliases.len() as u64)
                    .map_while(|back| last.checked_sub(back).filter(|alias| *alias >= first))
                    .find(|alias| !self.aliases.contains_key(alias))
            })
            .unwrap_or(wanted)
    }

    pub(super) fn block(&mut self, key: StreamKey, subscription: SubscriptionId) {
        if self.blocked.len() >= limits::BLOCKED_STREAMS {
            self.blocked.pop_front();
        }
        self.blocked.push_back((key, subscription));
    }
}

impl Relay {
    /// What a peer does here, or has done.
    pub fn roles(&self, peer: PeerId) -> Roles {
        self.peers
            .get(&peer)
            .map_or_else(Roles::default, |peer| peer.roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moqt::Setup;
    use crate::session::SessionConfig;
    use quic_lite::wire::stream_id::Side;

    #[test]
    fn a_taken_alias_gives_way_to_one_of_the_same_length() {
        let session = Session::new(Side::Server, Setup::default(), SessionConfig::default());
        let mut peer = Peer::new(session, None);
        for n in 0..300 {
            let alias = peer.pick_alias(1);
            assert_eq!(varint::size(alias), if n < 128 { 1 } else { 2 });
            assert_eq!(peer.aliases.insert(alias, SubscriptionId(n)), None);
        }
        assert_eq!(peer.pick_alias(u64::MAX), u64::MAX);
        peer.aliases.insert(u64::MAX, SubscriptionId(0));
        assert_eq!(varint::size(peer.pick_alias(u64::MAX)), 9);
    }

    #[test]
    fn streams_that_wait_for_credit_are_limited() {
        let session = Session::new(Side::Server, Setup::default(), SessionConfig::default());
        let mut peer = Peer::new(session, None);
        for n in 0..1000 {
            peer.block(StreamKey(n), SubscriptionId(0));
        }
        assert_eq!(peer.blocked.len(), limits::BLOCKED_STREAMS);
        assert_eq!(
            peer.blocked.back(),
            Some(&(StreamKey(999), SubscriptionId(0)))
        );
    }
}
