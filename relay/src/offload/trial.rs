//! Whether what the kernel sends arrives: if of its first packets none is acknowledged while userspace's
//! are, the connection is better served without it. RFC 9002 §5, §6.
//!
//! Interfaces, routes and addresses that differ between the socket and the kernel's path are the usual
//! reason, and nobody would notice otherwise.

use core::time::Duration;

use quic_lite::Time;
use quic_lite::connection::Stats;

/// The first packets of the kernel under its present address and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// Too few yet to judge; what had been counted before them.
    Waiting(Before),
    /// Enough were sent by this time.
    Begun(Before, Time),
    /// They arrive.
    Passed,
}

/// What had been counted when the kernel began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before {
    sent: u64,
    acked: u64,
    acked_of_userspace: u64,
}

impl Trial {
    /// The kernel is about to begin.
    pub(super) const fn new(stats: &Stats) -> Self {
        Self::Waiting(Before {
            sent: stats.other_packets_sent,
            acked: stats.other_packets_acked,
            acked_of_userspace: of_userspace(stats),
        })
    }

    /// Looks again, at least `patience` after the packets were sent; true when the kernel's do not arrive.
    pub(super) fn fails(&mut self, now: Time, stats: &Stats, patience: Duration) -> bool {
        let (Self::Waiting(before) | Self::Begun(before, _)) = *self else {
            return false;
        };
        if stats.other_packets_acked > before.acked {
            *self = Self::Passed;
        }
        match *self {
            Self::Waiting(before) if stats.other_packets_sent >= before.sent + ENOUGH => {
                *self = Self::Begun(before, now);
                false
            }
            Self::Begun(before, at) => {
                now.since(at) > patience && of_userspace(stats) > before.acked_of_userspace
            }
            _ => false,
        }
    }
}

const fn of_userspace(stats: &Stats) -> u64 {
    stats.packets_acked - stats.other_packets_acked
}

/// Fewer packets may all be lost by chance.
const ENOUGH: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn stats(sent: u64, acked: u64, all_acked: u64) -> Stats {
        Stats {
            other_packets_sent: sent,
            other_packets_acked: acked,
            packets_acked: all_acked,
            ..Stats::default()
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_micros(1_000_000 * seconds)
    }

    #[test]
    fn one_acknowledgement_is_enough() {
        let mut trial = Trial::new(&stats(5, 3, 10));
        assert!(!trial.fails(at(1), &stats(20, 3, 10), PATIENCE));
        assert!(!trial.fails(at(2), &stats(20, 4, 20), PATIENCE));
        assert_eq!(trial, Trial::Passed);
        assert!(!trial.fails(at(9), &stats(90, 4, 99), PATIENCE));
    }

    #[test]
    fn packets_that_vanish_while_others_arrive_are_a_failure() {
        let mut trial = Trial::new(&stats(5, 3, 10));
        assert!(!trial.fails(at(1), &stats(13, 3, 10), PATIENCE));
        assert!(!trial.fails(at(9), &stats(13, 3, 10), PATIENCE), "silence");
        assert!(!trial.fails(at(2), &stats(13, 3, 11), PATIENCE), "early");
        assert!(trial.fails(at(9), &stats(13, 3, 11), PATIENCE));
    }

    #[test]
    fn a_few_that_are_lost_are_none() {
        let mut trial = Trial::new(&stats(5, 3, 10));
        assert!(!trial.fails(at(1), &stats(7, 3, 10), PATIENCE));
        assert!(!trial.fails(at(9), &stats(7, 3, 90), PATIENCE));
    }
}
