//! Packet number spaces: their names, and where their numbers come from. RFC 9000 §12.3.
//!
//! [`Space`] is what a space knows of the packets that arrived, and when it acknowledges them. What it
//! knows of the packets that were sent is in [`crate::recovery`].

mod received;

pub use received::{AckFrequency, Space};

use crate::wire::packet_number::PacketNumber;

/// A packet number space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpaceId {
    /// Initial packets.
    Initial,
    /// Handshake packets.
    Handshake,
    /// 0-RTT and 1-RTT packets, which share their numbers.
    Data,
}

impl SpaceId {
    /// All spaces in the order of the handshake.
    pub const ALL: [Self; 3] = [Self::Initial, Self::Handshake, Self::Data];

    /// Position in `ALL`.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Where the packet numbers of one space come from: in order from zero, each once, since a number used
/// twice repeats an AEAD nonce. While another sender shares the Data space it is the source instead.
#[derive(Debug, Default)]
pub struct Counter(u64);

impl Counter {
    /// Takes a number.
    pub const fn allocate(&mut self) -> PacketNumber {
        self.0 += 1;
        PacketNumber::new(self.0 - 1)
    }

    /// The number that `allocate` would return now: neither it nor a larger one was ever sent.
    pub const fn next(&self) -> PacketNumber {
        PacketNumber::new(self.0)
    }

    /// Numbers below `next` have been used elsewhere.
    pub const fn advance_to(&mut self, next: PacketNumber) {
        if next.value() > self.0 {
            self.0 = next.value();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_what_allocate_returns() {
        let mut counter = Counter::default();
        for number in 0..3 {
            assert_eq!(counter.next(), PacketNumber::new(number));
            assert_eq!(counter.allocate(), PacketNumber::new(number));
        }
        counter.advance_to(PacketNumber::new(9));
        counter.advance_to(PacketNumber::new(2));
        assert_eq!(counter.allocate(), PacketNumber::new(9));
    }

    #[test]
    fn spaces_are_in_the_order_of_the_handshake() {
        assert!(SpaceId::ALL.is_sorted());
        assert_eq!(SpaceId::ALL.map(SpaceId::index), [0, 1, 2]);
    }
}
