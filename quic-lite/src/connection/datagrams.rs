//! DATAGRAM queues (RFC 9221 §5): bounded both ways, by bytes and by count.
//!
//! Datagrams are not repeated and not flow controlled, so a queue that grows is a memory attack or a
//! delay: sending refuses (the application knows best what to drop), receiving drops the oldest.

use core::fmt;
use core::mem;
use std::collections::VecDeque;

use crate::stream::Chunk;
use crate::wire::frame::Datagram;
use crate::wire::packet_number::PacketNumber;
use crate::wire::writer::Writer;

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramError {
    /// It fits no packet on this path; so many bytes would.
    TooLarge(usize),
    /// The peer takes no datagrams, or has not yet said that it does.
    Unsupported,
    /// The queue is full: the network takes datagrams more slowly than they are made.
    Full,
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(max) => write!(f, "datagram larger than {max} bytes"),
            Self::Unsupported => f.write_str("the peer does not take datagrams"),
            Self::Full => f.write_str("datagram queue full"),
        }
    }
}

impl core::error::Error for DatagramError {}

/// Datagrams that wait, oldest first.
#[derive(Debug, Default)]
pub struct DatagramQueue {
    /// With the number of the packet that brought it; zero before it is sent.
    queue: VecDeque<(PacketNumber, Chunk)>,
    bytes: usize,
    max_bytes: usize,
    max_count: usize,
}

impl DatagramQueue {
    /// An empty queue with its bounds; what it costs to keep a datagram counts as bytes too.
    pub const fn new(max_bytes: usize, max_count: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            max_bytes,
            max_count,
        }
    }

    /// Whether `len` more bytes fit.
    pub fn has_room(&self, len: usize) -> bool {
        self.queue.len() < self.max_count && self.bytes + cost(len) <= self.max_bytes
    }

    /// Adds a datagram to send if it fits.
    pub fn push(&mut self, datagram: Chunk) -> Result<(), DatagramError> {
        self.push_from(PacketNumber::ZERO, datagram)
    }

    fn push_from(&mut self, number: PacketNumber, datagram: Chunk) -> Result<(), DatagramError> {
        if !self.has_room(datagram.len()) {
            return Err(DatagramError::Full);
        }
        self.bytes += cost(datagram.len());
        self.queue.push_back((number, datagram));
        Ok(())
    }

    /// Adds a datagram that packet `number` brought in the place of the oldest ones; returns how many had
    /// to go, itself included.
    pub fn push_over(&mut self, number: PacketNumber, datagram: Chunk) -> u64 {
        let mut dropped = 0;
        if cost(datagram.len()) > self.max_bytes {
            return 1;
        }
        while !self.has_room(datagram.len()) && self.pop().is_some() {
            dropped += 1;
        }
        dropped + u64::from(self.push_from(number, datagram).is_err())
    }

    /// Takes the next datagram, with the number of its packet.
    pub fn pop(&mut self) -> Option<(PacketNumber, Chunk)> {
        let (number, datagram) = self.queue.pop_front()?;
        self.bytes -= cost(datagram.len());
        Some((number, datagram))
    }

    /// Writes DATAGRAM frames as long as they fit, and lets go of those longer than `max`, which fit no
    /// packet of this path any more. Returns how many were written and dropped.
    pub fn write_frames(&mut self, max: usize, out: &mut Writer<'_>) -> (u64, u64) {
        let (mut written, mut dropped) = (0, 0);
        while let Some((_, datagram)) = self.queue.front() {
            if datagram.len() > max {
                dropped += 1;
            } else if (Datagram { data: datagram }).encode_with(true, out).is_ok() {
                written += 1;
            } else {
                break;
            }
            self.pop();
        }
        self.release();
        (written, dropped)
    }

    /// Gives what a burst needed back when the queue is empty.
    pub fn release(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > IDLE_CAPACITY {
            self.queue.shrink_to(IDLE_CAPACITY);
        }
    }

    /// Bytes of the datagram that is next.
    pub fn next_len(&self) -> Option<usize> {
        self.queue.front().map(|(_, datagram)| datagram.len())
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that wait, with what it costs to keep them.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// An empty datagram is not free (attack: flood of them).
const fn cost(len: usize) -> usize {
    len.saturating_add(OVERHEAD)
}

/// Handles kept allocated when no datagram waits.
const IDLE_CAPACITY: usize = 64;
/// A chunk's handle, and the counters in front of its bytes.
const OVERHEAD: usize = mem::size_of::<Chunk>() + 2 * mem::size_of::<usize>();

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(len: usize) -> Chunk {
        Chunk::from(vec![0; len])
    }

    #[test]
    fn a_full_queue_refuses() {
        let mut queue = DatagramQueue::new(1000, 3);
        assert_eq!(queue.push(chunk(2000)), Err(DatagramError::Full));
        assert!((0..3).all(|_| queue.push(chunk(1)).is_ok()));
        assert_eq!(queue.push(chunk(1)), Err(DatagramError::Full));
    }

    #[test]
    fn a_flood_of_empty_datagrams_keeps_the_newest_within_bounds() {
        let mut queue = DatagramQueue::new(OVERHEAD * 10, 1 << 20);
        let dropped: u64 = (0..100_000)
            .map(|_| queue.push_over(PacketNumber::ZERO, chunk(0)))
            .sum();
        assert_eq!((queue.len(), dropped), (10, 99_990));
        assert_eq!(queue.push_over(PacketNumber::ZERO, chunk(OVERHEAD * 20)), 1);
        assert_eq!(queue.push_over(PacketNumber::ZERO, chunk(OVERHEAD * 9)), 10);
        assert_eq!((queue.len(), queue.bytes()), (1, OVERHEAD * 10));
    }

    #[test]
    fn datagrams_leave_in_order() {
        let mut queue = DatagramQueue::new(1 << 20, 10);
        (0..5).for_each(|len| queue.push(chunk(len)).unwrap());
        let lengths: Vec<_> = core::iter::from_fn(|| queue.pop())
            .map(|(_, chunk)| chunk.len())
            .collect();
        assert_eq!(lengths, [0, 1, 2, 3, 4]);
    }
}
