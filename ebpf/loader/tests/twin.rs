//! The stand-in forwards what a publisher sends: the logic that the programs share with it. No RFC.

#[path = "support/world.rs"]
mod world;

use relay_ebpf_loader::frame;
use relay_ebpf_loader::layout::{Member, SentUnit, Source, fate, outlet_index};
use relay_ebpf_loader::twin::Copy;
use relay_ebpf_loader::verdict::Reason;
use relay_ebpf_loader::{Engine, Sizes, Twin};
use world::{ALIAS, NOW, PUBLISHER, TRACK, World, object, stream, subgroup};

const SIZES: Sizes = Sizes {
    slots: 8,
    tracks: 2,
};

fn twin() -> Twin {
    Twin::new(SIZES).expect("memory")
}

fn send(twin: &Twin, world: &World, packet: &[u8]) -> Vec<Copy> {
    twin.ingress(NOW, world.local, world.remote(PUBLISHER), packet)
}

fn counted(twin: &Twin, reason: Reason) -> u64 {
    twin.counters()[reason as usize].1
}

#[test]
fn a_datagram_reaches_every_subscriber() {
    for is_ipv4 in [true, false] {
        let twin = twin();
        let world = World::new(&twin, is_ipv4);
        for slot in 1..=3 {
            world.subscribe(slot);
        }
        let frames = object(ALIAS, 7, b"some media");
        let headers = if is_ipv4 { 14 + 28 } else { 14 + 48 };
        for number in 0..5 {
            let copies = send(&twin, &world, &world.packet(number, &frames));
            assert_eq!(copies.len(), 3);
            for copy in copies {
                let opened = world.opened(copy.slot, &copy.datagram);
                assert_eq!(opened, Some((number, frames.clone())));
                let slot = world.memory.slot(copy.slot);
                assert_eq!(slot.spent.load(), slot.bytes.load());
                let packet = frame::udp(world.local, world.remote(copy.slot), &copy.datagram);
                assert_eq!(copy.frame[headers - 8..], packet[headers - 22..]);
            }
        }
        assert_eq!(counted(&twin, Reason::Sent), 15);
        assert_eq!(counted(&twin, Reason::Forwarded), 5);
        assert_eq!(world.memory.track(TRACK).copies.load(), 15);
        for slot in 0..4 {
            assert_eq!(world.memory.slot(slot).busy.load(), 0);
        }
    }
}

#[test]
fn a_stream_gets_an_id_of_each_subscriber() {
    let twin = twin();
    let world = World::new(&twin, true);
    world.subscribe(1);
    world.subscribe(2);
    world.memory.slot(2).streams_opened.store(4);
    world.memory.member(TRACK, 1).alias.store(99);
    let first = stream(6, 0, false, &subgroup(ALIAS, 1, b"begin"));
    let copies = send(&twin, &world, &world.packet(0, &first));
    assert_eq!(copies.len(), 2);
    let expected = stream(3, 0, false, &subgroup(ALIAS, 1, b"begin"));
    assert_eq!(world.opened(1, &copies[0].datagram), Some((0, expected)));
    let expected = stream(19, 0, false, &subgroup(99, 1, b"begin"));
    assert_eq!(world.opened(2, &copies[1].datagram), Some((0, expected)));
    // What is between and around is cut off or becomes PADDING.
    let ack = [2, 9, 1, 0, 3];
    let next = [
        &ack[..],
        &stream(6, 100, false, b"more"),
        &ack,
        &stream(6, 104, true, b"end"),
        &[1, 0, 0],
    ]
    .concat();
    let copies = send(&twin, &world, &world.packet(1, &next));
    let expected = [
        &stream(19, 100, false, b"more")[..],
        &[0; 5],
        &stream(19, 104, true, b"end"),
    ]
    .concat();
    assert_eq!(world.opened(2, &copies[1].datagram), Some((1, expected)));

    let record = world.memory.record(2, 1);
    assert_eq!(record.number.load(), 2);
    assert_eq!(record.time.load(), NOW);
    assert_eq!(record.upstream.load(), 1);
    let meta = record.meta.load();
    assert_eq!(meta & 0xffff, copies[1].datagram.len() as u64);
    assert_eq!((meta >> 16) & 0xff, fate::SENT);
    assert_eq!((meta >> 24) & 0xff, 2);
    assert_eq!(meta >> 32, 107 - 8);
    assert_eq!(record.frames[1].stream.load(), 19);
    assert_eq!(record.frames[1].offset.load(), 104);
    assert_eq!(record.frames[1].len.load(), 3 | SentUnit::FIN);
    let outlet = world.memory.outlet(2, outlet_index(PUBLISHER, 1));
    assert_eq!(outlet.id.load(), 20);
    assert_eq!(outlet.high.load(), 107);
    let source = &world.memory.publisher(PUBLISHER).sources[1];
    assert_eq!((source.index.load(), source.state.load()), (2, 1));
    assert_ne!(source.state.load(), Source::DONE);
    assert_eq!(
        world.memory.member(TRACK, 0).alias.load(),
        Member::SAME_ALIAS
    );
}

#[test]
fn a_replay_or_a_flipped_bit_makes_no_copy() {
    let twin = twin();
    let world = World::new(&twin, true);
    world.subscribe(1);
    let packet = world.packet(9, &object(ALIAS, 7, b"once"));
    for bit in 0..packet.len() * 8 {
        let mut wrong = packet.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(send(&twin, &world, &wrong), [], "bit {bit}");
    }
    assert_eq!(send(&twin, &world, &packet).len(), 1);
    assert_eq!(send(&twin, &world, &packet), []);
    assert_eq!(counted(&twin, Reason::Duplicate), 1);
    assert!(counted(&twin, Reason::Forged) > 100);
}

#[test]
fn a_refusal_costs_no_packet_number() {
    let twin = twin();
    let world = World::new(&twin, true);
    world.subscribe(1);
    let slot = world.memory.slot(1);
    // The window is looked at before; credit is only found missing on the way out.
    slot.data_limit.store(50);
    let frames = stream(2, 0, false, &subgroup(ALIAS, 7, &[0; 100]));
    assert_eq!(send(&twin, &world, &world.packet(0, &frames)), []);
    assert_eq!(counted(&twin, Reason::NoCredit), 1);
    assert_eq!((slot.next_number.load(), slot.spent.load()), (0, 0));
    slot.data_limit.store(1000);
    let copies = send(&twin, &world, &world.packet(1, &frames));
    let opened = world.opened(1, &copies[0].datagram);
    assert_eq!(opened.map(|(number, _)| number), Some(0));
}
