//! All that userspace and the kernel programs share without a system call, as safe references. No RFC.
//!
//! [`crate::layout`] says what each value means and who writes it when.

use std::io;
use std::os::fd::BorrowedFd;

use relay_ebpf_common::schema::SCHEMA;

use crate::area::Area;
use crate::layout::{
    Config, Member, OUTLETS, Outlet, PADS, Pad, Publisher, RECORD_MARGIN, RECORDS, Record, Slot,
    Track, map,
};

/// How much there is of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Slots: one for each direction of a connection that the kernel serves. At most 65535.
    pub slots: u32,
    /// Tracks.
    pub tracks: u32,
}

impl Sizes {
    /// Bytes of shared memory for one slot.
    pub const fn bytes_per_slot(self) -> usize {
        size_of::<Slot>()
            + size_of::<Publisher>()
            + RECORDS as usize * size_of::<Record>()
            + PADS as usize * size_of::<Pad>()
            + OUTLETS as usize * size_of::<Outlet>()
    }

    /// Bytes of shared memory altogether.
    pub const fn bytes(self) -> usize {
        let track = size_of::<Track>() + self.slots as usize * size_of::<Member>();
        size_of::<Config>()
            + self.slots as usize * self.bytes_per_slot()
            + self.tracks as usize * track
    }
}

/// The shared arrays. Indexes are ours: one that is too large is a fault of ours and panics.
#[derive(Debug)]
pub struct Memory {
    sizes: Sizes,
    /// As [`Config::log_room`].
    log_room: u64,
    pub(crate) config: Area<Config>,
    pub(crate) slots: Area<Slot>,
    pub(crate) publishers: Area<Publisher>,
    pub(crate) records: Area<Record>,
    pub(crate) pads: Area<Pad>,
    pub(crate) outlets: Area<Outlet>,
    pub(crate) tracks: Area<Track>,
    pub(crate) members: Area<Member>,
}

impl Memory {
    /// Memory that no kernel knows of.
    ///
    /// # Errors
    ///
    /// A size is zero, or there is not so much memory.
    pub fn heap(sizes: Sizes) -> io::Result<Self> {
        let memory = Self {
            sizes,
            log_room: RECORDS - RECORD_MARGIN,
            config: Area::heap(1)?,
            slots: Area::heap(sizes.slots as usize)?,
            publishers: Area::heap(sizes.slots as usize)?,
            records: Area::heap(sizes.slots as usize * RECORDS as usize)?,
            pads: Area::heap(sizes.slots as usize * PADS as usize)?,
            outlets: Area::heap(sizes.slots as usize * OUTLETS as usize)?,
            tracks: Area::heap(sizes.tracks as usize)?,
            members: Area::heap(sizes.tracks as usize * sizes.slots as usize)?,
        };
        memory.start();
        Ok(memory)
    }

