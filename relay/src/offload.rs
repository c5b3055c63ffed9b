//! ⑪ What the kernel forwards: the decision, and the filling of the memory it works from. No RFC; what the
//! kernel does with it is in `ebpf/`.
//!
//! An [`Offloader`] hears what the relay serves to whom (as [`Offload`]) and what happens to connections,
//! and keeps the kernel's tables to match: slots with keys and addresses, tracks, their members, streams
//! under way. Whatever it cannot give to the kernel, userspace does as if there were no kernel: each
//! connection has a [`Reason`].
//!
//! | file | what |
//! |---|---|
//! | `slots`, `gate`, `fill` | which slot is whose; keeping the kernel out; a slot's contents |
//! | `raise` | connections get slots, lose them for a moment, and for good |
//! | `tracks` | publishers, aliases, members |
//! | `streams` | a publisher's stream and what it is at each subscriber |
//! | `sender`, `ledger` | what the kernel sends, as the connection learns of it |
//! | `calm` | whether anybody waits for userspace |
//! | `carried` | packets that the kernel has brought to everybody |
//! | `pads` | key streams ahead of time |
//! | `trial` | whether what the kernel sends arrives |
//! | `upkeep` | the lease, and what is looked at once in a while |
//! | `status`, `reason` | for people |
//!
//! Promise: nothing is sent to an address that has not proved itself, under a key that is not in use any
//! more, or after the end of a connection; and nothing is lost or doubled because the kernel sends it
//! and userspace does not know yet.

mod calm;
mod carried;
mod clock;
mod fill;
mod gate;
mod ledger;
mod pads;
mod raise;
mod reason;
mod sender;
mod served;
mod slots;
mod status;
mod streams;
mod tracks;
mod trial;
mod upkeep;

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use quic_lite::connection::Event;
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::stream_id::StreamId;
use quic_lite::{Dir, Time};
use relay_ebpf_loader::{Engine, Memory};

use crate::track::{PeerId, SubscriptionId, TrackId};

pub use clock::KernelClock;
pub use reason::Reason;
pub use status::Forwarding;

use served::Roster;
use slots::Slots;
use tracks::Fed;
use upkeep::Upkeep;

/// A stream of a publisher.
pub type Source = (PeerId, StreamId);

/// What of a publisher's connection belongs to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// MOQT streams and datagrams with this track alias.
    Alias(u64),
    /// All unidirectional streams and datagrams.
    Everything,
}

/// What a subscription takes of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whose it is.
    pub peer: PeerId,
    /// The track's alias there; `None` when the bytes stay as they are.
    pub alias: Option<u64>,
    /// The first group that it takes as a whole.
    pub first_group: u64,
    /// The last group.
    pub last_group: u64,
    /// Its priority among the subscriber's: the smallest goes first.
    pub priority: u8,
}

/// Another forwarder, as whoever serves tracks in userspace sees it.
pub trait Offload {
    /// A publisher feeds a track from now on, in the place of another.
    fn feed(&mut self, track: TrackId, publisher: PeerId, selector: Selector);

    /// Nobody feeds a track any more. Its streams that are under way are userspace's.
    fn unfeed(&mut self, track: TrackId);

    /// A subscription takes this of a track, beginning with a stream that begins later.
    fn serve(&mut self, track: TrackId, subscription: SubscriptionId, member: Member);

    /// A subscription takes nothing of a track any more.
    fn unserve(&mut self, track: TrackId, subscription: SubscriptionId);

    /// A connection has lost rights: what it does not need for those that are left is taken from it at once.
    fn leave(&mut self, peer: PeerId);

    /// A stream of a publisher belongs to a track. To be called when its beginning is read, before `open`.
    fn begin(&mut self, track: TrackId, source: Source);

    /// A stream to a subscriber for a publisher's stream: the one that the kernel has opened, or a new
    /// one; `None` when the subscriber allows none. `same` says that each byte goes to its own offset.
    fn open(&mut self, source: Source, to: PeerId, same: bool) -> Option<StreamId>;

    /// All of a publisher's stream has been read, or the rest is not wanted.
    fn end(&mut self, source: Source);

    /// Whether everybody who takes a track has got all datagrams that came for it in this packet: how many those are.
    /// Nobody is to be asked about with `has_sent` then.
    fn carried(&mut self, track: TrackId, packet: PacketNumber) -> Option<u64>;

    /// Whether a datagram of a track that came in this packet has been sent to a subscriber already. To be
    /// asked once for each datagram and subscriber.
    fn has_sent(&mut self, track: TrackId, packet: PacketNumber, to: PeerId) -> bool;
}

/// Decides what the kernel forwards.
#[derive(Debug)]
pub struct Offloader {
    engine: Box<dyn Engine>,
    memory: Arc<Memory>,
    clock: KernelClock,
    slots: Slots,
    served: Roster,
    tracks: HashMap<TrackId, Fed>,
    free_tracks: Vec<u32>,
    /// Connections to look at in this turn.
    stirred: BTreeSet<PeerId>,
    /// Tracks to look at in this turn, and in the next: what userspace sends in this one, such as
    /// SUBSCRIBE_OK, had better leave before the kernel begins.
    unsettled: BTreeSet<TrackId>,
    asked: BTreeSet<TrackId>,
    upkeep: Upkeep,
    is_on: bool,
}

