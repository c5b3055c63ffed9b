//! Whether a subscriber may be sent one more packet: size, sent log, congestion window (RFC 9002 §7),
//! flow control and streams (RFC 9000 §4). What is taken is given back if the next thing fails.

use crate::integer::{fits_varint, fits_vi64};
use crate::layout::{Outlet, RECORD_MARGIN, RECORDS, Slot, UNITS, flag, outlet_index, source_tag};
use crate::number;
use crate::plan::{Plan, Planned};
use crate::scratch::TAG;
use crate::tables::Tables;
use crate::turn::Turn;
use crate::verdict::Reason;

/// How large a copy becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Size {
    /// Bytes of its packet number.
    pub number_len: u64,
    /// Numbers must be smaller than this to be written with so many.
    pub bound: u64,
    /// Bytes of UDP payload.
    pub len: u64,
}

impl Size {
    /// Of a copy of the plan's payload to this subscriber.
    ///
    /// # Errors
    ///
    /// There is none.
    #[inline(always)]
    pub fn of(slot: &Slot, plan: &Plan) -> Result<Self, Reason> {
        // Others may take numbers until we do.
        let bound = slot.next_number.load().wrapping_add(AHEAD);
        let needed = number::encoded_len(bound, slot.largest_acked.load());
        let needed = needed.ok_or(Reason::NumbersSpent)?;
        // RFC 9001 §5.4.2: packet number and payload have four bytes together, for the sample.
        let number_len = needed.max(4_u64.saturating_sub(plan.len));
        let tag = if slot.flags.load() & flag::CLEAR == 0 {
            TAG
        } else {
            0
        } as u64;
        let len = slot
            .cid_len
            .load()
            .wrapping_add(1)
            .wrapping_add(number_len)
            .wrapping_add(plan.len)
            .wrapping_add(tag);
        if len > slot.max_udp_payload.load() {
            return Err(Reason::Mtu);
        }
        Ok(Self {
            number_len,
            bound,
            len,
        })
    }
}

/// How many records may be unread when one more number is taken, on a machine that may have so many CPUs: each
/// of them may have looked at the same time and take one, beside one that is wasted on purpose. `None`: what is left
/// of the log would not be worth it.
pub const fn log_room(cpus: u64) -> Option<u64> {
    let margin = cpus.saturating_add(1);
    let margin = if margin > RECORD_MARGIN {
        margin
    } else {
        RECORD_MARGIN
    };
    let room = RECORDS.saturating_sub(margin);
    if room < RECORDS / 4 { None } else { Some(room) }
}

/// The sent log has room.
#[inline(always)]
fn log(slot: &Slot, plan: &Plan) -> Result<(), Reason> {
    let unread = slot.next_number.load().wrapping_sub(slot.consumed.load());
    if unread >= plan.log_room {
        return Err(Reason::LogFull);
    }
    Ok(())
}

/// RFC 9002 §7: the window has room for `len` bytes and what is reserved for others.
#[inline(always)]
fn window(slot: &Slot, spent: u64, len: u64, reserve: u64) -> Result<(), Reason> {
    let (after, limit) = (spent.wrapping_add(len), slot.limit.load());
    if after > limit {
        return Err(Reason::NoBudget);
    }
    if after.saturating_add(reserve) > limit {
        return Err(Reason::Reserved);
    }
    Ok(())
}

/// Userspace's side.
impl Slot {
    /// From now on the kernel may spend so many bytes, and so much of the connection's flow control, altogether.
    /// Returns what it has spent, rather too much than too little.
    ///
    /// The kernel adds to what is spent and then looks at the limit; here it is the other way round. Both steps are
    /// full barriers, so nothing is spent unseen.
    pub fn limit_to(&self, bytes: u64, data: u64) -> (u64, u64) {
        self.limit.swap(bytes);
        self.data_limit.swap(data);
        (self.spent.load(), self.data_spent.load())
    }
}