    /// Memory that the kernel has as maps, with this [`Config::log_room`]; `map` gives a map by its name.
    ///
    /// # Errors
    ///
    /// A map is missing, smaller, or cannot be mapped.
    pub(crate) fn map<'a>(
        sizes: Sizes,
        log_room: u64,
        map: impl Fn(&str) -> io::Result<BorrowedFd<'a>>,
    ) -> io::Result<Self> {
        let slots = sizes.slots as usize;
        let memory = Self {
            sizes,
            log_room,
            config: Area::map(map(map::CONFIG)?, 1)?,
            slots: Area::map(map(map::SLOTS)?, slots)?,
            publishers: Area::map(map(map::PUBLISHERS)?, slots)?,
            records: Area::map(map(map::RECORDS)?, slots * RECORDS as usize)?,
            pads: Area::map(map(map::PADS)?, slots * PADS as usize)?,
            outlets: Area::map(map(map::OUTLETS)?, slots * OUTLETS as usize)?,
            tracks: Area::map(map(map::TRACKS)?, sizes.tracks as usize)?,
            members: Area::map(map(map::MEMBERS)?, sizes.tracks as usize * slots)?,
        };
        memory.start();
        Ok(memory)
    }

    /// Writes the part of the settings that does not change. Nothing is forwarded before
    /// `alive_until` is set.
    pub(crate) fn start(&self) {
        let config = self.config();
        config.slots.store(u64::from(self.sizes.slots));
        config.tracks.store(u64::from(self.sizes.tracks));
        config.log_room.store(self.log_room);
        config.schema.store(SCHEMA);
    }

    /// Makes all as it was at the beginning. For tests: nobody must be using it.
    pub fn clear(&self) {
        let areas = [
            self.config.words(),
            self.slots.words(),
            self.publishers.words(),
            self.records.words(),
            self.pads.words(),
            self.outlets.words(),
            self.tracks.words(),
            self.members.words(),
        ];
        for word in areas.into_iter().flatten() {
            word.store(0);
        }
        self.start();
    }

    /// How much there is of what.
    pub const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config.all()[0]
    }

    /// All slots.
    pub const fn slots(&self) -> &[Slot] {
        self.slots.all()
    }

    /// A slot.
    pub fn slot(&self, slot: u32) -> &Slot {
        &self.slots.all()[slot as usize]
    }

    /// What a slot knows as a publisher.
    pub fn publisher(&self, slot: u32) -> &Publisher {
        &self.publishers.all()[slot as usize]
    }

    /// Where the sent log of a slot has room for this packet number.
    pub fn record(&self, slot: u32, number: u64) -> &Record {
        &self.records.all()[place(slot, number, RECORDS)]
    }

    /// Where a slot has room for the pad of this packet number.
    pub fn pad(&self, slot: u32, number: u64) -> &Pad {
        &self.pads.all()[place(slot, number, PADS)]
    }

    /// An outlet of a slot; see [`crate::layout::outlet_index`].
    pub fn outlet(&self, slot: u32, outlet: u64) -> &Outlet {
        &self.outlets.all()[place(slot, outlet, OUTLETS)]
    }

    /// A track.
    pub fn track(&self, track: u32) -> &Track {
        &self.tracks.all()[track as usize]
    }

    /// A member of a track. There are as many places as slots.
    pub fn member(&self, track: u32, member: u32) -> &Member {
        assert!(member < self.sizes.slots, "no such member");
        &self.members.all()[track as usize * self.sizes.slots as usize + member as usize]
    }
}

/// Where in an array `number` stands when each slot has `each` places, used in turn.
const fn place(slot: u32, number: u64, each: u64) -> usize {
    (slot as u64 * each + number % each) as usize
}

#[cfg(test)]
mod tests {
    use super::{Memory, Sizes};
    use crate::layout::{OUTLETS, PADS, RECORDS};

    const SIZES: Sizes = Sizes {
        slots: 4,
        tracks: 3,
    };

    #[test]
    fn a_slot_needs_at_most_512_kib() {
        assert!(SIZES.bytes_per_slot() <= 512 << 10);
        assert!(SIZES.bytes() > 4 * SIZES.bytes_per_slot());
    }

    #[test]
    fn every_place_is_its_own() {
        let memory = Memory::heap(SIZES).expect("memory");
        assert_eq!(memory.config().slots.load(), 4);
        for slot in 0..4 {
            for number in 0..RECORDS {
                memory.record(slot, number).number.store(number + 1);
            }
            memory.pad(slot, PADS - 1).number.store(9);
            memory.outlet(slot, OUTLETS - 1).id.store(u64::from(slot));
        }
        for slot in 0..4 {
            assert_eq!(memory.record(slot, RECORDS + 5).number.load(), 6);
            assert_eq!(memory.pad(slot, 0).number.load(), 0);
            assert_eq!(memory.outlet(slot, OUTLETS - 1).id.load(), u64::from(slot));
        }
        memory.member(2, 3).slot.store(1);
        assert_eq!(memory.member(1, 3).slot.load(), 0);
    }
}
