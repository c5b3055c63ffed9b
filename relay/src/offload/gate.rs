//! Waiting for programs of the kernel: until they have left a slot that was shut, until a word has come. No RFC.
//!
//! How the gate of a slot works, and that it does in every order of steps, is in `ebpf/common/src/gate.rs`.

use std::thread;

use relay_ebpf_loader::layout::Slot;
use relay_ebpf_loader::word::Word;

/// Keeps the kernel out of a slot. True: nobody is inside any more. False, after a while: somebody is, and
/// the fixed part must stay as it is.
pub(super) fn shut(slot: &Slot) -> bool {
    slot.shut();
    is_left(slot)
}

/// Waits until no program is inside a slot that none can enter for what matters now; false when that
/// takes far longer than a program may run.
pub(super) fn is_left(slot: &Slot) -> bool {
    let mut patience = 0..PATIENCE;
    while !slot.is_empty() {
        match patience.next() {
            None => return false,
            Some(turn) if turn % 64 == 63 => thread::yield_now(),
            Some(_) => core::hint::spin_loop(),
        }
    }
    true
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
    fn who_is_inside_is_waited_for() {
        let slot = Slot::default();
        slot.open();
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
            !slot.is_open()
        })
    }

    #[test]
    fn who_never_leaves_is_told_of() {
        let slot = Slot::default();
        slot.busy.add(1);
        assert!(!shut(&slot));
    }
}
