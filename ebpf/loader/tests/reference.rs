//! Random packets: the programs' planner makes of them what a plain reference does, or leaves them. No RFC.

#[path = "support/reference.rs"]
mod reference;
#[path = "support/world.rs"]
mod world;

use reference::{Reference, Wish, given_up};
use relay_ebpf_loader::layout::{AliasKey, Member};
use relay_ebpf_loader::{Engine, Sizes, Twin};
use world::{ALIAS, NOW, PUBLISHER, TRACK, World};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// An integer with one of the lengths that it may have (RFC 9000 §16).
    fn integer(&mut self, value: u64) -> Vec<u8> {
        let lens: &[usize] = match value {
            0..64 => &[1, 1, 1, 2, 4, 8],
            64..16_384 => &[2, 2, 4, 8],
            _ => &[4, 8],
        };
        let len = self.one_of(lens);
        let value = value | (len.ilog2() as u64) << (8 * len - 2);
        value.to_be_bytes()[8 - len..].to_vec()
    }

    /// A vi64 of any length from the shortest on, for values below 64.
    fn vi64(&mut self, value: u8) -> Vec<u8> {
        let len = self.one_of(&[1, 1, 1, 2, 3, 8, 9]);
        let mut bytes = vec![0; len];
        bytes[0] = u8::MAX.checked_shl(9 - len as u32).unwrap_or(0);
        *bytes.last_mut().expect("it has one") |= value;
        if len == 9 {
            bytes[0] = 0xff;
        }
        bytes
    }

    fn media(&mut self) -> Vec<u8> {
        let len = self.one_of(&[0, 1, 5, 9, 40, 100]);
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// What a stream or a datagram begins with: most often an object of a known track.
    fn heading(&mut self, kinds: &[u8]) -> Vec<u8> {
        let kind = self.one_of(kinds);
        let (alias, group) = (self.one_of(&[5, 5, 5, 6, 7]), self.below(12) as u8);
        [self.vi64(kind & 0x3f), self.vi64(alias), self.vi64(group)].concat()
    }

    fn frame(&mut self) -> Vec<u8> {
        let number = self.below(100);
        match self.below(12) {
            0..5 => self.stream(),
            5..8 => {
                let object = [self.heading(&[0, 1, 4, 8, 0x20, 0x22]), self.media()].concat();
                let len = self.integer(object.len() as u64);
                [vec![0x31], len, object].concat()
            }
            8 => vec![0; 1 + self.below(70) as usize],
            9 => [&[2], &self.integer(number)[..], &[1, 1, 3, 1, 2]].concat(),
            10 => [&[0x10], &self.integer(number)[..]].concat(),
            _ => self
                .one_of(&[&[1][..], &[0x1e], &[0x06, 1, 2, 9, 9], &[0x19, 2]])
                .to_vec(),
        }
    }

    fn stream(&mut self) -> Vec<u8> {
        let id = self.below(30) << 2 | self.one_of(&[2, 2, 2, 2, 0]);
        let begins = self.below(2) == 0;
        let data = if begins {
            [self.heading(&[0x30, 0x14, 0x39, 0x3a, 0x05]), self.media()].concat()
        } else {
            self.media()
        };
        let fin = self.below(2) as u8;
        let offset = if begins {
            0
        } else {
            self.one_of(&[1, 17, 18, 300])
        };
        let (id, offset) = (self.integer(id), self.integer(offset));
        let len = self.integer(data.len() as u64);
        [vec![0x0e | fin], id, offset, len, data].concat()
    }

    /// Some frames; sometimes the last has no length, sometimes a bit is wrong.
    fn payload(&mut self) -> Vec<u8> {
        let count = 1 + self.below(5);
        let mut payload: Vec<u8> = (0..count).flat_map(|_| self.frame()).collect();
        match self.below(6) {
            0 => {
                payload.extend([0x08, 0x40, 0x22, 0x30, 5, 4]);
                payload.extend(self.media());
            }
            1 => {
                payload.extend([0x30, 0x00, 5, 4]);
                payload.extend(self.media());
            }
            2 => {
                let bit = self.below(payload.len() as u64 * 8) as usize;
                payload[bit / 8] ^= 1 << (bit % 8);
            }
            _ => {}
        }
        payload.truncate(1400);
        payload
    }
}

#[test]
fn random_packets_become_what_the_reference_says() {
    let (mut copies, mut refused) = (0, 0);
    for seed in 0..200 {
        let mut random = Random(seed);
        let wish = Wish {
            groups: (2, 9),
            alias: random.one_of(&[None, Some(9), Some(99), Some(1000)]),
        };
        let (sent, left) = compare(seed, &mut random, &wish);
        copies += sent;
        refused += left;
    }
    assert!(copies > 1000 && refused > 1000, "{copies} {refused}");
}

/// A publisher's life: how many of its packets were copied, and how many not.
fn compare(seed: u64, random: &mut Random, wish: &Wish) -> (usize, usize) {
    let sizes = Sizes {
        slots: 2,
        tracks: 2,
    };
    let twin = Twin::new(sizes).expect("memory");
    let world = World::new(&twin, true);
    let member = world.subscribe(1);
    member.alias.store(wish.alias.unwrap_or(Member::SAME_ALIAS));
    member.first_group.store(wish.groups.0);
    member.last_group.store(wish.groups.1);
    let (slot, alias) = (u64::from(PUBLISHER), ALIAS + 1);
    twin.set_alias(AliasKey { slot, alias }, TRACK + 1)
        .expect("room");
    let tracks = [(ALIAS, u64::from(TRACK)), (alias, u64::from(TRACK) + 1)];
    let mut reference = Reference::default();
    let (mut sent, mut left) = (0, 0);
    for number in 0..200 {
        let payload = random.payload();
        let packet = world.packet(number, &payload);
        let before = given_up(&twin);
        let copies = twin.ingress(NOW, world.local, world.remote(PUBLISHER), &packet);
        let subscriber = world.memory.slot(1);
        let next = subscriber.next_number.load();
        subscriber.consumed.store(next);
        subscriber.largest_acked.store(next);
        let copy = copies.first().map(|copy| {
            let opened = world.opened(1, &copy.datagram);
            opened.expect("it is authentic").1
        });
        let expected = reference.copy(&payload, &tracks, wish);
        if given_up(&twin) > before {
            // The reference has more room; from here on they know different streams.
            assert_eq!(copy, None);
            break;
        }
        assert!(
            copy == expected,
            "seed {seed}, packet {number}: {payload:x?}\n{copy:x?}\n{expected:x?}"
        );
        match copy {
            Some(_) => sent += 1,
            None => left += 1,
        }
    }
    (sent, left)
}
