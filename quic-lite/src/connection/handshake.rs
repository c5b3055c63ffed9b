//! The handshake, seen from the transport (RFC 9000 §7, RFC 9001 §4): what TLS says becomes CRYPTO bytes,
//! keys and states. Retry and Version Negotiation are in `connection/negotiation.rs`.

use core::mem;

use crate::error::{TransportError, TransportErrorCode};
use crate::limits;
use crate::observer::Observed;
use crate::protection::{CipherSuite, KeyPair};
use crate::recovery::SpaceId;
use crate::time::Time;
use crate::tls::{Level, TlsOutput, TlsSession};
use crate::wire::connection_id::ConnectionId;
use crate::wire::datagram::ProtectedPacket;
use crate::wire::frame::connection_id::NewConnectionId;
use crate::wire::frame::crypto::Crypto;
use crate::wire::frame::frame_type;
use crate::wire::header::PacketType;
use crate::wire::stream_id::Side;
use crate::wire::transport_parameters::TransportParameters;

use super::keys::OneRttKeys;
use super::post_handshake::PostHandshake;
use super::receive::Arrival;
use super::spaces::{SpaceKeys, level_of, space_of, space_of_level};
use super::state::{State, Transition};
use super::timers::Timer;
use super::{Connection, Event};

/// What matters while the connection is set up, and what it has agreed on.
#[derive(Debug)]
pub(super) struct Handshake {
    /// Gone when the handshake is complete: its memory is most of a connection's.
    pub(super) tls: Option<Box<TlsSession>>,
    pub(super) post_handshake: PostHandshake,
    /// The Destination Connection ID that the Initial keys come from.
    pub(super) initial_dcid: ConnectionId,
    /// The one of the client's very first Initial, before any Retry.
    pub(super) original_dcid: ConnectionId,
    /// The server's ID in its Retry.
    pub(super) retry_scid: Option<ConnectionId>,
    /// The Source Connection ID of the peer's first Initial.
    pub(super) remote_cid: Option<ConnectionId>,
    /// The token for our Initial packets.
    pub(super) token: Vec<u8>,
    /// Packets that came before their keys.
    pub(super) kept: Vec<KeptPacket>,
    pub(super) peer_parameters_known: bool,
    pub(super) suite: Option<CipherSuite>,
    pub(super) alpn: Option<Box<[u8]>>,
    pub(super) server_name: Option<Box<str>>,
}

/// A packet that came before its keys (RFC 9001 §5.7).
#[derive(Debug)]
pub(super) struct KeptPacket {
    arrival: Arrival,
    packet: ProtectedPacket,
    bytes: Box<[u8]>,
}

impl Handshake {
    pub(super) fn new(
        tls: TlsSession,
        initial_dcid: ConnectionId,
        original_dcid: ConnectionId,
    ) -> Self {
        Self {
            tls: Some(Box::new(tls)),
            post_handshake: PostHandshake::default(),
            initial_dcid,
            original_dcid,
            retry_scid: None,
            remote_cid: None,
            token: Vec::new(),
            kept: Vec::new(),
            peer_parameters_known: false,
            suite: None,
            alpn: None,
            server_name: None,
        }
    }

    /// RFC 9000 §7.3: the connection IDs that the peer declares are those that its packets showed, so
    /// nobody has changed them on the way.
    fn check_ids(&self, peer: &TransportParameters, from: Side) -> Result<(), TransportError> {
        let mut same = peer.initial_source_connection_id == self.remote_cid;
        if from == Side::Server {
            same &= peer.original_destination_connection_id == Some(self.original_dcid);
            same &= peer.retry_source_connection_id == self.retry_scid;
        }
        if same {
            return Ok(());
        }
        let reason = "connection IDs in transport parameters do not match";
        Err(TransportError::new(
            TransportErrorCode::TRANSPORT_PARAMETER_ERROR,
            0,
            reason,
        ))
    }
}

impl Connection {
    pub(super) fn on_crypto(
        &mut self,
        now: Time,
        id: SpaceId,
        frame: &Crypto<'_>,
    ) -> Result<(), TransportError> {
        let Some(space) = self.spaces.get_mut(id) else {
            return Ok(());
        };
        let (side, level) = (self.side, level_of(id));
        let Handshake {
            tls,
            post_handshake,
            ..
        } = &mut self.handshake;
        space.crypto_receive.on_frame(frame, |bytes| match tls {
            Some(tls) => tls.receive(level, bytes),
            None => post_handshake.receive(side, level, bytes),
        })?;
        self.follow_tls(now)
    }

