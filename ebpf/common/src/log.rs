//! The sent log, as userspace reads it: what became of a number that the kernel took (RFC 9000 §12.3).
//!
//! A program is inside its slot from before it takes a number until after it has written the record. So a number
//! whose record is missing when nobody is inside will never have one, and was never sent.

use crate::layout::{Record, Slot};

/// What is known of a number.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// Its record.
    Written(&'a Record),
    /// A program may be about to write it.
    Open,
    /// It has none: whoever took it has ended before anything was sent.
    Missing,
}

/// Looks at `place`, where the record of `number` belongs, which the kernel took.
pub fn look<'a>(slot: &Slot, place: &'a Record, number: u64) -> Entry<'a> {
    let is_written = || place.number.load() == number.wrapping_add(1);
    if is_written() {
        Entry::Written(place)
    } else if !slot.is_empty() {
        Entry::Open
    } else if is_written() {
        // Between the two looks.
        Entry::Written(place)
    } else {
        Entry::Missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{admit, record};
    use crate::layout::{RECORDS, fate, role};
    use crate::model::explore;
    use crate::plan::Plan;
    use crate::tables::Desk;
    use crate::turn::Turn;
    use crate::word::Word;

    /// A subscriber's slot with an old record in each place.
    fn desk() -> Desk {
        let desk = Desk::new();
        desk.slot.role.store(role::SUBSCRIBER);
        for word in [&desk.slot.limit, &desk.slot.max_udp_payload] {
            word.store(10_000);
        }
        desk.slot.next_number.store(RECORDS);
        desk.slot.consumed.store(RECORDS);
        desk.slot.largest_acked.store(RECORDS);
        for (number, place) in (1..).zip(&desk.records) {
            place.number.store(number);
            place.upstream.store(99);
        }
        desk.slot.open();
        desk
    }

    fn plan() -> Plan {
        let mut plan = Plan::EMPTY;
        (plan.number, plan.len, plan.log_room) = (7, 100, 100);
        plan
    }

    /// A copy under way, as the egress programs make one.
    fn copy(desk: &Desk, writes: bool) {
        let (plan, mut turn) = (plan(), Turn::NONE);
        if let Some(generation) = desk.slot.enter() {
            let ticket = admit(desk, &desk.slot, generation, &plan, &mut turn);
            let ticket = ticket.expect("there is room");
            if writes {
                record(desk, (&plan, &turn), &ticket, fate::SENT);
            }
        }
        desk.slot.leave();
    }

    fn words(desk: &Desk) -> Vec<&Word> {
        let Slot {
            busy,
            next_number,
            spent,
            ..
        } = &desk.slot;
        let records = desk.records.iter().take(2);
        let records = records.flat_map(|it| [&it.number, &it.time, &it.meta, &it.upstream]);
        [busy, next_number, spent]
            .into_iter()
            .chain(records)
            .collect()
    }

    /// Looks a few times at all numbers that were taken.
    fn read(desk: &Desk, is_missing: &dyn Fn()) {
        let mut told = RECORDS;
        for _ in 0..3 {
            if told >= desk.slot.next_number.load() {
                continue;
            }
            let [first, second, ..] = &desk.records;
            match look(&desk.slot, [first, second][(told % 2) as usize], told) {
                Entry::Written(record) => {
                    assert_eq!(record.upstream.load(), 7, "an old record");
                    assert_eq!(record.meta.load() >> 16, fate::SENT);
                    told += 1;
                }
                Entry::Open => {}
                Entry::Missing => {
                    is_missing();
                    told += 1;
                }
            }
        }
    }

    #[test]
    fn whatever_the_order_a_packet_that_was_sent_is_told_of() {
        let desk = desk();
        let program = || copy(&desk, true);
        // On another CPU, which takes no number.
        let other = || {
            desk.slot.enter();
            desk.slot.leave();
        };
        let userspace = || read(&desk, &|| panic!("it was sent"));
        let states = explore(&words(&desk), &[&program, &other, &userspace], &|| {
            assert_eq!(desk.slot.next_number.load(), RECORDS + 1);
            read(&desk, &|| panic!("it was sent"));
        });
        assert!(states > 1000, "{states}");
    }

    #[test]
    fn a_number_whose_program_ended_before_it_sent_is_found_missing() {
        let desk = desk();
        let program = || copy(&desk, false);
        let found = core::cell::Cell::new(0);
        let userspace = || read(&desk, &|| found.set(found.get() + 1));
        explore(&words(&desk), &[&program, &userspace], &|| ());
        assert!(found.get() > 0);
    }
}
