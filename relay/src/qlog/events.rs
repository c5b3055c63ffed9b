//! What an observer is told, in the words of qlog: draft-ietf-quic-qlog-quic-events-02 §3 to §6.

use std::net::SocketAddr;
use std::time::Duration;

use qlog::Token;
use qlog::events::connectivity::{
    ConnectionClosed, ConnectionClosedTrigger, ConnectionStarted, ConnectionState,
    ConnectionStateUpdated, MtuUpdated, TransportOwner,
};
use qlog::events::quic::{
    AlpnInformation, CongestionStateUpdated, MetricsUpdated, PacketDropped, PacketDroppedTrigger,
    PacketHeader, PacketLost, PacketReceived, PacketSent, PacketType, TransportParametersSet,
    UnknownTransportParameter,
};
use qlog::events::security::{KeyDiscarded, KeyType, KeyUpdateOrRetiredTrigger, KeyUpdated};
use qlog::events::{ApplicationErrorCode, ConnectionErrorCode, EventData, RawInfo};
use quic_lite::Side;
use quic_lite::connection::{FourTuple, State};
use quic_lite::error::ConnectionError;
use quic_lite::observer::{Dropped, Observed, ObservedPacket};
use quic_lite::recovery::{Recovery, SpaceId};
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::header::{self, VERSION_1};
use quic_lite::wire::transport_parameters::TransportParameters;

use super::frames::{all, hex, of_other};

/// Turns observations into events; remembers what of them has been told.
#[derive(Debug)]
pub(super) struct Translator {
    side: Side,
    /// The peer's, from its transport parameters; ours is the default.
    ack_delay_exponent: u32,
    metrics: Metrics,
    /// Memory that serves all observations.
    pub(super) events: Vec<EventData>,
}

/// What was said of recovery last: only changes are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Metrics {
    min_rtt: Option<Duration>,
    smoothed_rtt: Option<Duration>,
    latest_rtt: Option<Duration>,
    rtt_variance: Option<Duration>,
    pto_count: u32,
    congestion_window: u64,
    bytes_in_flight: u64,
    in_slow_start: Option<bool>,
    max_datagram_size: u16,
}

