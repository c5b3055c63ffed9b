//! Packet protection (RFC 9001 §5 and §6). A packet changes type as it comes in, so no step can be
//! skipped and no field is read before it is true:
//!
//! ```text
//!   ProtectedPacket ──HeaderKey──▶ UnprotectedPacket ──PacketKey──▶ OpenedPacket
//!   as it arrived      ④ §5.4     first byte, number     ⑤ §5.3     payload to be trusted
//! ```
//!
//! [`seal_packet`] is the way out. Promise: everything happens inside the caller's buffer, nothing is
//! allocated per packet, and no byte of a peer can cause a panic. Counting packets against the limits
//! of §6.6 and choosing the key of a phase (§6) are the connection's work.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod header;
pub mod key_stream;
pub mod keys;
pub mod packet;
pub mod retry;

use core::fmt;

use crate::error::{TransportError, TransportErrorCode};
use crate::wire::packet_number::PacketNumber;

pub use header::HeaderKey;
pub use keys::{KeyPair, Keys, Secret};
pub use packet::PacketKey;

/// The AEAD and hash of a connection (RFC 9001 §5.3 allows these three here; CCM is left out).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CipherSuite {
    /// TLS_AES_128_GCM_SHA256; also protects all Initial packets.
    Aes128GcmSha256,
    /// TLS_AES_256_GCM_SHA384.
    Aes256GcmSha384,
    /// TLS_CHACHA20_POLY1305_SHA256.
    ChaCha20Poly1305Sha256,
}

impl CipherSuite {
    /// Every suite there is, in the usual order of preference.
    pub const ALL: [Self; 3] = [
        Self::Aes128GcmSha256,
        Self::Aes256GcmSha384,
        Self::ChaCha20Poly1305Sha256,
    ];

    /// Bytes in a packet key and in a header protection key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128GcmSha256 => 16,
            Self::Aes256GcmSha384 | Self::ChaCha20Poly1305Sha256 => 32,
        }
    }

    /// Bytes in a traffic secret: the output length of the suite's hash.
    pub const fn secret_len(self) -> usize {
        match self {
            Self::Aes128GcmSha256 | Self::ChaCha20Poly1305Sha256 => 32,
            Self::Aes256GcmSha384 => 48,
        }
    }

    /// How many packets one key may seal (RFC 9001 §6.6).
    pub const fn confidentiality_limit(self) -> u64 {
        match self {
            Self::Aes128GcmSha256 | Self::Aes256GcmSha384 => 1 << 23,
            // RFC 9001 §6.6: larger than the number of packets a connection can have.
            Self::ChaCha20Poly1305Sha256 => 1 << 62,
        }
    }

    /// How many forged packets all keys of a connection together may see (RFC 9001 §6.6).
    pub const fn integrity_limit(self) -> u64 {
        match self {
            Self::Aes128GcmSha256 | Self::Aes256GcmSha384 => 1 << 52,
            Self::ChaCha20Poly1305Sha256 => 1 << 36,
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Aes128GcmSha256 => "TLS_AES_128_GCM_SHA256",
            Self::Aes256GcmSha384 => "TLS_AES_256_GCM_SHA384",
            Self::ChaCha20Poly1305Sha256 => "TLS_CHACHA20_POLY1305_SHA256",
        })
    }
}

/// Why a packet could not be opened or sealed. Received packets are then dropped in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionError {
    /// Fewer bytes after the packet number than header protection samples.
    TooShort,
    /// The AEAD refuses: forged, damaged, or sealed with another key.
    Refused,
}

impl fmt::Display for ProtectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "packet too short for header protection",
            Self::Refused => "packet refused by the AEAD",
        })
    }
}

impl core::error::Error for ProtectionError {}

/// ④ One packet as it arrived: exactly its bytes, without the packets coalesced after it.
#[derive(Debug)]
pub struct ProtectedPacket<'a> {
    /// The whole packet, from its first byte to the end of its tag.
    pub bytes: &'a mut [u8],
    /// Where the packet number starts; header parsing knows.
    pub pn_offset: usize,
}

