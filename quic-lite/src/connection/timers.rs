//! The deadlines a connection keeps itself; loss detection, pacing and acknowledgements keep theirs.
//! No RFC: each timer names its section.

use crate::time::Time;

/// A deadline with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Nothing arrived for the idle timeout (RFC 9000 §10.1).
    Idle,
    /// The handshake took too long.
    Handshake,
    /// Silence is long enough for a PING (RFC 9000 §10.1.2).
    KeepAlive,
    /// The closing or draining period is over (RFC 9000 §10.2).
    Close,
    /// Path validation failed (RFC 9000 §8.2.4).
    PathValidation,
    /// PATH_CHALLENGE is due again (RFC 9000 §8.2.1).
    PathChallenge,
    /// The keys before the last update can go (RFC 9001 §6.5).
    OldKeys,
    /// The pacer allows the next datagram (RFC 9002 §7.7).
    Pacing,
    /// Another sender may have sent something, and loss detection (RFC 9002 §6) knows nothing of it.
    Collect,
}

impl Timer {
    /// All of them, in the order in which they fire when due together.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Handshake,
        Self::Close,
        Self::KeepAlive,
        Self::PathValidation,
        Self::PathChallenge,
        Self::OldKeys,
        Self::Pacing,
        Self::Collect,
    ];
}

/// One optional deadline for each [`Timer`].
#[derive(Clone, Debug, Default)]
pub struct Timers([Option<Time>; Timer::ALL.len()]);

impl Timers {
    /// Sets, moves or (with `None`) stops a timer.
    pub fn set(&mut self, timer: Timer, at: Option<Time>) {
        self.0[timer as usize] = at;
    }

    /// Stops a timer.
    pub fn stop(&mut self, timer: Timer) {
        self.set(timer, None);
    }

    /// Stops all timers.
    pub fn stop_all(&mut self) {
        *self = Self::default();
    }

    /// When `timer` fires.
    pub fn at(&self, timer: Timer) -> Option<Time> {
        self.0[timer as usize]
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Time> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one timer that is due; it does not fire again until set again.
    pub fn pop_due(&mut self, now: Time) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .find(|&timer| self.at(timer).is_some_and(|at| at <= now))?;
        self.stop(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_fires_once_when_due() {
        let mut timers = Timers::default();
        timers.set(Timer::KeepAlive, Some(Time::from_micros(5)));
        timers.set(Timer::Idle, Some(Time::from_micros(9)));
        assert_eq!(timers.next(), Some(Time::from_micros(5)));
        assert_eq!(timers.pop_due(Time::from_micros(4)), None);
        assert_eq!(timers.pop_due(Time::from_micros(5)), Some(Timer::KeepAlive));
        assert_eq!(timers.pop_due(Time::from_micros(5)), None);
        assert_eq!(timers.next(), Some(Time::from_micros(9)));
    }

    #[test]
    fn every_timer_has_its_own_slot() {
        let mut timers = Timers::default();
        for timer in Timer::ALL {
            timers.set(timer, Some(Time::from_micros(timer as u64)));
        }
        assert!(
            Timer::ALL
                .into_iter()
                .all(|timer| timers.at(timer) == Some(Time::from_micros(timer as u64)))
        );
        timers.stop_all();
        assert_eq!(timers.next(), None);
    }
}