impl Translator {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            ack_delay_exponent: ACK_DELAY_EXPONENT,
            metrics: Metrics::default(),
            events: Vec::new(),
        }
    }

    /// Appends the events that `observed` is.
    pub(super) fn translate(&mut self, observed: &Observed<'_>, out: &mut Vec<EventData>) {
        let event = match observed {
            Observed::Started {
                path,
                local_cid,
                remote_cid,
            } => started(path, local_cid, remote_cid),
            Observed::Parameters { by, parameters } => self.parameters(*by, parameters),
            Observed::Negotiated { suite, alpn } => {
                let chosen_alpn = alpn.map(|alpn| String::from_utf8_lossy(alpn).into_owned());
                out.push(EventData::AlpnInformation(AlpnInformation {
                    chosen_alpn,
                    ..AlpnInformation::default()
                }));
                EventData::TransportParametersSet(TransportParametersSet {
                    owner: Some(TransportOwner::Local),
                    tls_cipher: suite.map(|suite| suite.to_string()),
                    ..TransportParametersSet::default()
                })
            }
            Observed::PacketSent(packet) => EventData::PacketSent(PacketSent {
                header: header(packet),
                raw: Some(raw(packet.size, packet.payload.len())),
                frames: Some(all(packet.payload, ACK_DELAY_EXPONENT).into()),
                ..PacketSent::default()
            }),
            Observed::PacketReceived(packet) => EventData::PacketReceived(PacketReceived {
                header: header(packet),
                raw: Some(raw(packet.size, packet.payload.len())),
                frames: Some(all(packet.payload, self.ack_delay_exponent)),
                ..PacketReceived::default()
            }),
            Observed::Recovery(recovery) => return self.recovery(recovery, out),
            Observed::KeysUpdated { by, updates } => return self.keys_updated(*by, *updates, out),
            Observed::KeysDiscarded(space) => return keys_discarded(*space, out),
            other => rest(other, self.side),
        };
        out.push(event);
    }

    fn parameters(&mut self, by: Side, parameters: &TransportParameters) -> EventData {
        if by != self.side {
            // RFC 9000 §18.2: at most 20.
            self.ack_delay_exponent = u32::try_from(parameters.ack_delay_exponent).unwrap_or(20);
        }
        EventData::TransportParametersSet(TransportParametersSet {
            owner: Some(owner(by == self.side)),
            original_destination_connection_id: parameters
                .original_destination_connection_id
                .as_ref()
                .map(cid),
            initial_source_connection_id: parameters.initial_source_connection_id.as_ref().map(cid),
            retry_source_connection_id: parameters.retry_source_connection_id.as_ref().map(cid),
            disable_active_migration: Some(parameters.disable_active_migration),
            max_idle_timeout: Some(parameters.max_idle_timeout),
            max_udp_payload_size: u32::try_from(parameters.max_udp_payload_size).ok(),
            ack_delay_exponent: u16::try_from(parameters.ack_delay_exponent).ok(),
            max_ack_delay: u16::try_from(parameters.max_ack_delay).ok(),
            active_connection_id_limit: u32::try_from(parameters.active_connection_id_limit).ok(),
            initial_max_data: Some(parameters.initial_max_data),
            initial_max_stream_data_bidi_local: Some(parameters.initial_max_stream_data_bidi_local),
            initial_max_stream_data_bidi_remote: Some(
                parameters.initial_max_stream_data_bidi_remote,
            ),
            initial_max_stream_data_uni: Some(parameters.initial_max_stream_data_uni),
            initial_max_streams_bidi: Some(parameters.initial_max_streams_bidi),
            initial_max_streams_uni: Some(parameters.initial_max_streams_uni),
            unknown_parameters: vec![UnknownTransportParameter {
                id: MAX_DATAGRAM_FRAME_SIZE,
                value: format!("{:08x}", parameters.max_datagram_frame_size),
            }],
            ..TransportParametersSet::default()
        })
    }

    fn recovery(&mut self, recovery: &Recovery, out: &mut Vec<EventData>) {
        let (old, new) = (self.metrics, Metrics::of(recovery));
        self.metrics = new;
        if old.max_datagram_size != new.max_datagram_size {
            out.push(EventData::MtuUpdated(MtuUpdated {
                old: (old.max_datagram_size > 0).then_some(old.max_datagram_size),
                new: new.max_datagram_size,
                done: None,
            }));
        }
        if old.in_slow_start != new.in_slow_start {
            out.push(EventData::CongestionStateUpdated(CongestionStateUpdated {
                old: old.in_slow_start.map(phase),
                new: phase(new.in_slow_start.unwrap_or(true)),
                trigger: None,
            }));
        }
        let metrics = new.changes_since(&old);
        if metrics != MetricsUpdated::default() {
            out.push(EventData::MetricsUpdated(metrics));
        }
    }

    /// Both directions change together (RFC 9001 §6.1). What the keys are is not told.
    fn keys_updated(&self, by: Side, updates: u64, out: &mut Vec<EventData>) {
        for key_type in [KeyType::Client1RttSecret, KeyType::Server1RttSecret] {
            out.push(EventData::KeyUpdated(KeyUpdated {
                key_type,
                old: None,
                new: String::new(),
                generation: u32::try_from(updates).ok(),
                trigger: Some(match by == self.side {
                    true => KeyUpdateOrRetiredTrigger::LocalUpdate,
                    false => KeyUpdateOrRetiredTrigger::RemoteUpdate,
                }),
            }));
        }
    }
}

impl Metrics {
    fn of(recovery: &Recovery) -> Self {
        let rtt = recovery.rtt();
        let sampled = rtt.first_sample().is_some();
        let known = |duration: Duration| sampled.then_some(duration);
        Self {
            min_rtt: known(rtt.min()),
            smoothed_rtt: known(rtt.smoothed()),
            latest_rtt: known(rtt.latest()),
            rtt_variance: known(rtt.variation()),
            pto_count: recovery.pto_count(),
            congestion_window: recovery.congestion_window(),
            bytes_in_flight: recovery.bytes_in_flight(),
            in_slow_start: Some(recovery.in_slow_start()),
            max_datagram_size: recovery.max_datagram_size(),
        }
    }

