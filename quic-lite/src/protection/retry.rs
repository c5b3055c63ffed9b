//! Retry integrity (RFC 9001 §5.8): a tag under a key known to all, which shows that whoever sent the
//! Retry saw the client's Initial. It guards against accidents and off-path guesses, nothing more.

use alloc::vec::Vec;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};

use super::{ProtectionError, TAG_LEN};
use crate::wire::connection_id::ConnectionId;

/// The tag to put at the end of a Retry packet, here without one, that answers `original_dcid`.
pub fn tag(original_dcid: &ConnectionId, retry: &[u8]) -> Result<[u8; TAG_LEN], ProtectionError> {
    Aes128Gcm::new(&KEY.into())
        .encrypt_inout_detached(
            &NONCE.into(),
            &pseudo_packet(original_dcid, retry),
            (&mut [][..]).into(),
        )
        .map(|tag| tag.0)
        .map_err(|_| ProtectionError::Refused)
}

/// Whether a received Retry packet, with its tag, answers our Initial to `original_dcid`.
pub fn verify(original_dcid: &ConnectionId, retry: &[u8]) -> bool {
    let Some((retry, received)) = retry.split_last_chunk::<TAG_LEN>() else {
        return false;
    };
    // Nothing here is secret, so the comparison need not take constant time.
    tag(original_dcid, retry).is_ok_and(|expected| expected == *received)
}

/// RFC 9001 §5.8, Figure 8: the original connection ID with its length, then the packet. A copy is made
/// because an AEAD wants its associated data in one piece; a client does this once per connection.
fn pseudo_packet(original_dcid: &ConnectionId, retry: &[u8]) -> Vec<u8> {
    let cid = original_dcid.as_slice();
    let mut bytes = Vec::with_capacity(cid.len().saturating_add(retry.len()).saturating_add(1));
    bytes.extend(u8::try_from(cid.len()));
    bytes.extend_from_slice(cid);
    bytes.extend_from_slice(retry);
    bytes
}

/// RFC 9001 §5.8: key and nonce of version 1.
const KEY: [u8; 16] = [
    0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e,
];
const NONCE: [u8; 12] = [
    0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb,
];
