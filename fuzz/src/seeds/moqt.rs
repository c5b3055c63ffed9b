//! Seeds of MOQT: one of each message, stream and datagram (draft-ietf-moq-transport-18 §10, §11).

use super::{Seed, named};

/// All of them. A session gets the messages on the stream that they belong on.
pub fn seeds() -> Vec<Seed> {
    let mut all = named("moqt_control", MESSAGES);
    for (stream, prefix, names) in STREAMS {
        for (name, bytes) in MESSAGES.iter().filter(|(name, _)| names.contains(name)) {
            let name = format!("{stream}_{name}");
            all.extend(named(
                "moqt_session",
                &[(&name, &format!("{prefix} {bytes}"))],
            ));
        }
    }
    for (name, bytes) in SUBGROUPS {
        all.extend(named("moqt_data", &[(*name, &format!("03 09 {bytes}"))]));
        all.extend(named("moqt_session", &[(*name, &format!("07 05 {bytes}"))]));
    }
    for (name, bytes) in DATAGRAMS {
        all.extend(named("moqt_datagram", &[(*name, &format!("4063 {bytes}"))]));
    }
    all.extend(named("moqt_fetch", FETCHES));
    all
}

const MESSAGES: &[(&str, &str)] = &[
    ("setup", "af00 0000"),
    (
        "setup_all_options",
        "af00 0016 01 05 2f6c697665 02 03 03 00 74 01 00 01 03 683a31 02 01 71",
    ),
    ("goaway", "10 0003 01 75 00"),
    ("goaway_request", "10 0003 00 07 04"),
    ("request_ok", "07 0001 00"),
    ("publish_ok", "1e 0003 01 10 01"),
    ("request_error", "05 0005 10 00 02 6e6f"),
    (
        "request_error_redirect",
        "05 000a 34 01 00 01 75 01 01 61 01 76",
    ),
    ("request_error_reason_not_utf8", "05 0007 10 00 04 ff80fe61"),
    ("request_update", "02 0004 04 01 10 01"),
    ("subscribe", "03 0009 02 01 01 61 01 76 01 10 01"),
    (
        "subscribe_all_parameters",
        "03 001d 02 01 01 61 01 76 07 02 0a 01 03 03 00 74 01 14 0c 01 10 80 01 02 04 05 01 01 10 07",
    ),
    ("subscribe_ok", "04 0007 09 01 09 01 02 0e 05"),
    ("track_status", "0d 0009 02 01 01 61 01 76 01 10 01"),
    ("publish", "1d 000a 00 01 01 61 01 76 03 00 0e 05"),
    ("publish_done", "0b 0003 02 02 00"),
    (
        "fetch_standalone",
        "16 000c 02 01 01 01 61 01 76 01 02 03 00 00",
    ),
    ("fetch_relative", "16 0005 02 02 00 01 00"),
    ("fetch_absolute", "16 0005 02 03 00 01 00"),
    ("fetch_ok", "18 0004 01 03 04 00"),
    ("publish_namespace", "06 0005 02 01 01 61 00"),
    ("subscribe_namespace", "50 0005 02 01 01 61 00"),
    ("subscribe_tracks", "51 0005 02 01 01 61 00"),
    ("namespace", "08 0001 00"),
    ("namespace_done", "0e 0001 00"),
    ("publish_blocked", "0f 0005 01 01 61 01 76"),
    ("unknown_type", "01 0000"),
    ("body_too_long", "0b 0004 02 02 00 00"),
    ("type_not_minimal", "8007 0001 00"),
    ("two_messages", "07 0001 00 0b 0003 02 02 00"),
];

/// Which messages a session gets on which stream, and how that is said.
const STREAMS: [(&str, &str, &[&str]); 3] = [
    (
        "control",
        "00 03",
        &["setup", "goaway", "goaway_request", "subscribe"],
    ),
    (
        "request",
        "05 03",
        &[
            "subscribe",
            "subscribe_all_parameters",
            "track_status",
            "publish",
            "fetch_standalone",
            "publish_namespace",
            "subscribe_namespace",
            "subscribe_tracks",
        ],
    ),
    (
        "answer",
        "06 03",
        &[
            "request_ok",
            "request_error",
            "request_update",
            "subscribe_ok",
            "publish_done",
            "namespace",
            "publish_blocked",
            "body_too_long",
            "two_messages",
        ],
    ),
];

/// Alias 5 is known to the session.
const SUBGROUPS: &[(&str, &str)] = &[
    (
        "subgroup_of_the_draft",
        "14 02 00 00 00 00 04 61626364 00 04 65666768",
    ),
    ("subgroup_default_priority", "30 05 01 00 03 616263"),
    (
        "subgroup_properties",
        "11 05 01 00 03 02 02 05 01 61 00 00 00 00",
    ),
    ("subgroup_first_object", "52 05 01 07 04 02 6161"),
    ("subgroup_end_of_group", "38 05 01 00 01 61 00 00 03"),
    ("subgroup_end_of_track", "30 05 01 02 00 04"),
    ("subgroup_status_unknown", "30 05 01 00 00 01"),
    (
        "subgroup_properties_with_status",
        "31 05 01 00 02 02 05 00 03",
    ),
    (
        "subgroup_object_id_overflow",
        "30 05 01 ffffffffffffffffff 01 61 00 01 61",
    ),
    (
        "subgroup_payload_beyond_a_stream",
        "30 05 01 00 ffffffffffffffffff",
    ),
    (
        "subgroup_alias_in_nine_bytes",
        "30 ff0000000000000005 01 00 01 61",
    ),
    ("fetch_stream", "05 00 1c 01 02 80 01 61"),
    ("padding_stream", "f0132b3e28 000000"),
    ("unknown_stream", "0f 00"),
];

/// The alias that is patched in comes before it.
const DATAGRAMS: &[(&str, &str)] = &[
    ("full", "03 01 02 03 04 02 02 05 7879"),
    ("bare_status", "2c 01 02 04"),
    ("object_zero", "04 05 01 80 6162"),
    ("default_priority", "08 05 01 02 6162"),
    ("padding", "f0132b3e29 000000"),
    ("empty_properties", "01 01 02 03 04 00 78"),
    ("status_and_end_of_group", "22 01 02 03 04 03"),
    ("alias_in_nine_bytes", "00 ff0000000000000005 01 02 80 61"),
];

/// The order comes before it.
const FETCHES: &[(&str, &str)] = &[
    ("two_objects", "00 05 02 1c 01 00 80 01 61 00 01 62"),
    ("next_group", "00 05 02 1c 01 00 80 01 61 08 00 01 62"),
    ("descending", "01 05 02 1c 05 00 80 01 61 08 00 01 62"),
    (
        "explicit_subgroup",
        "00 05 02 1f 01 09 00 80 01 61 01 01 62 02 01 63",
    ),
    ("datagram_object", "00 05 02 5c 01 00 80 01 61"),
    ("properties", "00 05 02 3c 01 00 80 02 02 05 01 61"),
    ("end_non_existent", "00 05 02 808c 01 05"),
    ("end_unknown", "00 05 02 810c 01 05"),
    ("refers_to_nothing", "00 05 02 00 01 61"),
    ("invalid_flags", "00 05 02 8080"),
    (
        "group_overflow",
        "00 05 02 1c ffffffffffffffffff 00 80 00 08 00 00",
    ),
];
