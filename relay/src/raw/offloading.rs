//! What the raw relay tells another forwarder, and asks it. No RFC.
//!
//! A publisher is a track that everything of it belongs to, without aliases and groups; each subscriber
//! takes all of it, from its next stream on.

use quic_lite::stream::SendState;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::stream_id::{Dir, StreamId};

use super::{Publisher, RawRelay};
use crate::offload::{Member, Selector, Source};
use crate::serve::Context;
use crate::track::{PeerId, SubscriptionId, TrackId};

/// Tracks and subscriptions of the raw relay never meet those of the other one.
const RAW: u64 = 1 << 63;

/// What came of the attempt to open a stream to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is open.
    Now(StreamId),
    /// The other forwarder has sent all of it, and it has arrived or is not wanted.
    Over,
    /// The subscriber allows none, or others have to go first.
    Not,
}

/// A stream to a subscriber for a publisher's stream; `has_others` is whether others wait for its credit.
pub(super) fn open(cx: &mut Context<'_>, source: Source, to: PeerId, has_others: bool) -> Opened {
    let opened = match cx.net.offload() {
        // What the other one has opened goes before those that wait.
        Some(offload) => offload.open(source, to, true),
        None if has_others => None,
        None => cx.net.streams(to).and_then(|it| it.open(Dir::Uni)),
    };
    let (Some(id), Some(streams)) = (opened, cx.net.streams(to)) else {
        return Opened::Not;
    };
    // Asks for it by name: of a stream that the other one has opened, nobody may have spoken yet.
    let is_known = streams.set_priority(id, 0).is_ok();
    match streams.send_state(id).filter(|_| is_known) {
        Some(SendState::Ready | SendState::Send | SendState::DataSent) => Opened::Now(id),
        _ => Opened::Over,
    }
}

/// A stream of a publisher begins. To be said before it is opened to anybody.
pub(super) fn tell_begun(cx: &mut Context<'_>, publisher: &Publisher, source: Source) {
    if let Some(offload) = cx.net.offload() {
        offload.begin(track(publisher), source);
    }
}

/// A stream of a publisher is over.
pub(super) fn end(cx: &mut Context<'_>, source: Source) {
    if let Some(offload) = cx.net.offload() {
        offload.end(source);
    }
}

/// How many subscribers have got all datagrams of this packet, if all have.
pub(super) fn carried(
    cx: &mut Context<'_>,
    publisher: &Publisher,
    packet: PacketNumber,
) -> Option<u64> {
    cx.net.offload()?.carried(track(publisher), packet)
}

/// Whether a subscriber has got a datagram of this packet already.
pub(super) fn has_sent(
    cx: &mut Context<'_>,
    publisher: &Publisher,
    packet: PacketNumber,
    to: PeerId,
) -> bool {
    cx.net
        .offload()
        .is_some_and(|offload| offload.has_sent(track(publisher), packet, to))
}

impl RawRelay {
    /// A publisher has come: everybody takes all of it.
    pub(super) fn tell_publisher(&self, cx: &mut Context<'_>, peer: PeerId) {
        let (Some(publisher), Some(offload)) = (self.publishers.get(&peer), cx.net.offload())
        else {
            return;
        };
        offload.feed(track(publisher), peer, Selector::Everything);
        for (to, subscriber) in &self.subscribers {
            let id = subscription(publisher, subscriber.number);
            offload.serve(track(publisher), id, everything_to(*to));
        }
    }

    /// A subscriber has come: it takes all of everybody.
    pub(super) fn tell_subscriber(&self, cx: &mut Context<'_>, peer: PeerId) {
        let (Some(subscriber), Some(offload)) = (self.subscribers.get(&peer), cx.net.offload())
        else {
            return;
        };
        for publisher in self.publishers.values() {
            let id = subscription(publisher, subscriber.number);
            offload.serve(track(publisher), id, everything_to(peer));
        }
    }

    /// A peer is about to be forgotten.
    pub(super) fn untell(&self, cx: &mut Context<'_>, peer: PeerId) {
        let Some(offload) = cx.net.offload() else {
            return;
        };
        if let Some(publisher) = self.publishers.get(&peer) {
            for subscriber in self.subscribers.values() {
                let id = subscription(publisher, subscriber.number);
                offload.unserve(track(publisher), id);
            }
            offload.unfeed(track(publisher));
        }
        if let Some(subscriber) = self.subscribers.get(&peer) {
            for publisher in self.publishers.values() {
                let id = subscription(publisher, subscriber.number);
                offload.unserve(track(publisher), id);
            }
        }
    }
}

fn everything_to(peer: PeerId) -> Member {
    Member {
        peer,
        alias: None,
        first_group: 0,
        last_group: u64::MAX,
        priority: 128,
    }
}

fn track(publisher: &Publisher) -> TrackId {
    TrackId(RAW | publisher.number)
}

/// Each pair of a publisher and a subscriber has its own.
fn subscription(publisher: &Publisher, subscriber: u64) -> SubscriptionId {
    SubscriptionId(RAW | (publisher.number & 0x7fff_ffff) << 32 | (subscriber & 0xffff_ffff))
}
