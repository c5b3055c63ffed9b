//! Packet number spaces: their names, and where their numbers come from. RFC 9000 §12.3.
//!
//! [`Space`] is what a space knows of the packets that arrived, and when it acknowledges them. What it
//! knows of the packets that were sent is in [`crate::recovery`].

mod received;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Where the packet numbers of one space come from.
///
/// One number is given out once, whoever asks: a number used twice repeats an AEAD nonce. Another
/// sender of the same connection may take numbers from the same source at any time.
pub trait PacketNumberAllocator: fmt::Debug + Send {
    /// Takes a number.
    fn allocate(&self) -> PacketNumber;
    /// The number that `allocate` would return now: neither it nor a larger one was ever sent.
    fn next(&self) -> PacketNumber;
}

/// Numbers in order from zero: the allocator of a connection that sends alone.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl PacketNumberAllocator for Counter {
    fn allocate(&self) -> PacketNumber {
        PacketNumber::new(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn next(&self) -> PacketNumber {
        PacketNumber::new(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_what_allocate_returns() {
        let counter = Counter::default();
        for number in 0..3 {
            assert_eq!(counter.next(), PacketNumber::new(number));
            assert_eq!(counter.allocate(), PacketNumber::new(number));
        }
    }

    #[test]
    fn spaces_are_in_the_order_of_the_handshake() {
        assert!(SpaceId::ALL.is_sorted());
        assert_eq!(SpaceId::ALL.map(SpaceId::index), [0, 1, 2]);
    }
}
