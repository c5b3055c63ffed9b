//! Connections get slots, lose them for a moment when something changes, and give them back.
//! RFC 9000 §9, §10.2; RFC 9001 §6.

use std::sync::Arc;

use core::time::Duration;

use quic_lite::Time;
use quic_lite::connection::Connection;
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::wire::stream_id::Dir;
use relay_ebpf_loader::layout::{LOCAL_CID_LEN, REPLAY, SOURCES, Source};

use super::ledger::Ledger;
use super::pads::Pads;
use super::reason::Reason;
use super::sender::Sender;
use super::served::{PublisherSlot, SubscriberSlot, Use};
use super::trial::Trial;
use super::{Offloader, fill, gate};
use crate::track::PeerId;

impl Offloader {
    /// Gives a publisher a slot that the kernel uses, if that is possible and it has none.
    pub(super) fn raise_publisher(
        &mut self,
        now: Time,
        endpoint: &Endpoint,
        peer: PeerId,
    ) -> Result<u32, Reason> {
        let connection = endpoint.connection(Handle(peer.0)).ok_or(Reason::Closed)?;
        self.admit(peer, connection)?;
        let served = self.served.entry(peer).or_default();
        if let Some(publisher) = &served.publisher {
            let slot = publisher.slot;
            return self.reopen_publisher(connection, peer).map(|()| slot);
        }
        let slot = self.slots.take(now).ok_or(Reason::MapFull)?;
        served.publisher = Some(PublisherSlot {
            slot,
            pads: None,
            use_: Use::default(),
            cids: Vec::new(),
            begun: 0,
            ended: Vec::new(),
            unknown: Vec::new(),
        });
        self.mark_old_streams(connection, peer);
        self.reopen_publisher(connection, peer).map(|()| slot)
    }

    /// Streams that began without the kernel are userspace's, also when their beginning comes again.
    fn mark_old_streams(&mut self, connection: &Connection, peer: PeerId) {
        let publisher = self.served.publisher_mut(peer);
        let Some(publisher) = publisher else {
            return;
        };
        publisher.begun = connection.streams().opened_by_peer(Dir::Uni);
        let shared = self.memory.publisher(publisher.slot);
        for index in publisher.begun.saturating_sub(SOURCES)..publisher.begun {
            if let Some(source) = shared.sources.get((index % SOURCES) as usize) {
                source.state.store(Source::DONE);
                source.index.store(index + 1);
            }
        }
    }

    /// Fills a publisher's slot with what its connection has now and opens it.
    fn reopen_publisher(&mut self, connection: &Connection, peer: PeerId) -> Result<(), Reason> {
        self.sync_cids(connection, peer)?;
        let publisher = self.served.publisher_mut(peer);
        let publisher = publisher.ok_or(Reason::Closed)?;
        let slot = self.memory.slot(publisher.slot);
        if slot.is_open() {
            return Ok(());
        }
        if !gate::shut(slot) {
            return Err(Reason::Stuck);
        }
        let raw = fill::publisher(slot, connection)?;
        let pads = |(key, iv)| Pads::new(self.memory.clone(), publisher.slot, key, iv);
        publisher.pads = raw.map(pads);
        let received = connection.largest_received();
        remember_received(
            self.memory.publisher(publisher.slot),
            received.map_or(0, |number| number.value() + 1),
        );
        slot.open();
        Ok(())
    }

    /// Tells the kernel by which connection IDs packets of a publisher come.
    fn sync_cids(&mut self, connection: &Connection, peer: PeerId) -> Result<(), Reason> {
        let publisher = self.served.publisher_mut(peer);
        let Some(publisher) = publisher else {
            return Ok(());
        };
        let ours: Vec<[u8; LOCAL_CID_LEN]> = connection
            .local_cids()
            .filter_map(|cid| cid.as_slice().try_into().ok())
            .collect();
        for gone in publisher.cids.iter().filter(|cid| !ours.contains(cid)) {
            self.engine.remove_cid(*gone);
        }
        publisher.cids.retain(|cid| ours.contains(cid));
        for cid in ours {
            if !publisher.cids.contains(&cid) {
                let set = self.engine.set_cid(cid, publisher.slot);
                set.map_err(|_| Reason::MapFull)?;
                publisher.cids.push(cid);
            }
        }
        Ok(())
    }

