//! The seven variants of the interop cases that the runner lacks, for the kernel path; `doc/interop.md` has their list,
//! with the tests that ask the same of a real kernel. RFC 9000 §9, §10.3, §12.3; RFC 9001 §6; RFC 9002 §6.

use std::collections::BTreeSet;
use std::time::Duration;

use integration::for_each_seed;
use integration::network::address;
use quic_lite::Side;
use quic_lite::wire::frame::Frame;
use quic_relay::offload::Reason;

use super::client::{Name, Part};
use super::media::{AUDIO, VIDEO, check, expected, payload, publish, publisher, subscriber, write};
use super::wire::{Piece, Wire};
use super::world::{Settings, World};
use quic_relay::moqt::Location;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The pieces of all streams, each with those that brought some of the same bytes before it.
fn repeats(wire: &Wire, from: Side) -> Vec<(Piece, Vec<Piece>)> {
    let mut found = Vec::new();
    for pieces in wire.pieces(from).into_values() {
        for (at, piece) in pieces.iter().enumerate() {
            let overlaps = |it: &&Piece| it.start < piece.end && piece.start < it.end;
            let before = pieces[..at].iter().filter(overlaps).copied().collect();
            found.push((*piece, before));
        }
    }
    found
}

/// A stream moves from the kernel to userspace and back; another one, which begins with what the relay has of it, to the
/// kernel first. Without a pause, and no byte is sent twice; that no packet number is, the observer asserts.
#[test]
fn fp_handover() {
    for_each_seed(4, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let early = world.join(subscriber());
        let late = world.join(Part::Subscribe(vec![(AUDIO, 128)]));
        let stream = world.clients[0].begin("video", 0).unwrap();
        let begun = world.now;
        for id in 0..300 {
            match id {
                20 => world.clients[late].subscribe(VIDEO, 128),
                150 => world.server.offloader_mut().unwrap().switch(false),
                200 => world.server.offloader_mut().unwrap().switch(true),
                _ => {}
            }
            write(&mut world, (0, stream), VIDEO, (0, id), 300);
            world.run(MILLI);
        }
        world.clients[0].finish(stream);
        world.run(SECOND);
        for (place, changes) in [(early, 2), (late, 3)] {
            let client = &world.clients[place];
            check(client, VIDEO, 0..1, 300, 300);
            let mut pieces = repeats(&client.wire, Side::Server);
            // Not the control stream.
            pieces.retain(|(piece, _)| piece.at > begun);
            let twice = pieces.iter().find(|(_, before)| !before.is_empty());
            assert!(twice.is_none(), "{seed}: {twice:?}");
            let twos = || pieces.windows(2).map(|two| (two[0].0, two[1].0));
            let changed = twos().filter(|(a, b)| a.by_kernel != b.by_kernel).count();
            assert!(changed >= changes, "{seed}: {changed} handovers");
            let longest = twos().map(|(a, b)| b.at.since(a.at)).max().unwrap();
            println!("{seed}: {changed} handovers, no pause longer than {longest:?}");
            assert!(longest < 5 * MILLI, "{seed}: a pause of {longest:?}");
        }
    });
}

/// What the kernel has sent and is lost, userspace repeats; the kernel repeats nothing but what a publisher does.
#[test]
fn fp_loss() {
    for_each_seed(4, |seed| {
        let mut world = World::new(Settings::new(seed).with_loss(2, 0));
        world.join(publisher());
        let subscribers: Vec<usize> = (0..3).map(|_| world.join(subscriber())).collect();
        for group in 0..20 {
            publish(&mut world, "video", group, 60, 300);
        }
        world.run(5 * SECOND);
        let pieces = repeats(&world.clients[0].wire, Side::Client).into_iter();
        let repeated = pieces.filter(|(_, before)| !before.is_empty());
        let repeated: BTreeSet<_> = repeated.map(|(it, _)| (it.start, it.end)).collect();
        let mut repairs = 0;
        for place in subscribers {
            let client = &world.clients[place];
            check(client, VIDEO, 0..20, 60, 300);
            for (piece, before) in repeats(&client.wire, Side::Server) {
                let is_publishers = repeated.contains(&(piece.start, piece.end));
                let is_fine = !piece.by_kernel || before.is_empty() || is_publishers;
                assert!(is_fine, "{seed}: {piece:?} after {before:?}");
                let is_repair = !piece.by_kernel && before.iter().any(|it| it.by_kernel);
                repairs += u32::from(is_repair);
            }
        }
        println!("{seed}: userspace repeated {repairs} pieces of the kernel's");
        assert!(repairs > 10, "{seed}: {repairs}");
    });
}

