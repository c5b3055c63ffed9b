//! Seeds of the codec: the RFCs' own packets, and one of each frame, header and transport parameter (RFC 9000,
//! RFC 9001 A).

use super::{Seed, named};

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let mut all = named("varint", VARINT);
    all.extend(named("packet_number", PACKET_NUMBERS));
    all.extend(named("frames_roundtrip", FRAMES));
    all.extend(named("transport_params", TRANSPORT_PARAMS));
    all.extend(named("packet_header", HEADERS));
    all.extend(named("coalesced_datagram", DATAGRAMS));
    for target in ["packet_header", "coalesced_datagram"] {
        // Connection IDs of eight bytes, then the packet.
        all.extend(named(target, PACKETS).into_iter().map(|seed| Seed {
            bytes: [&[8][..], &seed.bytes].concat(),
            ..seed
        }));
    }
    all
}

/// RFC 9000 A.2 and A.3: acknowledged, ahead of it, arrived, and whether anything was acknowledged.
const PACKET_NUMBERS: &[(&str, &str)] = &[
    ("rfc9000_a2_two_bytes", "80abe8b3 5f47 00 01"),
    ("rfc9000_a2_three_bytes", "80abe8b3 8002ac4a 00 01"),
    ("nothing_acknowledged", "00 25 00 00"),
    ("four_bytes", "00 bfffffff 25 01"),
    ("at_the_largest", "fffffffffffffffe 00 00 01"),
    ("arrived_far_ahead", "00 05 ffffffffffffffff 01"),
];

/// RFC 9000 A.1, and the edges.
const VARINT: &[(&str, &str)] = &[
    ("rfc9000_a1_eight_bytes", "c2197c5eff14e88c"),
    ("rfc9000_a1_four_bytes", "9d7f3e7d"),
    ("rfc9000_a1_two_bytes", "7bbd"),
    ("rfc9000_a1_one_byte", "25"),
    ("rfc9000_a1_not_minimal", "4025"),
    ("largest", "ffffffffffffffff"),
    ("truncated", "c2197c5e"),
];

/// RFC 9001 A.2 to A.5, as they are on the wire.
const PACKETS: &[(&str, &str)] = &[
    (
        "rfc9001_a2_client_initial",
        include_str!("../../../tests/vectors/rfc9001/a2_client_initial.protected.hex"),
    ),
    (
        "rfc9001_a3_server_initial",
        include_str!("../../../tests/vectors/rfc9001/a3_server_initial.protected.hex"),
    ),
    (
        "rfc9001_a4_retry",
        include_str!("../../../tests/vectors/rfc9001/a4_retry.hex"),
    ),
    (
        "rfc9001_a5_short",
        include_str!("../../../tests/vectors/rfc9001/a5_chacha20_short.protected.hex"),
    ),
];

/// The first byte is the length of our connection IDs.
const HEADERS: &[(&str, &str)] = &[
    (
        "version_negotiation",
        "08 c5 00000000 02 0102 01 03 00000001 1a2a3a4a",
    ),
    (
        "unknown_version_long_ids",
        "08 80 faceb00c 15 000102030405060708090a0b0c0d0e0f1011121314 01 09 ffff",
    ),
    ("zero_rtt", "08 d0 00000001 04 01020304 00 4005 0000000000"),
    (
        "handshake_length_not_minimal",
        "08 e0 00000001 04 01020304 01 05 c000000000000003 000000",
    ),
    (
        "initial_with_token",
        "08 c0 00000001 04 01020304 00 03 aabbcc 02 0000",
    ),
    (
        "initial_token_beyond_packet",
        "08 c0 00000001 04 01020304 00 ffffffffffffffff 02 0000",
    ),
    (
        "length_beyond_packet",
        "08 e0 00000001 04 01020304 00 7fff 00",
    ),
    ("fixed_bit_zero", "08 80 00000001 04 01020304 00 02 0000"),
    ("short_with_empty_id", "00 40 00112233"),
    ("short_spinning", "04 61 01020304 0007 001122"),
];

/// The first byte is the length of our connection IDs.
const DATAGRAMS: &[(&str, &str)] = &[
    (
        "initial_handshake_short",
        "04 c0 00000001 04 01020304 00 00 05 0000000000 e0 00000001 04 01020304 00 06 000000000000 40 01020304 00112233",
    ),
    (
        "other_destination_follows",
        "04 e0 00000001 04 01020304 00 02 0000 e0 00000001 04 01020305 00 02 0000",
    ),
    (
        "padding_follows",
        "04 e0 00000001 04 01020304 00 02 0000 000000000000",
    ),
    (
        "truncated_second",
        "04 e0 00000001 04 01020304 00 02 0000 e0 00000001 04 01020304 00 09 0000",
    ),
    (
        "retry_behind_handshake",
        "04 e0 00000001 04 01020304 00 02 0000 f0 00000001 04 01020304 00 00112233445566778899aabbccddeeff",
    ),
    (
        "zero_length_packets",
        "00 e0 00000001 00 00 00 e0 00000001 00 00 00 e0 00000001 00 00 00",
    ),
];

