//! One packet that arrives, in a world with one subscriber, and who forwards it: kernel or stand-in. No RFC.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test takes of it what it needs"
)]

use relay_ebpf_common::chacha20::header_protection_mask;
use relay_ebpf_common::headers::Outside;
use relay_ebpf_loader::layout::{Flow, Slot};
use relay_ebpf_loader::verdict::Reason;
use relay_ebpf_loader::{Engine, Kernel, Sizes, Twin, frame};

use crate::network::{Capture, index};
use crate::world::{ALIAS, NOW, PORT, PUBLISHER, World, object};

pub const SIZES: Sizes = Sizes {
    slots: 4,
    tracks: 2,
};
/// The subscriber's slot.
pub const SUBSCRIBER: u32 = 1;

/// A packet on its way to whoever forwards.
pub struct Case<'a> {
    pub world: World,
    pub engine: &'a dyn Engine,
    /// From Ethernet on.
    pub frame: Vec<u8>,
    pub is_gso: bool,
    /// Bytes at its end that cannot be reached. Stand-in.
    pub out_of_reach: usize,
    /// The look at a pad before which userspace replaces it, from one. Stand-in.
    pub replaced_at: u64,
}

impl<'a> Case<'a> {
    /// One that would be forwarded: a DATAGRAM of group 7, packet number 0.
    pub fn new(engine: &'a dyn Engine, is_ipv4: bool) -> Self {
        engine.memory().clear();
        let world = World::new(engine, is_ipv4);
        world.subscribe(SUBSCRIBER);
        let mut case = Self {
            world,
            engine,
            frame: Vec::new(),
            is_gso: false,
            out_of_reach: 0,
            replaced_at: 0,
        };
        case.frames(0, &object(ALIAS, 7, b"media"));
        case
    }

    /// Takes a packet with these frames instead.
    pub fn frames(&mut self, number: u64, frames: &[u8]) {
        let packet = self.world.packet(number, frames);
        self.datagram(&packet);
    }

    /// Takes this datagram instead.
    pub fn datagram(&mut self, datagram: &[u8]) {
        let (from, to) = (self.world.remote(PUBLISHER), self.world.local);
        let packet = frame::udp(from, to, datagram);
        self.packet(frame::ether_type(to), &packet);
    }

    /// Takes this packet instead.
    pub fn packet(&mut self, ether_type: u16, packet: &[u8]) {
        let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        self.frame = [&macs[..], &ether_type.to_be_bytes(), packet].concat();
    }

    /// The packet from its IP header on.
    pub fn ip(&mut self) -> &mut [u8] {
        &mut self.frame[14..]
    }

    /// The packet from its UDP header on.
    pub fn udp(&mut self) -> &mut [u8] {
        let headers = if self.world.is_ipv4() { 34 } else { 54 };
        &mut self.frame[headers..]
    }

    /// Who sends it to whom.
    pub fn flow(&self) -> Flow {
        let bytes = |ip| {
            let mut bytes = [0; 16];
            for (bytes, word) in bytes.chunks_mut(8).zip(frame::address(ip)) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            bytes
        };
        let remote = self.world.remote(PUBLISHER);
        Flow {
            local_ip: bytes(self.world.local.ip()),
            remote_ip: bytes(remote.ip()),
            ports: u64::from(PORT) << 16 | u64::from(remote.port()),
            family: if self.world.is_ipv4() { 4 } else { 6 },
        }
    }

    /// The Key Phase bit that its protected header is taken for.
    pub fn phase_of_datagram(&mut self) -> u64 {
        let (first, sample) = (self.udp()[8], self.udp()[21..37].to_vec());
        let mut words = [0; 2];
        frame::load(&sample, &mut words);
        let mask = header_protection_mask(&self.publisher().hp, words[0], words[1]);
        (u64::from(first) ^ mask) >> 2 & 1
    }

    /// The subscriber's slot.
    pub fn subscriber(&self) -> &Slot {
        self.world.memory.slot(SUBSCRIBER)
    }

    /// The publisher's slot.
    pub fn publisher(&self) -> &Slot {
        self.world.memory.slot(PUBLISHER)
    }

    /// How often something was counted.
    pub fn counted(&self, reason: Reason) -> u64 {
        self.engine.counters()[reason as usize].1
    }
}

/// Whoever forwards.
pub trait Rig {
    fn engine(&self) -> &dyn Engine;
    /// Has the packet arrive; the frames that it sends, at most `expected` if there are any.
    fn send(&self, case: &Case<'_>, expected: usize) -> Vec<Vec<u8>>;
}

impl Rig for Twin {
    fn engine(&self) -> &dyn Engine {
        self
    }

    fn send(&self, case: &Case<'_>, _: usize) -> Vec<Vec<u8>> {
        let packet = &case.frame[14..];
        let outside = Outside {
            ether_type: u16::from_be_bytes([case.frame[12], case.frame[13]]),
            len: packet.len() as u64,
            is_gso: case.is_gso,
        };
        self.replace_pad_at(case.replaced_at);
        let copies = self.packet(NOW, &outside, &packet[..packet.len() - case.out_of_reach]);
        copies.into_iter().map(|copy| copy.frame).collect()
    }
}

/// The kernel, with both ends of a cable.
pub struct Cable {
    kernel: Kernel,
    capture: Capture,
    left: u32,
}

impl Cable {
    pub fn new() -> Self {
        let mut kernel = Kernel::load(SIZES).unwrap_or_else(|why| panic!("{why}"));
        kernel.attach(&["left".into()]).expect("it is a veth");
        Self {
            kernel,
            capture: Capture::at("right"),
            left: index("left"),
        }
    }

    /// Has this packet arrive so many times.
    pub fn run_often(&self, program: &str, case: &Case<'_>, times: u32) {
        self.kernel
            .run(program, &case.frame, times)
            .expect("it runs");
    }

    /// Runs one of the programs with this packet, with a mark.
    pub fn run(&self, program: &str, case: &Case<'_>, mark: u32) -> i32 {
        // struct __sk_buff: mark is its third word; gso_size its forty-fifth, behind gso_segs and sk.
        let mut context = [0; 192];
        context[8..12].copy_from_slice(&mark.to_le_bytes());
        if case.is_gso {
            context[176..180].copy_from_slice(&1200_u32.to_le_bytes());
        }
        let run = self.kernel.run_in(program, &case.frame, &context, 1);
        run.expect("it runs").0 as i32
    }

    /// What has arrived, at most so many.
    pub fn arrived(&self, most: usize) -> Vec<Vec<u8>> {
        let from = PORT.to_be_bytes();
        let ports = |frame: &[u8]| match frame[12..14] {
            [8, 0] => frame.get(34..36) == Some(&from),
            _ => frame.get(54..56) == Some(&from),
        };
        let patience = if most == 0 { 5 } else { 2000 };
        self.capture.frames(most.max(1), patience, ports)
    }
}

impl Rig for Cable {
    fn engine(&self) -> &dyn Engine {
        &self.kernel
    }

    fn send(&self, case: &Case<'_>, expected: usize) -> Vec<Vec<u8>> {
        for slot in case.world.memory.slots() {
            if slot.ifindex.load() == 0 {
                slot.ifindex.store(u64::from(self.left));
            }
        }
        let verdict = self.run("qrelay_ingress", case, 0);
        assert_eq!(verdict, -1, "TCX_NEXT: it goes up");
        self.arrived(expected)
    }
}