impl Offloader {
    /// One that has given nothing to the kernel. The engine's tables are empty.
    pub fn new(engine: Box<dyn Engine>, clock: KernelClock, port: u16) -> Self {
        let memory = engine.memory().clone();
        memory.config().port.store(u64::from(port));
        Self {
            slots: Slots::new(memory.clone()),
            free_tracks: (0..memory.sizes().tracks).rev().collect(),
            engine,
            memory,
            clock,
            served: Roster::default(),
            tracks: HashMap::new(),
            stirred: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            asked: BTreeSet::new(),
            upkeep: Upkeep::default(),
            is_on: true,
        }
    }

    /// Switches the kernel's part off, at once, or on again. Whatever it had under way goes on either way.
    pub fn switch(&mut self, on: bool) {
        if on == core::mem::replace(&mut self.is_on, on) {
            return;
        }
        if !on {
            // Nothing at all is forwarded from here on; then each slot is left.
            self.memory.config().alive_until.store(0);
            let peers: Vec<PeerId> = self.served.keys().copied().collect();
            peers.into_iter().for_each(|peer| self.halt(peer));
        }
        self.stirred.extend(self.served.keys());
    }

    /// How many slots are taken, and how many there are. A connection takes one for each direction.
    pub fn slots(&self) -> (usize, usize) {
        (self.slots.used(), self.memory.sizes().slots as usize)
    }

    /// Something happened on a connection. To be called before the relay hears of it.
    pub fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: &Event) {
        let peer = PeerId(handle.0);
        if !self.served.contains_key(&peer) {
            return;
        }
        match event {
            Event::KeysUpdated { .. } | Event::PathChanged { .. } => self.halt(peer),
            Event::HandshakeConfirmed
            | Event::PathValidated(_)
            | Event::RemoteCidChanged(_)
            | Event::ConnectionIdIssued(_)
            | Event::ConnectionIdRetired(_) => {}
            Event::Closed(_) => return self.close(now, endpoint, handle),
            _ => return,
        }
        self.stirred.insert(peer);
    }

    /// A turn of the event loop, after its events and before anything is sent.
    pub fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        self.renew_lease(now);
        if !(self.stirred.is_empty() && self.unsettled.is_empty() && self.asked.is_empty()) {
            self.upkeep.calm.disturb(now);
        }
        for peer in core::mem::take(&mut self.stirred) {
            self.refresh(now, endpoint, peer);
        }
        for track in core::mem::take(&mut self.unsettled) {
            self.settle(now, endpoint, track);
        }
        self.unsettled = core::mem::take(&mut self.asked);
        self.free_ended(endpoint);
        self.look_around(now, endpoint);
        self.fill_pads(now);
    }

    /// How long nobody waits for userspace, after [`Self::on_tick`].
    pub fn rest(&self, now: Time) -> Option<Duration> {
        self.upkeep.calm.rest(now)
    }

    /// Something is going on besides the forwarding of media.
    pub const fn disturb(&mut self, now: Time) {
        self.upkeep.calm.disturb(now);
    }

    /// When [`Self::on_tick`] must be called at the latest: the lease runs out.
    pub fn next_timeout(&self) -> Time {
        self.upkeep.next_turn()
    }

    /// A connection is going to be closed by us: the kernel stops first.
    pub fn close(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle) {
        let peer = PeerId(handle.0);
        let feeds = self.served.get(&peer).map(|it| it.feeds.clone());
        for track in feeds.into_iter().flatten() {
            self.unfeed(track);
        }
        self.forget_members_of(peer);
        self.lower(now, endpoint, peer);
        self.served.remove(&peer);
        self.stirred.remove(&peer);
    }

    /// See [`Offload::has_sent`].
    pub fn has_sent(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        (track, packet): (TrackId, PacketNumber),
        to: PeerId,
    ) -> bool {
        let to_slot = self.served.subscriber(to);
        let (Some(subscriber), Some(from)) = (to_slot, self.origin(track)) else {
            return false;
        };
        if let Some(connection) = endpoint.connection_mut(Handle(to.0)) {
            connection.collect(now);
        }
        let origin = (from, packet.value());
        let is_told = subscriber.ledger.datagrams().take(origin);
        is_told || self.is_in_log(subscriber, origin)
    }

    /// A track and its publisher, as the sent log names them.
    fn origin(&self, track: TrackId) -> Option<u64> {
        let fed = self.tracks.get(&track)?;
        let publisher = self.served.publisher(fed.publisher?)?;
        Some(u64::from(publisher.slot) | u64::from(fed.index?) << 32)
    }

    /// Opens a stream without the kernel's help.
    fn open_plain(endpoint: &mut Endpoint, to: PeerId) -> Option<StreamId> {
        let connection = endpoint.connection_mut(Handle(to.0))?;
        connection.streams_mut().open(Dir::Uni)
    }
}
