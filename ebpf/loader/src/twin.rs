//! The programs' stand-in: the same code on memory of our own, without a kernel and without rights. No RFC.
//!
//! It has no clock of its own: who calls says what time it is.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use relay_ebpf_common::egress::{self, Sealed, Ticket};
use relay_ebpf_common::headers::{Datagram, Outside, START_WORDS};
use relay_ebpf_common::ingress;
use relay_ebpf_common::pad;
use relay_ebpf_common::plan::Plan;
use relay_ebpf_common::schema::settings;
use relay_ebpf_common::scratch::{Frame, HEAD_WORDS, Scratch, TEXT_WORDS};
use relay_ebpf_common::tables::{Rounds, Tables};
use relay_ebpf_common::turn::Turn;

use crate::engine::Engine;
use crate::frame;
use crate::layout::{
    AliasKey, Candidate, Config, Flow, LOCAL_CID_LEN, Member, OUTLETS, Outlet, PADS, Pad,
    Publisher, RECORDS, Record, Slot, Track, fate,
};
use crate::memory::{Memory, Sizes};
use crate::verdict::Reason;

/// The stand-in. It lives as long as someone holds it; both its halves may be used at the same time.
#[derive(Debug)]
pub struct Twin {
    memory: Arc<Memory>,
    cids: Mutex<HashMap<u64, u64>>,
    aliases: Mutex<HashMap<AliasKey, u64>>,
    candidates: Mutex<HashMap<Flow, Candidate>>,
    counters: [AtomicU64; Reason::COUNT],
    now: AtomicU64,
    /// Looks at pads until one is replaced; zero: none is.
    looks: AtomicU64,
}

/// A packet that the stand-in sends to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The subscriber's slot.
    pub slot: u32,
    /// The whole frame, from Ethernet on.
    pub frame: Vec<u8>,
    /// Its UDP payload.
    pub datagram: Vec<u8>,
}

impl Twin {
    /// A stand-in with nothing in it.
    ///
    /// # Errors
    ///
    /// A size is zero, or there is not so much memory.
    pub fn new(sizes: Sizes) -> io::Result<Self> {
        Ok(Self {
            memory: Arc::new(Memory::heap(sizes)?),
            cids: Mutex::default(),
            aliases: Mutex::default(),
            candidates: Mutex::default(),
            counters: [const { AtomicU64::new(0) }; Reason::COUNT],
            now: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        })
    }

    /// Notes where a client's packets come from, as client ingress does.
    pub fn see(&self, flow: Flow, candidate: Candidate) {
        self.count(Reason::Candidate);
        locked(&self.candidates).insert(flow, candidate);
    }

    /// Userspace replaces a pad just before the programs look at it for the `look`th time, counted from one.
    pub fn replace_pad_at(&self, look: u64) {
        self.looks.store(look, Ordering::Relaxed);
    }

