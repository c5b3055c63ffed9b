//! The programs' stand-in: the same code on memory of our own, without a kernel and without rights. No RFC.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::Engine;
use crate::layout::{AliasKey, Candidate, Flow, LOCAL_CID_LEN};
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
        })
    }

    /// Notes where a client's packets come from, as client ingress does.
    pub fn see(&self, flow: Flow, candidate: Candidate) {
        locked(&self.candidates).insert(flow, candidate);
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

/// A table is whole after each step, so a panic elsewhere does not spoil it.
fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Twin;
    use crate::engine::Engine;
    use crate::layout::{Candidate, Flow};
    use crate::memory::Sizes;

    #[test]
    fn a_candidate_is_found_by_its_flow() {
        let sizes = Sizes {
            slots: 1,
            tracks: 1,
        };
        let twin = Twin::new(sizes).expect("memory");
        let flow = Flow {
            local_ip: [1; 16],
            remote_ip: [2; 16],
            ports: 3,
            family: 6,
        };
        let candidate = Candidate {
            macs: [4; 12],
            ifindex: 5,
            packets: 6,
            seen: 7,
        };
        twin.see(flow, candidate);
        assert_eq!(twin.candidate(&flow), Some(candidate));
        let other = Flow { family: 4, ..flow };
        assert_eq!(twin.candidate(&other), None);
    }
}
