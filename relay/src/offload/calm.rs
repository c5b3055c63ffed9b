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
    /// Packets that the kernel has left to userspace, by all slots in use.
    refused: u64,
    /// The same as it was a turn ago.
    known: u64,
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
        (self.refused, self.made, self.is_busy) = (0, 0, false);
    }

    /// A slot in use: what it has refused, whether a publisher's packets came by it, and how many pads it needed.
    pub(super) fn see(&mut self, refused: u64, is_busy: bool, made: usize) {
        self.refused = self.refused.wrapping_add(refused);
        self.is_busy |= is_busy;
        self.made = self.made.max(made);
    }

    /// All slots were looked at.
    pub(super) fn end_turn(&mut self, now: Time) {
        if core::mem::replace(&mut self.known, self.refused) != self.refused {
            self.disturbed = now;
        }
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

    fn turn(calm: &mut Calm, now: Time, refused: u64, made: usize) -> Option<Duration> {
        calm.begin_turn();
        calm.see(refused, true, made);
        calm.see(0, false, 1);
        calm.end_turn(now);
        calm.rest(now)
    }

    #[test]
    fn the_loop_rests_while_the_kernel_does_everything() {
        let mut calm = Calm::default();
        let now = Time::ZERO + LATER;
        assert_eq!(turn(&mut calm, now, 0, 5), None, "not everybody is served");
        calm.set_whole(true);
        assert_eq!(turn(&mut calm, now, 0, 5), Some(REST));
        assert_eq!(turn(&mut calm, now, 0, 100), None, "too fast");
        assert_eq!(turn(&mut calm, now, 0, 5), Some(REST));
        calm.begin_turn();
        calm.end_turn(now);
        assert_eq!(calm.rest(now), None, "nothing to do at all");
    }

    #[test]
    fn what_the_kernel_refuses_disturbs_for_a_while() {
        let mut calm = Calm::default();
        calm.set_whole(true);
        let now = Time::ZERO + LATER;
        assert_eq!(turn(&mut calm, now, 0, 5), Some(REST));
        assert_eq!(turn(&mut calm, now, 1, 5), None);
        assert_eq!(turn(&mut calm, now + LATER, 1, 5), Some(REST));
        calm.disturb(now + LATER);
        assert_eq!(turn(&mut calm, now + LATER, 1, 5), None);
    }
}
