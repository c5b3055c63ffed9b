//! Rows 27 to 32 on the kernel's side, by its stand-in that runs the programs' own code: ebpf/loader/tests has the same
//! packets for the real programs. RFC 9000 §9, §12.3; RFC 9001 §5.3, §6.6.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

use relay_ebpf_loader::layout::state;
use relay_ebpf_loader::twin::Copy;
use relay_ebpf_loader::verdict::Reason;
use relay_ebpf_loader::{Engine, Sizes, Twin};

use crate::world::{ALIAS, NOW, PUBLISHER, World, object};

const SIZES: Sizes = Sizes {
    slots: 4,
    tracks: 2,
};

fn send(twin: &Twin, world: &World, packet: &[u8]) -> Vec<Copy> {
    twin.ingress(NOW, world.local, world.remote(PUBLISHER), packet)
}

fn counted(twin: &Twin, reason: Reason) -> u64 {
    twin.counters()[reason as usize].1
}

/// A tag over nothing: verified, and nothing to forward; any other tag is forged.
#[test]
fn row_26_the_kernel_verifies_a_tag_without_text() {
    let twin = Twin::new(SIZES).unwrap();
    let world = World::new(&twin, true);
    world.subscribe(1);
    // Four bytes of number, so that the tag alone is enough for the sample.
    let first = 0x40 | (world.memory.slot(PUBLISHER).phase.load() as u8) << 2;
    let empty = world.sealed(first, 0, 4, &[]);
    for bit in 9 * 8..empty.len() * 8 {
        let mut wrong = empty.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(send(&twin, &world, &wrong), []);
    }
    let forged = counted(&twin, Reason::Forged);
    // The tag is the sample, too: with another mask many have another number or phase.
    assert!(forged >= 20, "{forged}");
    assert_eq!(send(&twin, &world, &empty), []);
    assert_eq!(counted(&twin, Reason::Forged), forged);
    for len in 0..empty.len() {
        assert_eq!(send(&twin, &world, &empty[..len]), []);
    }
    assert_eq!(counted(&twin, Reason::Sent), 0);
}

/// Whoever sends a copy of an authentic packet from elsewhere, to the right connection ID or to a wrong one, gets
/// nothing forwarded; nor does the kernel learn an address from it.
#[test]
fn row_32_a_registered_connection_id_from_another_place_forwards_nothing() {
    for is_ipv4 in [true, false] {
        let twin = Twin::new(SIZES).unwrap();
        let world = World::new(&twin, is_ipv4);
        world.subscribe(1);
        let packet = world.packet(0, &object(ALIAS, 7, b"media"));
        let true_one = world.remote(PUBLISHER);
        let elsewhere = |port: u16| SocketAddr::new(world.remote(2).ip(), port);
        let same_host = |port: u16| SocketAddr::new(true_one.ip(), port);
        let before = world.memory.slot(PUBLISHER).remote_ip[0].load();
        for port in (1..65_535)
            .step_by(97)
            .filter(|port| *port != true_one.port())
        {
            for from in [elsewhere(port), same_host(port), elsewhere(true_one.port())] {
                assert_eq!(twin.ingress(NOW, world.local, from, &packet), [], "{from}");
            }
        }
        assert!(counted(&twin, Reason::OtherPath) > 1000);
        // To another of our addresses, and to the port that a control message would go to.
        let other_local = SocketAddr::new(world.remote(3).ip(), world.local.port());
        let control = SocketAddr::new(world.local.ip(), 6969);
        for local in [other_local, control] {
            assert_eq!(twin.ingress(NOW, local, true_one, &packet), []);
        }
        assert_eq!(world.memory.slot(PUBLISHER).remote_ip[0].load(), before);
        assert_eq!(
            world.memory.slot(1).next_number.load(),
            0,
            "no number was taken"
        );
        assert_eq!(send(&twin, &world, &packet).len(), 1);
    }
}

/// RFC 9000 §12.3: numbers come from one counter, also while several programs and userspace take them at once. With
/// root, ebpf/loader/tests/shared.rs does it with ten million and the real programs.
#[test]
fn row_30_programs_and_userspace_take_each_number_once() {
    let twin = Twin::new(SIZES).unwrap();
    let world = World::new(&twin, true);
    world.subscribe(1);
    world.memory.slot(1).limit.store(u64::MAX >> 1);
    let slot = world.memory.slot(1);
    let (mut all, mut taken) = (Vec::new(), 0);
    thread::scope(|scope| {
        let programs: Vec<_> = (0..4_u64)
            .map(|program| {
                let (twin, world) = (&twin, &world);
                scope.spawn(move || forward(twin, world, program))
            })
            .collect();
        let userspace: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..5000)
                        .map(|_| slot.next_number.add(1))
                        .collect::<Vec<u64>>()
                })
            })
            .collect();
        for thread in userspace {
            let numbers = thread.join().unwrap();
            taken += numbers.len();
            all.extend(numbers);
        }
        programs
            .into_iter()
            .for_each(|thread| all.extend(thread.join().unwrap()));
    });
    let unique: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(unique.len(), all.len(), "a number was taken twice");
    // A number that was taken when others were faster than foreseen is burnt: never sent, never taken again.
    let burnt = counted(&twin, Reason::Burnt);
    assert_eq!(slot.next_number.load(), all.len() as u64 + burnt);
    println!("{} by programs, {taken} by userspace", all.len() - taken);
    assert!(all.len() - taken > 500);
}

/// The numbers of the copies that one program makes of its share of a publisher's packets.
fn forward(twin: &Twin, world: &World, program: u64) -> Vec<u64> {
    let (frames, slot) = (object(ALIAS, 7, b"media"), world.memory.slot(1));
    let mut numbers = Vec::new();
    for packet in 0..500 {
        let packet = world.packet(packet * 4 + program, &frames);
        // Userspace reads the log.
        slot.consumed.store(slot.next_number.load());
        for copy in send(twin, world, &packet) {
            let (number, opened) = world.opened(1, &copy.datagram).unwrap();
            assert_eq!(opened, frames);
            numbers.push(number);
        }
    }
    numbers
}

/// Without the right key, phase and state there is no copy, however often it is tried.
#[test]
fn row_29_nothing_is_forwarded_that_was_not_verified() {
    let twin = Twin::new(SIZES).unwrap();
    let world = World::new(&twin, true);
    world.subscribe(1);
    let good = world.packet(0, &object(ALIAS, 7, b"media"));
    let slot = world.memory.slot(PUBLISHER);
    let key = slot.key[2].load();
    slot.key[2].store(key ^ 1);
    assert_eq!(send(&twin, &world, &good), []);
    assert_eq!(counted(&twin, Reason::Forged), 1);
    slot.key[2].store(key);
    let active = slot.state.load();
    slot.state.store(active & !0xff | state::DISABLED);
    assert_eq!(send(&twin, &world, &good), []);
    slot.state.store(active);
    assert_eq!(send(&twin, &world, &good).len(), 1);
    assert_eq!(counted(&twin, Reason::Sent), 1);
}
