//! Tracks: who feeds them, who takes them, and what of that the kernel knows. MOQT draft-18 §11.1.

use std::collections::BTreeMap;

use quic_lite::Time;
use quic_lite::endpoint::{Endpoint, Handle};
use relay_ebpf_loader::layout::{AliasKey, MAX_MEMBERS, Source, flag};

use super::reason::Reason;
use super::{Member, Offloader, Selector, gate};
use crate::track::{PeerId, SubscriptionId, TrackId};

/// A track.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Who feeds it.
    pub(super) publisher: Option<PeerId>,
    selector: Option<Selector>,
    /// Its number in the kernel, as long as the kernel forwards it.
    pub(super) index: Option<u32>,
    pub(super) members: BTreeMap<SubscriptionId, Taking>,
    /// How many of them have a place.
    placed: usize,
    places: Places,
}

impl Fed {
    /// Whether the kernel knows everybody who takes it.
    pub(super) fn is_in_kernel(&self) -> bool {
        self.placed == self.members.len()
    }
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) member: Member,
    /// Where it stands in the kernel, if it does.
    pub(super) place: Option<u32>,
}

/// Places of a track's members.
#[derive(Debug, Default)]
struct Places {
    /// One more than the last that was ever taken.
    end: u32,
    free: Vec<u32>,
    /// A program may still be looking at these.
    left: Vec<u32>,
}

impl Places {
    /// A free place; `nobody_looks` is asked when that matters.
    fn take(&mut self, max: u32, nobody_looks: impl FnOnce() -> bool) -> Option<u32> {
        if self.free.is_empty() && !self.left.is_empty() && nobody_looks() {
            self.free.append(&mut self.left);
        }
        if let Some(place) = self.free.pop() {
            return Some(place);
        }
        let place = self.end;
        (place < max).then(|| {
            self.end += 1;
            place
        })
    }
}

impl Offloader {
    /// See [`super::Offload::feed`].
    pub fn feed(&mut self, track: TrackId, publisher: PeerId, selector: Selector) {
        let known = self.tracks.get(&track);
        let is_same = known
            .is_some_and(|fed| fed.publisher == Some(publisher) && fed.selector == Some(selector));
        if !is_same {
            self.unfeed(track);
            let fed = self.tracks.entry(track).or_default();
            (fed.publisher, fed.selector) = (Some(publisher), Some(selector));
            self.served
                .entry(publisher)
                .or_default()
                .feeds
                .insert(track);
        }
        self.asked.insert(track);
    }

    /// See [`super::Offload::unfeed`].
    pub fn unfeed(&mut self, track: TrackId) {
        let Some(fed) = self.tracks.get_mut(&track) else {
            return;
        };
        let Some(publisher) = fed.publisher.take() else {
            return;
        };
        let (index, selector) = (fed.index.take(), fed.selector.take());
        fed.places = Places::default();
        for taking in fed.members.values_mut() {
            taking.place = None;
        }
        fed.placed = 0;
        let is_unwanted = fed.members.is_empty();
        if let (Some(index), Some(selector)) = (index, selector) {
            self.clear_track(publisher, index, selector);
        }
        if is_unwanted {
            self.tracks.remove(&track);
        }
        if let Some(served) = self.served.get_mut(&publisher) {
            served.feeds.remove(&track);
        }
    }

    /// Takes a track out of the kernel, with the publisher at rest meanwhile.
    fn clear_track(&mut self, publisher: PeerId, index: u32, selector: Selector) {
        let Some(slot_index) = self.served.publisher(publisher).map(|it| it.slot) else {
            return;
        };
        let slot = self.memory.slot(slot_index);
        let was_open = slot.is_open();
        if !gate::shut(slot) {
            // The number stays taken: a program may be forwarding the track at this moment.
            return self.halt(publisher);
        }
        match selector {
            Selector::Alias(alias) => self.engine.remove_alias(AliasKey {
                slot: u64::from(slot_index),
                alias,
            }),
            Selector::Everything => {
                slot.flags.store(slot.flags.load() & !flag::RAW);
                slot.raw_track.store(0);
            }
        }
        let shared = self.memory.track(index);
        for place in 0..shared.members.load() as u32 {
            self.memory.member(index, place).slot.store(0);
        }
        shared.members.store(0);
        super::carried::renew(shared);
        for source in &self.memory.publisher(slot_index).sources {
            if source.state.load() == u64::from(index) + 1 {
                source.state.store(Source::DONE);
            }
        }
        self.free_tracks.push(index);
        if was_open {
            slot.open();
        }
    }

