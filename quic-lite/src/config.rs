//! What an application can choose about its connections (RFC 9000 §18.2 and our own bounds). Each default says why.
//!
//! Plain data, shared by all connections of an endpoint; what does not vary is not here. Server-wide
//! choices (Retry, tokens, limits on connections) are the endpoint's: [`crate::endpoint`].

use core::time::Duration;

use crate::limits;
use crate::recovery::{Congestion, RecoveryConfig};
use crate::stream::StreamConfig;
use crate::wire::stream_id::StreamId;
use crate::wire::transport_parameters::TransportParameters;
use crate::wire::varint;

/// Transport settings of a connection, for both roles.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ends the connection when nothing arrives for so long (RFC 9000 §10.1); zero: never. The smaller
    /// of both sides' values counts. 30 s outlives what NATs and radio links do to a viewer.
    pub max_idle_timeout: Duration,
    /// Ends a handshake that takes longer: a half-open connection must not stay (RFC 9000 §21.2).
    pub handshake_timeout: Duration,
    /// Sends a PING after so much silence, to hold NAT bindings open (RFC 9000 §10.1.2). Off by default.
    pub keep_alive: Option<Duration>,

    /// Bytes the peer may send on a stream before the application reads (RFC 9000 §4.1); grows up to
    /// `max_stream_window` as needed. The start covers 10 Mbit/s at 50 ms.
    pub initial_stream_window: u64,
    /// How far a stream's window may grow.
    pub max_stream_window: u64,
    /// Bytes the peer may send on all streams together; grows up to `max_connection_window`.
    pub initial_connection_window: u64,
    /// How far the connection's window may grow: bounds memory per connection.
    pub max_connection_window: u64,
    /// Bidirectional streams the peer may have open at a time (RFC 9000 §4.6).
    pub max_bidi_streams: u64,
    /// Unidirectional streams the peer may have open at a time; media uses one per group.
    pub max_uni_streams: u64,
    /// Bytes `write` accepts on one stream before they are acknowledged.
    pub send_buffer: u64,

    /// The largest DATAGRAM frame we take (RFC 9221 §3); zero: no datagrams.
    pub max_datagram_frame_size: u64,
    /// Datagrams waiting to be sent: at most so many bytes, overhead included.
    pub datagram_send_bytes: usize,
    /// Datagrams waiting to be read by the application: at most so many bytes, overhead included.
    pub datagram_receive_bytes: usize,
    /// Datagrams waiting, in either direction: at most so many.
    pub max_queued_datagrams: usize,

    /// The congestion controller (RFC 9002 §7, RFC 9438).
    pub congestion: Congestion,
    /// RTT assumed before the first sample (RFC 9002 §6.2.2).
    pub initial_rtt: Duration,
    /// Whether to look for a larger datagram size than 1200 bytes (RFC 8899, RFC 9000 §14.3).
    pub mtu_discovery: bool,
    /// The largest UDP payload to send: 1452 fits IPv6 over Ethernet.
    pub max_udp_payload: u16,
    /// The largest UDP payload that the peer is asked to send (RFC 9000 §18.2, `max_udp_payload_size`).
    pub accepted_udp_payload: Option<u16>,
    /// Whether to mark packets ECT(0) while the path proves to handle it (RFC 9000 §13.4).
    pub ecn: bool,

    /// The longest we hold back an acknowledgement (RFC 9000 §13.2.1).
    pub max_ack_delay: Duration,
    /// Offers the ACK frequency extension with this minimum; `None`: not offered.
    pub min_ack_delay: Option<Duration>,
    /// Offers to go without protection of 1-RTT packets (draft-banks-quic-disable-encryption). Whoever sees the
    /// packets of such a connection can read and forge them.
    #[cfg(feature = "disable-1rtt-encryption")]
    pub disable_1rtt_encryption: bool,
    /// Connection IDs of the peer we hold at a time (RFC 9000 §5.1.1); each serves one path.
    pub active_connection_id_limit: u64,
    /// Starts a key update (RFC 9001 §6) after so many packets under one key. The AEAD's own limit
    /// (RFC 9001 §6.6) holds as well, whatever stands here.
    pub key_update_interval: u64,
    /// Ends the connection when one key has sealed so many packets and there is no other. The AEAD's own
    /// limit (RFC 9001 §6.6) holds as well.
    pub confidentiality_limit: u64,
    /// Ends the connection after so many packets that failed authentication, under all keys together. The
    /// AEAD's own limit (RFC 9001 §6.6) holds as well.
    pub integrity_limit: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_idle_timeout: limits::IDLE_TIMEOUT,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            keep_alive: None,
            initial_stream_window: limits::INITIAL_STREAM_WINDOW,
            max_stream_window: limits::STREAM_WINDOW,
            initial_connection_window: limits::INITIAL_CONNECTION_WINDOW,
            max_connection_window: limits::CONNECTION_WINDOW,
            max_bidi_streams: limits::BIDI_STREAMS,
            max_uni_streams: limits::UNI_STREAMS,
            send_buffer: limits::SEND_BUFFER,
            max_datagram_frame_size: limits::DATAGRAM_FRAME,
            datagram_send_bytes: limits::DATAGRAM_BYTES,
            datagram_receive_bytes: limits::DATAGRAM_BYTES,
            max_queued_datagrams: limits::QUEUED_DATAGRAMS,
            congestion: Congestion::Cubic,
            initial_rtt: Duration::from_millis(333),
            mtu_discovery: true,
            max_udp_payload: 1452,
            accepted_udp_payload: None,
            ecn: true,
            max_ack_delay: Duration::from_millis(25),
            min_ack_delay: None,
            #[cfg(feature = "disable-1rtt-encryption")]
            disable_1rtt_encryption: false,
            active_connection_id_limit: limits::CONNECTION_IDS,
            key_update_interval: u64::MAX,
            confidentiality_limit: u64::MAX,
            integrity_limit: u64::MAX,
        }
    }
}