/// Keys change on all sides at any time; the kernel sends under old and new ones, each in its phase.
#[test]
fn fp_keyupdate() {
    for_each_seed(4, |seed| {
        let mut world = World::new(Settings::new(seed).with_loss(seed % 3, 3));
        world.join(publisher());
        let subscribers: Vec<usize> = (0..2).map(|_| world.join(subscriber())).collect();
        let (mut updates, mut from_kernel) = (0, 0);
        for group in 0..60 {
            publish(&mut world, "video", group, 20, 300);
            let place = world.random(3) as usize;
            let updated = match world.random(2) {
                0 => world.clients[place]
                    .connection()
                    .unwrap()
                    .force_key_update(),
                _ => world.served(place).unwrap().1.force_key_update(),
            };
            updates += u32::from(updated);
        }
        world.run(3 * SECOND);
        for place in subscribers {
            check(&world.clients[place], VIDEO, 0..60, 20, 300);
            from_kernel += world.packets(place).0;
            let from_kernel = world.clients[place].wire.kernel_packets();
            let phases: BTreeSet<bool> = from_kernel.map(|packet| packet.key_phase).collect();
            assert_eq!(phases.len(), 2, "{seed}");
        }
        println!("{seed}: {updates} updates, {from_kernel} packets from the kernel");
        assert!(
            updates >= 10 && from_kernel > 1000,
            "{updates} {from_kernel}"
        );
    });
}

/// A subscriber's address changes while the kernel sends: userspace asks there first, and the kernel follows when the
/// answer has come.
#[test]
fn fp_rebind() {
    for_each_seed(4, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let place = world.join(subscriber());
        let mut before = 0;
        for group in 0..16 {
            if group % 4 == 3 {
                before = world.packets(place).0;
                let port = 9000 + 10 * seed as u16 + group as u16;
                world.clients[place].rebind(address(2, port));
                // One who only listens is found when he next says something.
                world.clients[place].connection().unwrap().ping();
            }
            publish(&mut world, "video", group, 30, 300);
        }
        world.run(2 * SECOND);
        let wire = &world.clients[place].wire;
        check(&world.clients[place], VIDEO, 0..16, 30, 300);
        assert_eq!(wire.tap.new_paths(), Ok(4), "{seed}");
        kernel_follows_the_answer(wire);
        let (kernel, userspace) = world.packets(place);
        println!("{seed}: {before} before, {kernel} from the kernel, {userspace} from userspace");
        assert!(kernel > before, "{kernel} after {before}");
        assert_eq!(world.reason(place), None);
    });
}

/// RFC 9000 §8.2: no packet of the kernel goes to a new address before the client has answered from there.
#[track_caller]
fn kernel_follows_the_answer(wire: &Wire) {
    let first = wire.tap.packets[0].client;
    for packet in wire
        .kernel_packets()
        .filter(|packet| packet.client != first)
    {
        let answers = |it: &integration::TappedPacket| {
            it.client == packet.client
                && it.time < packet.time
                && it.has(|frame| matches!(frame, Frame::PathResponse(_)))
        };
        assert!(wire.tap.from(Side::Client).any(answers), "{packet}");
    }
}

/// The relay is killed in the middle of a stream: its kernel stops with the lease, the next relay begins with
/// nothing, and whoever comes back is served by both again.
#[test]
fn fp_restart() {
    for_each_seed(3, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let place = world.join(subscriber());
        publish(&mut world, "video", 0, 30, 300);
        let stream = world.clients[0].begin("video", 1).unwrap();
        let go_on = |world: &mut World, ids: core::ops::Range<u64>| {
            for id in ids {
                write(world, (0, stream), VIDEO, (1, id), 300);
                world.run(MILLI);
            }
        };
        go_on(&mut world, 0..50);
        let alive = world.copies;
        world.kill();
        go_on(&mut world, 50..550);
        let copies = world.copies;
        assert!(copies > alive, "{seed}: the kernel did not go on at all");
        go_on(&mut world, 550..700);
        assert_eq!(world.copies, copies, "{seed}: forwarded without a lease");
        world.start_again();
        go_on(&mut world, 700..720);
        world.run(6 * SECOND);
        assert_eq!(world.copies, copies, "{seed}: forwarded for strangers");
        assert_eq!(world.server.offloader().unwrap().slots().0, 0);
        for place in [0, place] {
            let closed = world.clients[place].closed.as_deref().unwrap_or("open");
            assert!(closed.contains("stateless reset"), "{seed}: {closed}");
        }
        check(&world.clients[place], VIDEO, 0..1, 30, 300);
        begun_as_it_was_published(&world, place);
        serve_again(&mut world);
    });
}

