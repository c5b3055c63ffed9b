//! The sent log, told in order; budgets; streams. A few lines stand in for the kernel. RFC 9000 §12.3.

use quic_lite::{Dir, Side, Time};
use relay_ebpf_loader::Sizes;
use relay_ebpf_loader::layout::{RECORDS, state};

use super::*;

fn sender() -> (Arc<Memory>, Sender) {
    let sizes = Sizes {
        slots: 1,
        tracks: 1,
    };
    let memory = Arc::new(Memory::heap(sizes).expect("memory"));
    memory.slot(0).next_number.store(100);
    memory.slot(0).streams_opened.store(3);
    let ledger = Arc::new(Ledger::default());
    let sender = Sender::new(memory.clone(), 0, KernelClock::default(), ledger);
    (memory, sender)
}

/// The kernel takes a number and, perhaps later, records what became of it.
fn take(memory: &Memory, len: u64) -> u64 {
    memory.slot(0).spent.add(len);
    memory.slot(0).next_number.add(1)
}

fn record(memory: &Memory, number: u64, fate: u64, len: u64, units: &[(u64, u64, u64)]) {
    let record = memory.record(0, number);
    record.time.store(5_000);
    let data: u64 = units.iter().map(|unit| unit.2 & !SentUnit::FIN).sum();
    memory.slot(0).data_spent.add(data);
    let count = units.len() as u64;
    record
        .meta
        .store(data << 32 | count << 24 | fate << 16 | len);
    record.upstream.store(77);
    for (place, (stream, offset, len)) in record.frames.iter().zip(units) {
        place.stream.store(*stream);
        place.offset.store(*offset);
        place.len.store(*len);
    }
    record.number.store(number + 1);
}

fn pn(number: u64) -> PacketNumber {
    PacketNumber::new(number)
}

fn number_of(packet: Option<OtherPacket>) -> Option<u64> {
    let number = match packet? {
        OtherPacket::Sent { number, .. } | OtherPacket::Burnt { number, .. } => number,
        OtherPacket::Skipped(number) => number,
    };
    Some(number.value())
}

#[test]
fn numbers_of_both_are_told_apart() {
    let (memory, mut sender) = sender();
    assert_eq!((sender.next(), sender.unresolved()), (pn(100), pn(100)));
    assert_eq!(sender.allocate(), pn(100));
    let of_kernel = take(&memory, 50);
    assert_eq!(sender.allocate(), pn(102));
    memory.slot(0).busy.add(1);
    assert_eq!(sender.poll(), None, "it has not said what became of it");
    assert_eq!(sender.unresolved(), pn(101));
    record(&memory, of_kernel, fate::SENT, 50, &[]);
    assert_eq!(number_of(sender.poll()), Some(101));
    assert_eq!((sender.poll(), sender.unresolved()), (None, pn(103)));
    assert_eq!(memory.slot(0).consumed.load(), 103);
}

#[test]
fn a_packet_is_told_with_its_frames() {
    let (memory, mut sender) = sender();
    let number = take(&memory, 1200);
    let id = StreamId::new(Side::Server, Dir::Uni, 4).value();
    let units = [
        (id, 10, 20 | SentUnit::FIN),
        (SentUnit::DATAGRAM, 6 << 32, 0),
    ];
    record(&memory, number, fate::SENT, 1200, &units);
    let Some(OtherPacket::Sent {
        time, size, frames, ..
    }) = sender.poll()
    else {
        panic!("not told");
    };
    assert_eq!((time, size), (Time::from_micros(5), 1200));
    let frame = frames.streams[0].expect("a frame");
    assert_eq!((frame.id.value(), frame.offset), (id, 10));
    assert_eq!((frame.len, frame.fin, frames.datagrams), (20, true, 1));
    assert_eq!(frames.streams[1], None);
    assert!(sender.ledger.datagrams().take((6 << 32, 77)));
}

