//! Rows 1, 21, 27, 28 and 31 of doc/attacks.md, with a kernel that forwards. RFC 9000 §9, §12.3, §21.4; RFC 9001 §6.6;
//! RFC 9002 §7.

use std::time::Duration;

use integration::for_each_seed;
use integration::forge::one_rtt;
use integration::link::Datagram;
use quic_lite::Side;
use quic_lite::error::{ConnectionError, TransportErrorCode};
use quic_lite::wire::frame::{self, Ack, Frame, frames};
use quic_lite::wire::header::PacketType;
use quic_lite::wire::writer::Writer;
use quic_relay::moqt::Location;
use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::subgroup::Body;
use quic_relay::track::PeerId;
use relay_ebpf_loader::Engine;
use relay_ebpf_loader::layout::{self, state};
use relay_ebpf_loader::verdict::Reason;

use super::client::Part;
use super::media::{AUDIO, VIDEO, check, check_datagrams, payload, publish, publisher, subscriber};
use super::world::{RELAY, Settings, Travel, World};

const MILLI: Duration = Duration::from_millis(1);

/// Numbers between two that are left out, at most: one and a half periods of four windows.
fn longest_distance(window: u64) -> u64 {
    (4 * (window / 1200)).max(256) * 3 / 2 + 1
}

/// Numbers that were taken and that the kernel has left out.
fn next_and_skipped(world: &World, slot: u32) -> (u64, u64) {
    let skipped = counted(world, Reason::Skipped);
    (world.twin.memory().slot(slot).next_number.load(), skipped)
}

/// A packet with this frame that only a client's keys can make, whatever it may send.
fn forge(world: &mut World, place: usize, number: u64, frame: &Frame<'_>) {
    let mut buffer = [0; 200];
    let mut out = Writer::new(&mut buffer);
    frame.encode(&mut out).unwrap();
    let client = &mut world.clients[place];
    let from = client.address;
    let bytes = one_rtt(client.connection().unwrap(), number, out.written(), 0);
    let datagram = Datagram { bytes, ecn: None };
    let to = RELAY;
    world.arrive_at_kernel(Travel { from, to, datagram });
}

/// A client acknowledges all numbers below `next`.
fn acknowledge(world: &mut World, place: usize, number: u64, next: u64) {
    let mut buffer = [0; 64];
    let mut out = Writer::new(&mut buffer);
    Ack::encode_ranges(&core::iter::once(0..next).collect(), 0, None, &mut out).unwrap();
    let frame = frames(out.written()).next().unwrap().unwrap();
    forge(world, place, number, &frame);
}

/// The kernel, too, leaves numbers out: who acknowledges all that was taken, received or not, is found out at the first.
#[test]
fn row_01_who_acknowledges_what_the_kernel_left_out_is_closed() {
    let mut world = World::new(Settings::new(1));
    world.join(publisher());
    let place = world.join(Part::Subscribe(vec![(AUDIO, 128)]));
    // Datagrams: nothing but the window holds them.
    let send = |world: &mut World, group| {
        let location = Location::new(group, 0);
        let bytes = payload("audio", group, 0, 1000);
        world.clients[0].send("audio", location, &bytes);
        world.run(MILLI);
    };
    (0..20).for_each(|group| send(&mut world, group));
    let (handle, _) = world.served(place).unwrap();
    let slot = world.server.forwarding(PeerId(handle.0)).slot.unwrap();
    // From here on it is we who acknowledge.
    world.up(place).blackhole = true;
    world.down(place).blackhole = true;
    let (first, skipped) = next_and_skipped(&world, slot);
    let (mut number, mut window, mut next) = (10_000, 0, first);
    for group in 20..3000 {
        send(&mut world, group);
        let served = world.served(place);
        let Some((_, connection)) = served.filter(|(_, it)| it.error().is_none()) else {
            break;
        };
        window = window.max(connection.cwnd());
        (next, _) = next_and_skipped(&world, slot);
        acknowledge(&mut world, place, number, next);
        number += 1;
    }
    let by_kernel = next_and_skipped(&world, slot).1 - skipped;
    println!(
        "{} numbers, {by_kernel} left out by the kernel",
        next - first
    );
    let error = world.served(place).and_then(|(_, it)| it.error().cloned());
    let Some(ConnectionError::Transport(error)) = error else {
        panic!("not found out: {error:?}");
    };
    assert_eq!(error.code, TransportErrorCode::PROTOCOL_VIOLATION);
    let reason = "acknowledged a packet number that was skipped";
    assert_eq!((error.reason, by_kernel), (reason, 1));
    assert!(next - first <= longest_distance(window) + window / 1000);
    world.forbid(place);
    (3000..3100).for_each(|group| send(&mut world, group));
}

