//! The kernel as another sender of a subscriber's connection: what the connection is told by it, through
//! the slot's sent log, and what it may spend. RFC 9000 §12.3, RFC 9002 §7.
//!
//! The log is read in the order of packet numbers; those that userspace took itself are left out.
//! What both do at the same time to the log and to the budgets is in `ebpf/common/src/log.rs` and `room.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use quic_lite::StreamId;
use quic_lite::connection::{
    Grant, OtherFrames, OtherPacket, OtherSender, OtherStreamFrame, Outstanding,
};
use quic_lite::wire::packet_number::PacketNumber;
use relay_ebpf_loader::Memory;
use relay_ebpf_loader::carried;
use relay_ebpf_loader::layout::{OUTLETS, Outlet, Record, SentUnit, Slot, fate, flag};
use relay_ebpf_loader::log::{self, Entry};

use super::clock::KernelClock;
use super::gate;
use super::ledger::{Ledger, Origin};

/// The kernel, as one subscriber's connection sees it.
#[derive(Debug)]
pub(super) struct Sender {
    memory: Arc<Memory>,
    slot: u32,
    clock: KernelClock,
    ledger: Arc<Ledger>,
    /// The log is told up to here.
    told: u64,
    /// Numbers from there on that userspace took.
    own: VecDeque<u64>,
    /// What the packets told of had spent.
    told_bytes: u64,
    told_data: u64,
    /// The last number to waste that was asked for.
    skip_at: u64,
}

impl Sender {
    /// For a slot whose counts of numbers and streams stand where the connection's do.
    pub(super) fn new(
        memory: Arc<Memory>,
        slot: u32,
        clock: KernelClock,
        ledger: Arc<Ledger>,
    ) -> Self {
        let told = memory.slot(slot).next_number.load();
        memory.slot(slot).consumed.store(told);
        ledger.set_told(told);
        Self {
            memory,
            slot,
            clock,
            ledger,
            told,
            own: VecDeque::new(),
            told_bytes: 0,
            told_data: 0,
            skip_at: 0,
        }
    }

    fn slot(&self) -> &Slot {
        self.memory.slot(self.slot)
    }

    /// Passes over the numbers that userspace took.
    fn pass_own(&mut self) {
        let before = self.told;
        while self.own.front() == Some(&self.told) {
            self.own.pop_front();
            self.told += 1;
        }
        if self.told != before {
            self.publish_told();
        }
    }

    fn publish_told(&self) {
        self.slot().consumed.store(self.told);
        self.ledger.set_told(self.told);
    }

    /// What is known of the next number.
    fn next_entry(&self) -> Entry<'_> {
        let place = self.memory.record(self.slot, self.told);
        let wanted = self.told + 1;
        // It was taken a moment ago: usually the program is about to write what became of it.
        gate::comes(&place.number, |number| number == wanted);
        log::look(self.slot(), place, self.told)
    }

    /// Takes note of the datagrams in a record, and returns its frames as the connection knows them.
    fn frames(&self, record: &Record) -> OtherFrames {
        let mut frames = OtherFrames::default();
        let mut streams = frames.streams.iter_mut();
        for unit in units(record) {
            if unit.stream.load() == SentUnit::DATAGRAM {
                frames.datagrams += 1;
            } else if let Some(place) = streams.next() {
                *place = stream_frame(unit);
            }
        }
        frames
    }

    fn note_datagrams(&self, record: &Record) {
        let mut datagrams = None;
        // The relay asks no more about packets that it has passed over.
        for origin in origins(record).filter(|origin| !self.is_passed(*origin)) {
            datagrams
                .get_or_insert_with(|| self.ledger.datagrams())
                .add(origin);
        }
    }

    fn is_passed(&self, (from, number): Origin) -> bool {
        let publisher = self.memory.publisher(from as u32);
        let passed = carried::word(number, from >> 32, carried::PASSED);
        carried::place(publisher, number).is_some_and(|place| place.load() == passed)
    }

    /// What became of the number that `record` is about.
    fn tell(&mut self) -> Option<OtherPacket> {
        let number = PacketNumber::new(self.told);
        let record = match self.next_entry() {
            Entry::Written(record) => record,
            Entry::Open => return None,
            Entry::Missing => {
                return Some(OtherPacket::Burnt {
                    number,
                    frames: OtherFrames::default(),
                });
            }
        };
        let meta = record.meta.load();
        let (size, data) = (meta & 0xffff, meta >> 32);
        let frames = self.frames(record);
        let packet = match (meta >> 16) & 0xff {
            fate::SKIPPED => OtherPacket::Skipped(number),
            fate::SENT => {
                self.note_datagrams(record);
                OtherPacket::Sent {
                    number,
                    time: self.clock.time(record.time.load()),
                    size: size as u16,
                    ecn_marked: meta & MARKED != 0,
                    frames,
                }
            }
            _ => OtherPacket::Burnt { number, frames },
        };
        if !matches!(packet, OtherPacket::Skipped(_)) {
            self.told_bytes += size;
            self.told_data += data;
        }
        Some(packet)
    }

    /// Where a stream of the subscriber comes out.
    fn outlet(&self, id: StreamId) -> Option<(u64, &Outlet)> {
        (0..OUTLETS)
            .map(|place| (place, self.memory.outlet(self.slot, place)))
            .find(|(_, outlet)| outlet.source.load() != 0 && outlet.id.load() == id.value() + 1)
    }
}

