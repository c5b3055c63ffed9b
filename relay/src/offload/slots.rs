//! Which slots are whose: a fixed number, taken and given back. No RFC.
//!
//! A slot rests before it is used again, so that packets of its last owner find nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use quic_lite::Time;
use relay_ebpf_loader::Memory;
use relay_ebpf_loader::layout::{OUTLETS, PADS, Pad, RECORDS, Slot};
use relay_ebpf_loader::word::Word;

use super::gate;

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    memory: Arc<Memory>,
    free: Vec<u32>,
    /// Until when, oldest first.
    resting: VecDeque<(Time, u32)>,
    used: usize,
}

impl Slots {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        let free = (0..memory.sizes().slots).rev().collect();
        Self {
            memory,
            free,
            resting: VecDeque::new(),
            used: 0,
        }
    }

    /// How many are somebody's.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// A slot with nothing in it, shut.
    pub(super) fn take(&mut self, now: Time) -> Option<u32> {
        while self.resting.front().is_some_and(|(until, _)| *until <= now) {
            self.free
                .extend(self.resting.pop_front().map(|(_, slot)| slot));
        }
        let slot = self.free.pop()?;
        self.used += 1;
        gate::shut(self.memory.slot(slot));
        Some(slot)
    }

    /// Takes a slot back that is shut and that nobody is inside. Everything secret in it is wiped.
    pub(super) fn give_back(&mut self, slot: u32, rest_until: Time) {
        wipe(&self.memory, slot);
        self.memory.slot(slot).free();
        self.used -= 1;
        self.resting.push_back((rest_until, slot));
    }

    /// Gives a slot up that somebody never left: it stays as it is, for ever.
    pub(super) const fn lose(&mut self) {
        self.used -= 1;
    }
}

/// Makes everything of a slot zero but its state.
fn wipe(memory: &Memory, index: u32) {
    let slot = memory.slot(index);
    zero(&[&slot.role, &slot.flags, &slot.family, &slot.ports]);
    for words in [&slot.local_ip, &slot.remote_ip, &slot.iv, &slot.macs] {
        zero_all(words);
    }
    zero_all(&slot.key);
    zero_all(&slot.hp);
    zero_all(&slot.cid);
    zero(&[&slot.ifindex, &slot.cid_len, &slot.phase, &slot.raw_track]);
    wipe_sending(slot);
    zero(&[&slot.packets, &slot.bytes, &slot.without_pad]);
    zero(&[&slot.refused, &slot.last_refusal]);
    for number in 0..RECORDS {
        memory.record(index, number).number.store(0);
    }
    for number in 0..PADS {
        wipe_pad(memory.pad(index, number));
    }
    for place in 0..OUTLETS {
        let outlet = memory.outlet(index, place);
        zero(&[&outlet.id, &outlet.limit, &outlet.high, &outlet.source]);
    }
    let publisher = memory.publisher(index);
    publisher.largest.store(0);
    zero_all(&publisher.seen);
    zero_all(&publisher.carried);
    for source in &publisher.sources {
        zero(&[&source.state, &source.index]);
    }
}

fn wipe_sending(slot: &Slot) {
    zero(&[&slot.max_udp_payload, &slot.next_number, &slot.skip_at]);
    zero(&[&slot.largest_acked, &slot.consumed, &slot.spent]);
    zero(&[&slot.limit, &slot.data_spent, &slot.data_limit]);
    zero(&[
        &slot.streams_opened,
        &slot.streams_limit,
        &slot.stream_limit,
    ]);
}

fn wipe_pad(pad: &Pad) {
    if pad.number.swap(0) != 0 {
        zero_all(&pad.one_time_key);
        zero_all(&pad.keystream);
    }
}

fn zero(words: &[&Word]) {
    words.iter().for_each(|word| word.store(0));
}

fn zero_all(words: &[Word]) {
    words.iter().for_each(|word| word.store(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_ebpf_loader::Sizes;

    #[test]
    fn a_slot_is_used_again_after_its_rest_and_with_nothing_in_it() {
        let sizes = Sizes {
            slots: 1,
            tracks: 1,
        };
        let memory = Arc::new(Memory::heap(sizes).expect("memory"));
        let mut slots = Slots::new(memory.clone());
        let at = Time::from_micros;
        assert_eq!(slots.take(at(1)), Some(0));
        assert_eq!(slots.take(at(1)), None);
        let slot = memory.slot(0);
        slot.key[3].store(9);
        memory.pad(0, 5).number.store(6);
        memory.pad(0, 5).keystream[183].store(7);
        memory.outlet(0, 63).source.store(8);
        memory.publisher(0).sources[255].state.store(7);
        let generation = slot.generation();
        slots.give_back(0, at(10));
        assert_eq!((slots.take(at(9)), slots.used()), (None, 0));
        assert_eq!((slots.take(at(10)), slots.used()), (Some(0), 1));
        assert_eq!(slot.generation(), generation + 1);
        assert_eq!(slot.key[3].load(), 0);
        assert_eq!(memory.pad(0, 5).keystream[183].load(), 0);
        assert_eq!(memory.outlet(0, 63).source.load(), 0);
        assert_eq!(memory.publisher(0).sources[255].state.load(), 0);
    }
}
