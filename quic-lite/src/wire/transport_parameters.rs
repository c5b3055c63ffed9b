//! Transport parameters (RFC 9000 §18; RFC 9221 §3): what each endpoint declares in its first TLS message.
//!
//! Promise: parsed values are within the ranges of §18.2, no known parameter came twice, and a client sent
//! none of a server's. Not here: whether connection IDs match those of the packets (§7.3), and repetitions
//! of parameters that we do not know, which are ignored like their first occurrence.

use super::connection_id::ConnectionId;
use super::error::{WireError, WireErrorKind, ensure, refuse};
use super::stream_id::{Side, StreamId};
use super::writer::{Full, Writer};
use super::{PResult, array, bytes, varint};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use core::ops::RangeInclusive;

/// The declarations of one endpoint. `Default` is what absence means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportParameters {
    /// The destination of the client's very first Initial; servers always send it.
    pub original_destination_connection_id: Option<ConnectionId>,
    /// Silence, in milliseconds, after which the sender forgets the connection; 0 for never.
    pub max_idle_timeout: u64,
    /// The stateless reset token of the server's first connection ID.
    pub stateless_reset_token: Option<[u8; 16]>,
    /// The largest UDP payload the sender will receive.
    pub max_udp_payload_size: u64,
    /// Initial credit for the connection.
    pub initial_max_data: u64,
    /// Initial credit for bidirectional streams that the sender of this opens.
    pub initial_max_stream_data_bidi_local: u64,
    /// Initial credit for bidirectional streams that the receiver of this opens.
    pub initial_max_stream_data_bidi_remote: u64,
    /// Initial credit for unidirectional streams that the receiver of this opens.
    pub initial_max_stream_data_uni: u64,
    /// How many bidirectional streams the receiver of this may open at first.
    pub initial_max_streams_bidi: u64,
    /// How many unidirectional streams the receiver of this may open at first.
    pub initial_max_streams_uni: u64,
    /// The power of two by which the sender divides microseconds in ACK Delay; at most 20.
    pub ack_delay_exponent: u64,
    /// How long, in milliseconds, the sender may hold an ACK back; below 2^14.
    pub max_ack_delay: u64,
    /// The sender is reachable only from the address used in the handshake.
    pub disable_active_migration: bool,
    /// Where the server would rather be reached.
    pub preferred_address: Option<PreferredAddress>,
    /// How many connection IDs the sender is willing to store; at least 2.
    pub active_connection_id_limit: u64,
    /// The source of the sender's first Initial; always sent.
    pub initial_source_connection_id: Option<ConnectionId>,
    /// The source of the server's Retry, when it sent one.
    pub retry_source_connection_id: Option<ConnectionId>,
    /// The largest DATAGRAM frame the sender accepts; 0 for none (RFC 9221 §3).
    pub max_datagram_frame_size: u64,
    /// The sender obeys ACK_FREQUENCY, down to this many microseconds (draft-ietf-quic-ack-frequency).
    pub min_ack_delay: Option<u64>,
    /// The sender would go without 1-RTT encryption (draft-banks-quic-disable-encryption).
    pub disable_1rtt_encryption: bool,
}

/// The server's preferred address (§18.2, Figure 22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreferredAddress {
    /// All zero on the wire when there is none.
    pub ipv4: Option<SocketAddrV4>,
    /// All zero on the wire when there is none.
    pub ipv6: Option<SocketAddrV6>,
    /// The connection ID to use there; its sequence number is 1, and it is not empty.
    pub connection_id: ConnectionId,
    /// What a stateless reset for it ends with.
    pub stateless_reset_token: [u8; 16],
}

