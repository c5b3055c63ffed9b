//! A publisher's stream and the streams it becomes. RFC 9000 §2.1; MOQT draft-18 §11.4.
//!
//! Which stream of a subscriber belongs to which of the publisher is written in the subscriber's outlets,
//! by the kernel when it opens the stream and by us when we do. Whoever sets `source` opens, so there is
//! never a second one. What the kernel opened and the relay does not want is reset in the end.

use quic_lite::Time;
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::wire::stream_id::{Dir, StreamId};
use relay_ebpf_loader::layout::{
    OUTLETS, Outlet, SOURCES, Slot, Source as SharedSource, outlet_index, source_tag,
};

use super::served::SubscriberSlot;
use super::{Offloader, Source, gate};
use crate::moqt::ResetCode;
use crate::track::{PeerId, TrackId};

/// Where a publisher's stream comes out at a subscriber.
struct Way<'a> {
    outlet: &'a Outlet,
    place: u64,
    tag: u64,
    subscriber: &'a SubscriberSlot,
}

/// Who opens the stream at a subscriber.
enum Opening {
    /// The kernel has.
    ByKernel(StreamId),
    /// We do, and the kernel goes on with it.
    Ours,
    /// We do, and the kernel has no part in it.
    Alone,
    /// That changes at this moment.
    Again,
}

impl Offloader {
    /// See [`super::Offload::begin`].
    pub fn begin(&mut self, track: TrackId, (peer, stream): Source) {
        let Some(publisher) = self.served.publisher_mut(peer) else {
            return;
        };
        let index = stream.index();
        publisher.begun = publisher.begun.max(index + 1);
        let track = self.tracks.get(&track);
        let state = track
            .and_then(|track| track.index)
            .map_or(SharedSource::DONE, |it| u64::from(it) + 1);
        let sources = &self.memory.publisher(publisher.slot).sources;
        if let Some(source) = sources.get((index % SOURCES) as usize) {
            claim(source, index, state);
        }
    }

    /// See [`super::Offload::open`].
    pub fn open(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        (source, to): (Source, PeerId),
        same: bool,
    ) -> Option<StreamId> {
        // Twice at most: an outlet that the kernel gives up while we look is free.
        for _ in 0..2 {
            let Some(way) = self.way(source, to) else {
                break;
            };
            match self.opening(&way, source, same) {
                Opening::Again => {}
                Opening::ByKernel(id) => {
                    way.subscriber.ledger.set_known(way.place, true);
                    return take_opened(now, endpoint, (id, to), same);
                }
                Opening::Ours => return way.open_new(endpoint, to),
                Opening::Alone => break,
            }
        }
        Self::open_plain(endpoint, to)
    }

    fn opening(&self, way: &Way<'_>, source: Source, same: bool) -> Opening {
        let taken_by = way.outlet.source.load();
        if taken_by == way.tag && !way.subscriber.ledger.is_known(way.place) {
            return way
                .opened_by_kernel()
                .map_or(Opening::Again, Opening::ByKernel);
        }
        if taken_by != 0 || !same || !self.is_forwarded(source) {
            return Opening::Alone;
        }
        match way.outlet.source.compare_exchange(0, way.tag) {
            true => Opening::Ours,
            false => Opening::Again,
        }
    }

