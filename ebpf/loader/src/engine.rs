//! What the programs' userspace half needs system calls for, as one interface to the kernel and to its
//! stand-in. No RFC.

use core::fmt;
use std::io;
use std::sync::Arc;

use crate::layout::{AliasKey, Candidate, Flow, LOCAL_CID_LEN};
use crate::memory::Memory;
use crate::verdict::Reason;

/// Something that forwards packets: the kernel, or a stand-in.
pub trait Engine: fmt::Debug + Send {
    /// What is shared with it.
    fn memory(&self) -> &Arc<Memory>;

    /// From now on packets to this connection ID of ours belong to the publisher in `slot`.
    ///
    /// # Errors
    ///
    /// The table is full.
    fn set_cid(&self, cid: [u8; LOCAL_CID_LEN], slot: u32) -> io::Result<()>;

    /// They do not any more. No matter if they never did.
    fn remove_cid(&self, cid: [u8; LOCAL_CID_LEN]);

    /// From now on this alias of a publisher means `track`.
    ///
    /// # Errors
    ///
    /// The table is full.
    fn set_alias(&self, key: AliasKey, track: u32) -> io::Result<()>;

    /// It does not any more. No matter if it never did.
    fn remove_alias(&self, key: AliasKey);

    /// Where packets of this flow were seen to come from. Not proved.
    fn candidate(&self, flow: &Flow) -> Option<Candidate>;

    /// How often the programs took which decision since they were loaded.
    fn counters(&self) -> Vec<(Reason, u64)>;
}

impl<E: Engine + Sync> Engine for Arc<E> {
    fn memory(&self) -> &Arc<Memory> {
        (**self).memory()
    }

    fn set_cid(&self, cid: [u8; LOCAL_CID_LEN], slot: u32) -> io::Result<()> {
        (**self).set_cid(cid, slot)
    }

    fn remove_cid(&self, cid: [u8; LOCAL_CID_LEN]) {
        (**self).remove_cid(cid);
    }

    fn set_alias(&self, key: AliasKey, track: u32) -> io::Result<()> {
        (**self).set_alias(key, track)
    }

    fn remove_alias(&self, key: AliasKey) {
        (**self).remove_alias(key);
    }

    fn candidate(&self, flow: &Flow) -> Option<Candidate> {
        (**self).candidate(flow)
    }

    fn counters(&self) -> Vec<(Reason, u64)> {
        (**self).counters()
    }
}
