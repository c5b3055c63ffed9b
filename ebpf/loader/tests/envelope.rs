//! What stands in front of a copy: its checksum (RFC 768, RFC 8200 §8.1), ECN (RFC 9000 §13.4) and TTL, in the kernel
//! (with root; SKIP without) and in its stand-in.

#[path = "support/case.rs"]
mod case;
#[path = "support/network.rs"]
mod network;
#[path = "support/world.rs"]
mod world;

use case::{Cable, Case, Rig, SIZES, SUBSCRIBER};
use network::on_a_network;
use relay_ebpf_loader::Twin;
use relay_ebpf_loader::layout::flag;
use world::{ALIAS, object};

/// Where UDP begins in a copy.
fn udp_at(is_ipv4: bool) -> usize {
    if is_ipv4 { 34 } else { 54 }
}

/// A copy's checksum as it stands there.
fn checksum(copy: &[u8], is_ipv4: bool) -> u16 {
    let at = udp_at(is_ipv4) + 6;
    u16::from_be_bytes([copy[at], copy[at + 1]])
}

/// RFC 1071 §1, the plain way: all ones if the sum over pseudo-header and datagram is right.
fn sum(copy: &[u8], is_ipv4: bool) -> u16 {
    let udp = &copy[udp_at(is_ipv4)..];
    let addresses = if is_ipv4 { 26..34 } else { 22..54 };
    let length = (udp.len() as u32).to_be_bytes();
    let bytes = [&copy[addresses], &length, &[0, 17], udp].concat();
    let words = bytes.chunks(2);
    let mut sum: u32 = words
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Has the sum of a sealed copy become zero, and looks what is sent.
fn force_zero(rig: &dyn Rig, is_ipv4: bool) {
    let send = |port: Option<u16>| {
        let case = Case::new(rig.engine(), is_ipv4);
        let ports = &case.subscriber().ports;
        if let Some(port) = port {
            ports.store(ports.load() & !0xffff | u64::from(port));
        }
        let copies = rig.send(&case, 1);
        (copies[0].clone(), ports.load() as u16)
    };
    let (copy, port) = send(None);
    let found = checksum(&copy, is_ipv4);
    assert!(found != 0 && found != 0xffff && sum(&copy, is_ipv4) == 0xffff);
    // The checksum is the complement of the sum: so much more, and the sum is all ones, its complement zero.
    let (more, carry) = port.overflowing_add(found);
    let (copy, _) = send(Some(more + u16::from(carry)));
    assert_eq!(checksum(&copy, is_ipv4), 0xffff, "zero would mean: none");
    assert_eq!(sum(&copy, is_ipv4), 0xffff);
}

#[test]
fn a_checksum_of_zero_is_sent_as_all_ones_by_the_stand_in() {
    let twin = Twin::new(SIZES).expect("memory");
    force_zero(&twin, true);
    force_zero(&twin, false);
}

#[test]
fn a_checksum_of_zero_is_sent_as_all_ones_by_the_kernel() {
    on_a_network(|| {
        let cable = Cable::new();
        force_zero(&cable, true);
        force_zero(&cable, false);
    });
}

/// Whatever two bytes of the payload are: one of all values makes the sum zero.
#[test]
fn every_payload_of_two_bytes_has_the_checksum_that_is_computed_plainly() {
    for is_ipv4 in [true, false] {
        let twin = Twin::new(SIZES).expect("memory");
        let mut case = Case::new(&twin, is_ipv4);
        for slot in [case.publisher(), case.subscriber()] {
            slot.flags.store(flag::CLEAR);
        }
        let mut all_ones = 0;
        for value in 0..=u16::MAX {
            let mut media = [7; 20];
            media[..2].copy_from_slice(&value.to_be_bytes());
            case.frames(u64::from(value), &object(ALIAS, 7, &media));
            // The same number for all: only the two bytes differ.
            case.subscriber().next_number.store(0);
            let copies = twin.send(&case, 1);
            let found = checksum(&copies[0], is_ipv4);
            assert!(found != 0 && sum(&copies[0], is_ipv4) == 0xffff, "{value}");
            all_ones += u32::from(found == 0xffff);
        }
        assert!(all_ones > 0);
    }
}

/// The two bits of ECN.
fn ecn(frame: &[u8], is_ipv4: bool) -> u8 {
    if is_ipv4 {
        frame[15] & 3
    } else {
        frame[15] >> 4 & 3
    }
}

/// Congestion on the publisher's leg is the publisher's: userspace reads it from the original.
fn check_ecn(rig: &dyn Rig) {
    let marks = (0..4).flat_map(|mark| [(mark, 0, 0), (mark, flag::ECT0, 2)]);
    for (mark, flags, expected) in marks {
        for is_ipv4 in [true, false] {
            let mut case = Case::new(rig.engine(), is_ipv4);
            case.subscriber().flags.store(flags);
            // The publisher's DSCP and hop count, too.
            if is_ipv4 {
                case.ip()[1] = 0xb8 | mark;
                case.ip()[8] = 7;
            } else {
                case.ip()[..2].copy_from_slice(&[0x6b, 0x80 | mark << 4]);
                case.ip()[7] = 7;
            }
            let copies = rig.send(&case, 1);
            let copy = &copies[0];
            assert_eq!(ecn(copy, is_ipv4), expected, "{mark}, {flags}");
            let (traffic, hops) = if is_ipv4 {
                (copy[15], copy[22])
            } else {
                (copy[14] << 4 | copy[15] >> 4, copy[21])
            };
            assert_eq!((traffic, hops), (expected, 64));
            assert_eq!(sum(copy, is_ipv4), 0xffff);
            // What the connection counts when it validates ECN.
            let meta = case.world.memory.record(SUBSCRIBER, 0).meta.load();
            assert_eq!(meta >> 31 & 1 != 0, flags == flag::ECT0);
        }
    }
}

#[test]
fn nothing_of_the_publishers_ecn_dscp_or_hops_is_in_a_copy_of_the_stand_in() {
    check_ecn(&Twin::new(SIZES).expect("memory"));
}

#[test]
fn nothing_of_the_publishers_ecn_dscp_or_hops_is_in_a_copy_of_the_kernel() {
    on_a_network(|| check_ecn(&Cable::new()));
}
