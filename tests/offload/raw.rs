//! The raw protocol with a kernel beside the relay: every stream and datagram of a publisher comes once,
//! byte for byte, whoever sends it. No RFC; the protocol is defined in `relay/src/raw.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use integration::for_each_seed;
use quic_lite::connection::{Connection, Event};
use quic_lite::stream::{ReadChunk, StreamEvent};
use quic_lite::wire::stream_id::{Dir, StreamId};
use quic_relay::raw::{PUBLISHER, SUBSCRIBER, code};

use super::client::Part;
use super::world::{Settings, World};

/// What came to a client of the raw protocol.
#[derive(Debug, Default)]
pub struct Raw {
    /// The bytes of each stream, and how it ended.
    pub streams: BTreeMap<StreamId, (Vec<u8>, How)>,
    /// Datagrams.
    pub datagrams: Vec<Vec<u8>>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// Not yet.
    #[default]
    Open,
    /// Whole.
    Whole,
    /// It was reset.
    Reset(u64),
}

impl Raw {
    /// Takes what happened.
    pub fn on_event(&mut self, connection: &mut Connection, event: Event) {
        match event {
            Event::Stream(StreamEvent::Readable(id)) => self.read(connection, id),
            Event::DatagramReceived => {
                let next = || connection.receive_datagram();
                let datagrams = std::iter::from_fn(next).map(|datagram| datagram.to_vec());
                self.datagrams.extend(datagrams);
            }
            _ => {}
        }
    }

    fn read(&mut self, connection: &mut Connection, id: StreamId) {
        let (bytes, how) = self.streams.entry(id).or_default();
        while *how == How::Open {
            match connection.read_chunk(id).unwrap() {
                ReadChunk::Chunk { chunk, .. } => bytes.extend_from_slice(&chunk),
                ReadChunk::Blocked => return,
                ReadChunk::Finished => *how = How::Whole,
                ReadChunk::Reset(code) => *how = How::Reset(code),
            }
        }
    }
}

/// A message; it begins with its number.
fn message(number: u32) -> Vec<u8> {
    let length = 4 + number.wrapping_mul(7919) % 3000;
    let byte = |at: u32| (number + at + (at >> 7)) as u8;
    let body = (4..length).map(byte);
    number.to_be_bytes().into_iter().chain(body).collect()
}

/// A message that fits a datagram.
fn short(number: u32) -> Vec<u8> {
    let mut bytes = message(number);
    bytes.truncate(900);
    bytes
}

fn send(world: &mut World, publisher: usize, number: u32) {
    let id = loop {
        let connection = world.clients[publisher].connection().unwrap();
        match connection.open(Dir::Uni) {
            Some(id) => break id,
            None => world.run(Duration::from_millis(1)),
        }
    };
    let connection = world.clients[publisher].connection().unwrap();
    connection.write_chunk(id, message(number).into()).unwrap();
    connection.finish(id).unwrap();
}

/// The messages that came whole, sorted.
fn whole(world: &World, client: usize) -> Vec<Vec<u8>> {
    let streams = world.clients[client].raw.streams.values();
    let whole = streams.filter(|(_, how)| *how == How::Whole);
    let mut messages: Vec<_> = whole.map(|(bytes, _)| bytes.clone()).collect();
    messages.sort();
    messages
}

/// Each of these messages came once, and no other.
#[track_caller]
fn check(world: &World, client: usize, numbers: core::ops::Range<u32>) {
    let came = whole(world, client);
    assert_eq!(came.len(), numbers.len(), "client {client}");
    for (number, bytes) in numbers.zip(came) {
        assert!(bytes == message(number), "client {client}: {number}");
    }
}

#[test]
fn streams_of_all_sizes_come_once_through_loss() {
    for_each_seed(6, |seed| {
        let settings = Settings::new(seed).with_loss(seed % 3, seed % 4);
        let mut world = World::new(settings);
        let publisher = world.join(Part::Raw(PUBLISHER));
        let subscribers = [(); 3].map(|()| world.join(Part::Raw(SUBSCRIBER)));
        world.run(Duration::from_millis(100));
        for number in 0..300 {
            send(&mut world, publisher, number);
            world.run(Duration::from_millis(2));
        }
        world.run(Duration::from_secs(3));
        for place in subscribers {
            check(&world, place, 0..300);
            let (kernel, userspace) = world.packets(place);
            println!("{seed}: {kernel} from the kernel, {userspace} from userspace");
            // A window that losses keep small is often used up.
            let enough = if seed % 3 == 0 { 400 } else { 40 };
            assert!(kernel > enough, "{kernel} {userspace}");
            assert_eq!(world.reason(place), None);
        }
    });
}