    /// Does what TLS wants done.
    pub(super) fn follow_tls(&mut self, now: Time) -> Result<(), TransportError> {
        while let Some(output) = self.handshake.tls.as_mut().and_then(|tls| tls.poll()) {
            match output {
                TlsOutput::Crypto { level, bytes } => self.write_crypto(level, &bytes),
                TlsOutput::Keys { level, keys } => self.install_keys(level, keys)?,
            }
        }
        self.learn_peer_parameters()?;
        let is_complete = self
            .handshake
            .tls
            .as_ref()
            .is_some_and(|tls| !tls.is_handshaking());
        if is_complete {
            self.complete_handshake(now)?;
        }
        Ok(())
    }

    fn write_crypto(&mut self, level: Level, bytes: &[u8]) {
        if let Some(space) = self.spaces.get_mut(space_of_level(level)) {
            space.crypto_send.write(bytes);
        }
    }

    fn install_keys(&mut self, level: Level, keys: Box<KeyPair>) -> Result<(), TransportError> {
        if level == Level::Handshake {
            self.refuse_rest(SpaceId::Initial)?;
            self.recovery.on_handshake_keys();
        }
        #[cfg(feature = "disable-1rtt-encryption")]
        let keys = match level {
            Level::OneRtt => self.without_protection(keys)?,
            _ => keys,
        };
        if let Some(space) = self.spaces.get_mut(space_of_level(level)) {
            space.keys = match level {
                Level::OneRtt => SpaceKeys::OneRtt(Box::new(OneRttKeys::new(*keys))),
                _ => SpaceKeys::Long(keys),
            };
        }
        Ok(())
    }

    /// draft-banks-quic-disable-encryption: 1-RTT packets go without protection when both peers offer that.
    #[cfg(feature = "disable-1rtt-encryption")]
    fn without_protection(&mut self, keys: Box<KeyPair>) -> Result<Box<KeyPair>, TransportError> {
        self.learn_peer_parameters()?;
        if !self.config.disable_1rtt_encryption || !self.peer.disable_1rtt_encryption {
            return Ok(keys);
        }
        log::warn!("1-RTT packets are not encrypted: both peers want it so");
        Ok(Box::new(KeyPair {
            local: keys.local.without_protection(),
            remote: keys.remote.without_protection(),
        }))
    }

    /// RFC 9001 §4.1.3: no bytes may be left at a level when TLS goes on to the next.
    fn refuse_rest(&self, id: SpaceId) -> Result<(), TransportError> {
        if self
            .spaces
            .get(id)
            .is_none_or(|space| !space.crypto_receive.has_gap())
        {
            return Ok(());
        }
        let reason = "CRYPTO data beyond the last message of its level";
        Err(TransportError::new(
            TransportErrorCode::PROTOCOL_VIOLATION,
            frame_type::CRYPTO,
            reason,
        ))
    }

    fn learn_peer_parameters(&mut self) -> Result<(), TransportError> {
        let encoded = self
            .handshake
            .tls
            .as_ref()
            .and_then(|tls| tls.peer_transport_parameters());
        let Some(encoded) = encoded.filter(|_| !self.handshake.peer_parameters_known) else {
            return Ok(());
        };
        let from = self.side.peer();
        let peer = TransportParameters::parse(encoded, from)?;
        self.handshake.check_ids(&peer, from)?;
        self.handshake.peer_parameters_known = true;
        self.streams.set_peer_parameters(&peer);
        let max_ack_delay = core::time::Duration::from_millis(peer.max_ack_delay);
        let exponent = u8::try_from(peer.ack_delay_exponent).unwrap_or(u8::MAX);
        self.recovery
            .set_peer_parameters(max_ack_delay, exponent, peer.max_udp_payload_size);
        self.local_ids.set_limit(peer.active_connection_id_limit);
        if let Some(token) = peer.stateless_reset_token {
            self.remote_ids.set_first_token(token);
        }
        if let Some(preferred) = &peer.preferred_address {
            // RFC 9000 §5.1.1: its ID counts although we never go there.
            self.remote_ids.on_new(&NewConnectionId {
                sequence_number: 1,
                retire_prior_to: 0,
                connection_id: preferred.connection_id,
                stateless_reset_token: preferred.stateless_reset_token,
            })?;
        }
        self.announce_reset_tokens();
        *self.peer = peer;
        self.watch.tell(&Observed::Parameters {
            by: from,
            parameters: &self.peer,
        });
        Ok(())
    }

