//! What the source sends: a number, the time, and zeros. No RFC.

/// Bytes that say something.
pub const HEADER: usize = 16;

/// A message that has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Counts from 0, over all that a source sends.
    pub sequence: u64,
    /// CLOCK_MONOTONIC when it was sent, ns.
    pub sent: u64,
}

impl Message {
    /// As `size` bytes, at least [`HEADER`].
    pub fn encode(self, size: usize) -> Vec<u8> {
        let mut bytes = [self.sequence.to_be_bytes(), self.sent.to_be_bytes()].concat();
        bytes.resize(size.max(HEADER), 0);
        bytes
    }

    /// Whose copy it is, and the message itself: what makes copies without looking into them writes a number over the upper
    /// half of the sequence number, which no run needs.
    pub fn copy(self) -> (usize, Self) {
        let (copy, sequence) = (self.sequence >> 32, self.sequence & u64::from(u32::MAX));
        (copy as usize, Self { sequence, ..self })
    }

    /// From its first bytes; `None` if these are too few.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk()?;
        let (sent, _) = rest.split_first_chunk()?;
        Some(Self {
            sequence: u64::from_be_bytes(*sequence),
            sent: u64::from_be_bytes(*sent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let message = Message {
            sequence: 7,
            sent: u64::MAX - 1,
        };
        assert_eq!(message.encode(1200).len(), 1200);
        assert_eq!(Message::decode(&message.encode(0)), Some(message));
        assert_eq!(Message::decode(&[0; 15]), None);
    }

    #[test]
    fn the_fourth_byte_is_whose_copy_it_is() {
        let message = Message {
            sequence: 7,
            sent: 8,
        };
        assert_eq!(message.copy(), (0, message));
        let mut bytes = message.encode(1200);
        bytes[3] = 99;
        let copy = Message::decode(&bytes).unwrap();
        assert_eq!(copy.copy(), (99, message));
    }
}
