//! Seeds of a relay and its peers: scenes of publishers and subscribers (draft-ietf-moq-transport-18 §9, §10).

use super::{Seed, named};

/// All of them. A line is a step: who, on which stream, how many bytes, which.
pub fn seeds() -> Vec<Seed> {
    let scenes = SCENES.map(|(name, scenes)| (name, scenes.concat()));
    let mut all = Vec::new();
    for (name, scene) in &scenes {
        all.extend(named("relay", &[(*name, scene)]));
    }
    all
}

const SCENES: [(&str, &[&str]); 14] = [
    ("live", &[OFFER, SUBSCRIBE, ACCEPT, GROUP, DATAGRAM]),
    ("subscriber_first", &[SUBSCRIBE, OFFER, ACCEPT, GROUP]),
    (
        "joining_late",
        &[OFFER, SUBSCRIBE, ACCEPT, GROUP, SECOND, FETCH],
    ),
    (
        "fetch_alone",
        &[OFFER, SUBSCRIBE, ACCEPT, GROUP, FETCH, WAIT],
    ),
    (
        "refused",
        &[OFFER, SUBSCRIBE, "00 02 08 05 0005 10 00 02 6e6f"],
    ),
    (
        "publisher_leaves",
        &[
            OFFER, SUBSCRIBE, ACCEPT, GROUP, "0b", WAIT, OFFER, ACCEPT, GROUP,
        ],
    ),
    (
        "subscriber_leaves",
        &[OFFER, SUBSCRIBE, ACCEPT, GROUP, "1b", WAIT],
    ),
    (
        "published",
        &[PUBLISH, SUBSCRIBE, "20 01 08 30 03 01 00 03 616263", WAIT],
    ),
    (
        "watchers",
        &[
            "10 00 08 50 0005 00 01 01 61 00",
            "20 04 08 51 0005 02 01 01 61 00",
            OFFER,
            PUBLISH,
        ],
    ),
    (
        "done",
        &[
            OFFER,
            SUBSCRIBE,
            ACCEPT,
            GROUP,
            "00 02 06 0b 0003 02 02 00",
            WAIT,
            WAIT,
        ],
    ),
    ("never_answered", &[OFFER, SUBSCRIBE, "0c ffff", SECOND]),
    (
        "cancelled",
        &[
            OFFER, SUBSCRIBE, ACCEPT, "18 80 01", "18 00 01", GROUP, WAIT,
        ],
    ),
    (
        "goaway",
        &[OFFER, SUBSCRIBE, ACCEPT, "00 03 06 10 0003 01 75 00", GROUP],
    ),
    (
        "nobody_knows_the_alias",
        &[
            "00 01 08 30 07 01 00 03 616263",
            "09 06 08 07 01 02 6162",
            WAIT,
        ],
    ),
];

/// PUBLISH_NAMESPACE of `a` by the first.
const OFFER: &str = "00 00 08 06 0005 00 01 01 61 00";
/// SUBSCRIBE to `v` of `a` by the second; and the third.
const SUBSCRIBE: &str = "10 00 0c 03 0009 00 01 01 61 01 76 01 10 01";
const SECOND: &str = "20 00 0c 03 0009 00 01 01 61 01 76 01 10 01";
/// SUBSCRIBE_OK with alias 9 by the first.
const ACCEPT: &str = "00 02 0a 04 0007 09 01 09 01 02 0e 05";
/// A group of two objects, and its end.
const GROUP: &str = "00 81 0b 30 09 01 00 03 616263 00 01 64";
/// An object by itself.
const DATAGRAM: &str = "09 06 08 09 01 02 6162";
/// FETCH of the start of `v`, by the second.
const FETCH: &str = "10 04 0f 16 000c 02 01 01 01 61 01 76 01 00 02 00 00";
/// PUBLISH of `v` of `a` with alias 3 by the third.
const PUBLISH: &str = "20 00 0d 1d 000a 00 01 01 61 01 76 03 00 0e 05";
/// Six seconds.
const WAIT: &str = "0c 1770";
