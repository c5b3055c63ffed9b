//! What is done in each turn of the loop and what only once in a while. RFC 9002 §6.2;
//! draft-ietf-quic-ack-frequency.

use core::ops::RangeBounds;
use core::time::Duration;
use std::collections::BTreeSet;

use quic_lite::Time;
use quic_lite::connection::Connection;
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::error::TransportErrorCode;
use relay_ebpf_loader::Memory;
use relay_ebpf_loader::layout::LEASE_NANOS;

use super::calm::Calm;
use super::ledger::Origin;
use super::pads::{Span, Stream};
use super::reason::Reason;
use super::sender::origins;
use super::served::{AckState, PublisherSlot, Served, SubscriberSlot};
use super::tracks::Fed;
use super::{Offloader, fill, gate};
use crate::track::{PeerId, SubscriptionId, TrackId};

/// When what is due, and what waits.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Publishers with streams that are over.
    pub(super) ending: BTreeSet<PeerId>,
    /// Something could not be served that may be possible later.
    pub(super) retries: bool,
    next_turn: Time,
    next_look: Time,
    next_inspection: Time,
    /// Whose pads were filled last.
    filled: Option<PeerId>,
    pub(super) calm: Calm,
}

impl Upkeep {
    pub(super) const fn next_turn(&self) -> Time {
        self.next_turn
    }
}

impl Offloader {
    /// The kernel forwards only as long as we are alive.
    pub(super) fn renew_lease(&mut self, now: Time) {
        if self.is_on {
            let until = self.clock.nanos(now).saturating_add(LEASE_NANOS);
            self.memory.config().alive_until.store(until);
        }
        self.upkeep.next_turn = now + TURN;
    }

    /// Looks at all connections, now and then.
    pub(super) fn look_around(&mut self, now: Time, endpoint: &mut Endpoint) {
        if now < self.upkeep.next_look {
            return;
        }
        self.upkeep.next_look = now + LOOK;
        if core::mem::take(&mut self.upkeep.retries) {
            self.unsettled.extend(self.tracks.keys());
        }
        let inspect = now >= self.upkeep.next_inspection;
        if inspect {
            self.upkeep.next_inspection = now + INSPECTION;
        }
        let peers: Vec<PeerId> = self.served.keys().copied().collect();
        for peer in peers {
            self.try_out(now, endpoint, peer);
            if inspect {
                self.inspect(now, endpoint, peer);
            }
        }
        let mut fed = self.tracks.values().filter(|fed| fed.publisher.is_some());
        let is_whole = fed.all(Fed::is_in_kernel) && endpoint.half_open() == 0;
        self.upkeep.calm.set_whole(is_whole);
    }

    /// Whether what the kernel sends to a subscriber arrives, and no program is lost in its slot.
    fn try_out(&mut self, now: Time, endpoint: &mut Endpoint, peer: PeerId) {
        let served = self.served.get_mut(&peer);
        let Some(served) = served.filter(|it| it.subscriber.is_some()) else {
            return;
        };
        let Some(connection) = endpoint.connection_mut(Handle(peer.0)) else {
            return;
        };
        connection.collect(now);
        let Some(subscriber) = &mut served.subscriber else {
            return;
        };
        if subscriber.ledger.is_stuck() {
            log::error!("{}: a kernel program is stuck in its slot", Handle(peer.0));
            served.barred = Some(Reason::Stuck);
            let code = TransportErrorCode::INTERNAL_ERROR;
            connection.close_transport(now, code, "the fast path is stuck");
            return;
        }
        let patience = (connection.recovery().pto() * TRIAL_PTOS).max(TRIAL);
        let stats = connection.stats();
        if subscriber.trial.fails(now, stats, patience) {
            let reason = Reason::NoAckAfterHandover;
            log::warn!("{}: back to userspace: {reason}", Handle(peer.0));
            (served.barred, served.reason) = (Some(reason), Some(reason));
            self.unplace_all(peer);
            self.lower_subscriber(now, endpoint, peer);
        }
    }

    /// What may change slowly.
    fn inspect(&mut self, now: Time, endpoint: &mut Endpoint, peer: PeerId) {
        self.end_unknown(endpoint, peer);
        self.update_reserves(endpoint, peer);
        self.follow_link(endpoint, peer);
        let Some(served) = self.served.get_mut(&peer) else {
            return;
        };
        if let (Some(_), Some(connection)) =
            (&served.subscriber, endpoint.connection_mut(Handle(peer.0)))
        {
            ask_for_acks(connection, &mut served.acks);
        }
        let is_idle = |wanted: bool, since: Time| !wanted && now.since(since) > IDLE;
        let used = served.subscriber.as_ref().map(|it| it.use_.at);
        if used.is_some_and(|at| is_idle(!served.memberships.is_empty(), at)) {
            self.lower_subscriber(now, endpoint, peer);
        }
        let Some(served) = self.served.get(&peer) else {
            return;
        };
        let used = served.publisher.as_ref().map(|it| it.use_.at);
        if used.is_some_and(|at| is_idle(!served.feeds.is_empty(), at)) {
            self.lower_publisher(now, endpoint, peer);
        }
        let is_over = endpoint.connection(Handle(peer.0)).is_none();
        if is_over && self.served.get(&peer).is_some_and(Served::is_unused) {
            self.served.remove(&peer);
        }
    }

