//! Which connection a datagram belongs to (RFC 9000 §5.2).
//!
//! Promise: a lookup costs the same whatever bytes peers choose: the hash is SipHash behind a secret
//! prefix, so nobody outside can aim at one bucket, and a simulation with the same seed repeats itself.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;

use crate::wire::connection_id::ConnectionId;

/// The tables from what a datagram carries to the slot of its connection.
#[derive(Debug)]
pub(super) struct Routes {
    /// IDs that we chose; the usual way.
    ours: HashMap<ConnectionId, usize, Secret>,
    /// The Destination Connection ID of a client's first Initial packets. The client chose it, so two
    /// clients may have chosen the same: their address tells them apart.
    original: HashMap<(SocketAddr, ConnectionId), usize, Secret>,
    /// Tokens with which a peer may reset a connection (RFC 9000 §10.3.1).
    resets: HashMap<(SocketAddr, ResetToken), usize, Secret>,
}

/// A stateless reset token (RFC 9000 §10.3).
pub(super) type ResetToken = [u8; 16];

impl Routes {
    pub(super) fn new(secret: [u8; 16]) -> Self {
        let hasher = Secret::new(secret);
        Self {
            ours: HashMap::with_hasher(hasher.clone()),
            original: HashMap::with_hasher(hasher.clone()),
            resets: HashMap::with_hasher(hasher),
        }
    }

    /// The slot that one of our connection IDs stands for.
    pub(super) fn find(&self, cid: &ConnectionId) -> Option<usize> {
        self.ours.get(cid).copied()
    }

    /// The slot of a client that does not know our connection ID yet.
    pub(super) fn find_original(&self, remote: SocketAddr, cid: ConnectionId) -> Option<usize> {
        self.original.get(&(remote, cid)).copied()
    }

    /// The slot that a datagram from `remote` ending in `token` resets.
    pub(super) fn find_reset(&self, remote: SocketAddr, token: ResetToken) -> Option<usize> {
        self.resets.get(&(remote, token)).copied()
    }

    pub(super) fn add(&mut self, cid: ConnectionId, slot: usize) {
        self.ours.insert(cid, slot);
    }

    pub(super) fn add_original(&mut self, remote: SocketAddr, cid: ConnectionId, slot: usize) {
        self.original.insert((remote, cid), slot);
    }

    pub(super) fn add_reset(&mut self, remote: SocketAddr, token: ResetToken, slot: usize) {
        self.resets.insert((remote, token), slot);
    }

    pub(super) fn remove(&mut self, cid: &ConnectionId) {
        self.ours.remove(cid);
    }

    pub(super) fn remove_original(&mut self, remote: SocketAddr, cid: ConnectionId) {
        self.original.remove(&(remote, cid));
    }

    /// Removes a reset token, unless it stands for another slot by now.
    pub(super) fn remove_reset(&mut self, remote: SocketAddr, token: ResetToken, slot: usize) {
        if self.find_reset(remote, token) == Some(slot) {
            self.resets.remove(&(remote, token));
        }
    }

    /// Entries in all tables.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ours.len() + self.original.len() + self.resets.len()
    }
}

/// A keyed SipHash: the state after a secret block, cloned for each lookup.
#[derive(Clone)]
struct Secret(DefaultHasher);

impl Secret {
    fn new(secret: [u8; 16]) -> Self {
        // The standard hasher takes no key, but absorbing one first gives it a state nobody knows.
        let mut hasher = DefaultHasher::new();
        hasher.write(&secret);
        Self(hasher)
    }
}

impl BuildHasher for Secret {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.0.clone()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cid(byte: u8) -> ConnectionId {
        ConnectionId::new(&[byte; 8]).unwrap()
    }

    #[test]
    fn two_clients_with_the_same_first_id_are_told_apart() {
        let mut routes = Routes::new([1; 16]);
        let [one, two] = [1, 2].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        routes.add_original(one, cid(7), 10);
        routes.add_original(two, cid(7), 20);
        assert_eq!(routes.find_original(one, cid(7)), Some(10));
        assert_eq!(routes.find_original(two, cid(7)), Some(20));
        assert_eq!(routes.find(&cid(7)), None);
        routes.remove_original(one, cid(7));
        assert_eq!(routes.find_original(one, cid(7)), None);
        assert_eq!(routes.len(), 1);
    }

    #[test]
    fn a_reset_token_counts_from_its_address_only() {
        let mut routes = Routes::new([1; 16]);
        let [one, two] = [1, 2].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        routes.add_reset(one, [5; 16], 3);
        assert_eq!(routes.find_reset(one, [5; 16]), Some(3));
        assert_eq!(routes.find_reset(two, [5; 16]), None);
        routes.remove_reset(one, [5; 16], 4);
        assert_eq!(routes.find_reset(one, [5; 16]), Some(3));
    }

    #[test]
    fn the_secret_decides_the_hash() {
        let hash = |secret| Secret::new([secret; 16]).hash_one(cid(1));
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}
