//! What stands on the wire behind the relay while the kernel forwards: the phase of keys (RFC 9001 §6), ECN (RFC 9000
//! §13.4).
//!
//! The relay is `$QUIC_RELAY`; `make foreign` sets it. Needs root; says SKIP and why otherwise.

use std::collections::{BTreeMap, BTreeSet};

use foreign_raw::capture::{Capture, Whole};
use foreign_raw::hop;
use foreign_raw::process::Process;
use foreign_raw::reader::{Packet, Reader, server_secrets};
use foreign_raw::relay::{Peers, SOON, Stack, key_log};
use foreign_raw::scenario::{Mode, Scene, assert_by_kernel};
use foreign_raw::world::{Family, PORT, Place};

const PEERS: Peers = Peers { quinn: env!("CARGO_BIN_EXE_raw-quinn"), quiche: env!("CARGO_BIN_EXE_raw-quiche") };

/// Every packet to the subscribers, opened by somebody else's code with the keys of its phase; what the kernel seals after
/// an update carries the new phase, and no packet an older one than a packet with a smaller number.
#[test]
fn packets_of_the_kernel_wear_the_phase_of_their_keys() {
    let test = "packets_of_the_kernel_wear_the_phase_of_their_keys";
    let Some((world, relay)) = Scene::relay(test, Mode::On) else {
        return;
    };
    let capture = Capture::whole(&world, Place::Subscribers, "sub0");
    let subscribers = (0..2).map(|_| PEERS.subscriber(&world, Stack::Quinn, Family::V4, "update=100")).collect();
    let publisher = PEERS.publisher(&world, Family::V4, "streams=800 datagrams=800 update=150");
    let mut scene = Scene { publisher, subscribers, relay, world };
    let (_, (kernel, userspace)) = scene.play(Mode::On, true);
    let seen = capture.stop();
    let log = std::fs::read_to_string(key_log(&scene.world)).expect("the relay's key log");
    let (mut after_update, mut generations) = (0, BTreeSet::new());
    for (port, packets) in opened(&seen, &log) {
        let newest = packets.last().map_or(0, |packet| packet.generation);
        eprintln!("port {port}: {} packets, {newest} updates", packets.len());
        assert!(packets.is_sorted_by_key(|packet| packet.generation), "an older key after a newer one");
        after_update += packets.iter().filter(|packet| packet.generation > 0 && has_media(packet)).count() as u64;
        generations.insert(newest);
    }
    assert!(generations.iter().all(|newest| *newest >= 3), "{generations:?}");
    eprintln!("from the kernel {kernel}, from userspace {userspace}; with media after an update {after_update}");
    assert!(after_update > userspace + 200, "how many of them were the kernel's?");
}

/// The 1-RTT packets of the relay by the port they go to, in the order of their numbers.
fn opened(seen: &[Whole], log: &str) -> BTreeMap<u16, Vec<Packet>> {
    let mut datagrams: BTreeMap<u16, Vec<&[u8]>> = BTreeMap::new();
    // RFC 9000 §17.3.1: Header Form 0, and long enough for a sample.
    let short = seen.iter().filter(|(one, bytes)| one.from.port() == PORT && bytes.len() > 40 && bytes[0] & 0x80 == 0);
    for (one, bytes) in short {
        datagrams.entry(one.to.port()).or_default().push(bytes);
    }
    let mut found = BTreeMap::new();
    for (port, datagrams) in datagrams {
        let readers = server_secrets(log).into_iter().map(Reader::new);
        let reader = readers.filter_map(|mut reader| reader.open(datagrams[0]).map(|_| reader)).next();
        let mut reader = reader.expect("a secret of the log opens the first packet");
        let mut packets = Vec::new();
        for datagram in datagrams {
            packets.push(reader.open(datagram).unwrap_or_else(|| panic!("a packet to {port} does not open")));
        }
        packets.sort_by_key(|packet| packet.number);
        let numbers: BTreeSet<u64> = packets.iter().map(|packet| packet.number).collect();
        // RFC 9000 §12.3.
        assert_eq!(numbers.len(), packets.len(), "a packet number was used twice");
        found.insert(port, packets);
    }
    assert!(!found.is_empty(), "nothing was captured");
    found
}

/// It begins with a STREAM or a DATAGRAM frame, as all that the kernel sends.
fn has_media(packet: &Packet) -> bool {
    packet.frames.first().is_some_and(|frame| matches!(frame, 0x08..=0x0f | 0x30 | 0x31))
}

/// A congested router before the relay: the publisher is told of it and slows down, the subscribers see nothing of it.
#[test]
fn congestion_before_the_relay_is_the_publishers_alone() {
    let test = "congestion_before_the_relay_is_the_publishers_alone";
    let Some((world, relay)) = Scene::relay(test, Mode::On) else {
        return;
    };
    let subscribers = (0..2).map(|_| PEERS.subscriber(&world, Stack::Quinn, Family::V4, "")).collect();
    let near = hop::start(&world);
    let mut command = world.command(Place::Publisher, PEERS.quinn);
    command.args(["pub", &near.to_string(), "streams=800", "datagrams=800"]);
    let mut publisher = Process::start("publisher", &mut command);
    publisher.event("ready", SOON);
    let arriving = Capture::start(&world, Place::Relay, "to-pub");
    let leaving = Capture::start(&world, Place::Subscribers, "sub0");
    let mut scene = Scene { publisher, subscribers, relay, world };
    let (sent, packets) = scene.play(Mode::On, true);
    // More on a quiet machine: here it is enough that there are some.
    assert_by_kernel(packets, 0.1);
    let (arriving, leaving) = (arriving.stop(), leaving.stop());
    let marked = arriving.iter().filter(|one| one.to.port() == PORT && one.ecn == 3).count();
    eprintln!("marked {marked}; {sent}");
    assert!(marked > 50, "the run was not what it should be");
    // RFC 9000 §13.4.2: the counts of its ACK frames said so. Each loss may be one more event.
    let count = |name: &str| sent[name].as_u64().unwrap_or_default();
    assert!(count("congestion_events") > count("lost"), "{sent}");
    let leaving: Vec<_> = leaving.iter().filter(|one| one.from.port() == PORT).collect();
    assert!(leaving.len() as u64 >= packets.0);
    for one in leaving {
        assert!(one.ecn == 0 || one.ecn == 2, "{one:?}");
    }
}