    /// A subscriber's packets come by another link, for example another gateway: copies go there too.
    fn follow_link(&mut self, endpoint: &Endpoint, peer: PeerId) {
        let subscriber = self.served.subscriber(peer);
        let (Some(subscriber), Some(connection)) =
            (subscriber, endpoint.connection(Handle(peer.0)))
        else {
            return;
        };
        let found = self.engine.candidate(&fill::flow(connection.path()));
        let (_, link) = &subscriber.link;
        if found.is_some_and(|it| (it.macs, it.ifindex) != (link.macs, link.ifindex)) {
            gate::shut(self.memory.slot(subscriber.slot));
            self.stirred.insert(peer);
        }
    }

    /// What the kernel leaves of a subscriber's window to its tracks of better priority: a quarter for
    /// each class before. While the window is wide that changes nothing.
    pub(super) fn reserve(
        &self,
        endpoint: &Endpoint,
        peer: PeerId,
        track: TrackId,
        subscription: SubscriptionId,
    ) -> u64 {
        let priority = |(id, track): (&SubscriptionId, &TrackId)| {
            let taking = self.tracks.get(track)?.members.get(id)?;
            Some(taking.member.priority)
        };
        let Some(own) = priority((&subscription, &track)) else {
            return 0;
        };
        let all = self.served.get(&peer).map(|it| &it.memberships);
        let better: BTreeSet<u8> = all
            .into_iter()
            .flatten()
            .filter_map(priority)
            .filter(|other| *other < own)
            .collect();
        let window = endpoint
            .connection(Handle(peer.0))
            .map_or(0, Connection::cwnd);
        window / 4 * better.len().min(3) as u64
    }

    fn update_reserves(&self, endpoint: &Endpoint, peer: PeerId) {
        let memberships = self.served.get(&peer).map(|it| &it.memberships);
        for (subscription, track) in memberships.into_iter().flatten() {
            let Some(fed) = self.tracks.get(track) else {
                continue;
            };
            let place = fed.members.get(subscription).and_then(|it| it.place);
            if let (Some(index), Some(place)) = (fed.index, place) {
                let reserve = self.reserve(endpoint, peer, *track, *subscription);
                self.memory.member(index, place).reserve.store(reserve);
            }
        }
    }

    /// Makes key pads, as many as a turn has time for, for those who use them; in turn.
    pub(super) fn fill_pads(&mut self, now: Time) {
        let after = PeerId(self.upkeep.filled.map_or(0, |peer| peer.0 + 1));
        let mut stream = Stream::new();
        let budget = match self.upkeep.calm.rest(now) {
            // Nobody waits.
            Some(_) => PADS_AT_REST,
            None => PADS_PER_TURN,
        };
        self.upkeep.calm.begin_turn();
        let budget = self.fill_some(now, after.., budget, &mut stream);
        let budget = self.fill_some(now, ..after, budget, &mut stream);
        if budget == 0 {
            self.upkeep.calm.disturb(now);
        }
    }

    /// The same for some of the connections; how many pads there is still time for.
    fn fill_some(
        &mut self,
        now: Time,
        peers: impl RangeBounds<PeerId>,
        mut budget: usize,
        stream: &mut Stream,
    ) -> usize {
        let (memory, upkeep) = (&self.memory, &mut self.upkeep);
        for (peer, served) in self.served.range_mut(peers) {
            if budget == 0 {
                break;
            }
            if let Some(publisher) = &mut served.publisher {
                let has_refused = publisher.use_.note(now, memory.slot(publisher.slot));
                let made = fill_publisher(memory, now, publisher, budget, stream);
                let is_busy = publisher.use_.at == now;
                upkeep.calm.see(now, has_refused, is_busy, made);
                budget -= made;
            }
            if let Some(subscriber) = &mut served.subscriber {
                let has_refused = subscriber.use_.note(now, memory.slot(subscriber.slot));
                let made = fill_subscriber(memory, now, subscriber, budget, stream);
                upkeep.calm.see(now, has_refused, false, made);
                budget -= made;
            }
            upkeep.filled = Some(*peer);
        }
        budget
    }

