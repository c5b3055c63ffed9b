//! What the relay and its peers have done, for a line of statistics or JSON. No RFC.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Sums since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections.
    pub peers: u64,
    /// Tracks.
    pub tracks: u64,
    /// Downstream subscriptions.
    pub subscriptions: u64,
    /// What the cache costs.
    pub cache_bytes: u64,
    /// Bytes of data streams and datagrams that came from publishers.
    pub received_bytes: u64,
    /// Data streams that publishers opened.
    pub received_streams: u64,
    /// Object datagrams that came.
    pub received_datagrams: u64,
    /// Bytes handed to subscribers' streams and datagrams.
    pub forwarded_bytes: u64,
    /// Pieces of streams handed to subscribers; about one per packet.
    pub forwarded_pieces: u64,
    /// Streams opened to subscribers.
    pub forwarded_streams: u64,
    /// Datagrams sent to subscribers.
    pub forwarded_datagrams: u64,
    /// Datagrams that could not be sent.
    pub dropped_datagrams: u64,
    /// Streams given up because a subscriber was too slow.
    pub shed_streams: u64,
    /// Streams given up because a delivery timeout passed.
    pub late_streams: u64,
    /// FETCHes answered.
    pub fetches: u64,
    /// Groups dropped from the cache.
    pub evicted_groups: u64,
    /// Sessions closed because the peer broke a rule.
    pub violations: u64,
}

impl Counters {
    /// These and those of another part.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            peers: self.peers + other.peers,
            tracks: self.tracks + other.tracks,
            subscriptions: self.subscriptions + other.subscriptions,
            cache_bytes: self.cache_bytes + other.cache_bytes,
            received_bytes: self.received_bytes + other.received_bytes,
            received_streams: self.received_streams + other.received_streams,
            received_datagrams: self.received_datagrams + other.received_datagrams,
            forwarded_bytes: self.forwarded_bytes + other.forwarded_bytes,
            forwarded_pieces: self.forwarded_pieces + other.forwarded_pieces,
            forwarded_streams: self.forwarded_streams + other.forwarded_streams,
            forwarded_datagrams: self.forwarded_datagrams + other.forwarded_datagrams,
            dropped_datagrams: self.dropped_datagrams + other.dropped_datagrams,
            shed_streams: self.shed_streams + other.shed_streams,
            late_streams: self.late_streams + other.late_streams,
            fetches: self.fetches + other.fetches,
            evicted_groups: self.evicted_groups + other.evicted_groups,
            violations: self.violations + other.violations,
        }
    }
}

/// What a peer does here, or has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// It brings tracks.
    pub publishes: bool,
    /// It takes tracks.
    pub subscribes: bool,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} peers, {} tracks, {} subscriptions; in {} streams {} datagrams {} bytes; \
             out {} streams {} datagrams {} bytes; {} given up",
            self.peers,
            self.tracks,
            self.subscriptions,
            self.received_streams,
            self.received_datagrams,
            self.received_bytes,
            self.forwarded_streams,
            self.forwarded_datagrams,
            self.forwarded_bytes,
            self.shed_streams + self.late_streams,
        )
    }
}