    /// Where the stream of a publisher comes out, if both are in the kernel.
    fn way(&self, (peer, stream): Source, to: PeerId) -> Option<Way<'_>> {
        let publisher = self.served.publisher(peer)?;
        let subscriber = self.served.subscriber(to)?;
        let (index, slot) = (stream.index(), publisher.slot);
        let place = outlet_index(slot, index);
        Some(Way {
            outlet: self.memory.outlet(subscriber.slot, place),
            place,
            tag: source_tag(slot, self.memory.slot(slot).generation(), index),
            subscriber,
        })
    }

    /// Whether the kernel forwards a stream.
    fn is_forwarded(&self, (peer, stream): Source) -> bool {
        let publisher = self.served.publisher(peer);
        publisher.is_some_and(|publisher| {
            let sources = &self.memory.publisher(publisher.slot).sources;
            let source = sources.get((stream.index() % SOURCES) as usize);
            source.is_some_and(|source| {
                source.index.load() == stream.index() + 1
                    && !matches!(source.state.load(), 0 | SharedSource::DONE)
            })
        })
    }

    /// See [`super::Offload::end`].
    pub fn end(&mut self, (peer, stream): Source) {
        let Some(publisher) = self.served.publisher_mut(peer) else {
            return;
        };
        let index = stream.index();
        let sources = &self.memory.publisher(publisher.slot).sources;
        if let Some(source) = sources.get((index % SOURCES) as usize) {
            claim(source, index, SharedSource::DONE);
            if source.index.load() == index + 1 {
                source.state.swap(SharedSource::DONE);
            }
            // A stream that found this place taken is userspace's for good.
            let last = publisher.begun.saturating_sub(1);
            let same_place = last.saturating_sub((last.wrapping_sub(index)) % SOURCES);
            if publisher.begun > 0 && same_place > index {
                claim(source, same_place, SharedSource::DONE);
            }
        }
        publisher.ended.push(index);
        self.upkeep.ending.insert(peer);
    }

    /// Frees the outlets of streams that are over, as soon as no program can be using them.
    pub(super) fn free_ended(&mut self, endpoint: &mut Endpoint) {
        for peer in core::mem::take(&mut self.upkeep.ending) {
            let publisher = self.served.publisher_mut(peer);
            let Some(publisher) = publisher else {
                continue;
            };
            let slot = self.memory.slot(publisher.slot);
            let is_crowded = publisher.ended.len() >= CROWD;
            if slot.busy.load() != 0 && !(is_crowded && rests(slot)) {
                self.upkeep.ending.insert(peer);
                continue;
            }
            let (index, generation) = (publisher.slot, slot.generation());
            let ended = core::mem::take(&mut publisher.ended);
            let subscribers = self
                .served
                .iter()
                .filter_map(|(to, served)| Some((*to, served.subscriber.as_ref()?)));
            for (to, stream) in subscribers.flat_map(|to| ended.iter().map(move |it| (to, *it))) {
                let tag = source_tag(index, generation, stream);
                let place = outlet_index(index, stream);
                self.free_outlet(endpoint, to, place, |it| it == tag);
            }
        }
    }

    /// Frees all outlets of a publisher's slot, which nobody is inside.
    pub(super) fn free_outlets_of(&self, endpoint: &mut Endpoint, publisher: u32) {
        let of_it = |tag: u64| tag >> 48 == u64::from(publisher) + 1;
        for (to, served) in self.served.iter() {
            let Some(subscriber) = &served.subscriber else {
                continue;
            };
            for place in 0..OUTLETS {
                self.free_outlet(endpoint, (*to, subscriber), place, of_it);
            }
        }
    }

    /// Frees all outlets of a subscriber, whose slot nobody is inside.
    pub(super) fn free_outlets_to(
        &self,
        endpoint: &mut Endpoint,
        to: PeerId,
        subscriber: &SubscriberSlot,
    ) {
        for place in 0..OUTLETS {
            self.free_outlet(endpoint, (to, subscriber), place, |tag| tag != 0);
        }
    }

    fn free_outlet(
        &self,
        endpoint: &mut Endpoint,
        (to, subscriber): (PeerId, &SubscriberSlot),
        place: u64,
        is_meant: impl Fn(u64) -> bool,
    ) {
        let outlet = self.memory.outlet(subscriber.slot, place);
        if !is_meant(outlet.source.load()) {
            return;
        }
        let id = outlet.id.swap(0).checked_sub(1);
        if let Some(id) = id.and_then(StreamId::from_value)
            && !subscriber.ledger.is_known(place)
        {
            reset(endpoint, to, id);
        }
        subscriber.ledger.set_known(place, false);
        outlet.limit.store(0);
        outlet.high.store(0);
        outlet.source.swap(0);
    }

    /// Ends streams that nobody knows: the relay has refused or forgotten them without a word.
    pub(super) fn end_unknown(&mut self, endpoint: &Endpoint, peer: PeerId) {
        let publisher = self.served.publisher_mut(peer);
        let Some(publisher) = publisher else {
            return;
        };
        let Some(connection) = endpoint.connection(Handle(peer.0)) else {
            return;
        };
        let theirs = connection.side().peer();
        let id = |index: u64| StreamId::new(theirs, Dir::Uni, index);
        let sources = &self.memory.publisher(publisher.slot).sources;
        let unknown: Vec<u64> = sources
            .iter()
            .filter(|source| source.state.load() != SharedSource::DONE)
            .filter_map(|source| source.index.load().checked_sub(1))
            .filter(|index| connection.streams().recv_state(id(*index)).is_none())
            .collect();
        // Once may mean that its first packet is about to be read.
        let before = core::mem::replace(&mut publisher.unknown, unknown.clone());
        for index in unknown.into_iter().filter(|index| before.contains(index)) {
            self.end((peer, id(index)));
        }
    }
}

