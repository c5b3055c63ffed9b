//! Seeds of the kernel's planner: packets of a publisher (RFC 9000 §19, draft-ietf-moq-transport-18 §11).

use super::{Seed, named};

/// All of them: for the stand-in with lengths of two bytes, for the kernel with one and no change of the frame.
pub fn seeds() -> Vec<Seed> {
    let mut all = Vec::new();
    for (name, flags, packets) in LIVES {
        let (mut long, mut short) = (vec![*flags], vec![*flags]);
        for packet in packets.iter().map(|text| super::hex(text)) {
            long.extend((packet.len() as u16).to_be_bytes());
            long.extend(&packet);
            short.push(packet.len() as u8);
            short.extend(&packet);
            short.extend([0, 0]);
        }
        for (target, bytes) in [("fastpath_diff", long), ("kernel_twin", short)] {
            let name = (*name).to_owned();
            all.push(Seed {
                target,
                name,
                bytes,
            });
        }
    }
    all.extend(named("kernel_twin", CHANGED));
    all
}

/// Name, wish of the subscriber, plaintexts. Alias 5 is the subscriber's track, 6 another's.
const LIVES: &[(&str, u8, &[&str])] = &[
    ("datagram", 0, &["31 4006 00 05 07 00 6d65"]),
    ("datagram_to_end_of_packet", 0, &["30 00 05 04 00 6d65"]),
    (
        "stream_and_its_rest",
        0,
        &[
            "0e 02 00 4005 30 05 07 6d65",
            "0e 02 12 03 6d6564",
            "0f 02 15 01 6d",
        ],
    ),
    (
        "stream_between_others",
        0,
        &["02 09 01 00 03 0e 02 00 05 30 05 07 6d65 02 09 01 00 03 0f 02 12 01 6d 01 0000"],
    ),
    (
        "four_datagrams",
        0,
        &["31 05 00 05 07 00 6d 31 05 00 05 07 01 6d 31 05 00 05 07 02 6d 31 05 00 05 07 03 6d"],
    ),
    (
        "five_datagrams",
        0,
        &[
            "31 05 00 05 07 00 6d 31 05 00 05 07 01 6d 31 05 00 05 07 02 6d 31 05 00 05 07 03 6d 31 05 00 05 07 04 6d",
        ],
    ),
    (
        "two_tracks",
        0,
        &["31 05 00 06 07 00 6d 31 05 00 05 07 00 6d"],
    ),
    ("unknown_alias", 0, &["31 05 00 07 07 00 6d"]),
    ("earlier_group", 0x10, &["31 05 00 05 01 00 6d"]),
    ("later_group", 0, &["31 05 00 05 0a 00 6d"]),
    (
        "other_alias_that_fits",
        2,
        &["31 05 00 05 07 00 6d", "0e 02 00 05 30 05 07 6d65"],
    ),
    (
        "other_alias_that_does_not_fit",
        6,
        &["31 05 00 05 07 00 6d"],
    ),
    (
        "alias_in_nine_bytes",
        6,
        &["31 0d 00 ff0000000000000005 07 00 6d"],
    ),
    ("ipv6", 1, &["31 05 00 05 07 00 6d"]),
    ("bidirectional_stream", 0, &["0e 00 00 05 30 05 07 6d65"]),
    (
        "stream_without_offset_and_length",
        0,
        &["08 02 30 05 07 6d65"],
    ),
    (
        "stream_takes_an_old_ones_place",
        0,
        &["0f 02 00 03 00 07 07", "0e 4402 00 05 30 05 07 6d65"],
    ),
    (
        "alias_split_over_two_packets",
        0,
        &["0e 02 00 01 30", "0e 02 01 04 05 07 6d65"],
    ),
    (
        "all_other_frames",
        0,
        &[
            "01 04 00 00 00 05 00 00 07 01 aa 10 01 12 01 14 01 15 00 01 16 01 19 00 1a 0102030405060708 1e 1f 40af 01 01 4001 00 31 05 00 05 07 00 6d",
        ],
    ),
    (
        "new_connection_id",
        0,
        &["18 01 00 02 abcd 05050505050505050505050505050505 31 05 00 05 07 00 6d"],
    ),
    ("malformed", 0, &["21 00 31 05 00 05 07 00 6d"]),
    ("frame_beyond_the_packet", 0, &["31 20 00 05 07 00 6d"]),
];

/// IP version, then plaintext, place and change of a byte of the frame behind Ethernet.
const CHANGED: &[(&str, &str)] = &[
    ("ip_version", "00 08 31 06 00 05 07 00 6d65 00 20"),
    ("ip_options", "00 08 31 06 00 05 07 00 6d65 00 01"),
    ("fragment", "00 08 31 06 00 05 07 00 6d65 06 20"),
    ("not_udp", "00 08 31 06 00 05 07 00 6d65 09 01"),
    ("other_sender", "00 08 31 06 00 05 07 00 6d65 0f 01"),
    ("other_port", "00 08 31 06 00 05 07 00 6d65 17 01"),
    ("udp_length", "00 08 31 06 00 05 07 00 6d65 19 01"),
    ("long_header", "00 08 31 06 00 05 07 00 6d65 1c 80"),
    ("fixed_bit", "00 08 31 06 00 05 07 00 6d65 1c 40"),
    ("other_connection_id", "00 08 31 06 00 05 07 00 6d65 1d 01"),
    ("other_number", "00 08 31 06 00 05 07 00 6d65 25 01"),
    ("forged", "00 08 31 06 00 05 07 00 6d65 28 01"),
    ("ipv6_next_header", "01 08 31 06 00 05 07 00 6d65 06 01"),
];