    /// See [`super::Offload::serve`].
    pub fn serve(&mut self, track: TrackId, subscription: SubscriptionId, member: Member) {
        let known = self
            .tracks
            .get(&track)
            .and_then(|fed| fed.members.get(&subscription));
        if known.is_some_and(|taking| taking.member == member) {
            return;
        }
        self.unplace(track, subscription);
        let fed = self.tracks.entry(track).or_default();
        let place = None;
        fed.members.insert(subscription, Taking { member, place });
        let served = self.served.entry(member.peer).or_default();
        served.memberships.insert(subscription, track);
        self.asked.insert(track);
    }

    /// See [`super::Offload::unserve`].
    pub fn unserve(&mut self, track: TrackId, subscription: SubscriptionId) {
        self.unplace(track, subscription);
        let Some(fed) = self.tracks.get_mut(&track) else {
            return;
        };
        let Some(taking) = fed.members.remove(&subscription) else {
            return;
        };
        if fed.members.is_empty() && fed.publisher.is_none() {
            self.tracks.remove(&track);
        }
        if let Some(served) = self.served.get_mut(&taking.member.peer) {
            served.memberships.remove(&subscription);
        }
    }

    /// Takes a member out of the kernel.
    fn unplace(&mut self, track: TrackId, subscription: SubscriptionId) {
        let Some(fed) = self.tracks.get_mut(&track) else {
            return;
        };
        let place = fed
            .members
            .get_mut(&subscription)
            .and_then(|taking| taking.place.take());
        if let (Some(index), Some(place)) = (fed.index, place) {
            self.memory.member(index, place).slot.swap(0);
            fed.places.left.push(place);
            fed.placed -= 1;
            super::carried::renew(self.memory.track(index));
        }
    }

    /// Takes all that a connection takes out of the kernel; userspace goes on.
    pub(super) fn unplace_all(&mut self, peer: PeerId) {
        let memberships = self.served.get(&peer).map(|it| it.memberships.clone());
        for (subscription, track) in memberships.into_iter().flatten() {
            self.unplace(track, subscription);
        }
    }

    /// A connection takes nothing any more.
    pub(super) fn forget_members_of(&mut self, peer: PeerId) {
        let memberships = self.served.get(&peer).map(|it| it.memberships.clone());
        for (subscription, track) in memberships.into_iter().flatten() {
            self.unserve(track, subscription);
        }
    }

    /// The tracks that a connection has to do with.
    pub(super) fn tracks_of(&self, peer: PeerId) -> Vec<TrackId> {
        let Some(served) = self.served.get(&peer) else {
            return Vec::new();
        };
        let fed = served.feeds.iter();
        fed.chain(served.memberships.values()).copied().collect()
    }

    /// Gives the kernel of a track what it can have.
    pub(super) fn settle(&mut self, now: Time, endpoint: &mut Endpoint, track: TrackId) {
        let Some(fed) = self
            .tracks
            .get(&track)
            .filter(|fed| !fed.members.is_empty())
        else {
            return;
        };
        let raised = match fed.publisher {
            None => Err(Reason::PublisherInUserspace),
            Some(peer) => {
                let raised = self.raise_track(now, endpoint, track, peer);
                self.note(peer, raised.err());
                raised.map_err(|_| Reason::PublisherInUserspace)
            }
        };
        for (subscription, peer) in self.unplaced(track) {
            let placed =
                raised.and_then(|of| self.place(now, endpoint, (track, subscription, peer), of));
            self.note(peer, placed.err());
        }
    }

    fn unplaced(&self, track: TrackId) -> Vec<(SubscriptionId, PeerId)> {
        let members = self.tracks.get(&track).into_iter();
        members
            .flat_map(|fed| &fed.members)
            .filter(|(_, taking)| taking.place.is_none())
            .map(|(id, taking)| (*id, taking.member.peer))
            .collect()
    }

