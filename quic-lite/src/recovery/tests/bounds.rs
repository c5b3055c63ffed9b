//! RFC 9000 §9.3, §14.4, §21.4: what is sent beyond the window, on which path, of which size and number.

use super::*;

/// Sends packets until the window is full.
fn fill(sender: &mut Sender) {
    for _ in 0..1_000 {
        if sender.recovery.window_left() < u64::from(sender.size) {
            return;
        }
        sender.send_many(1);
    }
    panic!("the window is never full");
}

/// `doc/limits.md`: packets beyond the window.
#[test]
fn few_packets_leave_beyond_the_window_until_something_arrives() {
    let mut sender = Sender::confirmed();
    fill(&mut sender);
    for _ in 0..limits::PACKETS_BEYOND_WINDOW {
        assert!(sender.recovery.may_exceed_window());
        sender.send_many(1);
    }
    assert!(!sender.recovery.may_exceed_window());
    sender.ack(&[1..=1]);
    assert!(sender.recovery.window_left() < 1200 && sender.recovery.may_exceed_window());
}

#[test]
fn a_window_with_room_needs_no_exception() {
    let mut sender = Sender::confirmed();
    sender.send_many(10 + u64::from(limits::PACKETS_BEYOND_WINDOW));
    assert!(!sender.recovery.may_exceed_window());
    sender.recovery.on_path_changed(at(100));
    assert!(sender.recovery.may_exceed_window());
    sender.send_many(9);
    sender.size = 1;
    assert!(sender.recovery.may_exceed_window(), "1200 bytes are left");
    sender.send_many(1);
    assert!(!sender.recovery.may_exceed_window(), "1199 bytes are left");
}

/// RFC 9002 §7, §7.5: these need no window.
#[test]
fn acknowledgements_probes_and_packets_of_others_are_no_exceptions() {
    let mut sender = Sender::confirmed();
    fill(&mut sender);
    (0..20).for_each(|_| sender.send_ack());
    for _ in 0..10 {
        assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Data));
        sender.send_many(2);
    }
    for _ in 0..20 {
        let packet = SentPacket {
            by_other: true,
            ..sender.packet(sender.next[2])
        };
        sender.next[2] += 1;
        sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    }
    sender.send_many(u64::from(limits::PACKETS_BEYOND_WINDOW) - 1);
    assert!(sender.recovery.may_exceed_window());
    sender.send_many(1);
    assert!(!sender.recovery.may_exceed_window());
}

/// They are remembered like those beyond the window, and nothing there limits them.
#[test]
fn packets_on_other_paths_are_exceptions_however_much_room_there_is() {
    let mut sender = Sender::confirmed();
    for _ in 0..limits::PACKETS_BEYOND_WINDOW {
        let packet = SentPacket {
            path: SentPacket::OFF_PATH,
            ..sender.packet(sender.next[2])
        };
        sender.next[2] += 1;
        sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    }
    fill(&mut sender);
    assert!(!sender.recovery.may_exceed_window());
}

/// `doc/limits.md`: moves of the peer.
#[test]
fn a_peer_that_moves_and_acknowledges_nothing_is_not_followed_for_ever() {
    let mut sender = Sender::confirmed();
    sender.send_many(1);
    for _ in 0..limits::MOVES_WITHOUT_ACK {
        assert!(!sender.recovery.has_moved_in_vain());
        sender.recovery.on_path_changed(at(100));
    }
    assert!(sender.recovery.has_moved_in_vain());
    sender.ack(&[1..=1]);
    assert!(!sender.recovery.has_moved_in_vain());
}

fn searching() -> Sender {
    let config = RecoveryConfig {
        congestion: Congestion::NewReno,
        ecn: false,
        mtu_discovery: Some(1400),
        ..RecoveryConfig::default()
    };
    let mut sender = Sender::with(Side::Server, &config);
    assert!(!sender.recovery.wants_mtu_probe(at(0)));
    sender.measure();
    sender
}

/// RFC 9000 §14.4: a probe is subject to the window; then it goes before data.
#[test]
fn an_mtu_probe_that_found_no_room_is_overdue() {
    let mut sender = searching();
    assert!(sender.recovery.wants_mtu_probe(at(100)));
    assert_eq!(sender.recovery.mtu_probe(at(100)), Some(1400));
    assert!(!sender.recovery.is_mtu_probe_overdue());
    fill(&mut sender);
    assert!(sender.recovery.wants_mtu_probe(at(100)));
    assert_eq!(sender.recovery.mtu_probe(at(100)), None);
    assert!(sender.recovery.is_mtu_probe_overdue());
    sender.ack(&[1..=10]);
    assert_eq!(sender.recovery.mtu_probe(at(100)), Some(1400));
    assert!(!sender.recovery.is_mtu_probe_overdue());
}