const ORIGINAL_DESTINATION_CONNECTION_ID: u64 = 0x00;
const STATELESS_RESET_TOKEN: u64 = 0x02;
const DISABLE_ACTIVE_MIGRATION: u64 = 0x0c;
const PREFERRED_ADDRESS: u64 = 0x0d;
const INITIAL_SOURCE_CONNECTION_ID: u64 = 0x0f;
const RETRY_SOURCE_CONNECTION_ID: u64 = 0x10;
const MIN_ACK_DELAY: u64 = 0xff04_de1b;
const DISABLE_1RTT_ENCRYPTION: u64 = 0xbaad;

/// A parameter that is one integer: its ID, the values it may have, and where it is kept.
struct Integer {
    id: u64,
    allowed: RangeInclusive<u64>,
    field: fn(&mut TransportParameters) -> &mut u64,
}

impl Integer {
    const fn new(
        id: u64,
        allowed: RangeInclusive<u64>,
        field: fn(&mut TransportParameters) -> &mut u64,
    ) -> Self {
        Self { id, allowed, field }
    }
}

const ANY: RangeInclusive<u64> = 0..=varint::MAX;
const STREAMS: RangeInclusive<u64> = 0..=StreamId::MAX_COUNT;

const INTEGERS: [Integer; 12] = [
    Integer::new(0x01, ANY, |p| &mut p.max_idle_timeout),
    Integer::new(0x03, 1200..=varint::MAX, |p| &mut p.max_udp_payload_size),
    Integer::new(0x04, ANY, |p| &mut p.initial_max_data),
    Integer::new(0x05, ANY, |p| &mut p.initial_max_stream_data_bidi_local),
    Integer::new(0x06, ANY, |p| &mut p.initial_max_stream_data_bidi_remote),
    Integer::new(0x07, ANY, |p| &mut p.initial_max_stream_data_uni),
    // RFC 9000 §4.6: a count above 2^60 would allow stream IDs that cannot be written.
    Integer::new(0x08, STREAMS, |p| &mut p.initial_max_streams_bidi),
    Integer::new(0x09, STREAMS, |p| &mut p.initial_max_streams_uni),
    Integer::new(0x0a, 0..=20, |p| &mut p.ack_delay_exponent),
    Integer::new(0x0b, 0..=(1 << 14) - 1, |p| &mut p.max_ack_delay),
    Integer::new(0x0e, 2..=varint::MAX, |p| &mut p.active_connection_id_limit),
    Integer::new(0x20, ANY, |p| &mut p.max_datagram_frame_size),
];

impl TransportParameters {
    /// Room that is enough for [`Self::encode`], whatever the values.
    pub const MAX_ENCODED_LEN: usize = 512;

    /// Reads what an endpoint of side `from` declared.
    pub fn parse(i: &[u8], from: Side) -> Result<Self, WireError> {
        let mut parameters = Self::default();
        let (mut rest, mut seen) = (i, 0_u64);
        while !rest.is_empty() {
            let (after, (id, value)) =
                tuple(rest).map_err(|_| WireError::new(WireErrorKind::ParameterLength))?;
            rest = after;
            let bit = seen_bit(id);
            ensure(seen & bit == 0, WireErrorKind::ParameterTwice)?;
            seen |= bit;
            ensure(
                !from.is_client() || !is_server_only(id),
                WireErrorKind::ParameterFromClient,
            )?;
            parameters.set(id, value)?;
        }
        // draft-ietf-quic-ack-frequency: one is in microseconds, the other in milliseconds.
        let longest = parameters.max_ack_delay.saturating_mul(1000);
        ensure(
            parameters.min_ack_delay.is_none_or(|min| min <= longest),
            WireErrorKind::ParameterValue,
        )?;
        Ok(parameters)
    }