impl Config {
    /// What is declared to the peer (RFC 9000 §18.2); connection IDs are the connection's to add. Values
    /// that the peer would refuse are brought into range.
    pub(crate) fn transport_parameters(&self) -> TransportParameters {
        let stream_window = bounded(self.initial_stream_window);
        let defaults = TransportParameters::default();
        TransportParameters {
            max_udp_payload_size: self
                .accepted_udp_payload
                .map_or(defaults.max_udp_payload_size, |size| {
                    u64::from(size.max(1200))
                }),
            max_idle_timeout: bounded(millis(self.max_idle_timeout)),
            initial_max_data: bounded(self.initial_connection_window),
            initial_max_stream_data_bidi_local: stream_window,
            initial_max_stream_data_bidi_remote: stream_window,
            initial_max_stream_data_uni: stream_window,
            initial_max_streams_bidi: self.max_bidi_streams.min(StreamId::MAX_COUNT),
            initial_max_streams_uni: self.max_uni_streams.min(StreamId::MAX_COUNT),
            max_ack_delay: millis(self.max_ack_delay).min(MAX_ACK_DELAY),
            active_connection_id_limit: bounded(self.active_connection_id_limit.max(2)),
            max_datagram_frame_size: bounded(self.max_datagram_frame_size),
            min_ack_delay: self
                .min_ack_delay
                .map(|delay| micros(delay.min(self.max_ack_delay))),
            #[cfg(feature = "disable-1rtt-encryption")]
            disable_1rtt_encryption: self.disable_1rtt_encryption,
            ..defaults
        }
    }

    pub(crate) fn recovery(&self) -> RecoveryConfig {
        RecoveryConfig {
            initial_rtt: self.initial_rtt,
            congestion: self.congestion,
            mtu_discovery: self.mtu_discovery.then_some(self.max_udp_payload),
            ecn: self.ecn,
            ..RecoveryConfig::default()
        }
    }

    pub(crate) const fn streams(&self) -> StreamConfig {
        StreamConfig {
            connection_window: self.initial_connection_window,
            max_connection_window: self.max_connection_window,
            stream_window: self.initial_stream_window,
            max_stream_window: self.max_stream_window,
            max_streams_bidi: self.max_bidi_streams,
            max_streams_uni: self.max_uni_streams,
            send_buffer: self.send_buffer,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn bounded(value: u64) -> u64 {
    value.min(varint::MAX)
}

/// RFC 9000 §18.2: in milliseconds, below 2^14.
const MAX_ACK_DELAY: u64 = (1 << 14) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stream_id::Side;
    use crate::wire::writer::Writer;

    #[test]
    fn the_wildest_choices_give_parameters_that_a_peer_accepts() {
        let long = Duration::from_secs(u64::MAX);
        let config = Config {
            max_idle_timeout: long,
            max_ack_delay: long,
            min_ack_delay: Some(Duration::from_secs(1)),
            initial_stream_window: u64::MAX,
            initial_connection_window: u64::MAX,
            max_bidi_streams: u64::MAX,
            max_uni_streams: u64::MAX,
            max_datagram_frame_size: u64::MAX,
            active_connection_id_limit: 0,
            ..Config::default()
        };
        let mut buffer = [0; TransportParameters::MAX_ENCODED_LEN];
        let mut out = Writer::new(&mut buffer);
        config
            .transport_parameters()
            .encode(Side::Client, &mut out)
            .unwrap();
        let parsed = TransportParameters::parse(out.written(), Side::Client).unwrap();
        assert_eq!(parsed, config.transport_parameters());
    }
}