    /// What the programs do at `now` (CLOCK_MONOTONIC, ns) when a UDP datagram comes from `remote` to `local`:
    /// the copies they send. The datagram itself goes up in any case.
    pub fn ingress(
        &self,
        now: u64,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Vec<Copy> {
        let packet = frame::udp(remote, local, datagram);
        let outside = Outside {
            ether_type: frame::ether_type(local),
            len: packet.len() as u64,
            is_gso: false,
        };
        self.packet(now, &outside, &packet)
    }

    /// The same for any packet, of which these bytes can be reached, from its IP header on.
    pub fn packet(&self, now: u64, outside: &Outside, packet: &[u8]) -> Vec<Copy> {
        self.now.store(now, Ordering::Relaxed);
        let mut copies = Vec::new();
        if let Err(reason) = self.forward(outside, packet, &mut copies) {
            self.count(reason);
        }
        copies
    }

    fn forward(
        &self,
        outside: &Outside,
        packet: &[u8],
        copies: &mut Vec<Copy>,
    ) -> Result<(), Reason> {
        outside.check()?;
        let config = settings(self)?;
        let mut start = [0; START_WORDS];
        let most = size_of_val(&start) as u64;
        frame::load(reached(packet, 0, outside.len.min(most))?, &mut start);
        let datagram = Datagram::parse(&start, outside, config)?;
        let index = ingress::find(self, &datagram, config)?;
        let slot = Tables::slot(self, index).ok_or(Reason::NotActive)?;
        let mut plan = Plan::EMPTY;
        plan.slot = index;
        let result = match slot.enter() {
            Some(generation) => {
                plan.generation = generation;
                self.serve(slot, &datagram, packet, &mut plan, copies)
            }
            None => Err(Reason::NotActive),
        };
        if let Err(reason) = result {
            ingress::left(slot, reason);
        }
        slot.leave();
        result
    }

    fn serve(
        &self,
        slot: &Slot,
        datagram: &Datagram,
        packet: &[u8],
        plan: &mut Plan,
        copies: &mut Vec<Copy>,
    ) -> Result<(), Reason> {
        let index = plan.slot;
        let publisher = Tables::publisher(self, index).ok_or(Reason::NotActive)?;
        let arrival = ingress::receive(slot, publisher, datagram, plan)?;
        let mut scratch = Scratch {
            plain: [0; TEXT_WORDS],
            frame: Frame::ZERO,
            pad: Pad::empty(),
        };
        let sealed = reached(packet, arrival.at, arrival.len + arrival.tag)?;
        frame::load(sealed, &mut scratch.frame.text);
        let is_filled = self.fill(slot, (index, arrival.number), arrival.len, &scratch);
        ingress::open(self, (index, publisher), &arrival, &mut scratch, is_filled)?;
        let members = ingress::plan(self, &arrival, &mut scratch, plan)?;
        for member in 0..members {
            match ingress::offer(self, plan, member) {
                Ok(None) => {}
                Ok(Some(mut turn)) => {
                    turn.is_partial = arrival.is_partial;
                    copies.extend(self.egress(plan, &mut turn, &mut scratch));
                }
                Err(reason) => self.count(reason),
            }
        }
        ingress::done(self, slot, plan, &arrival, copies.len() as u64);
        Ok(())
    }

    fn egress(&self, plan: &Plan, turn: &mut Turn, scratch: &mut Scratch) -> Option<Copy> {
        let slot = Tables::slot(self, turn.slot)?;
        let result = match slot.enter() {
            Some(generation) => self.copy(slot, generation, plan, turn, scratch),
            None => Err(Reason::MemberGone),
        };
        if let Err(reason) = result {
            slot.refuse(reason);
            self.count(reason);
        }
        slot.leave();
        result.ok()
    }

    fn copy(
        &self,
        slot: &Slot,
        generation: u64,
        plan: &Plan,
        turn: &mut Turn,
        scratch: &mut Scratch,
    ) -> Result<Copy, Reason> {
        let ticket = egress::admit(self, slot, generation, plan, turn)?;
        let sealed = self.seal(slot, (plan, turn), &ticket, scratch);
        let fate = if sealed.is_ok() {
            fate::SENT
        } else {
            fate::BURNT
        };
        egress::record(self, (plan, turn), &ticket, fate);
        let sealed = sealed.map_err(|reason| {
            self.count(reason);
            Reason::Burnt
        })?;
        egress::sent(slot, &ticket);
        self.count(Reason::Sent);
        let bytes = frame::bytes(&scratch.frame.head, &scratch.frame.text);
        let at = HEAD_WORDS * 8 - sealed.header_len as usize;
        let datagram = bytes[at..at + ticket.size.len as usize].to_vec();
        let mut frame = frame::envelope(slot, &ticket, &sealed, turn.is_partial != 0);
        frame.extend_from_slice(&datagram);
        Ok(Copy {
            slot: turn.slot as u32,
            frame,
            datagram,
        })
    }
}

impl Twin {
    fn seal(
        &self,
        slot: &Slot,
        (plan, turn): (&Plan, &Turn),
        ticket: &Ticket,
        scratch: &mut Scratch,
    ) -> Result<Sealed, Reason> {
        let header = egress::address(slot, (plan, turn), ticket, &mut scratch.plain)?;
        let is_filled = self.fill(slot, (turn.slot, ticket.number), plan.len, scratch);
        let (index, size) = ((turn.slot, slot), (ticket, plan.len));
        egress::seal(self, index, &header, size, scratch, is_filled)
    }

