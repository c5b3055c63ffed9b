//! Packets without protection, which only a client takes: Retry (RFC 9000 §17.2.5, RFC 9001 §5.8) and
//! Version Negotiation (RFC 9000 §6.2).

use crate::error::ConnectionError;
use crate::observer::Observed;
use crate::protection::{Keys, retry};
use crate::recovery::SpaceId;
use crate::wire::header::{Header, Retry, VERSION_1, VersionNegotiation};
use crate::wire::stream_id::Side;

use super::Connection;
use super::receive::Arrival;
use super::spaces::SpaceKeys;
use super::state::State;

impl Connection {
    /// Returns whether the packet was for this connection.
    pub(super) fn on_unprotected(&mut self, arrival: &Arrival, bytes: &[u8]) -> bool {
        // RFC 9000 §6.2, §17.2.5.2: after the first packet of the server neither means anything.
        let too_late = self.handshake.remote_cid.is_some() || self.handshake.retry_scid.is_some();
        if self.side == Side::Server || self.state != State::Handshake || too_late {
            return false;
        }
        match Header::parse(bytes, self.local_ids.cid_len()) {
            Ok((_, Header::Retry(packet))) => self.on_retry(arrival, &packet, bytes),
            Ok((_, Header::VersionNegotiation(packet))) => self.on_version_negotiation(&packet),
            _ => false,
        }
    }

    fn on_retry(&mut self, arrival: &Arrival, packet: &Retry<'_>, bytes: &[u8]) -> bool {
        let original = self.handshake.original_dcid;
        // RFC 9000 §17.2.5.2: an empty token, and an ID that does not change, are signs of forgery.
        let is_valid = !packet.retry_token.is_empty()
            && self.local_ids.contains(&packet.destination_cid)
            && packet.source_cid != original
            && retry::verify(&original, bytes);
        if !is_valid {
            return false;
        }
        self.watch.tell(&Observed::RetryReceived {
            source_cid: packet.source_cid,
            token_len: packet.retry_token.len(),
        });
        self.handshake.retry_scid = Some(packet.source_cid);
        self.handshake.initial_dcid = packet.source_cid;
        self.handshake.token = packet.retry_token.to_vec();
        self.remote_ids.replace_first(packet.source_cid);
        // RFC 9001 §5.2: new Initial keys. RFC 9000 §17.2.5.3: packet numbers go on.
        let keys = Keys::initial(&packet.source_cid, self.side);
        if let Some(space) = self.spaces.get_mut(SpaceId::Initial) {
            space.keys = SpaceKeys::Long(Box::new(keys));
            space.crypto_send.resend_all();
        }
        self.recovery.on_retry(arrival.now, &mut self.outcome);
        true
    }

    fn on_version_negotiation(&mut self, packet: &VersionNegotiation<'_>) -> bool {
        let is_answer = packet.destination_cid == self.local_ids.first().as_slice()
            && packet.source_cid == self.handshake.original_dcid.as_slice();
        // RFC 9000 §6.2: one that lists our version is a forgery or a mistake.
        if is_answer
            && packet
                .supported_versions()
                .all(|version| version != VERSION_1)
        {
            self.abandon(ConnectionError::VersionNegotiation);
        }
        is_answer
    }
}
