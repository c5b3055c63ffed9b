//! Nothing is forwarded for whoever may not have it, in the kernel or beside it; and a right that ends takes
//! the slot away. RFC 7519; MOQT draft-18 §10.2.2.

use std::time::Duration;

use integration::for_each_seed;
use quic_lite::wire::stream_id::StreamId;
use quic_relay::access::{AuthKey, Claims};
use quic_relay::offload::{Forwarding, Reason};
use quic_relay::raw;
use quic_relay::serve::RelayConfig;
use quic_relay::track::PeerId;

use super::client::Part;
use super::media::{VIDEO, check, payload, publish, publisher, subscriber};
use super::world::{Settings, World};

/// The time of day when a world begins, in seconds.
const BEGIN: u64 = 1_800_000_000;

fn key() -> AuthKey {
    AuthKey::read(b"the-relay-and-its-issuer-know-it").unwrap()
}

/// A relay that asks for tokens.
fn guarded(seed: u64) -> World {
    let config = RelayConfig {
        auth_key: Some(key()),
        ..RelayConfig::default()
    };
    let mut world = World::with(Settings::new(seed), config);
    let unix = BEGIN * 1_000_000 + world.now.as_micros();
    world.server.set_clock(world.now, unix);
    world
}

/// A client with a token that counts until so many seconds of the world's time have passed.
fn join(world: &mut World, part: Part, until: u64) -> usize {
    let place = world.begin_to_join(part);
    let live = || vec!["live".to_owned()];
    let claims = Claims {
        put: live(),
        get: live(),
        exp: Some(BEGIN + until),
        ..Claims::default()
    };
    let token = key().sign(&claims).unwrap();
    world.clients[place].show(&token);
    for _ in 0..100 {
        world.run(Duration::from_millis(10));
        if world.clients[place].accepted > 0 {
            return place;
        }
    }
    panic!("not accepted");
}

fn forwarding(world: &mut World, client: usize) -> Forwarding {
    let (handle, _) = world.served(client).unwrap();
    world.server.forwarding(PeerId(handle.0))
}

/// Streams of a client that are whole, and bytes of all.
fn came(world: &World, client: usize) -> (usize, usize) {
    let streams = world.clients[client].streams.values();
    let whole = streams.clone().filter(|came| came.is_whole).count();
    (whole, streams.map(|came| came.bytes.len()).sum())
}

/// Lets time pass until this second, and a moment less.
fn run_until(world: &mut World, second: u64) {
    let at = second * 1_000_000;
    let left = at.saturating_sub(world.now.as_micros() + 100);
    world.run(Duration::from_micros(left));
}

/// A group that is under way: each of its objects a millisecond after the other.
fn write(world: &mut World, stream: StreamId, ids: core::ops::Range<u64>) {
    for id in ids {
        world.clients[0].write(stream, &payload("video", 10, id, 1000));
        world.run(Duration::from_millis(1));
    }
}

#[test]
fn a_right_that_ends_takes_the_slot_away() {
    for_each_seed(3, |seed| {
        let mut world = guarded(seed);
        join(&mut world, publisher(), 3600);
        let leaves = join(&mut world, subscriber(), 5);
        let stays = join(&mut world, subscriber(), 3600);
        for group in 0..5 {
            publish(&mut world, "video", group, 30, 1000);
        }
        assert!(world.packets(leaves).0 > 50, "the kernel has served it");
        run_until(&mut world, 4);
        let stream = world.clients[0].begin("video", 10).unwrap();
        write(&mut world, stream, 0..50);
        run_until(&mut world, 5);
        assert!(forwarding(&mut world, leaves).slot.is_some());
        let before = world.packets(leaves).0;
        world.run(Duration::from_micros(100));
        // Now it is the second.
        world.forbid(leaves);
        let gone = forwarding(&mut world, leaves);
        assert_eq!(
            (gone.slot, gone.reason),
            (None, Some(Reason::NothingToForward))
        );
        write(&mut world, stream, 50..100);
        let (_, bytes) = came(&world, leaves);
        world.clients[0].finish(stream);
        for group in 11..14 {
            publish(&mut world, "video", group, 30, 1000);
        }
        world.run(Duration::from_secs(1));
        assert_eq!(world.packets(leaves).0, before);
        assert_eq!(came(&world, leaves), (5, bytes));
        let cut = |came: &&super::client::Came| came.is_reset && came.group == 10;
        assert_eq!(
            world.clients[leaves].streams.values().filter(cut).count(),
            1
        );
        check(&world.clients[stays], VIDEO, 0..5, 30, 1000);
        check(&world.clients[stays], VIDEO, 11..14, 30, 1000);
        assert!(forwarding(&mut world, stays).slot.is_some());
        // Without another token it is closed in the end.
        world.run(Duration::from_secs(10));
        let why = world.clients[leaves].closed.clone().unwrap_or_default();
        assert!(why.contains("the token has expired"), "{why}");
    });
}

#[test]
fn a_publishers_right_that_ends_stops_the_kernel() {
    for_each_seed(3, |seed| {
        let mut world = guarded(seed);
        let publishes = join(&mut world, publisher(), 3);
        let takes = join(&mut world, subscriber(), 3600);
        for group in 0..5 {
            publish(&mut world, "video", group, 30, 1000);
        }
        assert!(world.packets(takes).0 > 50, "the kernel has served it");
        run_until(&mut world, 3);
        assert!(forwarding(&mut world, publishes).slot.is_some());
        world.run(Duration::from_micros(100));
        assert_eq!(forwarding(&mut world, publishes).slot, None);
        world.forbid(takes);
        let before = came(&world, takes);
        for group in 20..25 {
            // What it sends before it hears of it, and after.
            let stream = world.clients[0].begin("video", group).unwrap();
            world.clients[0].write(stream, &payload("video", group, 0, 1000));
            world.run(Duration::from_millis(30));
        }
        assert_eq!(came(&world, takes), before);
    });
}

#[test]
fn who_has_no_token_is_unknown_to_the_kernel() {
    for_each_seed(3, |seed| {
        let mut world = guarded(seed);
        join(&mut world, publisher(), 3600);
        let takes = join(&mut world, subscriber(), 3600);
        let stranger = world.begin_to_join(subscriber());
        world.forbid(stranger);
        world.run(Duration::from_millis(100));
        for group in 0..5 {
            publish(&mut world, "video", group, 30, 1000);
        }
        world.run(Duration::from_millis(200));
        check(&world.clients[takes], VIDEO, 0..5, 30, 1000);
        assert!(world.packets(takes).0 > 50);
        assert_eq!(world.packets(stranger).0, 0);
        assert_eq!(came(&world, stranger), (0, 0));
        assert_eq!(forwarding(&mut world, stranger).slot, None);
    });
}

#[test]
fn the_raw_protocol_has_no_place_for_a_token() {
    for alpn in [raw::PUBLISHER, raw::SUBSCRIBER] {
        let mut world = guarded(1);
        let place = world.begin_to_join(Part::Raw(alpn));
        world.run(Duration::from_millis(200));
        let why = world.clients[place].closed.clone().unwrap_or_default();
        assert!(why.contains("no tokens in this protocol"), "{why}");
    }
}
