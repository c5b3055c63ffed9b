//! Seeds of what is compared with a model: sets, windows, streams, loss recovery, tokens, order, text (RFC 9000,
//! RFC 9002). What the bytes mean stands at each property.

use super::{Seed, named, seed};

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let mut all = named("packet_protection", PROTECTION);
    all.extend(named("token", TOKEN));
    all.extend(named("range_set", RANGE_SET));
    all.extend(named("received_numbers", RECEIVED));
    all.extend(named("reassembly", REASSEMBLY));
    all.extend(named("recovery", RECOVERY));
    all.extend(named("moqt_order", ORDER));
    for (name, text) in URLS {
        all.push(seed("relay_url", name, text.as_bytes().to_vec()));
    }
    let clip = include_bytes!("../../../tests/media/clip.ivf");
    for (name, len) in [
        ("header_alone", 32),
        ("first_frames_cut", 400),
        ("cut_header", 20),
    ] {
        all.push(seed("ivf", name, clip[..len].to_vec()));
    }
    all.extend(named("ivf", IVF));
    all
}

/// Suite, secret, number, place of the number, damaged byte, flip, packet.
const PROTECTION: &[(&str, &str)] = &[
    (
        "aes128_short_header",
        "00 07 25 08 0005 01 40 0102030405060708 07 01020304",
    ),
    (
        "aes256_long_header",
        "01 07 9d7f3e7d 11 0000 80 c3 00000001 08 8394c8f03e515708 00 00 4000 00000002 06004000",
    ),
    (
        "chacha20_rfc9001_a5",
        "02 9a a7299c1c 00 0003 01 42 00bff4 01 020304",
    ),
    (
        "too_short_for_a_sample",
        "00 07 00 08 0000 00 40 0102030405060708 07",
    ),
    ("nothing", ""),
];

/// Address, now, later, damage, nonce, both connection IDs, another address, a token that somebody made up.
const TOKEN: &[(&str, &str)] = &[
    (
        "retry_and_new_token",
        "00 01 1151 05 8000 00 07 09 08 0102030405060708 08 1112131415161718 00 02 1151 01",
    ),
    (
        "ipv4_in_ipv6",
        "00 01 1151 05 05 03 80 09 04 01020304 00 01 01 1151 02 000000",
    ),
    (
        "ipv6_too_late",
        "02 01 1151 05 9f000000 20 01 09 14 0102030405060708090a0b0c0d0e0f1011121314 08 1112131415161718 02 01 0050",
    ),
    (
        "made_up_retry",
        "00 01 1151 05 00 00 00 00 00 00 00 00 0000 01 000000000000000000000000000000000000000000000000 0000000000000000 00 00 00000000000000000000000000000000",
    ),
    (
        "made_up_new_token",
        "00 01 1151 05 00 00 00 00 00 00 00 00 0000 02 111111111111111111111111111111111111111111111111 2222222222222222 33333333333333333333333333333333",
    ),
    (
        "at_the_end_of_time",
        "00 01 1151 ffffffffffffffff ffffffffffffffff 00 00 00 00 00 00 00 0000",
    ),
];

/// Base; then steps: insert, remove, bounded insert, pop first.
const RANGE_SET: &[(&str, &str)] = &[
    ("touching_ranges_merge", "00 00 00 02 00 04 02 00 02 02"),
    (
        "removing_the_middle_splits",
        "00 00 00 0a 01 03 04 01 03 04 01 02 06",
    ),
    (
        "bounded_drops_the_lowest",
        "00 02 00 01 01 02 04 01 01 02 08 01 01 02 0c 01 01",
    ),
    (
        "pop_until_empty",
        "00 00 01 02 00 08 02 03 00 00 03 00 00 03 00 00",
    ),
    (
        "at_the_largest_stream_offset",
        "01 00 f0 27 01 f8 02 00 fa 10",
    ),
    (
        "at_the_end_of_all_numbers",
        "02 00 ff 27 01 ff 10 02 fe 27 00",
    ),
    (
        "one_covers_many",
        "00 00 05 01 00 0a 01 00 14 01 00 01 27 01 00 27",
    ),
];

