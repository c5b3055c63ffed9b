//! The maps, and access to them: the kernel's [`Tables`]. No RFC.
//!
//! The numbers of entries here are the least; the loader says how many there are.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray};
use aya_ebpf::programs::TcContext;
use relay_ebpf_common::egress::Ticket;
use relay_ebpf_common::headers::Start;
use relay_ebpf_common::ingress::Arrival;
use relay_ebpf_common::layout::{
    AliasKey, Candidate, Config, Flow, Member, OUTLETS, Outlet, PADS, Pad, Publisher, RECORDS,
    Record, Slot, Track, step,
};
use relay_ebpf_common::output::Envelope;
use relay_ebpf_common::plan::Plan;
use relay_ebpf_common::scratch::Scratch;
use relay_ebpf_common::short_header::ShortHeader;
use relay_ebpf_common::tables::{Rounds, Tables};
use relay_ebpf_common::turn::Turn;
use relay_ebpf_common::verdict::Reason;

use crate::packet;

#[map(name = "qrelay_config")]
static CONFIG: Array<Config> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_slots")]
static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_publish")]
static PUBLISHERS: Array<Publisher> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_records")]
static RECORD: Array<Record> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_pads")]
static PAD: Array<Pad> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_outlets")]
static OUTLET: Array<Outlet> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_tracks")]
static TRACKS: Array<Track> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_members")]
static MEMBERS: Array<Member> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "qrelay_cids")]
static CIDS: HashMap<u64, u64> = HashMap::with_max_entries(1, 0);
#[map(name = "qrelay_aliases")]
static ALIASES: HashMap<AliasKey, u64> = HashMap::with_max_entries(1, 0);
#[map(name = "qrelay_seen")]
static CANDIDATES: LruHashMap<Flow, Candidate> = LruHashMap::with_max_entries(1, 0);
#[map(name = "qrelay_counters")]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::COUNT as u32, 0);
#[map(name = "qrelay_work")]
static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "qrelay_steps")]
static STEPS: ProgramArray = ProgramArray::with_max_entries(step::COUNT, 0);

/// Goes on in another program, which never comes back. If this returns, there is none.
#[inline(always)]
pub fn go_on(ctx: &TcContext, step: u32) {
    // SAFETY: nothing here waits to be dropped.
    unsafe { STEPS.tail_call(ctx, step) };
}

/// What one CPU works on. It survives from ingress to egress, which runs within it.
#[repr(C)]
pub struct Work {
    /// The packet's beginning.
    pub start: Start,
    /// Plaintext, ciphertext, pad.
    pub scratch: Scratch,
    /// The packet.
    pub arrival: Arrival,
    /// What goes on.
    pub plan: Plan,
    /// To whom now.
    pub turn: Turn,
    /// The copy's packet number.
    pub ticket: Ticket,
    /// The copy's header.
    pub header: ShortHeader,
    /// For which packet the scratch's pad is to be filled.
    pub fill: Fill,
    /// The copy's headers.
    pub envelope: Envelope,
}

/// For which packet a pad is to be filled.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Fill {
    /// Whose.
    pub slot: u64,
    /// The packet number.
    pub number: u64,
    /// Bytes.
    pub len: u64,
    /// One: the scratch's pad is the one to use.
    pub is_filled: u64,
    /// Where to go on then.
    pub next: u32,
    /// Zero.
    pub spare: u32,
}

/// This CPU's work.
///
/// The hooks run with bottom halves disabled, so no other packet comes in between on this CPU; egress runs
/// while ingress waits for it. Whoever calls lets go of what this returned before it calls anything that
/// does the same.
#[inline(always)]
pub fn work<'a>() -> Option<&'a mut Work> {
    let work = WORK.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own, and zeros are one of its values; see above for who else has it.
    Some(unsafe { &mut *work })
}

/// Where a flow's packets were seen to come from.
#[inline(always)]
pub fn candidate<'a>(flow: &Flow) -> Option<&'a mut Candidate> {
    let candidate = CANDIDATES.get_ptr_mut(flow)?;
    // SAFETY: entries are freed after all programs that run now; that two CPUs may count at once and one
    // count is lost does no harm.
    Some(unsafe { &mut *candidate })
}

/// Notes it for the first time.
#[inline(always)]
pub fn add_candidate(flow: &Flow, candidate: &Candidate) {
    let _ = CANDIDATES.insert(flow, candidate, 0);
}

/// The kernel's world.
pub struct Maps;

impl Maps {
    /// A slot, for as long as the program runs.
    #[inline(always)]
    pub fn slot_of<'a>(slot: u64) -> Option<&'a Slot> {
        SLOTS.get(slot as u32)
    }
}

impl Tables for Maps {
    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        CONFIG.get(0)
    }

    #[inline(always)]
    fn slot(&self, slot: u64) -> Option<&Slot> {
        SLOTS.get(slot as u32)
    }

    #[inline(always)]
    fn publisher(&self, slot: u64) -> Option<&Publisher> {
        PUBLISHERS.get(slot as u32)
    }

    #[inline(always)]
    fn record(&self, slot: u64, number: u64) -> Option<&Record> {
        RECORD.get((slot * RECORDS + number % RECORDS) as u32)
    }

    #[inline(always)]
    fn pad(&self, slot: u64, number: u64) -> Option<&Pad> {
        PAD.get((slot * PADS + number % PADS) as u32)
    }

    #[inline(always)]
    fn outlet(&self, slot: u64, outlet: u64) -> Option<&Outlet> {
        OUTLET.get((slot * OUTLETS + outlet % OUTLETS) as u32)
    }

    #[inline(always)]
    fn track(&self, track: u64) -> Option<&Track> {
        TRACKS.get(track as u32)
    }

    #[inline(always)]
    fn member(&self, track: u64, member: u64) -> Option<&Member> {
        let slots = self.config()?.slots.load();
        MEMBERS.get((track * slots + member) as u32)
    }

    #[inline(always)]
    fn cid(&self, cid: u64) -> Option<u64> {
        let slot = CIDS.get_ptr(cid)?;
        // SAFETY: entries are freed after all programs that run now.
        Some(unsafe { *slot })
    }

    #[inline(always)]
    fn alias(&self, slot: u64, alias: u64) -> Option<u64> {
        let track = ALIASES.get_ptr(AliasKey { slot, alias })?;
        // SAFETY: as above.
        Some(unsafe { *track })
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: it takes and touches nothing.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn count(&self, reason: Reason) {
        if let Some(count) = COUNTERS.get_ptr_mut(reason as u32) {
            // SAFETY: it is this CPU's own.
            unsafe { *count += 1 };
        }
    }

    #[inline(always)]
    fn repeat<R: Rounds>(&self, times: u64, rounds: &mut R) {
        packet::repeat(times, rounds);
    }
}
