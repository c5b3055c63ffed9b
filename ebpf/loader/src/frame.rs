//! Packets as bytes, for the programs' stand-in and for tests: IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768).

use std::net::{IpAddr, SocketAddr};

use relay_ebpf_common::checksum::Sum;
use relay_ebpf_common::egress::{Sealed, Ticket};
use relay_ebpf_common::headers::{IPV4, IPV6};
use relay_ebpf_common::output::Envelope;

use crate::layout::Slot;

/// An address as [`Slot::local_ip`] has it.
pub fn address(ip: IpAddr) -> [u64; 2] {
    let mut bytes = [0; 16];
    match ip {
        IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes.copy_from_slice(&ip.octets()),
    }
    let mut words = [0; 2];
    load(&bytes, &mut words);
    words
}

/// The EtherType of an address.
pub const fn ether_type(address: SocketAddr) -> u16 {
    if address.is_ipv4() { IPV4 } else { IPV6 }
}

/// A packet from its IP header on.
///
/// # Panics
///
/// The addresses are of different families, or the payload is longer than a packet.
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(payload.len() + 8).expect("as long as a packet");
    let mut udp = Vec::new();
    udp.extend(from.port().to_be_bytes());
    udp.extend(to.port().to_be_bytes());
    udp.extend(udp_len.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend_from_slice(payload);
    let mut packet = Vec::new();
    let mut pseudo = Vec::new();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend([0x45, 0]);
            packet.extend((udp_len + 20).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 63, 17, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            let sum = !sum(&packet).folded();
            packet[10..12].copy_from_slice(&sum.to_le_bytes());
            pseudo.extend(from.octets());
            pseudo.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(udp_len.to_be_bytes());
            packet.extend([17, 63]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            pseudo.extend(from.octets());
            pseudo.extend(to.octets());
        }
        _ => panic!("two families"),
    }
    pseudo.extend([0, 17]);
    pseudo.extend(udp_len.to_be_bytes());
    let sum = sum(&pseudo).add_sum(self::sum(&udp)).udp();
    udp[6..8].copy_from_slice(&sum.to_le_bytes());
    packet.extend(udp);
    packet
}

/// The Internet checksum's sum of some bytes (RFC 1071).
pub fn sum(bytes: &[u8]) -> Sum {
    bytes.chunks(8).fold(Sum::ZERO, |sum, chunk| {
        let mut word = [0];
        load(chunk, &mut word);
        sum.add(word[0])
    })
}

/// Bytes into words, as far as there are both; zeros behind.
pub fn load(bytes: &[u8], words: &mut [u64]) {
    let mut chunks = bytes.chunks(8);
    for word in words {
        let mut padded = [0; 8];
        if let Some(chunk) = chunks.next() {
            padded[..chunk.len()].copy_from_slice(chunk);
        }
        *word = u64::from_le_bytes(padded);
    }
}

/// Words into bytes.
pub fn bytes(first: &[u64], second: &[u64]) -> Vec<u8> {
    let words = first.iter().chain(second);
    words.flat_map(|word| word.to_le_bytes()).collect()
}

/// What stands in front of a sealed packet.
pub fn envelope(slot: &Slot, ticket: &Ticket, sealed: &Sealed, is_partial: bool) -> Vec<u8> {
    let mut envelope = Envelope::EMPTY;
    envelope.fill(slot, ticket, sealed.sum, is_partial);
    let (at, len) = if slot.family.load() == 4 {
        (Envelope::IPV4_AT, Envelope::IPV4_LEN)
    } else {
        (Envelope::IPV6_AT, Envelope::IPV6_LEN)
    };
    bytes(&envelope.words, &[])[at..at + len].to_vec()
}
