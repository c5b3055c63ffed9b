//! The raw state of a connection, for whoever shares its work: another sender of its packets, such as
//! the kernel, or an observer. No RFC.

use core::time::Duration;

use crate::error::ConnectionError;
use crate::protection::{CipherSuite, Keys};
use crate::recovery::{Recovery, SpaceId};
use crate::wire::connection_id::ConnectionId;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;
use crate::wire::transport_parameters::TransportParameters;

use super::Connection;
use super::path::FourTuple;
use super::state::State;

/// The 1-RTT keys in use, for whoever else seals or opens packets of this connection.
#[derive(Clone, Copy, Debug)]
pub struct RawKeys<'a> {
    /// What we seal with.
    pub local: &'a Keys,
    /// What we open with.
    pub remote: &'a Keys,
    /// The Key Phase bit of both.
    pub phase: bool,
    /// How many updates there were.
    pub updates: u64,
}

/// What a connection has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// UDP datagrams sent.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets among them that we wrote ourselves and that carry bytes of unidirectional streams, or
    /// datagrams: media, in a relay.
    pub data_packets_sent: u64,
    /// UDP datagrams received.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Packets received, authentic and not seen before.
    pub packets_received: u64,
    /// Packets received more than once.
    pub packets_duplicate: u64,
    /// Packets that failed authentication.
    pub packets_undecryptable: u64,
    /// Packets the peer acknowledged.
    pub packets_acked: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets that another sender sent; they count above too.
    pub other_packets_sent: u64,
    /// Those of them that the peer acknowledged.
    pub other_packets_acked: u64,
    /// Those of them that were declared lost.
    pub other_packets_lost: u64,
    /// Probe timeouts.
    pub probe_timeouts: u64,
    /// Times the congestion window was reduced.
    pub congestion_events: u64,
    /// DATAGRAM frames sent.
    pub datagram_frames_sent: u64,
    /// DATAGRAM frames received.
    pub datagram_frames_received: u64,
    /// DATAGRAM frames dropped because the application did not read, or too large for the path by now.
    pub datagram_frames_dropped: u64,
}

impl Connection {
    /// Which side this is.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the handshake is complete and nobody has closed.
    pub const fn is_established(&self) -> bool {
        self.state.is_established()
    }

    /// Whether nothing is left to send or to wait for.
    pub const fn is_drained(&self) -> bool {
        matches!(self.state, State::Drained)
    }

    /// Why it ended, if it did.
    pub const fn error(&self) -> Option<&ConnectionError> {
        self.ended.as_ref()
    }

    /// The application protocol both agreed on, once the handshake is complete.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.handshake.alpn.as_deref()
    }

    /// The name the client asked for, once the handshake is complete.
    pub fn server_name(&self) -> Option<&str> {
        self.handshake.server_name.as_deref()
    }

    /// The suite that 1-RTT packets use.
    pub fn suite(&self) -> Option<CipherSuite> {
        self.handshake.suite
    }

    /// The connection IDs that the peer may send to; not the one a client invented for its first packets.
    pub fn local_cids(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.local_ids.iter()
    }

    /// The connection ID that the client made up for its very first packet: what both sides' logs of the
    /// connection have in common.
    pub const fn original_destination_cid(&self) -> ConnectionId {
        self.handshake.original_dcid
    }

    /// The connection ID that we send to.
    pub const fn remote_cid(&self) -> ConnectionId {
        self.remote_ids.current()
    }

    /// The path in use.
    pub const fn path(&self) -> FourTuple {
        self.path.tuple()
    }

    /// Whether the peer has shown that it receives there.
    pub const fn is_path_validated(&self) -> bool {
        self.path.is_validated()
    }

    /// Bytes received and sent on the path in use, as the amplification limit counts them (RFC 9000 §8.1).
    pub const fn path_counts(&self) -> (u64, u64) {
        self.path.counted()
    }

    /// The 1-RTT keys of both directions, once there are any.
    pub fn keys(&self) -> Option<RawKeys<'_>> {
        let keys = self.spaces.one_rtt()?;
        let (phase, updates) = (keys.phase(), keys.updates());
        Some(RawKeys {
            local: keys.local(),
            remote: keys.remote(),
            phase,
            updates,
        })
    }

    /// The next 1-RTT packet number: neither it nor a larger one was ever sent.
    pub fn next_packet_number(&self) -> PacketNumber {
        self.next_number(SpaceId::Data)
    }

    /// The largest 1-RTT packet number that the peer has acknowledged.
    pub fn largest_acked(&self) -> Option<PacketNumber> {
        self.recovery.largest_acked(SpaceId::Data)
    }

    /// The largest 1-RTT packet number that arrived.
    pub fn largest_received(&self) -> Option<PacketNumber> {
        self.spaces
            .get(SpaceId::Data)
            .and_then(|space| space.received.largest_received())
    }

    /// The smoothed round-trip time.
    pub fn rtt(&self) -> Duration {
        self.recovery.rtt().smoothed()
    }

    /// The congestion window in bytes.
    pub fn cwnd(&self) -> u64 {
        self.recovery.congestion_window()
    }

    /// Bytes of packets sent and neither acknowledged nor lost.
    pub fn bytes_in_flight(&self) -> u64 {
        self.recovery.bytes_in_flight()
    }

    /// The largest UDP payload for data on this path now.
    pub fn max_datagram_size(&self) -> u16 {
        self.recovery.max_datagram_size()
    }

    /// Loss recovery and congestion control, to look at.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The peer's transport parameters; the defaults until they are known.
    pub const fn peer_parameters(&self) -> &TransportParameters {
        &self.peer
    }

    /// What was counted.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
}