/// A look before a copy is made, which takes nothing.
///
/// # Errors
///
/// Why the copy would be in vain.
#[inline(always)]
pub fn is_likely(slot: &Slot, plan: &Plan, turn: &Turn) -> Result<(), Reason> {
    log(slot, plan)?;
    let size = Size::of(slot, plan)?;
    window(slot, slot.spent.load(), size.len, turn.reserve)
}

/// Takes what a copy needs. Returns how many bytes of connection flow control those are.
///
/// # Errors
///
/// Why userspace has to send it. Nothing was taken then, but a stream may have been opened, whose outlet
/// says so.
#[inline(always)]
pub fn take<T: Tables>(
    tables: &T,
    slot: &Slot,
    plan: &Plan,
    size: &Size,
    turn: &mut Turn,
) -> Result<u64, Reason> {
    log(slot, plan)?;
    let spent = slot.spent.add(size.len);
    if let Err(reason) = window(slot, spent, size.len, turn.reserve) {
        slot.spent.sub(size.len);
        return Err(reason);
    }
    match credit(tables, slot, plan, turn) {
        Ok(data) => Ok(data),
        Err(reason) => {
            lower(tables, plan, turn);
            slot.spent.sub(size.len);
            Err(reason)
        }
    }
}

/// RFC 9000 §4.1: for all streams and the connection.
#[inline(always)]
fn credit<T: Tables>(tables: &T, slot: &Slot, plan: &Plan, turn: &mut Turn) -> Result<u64, Reason> {
    let mut data = 0_u64;
    for index in 0..UNITS {
        let Some(planned) = plan.units.get(index) else {
            break;
        };
        if index as u64 >= plan.count {
            break;
        }
        data = data.wrapping_add(unit(tables, slot, plan, (index, planned), turn)?);
    }
    if data == 0 {
        return Ok(0);
    }
    let spent = slot.data_spent.add(data);
    if spent.wrapping_add(data) > slot.data_limit.load() {
        slot.data_spent.sub(data);
        return Err(Reason::NoCredit);
    }
    Ok(data)
}

/// One frame's share.
#[inline(always)]
fn unit<T: Tables>(
    tables: &T,
    slot: &Slot,
    plan: &Plan,
    (index, planned): (usize, &Planned),
    turn: &mut Turn,
) -> Result<u64, Reason> {
    if planned.alias_len != 0
        && turn.alias != crate::layout::Member::SAME_ALIAS
        && !fits_vi64(turn.alias, planned.alias_len)
    {
        return Err(Reason::DoesNotFit);
    }
    if planned.unit.id_len == 0 {
        return Ok(0);
    }
    let (outlet, tag) = outlet(tables, plan, turn.slot, planned)?;
    let id = stream_id(slot, outlet, planned, tag)?;
    if let Some(place) = turn.ids.get_mut(index) {
        *place = id;
    }
    if !fits_varint(id, planned.unit.id_len) {
        return Err(Reason::DoesNotFit);
    }
    let len = planned.unit.end.wrapping_sub(planned.unit.data);
    let end = planned.unit.offset.wrapping_add(len);
    if end > outlet.limit.load() {
        return Err(Reason::NoStreamCredit);
    }
    let high = outlet.high.load();
    if end <= high {
        return Ok(0);
    }
    if !outlet.high.compare_exchange(high, end) {
        return Err(Reason::NoStreamCredit);
    }
    if let Some(place) = turn.highs.get_mut(index) {
        *place = high;
    }
    Ok(end.wrapping_sub(high))
}

/// Gives back what [`unit`] took, the last first.
#[inline(always)]
fn lower<T: Tables>(tables: &T, plan: &Plan, turn: &Turn) {
    for index in (0..UNITS).rev() {
        let (Some(planned), Some(&high)) = (plan.units.get(index), turn.highs.get(index)) else {
            break;
        };
        if high == Turn::NOT_RAISED {
            continue;
        }
        if let Ok((outlet, _)) = outlet(tables, plan, turn.slot, planned) {
            let len = planned.unit.end.wrapping_sub(planned.unit.data);
            outlet
                .high
                .compare_exchange(planned.unit.offset.wrapping_add(len), high);
        }
    }
}

