//! Peers that come and go, write, end, reset, stop and lose packets in any order: what arrives whole is
//! what was sent, nobody holds more than is allowed, and nothing is left when all have gone.

use std::collections::HashSet;

use quic_lite::wire::stream_id::{Dir, Side, StreamId};

use super::other::Other;
use super::world::World;
use crate::raw::{RawConfig, Role};
use crate::session::pipe::{deliver_packet, write};
use crate::track::PeerId;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.roll(of.len().max(1) as u64) as usize;
        of.get(at).copied()
    }
}

struct Chaos {
    dice: Dice,
    world: World,
    publishers: Vec<PeerId>,
    subscribers: Vec<PeerId>,
    /// Streams of publishers that have no end yet, and what they have so far.
    open: Vec<(PeerId, StreamId, Vec<u8>)>,
    ended: HashSet<Vec<u8>>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let config = RawConfig {
            max_pending: 50_000,
            max_kept: 30_000,
            max_blocked: 6,
            max_publishers: 3,
        };
        let mut world = World::new(config);
        world.ends.other = seed.is_multiple_of(2).then(Other::default);
        Self {
            dice: Dice(seed),
            world,
            publishers: Vec::new(),
            subscribers: Vec::new(),
            open: Vec::new(),
            ended: HashSet::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.roll(20) {
            0 if self.publishers.len() < 3 => {
                let publisher = self.world.publisher();
                self.publishers.push(publisher);
            }
            1 if self.subscribers.len() < 5 => {
                let (uni, data) = (self.dice.roll(8), 1 << (8 + self.dice.roll(10)));
                let subscriber = self.world.connect(Role::Subscriber, uni, data);
                self.subscribers.push(subscriber);
            }
            2 if self.dice.roll(10) == 0 => self.leave(),
            3..=6 => self.begin(),
            7..=11 => self.go_on(),
            12 => self.stop(),
            _ => self.travel(),
        }
        assert!(self.world.relay.kept <= 30_000);
    }

    fn leave(&mut self) {
        let all = [&self.publishers[..], &self.subscribers[..]].concat();
        if let Some(peer) = self.dice.pick(&all) {
            self.world.disconnect(peer);
            self.publishers.retain(|it| *it != peer);
            self.subscribers.retain(|it| *it != peer);
            self.open.retain(|(publisher, ..)| *publisher != peer);
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.dice.roll(6000);
        (0..length).map(|_| self.dice.roll(256) as u8).collect()
    }

    fn begin(&mut self) {
        let bytes = self.bytes();
        if let Some(peer) = self.dice.pick(&self.publishers) {
            let id = self.world.begin(peer, &bytes);
            self.open.push((peer, id, bytes));
        }
    }

    fn go_on(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.dice.roll(self.open.len() as u64) as usize;
        let (more, what) = (self.bytes(), self.dice.roll(4));
        let (peer, id, bytes) = &mut self.open[at];
        let streams = self.world.peers.get_mut(peer).expect("connected");
        match what {
            0 => streams.reset(*id, 9).expect("open"),
            1 => {
                bytes.extend_from_slice(&more);
                return streams.write_chunk(*id, more.into()).expect("open");
            }
            _ => {
                streams.finish(*id).expect("open");
                self.ended.insert(std::mem::take(bytes));
            }
        }
        self.open.swap_remove(at);
    }

    fn stop(&mut self) {
        if let Some(peer) = self.dice.pick(&self.subscribers) {
            let id = StreamId::new(Side::Server, Dir::Uni, self.dice.roll(30));
            let _ = self.world.at(peer).stop_sending(id, 3);
        }
    }

    /// Some packets of a connection arrive, in any order, and others are lost.
    fn travel(&mut self) {
        let all = [&self.publishers[..], &self.subscribers[..]].concat();
        let Some(peer) = self.dice.pick(&all) else {
            return;
        };
        let to_relay = self.dice.roll(2) == 0;
        let mut ours = self.world.ends.streams.remove(&peer).expect("connected");
        let mut theirs = self.world.peers.remove(&peer).expect("connected");
        let (from, to) = match to_relay {
            true => (&mut theirs, &mut ours),
            false => (&mut ours, &mut theirs),
        };
        let mut packets = Vec::new();
        while let Some(packet) = write(from).filter(|_| packets.len() < 12) {
            packets.push(packet);
        }
        while !packets.is_empty() {
            let next = self.dice.roll(packets.len() as u64) as usize;
            let (packet, sent) = packets.swap_remove(next);
            if self.dice.roll(5) == 0 {
                sent.iter().for_each(|frame| from.on_lost(frame));
                continue;
            }
            deliver_packet(to, &packet);
            sent.iter().for_each(|frame| from.on_acked(frame));
        }
        self.world.ends.streams.insert(peer, ours);
        self.world.peers.insert(peer, theirs);
        self.world.pump(peer);
        self.world.read(peer);
    }

    fn end(mut self) {
        self.world.settle();
        for (at, got) in &self.world.got {
            assert!(
                !got.ended || self.ended.contains(&got.bytes),
                "{at:?}: {} bytes",
                got.bytes.len()
            );
        }
        for peer in [self.publishers, self.subscribers].concat() {
            self.world.disconnect(peer);
        }
        self.world.is_clean();
        assert!(self.world.relay.is_empty());
        if let Some(other) = &self.world.ends.other {
            assert!(other.fed.is_empty() && other.members.is_empty());
        }
    }
}

#[test]
fn what_arrives_whole_is_what_was_sent_and_nothing_is_left() {
    let mut whole = 0;
    for seed in 1..=300 {
        println!("SEED {seed}");
        let mut chaos = Chaos::new(seed);
        (0..400).for_each(|_| chaos.step());
        whole += chaos.world.got.values().filter(|got| got.ended).count();
        chaos.end();
    }
    assert!(whole > 1_000, "{whole}");
}
