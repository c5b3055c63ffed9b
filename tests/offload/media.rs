//! What is published in these tests, and whether it came. MOQT draft-18 §2.

use std::time::Duration;

use quic_lite::wire::stream_id::StreamId;
use quic_relay::moqt::Location;

use super::client::{Client, Name, Part, object};
use super::world::World;

/// A track.
pub const VIDEO: Name = ("live/a", "video");
/// Another one of the same publisher.
pub const AUDIO: Name = ("live/a", "audio");

/// Who publishes both.
pub fn publisher() -> Part {
    Part::Publish("live/a", vec![("video", 1), ("audio", 2)])
}

/// Who takes the first.
pub fn subscriber() -> Part {
    Part::Subscribe(vec![(VIDEO, 128)])
}

/// The payload of an object: no period that is a power of two.
pub fn payload(track: &str, group: u64, object: u64, len: usize) -> Vec<u8> {
    let start = track.len() as u64 * 31 + group * 7 + object * 3;
    (0..len as u64)
        .map(|at| (start + at + (at >> 7)) as u8)
        .collect()
}

/// Publishes a group of so many objects of this size, one each millisecond.
pub fn publish(world: &mut World, track: &'static str, group: u64, objects: u64, len: usize) {
    let stream = world.clients[0].begin(track, group).unwrap();
    for id in 0..objects {
        world.clients[0].write(stream, &payload(track, group, id, len));
        world.run(Duration::from_millis(1));
    }
    world.clients[0].finish(stream);
}

/// Writes an object of a group of a client's.
pub fn write(
    world: &mut World,
    (client, stream): (usize, StreamId),
    track: Name,
    (group, id): (u64, u64),
    len: usize,
) {
    world.clients[client].write(stream, &payload(track.1, group, id, len));
}

/// What follows the header of such a group.
pub fn expected(track: &str, group: u64, objects: u64, len: usize) -> Vec<u8> {
    let one = |id: u64| object(id.checked_sub(1), &payload(track, group, id, len));
    (0..objects).flat_map(one).collect()
}

/// Checks that a subscriber has got these groups whole, once, and nothing else that is whole.
pub fn check(
    client: &Client,
    track: Name,
    groups: core::ops::Range<u64>,
    objects: u64,
    len: usize,
) {
    for group in groups {
        let of_it = client
            .streams
            .iter()
            .filter(|((name, _), came)| *name == track && came.group == group && !came.is_reset);
        let came: Vec<_> = of_it.map(|(_, came)| came).collect();
        assert_eq!(came.len(), 1, "{track:?} group {group}");
        assert!(came[0].is_whole, "{track:?} group {group} has no end");
        assert!(
            came[0].bytes == expected(track.1, group, objects, len),
            "{track:?} group {group} differs"
        );
    }
}

/// Checks that a subscriber has got 300 datagrams of each track, once.
pub fn check_datagrams(client: &Client) {
    let mut came = client.datagrams.clone();
    came.sort();
    for track in [VIDEO, AUDIO] {
        let of_it: Vec<_> = came.iter().filter(|(name, ..)| *name == track).collect();
        assert_eq!(of_it.len(), 300, "{track:?}");
        for (number, (_, location, bytes)) in (0..).zip(of_it) {
            assert_eq!(*location, Location::new(number / 10, number % 10));
            assert!(*bytes == payload(track.1, number / 10, number % 10, 150));
        }
    }
}
