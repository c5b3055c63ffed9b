//! What is told to an [`Observer`], and when. No RFC.

use crate::observer::{Observed, ObservedPacket, Observer};
use crate::protection::OpenedPacket;
use crate::recovery::SpaceId;
use crate::time::Time;
use crate::wire::datagram::ProtectedPacket;
use crate::wire::header::PacketType;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;
use crate::wire::transport_parameters::TransportParameters;

use super::Connection;
use super::spaces::packet_type;

/// The observer, if there is one.
#[derive(Debug, Default)]
pub(super) struct Watch {
    observer: Option<Box<dyn Observer>>,
    /// The time of the call that is served: some events come from where nobody knows it.
    pub(super) now: Time,
}

impl Watch {
    /// Tells of something that costs nothing to describe.
    pub(super) fn tell(&mut self, event: &Observed<'_>) {
        if let Some(observer) = &mut self.observer {
            observer.observe(self.now, event);
        }
    }

    /// Whether somebody watches: to be asked before work is done for that alone.
    pub(super) const fn is_on(&self) -> bool {
        self.observer.is_some()
    }

    /// A packet was opened and is new.
    pub(super) fn on_opened(&mut self, packet: &ProtectedPacket, opened: &OpenedPacket<'_>) {
        let is_long = packet.packet_type != PacketType::OneRtt;
        self.tell(&Observed::PacketReceived(&ObservedPacket {
            packet_type: packet.packet_type,
            number: opened.number,
            first_byte: opened.first_byte,
            cids: is_long.then_some((packet.destination_cid, packet.source_cid)),
            has_token: packet.has_token,
            size: packet.range.len(),
            payload: opened.payload,
            mtu_probe: false,
        }));
    }
}

impl Connection {
    /// A packet is about to be sealed: `packet` has room for its tag, its frames begin at `frames`.
    pub(super) fn observe_sealing(
        &mut self,
        id: SpaceId,
        number: PacketNumber,
        packet: &[u8],
        frames: usize,
        mtu_probe: bool,
    ) {
        if !self.watch.is_on() {
            return;
        }
        let cids = (self.remote_ids.current(), self.local_ids.first());
        let end = packet.len().saturating_sub(self.tag_len(id));
        self.watch.tell(&Observed::PacketSent(&ObservedPacket {
            packet_type: packet_type(id),
            number,
            first_byte: packet.first().copied().unwrap_or(0),
            cids: (id != SpaceId::Data).then_some(cids),
            has_token: id == SpaceId::Initial && !self.handshake.token.is_empty(),
            size: packet.len(),
            payload: packet.get(frames..end).unwrap_or_default(),
            mtu_probe,
        }));
    }

    /// Has the connection watched from now on; called before its first packet, the observer misses nothing.
    /// It sees what no network does: frames in clear.
    pub fn set_observer(&mut self, now: Time, observer: Box<dyn Observer>) {
        self.watch = Watch {
            observer: Some(observer),
            now,
        };
        let started = Observed::Started {
            path: self.path.tuple(),
            local_cid: self.local_ids.first(),
            remote_cid: self.remote_ids.current(),
        };
        self.watch.tell(&started);
        let by_server = self.side == Side::Server;
        let parameters = TransportParameters {
            initial_source_connection_id: Some(self.local_ids.first()),
            original_destination_connection_id: by_server.then_some(self.handshake.original_dcid),
            ..self.config.transport_parameters()
        };
        self.watch.tell(&Observed::Parameters {
            by: self.side,
            parameters: &parameters,
        });
    }
}