    /// Gives a subscriber a slot that the kernel uses, if that is possible and it has none.
    pub(super) fn raise_subscriber(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        peer: PeerId,
    ) -> Result<u32, Reason> {
        let connection = endpoint
            .connection_mut(Handle(peer.0))
            .ok_or(Reason::Closed)?;
        self.admit(peer, connection)?;
        let served = self.served.entry(peer).or_default();
        if let Some(subscriber) = &served.subscriber {
            let slot = subscriber.slot;
            return self.reopen_subscriber(connection, peer).map(|()| slot);
        }
        let flow = fill::flow(connection.path());
        let link = self.engine.candidate(&flow).ok_or(Reason::NoLinkAddress)?;
        let slot = self.slots.take(now).ok_or(Reason::MapFull)?;
        let shared = self.memory.slot(slot);
        shared
            .next_number
            .store(connection.next_packet_number().value());
        shared
            .streams_opened
            .store(connection.streams().opened(Dir::Uni));
        let ledger = Arc::new(Ledger::default());
        let sender = Sender::new(self.memory.clone(), slot, self.clock, ledger.clone());
        if !connection.set_other_sender(Box::new(sender)) {
            self.slots.give_back(slot, now);
            return Err(Reason::HandshakeNotConfirmed);
        }
        served.subscriber = Some(SubscriberSlot {
            slot,
            pads: None,
            use_: Use::default(),
            ledger,
            link: (flow, link),
            trial: Trial::new(connection.stats()),
        });
        self.reopen_subscriber(connection, peer).map(|()| slot)
    }

    /// Fills a subscriber's slot with what its connection has now and opens it.
    fn reopen_subscriber(&mut self, connection: &Connection, peer: PeerId) -> Result<(), Reason> {
        let subscriber = self.served.subscriber_mut(peer);
        let subscriber = subscriber.ok_or(Reason::Closed)?;
        let slot = self.memory.slot(subscriber.slot);
        if slot.is_open() {
            return Ok(());
        }
        if subscriber.ledger.is_stuck() || !gate::shut(slot) {
            return Err(Reason::Stuck);
        }
        let flow = fill::flow(connection.path());
        // Candidates are forgotten when there are too many; on the same path the last one still counts.
        let known = Some(subscriber.link).filter(|(path, _)| *path == flow);
        let found = self.engine.candidate(&flow).or(known.map(|(_, link)| link));
        let link = found.ok_or(Reason::NoLinkAddress)?;
        subscriber.link = (flow, link);
        let raw = fill::subscriber(slot, connection, &link)?;
        let pads = |(key, iv)| Pads::new(self.memory.clone(), subscriber.slot, key, iv);
        subscriber.pads = raw.map(pads);
        subscriber.trial = Trial::new(connection.stats());
        slot.open();
        Ok(())
    }

    /// Keeps the kernel out of a connection's slots until it is refreshed.
    pub(super) fn halt(&mut self, peer: PeerId) {
        let Some(served) = self.served.get_mut(&peer) else {
            return;
        };
        if let Some(publisher) = &served.publisher
            && !gate::shut(self.memory.slot(publisher.slot))
        {
            served.barred = Some(Reason::Stuck);
        }
        if let Some(subscriber) = &served.subscriber
            && !gate::shut(self.memory.slot(subscriber.slot))
        {
            subscriber.ledger.set_stuck();
        }
    }

    /// Why a connection cannot have a slot, or not now.
    fn admit(&self, peer: PeerId, connection: &Connection) -> Result<(), Reason> {
        if !self.is_on {
            return Err(Reason::SwitchedOff);
        }
        match self.served.get(&peer).and_then(|it| it.barred) {
            Some(reason) => Err(reason),
            None => fill::examine(connection),
        }
    }

