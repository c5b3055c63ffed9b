//! What stands in front of a QUIC packet that arrives: IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768).
//!
//! What is not exactly understood is left to the stack, for the first reason that is found.

use crate::checksum::Sum;
use crate::layout::{Config, Flow, LOCAL_CID_LEN, Slot};
use crate::short_header::joined;
use crate::verdict::Reason;

/// Words that are loaded of a packet, from its IP header on: IPv6, UDP, and the 32 bytes of a short header.
pub const START_WORDS: usize = 10;

/// The beginning of a packet, from its IP header on.
pub type Start = [u64; START_WORDS];

/// What the frame says about a packet without looking into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The EtherType.
    pub ether_type: u16,
    /// Bytes from the IP header on.
    pub len: u64,
    /// Whether it is several packets in one.
    pub is_gso: bool,
}

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

/// A UDP datagram to the port of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// 4 or 6.
    pub family: u64,
    /// As in [`Slot::local_ip`].
    pub local_ip: [u64; 2],
    /// As in [`Slot::remote_ip`].
    pub remote_ip: [u64; 2],
    /// As in [`Slot::ports`].
    pub ports: u64,
    /// Where its payload begins, from the IP header on.
    pub at: u64,
    /// The payload's bytes.
    pub len: u64,
    /// Whether a device has to finish its checksum (CHECKSUM_PARTIAL): then it holds the pseudo-header's sum.
    pub is_partial: bool,
    /// The payload's first 32 bytes.
    pub quic: [u64; 4],
}

impl Datagram {
    /// Parses a packet of which `start` holds as much as there is.
    ///
    /// # Errors
    ///
    /// Why it is none of our business.
    #[inline(always)]
    pub fn parse(start: &Start, outside: &Outside, config: &Config) -> Result<Self, Reason> {
        let datagram = match outside.ether_type {
            IPV4 => Self::ipv4(start)?,
            IPV6 => Self::ipv6(start)?,
            _ => return Err(Reason::NotIp),
        };
        if datagram.ports >> 16 != config.port.load() {
            return Err(Reason::OtherPort);
        }
        if outside.is_gso {
            return Err(Reason::Gso);
        }
        datagram.checked(start, outside)
    }

    /// RFC 791 §3.1.
    #[inline(always)]
    fn ipv4(start: &Start) -> Result<Self, Reason> {
        let [w0, w1, w2, w3, w4, w5, w6, w7, ..] = *start;
        if w0 & 0xff != 0x45 {
            return Err(Reason::IpOptions);
        }
        // More Fragments, and the offset.
        if w0 >> 48 & 0xff3f != 0 {
            return Err(Reason::Fragment);
        }
        if w1 >> 8 & 0xff != UDP {
            return Err(Reason::NotUdp);
        }
        Ok(Self {
            family: 4,
            remote_ip: [w1 >> 32, 0],
            local_ip: [w2 & 0xffff_ffff, 0],
            ports: ports(w2 >> 32),
            at: 28,
            len: 0,
            is_partial: false,
            quic: [
                joined(w3, w4, 32),
                joined(w4, w5, 32),
                joined(w5, w6, 32),
                joined(w6, w7, 32),
            ],
        })
    }

    /// RFC 8200 §3.
    #[inline(always)]
    fn ipv6(start: &Start) -> Result<Self, Reason> {
        let [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9] = *start;
        if w0 >> 4 & 15 != 6 {
            return Err(Reason::NotIp);
        }
        if w0 >> 48 & 0xff != UDP {
            return Err(Reason::NotUdp);
        }
        Ok(Self {
            family: 6,
            remote_ip: [w1, w2],
            local_ip: [w3, w4],
            ports: ports(w5 & 0xffff_ffff),
            at: 48,
            len: 0,
            is_partial: false,
            quic: [w6, w7, w8, w9],
        })
    }

    /// The three lengths, and the checksum.
    #[inline(always)]
    fn checked(self, start: &Start, outside: &Outside) -> Result<Self, Reason> {
        let [w0, _, _, w3, _, w5, ..] = *start;
        let (ip_len, udp) = if self.family == 4 {
            (number(w0 >> 16), w3)
        } else {
            (number(w0 >> 32).wrapping_add(40), w5 >> 32)
        };
        let udp_len = number(udp);
        let headers = self.at.wrapping_sub(8);
        if ip_len != outside.len || udp_len.wrapping_add(headers) != ip_len || udp_len < 8 {
            return Err(Reason::Length);
        }
        let checksum = udp >> 16 & 0xffff;
        if self.family == 6 && checksum == 0 {
            return Err(Reason::NoChecksum);
        }
        let pseudo = pseudo_header(self.local_ip, self.remote_ip, udp_len);
        Ok(Self {
            len: udp_len.wrapping_sub(8),
            is_partial: checksum == u64::from(pseudo.folded()),
            ..self
        })
    }

    /// Whether it came on the path of this slot.
    #[inline(always)]
    pub fn is_of(&self, slot: &Slot) -> bool {
        let [l0, l1] = self.local_ip;
        let [r0, r1] = self.remote_ip;
        let [local0, local1] = &slot.local_ip;
        let [remote0, remote1] = &slot.remote_ip;
        let differing = (l0 ^ local0.load())
            | (l1 ^ local1.load())
            | (r0 ^ remote0.load())
            | (r1 ^ remote1.load())
            | (self.ports ^ slot.ports.load())
            | (self.family ^ slot.family.load());
        differing == 0
    }
}

/// RFC 768, RFC 8200 §8.1: the pseudo-header of a UDP datagram of `len` bytes.
#[inline(always)]
pub fn pseudo_header(from: [u64; 2], to: [u64; 2], len: u64) -> Sum {
    let ([f0, f1], [t0, t1]) = (from, to);
    Sum::ZERO
        .add(f0)
        .add(f1)
        .add(t0)
        .add(t1)
        .add_number(UDP as u16)
        .add_number(len as u16)
}

/// RFC 768: source and destination port, into [`Slot::ports`].
#[inline(always)]
fn ports(word: u64) -> u64 {
    number(word >> 16) << 16 | number(word)
}

/// The number in the low two bytes, which are in network order.
#[inline(always)]
fn number(word: u64) -> u64 {
    u64::from((word as u16).swap_bytes())
}

/// The shortest packet with a sample, from the IP header on: IPv4, UDP, short header with our connection ID,
/// four bytes for the packet number, sample (RFC 9001 §5.4.2).
const SHORTEST: u64 = 20 + 8 + 1 + LOCAL_CID_LEN as u64 + 4 + 16;
/// IANA's number of UDP.
pub const UDP: u64 = 17;

impl Outside {
    /// Whether it is worth looking into.
    ///
    /// # Errors
    ///
    /// Why it is none of our business.
    #[inline(always)]
    pub fn check(&self) -> Result<(), Reason> {
        if self.ether_type != IPV4 && self.ether_type != IPV6 {
            return Err(Reason::NotIp);
        }
        if self.len < SHORTEST {
            return Err(Reason::TooShort);
        }
        Ok(())
    }
}

/// Who talks to whom.
#[inline(always)]
pub fn flow(datagram: &Datagram) -> Flow {
    let bytes = |[first, second]: [u64; 2]| {
        let mut bytes = [0; 16];
        let (low, high) = bytes.split_at_mut(8);
        low.copy_from_slice(&first.to_le_bytes());
        high.copy_from_slice(&second.to_le_bytes());
        bytes
    };
    Flow {
        local_ip: bytes(datagram.local_ip),
        remote_ip: bytes(datagram.remote_ip),
        ports: datagram.ports,
        family: datagram.family,
    }
}
