//! Client ingress: notes from which link-layer address a client's packets come. Nothing is proved by that
//! (RFC 9000 §8); userspace asks for it when it has validated the path.

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use relay_ebpf_common::headers::{Datagram, flow};
use relay_ebpf_common::layout::Candidate;
use relay_ebpf_common::schema::settings;
use relay_ebpf_common::tables::Tables;
use relay_ebpf_common::verdict::Reason;

use crate::maps::{Maps, add_candidate, candidate, work};
use crate::packet::Packet;

/// The hook. The packet goes up, whatever happens. Only new clients are counted.
#[inline(always)]
pub fn run(packet: &Packet) -> i32 {
    if let Ok(true) = note(packet) {
        Maps.count(Reason::Candidate);
    }
    TC_ACT_UNSPEC
}

#[inline(always)]
fn note(packet: &Packet) -> Result<bool, Reason> {
    let outside = packet.outside();
    outside.check()?;
    let config = settings(&Maps)?;
    let work = work().ok_or(Reason::LeaseExpired)?;
    packet.load_start(&mut work.start)?;
    let datagram = Datagram::parse(&work.start, &outside, config)?;
    let now = Maps.now();
    if config.alive_until.load() < now {
        return Err(Reason::LeaseExpired);
    }
    let macs = packet.macs()?;
    let flow = flow(&datagram);
    if let Some(known) = candidate(&flow) {
        known.macs = macs;
        known.ifindex = packet.ifindex();
        known.packets = known.packets.wrapping_add(1);
        known.seen = now;
        return Ok(false);
    }
    let candidate = Candidate {
        macs,
        ifindex: packet.ifindex(),
        packets: 1,
        seen: now,
    };
    add_candidate(&flow, &candidate);
    Ok(true)
}
