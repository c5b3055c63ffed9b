//! A publisher and its subscribers, for tests of whoever forwards between them. No RFC.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test takes of it what it needs"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use relay_ebpf_common::aead;
use relay_ebpf_common::chacha20::header_protection_mask;
use relay_ebpf_common::layout::{AliasKey, Member, Pad, Slot, flag, role, state};
use relay_ebpf_common::number;
use relay_ebpf_common::pad;
use relay_ebpf_common::scratch::{TEXT_WORDS, Text};
use relay_ebpf_common::short_header::ShortHeader;
use relay_ebpf_common::word::Word;
use relay_ebpf_loader::{Engine, Memory, frame};

/// The publisher's slot.
pub const PUBLISHER: u32 = 0;
/// The track that all are members of.
pub const TRACK: u32 = 0;
/// Its alias at the publisher.
pub const ALIAS: u64 = 5;
/// The connection ID that the publisher sends to.
pub const CID: [u8; 8] = *b"ourcid!!";
/// The port of ours.
pub const PORT: u16 = 4433;
/// The generation of all slots.
pub const GENERATION: u64 = 3;
/// When all happens.
pub const NOW: u64 = 1_000_000_000;

/// All who take part.
pub struct World {
    pub memory: Arc<Memory>,
    pub local: SocketAddr,
}

impl World {
    /// A publisher, and nobody else.
    pub fn new(engine: &dyn Engine, is_ipv4: bool) -> Self {
        let memory = Arc::clone(engine.memory());
        let local = address(is_ipv4, 0, PORT);
        memory.config().port.store(u64::from(PORT));
        memory.config().alive_until.store(u64::MAX);
        let world = Self { memory, local };
        world.slot(PUBLISHER, role::PUBLISHER);
        engine.set_cid(CID, PUBLISHER).expect("room");
        let key = AliasKey {
            slot: u64::from(PUBLISHER),
            alias: ALIAS,
        };
        engine.set_alias(key, TRACK).expect("room");
        world
    }

    pub fn is_ipv4(&self) -> bool {
        self.local.is_ipv4()
    }

    /// Where a slot's peer is.
    pub fn remote(&self, slot: u32) -> SocketAddr {
        address(self.is_ipv4(), slot + 1, 5000 + slot as u16)
    }