/// Where the stream of a frame stands, and the tag it has there.
#[inline(always)]
fn outlet<'a, T: Tables>(
    tables: &'a T,
    plan: &Plan,
    slot: u64,
    planned: &Planned,
) -> Result<(&'a Outlet, u64), Reason> {
    let (publisher, stream) = (plan.slot as u32, planned.unit.id >> 2);
    let outlet = tables.outlet(slot, outlet_index(publisher, stream));
    let tag = source_tag(publisher, plan.generation, stream);
    Ok((outlet.ok_or(Reason::NoOutlet)?, tag))
}

/// RFC 9000 §2.1: the stream's ID here; opens it if it begins.
#[inline(always)]
fn stream_id(slot: &Slot, outlet: &Outlet, planned: &Planned, tag: u64) -> Result<u64, Reason> {
    let source = outlet.source.load();
    if source == tag {
        return outlet.id.load().checked_sub(1).ok_or(Reason::NoOutlet);
    }
    if planned.begins == 0 {
        return Err(Reason::NoOutlet);
    }
    if source != 0 || !outlet.source.compare_exchange(0, tag) {
        return Err(Reason::OutletTaken);
    }
    let Some(count) = open(slot) else {
        outlet.source.swap(0);
        return Err(Reason::StreamsLimit);
    };
    // RFC 9000 §2.1: unidirectional, and of whom.
    let kind = if slot.flags.load() & flag::CLIENT == 0 {
        3
    } else {
        2
    };
    let id = count << 2 | kind;
    outlet.limit.store(slot.stream_limit.load());
    outlet.high.store(0);
    outlet.id.swap(id.wrapping_add(1));
    Ok(id)
}

/// RFC 9000 §4.6: takes the next stream.
#[inline(always)]
fn open(slot: &Slot) -> Option<u64> {
    for _ in 0..TRIES {
        let opened = slot.streams_opened.load();
        if opened >= slot.streams_limit.load() {
            return None;
        }
        if slot
            .streams_opened
            .compare_exchange(opened, opened.wrapping_add(1))
        {
            return Some(opened);
        }
    }
    None
}

/// So many numbers may be taken by others while we are at it.
const AHEAD: u64 = 8;
/// How often something is tried that another CPU may spoil.
const TRIES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::explore;
    use crate::tables::Desk;
    use crate::word::Word;

    #[test]
    fn the_log_keeps_a_place_for_every_cpu_or_there_is_no_log() {
        let least = RECORDS - RECORD_MARGIN;
        for cpus in [1, 2, 63] {
            assert_eq!(log_room(cpus), Some(least));
        }
        for cpus in [64, 65, 128, 256, 383] {
            assert_eq!(log_room(cpus), Some(RECORDS - cpus - 1));
        }
        for cpus in [384, 512, 8192, u64::MAX] {
            assert_eq!(log_room(cpus), None);
        }
    }
    #[test]
    fn whatever_the_order_nothing_is_spent_unseen() {
        for left in [0, 100, 150] {
            take_beside(left);
        }
    }

    /// Two copies of a hundred bytes each, while userspace takes back all of a window but so much: nobody spends what
    /// the other has counted on.
    fn take_beside(left: u64) {
        let desk = Desk::new();
        let slot = &desk.slot;
        slot.limit.store(250);
        let (admitted, counted) = (Word::new(0), Word::new(0));
        let mut plan = Plan::EMPTY;
        plan.log_room = 100;
        let size = Size {
            number_len: 1,
            bound: 9,
            len: 100,
        };
        let program = || {
            let mut turn = Turn::NONE;
            if take(&desk, slot, &plan, &size, &mut turn).is_ok() {
                admitted.add(size.len);
            }
        };
        let userspace = || {
            let (spent, _) = slot.limit_to(left, 0);
            counted.store(spent.max(left));
        };
        let Slot {
            spent,
            limit,
            data_limit,
            ..
        } = slot;
        let words = [spent, limit, data_limit, &admitted, &counted];
        explore(&words, &[&program, &program, &userspace], &|| {
            assert!(admitted.load() <= counted.load());
            assert_eq!(admitted.load(), spent.load());
        });
    }
}
