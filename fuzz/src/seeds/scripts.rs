//! Seeds of scripts after the handshake: each frame by itself, and short scenes (RFC 9000 §4, §5.1, §9, §10,
//! RFC 9001 §6).

use super::{Seed, hex, wire};

/// All of them, against both sides.
pub fn seeds() -> Vec<Seed> {
    let mut all = Vec::new();
    for target in ["posths_server", "posths_client"] {
        for (name, text) in wire::FRAMES {
            let frame = hex(text);
            let len = u8::try_from(frame.len()).expect("frames are short");
            // A packet with it, and time for an answer.
            let bytes = [&[0, len][..], &frame, &[6, 0, 100]].concat();
            let name = format!("frame_{name}");
            all.push(Seed {
                target,
                name,
                bytes,
            });
        }
        all.extend(super::named(target, SCENES));
    }
    all
}

/// Steps: see `step` of the property.
const SCENES: &[(&str, &str)] = &[
    (
        "writes_and_is_acknowledged",
        "08 00 0400 08 03 0200 04 00 ff 06 0064 04 00 ff",
    ),
    ("writes_and_nobody_answers", "08 08 1000 06 ffff 06 ffff"),
    (
        "loses_what_is_in_the_middle",
        "08 00 0f00 04 02 01 06 0064 04 00 00 06 1000 04 00 ff",
    ),
    (
        "reads_streams",
        "05 00 0000 20 05 04 0000 20 09 05 01 0000 ff 09 05 20 0020 00 09",
    ),
    (
        "holes_in_a_stream",
        "05 00 0100 20 05 00 0200 20 05 00 0000 ff 09 05 20 0300 10 09",
    ),
    ("stream_beyond_its_window", "05 00 1000 20"),
    ("stream_of_its_own", "08 01 0010 05 03 0000 10 09"),
    ("stream_that_it_never_opened", "05 03 0000 10"),
    (
        "gives_up",
        "08 01 0400 0a 00 0a 01 0a 04 0a 05 05 01 0000 20 0a 07 06 0064",
    ),
    (
        "stopped_by_the_peer",
        "08 00 0400 00 03 05 03 07 06 0064 04 00 ff",
    ),
    (
        "datagrams",
        "0b 04 01020304 0b 00 00 04 31 02 0809 09 06 0064",
    ),
    (
        "datagrams_overflow",
        "0b ff 01 0b ff 01 0b ff 01 0b ff 01 0b ff 01 0b ff 01 0b ff 01",
    ),
    (
        "peer_updates_keys",
        "04 00 ff 0c 00 01 01 06 0064 04 00 ff 0c 00 01 01 06 0064",
    ),
    (
        "peer_updates_keys_twice_at_once",
        "04 00 ff 0c 0c 00 01 01 06 0064",
    ),
    (
        "updates_keys_itself",
        "00 01 01 06 0064 04 00 ff 0d 08 00 0010 06 0064 04 00 ff",
    ),
    (
        "both_update_keys",
        "00 01 01 06 0064 04 00 ff 0d 0c 08 00 0010 00 01 01 06 0064",
    ),
    (
        "peer_moves_and_proves_it",
        "0e 01 00 01 01 06 0010 0f 06 0064 08 00 0400 04 00 ff",
    ),
    (
        "peer_moves_and_proves_nothing",
        "08 00 0f00 0e 02 00 01 01 06 1000 06 ffff",
    ),
    ("port_changes", "0e 04 00 01 01 06 0010 0f 06 0064"),
    (
        "address_flaps",
        "0e 01 00 01 01 0e 02 00 01 01 0e 03 00 01 01 0e 00 00 01 01 06 1000",
    ),
    (
        "next_connection_id",
        "13 01 00 01 01 06 0064 13 01 00 01 01 06 0064",
    ),
    (
        "retires_connection_ids",
        "00 02 19 01 06 0064 00 02 19 02 06 0064",
    ),
    (
        "new_connection_ids_retire_the_old",
        "00 1c 18 01 01 08 1122334455667788 05050505050505050505050505050505 06 0064 00 1c 18 02 02 08 2122334455667788 06050505050505050505050505050505 06 0064",
    ),
    ("replay", "00 01 01 10 10 06 0064"),
    ("damaged", "00 01 01 11 0000 40 11 0005 01 11 0010 80"),
    (
        "garbage",
        "12 05 4001020304 12 20 c000000001080102030405060708080102030405060708000440000000000000 12 00",
    ),
    (
        "numbers_far_ahead",
        "13 00 ffff 00 01 01 13 00 ffff 00 01 01 06 0064",
    ),
    (
        "application_closes",
        "08 00 0010 13 02 00 01 01 06 0064 00 01 01 06 ffff",
    ),
    (
        "peer_closes_while_there_is_data",
        "08 00 0400 00 04 1c 00 00 00 06 0064 00 01 01",
    ),
    ("ack_frequency_wanted", "13 04 0a 14 06 0064 04 00 ff"),
    ("pings", "13 03 06 0064 13 03 04 00 ff"),
    ("token_for_later", "13 05 04 01020304 06 0064 04 00 ff"),
    (
        "limits_raised_then_filled",
        "00 05 10 80010000 00 06 11 03 80010000 08 00 1300 04 00 ff 08 02 1300 04 00 ff",
    ),
    (
        "streams_come_and_go",
        "05 20 0000 01 09 05 24 0000 01 09 05 28 0000 01 09 05 2c 0000 01 09 06 0064",
    ),
    (
        "ecn_counts_fall",
        "08 00 0010 00 08 03 02 00 00 02 05 00 00 08 00 0010 00 08 03 03 00 00 03 01 00 00 06 0064",
    ),
    ("idle_until_the_end", "06 ffff"),
];
