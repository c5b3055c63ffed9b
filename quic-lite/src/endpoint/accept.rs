//! Datagrams for no connection: new clients (RFC 9000 §5.2.2, §8.1), and answers to all others.
//!
//! Promise: a client makes the server keep state only through a full-sized Initial, and beyond a
//! threshold only after it has shown, with a token, that it receives at its address.

use std::net::SocketAddr;

use crate::Time;
use crate::connection::{Accepted, Connection, FourTuple};
use crate::error::TransportErrorCode;
use crate::token::{InvalidToken, Token};
use crate::wire::connection_id::ConnectionId;
use crate::wire::header::{Header, LongHeader, LongType};

use super::stateless::{self, Kind};
use super::{Arrival, Endpoint, ports};

/// What a client's token shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Nothing: the address may be forged.
    Unknown,
    /// It was validated by an earlier connection.
    Known,
    /// It was validated by a Retry just now.
    Retried { original: ConnectionId },
}

impl Endpoint {
    /// Deals with a datagram that belongs to no connection.
    pub(super) fn on_stranger(&mut self, arrival: Arrival<'_>) {
        if ports::is_reflector(arrival.path.remote.port()) {
            return;
        }
        match Header::parse(arrival.datagram, self.config.cid_len) {
            Ok((_, Header::Short { header, .. })) => {
                self.on_unknown_cid(header.destination_cid, arrival);
            }
            Ok((
                _,
                Header::UnknownVersion {
                    destination_cid,
                    source_cid,
                    ..
                },
            )) => {
                self.on_unknown_version(&arrival, destination_cid, source_cid);
            }
            Ok((_, Header::Long { header, .. })) => {
                if let Some((address, header)) = self.admit(&arrival, &header) {
                    self.accept(address, &header, arrival);
                }
            }
            // RFC 9000 §5.2.2, §6.2: Version Negotiation and Retry without a connection mean nothing.
            _ => {}
        }
    }

    /// A 1-RTT packet to a connection ID we do not know: the peer's stateless reset, or a cause for ours.
    fn on_unknown_cid(&mut self, cid: ConnectionId, arrival: Arrival<'_>) {
        let tail = arrival.datagram.last_chunk().copied().unwrap_or_default();
        if let Some(slot) = self.routes.find_reset(arrival.path.remote, tail) {
            return self.hand_over(slot, arrival);
        }
        if self.replies.allows(Kind::Reset, arrival.now) {
            let token = self.reset_key.stateless_reset_token(&cid);
            let reply = stateless::reset(arrival.datagram.len(), token, &mut self.rng);
            self.reply(arrival.path, reply);
        }
    }

    fn on_unknown_version(
        &mut self,
        arrival: &Arrival<'_>,
        destination_cid: &[u8],
        source_cid: &[u8],
    ) {
        // RFC 9000 §6.1: only what could begin a connection is answered.
        let answer = self.config.server.is_some() && arrival.datagram.len() >= MIN_INITIAL;
        if answer && self.replies.allows(Kind::VersionNegotiation, arrival.now) {
            let reply = stateless::version_negotiation(destination_cid, source_cid, &mut self.rng);
            self.reply(arrival.path, reply);
        }
    }