    /// Whether a publisher's datagram is in the part of a subscriber's sent log that was not told yet: a
    /// program on another processor may be at work on the number before it.
    pub(super) fn is_in_log(&self, subscriber: &SubscriberSlot, origin: Origin) -> bool {
        let slot = subscriber.slot;
        let end = self.memory.slot(slot).next_number.load();
        let untold = (subscriber.ledger.told()..end)
            .map(|number| (number, self.memory.record(slot, number)))
            .filter(|(number, record)| record.number.load() == number + 1)
            .flat_map(|(_, record)| origins(record))
            .filter(|found| *found == origin)
            .count();
        untold > 0
            && subscriber
                .ledger
                .datagrams()
                .take_early(origin, untold as u32)
    }
}

fn fill_publisher(
    memory: &Memory,
    now: Time,
    publisher: &mut PublisherSlot,
    budget: usize,
    stream: &mut Stream,
) -> usize {
    let largest = memory.publisher(publisher.slot).largest.load();
    // Packets that come a little late still find their pads.
    let span = Span {
        first: largest,
        resolved: largest.saturating_sub(LATE),
    };
    match &mut publisher.pads {
        Some(pads) if now.since(publisher.use_.at) <= RECENT => pads.fill(span, budget, stream),
        _ => 0,
    }
}

fn fill_subscriber(
    memory: &Memory,
    now: Time,
    subscriber: &mut SubscriberSlot,
    budget: usize,
    stream: &mut Stream,
) -> usize {
    let slot = memory.slot(subscriber.slot);
    let span = Span {
        first: slot.next_number.load(),
        resolved: subscriber.ledger.told(),
    };
    match &mut subscriber.pads {
        Some(pads) if now.since(subscriber.use_.at) <= RECENT => pads.fill(span, budget, stream),
        _ => 0,
    }
}

/// Few acknowledgements while little is lost, many when that changes.
fn ask_for_acks(connection: &mut Connection, acks: &mut AckState) {
    if connection.peer_parameters().min_ack_delay.is_none() {
        return;
    }
    let stats = *connection.stats();
    let sent = stats.packets_sent - acks.sent;
    let lost = stats.packets_lost - acks.lost;
    if sent < ENOUGH_SENT {
        return;
    }
    let packet = (stats.bytes_sent - acks.bytes) / sent;
    (acks.sent, acks.lost) = (stats.packets_sent, stats.packets_lost);
    acks.bytes = stats.bytes_sent;
    let window = connection.cwnd() / packet.max(1);
    let on_the_way = connection.rtt().as_micros() as u64 * sent / INSPECTION.as_micros() as u64;
    let wanted = match lost * 100 / sent {
        // What waits for an acknowledgement must fit into the window beside what is on its way.
        0 => (window.saturating_sub(on_the_way) * 3 / 4).clamp(2, FEWEST_ACKS),
        1 => 4,
        _ => 2,
    };
    let differs = wanted >= 2 * acks.asked || wanted * 2 <= acks.asked;
    if differs {
        // What every peer may take without being asked; when packets are lost, word of it had better be quick.
        let delay = match lost {
            0 => MAX_ACK_DELAY,
            _ => (connection.rtt() / 4).clamp(MIN_ACK_DELAY, MAX_ACK_DELAY),
        };
        if connection.request_ack_frequency(wanted, delay) {
            acks.asked = wanted;
        }
    }
}

/// The loop turns at least so often: a fraction of the lease.
const TURN: Duration = Duration::from_millis(100);
/// How often all connections are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// And how often more closely.
const INSPECTION: Duration = Duration::from_secs(1);
/// A slot that nobody needs is given back after this.
const IDLE: Duration = Duration::from_secs(10);
/// Pads are made for slots that were used within this.
const RECENT: Duration = Duration::from_secs(2);
/// Pads made in one turn: less than half a millisecond.
const PADS_PER_TURN: usize = 512;
/// The same while nobody waits.
const PADS_AT_REST: usize = 2048;
/// Packets of a publisher may come so much out of order and still find their pads.
const LATE: u64 = 32;
/// How long the kernel's first packets may wait for an acknowledgement.
const TRIAL: Duration = Duration::from_secs(1);
const TRIAL_PTOS: u32 = 5;
/// Packets that tell something of the loss rate.
const ENOUGH_SENT: u64 = 50;
/// Packets for one acknowledgement, at most.
const FEWEST_ACKS: u64 = 16;
const MIN_ACK_DELAY: Duration = Duration::from_millis(2);
const MAX_ACK_DELAY: Duration = Duration::from_millis(25);