    fn complete_handshake(&mut self, now: Time) -> Result<(), TransportError> {
        self.refuse_rest(SpaceId::Handshake)?;
        let Some(tls) = self.handshake.tls.take() else {
            return Ok(());
        };
        if !self.handshake.peer_parameters_known {
            let reason = "peer sent no transport parameters";
            return Err(TransportError::new(
                TransportErrorCode::crypto(MISSING_EXTENSION),
                0,
                reason,
            ));
        }
        self.handshake.suite = tls.suite();
        self.handshake.alpn = tls.alpn().map(Box::from);
        self.handshake.server_name = tls.server_name().map(Box::from);
        self.watch.tell(&Observed::Negotiated {
            suite: self.handshake.suite,
            alpn: self.handshake.alpn.as_deref(),
        });
        self.enter(Transition::HandshakeComplete);
        self.timers.stop(Timer::Handshake);
        self.events.push_back(Event::Connected);
        self.issue_connection_ids();
        self.restart_idle_timer(now);
        if self.side == Side::Server {
            // RFC 9001 §4.1.2: for the server, complete is confirmed; the client must be told.
            self.control.handshake_done = true;
            self.confirm_handshake(now);
        }
        Ok(())
    }

    /// Both sides are known to have completed the handshake (RFC 9001 §4.1.2).
    pub(super) fn confirm_handshake(&mut self, now: Time) {
        if self.enter(Transition::HandshakeConfirmed) {
            self.discard_space(now, SpaceId::Initial);
            // RFC 9001 §4.9.2: Handshake keys end here.
            self.discard_space(now, SpaceId::Handshake);
            self.recovery.on_handshake_confirmed(now);
            self.events.push_back(Event::HandshakeConfirmed);
        }
    }

    pub(super) fn discard_space(&mut self, now: Time, id: SpaceId) {
        if self.spaces.discard(id) {
            self.watch.tell(&Observed::KeysDiscarded(id));
            self.recovery.discard(now, id);
        }
        // RFC 9000 §8.1.2: until then, every Initial repeats the token.
        if id == SpaceId::Initial {
            self.handshake.token = Vec::new();
        }
    }

    /// Makes as many connection IDs as the peer keeps (RFC 9000 §5.1.1).
    pub(super) fn issue_connection_ids(&mut self) {
        while let Some(cid) = self.local_ids.issue(&mut self.rng) {
            self.events.push_back(Event::ConnectionIdIssued(cid));
        }
    }

    /// Tells the endpoint which stateless reset tokens count now.
    pub(super) fn announce_reset_tokens(&mut self) {
        for (token, learned) in self.remote_ids.take_token_news() {
            self.events.push_back(match learned {
                true => Event::ResetTokenLearned(token),
                false => Event::ResetTokenForgotten(token),
            });
        }
    }

    /// Whether packets of a space can and may be opened now.
    pub(super) fn may_open(&self, id: SpaceId) -> bool {
        // RFC 9001 §5.7: a server has 1-RTT keys before it knows who the client is.
        self.spaces.has_keys(id) && (id != SpaceId::Data || self.state != State::Handshake)
    }

    /// Keeps a packet whose keys may still come; returns whether it was kept.
    pub(super) fn keep_packet(
        &mut self,
        arrival: &Arrival,
        packet: &ProtectedPacket,
        bytes: &[u8],
    ) -> bool {
        let may_come = self.state == State::Handshake && packet.packet_type != PacketType::Initial;
        let kept = &mut self.handshake.kept;
        if !may_come || kept.len() >= limits::KEPT_PACKETS || bytes.len() > limits::KEPT_PACKET_SIZE
        {
            return false;
        }
        kept.push(KeptPacket {
            arrival: *arrival,
            packet: packet.clone(),
            bytes: bytes.into(),
        });
        true
    }

    /// Opens kept packets whose keys have come meanwhile.
    pub(super) fn open_kept_packets(&mut self, now: Time) {
        loop {
            let is_openable = |kept: &KeptPacket| {
                space_of(kept.packet.packet_type).is_none_or(|id| self.may_open(id))
            };
            let Some(at) = self.handshake.kept.iter().position(is_openable) else {
                break;
            };
            let mut kept = self.handshake.kept.remove(at);
            kept.arrival.now = now;
            self.on_protected(&kept.arrival, &kept.packet, &mut kept.bytes);
        }
        if self.state != State::Handshake {
            drop(mem::take(&mut self.handshake.kept));
        }
    }
}

/// RFC 9001 §8.2: the TLS alert missing_extension.
const MISSING_EXTENSION: u8 = 109;
