//! What the relay tells another forwarder, and asks it. MOQT draft-18 §5.1, §11.

use quic_lite::stream::Chunk;
use quic_lite::wire::packet_number::PacketNumber;

use super::{Context, Relay};
use crate::offload::{Member, Selector};
use crate::track::{PeerId, Subscription, SubscriptionId, TrackId, Upstream};

impl Relay {
    /// A datagram came in this packet: the kernel, which saw the packet too, may have sent it to some.
    pub fn on_datagram_of(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        packet: PacketNumber,
        datagram: Chunk,
    ) {
        self.arriving = Some(packet);
        self.on_datagram(cx, peer, datagram);
        self.arriving = None;
    }

    /// A track has its publisher, and everybody who takes it another view of it.
    pub(super) fn tell_fed(&self, cx: &mut Context<'_>, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let (Upstream::Live(live), Some(offload)) = (&track.upstream, cx.net.offload()) else {
            return;
        };
        offload.feed(id, live.peer, Selector::Alias(live.alias));
        for subscription in &track.subscriptions {
            self.tell_served(cx, *subscription);
        }
    }

    /// A track has no publisher any more.
    pub(super) fn sever(&mut self, cx: &mut Context<'_>, id: TrackId) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track.upstream = Upstream::None;
        }
        if let Some(offload) = cx.net.offload() {
            offload.unfeed(id);
        }
    }

    /// What a subscription takes has changed.
    pub(super) fn tell_served(&self, cx: &mut Context<'_>, id: SubscriptionId) {
        let (Some(subscription), Some(offload)) = (self.subscriptions.get(&id), cx.net.offload())
        else {
            return;
        };
        match self.member(subscription) {
            Some(member) => offload.serve(subscription.track, id, member),
            None => offload.unserve(subscription.track, id),
        }
    }

    /// What a subscription takes as it is: streams and datagrams of whole groups.
    fn member(&self, subscription: &Subscription) -> Option<Member> {
        let Upstream::Live(live) = &self.tracks.get(&subscription.track)?.upstream else {
            return None;
        };
        let window = &subscription.window;
        let is_partial = window.start.object > 0;
        (subscription.forward && subscription.accepted).then_some(Member {
            peer: subscription.peer,
            alias: Some(subscription.alias).filter(|alias| *alias != live.alias),
            first_group: window.start.group.saturating_add(u64::from(is_partial)),
            last_group: window.end_group.unwrap_or(u64::MAX),
            priority: subscription.priority,
        })
    }

    /// How many subscriptions have got the datagram that is being read, if all have.
    pub(super) fn carried(
        arriving: Option<PacketNumber>,
        cx: &mut Context<'_>,
        track: TrackId,
    ) -> Option<u64> {
        cx.net.offload()?.carried(track, arriving?)
    }

    /// Whether the kernel has sent the datagram that is being read to a subscriber.
    pub(super) fn has_sent(
        arriving: Option<PacketNumber>,
        cx: &mut Context<'_>,
        track: TrackId,
        to: PeerId,
    ) -> bool {
        let Some(packet) = arriving else {
            return false;
        };
        cx.net
            .offload()
            .is_some_and(|offload| offload.has_sent(track, packet, to))
    }
}
