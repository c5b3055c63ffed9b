//! RFC 9002 A.5 and A.7, in the other order: packets of another sender of the same space.

use super::*;

/// Numbers below ten are taken, from 1 on by another sender that has told nothing yet.
fn shared() -> Sender {
    let mut sender = Sender::confirmed();
    sender.next[2] = 10;
    sender.recovery.set_unresolved(Some(PacketNumber::new(1)));
    sender
}

/// The other sender tells of a packet that left 50 ms ago.
fn tell(sender: &mut Sender, number: u64) {
    let packet = SentPacket {
        time: at(sender.now - 50),
        by_other: true,
        ..sender.packet(number)
    };
    let frames = [SentFrame::NewConnectionId(number)];
    sender
        .recovery
        .on_other_packet(at(sender.now), packet, &frames, &mut sender.out);
}

/// Whether the acknowledgement of this number is remembered.
fn is_held(sender: &mut Sender, number: u64) -> bool {
    sender
        .recovery
        .on_never_sent(PacketNumber::new(number))
        .is_err()
}

#[test]
fn an_acknowledgement_waits_for_the_packet() {
    let mut sender = shared();
    for number in [3, 4] {
        tell(&mut sender, number);
    }
    assert_eq!(sender.recovery.bytes_in_flight(), 2400);
    sender.ack(&[5..=6]);
    assert_eq!((sender.acked(), sender.out.acked_packets), (vec![], 0));
    assert_eq!(sender.recovery.held_ranges(), 1);
    sender.timeout();
    assert_eq!(sender.recovery.pto_count(), 1);
    let rtt = sender.recovery.rtt().clone();
    tell(&mut sender, 5);
    let out = &sender.out;
    assert_eq!(
        (out.acked_packets, out.acked_by_other, out.acked_bytes),
        (1, 1, 1200)
    );
    assert_eq!(sender.acked(), [5]);
    assert_eq!(sender.recovery.bytes_in_flight(), 2400);
    assert_eq!(sender.recovery.pto_count(), 0, "something arrived");
    assert_eq!(sender.recovery.rtt(), &rtt, "when is not known");
    tell(&mut sender, 7);
    assert!(sender.acked().is_empty());
    assert_eq!(sender.recovery.bytes_in_flight(), 3600);
}

/// RFC 9002 B.5: the window grows as if the acknowledgement had come later.
#[test]
fn a_packet_told_of_late_fills_and_grows_the_window() {
    let mut sender = shared();
    sender.ack(&[1..=9]);
    for number in 1..=9 {
        sender.now = 200;
        sender.next[2] = sender.next[2].max(20);
        let packet = sender.packet(10 + number);
        sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    }
    sender.now = 250;
    tell(&mut sender, 1);
    assert_eq!(sender.recovery.congestion_window(), 13_200);
}

/// RFC 9000 §13.1.
#[test]
fn only_numbers_that_may_become_known_are_held() {
    let mut sender = shared();
    sender.recovery.set_unresolved(Some(PacketNumber::new(5)));
    sender.ack(&[1..=1, 3..=5, 7..=8]);
    assert_eq!(sender.recovery.held_ranges(), 2);
    let held = [1, 3, 4, 5, 6, 7, 8, 9].map(|number| is_held(&mut sender, number));
    assert_eq!(held, [false, false, false, true, false, true, true, false]);
}

#[test]
fn what_is_known_is_held_no_longer() {
    let mut sender = shared();
    sender.ack(&[2..=6]);
    sender.recovery.set_unresolved(Some(PacketNumber::new(5)));
    assert_eq!(sender.recovery.held_ranges(), 1);
    assert!(!is_held(&mut sender, 4) && is_held(&mut sender, 5));
    sender.recovery.set_unresolved(Some(PacketNumber::new(7)));
    assert_eq!(sender.recovery.held_ranges(), 0);
    sender.ack(&[8..=8]);
    assert_eq!(sender.recovery.held_ranges(), 1);
    sender.recovery.set_unresolved(None);
    assert_eq!(sender.recovery.held_ranges(), 0);
    sender.ack(&[9..=9]);
    assert_eq!(sender.recovery.held_ranges(), 0, "there is no other sender");
}

/// The other sender has the Data space alone, from its first number on.
#[test]
fn acknowledgements_of_known_numbers_and_of_other_spaces_are_not_held() {
    let mut sender = shared();
    sender.recovery.set_unresolved(Some(PacketNumber::new(5)));
    sender.ack(&[4..=4]);
    sender.next[1] = 10;
    sender.ack_in(SpaceId::Handshake, &[5..=9], None).unwrap();
    assert_eq!(sender.recovery.held_ranges(), 0);
    sender.ack(&[5..=5]);
    assert_eq!(sender.recovery.held_ranges(), 1);
}

/// `doc/limits.md`: held ranges.
#[test]
fn held_ranges_have_a_bound() {
    let mut sender = shared();
    sender.next[2] = 10_001;
    for number in 1..=1_000 {
        sender.ack(&[10 * number..=10 * number]);
        assert!(sender.recovery.held_ranges() <= limits::HELD_ACK_RANGES);
    }
    assert_eq!(sender.recovery.held_ranges(), limits::HELD_ACK_RANGES);
}

/// RFC 9002 §7: both senders share one window.
#[test]
fn bytes_of_which_nothing_else_is_known_take_from_the_window() {
    let mut sender = shared();
    sender.send_many(2);
    assert_eq!(sender.recovery.window_for_others(), 9_600);
    sender.recovery.set_outstanding(5_000);
    assert_eq!(sender.recovery.window_left(), 4_600);
    assert_eq!(sender.recovery.window_for_others(), 9_600);
    sender.recovery.set_outstanding(u64::MAX);
    assert_eq!(sender.recovery.window_left(), 0);
}

/// RFC 9000 §13.4.2.1: counts include packets that are not known yet, so they prove nothing.
#[test]
fn marks_are_not_judged_while_packets_may_be_missing() {
    let config = RecoveryConfig {
        ecn: true,
        mtu_discovery: None,
        ..RecoveryConfig::default()
    };
    let reported = |ect0| {
        Some(EcnCounts {
            ect0,
            ect1: 0,
            ecn_ce: 0,
        })
    };
    let mut sender = Sender::with(Side::Server, &config);
    sender.recovery.on_handshake_confirmed(at(0));
    sender.send_many(10);
    sender.next[2] = 20;
    sender.recovery.set_unresolved(Some(PacketNumber::new(9)));
    sender
        .ack_in(SpaceId::Data, &[0..=9], reported(99))
        .unwrap();
    assert_eq!(sender.acked().len(), 10);
    assert_eq!(sender.recovery.ecn_state(), EcnState::Unknown);
    sender.recovery.set_unresolved(None);
    sender.send_many(1);
    sender
        .ack_in(SpaceId::Data, &[0..=20], reported(99))
        .unwrap();
    assert_eq!(sender.recovery.ecn_state(), EcnState::Failed);
}
