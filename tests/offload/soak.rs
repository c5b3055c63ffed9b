//! Everything at once, at random, with a kernel beside the relay: clients come, go, vanish, move and change keys, the fast
//! path is switched, the relay stands still. Who stays gets every byte once, and in the end nothing is left. RFC 9000,
//! RFC 9001; MOQT draft-18.

use std::time::Duration;

use integration::for_each_seed;
use integration::network::address;
use quic_lite::Side;

use super::changes::leave;
use super::client::Part;
use super::media::{AUDIO, VIDEO, check, publisher, subscriber, write};
use super::world::{Settings, World};

#[test]
fn whatever_happens_who_stays_gets_every_byte() {
    for_each_seed(4, |seed| {
        let mut world = World::new(settings(seed));
        world.join(publisher());
        let steady = [
            subscriber(),
            Part::Subscribe(vec![(VIDEO, 100), (AUDIO, 50)]),
        ];
        let steady = steady.map(|part| world.join(part));
        let mut others = Vec::new();
        for group in 0..GROUPS {
            publish_both(&mut world, group, |world| {
                disturb(world, &steady, &mut others)
            });
        }
        world.server.offloader_mut().unwrap().switch(true);
        // Long enough for the worst links to repeat what they lost.
        world.run(Duration::from_secs(60));
        for place in steady {
            check(&world.clients[place], VIDEO, 0..GROUPS, 20, 700);
        }
        check(&world.clients[steady[1]], AUDIO, 0..GROUPS, 20, 60);
        let (came, copies) = (world.clients.len(), world.copies);
        println!("{seed}: {came} came, {copies} copies of the kernel");
        assert!(copies > 100, "{seed}: {copies}");
        nothing_is_left(&mut world);
    });
}

/// Publishes a group of both tracks; between objects, something happens now and then.
fn publish_both(world: &mut World, group: u64, mut disturb: impl FnMut(&mut World)) {
    let streams = ["video", "audio"].map(|it| world.clients[0].begin(it, group).unwrap());
    for id in 0..20 {
        write(world, (0, streams[0]), VIDEO, (group, id), 700);
        write(world, (0, streams[1]), AUDIO, (group, id), 60);
        let pause = world.random(3000);
        world.run(Duration::from_micros(pause));
        if world.random(12) == 0 {
            disturb(world);
        }
    }
    for stream in streams {
        world.clients[0].finish(stream);
    }
}

fn settings(seed: u64) -> Settings {
    let mut settings = Settings::new(seed).with_loss(seed % 4, seed % 5);
    settings.wait = Duration::from_millis(seed * 7 % 30);
    settings.slots = 4 + (seed * 5 % 28) as u32;
    settings.up.delay = Duration::from_millis(1 + seed * 11 % 40);
    settings.down.delay = Duration::from_millis(1 + seed * 13 % 40);
    if seed.is_multiple_of(3) {
        settings.min_ack_delay = Some(Duration::from_millis(1));
    }
    if seed % 4 == 1 {
        settings.down.bandwidth = Some(20_000_000);
        settings.down.queue = 60;
    }
    settings
}

fn disturb(world: &mut World, steady: &[usize; 2], others: &mut Vec<usize>) {
    let steady = [0, steady[0], steady[1]][world.random(3) as usize];
    match world.random(10) {
        0 | 1 if others.len() < 8 => others.push(world.begin_to_join(subscriber())),
        2 if !others.is_empty() => {
            let at = world.random(others.len() as u64) as usize;
            leave(world, others.swap_remove(at));
        }
        3 | 4 => update(world, steady),
        5 => {
            let port = 10_000 + world.random(50_000) as u16;
            let client = &mut world.clients[steady];
            client.rebind(address(3, port));
            // One who only listens is found when he next says something.
            client.connection().unwrap().ping();
        }
        6 => {
            let is_on = world.random(3) > 0;
            world.server.offloader_mut().unwrap().switch(is_on);
        }
        7 => {
            // Longer than the lease, at times.
            world.is_stopped = true;
            let pause = world.random(700);
            world.run(Duration::from_millis(pause));
            world.is_stopped = false;
        }
        _ => {}
    }
}

/// At either end.
fn update(world: &mut World, place: usize) {
    let side = match world.random(2) {
        0 => Side::Client,
        _ => Side::Server,
    };
    let connection = match side {
        Side::Client => world.clients[place].connection(),
        // Not while it is looked for at another address.
        Side::Server => world.served(place).map(|(_, connection)| connection),
    };
    let _ = connection.map(|connection| connection.force_key_update());
}

#[track_caller]
fn nothing_is_left(world: &mut World) {
    let now = world.now;
    (0..world.clients.len()).for_each(|it| world.clients[it].close(now));
    world.run(Duration::from_secs(60));
    assert!(world.endpoint.is_idle());
    assert_eq!(world.server.offloader().unwrap().slots().0, 0);
    assert_eq!(world.server.counters().violations, 0);
}

const GROUPS: u64 = 60;
