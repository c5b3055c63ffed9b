//! The beginning of a packet's payload, decrypted and not verified: as much as it takes to see what a message says.
//! RFC 9001 §5.3, RFC 8439 §2.4, NIST SP 800-38D §7.1.
//!
//! A measuring receiver has to be cheap, and whether tags are right is the tests' business.

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use quic_lite::protection::{CipherSuite, Keys};
use quic_lite::wire::packet_number::PacketNumber;

/// So many bytes are looked at.
pub const LEN: usize = 96;

/// What decrypts.
pub enum Peek {
    /// AES-128-GCM.
    Aes128(Box<Aes128>),
    /// AES-256-GCM.
    Aes256(Box<Aes256>),
    /// ChaCha20-Poly1305.
    ChaCha20([u8; 32]),
}

impl Peek {
    /// With the keys that packets are opened with.
    pub fn new(keys: &Keys) -> Option<Self> {
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

    /// The first [`LEN`] bytes of this payload, or fewer.
    pub fn open(&self, keys: &Keys, number: PacketNumber, payload: &[u8]) -> ([u8; LEN], usize) {
        let nonce = keys.packet.nonce(number);
        let (mut clear, len) = ([0; LEN], payload.len().min(LEN));
        clear[..len].copy_from_slice(&payload[..len]);
        match self {
            Self::Aes128(cipher) => counter(&**cipher, nonce, &mut clear),
            Self::Aes256(cipher) => counter(&**cipher, nonce, &mut clear),
            Self::ChaCha20(key) => {
                let mut cipher = ChaCha20::new(key.into(), &nonce.into());
                // The first block is Poly1305's key.
                cipher.seek(64_u64);
                cipher.apply_keystream(&mut clear);
            }
        }
        (clear, len)
    }
}

/// Counter mode as in GCM: the first block is the tag's.
fn counter(
    cipher: &impl BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
    nonce: [u8; 12],
    data: &mut [u8],
) {
    for (chunk, count) in data.chunks_mut(16).zip(2_u32..) {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&nonce);
        block[12..].copy_from_slice(&count.to_be_bytes());
        let mut block = Block::<aes::Aes128>::from(block);
        cipher.encrypt_block(&mut block);
        chunk
            .iter_mut()
            .zip(block)
            .for_each(|(byte, key)| *byte ^= key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quic_lite::protection::Secret;

    #[test]
    fn the_beginning_is_what_was_sealed() {
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
            assert_eq!(
                peek.open(&keys, number, &sealed).0[..],
                clear[..LEN],
                "{suite:?}"
            );
            assert_eq!(peek.open(&keys, number, &sealed[..5]).1, 5);
        }
    }
}