/// What came of group 1 is what was published, as far as it goes.
#[track_caller]
fn begun_as_it_was_published(world: &World, place: usize) {
    let mut streams = world.clients[place].streams.values();
    let half = streams.find(|came| came.group == 1).unwrap();
    assert!(!half.is_whole && half.bytes.len() > 40 * 300);
    assert!(expected("video", 1, 720, 300).starts_with(&half.bytes));
}

/// A new publisher and a new subscriber, with the kernel.
#[track_caller]
fn serve_again(world: &mut World) {
    let next = world.join(publisher());
    world.clients.swap(0, next);
    world.swap_links(0, next);
    let place = world.join(subscriber());
    for group in 2..6 {
        publish(world, "video", group, 30, 300);
    }
    world.run(SECOND);
    check(&world.clients[place], VIDEO, 2..6, 30, 300);
    assert!(world.packets(place).0 > 60);
}

/// More subscribers than slots: the others are userspace's and miss nothing. A slot that becomes free is used.
#[test]
fn fp_mapfull() {
    for_each_seed(3, |seed| {
        let settings = Settings {
            slots: 3,
            ..Settings::new(seed)
        };
        let mut world = World::new(settings);
        world.join(publisher());
        let subscribers: Vec<usize> = (0..4).map(|_| world.join(subscriber())).collect();
        for group in 0..5 {
            publish(&mut world, "video", group, 30, 300);
        }
        world.run(SECOND);
        let reasons: Vec<_> = subscribers.iter().map(|it| world.reason(*it)).collect();
        let full = Some(Reason::MapFull);
        assert_eq!(reasons, [None, None, full, full]);
        for place in &subscribers {
            check(&world.clients[*place], VIDEO, 0..5, 30, 300);
            let from_kernel = world.clients[*place].wire.kernel_packets().count();
            assert_eq!(from_kernel > 0, world.reason(*place).is_none());
        }
        let now = world.now;
        world.clients[subscribers[0]].close(now);
        world.run(3 * SECOND);
        for group in 5..8 {
            publish(&mut world, "video", group, 30, 300);
        }
        world.run(SECOND);
        let reasons = subscribers[1..].iter().map(|it| world.reason(*it));
        assert_eq!(reasons.filter(Option::is_none).count(), 2);
        for place in &subscribers[1..] {
            check(&world.clients[*place], VIDEO, 0..8, 30, 300);
        }
    });
}

/// What a subscriber has got: every stream and every datagram, with whom they are from.
type Output = (Vec<(Name, u64, Vec<u8>)>, Vec<(Name, Location, Vec<u8>)>);

/// The same is published with the kernel, with the kernel switched off, and where no kernel can be: subscribers get the
/// same, bit for bit.
#[test]
fn fp_off() {
    for_each_seed(3, |seed| {
        let [on, off, without] = [(true, false), (false, false), (true, true)].map(|how| {
            let settings = Settings {
                is_blind: how.1,
                ..Settings::new(seed)
            };
            let mut world = World::new(settings);
            world.server.offloader_mut().unwrap().switch(how.0);
            output(&mut world)
        });
        println!("{seed}: {} packets from the kernel", on.1);
        assert!(on.1 > 500 && off.1 == 0 && without.1 == 0);
        assert!(on.0 == off.0 && on.0 == without.0, "{seed}: not the same");
    });
}

/// Publishes streams and datagrams to two subscribers. What they got, and how many packets from the kernel.
fn output(world: &mut World) -> (Vec<Output>, usize) {
    world.join(publisher());
    let subscribers = [(); 2].map(|()| world.join(subscriber()));
    for group in 0..10 {
        publish(world, "video", group, 40, 500);
        let bytes = payload("video", group, 900, 150);
        world.clients[0].send("video", Location::new(group, 900), &bytes);
    }
    world.run(SECOND);
    let from_kernel = subscribers.map(|it| world.clients[it].wire.kernel_packets().count());
    let outputs = subscribers.map(|it| {
        check(&world.clients[it], VIDEO, 0..10, 40, 500);
        let streams = world.clients[it].streams.iter();
        let mut streams: Vec<_> = streams
            .map(|((name, _), came)| (*name, came.group, came.bytes.clone()))
            .collect();
        streams.sort();
        let mut datagrams = world.clients[it].datagrams.clone();
        datagrams.sort();
        assert_eq!(datagrams.len(), 10);
        (streams, datagrams)
    });
    (outputs.into(), from_kernel.iter().sum())
}
