//! A publisher's packet on its way in: is it one, is it authentic (RFC 9001 §5), is it new (RFC 9000 §12.3), and
//! who may get a copy.
//!
//! Whatever the answer, the packet itself goes up to userspace as it is.

use crate::aead;
use crate::carried;
use crate::chacha20::header_protection_mask;
use crate::headers::Datagram;
use crate::layout::{
    Config, LOCAL_CID_LEN, MAX_MEMBERS, Member, PAD_BYTES, Publisher, REPLAY, Slot, UNITS, flag,
    outlet_index, role, source_tag, state,
};
use crate::number;
use crate::pad;
use crate::plan::Plan;
use crate::room;
use crate::scratch::{Scratch, TAG};
use crate::short_header::{ShortHeader, joined};
use crate::tables::Tables;
use crate::text;
use crate::turn::Turn;
use crate::verdict::Reason;

/// A packet that may be a publisher's: it was not opened yet.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Arrival {
    /// Its header, without protection.
    pub header: ShortHeader,
    /// Its packet number.
    pub number: u64,
    /// Where the ciphertext begins, from the IP header on.
    pub at: u64,
    /// Bytes of ciphertext.
    pub len: u64,
    /// Bytes of tag behind it: none without protection.
    pub tag: u64,
    /// Bytes of the datagram.
    pub datagram: u64,
    /// One: its checksum was to be finished by a device.
    pub is_partial: u64,
}

/// The slot of the publisher that a datagram claims to come from.
///
/// # Errors
///
/// Why it is none.
#[inline(always)]
pub fn find<T: Tables>(tables: &T, datagram: &Datagram, config: &Config) -> Result<u64, Reason> {
    let [w0, w1, ..] = datagram.quic;
    // RFC 9000 §17.3.1: Header Form 0, Fixed Bit 1.
    if w0 & 0xc0 != 0x40 {
        return Err(Reason::NotShortHeader);
    }
    if datagram.len < SHORTEST {
        return Err(Reason::TooShort);
    }
    let slot = tables.cid(joined(w0, w1, 8)).ok_or(Reason::UnknownCid)?;
    if config.alive_until.load() < tables.now() {
        return Err(Reason::LeaseExpired);
    }
    Ok(slot)
}

/// Takes the header protection off and says who it is, in `plan`. The slot was entered with `generation`.
///
/// # Errors
///
/// Why it goes up only.
#[inline(always)]
pub fn receive(
    slot: &Slot,
    publisher: &Publisher,
    datagram: &Datagram,
    plan: &mut Plan,
) -> Result<Arrival, Reason> {
    if slot.role.load() != role::PUBLISHER {
        return Err(Reason::NotActive);
    }
    if !datagram.is_of(slot) {
        return Err(Reason::OtherPath);
    }
    let flags = slot.flags.load();
    plan.raw_track = raw_track(slot, flags)?;
    let (header, truncated) = unprotect(slot, datagram, flags);
    if u64::from(header.first() >> 2) & 1 != slot.phase.load() {
        return Err(Reason::KeyPhase);
    }
    let number = number::decode(publisher.largest.load(), truncated, header.number_len());
    if place(publisher, number)?.load() > number {
        return Err(Reason::Duplicate);
    }
    let tag = if flags & flag::CLEAR == 0 { TAG } else { 0 } as u64;
    let len = datagram.len.wrapping_sub(header.size()).wrapping_sub(tag);
    // More wraps around and is too long.
    if len == 0 {
        return Err(Reason::TooShort);
    }
    if len > PAD_BYTES as u64 {
        return Err(Reason::TooLong);
    }
    plan.family = datagram.family;
    plan.number = number;
    Ok(Arrival {
        header,
        number,
        at: datagram.at.wrapping_add(header.size()),
        len,
        tag,
        datagram: datagram.len,
        is_partial: u64::from(datagram.is_partial),
    })
}

