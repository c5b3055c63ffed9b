//! Whatever happens to connections and to the kernel while it forwards. RFC 9000 §9, §10; RFC 9001 §6.

use std::time::Duration;

use integration::for_each_seed;
use quic_relay::moqt::Location;
use quic_relay::offload::Reason;

use super::client::{Name, Part};
use super::media::{AUDIO, VIDEO, check, payload, publish, publisher, subscriber, write};
use super::world::{Settings, World};

#[test]
fn aliases_that_collide_are_changed_in_place() {
    for_each_seed(2, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let other = world.join(Part::Publish("live/b", vec![("video", 1)]));
        let second: Name = ("live/b", "video");
        let place = world.join(Part::Subscribe(vec![(VIDEO, 128), (second, 128)]));
        for group in 0..6 {
            publish(&mut world, "video", group, 20, 300);
            let stream = world.clients[other].begin("video", group).unwrap();
            for id in 0..20 {
                write(&mut world, (other, stream), VIDEO, (group, id), 300);
                world.run(Duration::from_millis(1));
            }
            world.clients[other].finish(stream);
        }
        world.run(Duration::from_secs(1));
        let client = &world.clients[place];
        check(client, VIDEO, 0..6, 20, 300);
        check(client, second, 0..6, 20, 300);
        let alias = |name: Name| {
            let mut streams = client.streams.iter();
            let found = streams.find(|((track, _), _)| *track == name);
            found.unwrap().1.alias
        };
        assert_ne!(alias(VIDEO), alias(second));
        let (kernel, userspace) = world.packets(place);
        assert!(kernel > 180, "{kernel} {userspace}");
    });
}

#[test]
fn a_relay_that_stands_still_lets_nothing_be_forwarded_for_long() {
    let mut world = World::new(Settings::new(1));
    world.join(publisher());
    let place = world.join(subscriber());
    publish(&mut world, "video", 0, 30, 300);
    world.run(Duration::from_millis(100));
    world.is_stopped = true;
    publish(&mut world, "video", 1, 600, 300);
    let copies = world.copies;
    assert!(copies > 30);
    publish(&mut world, "video", 2, 100, 300);
    assert_eq!(world.copies, copies, "forwarded without a lease");
    world.is_stopped = false;
    world.run(Duration::from_secs(3));
    check(&world.clients[place], VIDEO, 1..2, 600, 300);
    check(&world.clients[place], VIDEO, 2..3, 100, 300);
    publish(&mut world, "video", 3, 100, 300);
    assert!(world.copies > copies);
}

#[test]
fn who_comes_and_goes_leaves_nothing_behind() {
    for_each_seed(3, |seed| {
        let settings = Settings {
            slots: 40,
            ..Settings::new(seed).with_loss(1, 2)
        };
        let mut world = World::new(settings);
        world.join(publisher());
        let steady = world.join(subscriber());
        let mut here: Vec<usize> = Vec::new();
        for group in 0..60 {
            let stream = world.clients[0].begin("video", group).unwrap();
            for id in 0..20 {
                write(&mut world, (0, stream), VIDEO, (group, id), 300);
                world.run(Duration::from_millis(1));
                come_or_go(&mut world, &mut here);
            }
            world.clients[0].finish(stream);
        }
        world.run(Duration::from_secs(3));
        check(&world.clients[steady], VIDEO, 0..60, 20, 300);
        println!(
            "{seed}: {} came, {} copies",
            world.clients.len(),
            world.copies
        );
        assert!(world.clients.len() > 20 && world.copies > 500);
        let now = world.now;
        (0..world.clients.len()).for_each(|it| world.clients[it].close(now));
        world.run(Duration::from_secs(60));
        assert!(world.endpoint.is_idle());
        assert_eq!(world.server.offloader().unwrap().slots().0, 0);
        assert_eq!(world.server.counters().violations, 0);
    });
}

#[test]
fn each_datagram_comes_once_while_the_audience_changes() {
    for_each_seed(4, |seed| {
        let settings = Settings {
            slots: 40,
            wait: Duration::from_millis(seed % 4 * 3),
            ..Settings::new(seed)
        };
        let mut world = World::new(settings);
        world.join(publisher());
        let steady = world.join(subscriber());
        let mut here: Vec<usize> = Vec::new();
        for number in 0..1200 {
            let location = Location::new(number / 10, number % 10);
            let bytes = payload("video", location.group, location.object, 150);
            world.clients[0].send("video", location, &bytes);
            world.run(Duration::from_millis(1));
            come_or_go(&mut world, &mut here);
        }
        world.run(Duration::from_secs(2));
        for client in &world.clients {
            let mut came = client.datagrams.clone();
            came.sort();
            let all = came.len();
            came.dedup();
            assert_eq!(came.len(), all, "nobody gets one twice");
        }
        let came = &world.clients[steady].datagrams;
        assert_eq!(came.len(), 1200, "who stays gets them all");
        let (kernel, _) = world.packets(steady);
        println!(
            "{seed}: {} came, {kernel} from the kernel",
            world.clients.len()
        );
        assert!(world.clients.len() > 20 && kernel > 400, "{kernel}");
    });
}