#[test]
fn a_window_of_the_probes_size_is_room_for_it() {
    let mut sender = searching();
    sender.size = (sender.recovery.window_left() - 1400) as u16;
    sender.send_many(1);
    assert_eq!(sender.recovery.mtu_probe(at(100)), Some(1400));
    sender.size = 1;
    sender.send_many(1);
    assert_eq!(sender.recovery.mtu_probe(at(100)), None);
}

/// A path that is silent would swallow the probe.
#[test]
fn no_mtu_probe_leaves_between_timeouts() {
    let mut sender = searching();
    sender.send_many(1);
    sender.timeout();
    assert!(!sender.recovery.wants_mtu_probe(at(sender.now)));
    assert_eq!(sender.recovery.mtu_probe(at(sender.now)), None);
    assert!(!sender.recovery.is_mtu_probe_overdue(), "none is wanted");
}

/// RFC 9000 §14.3: each path has its own size. RFC 9002 §7.2: the least window follows it.
#[test]
fn a_new_path_is_searched_anew_and_a_found_size_moves_the_least_window() {
    let mut sender = searching();
    sender.recovery.on_path_changed(at(100));
    assert_eq!(sender.recovery.mtu_probe(at(100)), Some(1400));
    let number = sender.next[2];
    sender.next[2] += 1;
    let packet = SentPacket {
        size: 1400,
        mtu_probe: true,
        ..sender.packet(number)
    };
    sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    assert_eq!(sender.recovery.mtu_probe(at(100)), None, "one at a time");
    sender.ack(&[number..=number]);
    sender.recovery.controller.on_persistent_congestion();
    assert_eq!(sender.recovery.congestion_window(), 2 * 1400);
}

/// RFC 9000 §21.4: the distance grows with the window, counted in packets.
#[test]
fn a_number_is_left_out_once_in_four_windows() {
    let mut sender = Sender::confirmed();
    sender.send_many(100);
    sender.ack(&[1..=100]);
    assert_eq!(sender.recovery.congestion_window(), 110 * 1200);
    let next = PacketNumber::new(101);
    let at = PacketNumber::new(101 + 2 * 110);
    assert_eq!(sender.recovery.skip_at(next, 0), at);
    assert_eq!(sender.recovery.skip_at(next, 7), at, "chosen once");
    assert_eq!(sender.recovery.skipped_numbers(SpaceId::Data), 0);
    sender.recovery.on_skipped(SpaceId::Data, at);
    assert_eq!(sender.recovery.skipped_numbers(SpaceId::Data), 1);
    assert_eq!(sender.recovery.skipped_numbers(SpaceId::Initial), 0);
    let later = PacketNumber::new(101 + 2 * 110 + 1 + 2 * 110);
    let next = PacketNumber::new(101 + 2 * 110 + 1);
    assert_eq!(sender.recovery.skip_at(next, 0), later);
}

#[test]
fn it_is_known_in_which_spaces_answers_are_due() {
    let mut sender = Sender::confirmed();
    let due =
        |sender: &Sender| SpaceId::ALL.map(|id| sender.recovery.has_ack_eliciting_in_flight(id));
    sender.send_ack();
    assert_eq!(due(&sender), [false; 3]);
    sender.send_many(1);
    assert_eq!(due(&sender), [false, false, true]);
    sender.send(SpaceId::Initial);
    sender.ack(&[2..=2]);
    assert_eq!(due(&sender), [true, false, false]);
}

/// RFC 9002 A.11: only what counts on this path is taken back.
#[test]
fn a_discarded_space_gives_back_what_it_took_on_this_path() {
    let mut sender = Sender::new(Side::Server);
    for _ in 0..5 {
        sender.send(SpaceId::Handshake);
    }
    let kinds = [
        (0, false),
        (SentPacket::OFF_PATH, true),
        (SentPacket::OFF_PATH, false),
    ];
    for (number, (path, in_flight)) in (0..).zip(kinds) {
        let packet = SentPacket {
            path,
            in_flight,
            ..sender.packet(number)
        };
        sender
            .recovery
            .on_packet_sent(SpaceId::Initial, packet, &[]);
    }
    sender.next[0] = 3;
    sender.send(SpaceId::Initial);
    sender.recovery.discard(at(0), SpaceId::Initial);
    assert_eq!(sender.recovery.bytes_in_flight(), 5 * 1200);
}
