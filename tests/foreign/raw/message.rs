//! What publishers send: bytes that follow from what they are, so that whoever gets them can tell whether they are whole.
//! No RFC.

use sha2::{Digest, Sha256};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The whole of a stream.
    Stream,
    /// A datagram.
    Datagram,
    /// The stream that comes last, and says how many streams and datagrams there were.
    End,
}

/// How many messages a publisher has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams, without the last one.
    pub streams: u32,
    /// Datagrams.
    pub datagrams: u32,
}

/// A message that came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A stream or a datagram, and which.
    Data(Kind, u32),
    /// The end.
    End(Counts),
}

/// Kind, index, length.
pub const HEADER: usize = 9;

/// Message number `index`, of `length` bytes, at least [`HEADER`].
pub fn encode(kind: Kind, index: u32, length: usize) -> Vec<u8> {
    let length = length.max(HEADER);
    let mut bytes = vec![kind as u8];
    bytes.extend(index.to_be_bytes());
    bytes.extend((length as u32).to_be_bytes());
    let mut random = Random(u64::from(index) << 8 | kind as u64);
    while bytes.len() < length {
        bytes.extend(random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The last message.
pub fn encode_end(counts: Counts) -> Vec<u8> {
    let mut bytes = vec![Kind::End as u8];
    bytes.extend(counts.streams.to_be_bytes());
    bytes.extend(counts.datagrams.to_be_bytes());
    bytes
}

/// What the bytes are, if they are what somebody sent.
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let kind = match header[0] {
        0 => Kind::Stream,
        1 => Kind::Datagram,
        2 if bytes.len() == HEADER => return Some(Message::End(Counts { streams: word(1), datagrams: word(5) })),
        _ => return None,
    };
    let (index, length) = (word(1), word(5) as usize);
    (length == bytes.len() && encode(kind, index, length) == bytes).then_some(Message::Data(kind, index))
}

/// The length of message number `index`: spread over `least..=most`, the same in each run.
pub fn length(kind: Kind, index: u32, least: usize, most: usize) -> usize {
    let spread = most.saturating_sub(least) as u64 + 1;
    least + (Random(!u64::from(index) ^ kind as u64).next() % spread) as usize
}

/// SHA-256 of one message.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SplitMix64.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_are_known_and_altered_ones_are_not() {
        for (kind, index, length) in [(Kind::Stream, 0, 9), (Kind::Datagram, 7, 1000), (Kind::Stream, 1 << 30, 70_001)] {
            let bytes = encode(kind, index, length);
            assert_eq!(bytes.len(), length);
            assert_eq!(decode(&bytes), Some(Message::Data(kind, index)));
            let mut altered = bytes.clone();
            altered[length - 1] ^= 1;
            assert_eq!(decode(&altered), None);
            assert_eq!(decode(&bytes[..length - 1]), None);
        }
        let counts = Counts { streams: 5, datagrams: 6 };
        assert_eq!(decode(&encode_end(counts)), Some(Message::End(counts)));
        assert_eq!(decode(b""), None);
    }

    #[test]
    fn lengths_stay_within_their_limits() {
        let lengths: Vec<usize> = (0..1000).map(|index| length(Kind::Stream, index, 20, 30)).collect();
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&20), Some(&30)));
    }
}