    fn changes_since(&self, old: &Self) -> MetricsUpdated {
        let time = |new: Option<Duration>, old: Option<Duration>| {
            let changed = new.filter(|_| new != old);
            changed.map(|duration| duration.as_secs_f32() * 1000.0)
        };
        let number = |new: u64, old: u64| (new != old).then_some(new);
        let pto_count = number(self.pto_count.into(), old.pto_count.into());
        MetricsUpdated {
            min_rtt: time(self.min_rtt, old.min_rtt),
            smoothed_rtt: time(self.smoothed_rtt, old.smoothed_rtt),
            latest_rtt: time(self.latest_rtt, old.latest_rtt),
            rtt_variance: time(self.rtt_variance, old.rtt_variance),
            pto_count: pto_count.and_then(|count| u16::try_from(count).ok()),
            congestion_window: number(self.congestion_window, old.congestion_window),
            bytes_in_flight: number(self.bytes_in_flight, old.bytes_in_flight),
            ..MetricsUpdated::default()
        }
    }
}

fn started(path: &FourTuple, local_cid: &ConnectionId, remote_cid: &ConnectionId) -> EventData {
    let FourTuple { local, remote } = path;
    EventData::ConnectionStarted(ConnectionStarted {
        ip_version: Some(if remote.is_ipv4() { "v4" } else { "v6" }.into()),
        src_ip: SocketAddr::ip(local).to_string(),
        dst_ip: SocketAddr::ip(remote).to_string(),
        protocol: Some("QUIC".into()),
        src_port: Some(local.port()),
        dst_port: Some(remote.port()),
        src_cid: Some(cid(local_cid)),
        dst_cid: Some(cid(remote_cid)),
    })
}

/// What is rare.
fn rest(observed: &Observed<'_>, side: Side) -> EventData {
    match observed {
        Observed::SentByOther {
            number,
            size,
            frames,
            ..
        } => EventData::PacketSent(PacketSent {
            header: bare(PacketType::OneRtt, Some(number.value())),
            raw: Some(RawInfo {
                length: Some(u64::from(*size)),
                ..RawInfo::default()
            }),
            frames: Some(of_other(frames).into()),
            ..PacketSent::default()
        }),
        Observed::RetryReceived {
            source_cid,
            token_len,
        } => EventData::PacketReceived(PacketReceived {
            header: PacketHeader {
                scid: Some(cid(source_cid)),
                ..bare(PacketType::Retry, None)
            },
            retry_token: Some(token(Some(*token_len))),
            ..PacketReceived::default()
        }),
        Observed::PacketDropped { space, size, why } => EventData::PacketDropped(PacketDropped {
            header: Some(bare(packet_type(*space), None)),
            raw: Some(RawInfo {
                length: Some(*size as u64),
                ..RawInfo::default()
            }),
            details: (*why == Dropped::Duplicate).then(|| "duplicate".into()),
            trigger: Some(match why {
                Dropped::Duplicate => PacketDroppedTrigger::General,
                Dropped::Undecryptable => PacketDroppedTrigger::DecryptionFailure,
            }),
            ..PacketDropped::default()
        }),
        Observed::PacketLost { space, number } => EventData::PacketLost(PacketLost {
            header: Some(bare(packet_type(*space), Some(number.value()))),
            ..PacketLost::default()
        }),
        Observed::State { old, new } => EventData::ConnectionStateUpdated(ConnectionStateUpdated {
            old: Some(state(*old)),
            new: state(*new),
        }),
        Observed::Closed(error) => EventData::ConnectionClosed(closed(error)),
        // The others were dealt with before; a new one shows itself in the log.
        other => EventData::Message {
            message: format!("{side:?}: {other:?}"),
        },
    }
}

fn keys_discarded(space: SpaceId, out: &mut Vec<EventData>) {
    let keys = match space {
        SpaceId::Initial => [KeyType::ClientInitialSecret, KeyType::ServerInitialSecret],
        SpaceId::Handshake => [
            KeyType::ClientHandshakeSecret,
            KeyType::ServerHandshakeSecret,
        ],
        SpaceId::Data => [KeyType::Client1RttSecret, KeyType::Server1RttSecret],
    };
    out.extend(keys.map(|key_type| {
        EventData::KeyDiscarded(KeyDiscarded {
            key_type,
            key: None,
            generation: None,
            trigger: Some(KeyUpdateOrRetiredTrigger::Tls),
        })
    }));
}