    /// Fills the scratch's pad if there is none for a slot's number.
    fn fill(&self, slot: &Slot, place: (u64, u64), len: u64, scratch: &Scratch) -> bool {
        let (index, number) = place;
        if pad::ready(self, index, number).is_some() {
            return false;
        }
        slot.without_pad.add(1);
        pad::fill(&scratch.pad, &slot.key, &slot.iv, number, len);
        true
    }
}

impl Tables for Twin {
    fn config(&self) -> Option<&Config> {
        self.memory.config.all().first()
    }

    fn slot(&self, slot: u64) -> Option<&Slot> {
        self.memory.slots.all().get(slot as usize)
    }

    fn publisher(&self, slot: u64) -> Option<&Publisher> {
        self.memory.publishers.all().get(slot as usize)
    }

    fn record(&self, slot: u64, number: u64) -> Option<&Record> {
        let place = slot * RECORDS + number % RECORDS;
        self.memory.records.all().get(place as usize)
    }

    fn pad(&self, slot: u64, number: u64) -> Option<&Pad> {
        let place = slot * PADS + number % PADS;
        let pad = self.memory.pads.all().get(place as usize)?;
        let left = self.looks.load(Ordering::Relaxed);
        self.looks.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            pad.number.store(0);
        }
        Some(pad)
    }

    fn outlet(&self, slot: u64, outlet: u64) -> Option<&Outlet> {
        let place = slot * OUTLETS + outlet % OUTLETS;
        self.memory.outlets.all().get(place as usize)
    }

    fn track(&self, track: u64) -> Option<&Track> {
        self.memory.tracks.all().get(track as usize)
    }

    fn member(&self, track: u64, member: u64) -> Option<&Member> {
        let place = track * u64::from(self.memory.sizes().slots) + member;
        self.memory.members.all().get(place as usize)
    }

    fn cid(&self, cid: u64) -> Option<u64> {
        locked(&self.cids).get(&cid).copied()
    }

    fn alias(&self, slot: u64, alias: u64) -> Option<u64> {
        let key = AliasKey { slot, alias };
        locked(&self.aliases).get(&key).copied()
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn count(&self, reason: Reason) {
        self.counters[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn repeat<R: Rounds>(&self, times: u64, rounds: &mut R) {
        for index in 0..times {
            if !rounds.round(index) {
                break;
            }
        }
    }
}

impl Engine for Twin {
    fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    fn set_cid(&self, cid: [u8; LOCAL_CID_LEN], slot: u32) -> io::Result<()> {
        locked(&self.cids).insert(u64::from_le_bytes(cid), u64::from(slot));
        Ok(())
    }

    fn remove_cid(&self, cid: [u8; LOCAL_CID_LEN]) {
        locked(&self.cids).remove(&u64::from_le_bytes(cid));
    }

    fn set_alias(&self, key: AliasKey, track: u32) -> io::Result<()> {
        locked(&self.aliases).insert(key, u64::from(track));
        Ok(())
    }

    fn remove_alias(&self, key: AliasKey) {
        locked(&self.aliases).remove(&key);
    }

    fn candidate(&self, flow: &Flow) -> Option<Candidate> {
        locked(&self.candidates).get(flow).copied()
    }

    fn counters(&self) -> Vec<(Reason, u64)> {
        let counts = self
            .counters
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        Reason::ALL.into_iter().zip(counts).collect()
    }
}

/// Some bytes of a packet, as the kernel's function for that gives them.
fn reached(packet: &[u8], at: u64, len: u64) -> Result<&[u8], Reason> {
    let bytes = packet.get(at as usize..(at + len) as usize);
    bytes.ok_or(Reason::PullFailed)
}

/// A table is whole after each step, so a panic elsewhere does not spoil it.
fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
