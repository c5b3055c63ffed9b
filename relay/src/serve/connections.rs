//! The endpoint's connections, as the relay sees them; and the kernel beside them. No RFC.

use std::net::SocketAddr;
use std::sync::Arc;

use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::Connection;
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::stream::{Chunk, Streams};
use quic_lite::tls::ClientTls;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::stream_id::StreamId;

use super::Network;
use crate::offload::{Member, Offload, Offloader, Selector, Source};
use crate::track::{PeerId, SubscriptionId, TrackId};

/// How to reach the relay above.
#[derive(Clone, Debug)]
pub struct Above {
    /// Where it listens; tried in turn.
    pub addresses: Vec<SocketAddr>,
    /// The name its certificate is for.
    pub server_name: String,
    /// What it must prove, and ALPN.
    pub tls: ClientTls,
    /// Transport settings.
    pub transport: Arc<Config>,
}

/// Who makes connections to the relay above.
#[derive(Debug)]
pub(super) struct Dialer {
    above: Above,
    attempts: usize,
}

impl Dialer {
    pub(super) const fn new(above: Above) -> Self {
        Self { above, attempts: 0 }
    }
}

/// The connections for the length of one call.
pub(super) struct Connections<'a> {
    pub(super) now: Time,
    pub(super) endpoint: &'a mut Endpoint,
    pub(super) dialer: Option<&'a mut Dialer>,
    pub(super) offloader: Option<&'a mut Offloader>,
}

impl Connections<'_> {
    fn connection(&mut self, peer: PeerId) -> Option<&mut Connection> {
        self.endpoint.connection_mut(Handle(peer.0))
    }
}

impl Network for Connections<'_> {
    fn streams(&mut self, peer: PeerId) -> Option<&mut Streams> {
        let now = self.now;
        // What came before the end of a connection is still read after it.
        let connection = self.connection(peer)?;
        // What the kernel has sent is not to be sent again.
        connection.collect(now);
        Some(connection.streams_mut())
    }

    fn send_datagram(&mut self, peer: PeerId, datagram: Chunk) -> bool {
        let connection = self.connection(peer);
        connection.is_some_and(|connection| connection.send_datagram_chunk(datagram).is_ok())
    }

    fn close(&mut self, now: Time, peer: PeerId, code: u64, reason: &str) {
        if let Some(offloader) = &mut self.offloader {
            // RFC 9000 §10.2: nothing is sent after CONNECTION_CLOSE.
            offloader.close(now, self.endpoint, Handle(peer.0));
        }
        if let Some(connection) = self.connection(peer) {
            connection.close(now, code, reason);
        }
    }

    fn dial(&mut self, now: Time) -> Option<PeerId> {
        let dialer = self.dialer.as_mut()?;
        let above = &dialer.above;
        let address = *above
            .addresses
            .get(dialer.attempts % above.addresses.len().max(1))?;
        dialer.attempts += 1;
        let connected = self.endpoint.connect(
            now,
            &above.tls,
            address,
            &above.server_name,
            Arc::clone(&above.transport),
        );
        match connected {
            Ok(handle) => Some(PeerId(handle.0)),
            Err(error) => {
                log::warn!("cannot reach the relay above at {address}: {error}");
                None
            }
        }
    }

    fn offload(&mut self) -> Option<&mut dyn Offload> {
        match self.offloader {
            Some(_) => Some(self),
            None => None,
        }
    }
}

impl Offload for Connections<'_> {
    fn feed(&mut self, track: TrackId, publisher: PeerId, selector: Selector) {
        if let Some(offloader) = &mut self.offloader {
            offloader.feed(track, publisher, selector);
        }
    }

    fn unfeed(&mut self, track: TrackId) {
        if let Some(offloader) = &mut self.offloader {
            offloader.unfeed(track);
        }
    }

    fn serve(&mut self, track: TrackId, subscription: SubscriptionId, member: Member) {
        if let Some(offloader) = &mut self.offloader {
            offloader.serve(track, subscription, member);
        }
    }

    fn unserve(&mut self, track: TrackId, subscription: SubscriptionId) {
        if let Some(offloader) = &mut self.offloader {
            offloader.unserve(track, subscription);
        }
    }

    fn leave(&mut self, peer: PeerId) {
        let now = self.now;
        if let Some(offloader) = &mut self.offloader {
            offloader.leave(now, self.endpoint, Handle(peer.0));
        }
    }

    fn begin(&mut self, track: TrackId, source: Source) {
        if let Some(offloader) = &mut self.offloader {
            offloader.begin(track, source);
        }
    }

    fn open(&mut self, source: Source, to: PeerId, same: bool) -> Option<StreamId> {
        let now = self.now;
        let offloader = self.offloader.as_mut()?;
        offloader.open(now, self.endpoint, (source, to), same)
    }

    fn end(&mut self, source: Source) {
        if let Some(offloader) = &mut self.offloader {
            offloader.end(source);
        }
    }

    fn carried(&mut self, track: TrackId, packet: PacketNumber) -> Option<u64> {
        self.offloader.as_ref()?.carried(track, packet)
    }

    fn has_sent(&mut self, track: TrackId, packet: PacketNumber, to: PeerId) -> bool {
        let now = self.now;
        self.offloader
            .as_mut()
            .is_some_and(|it| it.has_sent(now, self.endpoint, (track, packet), to))
    }
}