    fn set(&mut self, id: u64, value: &[u8]) -> Result<(), WireError> {
        match id {
            ORIGINAL_DESTINATION_CONNECTION_ID => {
                self.original_destination_connection_id = Some(whole_cid(value)?)
            }
            INITIAL_SOURCE_CONNECTION_ID => {
                self.initial_source_connection_id = Some(whole_cid(value)?)
            }
            RETRY_SOURCE_CONNECTION_ID => self.retry_source_connection_id = Some(whole_cid(value)?),
            STATELESS_RESET_TOKEN => self.stateless_reset_token = Some(whole(array(value))?),
            PREFERRED_ADDRESS => {
                self.preferred_address = Some(whole(PreferredAddress::parse(value))?)
            }
            MIN_ACK_DELAY => self.min_ack_delay = Some(whole(varint::parse(value))?),
            DISABLE_ACTIVE_MIGRATION => self.disable_active_migration = whole(Ok((value, true)))?,
            DISABLE_1RTT_ENCRYPTION => self.disable_1rtt_encryption = whole(Ok((value, true)))?,
            _ => {
                // RFC 9000 §7.4.2: parameters that we do not know are ignored.
                if let Some(integer) = INTEGERS.iter().find(|integer| integer.id == id) {
                    let value = whole(varint::parse(value))?;
                    ensure(
                        integer.allowed.contains(&value),
                        WireErrorKind::ParameterValue,
                    )?;
                    *(integer.field)(self) = value;
                }
            }
        }
        Ok(())
    }

    /// Writes what an endpoint of side `from` declares: values that are not the default, and of those only
    /// a server's if it is one.
    pub fn encode(&self, from: Side, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            self.encode_integers(out)?;
            if self.disable_active_migration {
                put(DISABLE_ACTIVE_MIGRATION, &[], out)?;
            }
            if self.disable_1rtt_encryption {
                put(DISABLE_1RTT_ENCRYPTION, &[], out)?;
            }
            put_cid(
                INITIAL_SOURCE_CONNECTION_ID,
                self.initial_source_connection_id,
                out,
            )?;
            if from.is_client() {
                return Ok(());
            }
            put_cid(
                ORIGINAL_DESTINATION_CONNECTION_ID,
                self.original_destination_connection_id,
                out,
            )?;
            put_cid(
                RETRY_SOURCE_CONNECTION_ID,
                self.retry_source_connection_id,
                out,
            )?;
            self.stateless_reset_token
                .map_or(Ok(()), |token| put(STATELESS_RESET_TOKEN, &token, out))?;
            self.preferred_address
                .map_or(Ok(()), |address| address.encode(out))
        })
    }

    fn encode_integers(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        let (mut values, mut defaults) = (self.clone(), Self::default());
        for Integer { id, field, .. } in &INTEGERS {
            let value = *field(&mut values);
            if value != *field(&mut defaults) {
                put_integer(*id, value, out)?;
            }
        }
        self.min_ack_delay
            .map_or(Ok(()), |delay| put_integer(MIN_ACK_DELAY, delay, out))
    }
}

impl Default for TransportParameters {
    fn default() -> Self {
        Self {
            original_destination_connection_id: None,
            max_idle_timeout: 0,
            stateless_reset_token: None,
            max_udp_payload_size: 65_527,
            initial_max_data: 0,
            initial_max_stream_data_bidi_local: 0,
            initial_max_stream_data_bidi_remote: 0,
            initial_max_stream_data_uni: 0,
            initial_max_streams_bidi: 0,
            initial_max_streams_uni: 0,
            ack_delay_exponent: 3,
            max_ack_delay: 25,
            disable_active_migration: false,
            preferred_address: None,
            active_connection_id_limit: 2,
            initial_source_connection_id: None,
            retry_source_connection_id: None,
            max_datagram_frame_size: 0,
            min_ack_delay: None,
            disable_1rtt_encryption: false,
        }
    }
}

