//! A copy on its way out: packet number (RFC 9000 §12.3), header (§17.3.1), the subscriber's stream IDs, seal
//! (RFC 9001 §5), and its entry in the sent log.

use crate::aead;
use crate::chacha20::header_protection_mask;
use crate::checksum::Sum;
use crate::integer::{put_varint, put_vi64};
use crate::layout::{Member, RECORDS, Record, SentUnit, Slot, UNITS, fate, flag, role};
use crate::number::LIMIT;
use crate::pad;
use crate::plan::Plan;
use crate::room::{self, Size};
use crate::scratch::{Scratch, Text};
use crate::short_header::ShortHeader;
use crate::tables::Tables;
use crate::text;
use crate::turn::Turn;
use crate::verdict::Reason;

/// A packet number and what was taken for it: a record follows in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ticket {
    /// The packet number.
    pub number: u64,
    /// Its bytes and those of the packet.
    pub size: Size,
    /// Bytes of connection flow control.
    pub data: u64,
    /// The slot's flags, which may change.
    pub flags: u64,
}

/// A sealed packet, in the scratch's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of header, before the text.
    pub header_len: u64,
    /// The sum of all of it.
    pub sum: Sum,
}

/// Takes all that a copy needs, the packet number last. The slot was entered with `generation`.
///
/// # Errors
///
/// Why userspace has to send it.
#[inline(always)]
pub fn admit<T: Tables>(
    tables: &T,
    slot: &Slot,
    generation: u64,
    plan: &Plan,
    turn: &mut Turn,
) -> Result<Ticket, Reason> {
    if generation != turn.generation || slot.role.load() != role::SUBSCRIBER {
        return Err(Reason::MemberGone);
    }
    if slot.family.load() != plan.family {
        return Err(Reason::OtherFamily);
    }
    let flags = slot.flags.load();
    let size = Size::of(slot, plan)?;
    let data = room::take(tables, slot, plan, &size, turn)?;
    skip(tables, slot, turn.slot);
    let number = slot.next_number.add(1);
    // Written later; its place has long left the cache, and comes back while other work is done.
    if let Some(record) = tables.record(turn.slot, number) {
        record.number.store(0);
    }
    Ok(Ticket {
        number,
        size,
        data,
        flags,
    })
}

/// RFC 9000 §21.4: wastes a number now and then, so that who acknowledges what it has not seen is found out.
#[inline(always)]
fn skip<T: Tables>(tables: &T, slot: &Slot, index: u64) {
    let at = slot.skip_at.load();
    if at == 0 || slot.next_number.load() < at || !slot.skip_at.compare_exchange(at, 0) {
        return;
    }
    let number = slot.next_number.add(1);
    tables.count(Reason::Skipped);
    if let Some(record) = tables.record(index, number) {
        record.number.store(0);
        record.time.store(tables.now());
        record.meta.store(fate::SKIPPED << 16);
        record.upstream.store(0);
        record.number.swap(number.wrapping_add(1));
    }
}

/// Writes the subscriber's stream IDs and alias into the plaintext; the header that goes with it.
///
/// # Errors
///
/// Why the number is burnt.
#[inline(always)]
pub fn address(
    slot: &Slot,
    (plan, turn): (&Plan, &Turn),
    ticket: &Ticket,
    plain: &mut Text,
) -> Result<ShortHeader, Reason> {
    let number = ticket.number;
    // Others were faster than foreseen; or there is no place in the log, or no number.
    let unread = number.wrapping_sub(slot.consumed.load());
    if number >= ticket.size.bound || number >= LIMIT || unread >= RECORDS {
        return Err(Reason::NumbersSpent);
    }
    rename(plan, turn, plain);
    Ok(header(slot, ticket))
}

