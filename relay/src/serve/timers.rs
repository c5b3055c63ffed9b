//! The relay's timers: each at most once, earliest first. No RFC.

use std::collections::{BTreeSet, HashMap};

use quic_lite::Time;

use crate::track::{PeerId, Scope, TrackId};

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Data that waits for the name of its track.
    Held(PeerId),
    /// Delivery timeouts of a subscriber.
    Delivery(PeerId),
    /// Requests that wait for a publisher to appear.
    Waiting(TrackId),
    /// A publisher that was asked.
    Asked(TrackId),
    /// Streams after PUBLISH_DONE.
    Done(TrackId),
    /// Subscribers whose publisher is gone.
    Lost(TrackId),
    /// A track nobody takes any more.
    Linger(TrackId),
    /// FETCHes that wait for objects.
    Fetch(TrackId),
    /// Rights that end.
    Rights(PeerId),
    /// The next attempt to reach the relay above.
    Dial(Scope),
    /// The end of a graceful shutdown.
    Shutdown,
}

/// All timers.
#[derive(Debug, Default)]
pub(super) struct Timers {
    at: HashMap<Timer, Time>,
    order: BTreeSet<(Time, Timer)>,
}

impl Timers {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.stop(&timer);
        self.order.insert((at, timer.clone()));
        self.at.insert(timer, at);
    }

    /// Sets a timer unless it is due earlier already.
    pub(super) fn set_earlier(&mut self, timer: Timer, at: Time) {
        if self.at.get(&timer).is_none_or(|set| *set > at) {
            self.set(timer, at);
        }
    }

    /// Stops a timer.
    pub(super) fn stop(&mut self, timer: &Timer) {
        if let Some(at) = self.at.remove(timer) {
            self.order.remove(&(at, timer.clone()));
        }
    }

    /// Whether a timer is set.
    pub(super) fn is_set(&self, timer: &Timer) -> bool {
        self.at.contains_key(timer)
    }

    /// When the first is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes a timer that is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_there_once_and_the_earliest_comes_first() {
        let at = Time::from_micros;
        let mut timers = Timers::default();
        timers.set(Timer::Waiting(TrackId(1)), at(5));
        timers.set(Timer::Waiting(TrackId(1)), at(9));
        timers.set(Timer::Shutdown, at(7));
        timers.set_earlier(Timer::Shutdown, at(8));
        assert_eq!(timers.next(), Some(at(7)));
        assert_eq!(timers.pop_due(at(8)), Some(Timer::Shutdown));
        assert_eq!(timers.pop_due(at(8)), None);
        timers.stop(&Timer::Waiting(TrackId(1)));
        assert_eq!(timers.next(), None);
    }
}