    /// Decides whether an Initial may make a connection.
    fn admit<'a>(
        &mut self,
        arrival: &Arrival<'_>,
        header: &LongHeader<'_>,
    ) -> Option<(Address, LongHeader<'a>)> {
        let (now, path) = (arrival.now, arrival.path);
        let LongType::Initial { token } = header.long_type else {
            return None;
        };
        // RFC 9000 §14.1: a smaller one is dropped. §7.2: the client's first choice has 8 bytes or more.
        let large = arrival.datagram.len() >= MIN_INITIAL;
        let well_formed = large && header.destination_cid.len() >= MIN_DCID;
        if !well_formed || self.config.server.is_none() {
            return None;
        }
        // The token borrows the datagram, which the connection is going to change.
        let bare = LongHeader {
            long_type: LongType::Initial { token: &[] },
            ..*header
        };
        let address = match self.check_token(token, path.remote, header.destination_cid, now) {
            Ok(address) => address,
            Err(code) => {
                self.refuse(arrival, &bare, code);
                return None;
            }
        };
        if self.slots.len() >= self.config.max_connections {
            self.refuse(arrival, &bare, TransportErrorCode::CONNECTION_REFUSED);
            return None;
        }
        let must_retry = self.config.retry || self.half_open.total() >= self.config.retry_above;
        if address == Address::Unknown && must_retry {
            self.send_retry(now, path, &bare);
            return None;
        }
        // Silence makes an honest client try again a little later.
        let room = self.half_open.total() < self.config.max_half_open
            && self.half_open.of(path.remote.ip()) < self.config.max_half_open_per_network;
        room.then_some((address, bare))
    }

    pub(super) fn check_token(
        &mut self,
        token: &[u8],
        remote: SocketAddr,
        destination_cid: ConnectionId,
        now: Time,
    ) -> Result<Address, TransportErrorCode> {
        if token.is_empty() {
            return Ok(Address::Unknown);
        }
        match self.token_key.open(token, remote, now) {
            Ok(Token::Retry {
                original_destination_connection_id,
                retry_source_connection_id,
            }) if retry_source_connection_id == destination_cid => Ok(Address::Retried {
                original: original_destination_connection_id,
            }),
            // RFC 9000 §8.1.2: a second Retry is not allowed, so a bad token ends it here.
            Ok(Token::Retry { .. }) | Err(InvalidToken::Retry) => {
                Err(TransportErrorCode::INVALID_TOKEN)
            }
            // RFC 9000 §8.1.4: each token counts once.
            Ok(Token::NewToken) if self.used_tokens.insert(token) => Ok(Address::Known),
            // RFC 9000 §8.1.3: as if there were no token.
            Ok(Token::NewToken) | Err(InvalidToken::NewToken) => Ok(Address::Unknown),
        }
    }

    fn send_retry(&mut self, now: Time, path: FourTuple, client: &LongHeader<'_>) {
        if !self.replies.allows(Kind::Retry, now) {
            return;
        }
        let Some(cid) = self.new_cid() else {
            return;
        };
        let random = self.rng.bytes();
        let original = &client.destination_cid;
        let token = self
            .token_key
            .seal_retry(path.remote, original, &cid, now, random);
        self.reply(path, stateless::retry(client, cid, &token));
    }

    /// Tells a client that it need not try again.
    fn refuse(&mut self, arrival: &Arrival<'_>, client: &LongHeader<'_>, code: TransportErrorCode) {
        // RFC 9000 §8.1.2: only what is valid otherwise. Damage on the way must not end a client's attempt.
        let answer = self.replies.allows(Kind::Close, arrival.now)
            && stateless::is_genuine(arrival.datagram);
        if answer {
            self.reply(arrival.path, stateless::close(client, code));
        }
    }

    /// Makes the connection and gives it the datagram.
    fn accept(&mut self, address: Address, client: &LongHeader<'_>, arrival: Arrival<'_>) {
        let Arrival {
            now,
            path,
            ecn,
            datagram,
        } = arrival;
        let (Some(tls), Some(local_cid)) = (self.config.server.clone(), self.new_cid()) else {
            return;
        };
        let accepted = Accepted {
            destination_cid: client.destination_cid,
            source_cid: client.source_cid,
            original_cid: match address {
                Address::Retried { original } => Some(original),
                Address::Unknown | Address::Known => None,
            },
            address_validated: address != Address::Unknown,
        };
        let parts = self.parts(self.config.transport.clone(), path, local_cid);
        match Connection::server(now, parts, &tls, accepted) {
            Ok(mut connection) => {
                self.observe(now, &mut connection);
                connection.receive(now, path, ecn, datagram);
                // Garbage that only looked like an Initial leaves nothing behind.
                if connection.stats().packets_received > 0 {
                    let slot = self.insert(connection, local_cid).slot();
                    self.note_client(slot, path.remote, client.destination_cid);
                }
            }
            Err(error) => log::warn!("cannot accept {}: {error}", path.remote),
        }
    }

    /// RFC 9000 §7.2: until the client learns our ID, its packets carry the one it made up.
    fn note_client(&mut self, slot: usize, remote: SocketAddr, made_up: ConnectionId) {
        if let Some(entry) = self.slots.entry(slot) {
            entry.half_open = Some(remote.ip());
            entry.original = Some((remote, made_up));
            self.half_open.add(remote.ip());
            self.routes.add_original(remote, made_up, slot);
        }
    }

    fn reply(&mut self, path: FourTuple, reply: Option<Vec<u8>>) {
        if let Some(reply) = reply {
            self.replies.push(path, reply);
        }
    }
}

/// The least size of a datagram with a client's Initial (RFC 9000 §14.1).
const MIN_INITIAL: usize = 1200;
/// The least length of a connection ID that a client makes up for the server (RFC 9000 §7.2).
const MIN_DCID: usize = 8;