impl<'a> ProtectedPacket<'a> {
    /// Removes header protection (RFC 9001 §5.4.1).
    pub fn unprotect(self, key: &HeaderKey) -> Result<UnprotectedPacket<'a>, ProtectionError> {
        let Self { bytes, pn_offset } = self;
        let HeaderParts {
            first,
            pn_field,
            rest,
        } = split_header(bytes, pn_offset)?;
        let [first_mask, pn_mask @ ..] = mask(key, rest)?;
        *first ^= first_mask & protected_bits(*first);
        let pn_len = pn_len(*first);
        apply_pn_mask(pn_field, pn_mask, pn_len);
        let (first_byte, truncated_pn) = (*first, big_endian(pn_field, pn_len));
        Ok(UnprotectedPacket {
            bytes,
            pn_offset,
            pn_len,
            first_byte,
            truncated_pn,
        })
    }
}

/// ⑤ A packet whose header can be read but not yet trusted.
#[derive(Debug)]
pub struct UnprotectedPacket<'a> {
    bytes: &'a mut [u8],
    pn_offset: usize,
    pn_len: usize,
    first_byte: u8,
    truncated_pn: u32,
}

impl<'a> UnprotectedPacket<'a> {
    /// The first byte without its mask.
    pub fn first_byte(&self) -> u8 {
        self.first_byte
    }

    /// How many bytes the packet number takes, 1 to 4.
    pub fn pn_len(&self) -> usize {
        self.pn_len
    }

    /// The packet number as it is in the packet, its low `pn_len` bytes.
    pub fn truncated_pn(&self) -> u32 {
        self.truncated_pn
    }

    /// The key phase bit; says something in 1-RTT packets only (RFC 9001 §6).
    pub fn key_phase(&self) -> bool {
        self.first_byte & KEY_PHASE != 0
    }

    /// The whole packet number, given the largest one opened so far in this space. Together with
    /// [`Self::key_phase`] it decides which generation's key opens the packet (RFC 9001 §6.3).
    pub fn number(&self, largest: Option<PacketNumber>) -> PacketNumber {
        PacketNumber::decode(self.truncated_pn, self.pn_len, largest)
    }

    /// Opens the payload (RFC 9001 §5.3). A refused packet is dropped and changes nothing.
    pub fn open(
        self,
        key: &PacketKey,
        largest: Option<PacketNumber>,
    ) -> Result<OpenedPacket<'a>, ProtectionError> {
        let number = self.number(largest);
        let Self {
            bytes,
            pn_offset,
            pn_len,
            first_byte,
            ..
        } = self;
        let header_len = pn_offset.saturating_add(pn_len);
        let (header, rest) = split(bytes, header_len)?;
        let (payload, tag) = split_tag(rest, key)?;
        key.open(number, header, payload, tag)?;
        Ok(OpenedPacket {
            number,
            first_byte,
            payload,
        })
    }
}

/// A packet that the peer sealed: its number and frames can be acted on.
#[derive(Debug)]
pub struct OpenedPacket<'a> {
    /// The whole packet number.
    pub number: PacketNumber,
    /// The first byte, authentic now.
    pub first_byte: u8,
    /// The frames.
    pub payload: &'a [u8],
}

impl OpenedPacket<'_> {
    /// RFC 9000 §17.2, §17.3.1: reserved bits must be zero, but only a packet that opened may tell,
    /// or the answer would leak bits of the header protection key.
    pub fn check_reserved_bits(&self) -> Result<(), TransportError> {
        let reserved = if is_long(self.first_byte) {
            LONG_RESERVED
        } else {
            SHORT_RESERVED
        };
        if self.first_byte & reserved == 0 {
            return Ok(());
        }
        Err(TransportError::new(
            TransportErrorCode::PROTOCOL_VIOLATION,
            0,
            "reserved bits are set",
        ))
    }
}