    /// Remembers why a connection is not served, or that it is.
    fn note(&mut self, peer: PeerId, reason: Option<Reason>) {
        let served = self.served.entry(peer).or_default();
        // Served for one track, it is served.
        if reason != Some(Reason::PublisherInUserspace) || served.subscriber.is_none() {
            if let Some(why) = reason.filter(|_| served.reason != reason) {
                log::debug!("{}: in userspace: {why}", Handle(peer.0));
            }
            served.reason = reason;
        }
        self.upkeep.retries |= reason.is_some_and(Reason::may_pass);
    }

    /// The publisher's slot and the track's number, when the kernel knows both.
    fn raise_track(
        &mut self,
        now: Time,
        endpoint: &Endpoint,
        track: TrackId,
        publisher: PeerId,
    ) -> Result<(u32, u32), Reason> {
        let slot = self.raise_publisher(now, endpoint, publisher)?;
        let fed = self.tracks.get(&track).ok_or(Reason::Closed)?;
        if let Some(index) = fed.index {
            return Ok((slot, index));
        }
        let selector = fed.selector.ok_or(Reason::Closed)?;
        let index = self.free_tracks.pop().ok_or(Reason::MapFull)?;
        if let Err(reason) = self.select(slot, selector, index) {
            self.free_tracks.push(index);
            return Err(reason);
        }
        if let Some(fed) = self.tracks.get_mut(&track) {
            fed.index = Some(index);
        }
        Ok((slot, index))
    }

    /// Tells the kernel what of a publisher's packets belongs to a track.
    fn select(&self, slot: u32, selector: Selector, index: u32) -> Result<(), Reason> {
        match selector {
            Selector::Alias(alias) => {
                let slot = u64::from(slot);
                let set = self.engine.set_alias(AliasKey { slot, alias }, index);
                set.map_err(|_| Reason::MapFull)
            }
            Selector::Everything => {
                let slot = self.memory.slot(slot);
                if !gate::shut(slot) {
                    return Err(Reason::Stuck);
                }
                slot.raw_track.store(u64::from(index) + 1);
                slot.flags.store(slot.flags.load() | flag::RAW);
                slot.open();
                Ok(())
            }
        }
    }

    /// Makes a subscription a member in the kernel.
    fn place(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        (track, subscription, peer): (TrackId, SubscriptionId, PeerId),
        (publisher, index): (u32, u32),
    ) -> Result<(), Reason> {
        let slot = self.raise_subscriber(now, endpoint, peer)?;
        let (from, to) = (self.memory.slot(publisher), self.memory.slot(slot));
        if from.family.load() != to.family.load() {
            return Err(Reason::Family);
        }
        let reserve = self.reserve(endpoint, peer, track, subscription);
        let fed = self.tracks.get_mut(&track).ok_or(Reason::Closed)?;
        let max = MAX_MEMBERS.min(u64::from(self.memory.sizes().slots)) as u32;
        let taking = fed.members.get_mut(&subscription).ok_or(Reason::Closed)?;
        let place = fed.places.take(max, || from.busy.load() == 0);
        let place = place.ok_or(Reason::MapFull)?;
        taking.place = Some(place);
        let wanted = &taking.member;
        let shared = self.memory.member(index, place);
        shared.generation.store(to.generation());
        let same = relay_ebpf_loader::layout::Member::SAME_ALIAS;
        shared.alias.store(wanted.alias.unwrap_or(same));
        shared.first_group.store(wanted.first_group);
        shared.last_group.store(wanted.last_group);
        shared.reserve.store(reserve);
        shared.slot.store(u64::from(slot) + 1);
        self.memory
            .track(index)
            .members
            .store(u64::from(fed.places.end));
        fed.placed += 1;
        super::carried::renew(self.memory.track(index));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_only_when_nobody_looks() {
        let mut places = Places::default();
        assert_eq!(places.take(2, || true), Some(0));
        places.left.push(0);
        assert_eq!(places.take(2, || false), Some(1));
        assert_eq!(places.take(2, || false), None);
        assert_eq!(places.take(2, || true), Some(0));
    }
}
