//! The programs, with a publisher and its audience: one uni stream of which every packet brings the next piece
//! (RFC 9000 §19.8), to subscribers whose connection IDs are as long as ours.

use std::io;
use std::time::Duration;

use relay_ebpf_common::pad;
use relay_ebpf_loader::layout::{PAD_BYTES, flag};
use relay_ebpf_loader::verdict::Reason;
use relay_ebpf_loader::{Engine, Kernel, Sizes, frame};

use crate::candidate::{BATCH, Candidate, MOST, PACKET};
use crate::stage::{self, ethernet};
use crate::world::{ALIAS, PUBLISHER, TRACK, World, subgroup};

/// How packets are protected, on both legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    Clear,
    /// With the key stream from userspace.
    Pads,
    /// With the key stream made in the kernel.
    NoPads,
}

/// The programs, with a publisher and its audience.
pub struct Relay {
    kernel: Kernel,
    world: World,
    protection: Protection,
    copies: u32,
    /// Of the publisher's next packet.
    number: u64,
    /// Its stream, by count, and where that goes on.
    stream: u64,
    offset: usize,
    /// Copies when it began, and those without a pad.
    before: (u64, u64),
}

impl Relay {
    /// On a wire of its own.
    pub fn new(device: &str, protection: Protection) -> io::Result<Self> {
        let ifindex = stage::wire(device)?;
        let sizes = Sizes {
            slots: MOST + 1,
            tracks: 1,
        };
        let mut kernel = Kernel::load(sizes).map_err(io::Error::other)?;
        let attached = kernel.attach(&[device.to_owned()]);
        attached.map_err(io::Error::other)?;
        let world = World::new(&kernel, true);
        for slot in 1..=MOST {
            world.subscribe(slot);
            let slot = world.memory.slot(slot);
            slot.cid_len.store(8);
            slot.ifindex.store(u64::from(ifindex));
        }
        if protection == Protection::Clear {
            let slots = world.memory.slots();
            slots.iter().for_each(|slot| slot.flags.store(flag::CLEAR));
        }
        Ok(Self {
            kernel,
            world,
            protection,
            copies: 0,
            number: 0,
            stream: 0,
            offset: 0,
            before: (0, 0),
        })
    }

    /// One STREAM frame, to the packet's end; the stream's first opens a subgroup.
    fn frames(&mut self) -> Vec<u8> {
        let tag = if self.protection == Protection::Clear {
            0
        } else {
            16
        };
        let len = PACKET - (1 + 8 + 2) - tag;
        let id = 0x4000 | (self.stream << 2 | 2) as u16;
        let mut frames = vec![0x0c];
        frames.extend(id.to_be_bytes());
        frames.extend((0x8000_0000 | self.offset as u32).to_be_bytes());
        let header = frames.len();
        if self.offset == 0 {
            frames.extend(subgroup(ALIAS, 1, &[]));
        }
        frames.resize(len, 0xda);
        self.offset += len - header;
        frames
    }

    /// Whether the kernel has measured how long programs run meanwhile (`kernel.bpf_stats_enabled`).
    pub fn is_measured(&self) -> bool {
        let programs = self.kernel.programs();
        programs.iter().any(|program| program.runs != 0)
    }

    /// Copies sent, and how many of them without a pad.
    fn counts(&self) -> (u64, u64) {
        let memory = &self.world.memory;
        let without = |index| memory.slot(index).without_pad.load();
        let (_, sent) = self.kernel.counters()[Reason::Sent as usize];
        (sent, (1..=self.copies).map(without).sum())
    }
}

impl Candidate for Relay {
    fn begin(&mut self, copies: u32) -> io::Result<()> {
        self.copies = copies;
        self.stream += 1;
        self.offset = 0;
        let members = &self.world.memory.track(TRACK).members;
        members.store(u64::from(copies));
        self.refill();
        self.packet()?;
        self.before = self.counts();
        Ok(())
    }

    fn refill(&mut self) {
        let memory = &self.world.memory;
        for index in 0..=self.copies {
            let slot = memory.slot(index);
            let next = match index {
                PUBLISHER => self.number,
                _ => slot.next_number.load(),
            };
            slot.consumed.store(next);
            // So far behind that a packet number takes two bytes, as the publisher's.
            slot.largest_acked.store(next.saturating_sub(100));
            if self.protection != Protection::Pads {
                continue;
            }
            for number in next..next + BATCH {
                let pad = memory.pad(index, number);
                pad::fill(pad, &slot.key, &slot.iv, number, PAD_BYTES as u64);
            }
        }
    }

    fn packet(&mut self) -> io::Result<Duration> {
        let frames = self.frames();
        let packet = self.world.packet(self.number, &frames);
        self.number += 1;
        let from = self.world.remote(PUBLISHER);
        let packet = ethernet(&frame::udp(from, self.world.local, &packet));
        let (_, duration) = self.kernel.run("qrelay_ingress", &packet, 1)?;
        Ok(duration)
    }

    fn end(&mut self, packets: u64) -> io::Result<()> {
        let (sent, without_pad) = self.counts();
        let copies = packets * u64::from(self.copies);
        let expected = match self.protection {
            Protection::NoPads => (copies, copies),
            Protection::Clear | Protection::Pads => (copies, 0),
        };
        let made = (sent - self.before.0, without_pad - self.before.1);
        if made == expected {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "{:?}: {made:?} copies and copies without pad, not {expected:?}; {:?}",
            self.protection,
            self.kernel.counters()
        )))
    }
}