fn come_or_go(world: &mut World, here: &mut Vec<usize>) {
    match world.random(20) {
        0 if here.len() < 12 => here.push(world.begin_to_join(subscriber())),
        1 if !here.is_empty() => {
            let at = world.random(here.len() as u64) as usize;
            leave(world, here.swap_remove(at));
        }
        _ => {}
    }
}

/// A client is gone: without a word, so that the idle timeout finds it, in order, or because the relay wants it.
pub(super) fn leave(world: &mut World, place: usize) {
    let now = world.now;
    match world.random(3) {
        0 => world.down(place).blackhole = true,
        1 => world.clients[place].close(now),
        _ => {
            let handle = world.served(place).map(|(handle, _)| handle);
            if let Some(handle) = handle {
                world.close(handle);
            }
        }
    }
}

#[test]
fn a_publisher_that_is_replaced_hands_over() {
    for_each_seed(2, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let place = world.join(subscriber());
        for group in 0..4 {
            publish(&mut world, "video", group, 20, 300);
        }
        world.run(Duration::from_millis(100));
        let now = world.now;
        world.clients[0].close(now);
        world.run(Duration::from_millis(200));
        let next = world.join(publisher());
        world.clients.swap(0, next);
        world.swap_links(0, next);
        world.run(Duration::from_millis(500));
        let (before, _) = world.packets(place);
        for group in 4..8 {
            publish(&mut world, "video", group, 20, 300);
        }
        world.run(Duration::from_secs(1));
        check(&world.clients[place], VIDEO, 0..8, 20, 300);
        assert!(world.packets(place).0 >= before + 60);
    });
}

#[test]
fn the_better_priority_comes_first_through_a_narrow_link() {
    for_each_seed(3, |seed| {
        let mut settings = Settings::new(seed);
        settings.down.bandwidth = Some(3_000_000);
        settings.down.queue = 20;
        let mut world = World::new(settings);
        world.join(publisher());
        let place = world.join(Part::Subscribe(vec![(VIDEO, 200), (AUDIO, 10)]));
        let mut begun = Vec::new();
        for group in 0..40 {
            let video = world.clients[0].begin("video", group).unwrap();
            let audio = world.clients[0].begin("audio", group).unwrap();
            begun.push(world.now);
            for id in 0..20 {
                write(&mut world, (0, video), VIDEO, (group, id), 1000);
                write(&mut world, (0, audio), AUDIO, (group, id), 50);
                world.run(Duration::from_millis(2));
            }
            world.clients[0].finish(video);
            world.clients[0].finish(audio);
        }
        world.run(Duration::from_secs(10));
        check(&world.clients[place], AUDIO, 0..40, 20, 50);
        check(&world.clients[place], VIDEO, 0..40, 20, 1000);
        let late = |track: Name| {
            let streams = world.clients[place].streams.iter();
            let of_it = streams.filter(|((name, _), _)| *name == track);
            of_it
                .map(|(_, came)| came.at.since(begun[came.group as usize]))
                .max()
                .unwrap()
        };
        let (audio, video) = (late(AUDIO), late(VIDEO));
        println!("{seed}: audio at most {audio:?} late, video {video:?}");
        assert!(audio < Duration::from_millis(200) && audio * 3 < video);
    });
}

#[test]
fn a_fast_path_that_leads_nowhere_is_left() {
    for_each_seed(2, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let place = world.join(subscriber());
        world.is_astray = true;
        for group in 0..150 {
            publish(&mut world, "video", group, 20, 300);
        }
        world.run(Duration::from_secs(3));
        check(&world.clients[place], VIDEO, 0..150, 20, 300);
        assert_eq!(world.reason(place), Some(Reason::NoAckAfterHandover));
        let copies = world.copies;
        publish(&mut world, "video", 150, 20, 300);
        world.run(Duration::from_secs(1));
        check(&world.clients[place], VIDEO, 150..151, 20, 300);
        assert_eq!(world.copies, copies);
    });
}

#[test]
fn the_fast_path_may_be_switched_at_any_time() {
    for_each_seed(4, |seed| {
        let mut world = World::new(Settings::new(seed).with_loss(seed % 2, 3));
        world.join(publisher());
        let subscribers: Vec<usize> = (0..2).map(|_| world.join(subscriber())).collect();
        let mut is_on = true;
        for group in 0..50 {
            let stream = world.clients[0].begin("video", group).unwrap();
            for id in 0..20 {
                write(&mut world, (0, stream), VIDEO, (group, id), 300);
                world.run(Duration::from_millis(1));
                is_on ^= world.random(15) == 0;
                world.server.offloader_mut().unwrap().switch(is_on);
            }
            world.clients[0].finish(stream);
        }
        world.server.offloader_mut().unwrap().switch(false);
        world.run(Duration::from_secs(3));
        for place in subscribers {
            check(&world.clients[place], VIDEO, 0..50, 20, 300);
            let (kernel, userspace) = world.packets(place);
            println!("{seed}: {kernel} from the kernel, {userspace} from userspace");
            assert!(kernel > 100 && userspace > 100);
            assert_eq!(world.reason(place), Some(Reason::SwitchedOff));
        }
    });
}
