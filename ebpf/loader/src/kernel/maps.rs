//! The maps that need a system call for each access: hashes, counters. No RFC.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError, PerCpuArray};

use crate::layout::{AliasKey, Candidate, Flow, LOCAL_CID_LEN, OUTLETS, PADS, RECORDS, map};
use crate::memory::Sizes;
use crate::verdict::Reason;

/// The maps.
pub(super) struct Maps {
    cids: Mutex<HashMap<MapData, u64, u64>>,
    aliases: Mutex<HashMap<MapData, [u64; 2], u64>>,
    candidates: HashMap<MapData, [u64; 6], [u64; 4]>,
    counters: PerCpuArray<MapData, u64>,
}

/// How many entries each map has.
pub(super) fn entries(sizes: Sizes) -> [(&'static str, u32); 11] {
    let Sizes { slots, tracks } = sizes;
    let each = |places: u64| slots.saturating_mul(places as u32);
    [
        (map::CONFIG, 1),
        (map::SLOTS, slots),
        (map::PUBLISHERS, slots),
        (map::RECORDS, each(RECORDS)),
        (map::PADS, each(PADS)),
        (map::OUTLETS, each(OUTLETS)),
        (map::TRACKS, tracks),
        (map::MEMBERS, slots.saturating_mul(tracks)),
        (map::CIDS, slots.saturating_mul(CIDS_EACH)),
        (map::ALIASES, tracks.saturating_mul(2)),
        (map::CANDIDATES, slots.saturating_mul(CANDIDATES_EACH)),
    ]
}

impl Maps {
    /// Takes them out of what was loaded.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, MapError> {
        let mut take = |name: &str| {
            let missing = || MapError::InvalidName {
                name: name.to_owned(),
            };
            ebpf.take_map(name).ok_or_else(missing)
        };
        Ok(Self {
            cids: Mutex::new(HashMap::try_from(take(map::CIDS)?)?),
            aliases: Mutex::new(HashMap::try_from(take(map::ALIASES)?)?),
            candidates: HashMap::try_from(take(map::CANDIDATES)?)?,
            counters: PerCpuArray::try_from(take(map::COUNTERS)?)?,
        })
    }

    pub(super) fn set_cid(&self, cid: [u8; LOCAL_CID_LEN], slot: u32) -> io::Result<()> {
        let cid = u64::from_le_bytes(cid);
        let set = locked(&self.cids).insert(cid, u64::from(slot), 0);
        set.map_err(io::Error::other)
    }

    pub(super) fn remove_cid(&self, cid: [u8; LOCAL_CID_LEN]) {
        let _ = locked(&self.cids).remove(&u64::from_le_bytes(cid));
    }

    pub(super) fn set_alias(&self, key: AliasKey, track: u32) -> io::Result<()> {
        let set = locked(&self.aliases).insert([key.slot, key.alias], u64::from(track), 0);
        set.map_err(io::Error::other)
    }

    pub(super) fn remove_alias(&self, key: AliasKey) {
        let _ = locked(&self.aliases).remove(&[key.slot, key.alias]);
    }

    pub(super) fn candidate(&self, flow: &Flow) -> Option<Candidate> {
        let found = self.candidates.get(&words(flow), 0).ok()?;
        Some(candidate(found))
    }

    /// All CPUs' together.
    pub(super) fn counters(&self) -> Vec<(Reason, u64)> {
        let count = |reason: Reason| {
            let values = self.counters.get(&(reason as u32), 0);
            (reason, values.map_or(0, |values| values.iter().sum()))
        };
        Reason::ALL.into_iter().map(count).collect()
    }
}

/// A flow, as it stands in memory.
fn words(flow: &Flow) -> [u64; 6] {
    let [local_low, local_high] = halves(&flow.local_ip);
    let [remote_low, remote_high] = halves(&flow.remote_ip);
    [
        local_low,
        local_high,
        remote_low,
        remote_high,
        flow.ports,
        flow.family,
    ]
}

fn halves(ip: &[u8; 16]) -> [u64; 2] {
    let native = u128::from_ne_bytes(*ip);
    let (low, high) = (native as u64, (native >> 64) as u64);
    if cfg!(target_endian = "little") {
        [low, high]
    } else {
        [high, low]
    }
}

/// A candidate, from how it stands in memory: 12 bytes, 4 bytes, two words.
fn candidate([first, second, packets, seen]: [u64; 4]) -> Candidate {
    let mut macs = [0; 12];
    let (start, rest) = macs.split_at_mut(8);
    start.copy_from_slice(&first.to_ne_bytes());
    rest.copy_from_slice(&(second as u32).to_ne_bytes());
    Candidate {
        macs,
        ifindex: (second >> 32) as u32,
        packets,
        seen,
    }
}

/// The value behind a lock; who panicked with it has left it whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connection IDs that one publisher may use at a time, and some room.
const CIDS_EACH: u32 = 16;
/// Clients are seen before they have a slot, and many never get one.
const CANDIDATES_EACH: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_and_a_candidate_are_laid_out_as_in_the_kernel() {
        let flow = Flow {
            local_ip: core::array::from_fn(|i| i as u8),
            remote_ip: core::array::from_fn(|i| 16 + i as u8),
            ports: 0x0102,
            family: 4,
        };
        let words = words(&flow);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert!((0..32).all(|i| bytes[i] == i as u8), "{bytes:?}");
        assert_eq!(words[4..], [0x0102, 4]);
        let seen = candidate([
            u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8]),
            u64::from(u32::from_ne_bytes([9, 10, 11, 12])) | 77 << 32,
            5,
            6,
        ]);
        assert_eq!(seen.macs, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!((seen.ifindex, seen.packets, seen.seen), (77, 5, 6));
    }
}
