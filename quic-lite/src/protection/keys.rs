//! From secrets to keys (RFC 9001 §5.1, §5.2, §6.1): HKDF labels, the Initial secrets that anyone can
//! derive, and the next generation of a key.
//!
//! Promise: deriving cannot fail, and secrets and keys are wiped when dropped and never printed.

use core::fmt;

use hkdf::hmac::Hmac;
use hkdf::hmac::digest::Output;
use hkdf::{Hkdf, HmacImpl};
use sha2::{Sha256, Sha384};
use zeroize::{Zeroize, Zeroizing};

use super::packet::IV_LEN;
use super::{CipherSuite, HeaderKey, PacketKey};
use crate::wire::connection_id::ConnectionId;
use crate::wire::stream_id::Side;

/// All that protects one direction at one encryption level.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The algorithms.
    pub suite: CipherSuite,
    /// The traffic secret that the keys come from; the next generation comes from it as well.
    pub secret: Secret,
    /// Seals or opens payloads.
    pub packet: PacketKey,
    /// Hides or shows headers.
    pub header: HeaderKey,
}

/// The keys of both directions.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// For what we send.
    pub local: Keys,
    /// For what we receive.
    pub remote: Keys,
}

impl Keys {
    /// Derives packet and header key from a traffic secret (RFC 9001 §5.1).
    pub fn from_secret(suite: CipherSuite, secret: &Secret) -> Self {
        Self {
            suite,
            secret: secret.clone(),
            packet: packet_key(suite, secret),
            header: HeaderKey::new(suite, raw_key(suite, secret, "quic hp")),
        }
    }

    /// The keys of Initial packets: they come from the client's first Destination Connection ID, so
    /// they hide nothing from whoever sees it (RFC 9001 §5.2).
    pub fn initial(dcid: &ConnectionId, side: Side) -> KeyPair {
        let suite = CipherSuite::Aes128GcmSha256;
        let (initial, _) = Hkdf::<Sha256>::extract(Some(&INITIAL_SALT), dcid.as_slice());
        let initial = Secret::padded(&initial);
        let client = Self::from_secret(suite, &next_secret(suite, &initial, "client in"));
        let server = Self::from_secret(suite, &next_secret(suite, &initial, "server in"));
        match side {
            Side::Client => KeyPair {
                local: client,
                remote: server,
            },
            Side::Server => KeyPair {
                local: server,
                remote: client,
            },
        }
    }

    /// The keys after a key update: new secret and packet key, the same header key (RFC 9001 §6.1).
    pub fn next_generation(&self) -> Self {
        let secret = next_secret(self.suite, &self.secret, "quic ku");
        let next = Self {
            suite: self.suite,
            packet: packet_key(self.suite, &secret),
            header: self.header.clone(),
            secret,
        };
        #[cfg(feature = "disable-1rtt-encryption")]
        if self.is_clear() {
            return next.without_protection();
        }
        next
    }

    /// Whether they protect nothing (draft-banks-quic-disable-encryption).
    pub const fn is_clear(&self) -> bool {
        self.packet.is_clear()
    }

    /// The same, but they protect nothing: for peers that have both offered that
    /// (draft-banks-quic-disable-encryption).
    #[cfg(feature = "disable-1rtt-encryption")]
    #[must_use]
    pub fn without_protection(mut self) -> Self {
        self.packet.clear();
        self.header.clear();
        self
    }
}

/// A traffic secret; its length is that of the suite's hash.
#[derive(Clone)]
pub struct Secret {
    bytes: [u8; MAX_SECRET_LEN],
    len: usize,
}

impl Secret {
    /// Keeps a secret of the TLS handshake; `None` if no suite here has secrets of that length.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let known = CipherSuite::ALL
            .iter()
            .any(|suite| suite.secret_len() == bytes.len());
        known.then(|| Self::padded(bytes))
    }

    /// The secret itself.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn padded(bytes: &[u8]) -> Self {
        Self {
            bytes: fill(bytes),
            len: bytes.len().min(MAX_SECRET_LEN),
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A key's bytes, 16 or 32 of them.
#[derive(Clone)]
pub(super) struct RawKey {
    bytes: Zeroizing<[u8; 32]>,
    len: usize,
}

impl RawKey {
    pub(super) fn new(bytes: [u8; 32], len: usize) -> Self {
        Self {
            bytes: Zeroizing::new(bytes),
            len,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn first_half(&self) -> [u8; 16] {
        fill(self.bytes.as_slice())
    }

    pub(super) fn whole(&self) -> [u8; 32] {
        *self.bytes
    }
}

fn packet_key(suite: CipherSuite, secret: &Secret) -> PacketKey {
    let iv = expand_label(suite, secret, "quic iv", IV_LEN);
    PacketKey::new(
        suite,
        raw_key(suite, secret, "quic key"),
        fill(iv.as_slice()),
    )
}

fn raw_key(suite: CipherSuite, secret: &Secret, label: &str) -> RawKey {
    let key = expand_label(suite, secret, label, suite.key_len());
    RawKey::new(fill(key.as_slice()), suite.key_len())
}

fn next_secret(suite: CipherSuite, secret: &Secret, label: &str) -> Secret {
    let len = suite.secret_len();
    let next = expand_label(suite, secret, label, len);
    Secret { bytes: *next, len }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 §7.1), zeros after `len`. Nothing that QUIC
/// derives is longer than one output of the hash, so HKDF-Expand is a single HMAC, which cannot fail.
fn expand_label(
    suite: CipherSuite,
    secret: &Secret,
    label: &str,
    len: usize,
) -> Zeroizing<[u8; MAX_SECRET_LEN]> {
    let secret = secret.as_bytes();
    let mut okm = Zeroizing::new(match suite {
        CipherSuite::Aes128GcmSha256 | CipherSuite::ChaCha20Poly1305Sha256 => {
            fill(&expand::<Hmac<Sha256>>(secret, label, len))
        }
        CipherSuite::Aes256GcmSha384 => fill(&expand::<Hmac<Sha384>>(secret, label, len)),
    });
    okm.iter_mut().skip(len).for_each(|byte| *byte = 0);
    okm
}

/// The first block of HKDF-Expand (RFC 5869 §2.3); lengths are far below 256.
fn expand<H: HmacImpl>(secret: &[u8], label: &str, len: usize) -> Output<H> {
    let label_len = TLS13_PREFIX.len().saturating_add(label.len());
    let mut hmac = H::new_from_slice(secret);
    hmac.update(&[0, low_byte(len), low_byte(label_len)]);
    hmac.update(TLS13_PREFIX);
    hmac.update(label.as_bytes());
    hmac.update(&[NO_CONTEXT, FIRST_BLOCK]);
    hmac.finalize()
}

fn low_byte(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// As much of `bytes` as fits, then zeros.
fn fill<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut filled = [0; N];
    for (to, from) in filled.iter_mut().zip(bytes) {
        *to = *from;
    }
    filled
}

/// The longest traffic secret: that of SHA-384.
pub const MAX_SECRET_LEN: usize = 48;

/// RFC 9001 §5.2: the salt of version 1.
const INITIAL_SALT: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
const TLS13_PREFIX: &[u8] = b"tls13 ";
const NO_CONTEXT: u8 = 0;
const FIRST_BLOCK: u8 = 1;
