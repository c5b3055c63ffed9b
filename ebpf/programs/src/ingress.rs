//! Server ingress: opens a publisher's packet and sends a copy to each member of its track (RFC 9001 §5).
//!
//! In three programs, each of which goes on in the next. The publisher's slot is entered in the first and left
//! where it ends.

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::programs::TcContext;
use relay_ebpf_common::headers::Datagram;
use relay_ebpf_common::ingress;
use relay_ebpf_common::layout::{MARK, MARK_SLOT, Slot, step};
use relay_ebpf_common::schema::settings;
use relay_ebpf_common::tables::{Rounds, Tables};
use relay_ebpf_common::verdict::Reason;

use crate::fill;
use crate::maps::{Fill, Maps, Work, go_on, work};
use crate::packet::Packet;

/// The hook: whose packet is it? It goes up, whatever happens.
#[inline(always)]
pub fn arrive(ctx: &TcContext) -> i32 {
    let packet = Packet::new(ctx);
    match find(&packet) {
        Ok((slot, datagram, work)) => {
            let result = receive(&packet, slot, &datagram, work);
            if let Ok(fill) = result {
                fill::first(ctx, fill);
            }
            end(slot, result.map(|_| ()));
        }
        Err(reason) => Maps.count(reason),
    }
    TC_ACT_UNSPEC
}

/// Is it authentic, and new?
#[inline(always)]
pub fn open(ctx: &TcContext) -> i32 {
    let Some((slot, work)) = entered() else {
        return TC_ACT_UNSPEC;
    };
    let result = authenticate(work);
    if result.is_ok() {
        go_on(ctx, step::FAN_OUT);
    }
    end(slot, result);
    TC_ACT_UNSPEC
}

/// What goes on, and to whom?
#[inline(always)]
pub fn fan_out(ctx: &TcContext) -> i32 {
    let Some((slot, work)) = entered() else {
        return TC_ACT_UNSPEC;
    };
    end(slot, serve(&Packet::new(ctx), slot, work));
    TC_ACT_UNSPEC
}

/// The slot that an earlier program has entered.
#[inline(always)]
fn entered<'a>() -> Option<(&'a Slot, &'a mut Work)> {
    let work = work()?;
    let slot = Maps::slot_of(work.plan.slot)?;
    Some((slot, work))
}

/// Leaves the slot when there is no program to go on in.
#[inline(always)]
pub fn give_up(slot: &Slot) -> i32 {
    slot.leave();
    TC_ACT_UNSPEC
}

#[inline(always)]
fn end(slot: &Slot, result: Result<(), Reason>) {
    if let Err(reason) = result {
        ingress::left(slot, reason);
        Maps.count(reason);
    }
    slot.leave();
}

#[inline(always)]
fn find<'a>(packet: &Packet) -> Result<(&'a Slot, Datagram, &'a mut Work), Reason> {
    let outside = packet.outside();
    outside.check()?;
    let config = settings(&Maps)?;
    let work = work().ok_or(Reason::LeaseExpired)?;
    packet.load_start(&mut work.start)?;
    let datagram = Datagram::parse(&work.start, &outside, config)?;
    work.plan.slot = ingress::find(&Maps, &datagram, config)?;
    let slot = Maps::slot_of(work.plan.slot).ok_or(Reason::NotActive)?;
    Ok((slot, datagram, work))
}

/// Enters the slot; loads the packet.
#[inline(always)]
fn receive(
    packet: &Packet,
    slot: &Slot,
    datagram: &Datagram,
    work: &mut Work,
) -> Result<Fill, Reason> {
    work.plan.generation = slot.enter().ok_or(Reason::NotActive)?;
    let publisher = Maps.publisher(work.plan.slot).ok_or(Reason::NotActive)?;
    work.arrival = ingress::receive(slot, publisher, datagram, &mut work.plan)?;
    let sealed = work.arrival.len.wrapping_add(work.arrival.tag);
    packet.load_text(work.arrival.at, &mut work.scratch.frame.text, sealed)?;
    Ok(Fill {
        slot: work.plan.slot,
        number: work.arrival.number,
        len: work.arrival.len,
        is_filled: 0,
        next: step::OPEN,
        spare: 0,
    })
}

#[inline(always)]
fn authenticate(work: &mut Work) -> Result<(), Reason> {
    let index = work.plan.slot;
    let publisher = Maps.publisher(index).ok_or(Reason::NotActive)?;
    let Work {
        arrival,
        scratch,
        fill,
        ..
    } = work;
    ingress::open(
        &Maps,
        (index, publisher),
        arrival,
        scratch,
        fill.is_filled != 0,
    )
}

#[inline(always)]
fn serve(packet: &Packet, slot: &Slot, work: &mut Work) -> Result<(), Reason> {
    let members = ingress::plan(&Maps, &work.arrival, &mut work.scratch, &mut work.plan)?;
    let mut fan = FanOut {
        packet: *packet,
        copies: 0,
    };
    let mark = packet.mark();
    Maps.repeat(members, &mut fan);
    packet.set_mark(mark);
    ingress::done(&Maps, slot, &work.plan, &work.arrival, fan.copies);
    Ok(())
}

/// One round for each member.
struct FanOut {
    packet: Packet,
    copies: u64,
}

impl Rounds for FanOut {
    #[inline(always)]
    fn round(&mut self, index: u64) -> bool {
        let Some(work) = work() else {
            return false;
        };
        match ingress::offer(&Maps, &mut work.plan, index) {
            Ok(None) => {}
            Ok(Some(turn)) => {
                work.turn = turn;
                work.turn.is_partial = work.arrival.is_partial;
                self.send(turn.slot as u32, turn.ifindex as u32);
            }
            Err(reason) => Maps.count(reason),
        }
        true
    }
}

impl FanOut {
    /// Egress runs in between.
    #[inline(always)]
    fn send(&mut self, slot: u32, ifindex: u32) {
        self.packet.clone_to(ifindex, MARK | slot & MARK_SLOT);
        let Some(work) = work() else {
            return;
        };
        self.copies = self.copies.wrapping_add(work.turn.is_sent);
        if work.turn.is_open != 0 {
            work.turn.is_open = 0;
            Maps.count(Reason::CloneFailed);
            if let Some(slot) = Maps.slot(work.turn.slot) {
                slot.refuse(Reason::CloneFailed);
            }
        }
    }
}
