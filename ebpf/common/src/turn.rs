//! A copy under way to one subscriber: what ingress asks of egress, and what egress found. No RFC.

use crate::layout::{Member, Slot, UNITS};

/// Whose turn it is. Ingress writes it before it clones, egress takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Turn {
    /// The subscriber's slot.
    pub slot: u64,
    /// The generation that it must have.
    pub generation: u64,
    /// As [`Member::alias`].
    pub alias: u64,
    /// As [`Member::reserve`].
    pub reserve: u64,
    /// The interface.
    pub ifindex: u64,
    /// One: ingress waits for egress to take it.
    pub is_open: u64,
    /// One: a copy was sent.
    pub is_sent: u64,
    /// One: checksums are finished by a device.
    pub is_partial: u64,
    /// The subscriber's stream IDs, of the units that are streams.
    pub ids: [u64; UNITS],
    /// Where [`crate::layout::Outlet::high`] stood before; [`Turn::NOT_RAISED`].
    pub highs: [u64; UNITS],
}

impl Turn {
    /// In `highs`: nothing was changed.
    pub const NOT_RAISED: u64 = u64::MAX;

    /// Nobody's.
    pub const NONE: Self = Self {
        slot: 0,
        generation: 0,
        alias: 0,
        reserve: 0,
        ifindex: 0,
        is_open: 0,
        is_sent: 0,
        is_partial: 0,
        ids: [0; UNITS],
        highs: [Self::NOT_RAISED; UNITS],
    };

    /// A member's.
    #[inline(always)]
    pub fn of(member: &Member, index: u64, slot: &Slot) -> Self {
        Self {
            slot: index,
            generation: member.generation.load(),
            alias: member.alias.load(),
            reserve: member.reserve.load(),
            ifindex: slot.ifindex.load(),
            is_open: 1,
            ..Self::NONE
        }
    }
}