#[test]
fn row_01_the_kernel_leaves_numbers_out_as_near_as_the_window_demands() {
    let mut world = World::new(Settings::new(2));
    world.join(publisher());
    let place = world.join(subscriber());
    let mut window = 0;
    for group in 0..40 {
        publish(&mut world, "video", group, 100, 1000);
        let (_, connection) = world.served(place).unwrap();
        window = window.max(connection.cwnd());
    }
    let wire = &world.clients[place].wire;
    let (mut before, mut skipped) = (None, Vec::new());
    for packet in wire
        .tap
        .from(Side::Server)
        .filter(|it| it.is(PacketType::OneRtt))
    {
        skipped.extend(before.map_or(0, |it: u64| it + 1)..packet.number);
        before = Some(packet.number);
    }
    let by_kernel = world.twin.counters()[Reason::Skipped as usize].1;
    println!(
        "{} of {before:?} left out, {by_kernel} by the kernel",
        skipped.len()
    );
    assert!(by_kernel >= 3 && skipped.len() as u64 >= by_kernel);
    let ends = [0].into_iter().chain(skipped.iter().copied()).chain(before);
    let ends: Vec<u64> = ends.collect();
    let farthest = ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(farthest <= longest_distance(window), "{farthest}");
}

/// Who moves again and again is served by the kernel only where it has proved to be.
#[test]
fn row_21_the_kernel_sends_to_no_address_that_is_not_validated() {
    for_each_seed(3, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let place = world.join(subscriber());
        let (mut doubtful, mut served) = (0, 0);
        for group in 0..20 {
            let stream = world.clients[0].begin("video", group).unwrap();
            if group % 3 == 2 {
                move_away(&mut world, place);
            }
            for id in 0..30 {
                world.clients[0].write(stream, &payload("video", group, id, 300));
                world.run(MILLI);
                let (is_validated, by_kernel) = service(&mut world, place);
                assert!(is_validated || !by_kernel, "group {group}, object {id}");
                doubtful += u32::from(!is_validated);
                served += u32::from(by_kernel);
            }
            world.clients[0].finish(stream);
        }
        world.run(Duration::from_secs(3));
        check(&world.clients[place], VIDEO, 0..20, 30, 300);
        println!("{seed}: {doubtful} ms in doubt, {served} ms served by the kernel");
        assert!(doubtful > 0 && served > 100, "{doubtful} {served}");
    });
}

/// To one of four ports.
fn move_away(world: &mut World, place: usize) {
    let port = 9000 + world.random(4) as u16;
    let client = &mut world.clients[place];
    client.address.set_port(port);
    // Who only listens would be found at its next keep-alive.
    client.connection().unwrap().ping();
}

/// Whether the relay knows where a client is, and whether the kernel may send there.
fn service(world: &mut World, place: usize) -> (bool, bool) {
    let Some((handle, connection)) = world.served(place) else {
        // The relay thinks that it is elsewhere.
        return (true, false);
    };
    let is_validated = connection.is_path_validated();
    let slot = world.server.forwarding(PeerId(handle.0)).slot;
    let state = slot.map(|slot| world.twin.memory().slot(slot).state.load() & 0xff);
    (is_validated, state == Some(state::ACTIVE))
}

/// The kernel hands on what it finds forged; userspace counts it, once, and at the limit nobody forwards any more.
#[test]
fn row_27_packets_that_the_kernel_finds_forged_count_for_the_limit() {
    let mut settings = Settings::new(1);
    settings.transport.integrity_limit = 40;
    settings.up.corruption = 30;
    let mut world = World::new(settings);
    world.join(publisher());
    let place = world.join(subscriber());
    let stream = world.clients[0].begin("video", 0).unwrap();
    for id in 0..2000 {
        world.clients[0].write(stream, &payload("video", 0, id, 300));
        world.run(MILLI);
        if world.clients[0].closed.is_some() {
            break;
        }
    }
    let why = world.clients[0].closed.clone().unwrap();
    let expected = ConnectionError::PeerTransport {
        code: TransportErrorCode::AEAD_LIMIT_REACHED,
        frame_type: 0,
        reason: "too many packets failed authentication".to_owned(),
    };
    assert_eq!(why, expected.to_string());
    let forged = world.twin.counters()[Reason::Forged as usize].1;
    assert!((20..=40).contains(&forged), "{forged}");
    let copies = world.copies;
    world.run(Duration::from_secs(1));
    assert_eq!(world.copies, copies);
    assert!(world.reason(place).is_none() || copies > 0);
}

/// An object of each track.
fn send_both(world: &mut World, location: Location) {
    for track in ["video", "audio"] {
        let bytes = payload(track, location.group, location.object, 150);
        world.clients[0].send(track, location, &bytes);
    }
    world.run(MILLI);
}