/// Frames of each type.
pub const FRAMES: &[(&str, &str)] = &[
    ("padding", "000000"),
    ("ping", "01"),
    ("ack", "02 09 19 01 02 01 01"),
    ("ack_ecn", "03 05 00 00 01 01 02 4040"),
    (
        "ack_whole_number_space",
        "02 ffffffffffffffff 00 00 ffffffffffffffff",
    ),
    ("ack_below_zero", "02 03 00 01 02 00 00"),
    (
        "ack_count_beyond_payload",
        "02 09 00 ffffffffffffffff 00 00 00",
    ),
    ("reset_stream", "04 04 4041 09"),
    ("stop_sending", "05 04 07"),
    ("crypto", "06 03 02 0809"),
    ("crypto_beyond_largest_offset", "06 ffffffffffffffff 01 00"),
    ("new_token", "07 02 aabb"),
    ("new_token_empty", "07 00"),
    ("stream_to_end_of_packet", "08 04 6869"),
    ("stream_offset_length_fin", "0f 04 07 02 6869"),
    ("stream_explicit_zero_offset", "0e 04 00 01 09"),
    ("stream_empty_fin", "0b 04 00"),
    ("max_data", "10 05"),
    ("max_stream_data", "11 04 05"),
    ("max_streams_bidi", "12 05"),
    ("max_streams_uni_largest", "13 d000000000000000"),
    ("max_streams_beyond_largest", "13 d000000000000001"),
    ("data_blocked", "14 05"),
    ("stream_data_blocked", "15 04 05"),
    ("streams_blocked_bidi", "16 05"),
    ("streams_blocked_uni", "17 05"),
    (
        "new_connection_id",
        "18 02 01 02 abcd 05050505050505050505050505050505",
    ),
    (
        "new_connection_id_retires_itself",
        "18 01 02 01 ab 05050505050505050505050505050505",
    ),
    (
        "new_connection_id_empty",
        "18 02 01 00 05050505050505050505050505050505",
    ),
    ("retire_connection_id", "19 03"),
    ("path_challenge", "1a 0102030405060708"),
    ("path_response", "1b 0102030405060708"),
    ("connection_close_transport", "1c 0a 06 02 6e6f"),
    ("connection_close_crypto_error", "1c 4128 06 00"),
    ("connection_close_application_not_utf8", "1d 4099 03 ff0a22"),
    ("handshake_done", "1e"),
    ("immediate_ack", "1f"),
    ("datagram_to_end_of_packet", "30 0102"),
    ("datagram_with_length", "31 02 0809"),
    ("ack_frequency", "40af 01 0a 800061a8 03"),
    ("type_not_minimal", "4001"),
    ("type_truncated", "40"),
    ("type_unknown", "20"),
    (
        "several",
        "02 09 19 01 02 01 01 0f 04 07 02 6869 1e 10 4400 00000000",
    ),
];

/// The first byte is the sender: even for a client, odd for a server.
const TRANSPORT_PARAMS: &[(&str, &str)] = &[
    ("client_defaults", "00"),
    (
        "client_rfc9001_a2",
        "00 0408ffffffffffffffff 05048000ffff 07048000ffff 080110 010480007530 090110 0f088394c8f03e515708 06048000ffff",
    ),
    (
        "server_typical",
        "01 00088394c8f03e515708 010480007530 0210000102030405060708090a0b0c0d0e0f 030245ac 040480100000 0e0104 0f0401020304 20048000ffff",
    ),
    (
        "server_preferred_address",
        "01 0d2d c0000201 01bb 20010db8000000000000000000000001 1151 04 01020304 06060606060606060606060606060606",
    ),
    (
        "server_preferred_address_without_id",
        "01 0d29 000000000000 000000000000000000000000000000000000 00 06060606060606060606060606060606",
    ),
    ("server_retry_source", "01 1003 aabbcc"),
    ("min_ack_delay", "01 c0000000ff04de1b 02 43e8"),
    ("min_ack_delay_above_max", "01 c0000000ff04de1b 04 80010000"),
    ("disable_1rtt_encryption", "00 8000baad 00"),
    ("reserved", "00 40b6 03 010203"),
    ("twice", "00 040105 040105"),
    (
        "token_from_client",
        "00 0210000102030405060708090a0b0c0d0e0f",
    ),
    ("integer_with_rest", "00 04020505"),
    ("flag_with_value", "00 0c0100"),
    ("payload_size_too_small", "00 030244af"),
    ("exponent_too_large", "00 0a0115"),
    ("ack_delay_too_large", "00 0b0480004000"),
    ("connection_id_limit_too_small", "00 0e0101"),
    ("length_beyond_end", "00 04ffffffffffffffff"),
];