fn closed(error: &ConnectionError) -> ConnectionClosed {
    use ConnectionClosedTrigger as Trigger;
    let (by_us, transport, application, trigger) = match error {
        ConnectionError::Transport(error) => (true, Some(error.code.0), None, Trigger::Error),
        ConnectionError::PeerTransport { code, .. } => (false, Some(code.0), None, Trigger::Error),
        ConnectionError::Application { code, .. } => (true, None, Some(*code), clean(*code)),
        ConnectionError::PeerApplication { code, .. } => (false, None, Some(*code), clean(*code)),
        ConnectionError::IdleTimeout => (true, None, None, Trigger::IdleTimeout),
        ConnectionError::HandshakeTimeout => (true, None, None, Trigger::HandshakeTimeout),
        ConnectionError::StatelessReset => (false, None, None, Trigger::StatelessReset),
        ConnectionError::VersionNegotiation => (false, None, None, Trigger::VersionMismatch),
    };
    ConnectionClosed {
        owner: Some(owner(by_us)),
        connection_code: transport.map(ConnectionErrorCode::Value),
        application_code: application.map(ApplicationErrorCode::Value),
        internal_code: None,
        reason: Some(error.to_string()),
        trigger: Some(trigger),
    }
}

/// RFC 9002 §7.3.
fn phase(in_slow_start: bool) -> String {
    match in_slow_start {
        true => "slow_start".into(),
        false => "congestion_avoidance".into(),
    }
}

/// Code 0 of our application protocols is "nothing is wrong".
const fn clean(code: u64) -> ConnectionClosedTrigger {
    match code {
        0 => ConnectionClosedTrigger::Clean,
        _ => ConnectionClosedTrigger::Application,
    }
}

fn header(packet: &ObservedPacket<'_>) -> PacketHeader {
    let (destination, source) = packet.cids.unzip();
    let is_long = packet.cids.is_some();
    PacketHeader::new(
        match packet.packet_type {
            header::PacketType::Initial => PacketType::Initial,
            header::PacketType::Handshake => PacketType::Handshake,
            header::PacketType::ZeroRtt => PacketType::ZeroRtt,
            header::PacketType::OneRtt => PacketType::OneRtt,
        },
        Some(packet.number.value()),
        Some(packet.first_byte),
        packet.has_token.then(|| token(None)),
        None,
        is_long.then_some(VERSION_1),
        source.as_ref().map(ConnectionId::as_slice),
        destination.as_ref().map(ConnectionId::as_slice),
    )
}

fn bare(packet_type: PacketType, packet_number: Option<u64>) -> PacketHeader {
    PacketHeader {
        packet_type,
        packet_number,
        ..PacketHeader::default()
    }
}

fn token(len: Option<usize>) -> Token {
    Token {
        ty: None,
        details: None,
        raw: len.map(|len| RawInfo {
            length: Some(len as u64),
            ..RawInfo::default()
        }),
    }
}

fn raw(length: usize, payload_length: usize) -> RawInfo {
    RawInfo {
        length: Some(length as u64),
        payload_length: Some(payload_length as u64),
        data: None,
    }
}

const fn packet_type(space: SpaceId) -> PacketType {
    match space {
        SpaceId::Initial => PacketType::Initial,
        SpaceId::Handshake => PacketType::Handshake,
        SpaceId::Data => PacketType::OneRtt,
    }
}

const fn state(state: State) -> ConnectionState {
    match state {
        State::Handshake => ConnectionState::HandshakeStarted,
        State::Complete => ConnectionState::HandshakeCompleted,
        State::Confirmed => ConnectionState::HandshakeConfirmed,
        State::Closing => ConnectionState::Closing,
        State::Draining => ConnectionState::Draining,
        State::Drained => ConnectionState::Closed,
    }
}

const fn owner(is_local: bool) -> TransportOwner {
    match is_local {
        true => TransportOwner::Local,
        false => TransportOwner::Remote,
    }
}

fn cid(id: &ConnectionId) -> String {
    hex(id.as_slice())
}

/// RFC 9000 §18.2: the default, which is ours.
const ACK_DELAY_EXPONENT: u32 = 3;

/// RFC 9221 §3.
const MAX_DATAGRAM_FRAME_SIZE: u64 = 0x20;