/// Space; then steps: next, late, ahead, time, sent, acknowledged, frequency.
const RECEIVED: &[(&str, &str)] = &[
    ("in_order", "02 00 00 00 03 5000 04 05 00 00 00"),
    (
        "holes_and_late_packets",
        "02 00 02 05 02 05 01 02 01 04 01 04 04 05 00",
    ),
    (
        "every_second_packet",
        "02 0201 0201 0201 0201 0201 0201 0201 0201 0100",
    ),
    ("ecn_marks", "02 10 20 30 04 3a 40 04"),
    ("initial_at_once", "00 00 04 00 08 0c"),
    ("ack_frequency", "02 06 0a 03 00 00 00 00 06 00 00 02 10"),
    (
        "far_ahead_then_old",
        "02 02 800fffff 01 800ffff0 01 00 05 8000ffff",
    ),
];

/// Mode; then steps: frame (offset, length, content), the last frame, reset, read.
const REASSEMBLY: &[(&str, &str)] = &[
    (
        "in_order_to_the_end",
        "00 00 00 0a 01 03 0a 05 01 05 ff 06 fe 06 fe",
    ),
    (
        "the_first_bytes_stay",
        "00 00 02 02 01 00 00 06 02 00 01 04 03 05 ff",
    ),
    (
        "unordered",
        "01 00 0a 05 01 00 00 03 02 05 00 05 00 03 05 0f 07 05 00 05 00",
    ),
    ("the_end_first", "00 03 40c8 00 01 00 00 c8 02 05 ff 06 fe"),
    ("another_final_size", "00 03 0a 05 01 03 0a 06 01"),
    ("beyond_the_final_size", "00 03 0a 05 01 00 0a 06 01"),
    ("reset_after_all_came", "00 03 00 05 01 04 05 05 ff 06 fe"),
    (
        "reset_with_a_hole",
        "00 00 0a 05 01 04 14 05 ff 06 fe 06 fe",
    ),
    ("beyond_the_window", "00 00 47d0 01 01"),
    (
        "window_moves_with_reading",
        "00 00 00 ff 01 05 ff 00 40ff ff 01 05 ff 00 41fe ff 01",
    ),
    (
        "several_streams",
        "00 00 00 05 01 48 00 05 02 13 03 02 05 05 ff 4d ff 15 ff",
    ),
    ("stream_beyond_the_limit", "00 38 00 05 01"),
    ("largest_offset", "00 00 fffffffffffffff0 0a 01"),
];

/// Side and options; then steps, see the property.
const RECOVERY: &[(&str, &str)] = &[
    (
        "sent_and_acknowledged",
        "01 20 0104b0 20 0104b0 20 0104b0 25 00 00 00 03",
    ),
    (
        "reordered_beyond_the_threshold",
        "01 20 0104b0 20 0104b0 20 0104b0 20 0104b0 20 0104b0 28 5000 25 00 00 00 00 29 25 00 00 04 00",
    ),
    (
        "probe_timeouts",
        "00 20 0104b0 29 29 29 20 0104b0 25 00 00 00 00",
    ),
    (
        "initial_and_handshake_discarded",
        "00 00 0104b0 3d 00 10 0104b0 0e 3d 01 1e 20 0104b0 29",
    ),
    (
        "acknowledges_what_was_not_sent",
        "01 20 0104b0 25 80 00 00 05 00",
    ),
    (
        "acknowledges_a_skipped_number",
        "01 20 0104b0 2b 00 00 20 0104b0 25 00 00 00 05",
    ),
    (
        "late_after_it_was_lost",
        "01 20 0104b0 20 0104b0 20 0104b0 20 0104b0 20 0104b0 28 5000 25 00 00 00 00 25 00 00 00 08",
    ),
    (
        "path_changes",
        "01 20 0104b0 2e 20 0104b0 25 00 00 00 04 29",
    ),
    (
        "path_changes_while_a_loss_timer_runs",
        "01 20 0104b0 20 0104b0 25 00 00 00 00 2e 29 29",
    ),
    ("mtu_probe", "01 3d 01 2f 25 00 00 00 00 2f 28 80989680 29"),
    (
        "ecn_counts",
        "01 20 0104b0 20 0104b0 25 40 00 00 01 02 00 00",
    ),
    (
        "ecn_counts_fall",
        "01 20 0104b0 25 40 00 00 00 05 00 00 20 0104b0 25 40 00 00 00 01 00 00",
    ),
    ("ack_only_packets", "01 20 00001e 20 00001e 25 00 00 00 01"),
    (
        "new_reno_without_mtu_search",
        "07 20 0104b0 20 0104b0 25 00 00 00 00 29",
    ),
    (
        "ranges_with_gaps",
        "01 20 0104b0 20 0104b0 20 0104b0 20 0104b0 20 0104b0 20 0104b0 25 02 00 00 00 00 01 00 00",
    ),
];

