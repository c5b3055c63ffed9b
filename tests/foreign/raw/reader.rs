//! Reads along on a capture: what a relay has sent to a client, opened with a secret of the key log. RFC 9001 §5, §6.
//!
//! Nothing here is from the code under test: keys, header protection and AEAD are those of ring.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey, quic};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

/// Bytes of the connection IDs that quinn chooses.
const CID: usize = 8;
const KEY: usize = 32;
const TAG: usize = 16;

/// One direction of a connection with TLS_CHACHA20_POLY1305_SHA256.
pub struct Reader {
    hp: quic::HeaderProtectionKey,
    /// By generation; the last is the one after the newest that was seen.
    keys: Vec<Keys>,
    largest: u64,
}

/// A 1-RTT packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its number.
    pub number: u64,
    /// How many key updates came before.
    pub generation: u64,
    /// Its frames.
    pub frames: Vec<u8>,
}

struct Keys {
    secret: [u8; KEY],
    key: LessSafeKey,
    iv: [u8; 12],
}

/// The secrets that a server has logged, of the application's packets to its clients.
pub fn server_secrets(log: &str) -> Vec<[u8; KEY]> {
    let lines = log.lines().filter_map(|line| line.strip_prefix("SERVER_TRAFFIC_SECRET_0 "));
    let words = lines.filter_map(|line| line.split_whitespace().nth(1));
    words.filter_map(bytes).collect()
}

impl Reader {
    /// With a secret as the handshake gave it.
    pub fn new(secret: [u8; KEY]) -> Self {
        let mut hp = [0; KEY];
        expand(&secret, "quic hp", &mut hp);
        let first = Keys::new(secret);
        let second = first.next();
        Self {
            hp: quic::HeaderProtectionKey::new(&quic::CHACHA20, &hp).expect("of the right length"),
            keys: vec![first, second],
            largest: 0,
        }
    }

    /// Opens a UDP payload that is a 1-RTT packet, of the newest generation, the one before or the one behind.
    pub fn open(&mut self, datagram: &[u8]) -> Option<Packet> {
        let number_at = 1 + CID;
        let sample = datagram.get(number_at + 4..number_at + 4 + TAG)?;
        let mask = self.hp.new_mask(sample).ok()?;
        let first = datagram[0] ^ mask[0] & 0x1f;
        let number_len = usize::from(first & 3) + 1;
        let mut header = datagram[..number_at + number_len].to_vec();
        header[0] = first;
        for (byte, mask) in header[number_at..].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
        }
        let truncated = header[number_at..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let number = decode(self.largest, truncated, number_len as u32);
        let phase = usize::from(first >> 2 & 1);
        let newest = self.keys.len() - 1;
        let generations = (newest.saturating_sub(2)..=newest).filter(|generation| generation % 2 == phase);
        let sealed = &datagram[header.len()..];
        let (generation, frames) = generations
            .filter_map(|generation| Some((generation, self.keys[generation].open(number, &header, sealed)?)))
            .next()?;
        if generation == newest {
            self.keys.push(self.keys[newest].next());
        }
        self.largest = self.largest.max(number);
        Some(Packet { number, generation: generation as u64, frames })
    }
}

impl Keys {
    fn new(secret: [u8; KEY]) -> Self {
        let (mut key, mut iv) = ([0; KEY], [0; 12]);
        expand(&secret, "quic key", &mut key);
        expand(&secret, "quic iv", &mut iv);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("of the right length");
        Self { secret, key: LessSafeKey::new(key), iv }
    }

    /// RFC 9001 §6.1.
    fn next(&self) -> Self {
        let mut secret = [0; KEY];
        expand(&self.secret, "quic ku", &mut secret);
        Self::new(secret)
    }

    /// RFC 9001 §5.3.
    fn open(&self, number: u64, header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        let mut text = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(header), &mut text).ok()?;
        Some(plain.to_vec())
    }
}

/// RFC 8446 §7.1: HKDF-Expand-Label.
fn expand(secret: &[u8; KEY], label: &str, out: &mut [u8]) {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let length = (out.len() as u16).to_be_bytes();
    let label_len = [label.len() as u8 + 6];
    let info = [&length[..], &label_len, b"tls13 ", label.as_bytes(), &[0]];
    let prk = Prk::new_less_safe(HKDF_SHA256, secret);
    let okm = prk.expand(&info, Length(out.len())).expect("short enough");
    okm.fill(out).expect("as long as was said");
}

/// RFC 9000 Appendix A.3, when the largest number so far is `largest`.
fn decode(largest: u64, truncated: u64, len: u32) -> u64 {
    let window = 1_u64 << (8 * len);
    let expected = largest + 1;
    let near = expected & !(window - 1) | truncated;
    let all = [near.checked_sub(window), Some(near), near.checked_add(window)];
    let closest = all.into_iter().flatten().min_by_key(|number| number.abs_diff(expected));
    closest.unwrap_or(near)
}

fn bytes(hex: &str) -> Option<[u8; KEY]> {
    let mut bytes = [0; KEY];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (hex.len() == 2 * KEY).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9001_a_5() {
        let secret = bytes("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b").unwrap();
        let keys = Keys::new(secret);
        assert_eq!(keys.iv, *b"\xe0\x45\x9b\x34\x74\xbd\xd0\xe4\x4a\x41\xc1\x44");
        assert_eq!(keys.next().secret[..4], [0x12, 0x23, 0x50, 0x47]);
        let header = [0x42, 0x00, 0xbf, 0xf4];
        let sealed = bytes("655e5cd55c41f69080575d7999c25a5bfb000000000000000000000000000000").unwrap();
        assert_eq!(keys.open(654_360_564, &header, &sealed[..17]), Some(vec![1]));
    }

    #[test]
    fn numbers_are_decoded_near_the_largest() {
        assert_eq!(decode(0xa82f_30ea, 0x9b32, 2), 0xa82f_9b32);
        assert_eq!((decode(0, 3, 1), decode(255, 1, 1), decode(258, 255, 1)), (3, 257, 255));
    }
}
