//! Which packets of a publisher went to the whole audience of their track: userspace need not ask of each subscriber
//! then. No RFC.
//!
//! The kernel notes such a packet, with the version that the audience had before it looked at the first member, before
//! the packet itself goes up. Userspace changes the audience first and its version then. So if the version is the same
//! when userspace comes to the packet, the audience is, too.

use crate::layout::{Publisher, REPLAY};
use crate::word::Word;

/// The version of no audience: the packet is one that userspace has passed over.
pub const PASSED: u64 = 0;

/// What stands for a packet.
#[inline(always)]
pub const fn word(number: u64, track: u64, version: u64) -> u64 {
    number << 32 | (track & 0xffff) << 16 | version & 0xffff
}

/// The version that follows.
pub const fn next(version: u64) -> u64 {
    (version % 0xffff).wrapping_add(1)
}

/// Where a packet's word stands.
#[inline(always)]
pub fn place(publisher: &Publisher, number: u64) -> Option<&Word> {
    publisher.carried.get((number & (REPLAY - 1)) as usize)
}

#[cfg(test)]
mod tests {
    use super::{PASSED, next, word};

    #[test]
    fn packets_tracks_and_versions_are_told_apart() {
        let one = word(7, 1, 1);
        assert!(one != word(8, 1, 1) && one != word(7, 2, 1) && one != word(7, 1, 2));
        assert_ne!(one, word(7, 1, PASSED));
    }

    #[test]
    fn no_version_is_that_of_packets_passed_over() {
        assert_eq!((next(PASSED), next(1), next(0xffff)), (1, 2, 1));
    }
}
