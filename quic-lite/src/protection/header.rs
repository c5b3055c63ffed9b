//! ④ Header protection (RFC 9001 §5.4): sixteen bytes of ciphertext give the five-byte mask that
//! hides the packet number and some bits of the first byte.
//!
//! Promise: any sample gives a mask; the cipher's key schedule is run once per key.

use alloc::boxed::Box;
use core::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use zeroize::Zeroizing;

use super::key_stream::{BLOCK, write_blocks};
use super::keys::RawKey;
use super::{CipherSuite, SAMPLE_LEN};

/// The key that hides and shows headers in one direction. It outlives key updates (RFC 9001 §6).
#[derive(Clone)]
pub struct HeaderKey {
    raw: RawKey,
    cipher: MaskCipher,
    is_clear: bool,
}

#[derive(Clone)]
enum MaskCipher {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
    ChaCha20(Zeroizing<[u8; 32]>),
}

impl HeaderKey {
    pub(super) fn new(suite: CipherSuite, raw: RawKey) -> Self {
        let cipher = match suite {
            CipherSuite::Aes128GcmSha256 => {
                MaskCipher::Aes128(Box::new(Aes128::new(&raw.first_half().into())))
            }
            CipherSuite::Aes256GcmSha384 => {
                MaskCipher::Aes256(Box::new(Aes256::new(&raw.whole().into())))
            }
            CipherSuite::ChaCha20Poly1305Sha256 => {
                MaskCipher::ChaCha20(Zeroizing::new(raw.whole()))
            }
        };
        Self {
            raw,
            cipher,
            is_clear: false,
        }
    }

    /// Hides nothing from now on (draft-banks-quic-disable-encryption).
    #[cfg(feature = "disable-1rtt-encryption")]
    pub(super) const fn clear(&mut self) {
        self.is_clear = true;
    }

    /// Whether it hides nothing.
    pub(super) const fn is_clear(&self) -> bool {
        self.is_clear
    }

    /// The key's bytes, for a data path outside this library.
    pub fn raw(&self) -> &[u8] {
        self.raw.as_bytes()
    }

    /// The mask for a sample: one byte for the first byte, four for the packet number.
    pub fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        match &self.cipher {
            MaskCipher::Aes128(aes) => aes_mask(aes.as_ref(), sample),
            MaskCipher::Aes256(aes) => aes_mask(aes.as_ref(), sample),
            MaskCipher::ChaCha20(key) => chacha20_mask(key, sample),
        }
    }
}

impl fmt::Debug for HeaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderKey(..)")
    }
}

/// RFC 9001 §5.4.3: the mask is the start of the sample's encryption.
fn aes_mask<C>(aes: &C, sample: &[u8; SAMPLE_LEN]) -> [u8; 5]
where
    C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let mut block = (*sample).into();
    aes.encrypt_block(&mut block);
    let [a, b, c, d, e, ..] = block.0;
    [a, b, c, d, e]
}

/// RFC 9001 §5.4.4: four bytes of the sample are the block counter, twelve the nonce; the mask is the
/// start of that block. The counter is the peer's to choose, and the last one is legal. A second block
/// comes with it, as that is faster.
fn chacha20_mask(key: &[u8; 32], sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
    let [c0, c1, c2, c3, nonce @ ..] = *sample;
    let mut stream = [0; 2 * BLOCK];
    write_blocks(
        key,
        &nonce,
        u32::from_le_bytes([c0, c1, c2, c3]),
        &mut stream,
    );
    let [a, b, c, d, e, ..] = stream;
    [a, b, c, d, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_counter_gives_a_mask_up_to_the_last() {
        let raw = RawKey::new([7; 32], CipherSuite::ChaCha20Poly1305Sha256.key_len());
        let key = HeaderKey::new(CipherSuite::ChaCha20Poly1305Sha256, raw);
        let last = key.mask(&[0xff; SAMPLE_LEN]);
        let mut sample = [0xff; SAMPLE_LEN];
        sample[0] = 0xfe;
        assert_ne!(key.mask(&sample), last);
    }
}
