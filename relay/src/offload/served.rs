//! What the offloader knows of one connection. No RFC.

use core::ops::{Deref, DerefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quic_lite::Time;
use relay_ebpf_loader::layout::{Candidate, Flow, LOCAL_CID_LEN, Slot};

use super::ledger::Ledger;
use super::pads::Pads;
use super::reason::Reason;
use super::trial::Trial;
use crate::track::{PeerId, SubscriptionId, TrackId};

/// All connections that publish or subscribe, or did.
#[derive(Debug, Default)]
pub(super) struct Roster(BTreeMap<PeerId, Served>);

/// A connection that publishes or subscribes, or did.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Where it publishes from.
    pub(super) publisher: Option<PublisherSlot>,
    /// Where it subscribes.
    pub(super) subscriber: Option<SubscriberSlot>,
    /// The tracks that it feeds.
    pub(super) feeds: BTreeSet<TrackId>,
    /// What it takes.
    pub(super) memberships: BTreeMap<SubscriptionId, TrackId>,
    /// Why the kernel does not serve it now.
    pub(super) reason: Option<Reason>,
    /// Why it will not do so again.
    pub(super) barred: Option<Reason>,
    /// What it was asked about acknowledgements.
    pub(super) acks: AckState,
}

/// What a subscriber was asked about acknowledgements, and why.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AckState {
    /// Packets for one acknowledgement; 0: it was not asked.
    pub(super) asked: u64,
    /// Packets that were sent and lost when it was last looked at.
    pub(super) sent: u64,
    pub(super) lost: u64,
    /// Bytes of those that were sent.
    pub(super) bytes: u64,
}

/// A publisher's connection in the kernel.
#[derive(Debug)]
pub(super) struct PublisherSlot {
    pub(super) slot: u32,
    pub(super) pads: Option<Pads>,
    pub(super) use_: Use,
    /// Our connection IDs that lead to it.
    pub(super) cids: Vec<[u8; LOCAL_CID_LEN]>,
    /// One more than the largest index of a stream that the relay has seen.
    pub(super) begun: u64,
    /// Streams that are over, whose outlets are taken as long as a program may use them.
    pub(super) ended: Vec<u64>,
    /// Streams that neither the relay nor the transport knew when last looked at.
    pub(super) unknown: Vec<u64>,
}

/// A subscriber's connection in the kernel.
#[derive(Debug)]
pub(super) struct SubscriberSlot {
    pub(super) slot: u32,
    pub(super) pads: Option<Pads>,
    pub(super) use_: Use,
    pub(super) ledger: Arc<Ledger>,
    /// Where its packets go, as long as they go by this path.
    pub(super) link: (Flow, Candidate),
    pub(super) trial: Trial,
}

/// When a slot was last used, and what it has left to userspace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub(super) packets: u64,
    pub(super) refused: u64,
    pub(super) at: Time,
}

impl Use {
    /// Takes note of what the slot has counted by now; whether it has refused something since the last time.
    pub(super) fn note(&mut self, now: Time, slot: &Slot) -> bool {
        let packets = slot.packets.load();
        if packets != self.packets || self.at == Time::ZERO {
            (self.packets, self.at) = (packets, now);
        }
        let refused = slot.refused.load();
        core::mem::replace(&mut self.refused, refused) != refused
    }
}

impl Roster {
    /// A connection's slot as a publisher.
    pub(super) fn publisher(&self, peer: PeerId) -> Option<&PublisherSlot> {
        self.0.get(&peer)?.publisher.as_ref()
    }

    /// The same, to change it.
    pub(super) fn publisher_mut(&mut self, peer: PeerId) -> Option<&mut PublisherSlot> {
        self.0.get_mut(&peer)?.publisher.as_mut()
    }

    /// A connection's slot as a subscriber.
    pub(super) fn subscriber(&self, peer: PeerId) -> Option<&SubscriberSlot> {
        self.0.get(&peer)?.subscriber.as_ref()
    }

    /// The same, to change it.
    pub(super) fn subscriber_mut(&mut self, peer: PeerId) -> Option<&mut SubscriberSlot> {
        self.0.get_mut(&peer)?.subscriber.as_mut()
    }
}

impl Deref for Roster {
    type Target = BTreeMap<PeerId, Served>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Roster {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Served {
    /// Whether nothing is left of it.
    pub(super) fn is_unused(&self) -> bool {
        self.feeds.is_empty()
            && self.memberships.is_empty()
            && self.publisher.is_none()
            && self.subscriber.is_none()
    }
}