impl OtherSender for Sender {
    fn allocate(&mut self) -> PacketNumber {
        let number = self.slot().next_number.add(1);
        self.own.push_back(number);
        self.pass_own();
        PacketNumber::new(number)
    }

    fn next(&self) -> PacketNumber {
        PacketNumber::new(self.slot().next_number.load())
    }

    fn open_uni(&mut self, maximum: u64) -> Option<u64> {
        let opened = &self.slot().streams_opened;
        loop {
            let index = opened.load();
            if index >= maximum {
                return None;
            }
            if opened.compare_exchange(index, index + 1) {
                return Some(index);
            }
        }
    }

    fn opened_uni(&self) -> u64 {
        self.slot().streams_opened.load()
    }

    fn revoke(&mut self) -> Outstanding {
        let (told, data) = (self.told_bytes, self.told_data);
        let (spent, data_spent) = self.slot().limit_to(told, data);
        Outstanding {
            bytes: spent.saturating_sub(told),
            data: data_spent.saturating_sub(data),
        }
    }

    fn grant(&mut self, grant: &Grant) {
        let slot = self.slot();
        let acked = grant.largest_acked.map_or(0, |number| number.value() + 1);
        slot.largest_acked.store(acked);
        slot.max_udp_payload
            .store(u64::from(grant.max_datagram_size));
        slot.stream_limit.store(grant.stream_data);
        slot.streams_limit.store(grant.max_uni_streams);
        let flags = slot.flags.load() & !flag::ECT0;
        let ecn = if grant.ecn { flag::ECT0 } else { 0 };
        slot.flags.store(flags | ecn);
        slot.data_limit
            .store(self.told_data.saturating_add(grant.data));
        slot.limit
            .store(self.told_bytes.saturating_add(grant.bytes));
        // Once only: the kernel clears what it has done.
        let skip_at = grant.skip_at.value();
        if skip_at != self.skip_at {
            slot.skip_at.store(skip_at);
            self.skip_at = skip_at;
        }
    }

    fn poll(&mut self) -> Option<OtherPacket> {
        self.pass_own();
        if self.told >= self.slot().next_number.load() {
            return None;
        }
        let packet = self.tell()?;
        self.told += 1;
        self.publish_told();
        Some(packet)
    }

    fn unresolved(&self) -> PacketNumber {
        PacketNumber::new(self.told)
    }

    fn on_stream_limit(&mut self, id: StreamId, limit: u64) {
        if let Some((_, outlet)) = self.outlet(id) {
            outlet.limit.store(limit.max(outlet.limit.load()));
        }
    }

    fn release(&mut self, id: StreamId) -> u64 {
        let Some((place, outlet)) = self.outlet(id) else {
            return 0;
        };
        // A source that no stream has: the place stays taken until its publisher's stream is over.
        outlet.id.swap(0);
        if !gate::is_left(self.slot()) {
            self.ledger.set_stuck();
        }
        self.ledger.set_known(place, true);
        outlet.high.load()
    }

    fn suspend(&mut self) {
        if !gate::shut(self.slot()) {
            self.ledger.set_stuck();
        }
    }
}

/// The publishers' packets whose datagrams a sent packet carried, one by one.
pub(super) fn origins(record: &Record) -> impl Iterator<Item = Origin> + '_ {
    let upstream = record.upstream.load();
    units(record)
        .filter(|unit| unit.stream.load() == SentUnit::DATAGRAM)
        .map(move |unit| (unit.offset.load(), upstream))
}

fn units(record: &Record) -> impl Iterator<Item = &SentUnit> {
    let count = (record.meta.load() >> 24) & 0x7f;
    record.frames.iter().take(count as usize)
}

fn stream_frame(unit: &SentUnit) -> Option<OtherStreamFrame> {
    let len = unit.len.load();
    Some(OtherStreamFrame {
        id: StreamId::from_value(unit.stream.load())?,
        offset: unit.offset.load(),
        len: len & !SentUnit::FIN,
        fin: len & SentUnit::FIN != 0,
    })
}

/// The bit of [`Record::meta`] that says that the packet carried ECT(0).
const MARKED: u64 = 1 << 31;

#[cfg(test)]
mod tests;