/// Seals the plaintext. `is_filled`: with the scratch's pad, because userspace has left none.
///
/// # Errors
///
/// Why the number is burnt.
#[inline(always)]
pub fn seal<T: Tables>(
    tables: &T,
    (index, slot): (u64, &Slot),
    header: &ShortHeader,
    (ticket, len): (&Ticket, u64),
    scratch: &mut Scratch,
    is_filled: bool,
) -> Result<Sealed, Reason> {
    let Scratch { plain, frame, pad } = scratch;
    if ticket.flags & flag::CLEAR != 0 {
        let sum = text::copy(plain, &mut frame.text, len);
        header.place(&mut frame.head);
        return Ok(Sealed::new(header, sum));
    }
    let sum = if is_filled {
        aead::seal(pad, header, plain, len, &mut frame.text)
    } else {
        let ready = pad::ready(tables, index, ticket.number).ok_or(Reason::PadReplaced)?;
        let sum = aead::seal(ready, header, plain, len, &mut frame.text);
        pad::is_for(ready, ticket.number)?;
        sum
    };
    let (low, high) = header.sample(&frame.text);
    let header = header.protect(header_protection_mask(&slot.hp, low, high));
    header.place(&mut frame.head);
    Ok(Sealed::new(&header, sum))
}

impl Sealed {
    #[inline(always)]
    fn new(header: &ShortHeader, text: Sum) -> Self {
        let header_len = header.size();
        let text = if header_len & 1 == 0 {
            text
        } else {
            text.behind_odd()
        };
        let [w0, w1, w2, w3] = header.words();
        let sum = text.add(w0).add(w1).add(w2).add(w3);
        Self { header_len, sum }
    }
}

/// RFC 9000 §17.3.1: Fixed Bit, Key Phase, no spin.
#[inline(always)]
fn header(slot: &Slot, ticket: &Ticket) -> ShortHeader {
    let number_len = ticket.size.number_len;
    let first = 0x40 | (slot.phase.load() & 1) << 2 | number_len.wrapping_sub(1) & 3;
    let [c0, c1, c2] = &slot.cid;
    ShortHeader::new(
        first as u8,
        [c0.load(), c1.load(), c2.load()],
        slot.cid_len.load(),
        ticket.number,
        number_len,
    )
}

/// Stream IDs and aliases as this subscriber knows them. All are written for each subscriber, since the
/// plaintext still has those of the last one.
#[inline(always)]
fn rename(plan: &Plan, turn: &Turn, plain: &mut Text) {
    for index in 0..UNITS {
        let (Some(planned), Some(&id)) = (plan.units.get(index), turn.ids.get(index)) else {
            break;
        };
        if index as u64 >= plan.count {
            break;
        }
        let unit = &planned.unit;
        if unit.id_len != 0 {
            put_varint(plain, unit.id_at, id, unit.id_len);
        }
        if planned.alias_len != 0 {
            let alias = match turn.alias {
                Member::SAME_ALIAS => planned.alias,
                alias => alias,
            };
            put_vi64(plain, planned.alias_at, alias, planned.alias_len);
        }
    }
}

/// Enters what became of a number into the sent log. Before this nothing leaves.
#[inline(always)]
pub fn record<T: Tables>(tables: &T, (plan, turn): (&Plan, &Turn), ticket: &Ticket, fate: u64) {
    let Some(record) = tables.record(turn.slot, ticket.number) else {
        return;
    };
    record.time.store(plan.time);
    let ect = u64::from(ticket.flags & flag::ECT0 != 0) << 31;
    let frames = plan.count << 24;
    record
        .meta
        .store(ticket.data << 32 | ect | frames | fate << 16 | ticket.size.len & 0xffff);
    record.upstream.store(plan.number);
    self::frames(record, plan, turn);
    record.number.swap(ticket.number.wrapping_add(1));
}

#[inline(always)]
fn frames(record: &Record, plan: &Plan, turn: &Turn) {
    for index in 0..UNITS {
        let (Some(planned), Some(&id), Some(sent)) = (
            plan.units.get(index),
            turn.ids.get(index),
            record.frames.get(index),
        ) else {
            break;
        };
        if index as u64 >= plan.count {
            break;
        }
        let unit = &planned.unit;
        let len = unit.end.wrapping_sub(unit.data);
        let (stream, offset) = if unit.id_len == 0 {
            (SentUnit::DATAGRAM, plan.slot | plan.track << 32)
        } else {
            (id, unit.offset)
        };
        sent.stream.store(stream);
        sent.offset.store(offset);
        sent.len.store(len | unit.fin << 63);
    }
}

/// Counts a copy that was sent.
#[inline(always)]
pub fn sent(slot: &Slot, ticket: &Ticket) {
    slot.packets.add(1);
    slot.bytes.add(ticket.size.len);
}
