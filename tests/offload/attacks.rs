//! Rows 21, 27, 28 and 31 of doc/attacks.md, with a kernel that forwards. RFC 9000 §9, §12.3; RFC 9001 §6.6; RFC 9002 §7.

use std::time::Duration;

use integration::for_each_seed;
use quic_lite::error::{ConnectionError, TransportErrorCode};
use quic_relay::moqt::Location;
use quic_relay::track::PeerId;
use relay_ebpf_loader::Engine;
use relay_ebpf_loader::layout::state;
use relay_ebpf_loader::verdict::Reason;

use super::media::{AUDIO, VIDEO, check, check_datagrams, payload, publish, publisher, subscriber};
use super::world::{Settings, World};

const MILLI: Duration = Duration::from_millis(1);

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
        let place = world.join(super::client::Part::Subscribe(vec![
            (VIDEO, 128),
            (AUDIO, 128),
        ]));
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
