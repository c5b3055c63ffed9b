//! ⑤ Payload protection (RFC 9001 §5.3): the AEAD over a packet, with the header as associated data
//! and the packet number mixed into the nonce.
//!
//! Promise: works in the caller's bytes, allocates nothing, and leaves a refused payload as it was.

use alloc::boxed::Box;
use core::fmt;

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadCore, AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaChaPoly1305;

use super::key_stream::KeyStream;
use super::keys::RawKey;
use super::{CipherSuite, ProtectionError, TAG_LEN};
use crate::wire::packet_number::PacketNumber;

/// Bytes of an initialisation vector and of a nonce, in all suites.
pub const IV_LEN: usize = 12;

/// The key that seals or opens payloads in one direction, for one generation (RFC 9001 §6).
#[derive(Clone)]
pub struct PacketKey {
    raw: RawKey,
    iv: [u8; IV_LEN],
    aead: Aead,
    is_clear: bool,
}

type ChaCha20Poly1305 = ChaChaPoly1305<KeyStream, U12>;

#[derive(Clone)]
enum Aead {
    Aes128Gcm(Box<Aes128Gcm>),
    Aes256Gcm(Box<Aes256Gcm>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
}

impl PacketKey {
    pub(super) fn new(suite: CipherSuite, raw: RawKey, iv: [u8; IV_LEN]) -> Self {
        let aead = match suite {
            CipherSuite::Aes128GcmSha256 => {
                Aead::Aes128Gcm(Box::new(Aes128Gcm::new(&raw.first_half().into())))
            }
            CipherSuite::Aes256GcmSha384 => {
                Aead::Aes256Gcm(Box::new(Aes256Gcm::new(&raw.whole().into())))
            }
            CipherSuite::ChaCha20Poly1305Sha256 => {
                Aead::ChaCha20Poly1305(Box::new(ChaCha20Poly1305::new(&raw.whole().into())))
            }
        };
        Self {
            raw,
            iv,
            aead,
            is_clear: false,
        }
    }

    /// Seals nothing from now on (draft-banks-quic-disable-encryption).
    #[cfg(feature = "disable-1rtt-encryption")]
    pub(super) const fn clear(&mut self) {
        self.is_clear = true;
    }

    /// Whether it seals nothing.
    pub(super) const fn is_clear(&self) -> bool {
        self.is_clear
    }

    /// Bytes of the tag behind each payload.
    pub const fn tag_len(&self) -> usize {
        if self.is_clear { 0 } else { TAG_LEN }
    }

    /// Key and initialisation vector, for a data path outside this library.
    pub fn raw(&self) -> (&[u8], &[u8; IV_LEN]) {
        (self.raw.as_bytes(), &self.iv)
    }

    /// The nonce of a packet: the initialisation vector, its end XORed with the packet number.
    pub fn nonce(&self, number: PacketNumber) -> [u8; IV_LEN] {
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().skip(4).zip(number.value().to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    /// Encrypts `payload` in place and gives its tag. A number must be used once per key.
    pub fn seal(
        &self,
        number: PacketNumber,
        header: &[u8],
        payload: &mut [u8],
    ) -> Result<[u8; TAG_LEN], ProtectionError> {
        if self.is_clear {
            return Ok([0; TAG_LEN]);
        }
        let nonce = self.nonce(number);
        match &self.aead {
            Aead::Aes128Gcm(aead) => seal(aead.as_ref(), nonce, header, payload),
            Aead::Aes256Gcm(aead) => seal(aead.as_ref(), nonce, header, payload),
            Aead::ChaCha20Poly1305(aead) => seal(aead.as_ref(), nonce, header, payload),
        }
    }

    /// Decrypts `payload` in place if `tag` shows that the peer sealed it under this header and number.
    pub fn open(
        &self,
        number: PacketNumber,
        header: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), ProtectionError> {
        if self.is_clear {
            return Ok(());
        }
        let tag = tag.try_into().map_err(|_| ProtectionError::TooShort)?;
        let nonce = self.nonce(number);
        match &self.aead {
            Aead::Aes128Gcm(aead) => open(aead.as_ref(), nonce, header, payload, tag),
            Aead::Aes256Gcm(aead) => open(aead.as_ref(), nonce, header, payload, tag),
            Aead::ChaCha20Poly1305(aead) => open(aead.as_ref(), nonce, header, payload, tag),
        }
    }
}

impl fmt::Debug for PacketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PacketKey(..)")
    }
}

fn seal<A>(
    aead: &A,
    nonce: [u8; IV_LEN],
    header: &[u8],
    payload: &mut [u8],
) -> Result<[u8; TAG_LEN], ProtectionError>
where
    A: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16>,
{
    aead.encrypt_inout_detached(&nonce.into(), header, payload.into())
        .map(|tag| tag.0)
        .map_err(|_| ProtectionError::Refused)
}

fn open<A>(
    aead: &A,
    nonce: [u8; IV_LEN],
    header: &[u8],
    payload: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), ProtectionError>
where
    A: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16>,
{
    aead.decrypt_inout_detached(&nonce.into(), header, payload.into(), tag.into())
        .map_err(|_| ProtectionError::Refused)
}
