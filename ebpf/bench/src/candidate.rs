//! What every candidate has to do. No RFC.

use std::io;
use std::time::Duration;

/// Bytes of UDP payload of every packet.
pub const PACKET: usize = 1200;
/// Packets between two refills of the pads.
pub const BATCH: u64 = 64;
/// At most so many copies of a packet.
pub const MOST: u32 = 1000;

/// Something that makes copies of a packet.
pub trait Candidate {
    /// From now on so many.
    fn begin(&mut self, copies: u32) -> io::Result<()>;
    /// What userspace does ahead of time for the next [`BATCH`] packets.
    fn refill(&mut self);
    /// A packet: how long the kernel was at it.
    fn packet(&mut self) -> io::Result<Duration>;
    /// There were so many packets since it began: an error unless all copies were made, and made as they should.
    fn end(&mut self, packets: u64) -> io::Result<()>;
}
