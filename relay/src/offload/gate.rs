//! Opening and shutting a slot, so that no program is inside while it is changed. No RFC.
//!
//! A program adds one to `busy` and then looks at `state`; we set `state` and then look at `busy`. Both
//! steps are full barriers on both sides, so one of us sees the other: when [`shut`] has seen nobody,
//! nobody is inside or comes in before [`open`].

use std::thread;

use relay_ebpf_loader::layout::{Slot, state};
use relay_ebpf_loader::word::Word;

/// Bits of the state below the generation.
const GENERATION: u32 = 8;

/// The generation of a slot.
pub(super) fn generation(slot: &Slot) -> u64 {
    slot.state.load() >> GENERATION
}

/// Whether the kernel uses a slot.
pub(super) fn is_open(slot: &Slot) -> bool {
    slot.state.load() & 0xff == state::ACTIVE
}

/// Lets the kernel use a slot whose fixed part is complete.
pub(super) fn open(slot: &Slot) {
    set(slot, generation(slot), state::ACTIVE);
}

/// Keeps the kernel out of a slot. True: nobody is inside any more. False, after a while: somebody is, and
/// the fixed part must stay as it is.
pub(super) fn shut(slot: &Slot) -> bool {
    set(slot, generation(slot), state::DISABLED);
    is_left(slot)
}

/// Makes a slot nobody's, of the next generation.
pub(super) fn free(slot: &Slot) {
    set(slot, generation(slot) + 1, state::FREE);
}

/// Waits until no program is inside a slot that none can enter for what matters now; false when that
/// takes far longer than a program may run.
pub(super) fn is_left(slot: &Slot) -> bool {
    let mut patience = 0..PATIENCE;
    while slot.busy.load() != 0 {
        match patience.next() {
            None => return false,
            Some(turn) if turn % 64 == 63 => thread::yield_now(),
            Some(_) => core::hint::spin_loop(),
        }
    }
    true
}

fn set(slot: &Slot, generation: u64, state: u64) {
    slot.state.swap((generation << GENERATION) | state);
}

/// Waits a moment for a word to become what it is about to; whether it did.
pub(super) fn comes(word: &Word, wanted: impl Fn(u64) -> bool) -> bool {
    (0..MOMENT).any(|_| {
        let came = wanted(word.load());
        if !came {
            core::hint::spin_loop();
        }
        came
    })
}

/// Looks at a slot until giving it up: a tenth of a second or more.
const PATIENCE: u32 = 4_000_000;
/// Looks at a word: some ten microseconds, several packets' work.
const MOMENT: u32 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_its_generation_until_it_is_free() {
        let slot = Slot::default();
        free(&slot);
        assert_eq!((generation(&slot), is_open(&slot)), (1, false));
        open(&slot);
        assert!(is_open(&slot));
        assert!(shut(&slot) && !is_open(&slot));
        assert_eq!(generation(&slot), 1);
    }

    #[test]
    fn who_is_inside_is_waited_for() {
        let slot = Slot::default();
        open(&slot);
        thread::scope(|scope| {
            slot.busy.add(1);
            scope.spawn(|| {
                let seen = gate_is_shut(&slot);
                slot.busy.sub(1);
                assert!(seen);
            });
            assert!(shut(&slot));
        });
    }

    fn gate_is_shut(slot: &Slot) -> bool {
        (0..PATIENCE).any(|_| {
            // Whoever shuts it may want this processor.
            thread::yield_now();
            !is_open(slot)
        })
    }

    #[test]
    fn who_never_leaves_is_told_of() {
        let slot = Slot::default();
        slot.busy.add(1);
        assert!(!shut(&slot));
    }
}