#[test]
fn raw_datagrams_come_once() {
    for_each_seed(4, |seed| {
        let mut world = World::new(Settings::new(seed));
        let publisher = world.join(Part::Raw(PUBLISHER));
        let subscribers = [(); 2].map(|()| world.join(Part::Raw(SUBSCRIBER)));
        world.run(Duration::from_millis(100));
        for number in 0..300 {
            let connection = world.clients[publisher].connection().unwrap();
            connection.send_datagram(&short(number)).unwrap();
            if world.random(3) > 0 {
                world.run(Duration::from_millis(1));
            }
        }
        world.run(Duration::from_secs(1));
        for place in subscribers {
            let mut came = world.clients[place].raw.datagrams.clone();
            came.sort();
            assert_eq!(came.len(), 300);
            assert!((0..).zip(&came).all(|(number, it)| *it == short(number)));
            let (kernel, userspace) = world.packets(place);
            println!("{seed}: {kernel} from the kernel, {userspace} from userspace");
            assert!(kernel > 200, "{kernel} {userspace}");
        }
    });
}

#[test]
fn several_publishers_share_the_channel_and_one_may_leave() {
    for_each_seed(3, |seed| {
        let mut world = World::new(Settings::new(seed).with_loss(1, 2));
        let publishers = [(); 2].map(|()| world.join(Part::Raw(PUBLISHER)));
        let subscriber = world.join(Part::Raw(SUBSCRIBER));
        world.run(Duration::from_millis(100));
        for number in 0..100 {
            send(&mut world, publishers[(number % 2) as usize], number);
            world.run(Duration::from_millis(2));
        }
        world.run(Duration::from_secs(1));
        let connection = world.clients[publishers[0]].connection().unwrap();
        let half = connection.open(Dir::Uni).unwrap();
        connection.write(half, b"half").unwrap();
        world.run(Duration::from_millis(100));
        let now = world.now;
        world.clients[publishers[0]].close(now);
        world.run(Duration::from_millis(100));
        for number in 100..200 {
            send(&mut world, publishers[1], number);
            world.run(Duration::from_millis(2));
        }
        world.run(Duration::from_secs(2));
        check(&world, subscriber, 0..200);
        let mut streams = world.clients[subscriber].raw.streams.values();
        assert!(streams.any(|(_, how)| *how == How::Reset(code::PUBLISHER_GONE)));
        let (kernel, userspace) = world.packets(subscriber);
        assert!(kernel > 100, "{kernel} {userspace}");
    });
}

#[test]
fn a_late_raw_subscriber_gets_whole_streams_from_its_coming_on() {
    for_each_seed(3, |seed| {
        let mut world = World::new(Settings::new(seed));
        let publisher = world.join(Part::Raw(PUBLISHER));
        let early = world.join(Part::Raw(SUBSCRIBER));
        let connection = world.clients[publisher].connection().unwrap();
        let long = connection.open(Dir::Uni).unwrap();
        let mut number = 0;
        let mut go_on = |world: &mut World, until: u32| {
            while number < until {
                let connection = world.clients[publisher].connection().unwrap();
                connection.write(long, &[number as u8; 100]).unwrap();
                world.run(Duration::from_millis(1));
                send(world, publisher, number);
                number += 1;
                world.run(Duration::from_millis(2));
            }
        };
        go_on(&mut world, 60);
        let late = world.begin_to_join(Part::Raw(SUBSCRIBER));
        go_on(&mut world, 300);
        let connection = world.clients[publisher].connection().unwrap();
        connection.finish(long).unwrap();
        world.run(Duration::from_secs(2));
        assert_eq!(whole(&world, early).len(), 301);
        let came = whole(&world, late);
        let first = 300 - came.len() as u32;
        assert!((60..150).contains(&first), "{first}");
        check(&world, late, first..300);
        let (kernel, userspace) = world.packets(late);
        assert!(kernel > 100, "{kernel} {userspace}");
    });
}