/// Seals one packet in place: encrypts the payload, writes the tag, protects the header.
///
/// `bytes` is exactly the packet: header with a truncated packet number at `pn_offset`, as long as the
/// first byte says; plaintext frames; room for the tag ([`PacketKey::tag_len`]). A packet too short to be sampled must be
/// padded before (RFC 9001 §5.4.2), at least 4 bytes of packet number and frames.
pub fn seal_packet(
    bytes: &mut [u8],
    pn_offset: usize,
    number: PacketNumber,
    keys: &Keys,
) -> Result<(), ProtectionError> {
    let first = *split_header(bytes, pn_offset)?.first;
    let pn_len = pn_len(first);
    let (header, rest) = split(bytes, pn_offset.saturating_add(pn_len))?;
    let (payload, tag) = split_tag(rest, &keys.packet)?;
    let sealed = keys.packet.seal(number, header, payload)?;
    for (place, byte) in tag.iter_mut().zip(sealed) {
        *place = byte;
    }

    let HeaderParts {
        first,
        pn_field,
        rest,
    } = split_header(bytes, pn_offset)?;
    let [first_mask, pn_mask @ ..] = mask(&keys.header, rest)?;
    apply_pn_mask(pn_field, pn_mask, pn_len);
    *first ^= first_mask & protected_bits(*first);
    Ok(())
}

/// The bytes that header protection touches, and those behind, which it samples.
struct HeaderParts<'a> {
    first: &'a mut u8,
    pn_field: &'a mut [u8; MAX_PN_LEN],
    rest: &'a [u8],
}

/// RFC 9001 §5.4.2: the sample starts as if the packet number took four bytes, whatever it takes.
fn split_header(bytes: &mut [u8], pn_offset: usize) -> Result<HeaderParts<'_>, ProtectionError> {
    let (header, rest) = split(bytes, pn_offset)?;
    let (pn_field, rest) = rest
        .split_first_chunk_mut()
        .ok_or(ProtectionError::TooShort)?;
    let first = header.first_mut().ok_or(ProtectionError::TooShort)?;
    Ok(HeaderParts {
        first,
        pn_field,
        rest,
    })
}

fn mask(key: &HeaderKey, rest: &[u8]) -> Result<[u8; 5], ProtectionError> {
    if key.is_clear() {
        return Ok([0; 5]);
    }
    let sample = rest.first_chunk().ok_or(ProtectionError::TooShort)?;
    Ok(key.mask(sample))
}

fn split_tag<'a>(
    rest: &'a mut [u8],
    key: &PacketKey,
) -> Result<(&'a mut [u8], &'a mut [u8]), ProtectionError> {
    let payload = rest.len().checked_sub(key.tag_len());
    split(rest, payload.ok_or(ProtectionError::TooShort)?)
}

fn split(bytes: &mut [u8], at: usize) -> Result<(&mut [u8], &mut [u8]), ProtectionError> {
    bytes
        .split_at_mut_checked(at)
        .ok_or(ProtectionError::TooShort)
}

fn is_long(first_byte: u8) -> bool {
    first_byte & LONG_FORM != 0
}

/// RFC 9001 §5.4.1: four bits of a long header's first byte are masked, five of a short one's.
fn protected_bits(first_byte: u8) -> u8 {
    if is_long(first_byte) { 0x0f } else { 0x1f }
}

fn pn_len(first_byte: u8) -> usize {
    usize::from(first_byte & 0x03).saturating_add(1)
}

fn apply_pn_mask(pn_field: &mut [u8; MAX_PN_LEN], mask: [u8; MAX_PN_LEN], pn_len: usize) {
    for (byte, mask) in pn_field.iter_mut().zip(mask).take(pn_len) {
        *byte ^= mask;
    }
}

fn big_endian(pn_field: &[u8; MAX_PN_LEN], pn_len: usize) -> u32 {
    pn_field
        .iter()
        .take(pn_len)
        .fold(0, |number, &byte| (number << 8) | u32::from(byte))
}

/// Bytes of an AEAD tag, in all suites (RFC 9001 §5.3).
pub const TAG_LEN: usize = 16;
/// Bytes that header protection samples (RFC 9001 §5.4.3, §5.4.4).
pub const SAMPLE_LEN: usize = 16;
/// The longest packet number in a packet (RFC 9000 §17.1).
pub const MAX_PN_LEN: usize = 4;

const LONG_FORM: u8 = 0x80;
const LONG_RESERVED: u8 = 0x0c;
const SHORT_RESERVED: u8 = 0x18;
const KEY_PHASE: u8 = 0x04;

#[cfg(test)]
mod tests;