/// As [`Plan::raw_track`].
#[inline(always)]
fn raw_track(slot: &Slot, flags: u64) -> Result<u64, Reason> {
    if flags & flag::RAW == 0 {
        return Ok(0);
    }
    match slot.raw_track.load() {
        0 => Err(Reason::NoMember),
        track => Ok(track),
    }
}

/// RFC 9001 §5.4.1.
#[inline(always)]
fn unprotect(slot: &Slot, datagram: &Datagram, flags: u64) -> (ShortHeader, u32) {
    let [_, w1, w2, w3] = datagram.quic;
    let mask = if flags & flag::CLEAR == 0 {
        // RFC 9001 §5.4.2: four bytes after the packet number's first.
        header_protection_mask(&slot.hp, joined(w1, w2, SAMPLE), joined(w2, w3, SAMPLE))
    } else {
        0
    };
    ShortHeader::unprotect(datagram.quic, LOCAL_CID_LEN as u64, mask)
}

/// Opens the packet whose ciphertext and tag stand in the scratch's frame, and enters its number.
/// `is_filled`: with the scratch's pad, because userspace has left none.
///
/// # Errors
///
/// Why it goes up only.
#[inline(always)]
pub fn open<T: Tables>(
    tables: &T,
    (index, publisher): (u64, &Publisher),
    arrival: &Arrival,
    scratch: &mut Scratch,
    is_filled: bool,
) -> Result<(), Reason> {
    let Scratch { plain, frame, pad } = scratch;
    let (header, number, len) = (&arrival.header, arrival.number, arrival.len);
    let is_authentic = if arrival.tag == 0 {
        text::copy(&frame.text, plain, len);
        true
    } else if is_filled {
        aead::open(pad, header, &frame.text, len, plain)
    } else {
        let ready = pad::ready(tables, index, number).ok_or(Reason::PadReplaced)?;
        let is_authentic = aead::open(ready, header, &frame.text, len, plain);
        pad::is_for(ready, number)?;
        is_authentic
    };
    if !is_authentic {
        return Err(Reason::Forged);
    }
    // RFC 9000 §17.3.1: reserved bits; userspace closes the connection.
    if header.first() & 0x18 != 0 {
        return Err(Reason::Malformed);
    }
    enter(publisher, number)
}

/// What goes on of the packet that was opened, cut to size, and how many places of its track's members are
/// to be looked at.
///
/// # Errors
///
/// Why nothing does.
#[inline(always)]
pub fn plan<T: Tables>(
    tables: &T,
    arrival: &Arrival,
    scratch: &mut Scratch,
    plan: &mut Plan,
) -> Result<u64, Reason> {
    plan.find(tables, &scratch.plain, arrival.len)?;
    let members = members(tables, plan)?;
    plan.offered = 0;
    plan.log_room = tables.config().map_or(0, |config| config.log_room.load());
    plan.cut(&mut scratch.plain);
    Ok(members)
}

/// The replay window: the number is new, and is not any more.
#[inline(always)]
fn enter(publisher: &Publisher, number: u64) -> Result<(), Reason> {
    let (place, next) = (place(publisher, number)?, number.wrapping_add(1));
    let seen = place.load();
    if seen >= next || !place.compare_exchange(seen, next) {
        return Err(Reason::Duplicate);
    }
    for _ in 0..TRIES {
        let largest = publisher.largest.load();
        if largest >= next || publisher.largest.compare_exchange(largest, next) {
            break;
        }
    }
    Ok(())
}

#[inline(always)]
fn place(publisher: &Publisher, number: u64) -> Result<&crate::word::Word, Reason> {
    publisher
        .seen
        .get((number & (REPLAY - 1)) as usize)
        .ok_or(Reason::Duplicate)
}

#[inline(always)]
fn members<T: Tables>(tables: &T, plan: &mut Plan) -> Result<u64, Reason> {
    let track = tables.track(plan.track).ok_or(Reason::NoMember)?;
    plan.version = track.version.load();
    match track.members.load().min(MAX_MEMBERS) {
        0 => Err(Reason::NoMember),
        members => Ok(members),
    }
}

