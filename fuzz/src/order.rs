//! Objects of groups that come on streams of their own, put in order (draft-ietf-moq-transport-18 §2.2).

use std::collections::BTreeSet;
use std::time::Duration;

use quic_lite::Time;
use quic_relay::assembly::Assembly;

use crate::bytes::Script;

struct Model {
    assembly: Assembly<(u64, u64)>,
    now: Time,
    inserted: BTreeSet<(u64, u64)>,
    last: Option<(u64, u64)>,
}

/// Whatever comes and whatever is said of groups: objects come out in order, each once, none that did not come,
/// and what waits for a hole does not wait for ever.
pub fn moqt_order(data: &[u8]) {
    let mut script = Script::new(data);
    let first = (script.byte() & 1 == 1).then(|| number(&mut script));
    let mut model = Model {
        assembly: Assembly::new(first, PATIENCE),
        now: Time::from_micros(1),
        inserted: BTreeSet::new(),
        last: None,
    };
    let mut steps = 0;
    while let Some(step) = script.step().filter(|_| steps < MAX_STEPS) {
        steps += 1;
        let group = number(&mut script);
        let assembly = &mut model.assembly;
        match step % 10 {
            0..=3 => {
                let object = number(&mut script);
                assembly.insert(group, object, usize::from(script.byte()), (group, object));
                model.inserted.insert((group, object));
            }
            4 => assembly.has_length(group, number(&mut script)),
            5 => assembly.lose(group),
            6 => assembly.pause(group),
            7 => assembly.starts_at(group, number(&mut script)),
            8 if step & 0x80 != 0 => assembly.ends_with(group),
            8 => model.wait(Duration::from_micros(group % 20_000_000)),
            _ => while model.pop() {},
        }
    }
    model.assembly.close();
    while model.pop() {}
    assert!(model.assembly.deadline().is_none() || model.assembly.is_complete());
}

impl Model {
    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        let mut rounds = 0;
        while self
            .assembly
            .deadline()
            .is_some_and(|deadline| deadline <= self.now)
        {
            while self.pop() {}
            rounds += 1;
            assert!(rounds < 10_000, "a deadline is over and stays");
        }
    }

    fn pop(&mut self) -> bool {
        let Some(next) = self.assembly.pop(self.now) else {
            return false;
        };
        assert!(self.last < Some(next), "{next:?} after {:?}", self.last);
        assert!(self.inserted.remove(&next), "{next:?} never came");
        self.last = Some(next);
        true
    }
}

/// A group or an object: small, or at the end of all numbers.
fn number(script: &mut Script<'_>) -> u64 {
    let number = script.integer();
    match number >> 61 {
        0 => number,
        _ => u64::MAX - (number & 0xff),
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_STEPS: u32 = 2000;
