//! What stands in front of a copy's QUIC packet: Ethernet, IPv4 (RFC 791) or IPv6 (RFC 8200), UDP (RFC 768).
//!
//! Nothing of the publisher's headers is taken over: no ECN (RFC 9000 §13.4), no TTL, no options.

use crate::checksum::Sum;
use crate::egress::Ticket;
use crate::headers::{UDP, pseudo_header};
use crate::layout::{Slot, flag};

/// Headers that end at the end of these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Envelope {
    /// IPv4: the first six words, from [`Envelope::IPV4_AT`]; IPv6: the first eight, from [`Envelope::IPV6_AT`].
    /// The last is for the verifier, which does not see that the larger length goes with the smaller start.
    pub words: [u64; 9],
}

impl Envelope {
    /// No headers.
    pub const EMPTY: Self = Self { words: [0; 9] };
    /// Where the frame begins with IPv4.
    pub const IPV4_AT: usize = 6;
    /// Bytes of Ethernet, IPv4 and UDP.
    pub const IPV4_LEN: usize = 14 + 20 + 8;
    /// Where the frame begins with IPv6.
    pub const IPV6_AT: usize = 2;
    /// Bytes of Ethernet, IPv6 and UDP.
    pub const IPV6_LEN: usize = 14 + 40 + 8;

    /// For a UDP payload with this sum. `is_partial`: a device finishes the checksum.
    #[inline(always)]
    pub fn fill(&mut self, slot: &Slot, ticket: &Ticket, sum: Sum, is_partial: bool) {
        let [l0, l1] = &slot.local_ip;
        let [r0, r1] = &slot.remote_ip;
        let (local, remote) = ([l0.load(), l1.load()], [r0.load(), r1.load()]);
        let udp_len = ticket.size.len.wrapping_add(8);
        let ports = slot.ports.load();
        let pseudo = pseudo_header(local, remote, udp_len);
        let checksum = if is_partial {
            pseudo.folded()
        } else {
            pseudo
                .add_sum(sum)
                .add_number((ports >> 16) as u16)
                .add_number(ports as u16)
                .add_number(udp_len as u16)
                .udp()
        };
        let udp = network(ports >> 16)
            | network(ports) << 16
            | network(udp_len) << 32
            | u64::from(checksum) << 48;
        let [m0, m1] = &slot.macs;
        let macs = [m0.load(), m1.load()];
        let ecn = if ticket.flags & flag::ECT0 == 0 { 0 } else { 2 };
        self.words = if slot.family.load() == 4 {
            ipv4(macs, local, remote, udp_len, ecn, udp)
        } else {
            ipv6(macs, local, remote, udp_len, ecn, udp)
        };
    }
}

/// RFC 791 §3.1: Don't Fragment, so no identification (RFC 6864 §4.1).
#[inline(always)]
fn ipv4(
    [m0, m1]: [u64; 2],
    [local, _]: [u64; 2],
    [remote, _]: [u64; 2],
    udp_len: u64,
    ecn: u64,
    udp: u64,
) -> [u64; 9] {
    let start = 0x45 | ecn << 8 | network(udp_len.wrapping_add(20)) << 16;
    let middle = 0x40 << 16 | HOPS << 32 | UDP << 40;
    let addresses = local | remote << 32;
    let sum = Sum::ZERO.add(start).add(middle).add(addresses);
    let checksum = u64::from(!sum.folded());
    [
        m0 << 48,
        m0 >> 16 | m1 << 48,
        m1 >> 16 & 0xffff | 0x0008 << 16 | start << 32,
        middle | checksum << 48,
        addresses,
        udp,
        0,
        0,
        0,
    ]
}

/// RFC 8200 §3: no flow label.
#[inline(always)]
fn ipv6(
    [m0, m1]: [u64; 2],
    [l0, l1]: [u64; 2],
    [r0, r1]: [u64; 2],
    udp_len: u64,
    ecn: u64,
    udp: u64,
) -> [u64; 9] {
    let start = 0x60 | ecn << 12 | network(udp_len) << 32 | UDP << 48 | HOPS << 56;
    [
        m0 << 16,
        m0 >> 48 | (m1 & 0xffff_ffff) << 16 | 0xdd86 << 48,
        start,
        l0,
        l1,
        r0,
        r1,
        udp,
        0,
    ]
}

/// A 16-bit number in network order, in the low two bytes.
#[inline(always)]
fn network(number: u64) -> u64 {
    u64::from((number as u16).swap_bytes())
}

/// RFC 1700's default of TTL; RFC 8200 leaves the hop limit open.
const HOPS: u64 = 64;