/// Whether a member gets a copy, as far as this can be said without taking anything; `None`: nobody is there.
///
/// # Errors
///
/// Why userspace has to serve it. This was noted.
#[inline(always)]
pub fn offer<T: Tables>(tables: &T, plan: &mut Plan, index: u64) -> Result<Option<Turn>, Reason> {
    if index.is_multiple_of(COPIES_A_LOOK) {
        plan.time = tables.now();
    }
    let Some(member) = tables.member(plan.track, index) else {
        return Ok(None);
    };
    let Some(slot_index) = member.slot.load().checked_sub(1) else {
        return Ok(None);
    };
    plan.offered = plan.offered.wrapping_add(1);
    let Some(slot) = tables.slot(slot_index) else {
        return Ok(None);
    };
    let turn = Turn::of(member, slot_index, slot);
    if slot.state.load() != turn.generation << 8 | state::ACTIVE {
        return Err(Reason::MemberGone);
    }
    match wanted(tables, plan, member, slot, &turn) {
        Ok(()) => Ok(Some(turn)),
        Err(reason) => {
            slot.refuse(reason);
            Err(reason)
        }
    }
}

#[inline(always)]
fn wanted<T: Tables>(
    tables: &T,
    plan: &Plan,
    member: &Member,
    slot: &Slot,
    turn: &Turn,
) -> Result<(), Reason> {
    if slot.family.load() != plan.family {
        return Err(Reason::OtherFamily);
    }
    let (first, last) = (member.first_group.load(), member.last_group.load());
    for index in 0..UNITS {
        let Some(planned) = plan.units.get(index) else {
            break;
        };
        if index as u64 >= plan.count {
            break;
        }
        let is_group = first <= planned.group && planned.group <= last;
        if planned.unit.id_len == 0 {
            if !is_group {
                return Err(Reason::OtherGroup);
            }
            continue;
        }
        let stream = planned.unit.id >> 2;
        let outlet = tables
            .outlet(turn.slot, outlet_index(plan.slot as u32, stream))
            .ok_or(Reason::NoOutlet)?;
        let tag = source_tag(plan.slot as u32, plan.generation, stream);
        if outlet.source.load() == tag {
            continue;
        }
        if planned.begins == 0 {
            return Err(Reason::NoOutlet);
        }
        if !is_group {
            return Err(Reason::OtherGroup);
        }
    }
    room::is_likely(slot, plan, turn)
}

/// Notes that userspace has to do something with a publisher's packet, unless nothing in it is for a track.
#[inline(always)]
pub fn left(slot: &Slot, reason: Reason) {
    if reason as u64 != Reason::NoUnit as u64 {
        slot.refuse(reason);
    }
}

/// Counts a packet whose members were all looked at.
#[inline(always)]
pub fn done<T: Tables>(tables: &T, slot: &Slot, plan: &Plan, arrival: &Arrival, copies: u64) {
    if copies == 0 {
        return;
    }
    tables.count(Reason::Forwarded);
    slot.packets.add(1);
    slot.bytes.add(arrival.datagram);
    if let Some(track) = tables.track(plan.track) {
        track.copies.add(copies);
    }
    if copies == plan.offered && plan.is_whole() && plan.version != carried::PASSED {
        let publisher = tables.publisher(plan.slot);
        if let Some(place) = publisher.and_then(|it| carried::place(it, plan.number)) {
            place.store(carried::word(plan.number, plan.track, plan.version));
        }
    }
}

/// RFC 9001 §5.4.2: first byte, our connection ID, four bytes for the packet number, sample.
const SHORTEST: u64 = 1 + LOCAL_CID_LEN as u64 + 4 + 16;
/// Where in its word the sample begins, in bits.
const SAMPLE: u64 = (1 + LOCAL_CID_LEN as u64 + 4) % 8 * 8;
/// How often something is tried that another CPU may spoil.
const TRIES: usize = 8;
/// The clock is looked at once for so many members: a look costs about a twentieth of a copy, and what is
/// measured with it are round trips.
const COPIES_A_LOOK: u64 = 16;