impl PreferredAddress {
    fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, ipv4) = array::<4>(i)?;
        let (i, ipv4_port) = array(i)?;
        let (i, ipv6) = array::<16>(i)?;
        let (i, ipv6_port) = array(i)?;
        let (i, connection_id) = ConnectionId::parse(i)?;
        let (i, stateless_reset_token) = array(i)?;
        // RFC 9000 §18.2: an address to move to needs a connection ID to use there.
        ensure(!connection_id.is_empty(), WireErrorKind::ParameterValue)?;
        let ipv4 = SocketAddrV4::new(Ipv4Addr::from(ipv4), u16::from_be_bytes(ipv4_port));
        let ipv6 = SocketAddrV6::new(Ipv6Addr::from(ipv6), u16::from_be_bytes(ipv6_port), 0, 0);
        let ipv4 = (!ipv4.ip().is_unspecified() || ipv4.port() != 0).then_some(ipv4);
        let ipv6 = (!ipv6.ip().is_unspecified() || ipv6.port() != 0).then_some(ipv6);
        Ok((
            i,
            Self {
                ipv4,
                ipv6,
                connection_id,
                stateless_reset_token,
            },
        ))
    }

    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        let length = self
            .connection_id
            .len()
            .saturating_add(4 + 2 + 16 + 2 + 1 + 16);
        out.varint(PREFERRED_ADDRESS)?;
        out.varint(u64::try_from(length).map_err(|_| Full)?)?;
        let ipv4 = self
            .ipv4
            .unwrap_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        let ipv6 = self
            .ipv6
            .unwrap_or(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0));
        out.put(&ipv4.ip().octets())?;
        out.put_u16(ipv4.port())?;
        out.put(&ipv6.ip().octets())?;
        out.put_u16(ipv6.port())?;
        self.connection_id.encode(out)?;
        out.put(&self.stateless_reset_token)
    }
}

/// One parameter: its ID and the bytes of its value.
fn tuple(i: &[u8]) -> PResult<'_, (u64, &[u8])> {
    let (i, id) = varint::parse(i)?;
    let (i, length) = varint::parse(i)?;
    let (i, value) = bytes(length)(i)?;
    Ok((i, (id, value)))
}

/// The value, when it took all of the parameter's bytes.
fn whole<T>(parsed: PResult<'_, T>) -> Result<T, WireError> {
    match parsed {
        Ok(([], value)) => Ok(value),
        Err(nom::Err::Error(error)) if error.kind != WireErrorKind::Truncated => {
            Err(WireError::new(WireErrorKind::ParameterValue))
        }
        _ => Err(WireError::new(WireErrorKind::ParameterLength)),
    }
}

fn whole_cid(value: &[u8]) -> Result<ConnectionId, WireError> {
    ConnectionId::new(value).map_or_else(|| Ok(refuse(WireErrorKind::ParameterLength)?), Ok)
}

/// RFC 9000 §18.2, last paragraph.
const fn is_server_only(id: u64) -> bool {
    matches!(
        id,
        ORIGINAL_DESTINATION_CONNECTION_ID
            | STATELESS_RESET_TOKEN
            | PREFERRED_ADDRESS
            | RETRY_SOURCE_CONNECTION_ID
    )
}

/// One bit for each parameter that we know, none for others.
const fn seen_bit(id: u64) -> u64 {
    match id {
        0..=0x10 | 0x20 => 1 << id,
        MIN_ACK_DELAY => 1 << 62,
        DISABLE_1RTT_ENCRYPTION => 1 << 63,
        _ => 0,
    }
}

fn put(id: u64, value: &[u8], out: &mut Writer<'_>) -> Result<(), Full> {
    out.varint(id)?;
    out.varint(u64::try_from(value.len()).map_err(|_| Full)?)?;
    out.put(value)
}

fn put_integer(id: u64, value: u64, out: &mut Writer<'_>) -> Result<(), Full> {
    out.varint(id)?;
    out.varint(u64::try_from(varint::size(value)).map_err(|_| Full)?)?;
    out.varint(value)
}

fn put_cid(id: u64, cid: Option<ConnectionId>, out: &mut Writer<'_>) -> Result<(), Full> {
    cid.map_or(Ok(()), |cid| put(id, cid.as_slice(), out))
}

#[cfg(test)]
mod tests;