    /// Something about a connection has changed: its slots follow, or rest until they can.
    pub(super) fn refresh(&mut self, now: Time, endpoint: &mut Endpoint, peer: PeerId) {
        let Some(served) = self.served.get(&peer) else {
            return;
        };
        let (publishes, subscribes) = (served.publisher.is_some(), served.subscriber.is_some());
        let tracks = self.tracks_of(peer);
        // What could not be served before may be possible now.
        self.unsettled.extend(tracks);
        let mut results = Vec::new();
        if publishes {
            results.push(self.raise_publisher(now, endpoint, peer));
        }
        if subscribes {
            results.push(self.raise_subscriber(now, endpoint, peer));
        }
        let reason = results.into_iter().find_map(Result::err);
        if let Some(served) = self.served.get_mut(&peer)
            && (publishes || subscribes)
        {
            served.reason = reason;
        }
    }

    /// Takes a connection's slots back, in this order: the kernel stops; the connection learns of all that
    /// was sent and goes on alone; keys are wiped; the slot rests.
    pub(super) fn lower(&mut self, now: Time, endpoint: &mut Endpoint, peer: PeerId) {
        self.lower_publisher(now, endpoint, peer);
        self.lower_subscriber(now, endpoint, peer);
    }

    /// See [`super::Offload::leave`].
    pub fn leave(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle) {
        let peer = PeerId(handle.0);
        let Some(served) = self.served.get(&peer) else {
            return;
        };
        let (feeds, takes) = (!served.feeds.is_empty(), !served.memberships.is_empty());
        if !feeds {
            self.lower_publisher(now, endpoint, peer);
        }
        if !takes {
            self.lower_subscriber(now, endpoint, peer);
        }
    }

    pub(super) fn lower_publisher(&mut self, now: Time, endpoint: &mut Endpoint, peer: PeerId) {
        let publisher = self
            .served
            .get_mut(&peer)
            .and_then(|it| it.publisher.take());
        let Some(publisher) = publisher else {
            return;
        };
        publisher
            .cids
            .iter()
            .for_each(|cid| self.engine.remove_cid(*cid));
        if gate::shut(self.memory.slot(publisher.slot)) {
            self.free_outlets_of(endpoint, publisher.slot);
            let rest = rest(endpoint.connection(Handle(peer.0)));
            self.slots.give_back(publisher.slot, now + rest);
        } else {
            self.slots.lose();
        }
    }

    pub(super) fn lower_subscriber(&mut self, now: Time, endpoint: &mut Endpoint, peer: PeerId) {
        let subscriber = self
            .served
            .get_mut(&peer)
            .and_then(|it| it.subscriber.take());
        let Some(subscriber) = subscriber else {
            return;
        };
        let is_left = gate::shut(self.memory.slot(subscriber.slot));
        if is_left {
            self.free_outlets_to(endpoint, peer, &subscriber);
        }
        let connection = endpoint.connection_mut(Handle(peer.0));
        let rest = rest(connection.as_deref());
        if let Some(connection) = connection {
            connection.collect(now);
            connection.take_other_sender(now);
        }
        match is_left {
            true => self.slots.give_back(subscriber.slot, now + rest),
            false => self.slots.lose(),
        }
    }
}

/// The kernel is to take as seen what userspace has received, or may have.
fn remember_received(publisher: &relay_ebpf_loader::layout::Publisher, next: u64) {
    let largest = publisher.largest.load().max(next);
    publisher.largest.store(largest);
    for number in next.saturating_sub(REPLAY)..next {
        if let Some(seen) = publisher.seen.get((number % REPLAY) as usize) {
            seen.store(seen.load().max(number + 1));
        }
    }
}

/// How long a slot rests: packets that the network still has find nobody.
fn rest(connection: Option<&Connection>) -> Duration {
    let ptos = connection.map_or(Duration::ZERO, |it| it.recovery().pto() * 3);
    ptos.max(REST)
}

/// A slot rests at least so long.
const REST: Duration = Duration::from_secs(1);