    fn slot(&self, index: u32, role: u64) {
        let slot = self.memory.slot(index);
        let remote = self.remote(index);
        slot.role.store(role);
        slot.family.store(if self.is_ipv4() { 4 } else { 6 });
        store(&slot.local_ip, &frame::address(self.local.ip()));
        store(&slot.remote_ip, &frame::address(remote.ip()));
        let ports = u64::from(PORT) << 16 | u64::from(remote.port());
        slot.ports.store(ports);
        let seed = u64::from(index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let keys = slot.key.iter().chain(&slot.hp).chain([&slot.iv[0]]);
        for (place, word) in keys.enumerate() {
            word.store(seed.rotate_left(place as u32 * 5));
        }
        slot.iv[1].store(seed & 0xffff_ffff);
        slot.state.store(GENERATION << 8 | state::ACTIVE);
    }

    /// A subscriber in this slot, who may be sent anything; returns its place among the members.
    pub fn subscribe(&self, index: u32) -> &Member {
        self.slot(index, role::SUBSCRIBER);
        let slot = self.memory.slot(index);
        slot.macs[0].store(0x0201_0605_0403_0202);
        slot.macs[1].store(0x0605_0403);
        store(&slot.cid, &[0x0807_0605_0403_0201, u64::from(index), 0]);
        slot.cid_len.store(9);
        slot.max_udp_payload.store(1500);
        for limit in [
            &slot.limit,
            &slot.data_limit,
            &slot.streams_limit,
            &slot.stream_limit,
        ] {
            limit.store(1 << 30);
        }
        let member = self.memory.member(TRACK, index - 1);
        member.generation.store(GENERATION);
        member.alias.store(Member::SAME_ALIAS);
        member.first_group.store(0);
        member.last_group.store(u64::MAX);
        member.slot.store(u64::from(index) + 1);
        let members = &self.memory.track(TRACK).members;
        members.store(members.load().max(u64::from(index)));
        member
    }

    /// Leaves the pad of a number in a slot.
    pub fn put_pad(&self, slot: u32, number: u64) {
        let keys = self.memory.slot(slot);
        let pad = self.memory.pad(slot, number);
        pad::fill(pad, &keys.key, &keys.iv, number, 1472);
    }

    /// A packet of the publisher with these frames.
    pub fn packet(&self, number: u64, frames: &[u8]) -> Vec<u8> {
        let phase = self.memory.slot(PUBLISHER).phase.load();
        self.sealed(0x40 | (phase as u8) << 2, number, 2, frames)
    }

    /// The same, with this first byte but for the packet number's length.
    pub fn sealed(&self, first: u8, number: u64, number_len: u64, frames: &[u8]) -> Vec<u8> {
        let slot = self.memory.slot(PUBLISHER);
        let cid = [u64::from_le_bytes(CID), 0, 0];
        let header = ShortHeader::new(first | (number_len - 1) as u8, cid, 8, number, number_len);
        let len = frames.len() as u64;
        let (mut plain, mut text) = ([0; TEXT_WORDS], [0; TEXT_WORDS]);
        frame::load(frames, &mut plain);
        let mut tag = 0;
        let mut protected = header;
        if slot.flags.load() & flag::CLEAR == 0 {
            aead::seal(&filled(slot, number), &header, &plain, len, &mut text);
            let (low, high) = header.sample(&text);
            protected = header.protect(header_protection_mask(&slot.hp, low, high));
            tag = 16;
        } else {
            text = plain;
        }
        let mut packet = frame::bytes(&protected.words(), &[])[..header.size() as usize].to_vec();
        packet.extend_from_slice(&frame::bytes(&text, &[])[..frames.len() + tag]);
        packet
    }

    /// What a subscriber makes of a datagram, if it is authentic: packet number and frames.
    pub fn opened(&self, index: u32, datagram: &[u8]) -> Option<(u64, Vec<u8>)> {
        let slot = self.memory.slot(index);
        let cid_len = slot.cid_len.load();
        let mut start = [0; 4];
        frame::load(datagram, &mut start);
        let number_at = 1 + cid_len as usize;
        assert_eq!(datagram[1..9], slot.cid[0].load().to_le_bytes());
        if slot.flags.load() & flag::CLEAR != 0 {
            let (header, number) = ShortHeader::unprotect(start, cid_len, 0);
            return Some((
                u64::from(number),
                datagram[header.size() as usize..].to_vec(),
            ));
        }
        let mut sample = [0; 2];
        frame::load(&datagram[number_at + 4..number_at + 20], &mut sample);
        let mask = header_protection_mask(&slot.hp, sample[0], sample[1]);
        let (header, truncated) = ShortHeader::unprotect(start, cid_len, mask);
        let expected = slot.largest_acked.load();
        let number = number::decode(expected, truncated, header.number_len());
        let (mut cipher, mut plain): (Text, Text) = ([0; TEXT_WORDS], [0; TEXT_WORDS]);
        let sealed = &datagram[header.size() as usize..];
        frame::load(sealed, &mut cipher);
        let len = sealed.len() - 16;
        aead::open(
            &filled(slot, number),
            &header,
            &cipher,
            len as u64,
            &mut plain,
        )
        .then(|| (number, frame::bytes(&plain, &[])[..len].to_vec()))
    }
}

/// A pad made from a slot's keys.
pub fn filled(slot: &Slot, number: u64) -> Pad {
    let pad = Pad::empty();
    pad::fill(&pad, &slot.key, &slot.iv, number, 1472);
    pad
}

/// A STREAM frame with offset and length.
pub fn stream(id: u64, offset: u16, fin: bool, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x0e | u8::from(fin)];
    bytes.extend((0x4000 | id as u16).to_be_bytes());
    bytes.extend((0x4000 | offset).to_be_bytes());
    bytes.extend((0x4000 | data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A DATAGRAM frame with length: an object of this group.
pub fn object(alias: u64, group: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x31];
    bytes.extend((0x4000 | (payload.len() + 4) as u16).to_be_bytes());
    bytes.extend([0x00, alias as u8, group, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The beginning of a subgroup's stream.
pub fn subgroup(alias: u64, group: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x30, alias as u8, group];
    bytes.extend_from_slice(payload);
    bytes
}

fn address(is_ipv4: bool, host: u32, port: u16) -> SocketAddr {
    let ip: IpAddr = if is_ipv4 {
        Ipv4Addr::new(10, 77, 0, host as u8 + 1).into()
    } else {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host as u16 + 1).into()
    };
    SocketAddr::new(ip, port)
}

fn store(words: &[Word], values: &[u64]) {
    for (word, value) in words.iter().zip(values) {
        word.store(*value);
    }
}