/// RFC 9000 §12.3: every packet of the publisher comes two or three times, at once or later.
#[test]
fn row_28_a_packet_that_comes_again_is_not_forwarded_again() {
    for_each_seed(2, |seed| {
        let mut settings = Settings::new(seed).with_loss(0, 20);
        settings.up.duplication = 100;
        let mut world = World::new(settings);
        world.join(publisher());
        let place = world.join(Part::Subscribe(vec![(VIDEO, 128), (AUDIO, 128)]));
        for group in 0..30 {
            (0..10).for_each(|id| send_both(&mut world, Location::new(group, id)));
        }
        world.run(Duration::from_secs(1));
        check_datagrams(&world.clients[place]);
        let repeated = world.twin.counters()[Reason::Duplicate as usize].1;
        println!("{seed}: {repeated} repeated, {} copies", world.copies);
        assert!(repeated >= 200 && world.copies >= 200);
    });
}

/// A subscriber that is silent gets what its window holds, and then nothing; its place is free after the idle timeout,
/// though its publisher goes on all the time.
#[test]
fn row_31_who_acknowledges_nothing_costs_one_window_and_is_let_go() {
    let mut settings = Settings::new(1);
    settings.transport.max_idle_timeout = Duration::from_secs(5);
    let mut world = World::new(settings);
    world.join(publisher());
    let (place, steady) = (world.join(subscriber()), world.join(subscriber()));
    publish(&mut world, "video", 0, 200, 300);
    world.run(Duration::from_millis(100));
    let (_, connection) = world.served(place).unwrap();
    let (window, in_flight) = (connection.cwnd(), connection.bytes_in_flight());
    assert_eq!(in_flight, 0);
    let (handle, _) = world.served(place).unwrap();
    let slot = world.server.forwarding(PeerId(handle.0)).slot.unwrap();
    let spent = world.twin.memory().slot(slot).spent.load();
    world.down(place).blackhole = true;
    let (mut fullest, mut group) = (0, 1);
    for _ in 0..40 {
        publish(&mut world, "video", group, 100, 1000);
        group += 1;
        let now = world.twin.memory().slot(slot).spent.load();
        if world.served(place).is_some() {
            fullest = fullest.max(now.saturating_sub(spent));
        }
    }
    println!("{fullest} bytes by the kernel, of a window of {window}");
    assert!(fullest > 0 && fullest <= window, "{fullest} of {window}");
    // It still says that it is there. When it does not, its time runs out, though the kernel may send.
    assert!(world.served(place).is_some());
    world.up(place).blackhole = true;
    for _ in 0..100 {
        publish(&mut world, "video", group, 100, 1000);
        group += 1;
    }
    world.run(Duration::from_secs(1));
    assert!(world.served(place).is_none(), "it is still there");
    assert_eq!(world.server.offloader().unwrap().slots().0, 2);
    check(&world.clients[steady], VIDEO, 1..group, 100, 1000);
}

/// A publisher that obeys no congestion control and sends datagrams, which no flow control bounds: the kernel copies as
/// many as userspace has read of in its log, and not one more, however wide the subscriber's window is.
#[test]
fn row_31_a_publisher_that_floods_gets_as_many_copies_as_the_relay_keeps_up_with() {
    let mut world = World::new(Settings::new(1));
    world.join(publisher());
    let place = world.join(Part::Subscribe(vec![(VIDEO, 128), (AUDIO, 128)]));
    for group in 0..20 {
        publish(&mut world, "video", group, 100, 1000);
    }
    world.run(Duration::from_millis(100));
    let window = world.served(place).unwrap().1.cwnd();
    // What is acknowledged here was never sent by the publisher that we stand for.
    world.down(0).blackhole = true;
    let mut data = Vec::new();
    let object = |number: u64| ObjectDatagram {
        track_alias: 2,
        location: Location::new(number, 0),
        publisher_priority: None,
        end_of_group: false,
        properties: &[],
        body: Body::Payload(b"tiny"),
    };
    let mut number = 100_000;
    for turn in 0..5 {
        let (copies, full) = (world.copies, counted(&world, Reason::LogFull));
        // Userspace's loop is busy with something else for a moment.
        world.is_stopped = true;
        for _ in 0..5000 {
            data.clear();
            object(number).encode(&mut data);
            forge(
                &mut world,
                0,
                number,
                &Frame::Datagram(frame::Datagram { data: &data }),
            );
            number += 1;
        }
        let (copies, full) = (
            world.copies - copies,
            counted(&world, Reason::LogFull) - full,
        );
        println!("turn {turn}: {copies} of 5000, {full} times the log was full; window {window}");
        assert!(copies > 0 && copies <= layout::RECORDS - layout::RECORD_MARGIN);
        assert!(copies + full >= 4999 && window > 64 * layout::RECORDS);
        world.is_stopped = false;
        world.run(Duration::from_millis(100));
    }
}

fn counted(world: &World, reason: Reason) -> u64 {
    world.twin.counters()[reason as usize].1
}
