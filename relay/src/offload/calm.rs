//! When nobody waits for userspace: the event loop may rest then, and find more to do at once. No RFC.
//!
//! As long as the kernel brings everything that publishers send to everybody, what is left for userspace can wait a
//! few milliseconds: originals to be kept and acknowledged, acknowledgements of subscribers, pads. A turn of the loop
//! costs as much for one packet of each subscriber as for five.

use core::time::Duration;

use quic_lite::Time;

/// What tells whether it is calm.
#[derive(Debug, Default)]
pub(super) struct Calm {
    /// Pads that were made for one slot in this turn, at most.
    made: usize,
    /// Packets of publishers have come since the turn before: there will be more. Else a rest would cost more than the
    /// wait for the next one.
    is_busy: bool,
    /// Everybody is served by the kernel.
    is_whole: bool,
    /// The last time that something was not as it should be.
    disturbed: Time,
}

impl Calm {
    /// Something changes, or did not go by the kernel.
    pub(super) const fn disturb(&mut self, now: Time) {
        self.disturbed = now;
    }

    /// Whether the kernel serves everybody.
    pub(super) const fn set_whole(&mut self, is_whole: bool) {
        self.is_whole = is_whole;
    }

    /// A turn begins to look at the slots.
    pub(super) const fn begin_turn(&mut self) {
        (self.made, self.is_busy) = (0, false);
    }

    /// A slot in use: whether it has left something to userspace, whether a publisher's packets came by it, and how many
    /// pads it needed.
    pub(super) fn see(&mut self, now: Time, has_refused: bool, is_busy: bool, made: usize) {
        if has_refused {
            self.disturbed = now;
        }
        self.is_busy |= is_busy;
        self.made = self.made.max(made);
    }

    /// How long nobody waits.
    pub(super) fn rest(&self, now: Time) -> Option<Duration> {
        let is_calm = self.is_whole && self.is_busy && self.made <= FEW_PADS;
        (is_calm && now.since(self.disturbed) > QUIET).then_some(REST)
    }
}

/// A rest: a fifth of what a peer allows us to wait with an acknowledgement (RFC 9000 §18.2, max_ack_delay).
const REST: Duration = Duration::from_millis(5);
/// It was calm for so long before.
const QUIET: Duration = Duration::from_millis(250);
/// A slot that needs more pads in a turn would run out of them in a few.
const FEW_PADS: usize = 32;

#[cfg(test)]
mod tests {
    use super::{Calm, QUIET, REST};
    use core::time::Duration;
    use quic_lite::Time;

    const LATER: Duration = QUIET.saturating_add(Duration::from_millis(1));

    fn turn(calm: &mut Calm, now: Time, has_refused: bool, made: usize) -> Option<Duration> {
        calm.begin_turn();
        calm.see(now, has_refused, true, made);
        calm.see(now, false, false, 1);
        calm.rest(now)
    }

    #[test]
    fn the_loop_rests_while_the_kernel_does_everything() {
        let mut calm = Calm::default();
        let now = Time::ZERO + LATER;
        assert_eq!(
            turn(&mut calm, now, false, 5),
            None,
            "not everybody is served"
        );
        calm.set_whole(true);
        assert_eq!(turn(&mut calm, now, false, 5), Some(REST));
        assert_eq!(turn(&mut calm, now, false, 100), None, "too fast");
        assert_eq!(turn(&mut calm, now, false, 5), Some(REST));
        calm.begin_turn();
        assert_eq!(calm.rest(now), None, "nothing to do at all");
    }

    #[test]
    fn what_the_kernel_refuses_disturbs_for_a_while() {
        let mut calm = Calm::default();
        calm.set_whole(true);
        let now = Time::ZERO + LATER;
        assert_eq!(turn(&mut calm, now, false, 5), Some(REST));
        assert_eq!(turn(&mut calm, now, true, 5), None);
        assert_eq!(turn(&mut calm, now + LATER, false, 5), Some(REST));
        calm.disturb(now + LATER);
        assert_eq!(turn(&mut calm, now + LATER, false, 5), None);
    }
}