#[test]
fn a_number_that_its_program_left_without_a_word_was_never_sent() {
    let (memory, mut sender) = sender();
    take(&memory, 0);
    memory.slot(0).busy.add(1);
    assert_eq!(sender.poll(), None);
    memory.slot(0).busy.sub(1);
    assert!(matches!(sender.poll(), Some(OtherPacket::Burnt { .. })));
}

#[test]
fn skipped_and_burnt_numbers_are_told_and_burnt_ones_have_spent() {
    let (memory, mut sender) = sender();
    let number = memory.slot(0).next_number.add(1);
    record(&memory, number, fate::SKIPPED, 0, &[]);
    assert_eq!(sender.poll(), Some(OtherPacket::Skipped(pn(100))));
    let number = take(&memory, 40);
    let id = StreamId::new(Side::Server, Dir::Uni, 4).value();
    record(&memory, number, fate::BURNT, 40, &[(id, 0, 8)]);
    assert_eq!(number_of(sender.poll()), Some(101));
    let outstanding = sender.revoke();
    assert_eq!((outstanding.bytes, outstanding.data), (0, 0));
}

fn grant(bytes: u64) -> Grant {
    Grant {
        bytes,
        data: 500,
        max_uni_streams: 5,
        stream_data: 1000,
        largest_acked: Some(pn(99)),
        max_datagram_size: 1400,
        ecn: true,
        skip_at: pn(107),
    }
}

#[test]
fn a_grant_is_beyond_what_was_told_and_a_revocation_leaves_what_was_spent() {
    let (memory, mut sender) = sender();
    sender.grant(&grant(3000));
    let slot = memory.slot(0);
    assert_eq!((slot.limit.load(), slot.data_limit.load()), (3000, 500));
    assert_eq!((slot.largest_acked.load(), slot.skip_at.load()), (100, 107));
    assert_eq!(slot.flags.load(), flag::ECT0);
    let number = take(&memory, 1200);
    assert_eq!(sender.revoke().bytes, 1200);
    assert_eq!(slot.limit.load(), 0);
    record(&memory, number, fate::SENT, 1200, &[]);
    assert!(sender.poll().is_some());
    assert_eq!(sender.revoke(), Outstanding::default());
    slot.skip_at.store(0);
    sender.grant(&grant(100));
    assert_eq!((slot.limit.load(), slot.skip_at.load()), (1300, 0));
}

#[test]
fn streams_are_counted_by_both_without_holes() {
    let (memory, mut sender) = sender();
    assert_eq!(sender.open_uni(5), Some(3));
    memory.slot(0).streams_opened.add(1);
    assert_eq!(sender.open_uni(5), None);
    assert_eq!((sender.open_uni(6), sender.opened_uni()), (Some(5), 6));
}

#[test]
fn a_released_stream_keeps_its_place_and_sends_nothing() {
    let (memory, mut sender) = sender();
    let id = StreamId::new(Side::Server, Dir::Uni, 3);
    let outlet = memory.outlet(0, 9);
    outlet.source.store(55);
    outlet.id.store(id.value() + 1);
    outlet.high.store(700);
    sender.on_stream_limit(id, 4000);
    sender.on_stream_limit(id, 3000);
    assert_eq!(outlet.limit.load(), 4000);
    assert_eq!(sender.release(id), 700);
    assert_eq!((outlet.source.load(), outlet.id.load()), (55, 0));
    assert!(sender.ledger.is_known(9));
    assert_eq!(sender.release(id), 0);
}

#[test]
fn suspended_it_is_out_of_the_slot() {
    let (memory, mut sender) = sender();
    memory.slot(0).open();
    sender.suspend();
    assert_eq!(memory.slot(0).state.load() & 0xff, state::DISABLED);
    assert!(!sender.ledger.is_stuck());
}

#[test]
fn the_log_goes_round() {
    let (memory, mut sender) = sender();
    for turn in 0..3 * RECORDS {
        let number = take(&memory, 10);
        record(&memory, number, fate::SENT, 10, &[]);
        assert_eq!(number_of(sender.poll()), Some(100 + turn));
    }
    assert_eq!(sender.told_bytes, 30 * RECORDS);
}