#[test]
fn a_subscriber_with_little_stream_credit_misses_nothing() {
    for_each_seed(3, |seed| {
        let mut settings = Settings::new(seed).with_loss(1, 1);
        // Credit comes back late: streams wait for it in the relay.
        settings.up.delay = Duration::from_millis(30);
        let mut world = World::new(settings);
        let publisher = world.join(Part::Raw(PUBLISHER));
        let subscriber = world.join(Part::RawNarrow(SUBSCRIBER));
        world.run(Duration::from_millis(100));
        for number in 0..600 {
            send(&mut world, publisher, number);
            world.run(Duration::from_millis(2));
        }
        world.run(Duration::from_secs(10));
        check(&world, subscriber, 0..600);
        let (kernel, userspace) = world.packets(subscriber);
        println!("{seed}: {kernel} from the kernel, {userspace} from userspace");
        assert_eq!(world.server.counters().shed_streams, 0);
    });
}

#[test]
fn keys_of_raw_peers_may_change_at_any_time() {
    for_each_seed(3, |seed| {
        let mut world = World::new(Settings::new(seed).with_loss(seed % 3, 2));
        let publisher = world.join(Part::Raw(PUBLISHER));
        let subscriber = world.join(Part::Raw(SUBSCRIBER));
        world.run(Duration::from_millis(100));
        let mut updates = 0;
        for number in 0..600 {
            send(&mut world, publisher, number);
            world.run(Duration::from_millis(2));
            let place = [publisher, subscriber][world.random(2) as usize];
            let updated = match world.random(40) {
                0 => world.served(place).unwrap().1.force_key_update(),
                1 => world.clients[place]
                    .connection()
                    .unwrap()
                    .force_key_update(),
                _ => false,
            };
            updates += u32::from(updated);
        }
        world.run(Duration::from_secs(3));
        check(&world, subscriber, 0..600);
        let (kernel, userspace) = world.packets(subscriber);
        println!("{seed}: {updates} updates, {kernel} from the kernel, {userspace} from userspace");
        assert!(
            updates > 5 && kernel > 100,
            "{updates} {kernel} {userspace}"
        );
    });
}

#[test]
fn raw_peers_that_come_and_go_leave_nothing_behind() {
    for_each_seed(3, |seed| {
        let mut settings = Settings::new(seed).with_loss(1, 2);
        settings.slots = 24;
        let mut world = World::new(settings);
        let publisher = world.join(Part::Raw(PUBLISHER));
        let steady = world.join(Part::Raw(SUBSCRIBER));
        let mut here = Vec::new();
        for number in 0..800 {
            send(&mut world, publisher, number);
            world.run(Duration::from_millis(2));
            let now = world.now;
            match world.random(30) {
                0 if here.len() < 8 => {
                    let alpn = [PUBLISHER, SUBSCRIBER, SUBSCRIBER][world.random(3) as usize];
                    here.push(world.begin_to_join(Part::Raw(alpn)));
                }
                1 if !here.is_empty() => {
                    let at = world.random(here.len() as u64) as usize;
                    let place = here.swap_remove(at);
                    world.clients[place].close(now);
                }
                _ => {}
            }
        }
        world.run(Duration::from_secs(3));
        check(&world, steady, 0..800);
        for place in 0..world.clients.len() {
            let mut came = whole(&world, place);
            came.dedup();
            assert_eq!(came.len(), whole(&world, place).len(), "twice at {place}");
            let is_right = |bytes: &Vec<u8>| (0..800).any(|number| *bytes == message(number));
            assert!(came.iter().all(is_right), "altered at {place}");
        }
        println!(
            "{seed}: {} came, {} copies",
            world.clients.len(),
            world.copies
        );
        let now = world.now;
        (0..world.clients.len()).for_each(|it| world.clients[it].close(now));
        world.run(Duration::from_secs(60));
        assert!(world.endpoint.is_idle());
        assert_eq!(world.server.offloader().unwrap().slots().0, 0);
        assert_eq!(world.server.counters().peers, 0);
    });
}
