//! Another forwarder: it may have opened streams and sent datagrams by itself, and remembers what it is told.

use std::collections::{HashMap, HashSet};

use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::stream_id::{Dir, StreamId};

use super::world::Ends;
use crate::offload::{Member, Offload, Selector, Source};
use crate::track::{PeerId, SubscriptionId, TrackId};

/// What it knows.
#[derive(Debug, Default)]
pub(super) struct Other {
    pub(super) fed: HashMap<TrackId, PeerId>,
    pub(super) members: HashMap<SubscriptionId, (TrackId, PeerId)>,
    /// Streams that have begun and not ended.
    pub(super) begun: HashSet<Source>,
    /// Streams that it has opened before the relay knew.
    pub(super) opened: HashMap<(Source, PeerId), StreamId>,
    /// Datagrams that it has sent before the relay knew.
    pub(super) sent: HashSet<(PacketNumber, PeerId)>,
    /// Packets whose datagrams it has sent to so many, which are all.
    pub(super) carried: HashMap<PacketNumber, u64>,
}

impl Ends {
    fn other(&mut self) -> &mut Other {
        self.other.as_mut().expect("asked only then")
    }
}

impl Offload for Ends {
    fn feed(&mut self, track: TrackId, publisher: PeerId, selector: Selector) {
        assert_eq!(selector, Selector::Everything);
        self.other().fed.insert(track, publisher);
    }

    fn unfeed(&mut self, track: TrackId) {
        self.other().fed.remove(&track);
    }

    fn serve(&mut self, track: TrackId, subscription: SubscriptionId, member: Member) {
        let known = self
            .other()
            .members
            .insert(subscription, (track, member.peer));
        assert_eq!(known, None, "each pair has its own");
    }

    fn unserve(&mut self, track: TrackId, subscription: SubscriptionId) {
        let known = self.other().members.remove(&subscription);
        assert_eq!(known.map(|(of, _)| of), Some(track));
    }

    fn leave(&mut self, peer: PeerId) {
        panic!("no rights, none lost: {peer:?}");
    }

    fn begin(&mut self, track: TrackId, source: Source) {
        assert_eq!(self.other().fed.get(&track), Some(&source.0));
        assert!(self.other().begun.insert(source), "begun once");
    }

    fn open(&mut self, source: Source, to: PeerId, same: bool) -> Option<StreamId> {
        assert!(same, "every byte keeps its place");
        match self.other().opened.remove(&(source, to)) {
            Some(id) => Some(id),
            None => self.streams.get_mut(&to)?.open(Dir::Uni),
        }
    }

    fn end(&mut self, source: Source) {
        assert!(self.other().begun.remove(&source), "ended once");
    }

    fn carried(&mut self, track: TrackId, packet: PacketNumber) -> Option<u64> {
        assert!(self.other().fed.contains_key(&track));
        self.other().carried.get(&packet).copied()
    }

    fn has_sent(&mut self, track: TrackId, packet: PacketNumber, to: PeerId) -> bool {
        assert!(self.other().fed.contains_key(&track));
        self.other().sent.remove(&(packet, to))
    }
}
