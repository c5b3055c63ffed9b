//! What the relay may use, with defaults for a machine of a few gigabytes. No RFC.

use core::time::Duration;

use crate::access::AuthKey;
use crate::limits;
use crate::moqt::Setup;

/// What the relay may use.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Bytes kept of all tracks together; the latest group of a track goes last.
    pub cache_bytes: usize,
    /// Bytes kept of one group.
    pub group_bytes: usize,
    /// Bytes that may wait for one subscriber before its oldest groups are given up.
    pub max_pending: u64,
    /// The longest RENDEZVOUS_TIMEOUT that is granted.
    pub max_rendezvous: Duration,
    /// How long subscribers wait for a publisher that was lost.
    pub publisher_grace: Duration,
    /// How long a track without subscribers is still taken from its publisher.
    pub linger: Duration,
    /// How long a publisher may take to answer a SUBSCRIBE.
    pub ask_timeout: Duration,
    /// How long after PUBLISH_DONE streams may come.
    pub done_timeout: Duration,
    /// How long a FETCH waits for objects that are on their way.
    pub fetch_wait: Duration,
    /// Tracks known at a time.
    pub max_tracks: usize,
    /// Requests one peer may have open.
    pub max_requests: usize,
    /// Namespaces told of in answer to one SUBSCRIBE_NAMESPACE.
    pub max_namespaces: usize,
    /// Namespaces from which on those of the relay above are not taken up.
    pub max_published: usize,
    /// What to say to the relay above, if there is one: its path, tokens.
    pub upstream: Option<Setup>,
    /// The key that tokens must be signed with; without one everybody may publish and subscribe.
    pub auth_key: Option<AuthKey>,
    /// Bytes of registered tokens kept for one peer (draft §10.3.1.3); with a key only.
    pub token_cache_bytes: u64,
    /// How long a peer may stay without any token that counts; with a key only.
    pub bare_timeout: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            cache_bytes: limits::CACHE,
            group_bytes: limits::GROUP,
            max_pending: limits::PENDING,
            max_rendezvous: limits::RENDEZVOUS_TIME,
            publisher_grace: limits::PUBLISHER_GRACE,
            linger: limits::LINGER,
            ask_timeout: limits::ASK_TIME,
            done_timeout: limits::DONE_TIME,
            fetch_wait: limits::FETCH_TIME,
            max_tracks: limits::TRACKS,
            max_requests: limits::REQUESTS,
            max_namespaces: limits::NAMESPACES,
            max_published: limits::PUBLISHED_NAMESPACES,
            upstream: None,
            auth_key: None,
            token_cache_bytes: limits::TOKEN_CACHE,
            bare_timeout: limits::BARE_TIME,
        }
    }
}

/// What we say of ourselves.
pub(super) fn own_setup() -> Setup {
    Setup {
        implementation: Some(b"quic-relay".to_vec()),
        ..Setup::default()
    }
}
