//! When a unit is due. No RFC.
//!
//! In real time the first unit goes at once and sets the origin; the others follow at their distance
//! from it. Time that is lost, because the path was slow, is not made up for by shifting the clip:
//! what is late goes at once.

use std::time::Duration;

use quic_lite::Time;

/// The clock of a clip.
#[derive(Debug)]
pub(super) struct Pace {
    is_realtime: bool,
    /// When the clip's time 0 was, or would have been.
    origin: Option<Time>,
}

impl Pace {
    /// A clip played at its own pace, or as fast as possible.
    pub(super) fn new(is_realtime: bool) -> Self {
        Self {
            is_realtime,
            origin: None,
        }
    }

    /// Whether units have times at all.
    pub(super) fn is_realtime(&self) -> bool {
        self.is_realtime
    }

    /// Whether a unit of this time may go.
    pub(super) fn is_due(&mut self, now: Time, due: Duration) -> bool {
        if !self.is_realtime {
            return true;
        }
        let origin = *self.origin.get_or_insert(now - due);
        origin + due <= now
    }

    /// When a unit of this time may go.
    pub(super) fn wake_at(&self, due: Duration) -> Option<Time> {
        self.origin.map(|origin| origin + due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_first_at_their_distance() {
        let mut pace = Pace::new(true);
        let at = |millis: u64| Time::from_micros(10_000_000 + millis * 1000);
        let ms = Duration::from_millis;
        assert!(pace.is_due(at(0), ms(500)), "a clip need not start at 0");
        assert!(!pace.is_due(at(30), ms(540)));
        assert_eq!(pace.wake_at(ms(540)), Some(at(40)));
        assert!(pace.is_due(at(40), ms(540)));
        assert!(pace.is_due(at(900), ms(580)), "late is due");
    }

    #[test]
    fn without_pace_everything_is_due() {
        let mut pace = Pace::new(false);
        assert!(pace.is_due(Time::ZERO, Duration::from_secs(9)));
        assert_eq!(pace.wake_at(Duration::from_secs(9)), None);
    }
}
