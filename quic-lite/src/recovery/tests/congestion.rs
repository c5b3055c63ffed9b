//! RFC 9002 §7, RFC 9000 §9.4, §13.4 and §14: window, marks, paths and datagram sizes.

use super::*;

/// RFC 9002 §7.3.1 and B.5.
#[test]
fn slow_start_fills_and_doubles_the_window() {
    let mut sender = Sender::confirmed();
    sender.send_many(10);
    assert_eq!(sender.recovery.window_left(), 0);
    sender.now = 200;
    sender.ack(&[1..=10]);
    assert_eq!(sender.recovery.congestion_window(), 24_000);
    assert!(sender.recovery.in_slow_start());
}

/// RFC 9002 §7.3.2 and B.8.
#[test]
fn losses_of_one_round_trip_are_one_congestion_event() {
    let mut sender = Sender::confirmed();
    sender.send_many(10);
    sender.now = 200;
    sender.ack(&[5..=5]);
    assert!(sender.out.congestion_event);
    sender.ack(&[5..=5, 9..=9]);
    assert_eq!(
        (sender.lost(), sender.out.congestion_event),
        (vec![3, 4, 6], false)
    );
    assert_eq!(sender.recovery.congestion_window(), 6_000);
    assert!(!sender.recovery.in_slow_start());
    assert_eq!(
        sender.recovery.largest_acked(SpaceId::Data),
        Some(PacketNumber::new(9))
    );
}

/// RFC 9002 §7.5.
#[test]
fn probes_count_as_in_flight_beyond_the_window() {
    let mut sender = Sender::confirmed();
    sender.send_many(10);
    sender.timeout();
    sender.send_many(2);
    assert_eq!(sender.recovery.bytes_in_flight(), 14_400);
    assert_eq!(sender.recovery.window_left(), 0);
}

/// RFC 9002 §7.7.
#[test]
fn a_burst_is_followed_by_a_pause() {
    let mut sender = Sender::confirmed();
    for _ in 0..10 {
        assert_eq!(sender.recovery.send_at(at(100), 1200), None);
        sender.send_many(1);
    }
    let pause = sender.recovery.send_at(at(100), 1200).unwrap();
    assert_eq!(
        pause,
        at(105),
        "a tenth of 100 ms, at twice the window per round trip"
    );
    assert_eq!(sender.recovery.send_at(pause, 1200), None);
}

/// RFC 9002 §7: bare acknowledgements are not congestion controlled.
#[test]
fn ack_packets_use_neither_window_nor_pacer() {
    let mut sender = Sender::confirmed();
    (0..100).for_each(|_| sender.send_ack());
    assert_eq!(sender.recovery.bytes_in_flight(), 0);
    assert_eq!(sender.recovery.send_at(at(100), 1200), None);
}

fn ecn() -> Sender {
    let config = RecoveryConfig {
        ecn: true,
        mtu_discovery: None,
        ..RecoveryConfig::default()
    };
    let mut sender = Sender::with(Side::Server, &config);
    sender.recovery.on_handshake_confirmed(at(0));
    sender.send_many(10);
    sender.now = 100;
    sender
}

fn counts(ect0: u64, ecn_ce: u64) -> Option<EcnCounts> {
    Some(EcnCounts {
        ect0,
        ect1: 0,
        ecn_ce,
    })
}

/// RFC 9002 §7.1 and B.7.
#[test]
fn a_congestion_mark_reduces_the_window_like_a_loss() {
    let mut sender = ecn();
    assert!(
        !sender.recovery.marks_ecn(),
        "ten packets are enough to test"
    );
    sender
        .ack_in(SpaceId::Data, &[0..=3], counts(4, 0))
        .unwrap();
    assert_eq!(sender.recovery.ecn_state(), EcnState::Capable);
    assert!(!sender.out.congestion_event);
    sender
        .ack_in(SpaceId::Data, &[0..=5], counts(5, 1))
        .unwrap();
    assert!(sender.out.congestion_event);
    sender
        .ack_in(SpaceId::Data, &[0..=6], counts(6, 1))
        .unwrap();
    assert!(!sender.out.congestion_event);
}

/// RFC 9000 §13.4.2.1: only what raises the largest acknowledged number is validated.
#[test]
fn counts_beside_a_known_largest_number_are_not_read() {
    let mut sender = ecn();
    sender
        .ack_in(SpaceId::Data, &[5..=5], counts(1, 0))
        .unwrap();
    sender
        .ack_in(SpaceId::Data, &[4..=5], counts(1, 1))
        .unwrap();
    assert!(!sender.out.congestion_event);
    sender.ack(&[3..=5]);
    assert_eq!(sender.recovery.ecn_state(), EcnState::Capable);
}

/// RFC 9000 §13.4.2: marks may be the reason why nothing arrives.
#[test]
fn the_third_timeout_ends_marking() {
    let config = RecoveryConfig::default();
    let mut sender = Sender::with(Side::Server, &config);
    sender.recovery.on_handshake_confirmed(at(0));
    sender.send_many(1);
    for _ in 0..3 {
        assert!(sender.recovery.marks_ecn());
        sender.timeout();
    }
    assert!(!sender.recovery.marks_ecn());
}

