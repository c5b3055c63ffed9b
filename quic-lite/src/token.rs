//! Tokens that only we can make: address validation (RFC 9000 §8.1) and stateless reset (§10.3).
//!
//! An address validation token on the wire:
//!
//! ```text
//!   kind (1) │ nonce (24) │ sealed: expiry (8) [original DCID (1+n) Retry SCID (1+n)] │ tag (16)
//! ```
//!
//! The client's address is not in it but authenticated with it, so a token opens for its address only.
//! Promise: a token that opens was made here, for this kind and address, and is not too old. A NEW_TOKEN
//! token may come back more than once; the amplification limit of a validated address is all it lifts.
//! Randomness is the caller's, fresh for each token; keys live as long as the clock behind `now`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::limits;
use crate::time::Time;
use crate::wire::connection_id::ConnectionId;

/// Seals and opens address validation tokens.
pub struct TokenKey(XChaCha20Poly1305);

/// What an address validation token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// From a Retry packet (RFC 9000 §8.1.2).
    Retry {
        /// The Destination Connection ID of the client's very first Initial; goes into the transport
        /// parameter of that name.
        original_destination_connection_id: ConnectionId,
        /// The Source Connection ID of our Retry. The Initial that carries the token must be sent to it.
        retry_source_connection_id: ConnectionId,
    },
    /// From a NEW_TOKEN frame of an earlier connection (RFC 9000 §8.1.3).
    NewToken,
}

/// Why a token does not count: damaged, too old, from another address, or never ours. The kind is what
/// the token claims, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidToken {
    /// Claims to come from a Retry: no second Retry may follow, so the server closes with INVALID_TOKEN
    /// or drops the packet (RFC 9000 §8.1.2).
    Retry,
    /// Anything else: the client goes on without a validated address (RFC 9000 §8.1.3).
    NewToken,
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "invalid Retry token",
            Self::NewToken => "invalid or unknown address validation token",
        })
    }
}

impl std::error::Error for InvalidToken {}

impl TokenKey {
    /// A key from 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&random.into()))
    }

    /// The token of a Retry packet to `remote`, good for [`limits::RETRY_LIFETIME`].
    pub fn seal_retry(
        &self,
        remote: SocketAddr,
        original_dcid: &ConnectionId,
        retry_scid: &ConnectionId,
        now: Time,
        random: [u8; NONCE_LEN],
    ) -> Vec<u8> {
        let mut body = expiry(now, limits::RETRY_LIFETIME);
        put_cid(&mut body, original_dcid);
        put_cid(&mut body, retry_scid);
        self.seal(RETRY, body, remote, random)
    }

    /// The token of a NEW_TOKEN frame to `remote`, good for [`limits::NEW_TOKEN_LIFETIME`] from any of its ports.
    pub fn seal_new_token(&self, remote: IpAddr, now: Time, random: [u8; NONCE_LEN]) -> Vec<u8> {
        let body = expiry(now, limits::NEW_TOKEN_LIFETIME);
        self.seal(NEW_TOKEN, body, SocketAddr::new(remote, 0), random)
    }

    /// Reads the token of an Initial packet that came from `remote`. The caller still has to compare the
    /// packet's Destination Connection ID with that of a [`Token::Retry`].
    pub fn open(&self, token: &[u8], remote: SocketAddr, now: Time) -> Result<Token, InvalidToken> {
        let invalid = match token.first() {
            Some(&RETRY) => InvalidToken::Retry,
            _ => InvalidToken::NewToken,
        };
        self.try_open(token, remote, now).ok_or(invalid)
    }

    fn seal(
        &self,
        kind: u8,
        mut body: Vec<u8>,
        remote: SocketAddr,
        nonce: [u8; NONCE_LEN],
    ) -> Vec<u8> {
        let tag = self
            .0
            .encrypt_inout_detached(
                &nonce.into(),
                &bound_to(kind, remote),
                (&mut body[..]).into(),
            )
            .expect("a token is far shorter than the cipher's limit");
        [&[kind], nonce.as_slice(), &body, &tag].concat()
    }

    fn try_open(&self, token: &[u8], remote: SocketAddr, now: Time) -> Option<Token> {
        let (&[kind], rest) = token.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (body, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        // A longer one is not ours; this bounds the copy.
        let mut body = Some(body)
            .filter(|body| body.len() <= MAX_BODY_LEN)?
            .to_vec();
        let aad = bound_to(kind, remote);
        self.0
            .decrypt_inout_detached(nonce.into(), &aad, (&mut body[..]).into(), tag.into())
            .ok()?;
        let (expiry, body) = body.split_first_chunk()?;
        let is_fresh = now < Time::from_micros(u64::from_be_bytes(*expiry));
        is_fresh.then(|| parse_body(kind, body)).flatten()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// Makes the stateless reset tokens of our connection IDs (RFC 9000 §10.3.2): the same key gives the same
/// tokens after a restart, without any state.
pub struct ResetKey(Zeroizing<[u8; 32]>);

impl ResetKey {
    /// A key from 32 random bytes, not those of any other key.
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The token that ends connections which use `cid`: HMAC-SHA256 of the connection ID, cut in half.
    pub fn stateless_reset_token(&self, cid: &ConnectionId) -> [u8; 16] {
        // HKDF-Extract is HMAC with the salt as key.
        let (mac, _) = Hkdf::<Sha256>::extract(Some(self.0.as_slice()), cid.as_slice());
        let (token, _) = mac.split_first_chunk().expect("SHA-256 gives 32 bytes");
        *token
    }
}

impl fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetKey(..)")
    }
}

/// Kind and address, which a token is authenticated with. RFC 9000 §8.1.4: a Retry comes back at once,
/// so from the same port; a later connection may use another.
fn bound_to(kind: u8, remote: SocketAddr) -> [u8; 19] {
    let port = if kind == RETRY { remote.port() } else { 0 };
    let ip = match remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bound = [kind; 19];
    bound[1..17].copy_from_slice(&ip.octets());
    bound[17..].copy_from_slice(&port.to_be_bytes());
    bound
}

fn expiry(now: Time, lifetime: Duration) -> Vec<u8> {
    (now + lifetime).as_micros().to_be_bytes().to_vec()
}

fn put_cid(body: &mut Vec<u8>, cid: &ConnectionId) {
    body.push(u8::try_from(cid.len()).expect("a connection ID has at most 20 bytes"));
    body.extend_from_slice(cid.as_slice());
}

fn parse_body(kind: u8, body: &[u8]) -> Option<Token> {
    if kind != RETRY {
        return Some(Token::NewToken);
    }
    let (original_destination_connection_id, body) = parse_cid(body)?;
    let (retry_source_connection_id, _) = parse_cid(body)?;
    Some(Token::Retry {
        original_destination_connection_id,
        retry_source_connection_id,
    })
}

fn parse_cid(body: &[u8]) -> Option<(ConnectionId, &[u8])> {
    let (&len, body) = body.split_first()?;
    let (cid, body) = body.split_at_checked(usize::from(len))?;
    Some((ConnectionId::new(cid)?, body))
}

/// Random bytes per token: so many that they may be drawn blindly for as long as a key lives.
pub const NONCE_LEN: usize = 24;

const RETRY: u8 = 1;
const NEW_TOKEN: u8 = 2;
const TAG_LEN: usize = 16;
const MAX_BODY_LEN: usize = 8 + 2 * (1 + ConnectionId::MAX_LEN);

#[cfg(test)]
mod tests;
