//! Parts of a packet's payload, decrypted and not verified: as much as it takes to see what a message says.
//! RFC 9001 §5.3, RFC 8439 §2.4, NIST SP 800-38D §7.1.
//!
//! A measuring receiver has to be cheap, and whether tags are right is the tests' business.

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use quic_lite::protection::key_stream::{BLOCK, write_blocks};
use quic_lite::protection::{CipherSuite, Keys};
use quic_lite::wire::packet_number::PacketNumber;

/// So many bytes are looked at: one block of ChaCha20 at the beginning of a payload.
pub const LEN: usize = BLOCK;

/// What decrypts.
pub enum Peek {
    /// AES-128-GCM.
    Aes128(Box<Aes128>),
    /// AES-256-GCM.
    Aes256(Box<Aes256>),
    /// ChaCha20-Poly1305.
    ChaCha20([u8; 32]),
    /// Both peers go without (draft-banks-quic-disable-encryption).
    Clear,
}

impl Peek {
    /// With the keys that packets are opened with.
    pub fn new(keys: &Keys) -> Option<Self> {
        if keys.is_clear() {
            return Some(Self::Clear);
        }
        let (key, _) = keys.packet.raw();
        Some(match keys.suite {
            CipherSuite::Aes128GcmSha256 => {
                Self::Aes128(Box::new(Aes128::new_from_slice(key).ok()?))
            }
            CipherSuite::Aes256GcmSha384 => {
                Self::Aes256(Box::new(Aes256::new_from_slice(key).ok()?))
            }
            CipherSuite::ChaCha20Poly1305Sha256 => Self::ChaCha20(key.try_into().ok()?),
        })
    }

    /// [`LEN`] bytes of this payload from `offset` on, or as many as there are.
    pub fn open(
        &self,
        keys: &Keys,
        number: PacketNumber,
        payload: &[u8],
        offset: usize,
    ) -> ([u8; LEN], usize) {
        let part = payload.get(offset..).unwrap_or_default();
        if part.is_empty() {
            return ([0; LEN], 0);
        }
        let nonce = keys.packet.nonce(number);
        let (mut clear, len) = ([0; LEN], part.len().min(LEN));
        clear[..len].copy_from_slice(&part[..len]);
        match self {
            Self::Clear => {}
            Self::Aes128(cipher) => counter(&**cipher, nonce, &mut clear, offset),
            Self::Aes256(cipher) => counter(&**cipher, nonce, &mut clear, offset),
            Self::ChaCha20(key) => chacha20(key, nonce, &mut clear, offset),
        }
        (clear, len)
    }
}

/// RFC 8439 §2.8: the first block is the tag's. Two blocks are made at once, as that is faster than one.
fn chacha20(key: &[u8; 32], nonce: [u8; 12], data: &mut [u8; LEN], offset: usize) {
    let mut stream = [0; 2 * LEN];
    write_blocks(key, &nonce, (offset / LEN) as u32 + 1, &mut stream);
    data.iter_mut()
        .zip(&stream[offset % LEN..])
        .for_each(|(byte, key)| *byte ^= key);
}

/// Counter mode as in GCM, where the first block is the tag's: `data` stands at `offset`.
fn counter(
    cipher: &impl BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
    nonce: [u8; 12],
    data: &mut [u8],
    offset: usize,
) {
    let (blocks, skip) = (offset / 16, offset % 16);
    let key_stream = (blocks as u32 + 2..).flat_map(|count| {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&nonce);
        block[12..].copy_from_slice(&count.to_be_bytes());
        let mut block = Block::<aes::Aes128>::from(block);
        cipher.encrypt_block(&mut block);
        block
    });
    data.iter_mut()
        .zip(key_stream.skip(skip))
        .for_each(|(byte, key)| *byte ^= key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use quic_lite::protection::Secret;

    #[test]
    fn any_part_is_what_was_sealed() {
        for suite in CipherSuite::ALL {
            let secret = Secret::new(
                &[7; 48][..if suite == CipherSuite::Aes256GcmSha384 {
                    48
                } else {
                    32
                }],
            );
            let keys = Keys::from_secret(suite, &secret.expect("a length that secrets have"));
            let clear: Vec<u8> = (0..200).collect();
            let (mut sealed, number) = (clear.clone(), PacketNumber::new(77));
            keys.packet
                .seal(number, b"header", &mut sealed)
                .expect("it seals");
            let peek = Peek::new(&keys).expect("its key");
            let (part, len) = peek.open(&keys, number, &sealed, 0);
            assert_eq!((&part[..], len), (&clear[..LEN], LEN), "{suite:?}");
            let (part, len) = peek.open(&keys, number, &sealed, 151);
            assert_eq!(part[..len], clear[151..], "{suite:?}");
            assert_eq!(peek.open(&keys, number, &sealed, 201).1, 0);
        }
    }
}