impl Way<'_> {
    /// The stream that the kernel has opened, or is opening.
    fn opened_by_kernel(&self) -> Option<StreamId> {
        gate::comes(&self.outlet.id, |id| id != 0);
        StreamId::from_value(self.outlet.id.load().checked_sub(1)?)
    }

    /// Opens a stream and lets the kernel go on with it. The outlet is ours.
    fn open_new(&self, endpoint: &mut Endpoint, to: PeerId) -> Option<StreamId> {
        let opened = Offloader::open_plain(endpoint, to);
        let Some(id) = opened else {
            self.outlet.source.swap(0);
            return None;
        };
        let limit = endpoint
            .connection(Handle(to.0))
            .and_then(|connection| connection.streams().max_stream_data(id));
        self.subscriber.ledger.set_known(self.place, true);
        self.outlet.limit.store(limit.unwrap_or(0));
        self.outlet.high.store(0);
        self.outlet.id.store(id.value() + 1);
        opened
    }
}

/// A stream that the kernel has opened, unless it carries other offsets than it should.
fn take_opened(
    now: Time,
    endpoint: &mut Endpoint,
    (id, to): (StreamId, PeerId),
    same: bool,
) -> Option<StreamId> {
    if same {
        endpoint.connection_mut(Handle(to.0))?.collect(now);
        return Some(id);
    }
    reset(endpoint, to, id);
    Offloader::open_plain(endpoint, to)
}

/// Makes a place that is free, or whose stream is over, that of a later stream.
fn claim(source: &SharedSource, index: u64, state: u64) {
    let before = source.index.load();
    let is_free = before == 0 || (before < index + 1 && source.state.load() == SharedSource::DONE);
    if is_free && source.index.compare_exchange(before, index + 1) {
        source.state.store(state);
    }
}

/// Shuts a slot and opens it again; whether nobody was inside in between.
fn rests(slot: &Slot) -> bool {
    let was_open = slot.is_open();
    let rested = gate::shut(slot);
    if was_open && rested {
        slot.open();
    }
    rested
}

fn reset(endpoint: &mut Endpoint, to: PeerId, id: StreamId) {
    if let Some(connection) = endpoint.connection_mut(Handle(to.0)) {
        let _ = connection.streams_mut().reset(id, ResetCode::CANCELLED.0);
    }
}

/// So many streams that are over are worth a rest of the publisher's slot.
const CROWD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_goes_from_one_stream_to_a_later_one_when_it_is_over() {
        let source = SharedSource::default();
        claim(&source, 5, 9);
        assert_eq!((source.index.load(), source.state.load()), (6, 9));
        claim(&source, 5 + SOURCES, 9);
        assert_eq!(source.index.load(), 6);
        source.state.store(SharedSource::DONE);
        claim(&source, 5, 9);
        assert_eq!(source.state.load(), SharedSource::DONE, "begun anew");
        claim(&source, 5 + SOURCES, 8);
        assert_eq!((source.index.load(), source.state.load()), (6 + SOURCES, 8));
        claim(&source, 5, 9);
        assert_eq!(source.index.load(), 6 + SOURCES);
    }
}