/// Whether the first group is known; then steps, see the property.
const ORDER: &[(&str, &str)] = &[
    (
        "in_order",
        "01 00 00 00 00 05 00 00 01 05 04 00 02 00 01 00 05 09 00",
    ),
    (
        "groups_overtake",
        "01 00 00 01 00 05 00 00 00 05 09 00 04 00 01 09 00",
    ),
    (
        "a_hole_is_waited_for",
        "01 00 00 00 02 05 09 00 08 80989680 08 80989680",
    ),
    ("a_group_is_lost", "01 00 00 01 00 05 05 00 09 00"),
    ("joined_in_the_middle", "00 07 03 04 00 03 04 05 09 00"),
    (
        "quiet_then_more",
        "01 00 00 00 00 05 06 00 00 01 00 05 09 00 08 80989680",
    ),
    (
        "twice",
        "01 00 00 00 00 05 00 00 00 05 09 00 00 00 00 05 09 00",
    ),
    ("track_ends", "01 00 00 00 00 05 04 00 01 8a 00 09 00"),
    (
        "object_at_the_end_of_all_numbers",
        "01 00 07 00 ffffffffffffff00 00 00 ffffffffffffff00 05 09 00 00 00 ffffffffffffff00 05 09 00",
    ),
    (
        "group_at_the_end_of_all_numbers",
        "00 00 ffffffffffffff00 00 05 04 ffffffffffffff00 01 09 00 00 ffffffffffffff00 01 05 09 00",
    ),
];

const URLS: &[(&str, &str)] = &[
    (
        "name_port_path_query",
        "moqt://relay.example:4443/live/room?jwt=x",
    ),
    ("ipv4", "moqt://192.0.2.1"),
    ("ipv6_with_port", "MOQT://[2001:db8::1]:443/"),
    ("ipv6_without_bracket", "moqt://[2001:db8::1"),
    ("query_alone", "moqt://a?b"),
    ("user", "moqt://user@host"),
    ("fragment", "moqt://host/a#b"),
    ("port_zero", "moqt://host:0"),
    ("port_with_sign", "moqt://host:+80"),
    ("no_host", "moqt://:80/"),
    ("other_scheme", "https://host"),
    ("path_of_names", "a/b//c"),
];

/// Headers and frames that are not what they say.
const IVF: &[(&str, &str)] = &[
    ("other_signature", "444b4947 0000 2000"),
    (
        "frame_too_long",
        "444b4946 0000 2000 56503830 4000 4000 1e000000 01000000 01000000 00000000 ffffffff 0000000000000000",
    ),
    (
        "frame_of_16_mib_in_a_file_of_four_bytes_more",
        "444b4946 0000 2000 56503830 4000 4000 1e000000 01000000 01000000 00000000 00000001 0000000000000000 61626364",
    ),
    (
        "time_base_zero",
        "444b4946 0000 2000 56503930 4000 4000 00000000 01000000 01000000 00000000",
    ),
    (
        "last_timestamp",
        "444b4946 0000 2000 41563031 4000 4000 01000000 ffffffff 01000000 00000000 02000000 ffffffffffffffff 1200",
    ),
];
