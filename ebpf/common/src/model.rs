//! All orders in which a few actors can touch the same words, tried one by one: for the tests of what kernel and
//! userspace do to each other. No RFC.
//!
//! An actor is a function, made of the code that runs in earnest. In a model each of its accesses is a step, and
//! between two steps any other actor may come. To do its next step an actor is run from its beginning: what its
//! accesses gave before they give again, one more happens, and then it is stopped. What a state is follows from the
//! memory and from what each actor has seen so far, and each state is looked at once. Whoever waits looks again and
//! again and sees the same: that is no new state, so loops end.
//!
//! Promise: no order of steps is left out. Accesses happen one after the other, as on a machine without store
//! buffers; that the real ones do where it matters is what the full barriers of [`crate::word`] are for.

use core::cell::RefCell;
use core::sync::atomic::AtomicU64;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::word::Word;

/// What an actor does, from its beginning.
pub(crate) type Actor<'a> = &'a dyn Fn();

/// What an access gave, and at which word; whether it only looked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    word: usize,
    value: u64,
    is_load: bool,
}

/// How far all are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    memory: Vec<u64>,
    /// What each actor has seen, and whether it has come to its end.
    actors: Vec<(Vec<Seen>, bool)>,
}

/// An actor that is being run.
#[derive(Debug)]
struct Run {
    /// Where its words are.
    words: Vec<usize>,
    seen: Vec<Seen>,
    /// Accesses since its beginning.
    at: usize,
    has_stepped: bool,
}

/// What stops an actor.
struct Stop;

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

/// Tries all orders of accesses to these words, among which are all that actors write; `end` looks at what each of them leads to. How many states there were.
///
/// # Panics
///
/// An actor or `end` does, or actors wait for each other for ever.
pub(crate) fn explore(words: &[&Word], actors: &[Actor<'_>], end: Actor<'_>) -> usize {
    let start = State {
        memory: words.iter().map(|word| word.load()).collect(),
        actors: vec![(Vec::new(), false); actors.len()],
    };
    let mut known = HashSet::from([start.clone()]);
    let mut waiting = vec![start];
    while let Some(state) = waiting.pop() {
        let ended = state.actors.iter().filter(|(_, is_over)| *is_over).count();
        if ended == actors.len() {
            put(words, &state.memory);
            end();
            continue;
        }
        let next = (0..actors.len())
            .filter(|&who| !state.actors[who].1)
            .map(|who| step(words, &state, who, actors[who]));
        let mut is_stuck = true;
        for next in next {
            is_stuck &= next == state;
            if known.insert(next.clone()) {
                waiting.push(next);
            }
        }
        assert!(!is_stuck, "all wait for each other: {state:#?}");
    }
    known.len()
}

/// Where one more step of an actor leads.
fn step(words: &[&Word], state: &State, who: usize, actor: Actor<'_>) -> State {
    put(words, &state.memory);
    let (seen, _) = &state.actors[who];
    let run = Run {
        words: words.iter().map(|word| address::<Word>(word)).collect(),
        seen: seen.clone(),
        at: 0,
        has_stepped: false,
    };
    RUN.set(Some(run));
    let ended = catch_unwind(AssertUnwindSafe(actor));
    let run = RUN.take().expect("it was set above");
    if let Err(why) = &ended
        && !why.is::<Stop>()
    {
        eprintln!("actor {who} after {:#?}\nin {state:#?}", run.seen);
    }
    let is_over = match ended {
        Ok(()) => true,
        Err(why) if why.is::<Stop>() => false,
        Err(why) => resume_unwind(why),
    };
    let mut next = state.clone();
    next.memory = words.iter().map(|word| word.load()).collect();
    next.actors[who] = (run.seen, is_over);
    next
}

fn put(words: &[&Word], memory: &[u64]) {
    for (word, value) in words.iter().zip(memory) {
        word.store(*value);
    }
}

fn address<T>(word: &T) -> usize {
    core::ptr::from_ref(word).addr()
}

/// The accesses of [`Word`], in tests: as in earnest, but that an actor's are steps.
pub(crate) mod access {
    use super::{AtomicU64, RUN, Run, Seen, Stop, address, resume_unwind};
    use crate::word::host;

    pub(crate) fn load(word: &AtomicU64) -> u64 {
        step(word, true, || host::load(word))
    }

    pub(crate) fn store(word: &AtomicU64, value: u64) {
        let store = || {
            host::store(word, value);
            0
        };
        step(word, false, store);
    }

    pub(crate) fn add(word: &AtomicU64, value: u64) -> u64 {
        step(word, false, || host::add(word, value))
    }

    pub(crate) fn swap(word: &AtomicU64, value: u64) -> u64 {
        step(word, false, || host::swap(word, value))
    }

    pub(crate) fn compare_exchange(word: &AtomicU64, old: u64, new: u64) -> bool {
        let exchange = || u64::from(host::compare_exchange(word, old, new));
        step(word, false, exchange) != 0
    }

    fn step(word: &AtomicU64, is_load: bool, access: impl Fn() -> u64) -> u64 {
        let value = RUN.with_borrow_mut(|run| match run {
            None => Some(access()),
            Some(run) => run.step(address(word), is_load, access),
        });
        value.unwrap_or_else(|| resume_unwind(Box::new(Stop)))
    }

    impl Run {
        /// What an access gives; `None`: it is not its turn.
        fn step(&mut self, address: usize, is_load: bool, access: impl Fn() -> u64) -> Option<u64> {
            let Some(word) = self.words.iter().position(|known| *known == address) else {
                // Nobody changes it, so nobody minds when it is read.
                assert!(is_load, "every word that is written is named");
                return Some(access());
            };
            self.at += 1;
            if let Some(seen) = self.seen.get(self.at - 1) {
                assert_eq!(
                    (seen.word, seen.is_load),
                    (word, is_load),
                    "not the same run"
                );
                return Some(seen.value);
            }
            if self.has_stepped {
                return None;
            }
            self.has_stepped = true;
            let value = access();
            let seen = Seen {
                word,
                value,
                is_load,
            };
            // Who looks again and again and sees the same has seen nothing.
            let again = self.seen.iter().rev().take_while(|it| **it == seen);
            if !is_load || again.count() < 2 {
                self.seen.push(seen);
            }
            Some(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_who_read_and_write_back_lose_one_addition_in_some_order() {
        let (word, found) = (Word::new(0), RefCell::new(HashSet::new()));
        let add = || word.store(word.load() + 1);
        explore(&[&word], &[&add, &add], &|| {
            found.borrow_mut().insert(word.load());
        });
        assert_eq!(*found.borrow(), HashSet::from([1, 2]));
        word.store(0);
        let add = || {
            word.add(1);
        };
        explore(&[&word], &[&add, &add], &|| assert_eq!(word.load(), 2));
    }

    #[test]
    fn who_waits_is_waited_for_and_for_ever_is_told() {
        let words = [Word::new(0), Word::new(0)];
        let wait = |at: usize| while words[at].load() == 0 {};
        let give = |at: usize| words[at].store(1);
        let first = || {
            wait(0);
            give(1);
        };
        let second = || {
            give(0);
            wait(1);
        };
        let all = [&words[0], &words[1]];
        let states = explore(&all, &[&first, &second], &|| ());
        assert!(states < 60, "{states}");
        words.iter().for_each(|word| word.store(0));
        let second = || {
            wait(1);
            give(0);
        };
        let stuck = catch_unwind(AssertUnwindSafe(|| {
            explore(&all, &[&first, &second], &|| ())
        }));
        assert!(stuck.is_err());
    }
}
