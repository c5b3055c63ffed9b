//! Where connections live, and the handles that name them. No RFC.
//!
//! Promise: a handle of a connection that is gone never names a later one in the same slot.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::Time;
use crate::connection::Connection;
use crate::wire::connection_id::ConnectionId;

use super::routes::ResetToken;

/// Names one connection of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub usize);

impl Handle {
    fn new(slot: usize, generation: usize) -> Self {
        Self(generation << SLOT_BITS | slot)
    }

    /// A small number that no other living connection of the endpoint has: an index for tables.
    pub const fn slot(self) -> usize {
        self.0 & SLOT_MASK
    }

    const fn generation(self) -> usize {
        self.0 >> SLOT_BITS
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
    }
}

/// A connection and what the endpoint remembers about it.
pub(super) struct Entry {
    pub(super) connection: Connection,
    pub(super) handle: Handle,
    /// Our connection IDs that lead here.
    pub(super) cids: Vec<ConnectionId>,
    /// The client's address and the ID it chose for its first packets.
    pub(super) original: Option<(SocketAddr, ConnectionId)>,
    /// The peer's stateless reset tokens that lead here.
    pub(super) resets: Vec<(SocketAddr, ResetToken)>,
    /// While a server's connection has not completed its handshake: the network it counts against.
    pub(super) half_open: Option<IpAddr>,
    /// Stands in the list of connections whose events and deadlines may have changed.
    pub(super) touched: bool,
    /// Stands in the queue of connections that may have something to send.
    pub(super) ready: bool,
}

impl Entry {
    pub(super) fn new(connection: Connection, handle: Handle) -> Self {
        Self {
            connection,
            handle,
            cids: Vec::new(),
            original: None,
            resets: Vec::new(),
            half_open: None,
            touched: false,
            ready: false,
        }
    }
}

/// A slab of connections.
#[derive(Default)]
pub(super) struct Slots {
    entries: Vec<Option<Box<Entry>>>,
    generations: Vec<usize>,
    free: Vec<usize>,
}

impl Slots {
    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The handle that the next [`Self::insert`] gives.
    pub(super) fn next_handle(&self) -> Handle {
        let slot = self.free.last().copied().unwrap_or(self.entries.len());
        Handle::new(slot, self.generations.get(slot).copied().unwrap_or(0))
    }

    pub(super) fn insert(&mut self, connection: Connection) -> Handle {
        let handle = self.next_handle();
        let entry = Some(Box::new(Entry::new(connection, handle)));
        match self.free.pop() {
            Some(slot) => self.entries[slot] = entry,
            None => {
                self.entries.push(entry);
                self.generations.push(0);
            }
        }
        handle
    }

    pub(super) fn remove(&mut self, slot: usize) -> Option<Box<Entry>> {
        let entry = self.entries.get_mut(slot)?.take()?;
        // The generation wraps around after as many connections as half a word counts.
        self.generations[slot] = (self.generations[slot] + 1) & SLOT_MASK;
        self.free.push(slot);
        Some(entry)
    }

    pub(super) fn entry(&mut self, slot: usize) -> Option<&mut Entry> {
        self.entries.get_mut(slot)?.as_deref_mut()
    }

    /// When a connection wants its timeouts served.
    pub(super) fn deadline(&self, slot: usize) -> Option<Time> {
        let entry = self.entries.get(slot)?.as_deref()?;
        entry.connection.next_timeout()
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&Entry> {
        let entry = self.entries.get(handle.slot())?.as_deref()?;
        (entry.handle == handle).then_some(entry)
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut Entry> {
        self.entry(handle.slot())
            .filter(|entry| entry.handle == handle)
    }

    pub(super) fn handles(&self) -> impl Iterator<Item = Handle> {
        self.entries.iter().flatten().map(|entry| entry.handle)
    }
}

const SLOT_BITS: u32 = usize::BITS / 2;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;
