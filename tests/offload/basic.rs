//! Streams and datagrams to subscribers that stay. RFC 9000 §2, RFC 9221.

use std::time::Duration;

use integration::for_each_seed;
use quic_lite::protection::CipherSuite;
use quic_relay::moqt::Location;
use quic_relay::offload::Reason;

use super::client::Part;
use super::media::{AUDIO, VIDEO, check, check_datagrams, payload, publish, publisher, subscriber};
use super::world::{Settings, World};

#[test]
fn streams_go_by_the_kernel_and_arrive_whole() {
    for_each_seed(3, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let subscribers: Vec<usize> = (0..3).map(|_| world.join(subscriber())).collect();
        publish(&mut world, "video", 0, 20, 1000);
        world.run(Duration::from_millis(300));
        let before: Vec<_> = subscribers.iter().map(|it| world.packets(*it)).collect();
        for group in 1..10 {
            publish(&mut world, "video", group, 40, 1000);
        }
        world.run(Duration::from_secs(1));
        for (place, before) in subscribers.into_iter().zip(before) {
            check(&world.clients[place], VIDEO, 0..1, 20, 1000);
            check(&world.clients[place], VIDEO, 1..10, 40, 1000);
            assert_eq!(world.reason(place), None);
            let (kernel, userspace) = world.packets(place);
            let (kernel, userspace) = (kernel - before.0, userspace - before.1);
            let padless = world.packets_without_pad(place);
            println!("{seed}: {kernel} from the kernel ({padless} without pad), {userspace} not");
            assert!(kernel >= 340 && userspace <= 60, "{kernel} {userspace}");
            assert!(padless <= 40, "{padless}");
        }
    });
}

#[test]
fn loss_reordering_and_a_slow_relay_lose_nothing() {
    for_each_seed(6, |seed| {
        let settings = Settings {
            wait: Duration::from_millis(seed % 7 * 4),
            ..Settings::new(seed).with_loss(seed % 4, 5)
        };
        let mut world = World::new(settings);
        world.join(publisher());
        let subscribers: Vec<usize> = (0..3).map(|_| world.join(subscriber())).collect();
        for group in 0..10 {
            publish(&mut world, "video", group, 60, 300);
        }
        world.run(Duration::from_secs(5));
        let mut from_kernel = 0;
        for place in subscribers {
            check(&world.clients[place], VIDEO, 0..10, 60, 300);
            let (kernel, userspace) = world.packets(place);
            println!("{seed}: {kernel} from the kernel, {userspace} from userspace");
            from_kernel += kernel;
        }
        assert!(from_kernel > 150, "{from_kernel}");
    });
}

#[test]
fn short_streams_of_one_packet_go_by_the_kernel() {
    for_each_seed(3, |seed| {
        let mut world = World::new(Settings::new(seed));
        world.join(publisher());
        let place = world.join(subscriber());
        for group in 0..400 {
            publish(&mut world, "video", group, 1, 200);
            world.run(Duration::from_millis(4));
        }
        world.run(Duration::from_secs(1));
        check(&world.clients[place], VIDEO, 0..400, 1, 200);
        let (kernel, userspace) = world.packets(place);
        println!("{seed}: {kernel} from the kernel, {userspace} from userspace");
        assert!(kernel >= 380, "{kernel} {userspace}");
    });
}

#[test]
fn datagrams_come_once() {
    for_each_seed(4, |seed| {
        let settings = Settings {
            wait: Duration::from_millis(seed % 7 * 3),
            ..Settings::new(seed)
        };
        let mut world = World::new(settings);
        world.join(publisher());
        let subscribers: Vec<usize> = (0..3)
            .map(|_| world.join(Part::Subscribe(vec![(VIDEO, 128), (AUDIO, 128)])))
            .collect();
        world.run(Duration::from_millis(200));
        for number in 0..300 {
            for track in ["video", "audio"] {
                let bytes = payload(track, number / 10, number % 10, 150);
                let location = Location::new(number / 10, number % 10);
                world.clients[0].send(track, location, &bytes);
            }
            if world.random(3) > 0 {
                world.run(Duration::from_millis(1));
            }
        }
        world.run(Duration::from_secs(1));
        for place in subscribers {
            check_datagrams(&world.clients[place]);
            let (kernel, userspace) = world.packets(place);
            println!("{seed}: {kernel} from the kernel, {userspace} from userspace");
            assert!(kernel > 100, "{kernel} {userspace}");
        }
    });
}

#[test]
fn other_ciphers_and_unseen_clients_stay_in_userspace() {
    for (reason, settings) in [
        (
            Reason::CipherNotChaCha20,
            Settings {
                suites: vec![CipherSuite::Aes128GcmSha256],
                ..Settings::new(1)
            },
        ),
        (
            Reason::NoLinkAddress,
            Settings {
                is_blind: true,
                ..Settings::new(1)
            },
        ),
    ] {
        let mut world = World::new(settings);
        world.join(publisher());
        let place = world.join(subscriber());
        for group in 0..3 {
            publish(&mut world, "video", group, 30, 1000);
        }
        world.run(Duration::from_secs(1));
        check(&world.clients[place], VIDEO, 0..3, 30, 1000);
        assert_eq!(world.packets(place).0, 0);
        let publisher_is_why = reason == Reason::CipherNotChaCha20;
        let subscribers = if publisher_is_why {
            Reason::PublisherInUserspace
        } else {
            reason
        };
        assert_eq!(world.reason(place), Some(subscribers));
        if publisher_is_why {
            assert_eq!(world.reason(0), Some(reason));
        }
    }
}

#[test]
fn who_lets_itself_be_asked_acknowledges_little() {
    let mut settings = Settings {
        min_ack_delay: Some(Duration::from_millis(1)),
        ..Settings::new(1)
    };
    settings.up.delay = Duration::from_millis(1);
    settings.down.delay = Duration::from_millis(1);
    let mut world = World::new(settings);
    world.join(publisher());
    let place = world.join(subscriber());
    let counts = |world: &mut World| {
        let sent = world.packets(place).0;
        let received = world.served(place).unwrap().1.stats().packets_received;
        (sent, received)
    };
    for group in 0..60 {
        publish(&mut world, "video", group, 50, 200);
    }
    let before = counts(&mut world);
    for group in 60..80 {
        publish(&mut world, "video", group, 50, 200);
    }
    world.run(Duration::from_millis(200));
    let after = counts(&mut world);
    check(&world.clients[place], VIDEO, 0..80, 50, 200);
    let (sent, received) = (after.0 - before.0, after.1 - before.1);
    println!("{received} acknowledgements for {sent} packets of the kernel");
    assert!(sent > 950 && received * 5 < sent, "{received} for {sent}");
}
