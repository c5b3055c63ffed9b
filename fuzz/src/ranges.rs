//! Sets of numbers: the set of ranges, and the window of received packets (RFC 9000 §13.2), against lists.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use quic_lite::Time;
use quic_lite::limits::ACK_RANGES;
use quic_lite::range_set::RangeSet;
use quic_lite::recovery::ecn::Ecn;
use quic_lite::space::{AckFrequency, Space, SpaceId};
use quic_lite::wire::packet_number::PacketNumber;

use crate::bytes::Script;

/// A set of ranges is the set of its numbers. The first byte chooses where in the range of `u64` it stands.
pub fn range_set(data: &[u8]) {
    let mut script = Script::new(data);
    let base = match script.byte() % 3 {
        0 => 0,
        1 => (1 << 62) - NUMBERS,
        _ => u64::MAX - NUMBERS,
    };
    let mut set = RangeSet::new();
    let mut model = [false; NUMBERS as usize];
    while let Some(step) = script.step() {
        let range = range(&mut script);
        let bits = &mut model[range.start as usize..range.end as usize];
        let shifted = base + range.start..base + range.end;
        match step % 4 {
            0 => {
                let missing = bits.contains(&false);
                assert_eq!(set.insert(shifted), missing);
                bits.fill(true);
            }
            1 => {
                let there = bits.contains(&true);
                assert_eq!(set.remove(shifted), there);
                bits.fill(false);
            }
            2 => {
                let most = usize::from(script.byte() % 8) + 1;
                set.insert_bounded(shifted, most);
                bits.fill(true);
                while runs(&model).count() > most {
                    let lowest = runs(&model).next().unwrap();
                    model[lowest.start as usize..lowest.end as usize].fill(false);
                }
            }
            _ => match set.pop_first() {
                Some(popped) => {
                    let lowest = runs(&model).next().unwrap();
                    assert_eq!(popped, base + lowest.start..base + lowest.end);
                    model[lowest.start as usize..lowest.end as usize].fill(false);
                }
                None => assert!(!model.contains(&true)),
            },
        }
        agree(&set, &model, base, range);
    }
}

fn range(script: &mut Script<'_>) -> Range<u64> {
    let (start, len) = (u64::from(script.byte()), u64::from(script.byte() % 40));
    start..(start + len).min(NUMBERS)
}

/// The ranges of a list of bits, lowest first.
fn runs(model: &[bool]) -> impl Iterator<Item = Range<u64>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + model[at..].iter().position(|bit| *bit)?;
        let len = model[start..].iter().position(|bit| !*bit);
        at = len.map_or(model.len(), |len| start + len);
        Some(start as u64..at as u64)
    })
}

fn agree(set: &RangeSet, model: &[bool], base: u64, probe: Range<u64>) {
    let shifted = |range: Range<u64>| base + range.start..base + range.end;
    assert!(set.iter().eq(runs(model).map(shifted)));
    assert_eq!(set.first(), runs(model).next().map(shifted));
    assert_eq!(set.last(), runs(model).last().map(shifted));
    assert_eq!(
        (set.len(), set.is_empty()),
        (runs(model).count(), !model.contains(&true))
    );
    let bits = &model[probe.start as usize..probe.end as usize];
    let probed = shifted(probe.clone());
    assert_eq!(set.total(), model.iter().filter(|bit| **bit).count() as u64);
    assert_eq!(set.contains_range(&probed), !bits.contains(&false));
    assert_eq!(set.overlaps(&probed), bits.contains(&true));
    let inside =
        |range: Range<u64>| base + probe.start + range.start..base + probe.start + range.end;
    assert!(set.overlap(probed.clone()).eq(runs(bits).map(inside)));
    let holes: Vec<bool> = bits.iter().map(|bit| !*bit).collect();
    assert!(set.gaps(probed).eq(runs(&holes).map(inside)));
    for at in 0..NUMBERS {
        assert_eq!(set.contains(base + at), model[at as usize]);
    }
}

/// No packet counts twice, however old; what is acknowledged has arrived; the memory is bounded; what asks for an
/// acknowledgement gets one in time.
pub fn received_numbers(data: &[u8]) {
    let mut script = Script::new(data);
    let id = SpaceId::ALL[usize::from(script.byte() % 3)];
    let delay = Duration::from_millis(25);
    let mut space = Space::new(id, delay);
    let mut arrived = BTreeSet::new();
    let (mut now, mut next) = (Time::ZERO, 0_u64);
    // The last number that the peer knows we know.
    while let Some(step) = script.step() {
        match step % 7 {
            0..=2 => {
                let number = match step % 7 {
                    0 => next,
                    1 => next.saturating_sub(script.integer()),
                    _ => next.saturating_add(script.integer() % (1 << 20)),
                };
                let number = number.min(PacketNumber::MAX.value());
                next = next.max(number + 1).min(PacketNumber::MAX.value());
                let (eliciting, ecn) = (step & 8 == 0, mark(step >> 4));
                receive(&mut space, &mut arrived, now, (number, eliciting, ecn));
            }
            3 => now = now + Duration::from_micros(script.integer() % 100_000),
            4 => {
                let with_ack = step & 8 == 0;
                space.on_packet_sent(with_ack, step & 16 == 0);
                assert!(!with_ack || !space.ack_due(now) && !space.ack_wanted());
            }
            5 => {
                let largest = space.largest_received().map_or(0, PacketNumber::value);
                let known = largest.saturating_sub(script.integer());
                space.on_ack_acked(PacketNumber::new(known));
            }
            _ => space.set_ack_frequency(AckFrequency {
                ack_eliciting_threshold: script.integer(),
                max_ack_delay: delay,
                reordering_threshold: script.integer(),
            }),
        }
        let ranges = space.ack_ranges();
        let (seen, wanted) = space.ranges();
        assert!(seen.max(wanted) <= ACK_RANGES, "{seen} and {wanted} ranges");
        for range in ranges.iter() {
            assert!(range.clone().all(|number| arrived.contains(&number)));
        }
        let largest = arrived.last().copied();
        assert_eq!(ranges.last().map(|range| range.end - 1), largest);
        assert_eq!(space.largest_received().map(PacketNumber::value), largest);
    }
}

fn receive(
    space: &mut Space,
    arrived: &mut BTreeSet<u64>,
    now: Time,
    (number, eliciting, ecn): (u64, bool, Option<Ecn>),
) {
    let packet = PacketNumber::new(number);
    let refused = space.is_duplicate(packet);
    assert!(
        refused || !arrived.contains(&number),
        "{number} counts twice"
    );
    space.on_packet_received(now, packet, eliciting, ecn);
    assert!(space.is_duplicate(packet));
    if refused {
        return;
    }
    arrived.insert(number);
    if eliciting {
        let deadline = space.ack_deadline().expect("an acknowledgement is wanted");
        assert!(deadline <= now + Duration::from_millis(25) && space.ack_wanted());
    }
}

fn mark(bits: u8) -> Option<Ecn> {
    [None, Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce)][usize::from(bits & 3)]
}

/// How many numbers the model of a set has.
const NUMBERS: u64 = 300;
