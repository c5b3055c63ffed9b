//! What the relay may use, with defaults for a machine of a few gigabytes. No RFC.

use core::time::Duration;

use crate::access::AuthKey;
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
            cache_bytes: 256 << 20,
            group_bytes: 32 << 20,
            max_pending: 8 << 20,
            max_rendezvous: Duration::from_secs(30),
            publisher_grace: Duration::from_secs(3),
            linger: Duration::from_secs(5),
            ask_timeout: Duration::from_secs(10),
            done_timeout: Duration::from_secs(2),
            fetch_wait: Duration::from_secs(1),
            max_tracks: 65_536,
            max_requests: 4096,
            max_namespaces: 4096,
            upstream: None,
            auth_key: None,
            token_cache_bytes: 16 << 10,
            bare_timeout: Duration::from_secs(10),
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
