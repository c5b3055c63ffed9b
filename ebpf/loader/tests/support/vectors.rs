//! Packets to seal: those of RFC 8439 §2.8.2 and RFC 9001 §A.5, and as many as there are lengths.

use std::mem::offset_of;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use relay_ebpf_common::layout::{PAD_BYTES, Pad};
use relay_ebpf_common::pad;
use relay_ebpf_common::scratch::{Frame, Scratch, TEXT_WORDS};
use relay_ebpf_common::trial::Trial;
use relay_ebpf_common::word::Word;

/// Where the ciphertext stands in a trial's words.
pub const TEXT_AT: usize = offset_of!(Trial, scratch.frame.text) / 8;
/// Where the plaintext does.
pub const PLAIN_AT: usize = offset_of!(Trial, scratch.plain) / 8;
/// Where the result does.
pub const RESULT_AT: usize = offset_of!(Trial, result) / 8;

/// A packet and its keys.
#[derive(Clone, Debug)]
pub struct Case {
    pub first: u8,
    pub cid: Vec<u8>,
    pub number: u64,
    pub number_len: usize,
    pub key: Vec<u8>,
    pub iv: Vec<u8>,
    pub hp: Vec<u8>,
    pub plain: Vec<u8>,
}

impl Case {
    /// RFC 8439 §2.8.2: its associated data is a short header as well.
    pub fn rfc8439() -> (Self, Vec<u8>) {
        let case = Self {
            first: 0x50,
            cid: hex("515253c0c1c2c3"),
            number: 0xc4c5_c6c7,
            number_len: 4,
            key: (0x80..0xa0).collect(),
            // The nonce is 070000004041424344454647.
            iv: hex("070000004041424380808080"),
            hp: vec![0; 32],
            plain: b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                future, sunscreen would be it."
                .to_vec(),
        };
        let sealed = hex(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
             3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
             92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
             3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
        );
        (case, sealed)
    }

    /// RFC 9001 §A.5, and its header protection mask.
    pub fn rfc9001() -> (Self, Vec<u8>, Vec<u8>) {
        let case = Self {
            first: 0x42,
            cid: Vec::new(),
            number: 654_360_564,
            number_len: 3,
            key: hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8"),
            iv: hex("e0459b3474bdd0e44a41c144"),
            hp: hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4"),
            plain: vec![1],
        };
        (
            case,
            hex("655e5cd55c41f69080575d7999c25a5bfb"),
            hex("aefefe7d03"),
        )
    }

    /// Something of this length, each time with another header.
    pub fn of_len(len: usize) -> Self {
        let seed = len as u64;
        let number_len = 1 + len / 7 % 4;
        Self {
            first: 0x40 | (number_len as u8 - 1),
            cid: random(seed ^ 1, len % 21),
            number: 0x1234_5678_9abc ^ (seed << 20),
            number_len,
            key: random(seed ^ 2 << 32, 32),
            iv: random(seed ^ 3 << 32, 12),
            hp: random(seed ^ 4 << 32, 32),
            plain: random(seed ^ 5 << 32, len),
        }
    }

    /// As the kernel gets it, with a pad or without.
    pub fn trial(&self, has_pad: bool) -> Trial {
        let trial = Trial {
            len: self.plain.len() as u64,
            first: u64::from(self.first),
            cid: words_of(&self.cid),
            cid_len: self.cid.len() as u64,
            number: self.number,
            number_len: self.number_len as u64,
            result: u64::MAX,
            key: words_of(&self.key).map(Word::new),
            iv: words_of(&self.iv).map(Word::new),
            hp: words_of(&self.hp).map(Word::new),
            scratch: Scratch {
                plain: words_of(&self.plain),
                frame: Frame {
                    text: [0x5555_5555_5555_5555; TEXT_WORDS],
                    ..Frame::ZERO
                },
                pad: Pad::empty(),
            },
            pad: Pad::empty(),
        };
        if has_pad {
            pad::fill(
                &trial.pad,
                &trial.key,
                &trial.iv,
                self.number,
                PAD_BYTES as u64,
            );
        }
        trial
    }

    /// What the chacha20poly1305 crate makes of it.
    pub fn sealed(&self) -> Vec<u8> {
        let mut nonce = self.iv.clone();
        for (byte, number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= number;
        }
        let number = &self.number.to_be_bytes()[8 - self.number_len..];
        let header = [&[self.first], &self.cid[..], number].concat();
        let mut text = self.plain.clone();
        let nonce = nonce.as_slice().try_into().expect("twelve bytes");
        ChaCha20Poly1305::new_from_slice(&self.key)
            .expect("32 bytes")
            .encrypt_in_place(nonce, &header, &mut text)
            .expect("short enough");
        text
    }
}

/// A trial as it stands in the map.
pub fn words(trial: &Trial) -> [u64; Trial::WORDS] {
    let [t0, t1, t2] = trial.cid;
    let mut words = vec![trial.len, trial.first, t0, t1, t2, trial.cid_len];
    words.extend([trial.number, trial.number_len, trial.result]);
    for part in [&trial.key[..], &trial.iv, &trial.hp] {
        words.extend(part.iter().map(Word::load));
    }
    words.extend(trial.scratch.plain);
    words.extend(trial.scratch.frame.head);
    words.extend(trial.scratch.frame.text);
    words.extend(pad_words(&trial.scratch.pad));
    words.extend(pad_words(&trial.pad));
    words.try_into().expect("all of it")
}

fn pad_words(pad: &Pad) -> impl Iterator<Item = u64> {
    let Pad {
        number,
        one_time_key,
        spare,
        keystream,
    } = pad;
    let start = [number].into_iter().chain(one_time_key).chain(spare);
    start.chain(keystream).map(Word::load)
}

/// Little-endian words, zeros behind.
pub fn words_of<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(whole);
    }
    words
}

/// The bytes of words.
pub fn bytes_of(words: &[u64], len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let next = |_| {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).expect("a digit") as u8;
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| digit(&pair[0]) << 4 | digit(&pair[1]))
        .collect()
}
