//! The gate of a slot, by which userspace keeps the kernel out while it changes what only an open slot may be read
//! for: keys, addresses, pads. No RFC.
//!
//! A program adds one to `busy` and then looks at `state`; userspace sets `state` and then looks at `busy`. Both
//! steps are full barriers on both sides, so one of them sees the other: once a slot that was shut is seen empty,
//! nobody who may use it is inside, or comes in before it is opened.

use crate::layout::{Slot, state};

/// The kernel's side.
impl Slot {
    /// Notes that somebody is inside, and returns the generation if it may be used. In any case
    /// [`Slot::leave`] follows.
    #[inline(always)]
    pub fn enter(&self) -> Option<u64> {
        self.busy.add(1);
        let value = self.state.load();
        (value & LOW == state::ACTIVE).then_some(value >> GENERATION)
    }

    /// Undoes [`Slot::enter`].
    #[inline(always)]
    pub fn leave(&self) {
        self.busy.sub(1);
    }
}

/// Userspace's side.
impl Slot {
    /// How often it was somebody's.
    pub fn generation(&self) -> u64 {
        self.state.load() >> GENERATION
    }

    /// Whether the kernel may use it.
    pub fn is_open(&self) -> bool {
        self.state.load() & LOW == state::ACTIVE
    }

    /// Lets the kernel use it: its fixed part is complete.
    pub fn open(&self) {
        self.set(self.generation(), state::ACTIVE);
    }

    /// Lets nobody in any more. Who is inside already stays until it is seen [empty](Self::is_empty).
    pub fn shut(&self) {
        self.set(self.generation(), state::DISABLED);
    }

    /// Makes it nobody's, of the next generation. It was shut and is empty.
    pub fn free(&self) {
        self.set(self.generation().wrapping_add(1), state::FREE);
    }

    /// Whether no program is inside now.
    pub fn is_empty(&self) -> bool {
        self.busy.load() == 0
    }

    fn set(&self, generation: u64, state: u64) {
        self.state.swap(generation << GENERATION | state);
    }
}

/// Bits of the state below the generation.
const GENERATION: u32 = 8;
const LOW: u64 = (1 << GENERATION) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Config, Pad};
    use crate::model::explore;
    use crate::word::Word;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_slot_keeps_its_generation_until_it_is_free() {
        let slot = Slot::default();
        slot.free();
        assert_eq!((slot.generation(), slot.is_open()), (1, false));
        slot.open();
        assert!(slot.is_open());
        slot.shut();
        assert!(!slot.is_open() && slot.is_empty());
        assert_eq!(slot.generation(), 1);
    }

    /// What a slot of generation 1 has is all 1, of generation 2 all 2.
    struct Scene {
        slot: Slot,
        config: Config,
        pad: Pad,
    }

    impl Scene {
        fn new() -> Self {
            let scene = Self {
                slot: Slot::default(),
                config: Config::default(),
                pad: Pad::empty(),
            };
            scene.slot.free();
            scene.fill(1);
            scene.slot.open();
            scene.config.alive_until.store(1);
            scene
        }

        fn words(&self) -> [&Word; 7] {
            let Slot {
                state, busy, key, ..
            } = &self.slot;
            let [first, .., last] = key;
            let pad = &self.pad;
            let alive = &self.config.alive_until;
            [
                state,
                busy,
                alive,
                first,
                last,
                &pad.number,
                &pad.keystream[0],
            ]
        }

        /// As userspace fills a slot: the pads of the former key are gone, then there are others.
        fn fill(&self, generation: u64) {
            self.pad.number.store(0);
            self.slot.key[0].store(generation);
            self.slot.key[3].store(generation);
            self.pad.keystream[0].store(generation);
            self.pad.number.store(1);
        }

        /// A program: what it finds is of the generation that let it in.
        fn use_it(&self, generation: u64) {
            assert_eq!(self.slot.key[0].load(), generation);
            if self.pad.number.load() == 1 {
                assert_eq!(self.pad.keystream[0].load(), generation);
            }
            assert_eq!(self.slot.key[3].load(), generation);
        }

        fn forward(&self) {
            if self.config.alive_until.load() == 0 {
                return;
            }
            if let Some(generation) = self.slot.enter() {
                self.use_it(generation);
            }
            self.slot.leave();
        }

        fn shut_out(&self) {
            self.slot.shut();
            while !self.slot.is_empty() {}
        }
    }

    /// Userspace gives a slot to somebody else while programs on two CPUs are at it.
    #[test]
    fn whatever_the_order_a_program_sees_one_generation_of_a_slot() {
        let scene = Scene::new();
        let programs = || scene.forward();
        let userspace = || {
            scene.shut_out();
            scene.slot.free();
            scene.fill(2);
            scene.slot.open();
        };
        let states = explore(&scene.words(), &[&programs, &programs, &userspace], &|| {
            assert!(scene.slot.is_empty() && scene.slot.is_open());
        });
        assert!(states > 1000, "{states}");
    }

    /// The fast path is switched off while programs on two CPUs are at it: whoever has found the lease good is
    /// waited for, too.
    #[test]
    fn whatever_the_order_nobody_is_at_work_when_the_lease_was_taken_back_and_all_have_left() {
        let (scene, ended) = (Scene::new(), Word::new(0));
        let program = || {
            if scene.config.alive_until.load() == 0 {
                return;
            }
            if scene.slot.enter().is_some() {
                assert_eq!(ended.load(), 0, "sent after the end");
            }
            scene.slot.leave();
        };
        let userspace = || {
            scene.config.alive_until.store(0);
            scene.shut_out();
            ended.store(1);
        };
        let words = [&scene.words()[..], &[&ended]].concat();
        explore(&words, &[&program, &program, &userspace], &|| ());
    }

    /// The lease alone is not enough, nor is a program that looks before it is counted, nor a slot that is changed
    /// before it is empty.
    #[test]
    fn what_is_left_out_is_found_out() {
        let found_out = |program: &dyn Fn(&Scene), userspace: &dyn Fn(&Scene)| {
            let scene = Scene::new();
            let (program, userspace) = (|| program(&scene), || userspace(&scene));
            let run = || explore(&scene.words(), &[&program, &userspace], &|| ());
            catch_unwind(AssertUnwindSafe(run)).is_err()
        };
        let change = |scene: &Scene| {
            scene.slot.free();
            scene.fill(2);
            scene.slot.open();
        };
        let shut_out_and_change = |scene: &Scene| {
            scene.shut_out();
            change(scene);
        };
        assert!(!found_out(&Scene::forward, &shut_out_and_change));
        let looks_first = |scene: &Scene| {
            if scene.slot.is_open() {
                let generation = scene.slot.generation();
                scene.slot.busy.add(1);
                scene.use_it(generation);
                scene.slot.leave();
            }
        };
        assert!(found_out(&looks_first, &shut_out_and_change));
        let impatient = |scene: &Scene| {
            scene.slot.shut();
            change(scene);
        };
        assert!(found_out(&Scene::forward, &impatient));
        let lease_alone = |scene: &Scene| {
            scene.config.alive_until.store(0);
            change(scene);
        };
        assert!(found_out(&Scene::forward, &lease_alone));
    }
}