/// RFC 9000 §13.4.2.1.
#[test]
fn reordered_acks_do_not_fail_ecn() {
    let mut sender = ecn();
    sender
        .ack_in(SpaceId::Data, &[5..=5], counts(2, 0))
        .unwrap();
    sender
        .ack_in(SpaceId::Data, &[4..=4], counts(1, 0))
        .unwrap();
    assert_eq!(sender.acked(), [4]);
    assert_eq!(sender.recovery.ecn_state(), EcnState::Capable);
}

/// RFC 9000 §13.4.2.
#[test]
fn marks_that_are_not_reported_end_marking() {
    let mut sender = ecn();
    sender.ack(&[0..=3]);
    assert_eq!(sender.recovery.ecn_state(), EcnState::Failed);
    sender.send_many(1);
    assert!(!sender.recovery.marks_ecn());
}

/// RFC 9000 §9.4.
#[test]
fn packets_of_the_old_path_say_nothing_of_the_new_one() {
    let mut sender = Sender::confirmed();
    sender.send_many(10);
    sender.recovery.on_path_changed(at(100));
    assert_eq!(sender.recovery.bytes_in_flight(), 0);
    assert_eq!(sender.recovery.rtt().smoothed(), rtt::INITIAL_RTT);
    sender.send_many(5);
    sender.now = 200;
    sender.ack(&[10..=10]);
    assert_eq!(sender.lost(), [1, 2, 3, 4, 5, 6, 7], "their frames matter");
    assert!(!sender.out.congestion_event);
    assert_eq!(sender.recovery.congestion_window(), 12_000);
    assert_eq!(sender.recovery.bytes_in_flight(), 6_000);
    assert_eq!(sender.recovery.rtt().first_sample(), None);
}

#[test]
fn path_validation_elsewhere_leaves_window_and_timer_alone() {
    let mut sender = Sender::confirmed();
    sender.next[2] += 1;
    let packet = SentPacket {
        path: SentPacket::OFF_PATH,
        ..sender.packet(1)
    };
    sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    assert_eq!(
        (sender.recovery.bytes_in_flight(), sender.timer()),
        (0, None)
    );
    sender.send_many(3);
    sender.ack(&[4..=4]);
    assert!(!sender.out.congestion_event);
}

fn searching() -> Sender {
    let config = RecoveryConfig {
        ecn: false,
        mtu_discovery: Some(1472),
        ..RecoveryConfig::default()
    };
    let mut sender = Sender::with(Side::Server, &config);
    sender.recovery.set_peer_parameters(ms(25), 3, 1452);
    assert_eq!(sender.recovery.mtu_probe(at(0)), None);
    sender.measure();
    sender
}

/// Sends the MTU probe that is wanted; its number.
fn probe(sender: &mut Sender) -> u64 {
    let number = sender.next[2];
    sender.next[2] += 1;
    let size = sender.recovery.mtu_probe(at(sender.now)).unwrap();
    let packet = SentPacket {
        size,
        mtu_probe: true,
        ..sender.packet(number)
    };
    sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    number
}

/// RFC 9000 §14.3.
#[test]
fn the_search_starts_with_the_handshake_confirmed_and_heeds_the_peers_limit() {
    let mut sender = searching();
    assert_eq!(sender.recovery.max_datagram_size(), 1200);
    let number = probe(&mut sender);
    sender.ack(&[number..=number]);
    assert!(sender.out.max_datagram_size_changed);
    assert_eq!(sender.recovery.max_datagram_size(), 1452);
}

/// RFC 9000 §14.4.
#[test]
fn a_lost_probe_is_no_congestion() {
    let mut sender = searching();
    let number = probe(&mut sender);
    sender.send_many(3);
    sender.ack(&[number + 1..=number + 3]);
    assert_eq!(
        (sender.out.lost_packets, sender.out.congestion_event),
        (1, false)
    );
    assert_eq!(sender.recovery.bytes_in_flight(), 0);
}

/// RFC 8899 §4.3.
#[test]
fn a_black_hole_brings_small_datagrams_back() {
    let mut sender = searching();
    let number = probe(&mut sender);
    sender.ack(&[number..=number]);
    for changed in [false, false, true] {
        assert_eq!(sender.recovery.max_datagram_size(), 1452);
        sender.now += 1_000;
        sender.size = 1452;
        sender.send_many(3);
        sender.size = 60;
        sender.send_many(1);
        let last = sender.next[2] - 1;
        sender.now += 100;
        sender.ack(&[last..=last]);
        assert_eq!(sender.out.max_datagram_size_changed, changed);
        assert_eq!(sender.timeout(), TimeoutAction::Lost(SpaceId::Data));
    }
    assert_eq!(sender.recovery.max_datagram_size(), 1200);
}

/// A route that carries nothing large must not swallow every probe.
#[test]
fn repeated_timeouts_make_datagrams_small_until_something_arrives() {
    let mut sender = searching();
    let number = probe(&mut sender);
    sender.ack(&[number..=number]);
    sender.send_many(1);
    for _ in 0..3 {
        assert_eq!(sender.recovery.max_datagram_size(), 1452);
        sender.timeout();
    }
    assert_eq!(sender.recovery.max_datagram_size(), 1200);
    sender.ack(&[2..=2]);
    assert_eq!(sender.recovery.max_datagram_size(), 1452);
}
