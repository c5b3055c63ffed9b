//! RFC 9002 §6.1 and §7.6: which packets are lost, and when that is persistent congestion.

use super::*;
use crate::limits;

/// RFC 9002 §6.1.1: kPacketThreshold is 3.
#[test]
fn three_numbers_behind_is_lost() {
    let mut sender = Sender::confirmed();
    sender.send_many(6);
    sender.ack(&[4..=4]);
    assert_eq!(sender.lost(), [1]);
    sender.ack(&[6..=6]);
    assert_eq!(sender.lost(), [2, 3]);
    assert_eq!(sender.out.lost_bytes, 2400);
}

/// RFC 9002 §6.1.2: 9/8 of the RTT, by a timer.
#[test]
fn nine_eighths_of_a_round_trip_behind_is_lost() {
    let mut sender = Sender::confirmed();
    sender.send_many(2);
    sender.now = 200;
    sender.ack(&[2..=2]);
    assert!(sender.lost().is_empty());
    assert_eq!(
        sender.recovery.next_timeout(),
        Some(Time::from_micros(212_500))
    );
    assert_eq!(
        sender.recovery.on_timeout(at(212), &mut sender.out),
        TimeoutAction::None
    );
    assert_eq!(sender.timeout(), TimeoutAction::Lost(SpaceId::Data));
    assert_eq!(sender.lost(), [1]);
    assert_eq!(sender.timer(), None);
}

/// RFC 9002 §6.1.2: the timer fires once, when it is due.
#[test]
fn a_packet_is_lost_at_the_time_the_timer_named() {
    let mut sender = Sender::confirmed();
    sender.send_many(1);
    sender.now = 101;
    sender.send_many(2);
    sender.now = 200;
    sender.ack(&[3..=3]);
    // 9/8 of (7 * 100 + 99) / 8 ms.
    for (time, number) in [(212_359, 1), (213_359, 2)] {
        let time = Time::from_micros(time);
        assert_eq!(sender.recovery.next_timeout(), Some(time));
        let action = sender.recovery.on_timeout(time, &mut sender.out);
        assert_eq!(action, TimeoutAction::Lost(SpaceId::Data));
        assert_eq!(sender.lost(), [number]);
    }
    assert_eq!(sender.recovery.next_timeout(), None);
}

/// RFC 9002 §6.1.2: kGranularity.
#[test]
fn the_time_threshold_is_at_least_a_millisecond() {
    let mut sender = Sender::new(Side::Server);
    sender.send_many(2);
    sender.ack(&[1..=1]);
    assert_eq!(sender.recovery.next_timeout(), Some(at(1)));
}

/// RFC 9002 §6.1: only packets sent before an acknowledged one.
#[test]
fn packets_after_the_largest_acknowledged_are_never_lost() {
    let mut sender = Sender::confirmed();
    sender.send_many(3);
    sender.ack(&[1..=1]);
    sender.now = 60_000;
    assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Data));
    assert!(sender.lost().is_empty());
}

/// RFC 9000 §13.3: a packet can arrive after it was declared lost.
#[test]
fn a_late_packet_is_acknowledged_and_the_window_restored() {
    let mut sender = Sender::confirmed();
    let window = sender.recovery.congestion_window();
    sender.send_many(4);
    sender.ack(&[4..=4]);
    assert!(sender.out.congestion_event);
    assert!(sender.recovery.congestion_window() < window);
    sender.ack(&[1..=1, 4..=4]);
    assert_eq!((sender.acked(), sender.out.spurious_packets), (vec![1], 1));
    assert_eq!(sender.recovery.congestion_window(), window);
    sender.ack(&[1..=1]);
    assert!(sender.acked().is_empty());
}

/// RFC 9002 §6.1: spurious losses widen the thresholds.
#[test]
fn after_a_late_packet_more_reordering_is_tolerated() {
    let mut sender = Sender::confirmed();
    sender.send_many(4);
    sender.ack(&[4..=4]);
    sender.ack(&[1..=4]);
    sender.send_many(7);
    sender.ack(&[10..=10]);
    assert!(sender.lost().is_empty(), "five behind");
    sender.ack(&[11..=11]);
    assert_eq!(sender.lost(), [5]);
}

/// RFC 9438 §4.9.2.
#[test]
fn the_window_is_restored_when_all_lost_packets_came_late() {
    let mut sender = Sender::confirmed();
    sender.send_many(5);
    sender.ack(&[5..=5]);
    assert_eq!(sender.lost(), [1, 2]);
    sender.ack(&[2..=2, 5..=5]);
    assert_eq!(sender.recovery.congestion_window(), 6_000);
    sender.ack(&[1..=2, 5..=5]);
    assert_eq!(sender.recovery.congestion_window(), 12_000);
}

#[test]
fn it_is_told_which_packets_were_lost_and_whose() {
    let mut sender = Sender::confirmed();
    for by_other in [true, true, false] {
        let packet = SentPacket {
            by_other,
            ..sender.packet(sender.next[2])
        };
        sender.next[2] += 1;
        sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    }
    sender.send_many(4);
    sender.ack(&[6..=6]);
    let out = &sender.out;
    assert_eq!((out.lost_packets, out.lost_by_other), (3, 2));
    assert_eq!(out.lost_numbers, [1, 2, 3].map(PacketNumber::new));
}

/// Three probe timeouts.
#[test]
fn a_late_packet_is_known_for_a_time() {
    for (more, acked) in [(0, vec![1]), (1, vec![])] {
        let mut sender = Sender::confirmed();
        sender.send_many(4);
        sender.ack(&[4..=4]);
        assert_eq!(sender.lost(), [1]);
        let keep = 3 * sender.recovery.rtt().pto();
        sender.now = 100 + u64::try_from(keep.as_millis()).unwrap() + more;
        sender.ack(&[3..=4]);
        assert_eq!((sender.acked(), sender.lost()), (vec![3], vec![2]));
        sender.ack(&[1..=1]);
        assert_eq!(sender.acked(), acked);
    }
}

#[test]
fn lost_packets_are_forgotten_after_a_while() {
    let mut sender = Sender::confirmed();
    sender.send_many(4);
    sender.ack(&[4..=4]);
    assert_eq!(sender.recovery.spaces[2].lost.len(), 1);
    sender.now = 10_000;
    sender.send_many(1);
    sender.ack(&[5..=5]);
    let lost = sender.recovery.spaces[2].lost.iter();
    assert_eq!(
        lost.map(|packet| packet.number.value()).collect::<Vec<_>>(),
        [2, 3]
    );
}

#[test]
fn an_old_ack_packet_is_dropped_without_a_word() {
    let mut sender = Sender::confirmed();
    sender.send_ack();
    sender.send_many(1);
    sender.ack(&[2..=2]);
    assert_eq!(sender.timer(), None, "nobody waits for it");
    sender.send_many(2);
    sender.ack(&[3..=4]);
    assert_eq!(
        (sender.out.lost_packets, sender.out.congestion_event),
        (0, false)
    );
    assert!(sender.recovery.spaces[2].sent.is_empty());
}

/// RFC 9002 §7.6.3: the example, counting packets from zero. The RTT is 200 ms, measured before the
/// first lost packet was sent, and max_ack_delay makes up what lacks to 2 s.
fn rfc9002_7_6_3(acked_between: Option<u64>) -> Sender {
    let mut sender = Sender::new(Side::Server);
    sender.recovery.on_handshake_confirmed(at(0));
    sender
        .recovery
        .rtt
        .on_sample(at(500), ms(200), Duration::ZERO);
    sender.now = 1_000;
    sender.send_many(2);
    sender.now = 1_200;
    sender.ack(&[0..=0]);
    let mut rtt = sender.recovery.rtt().clone();
    rtt.on_sample(at(12_200), ms(200), Duration::ZERO);
    sender
        .recovery
        .set_peer_max_ack_delay(ms(2_000) - rtt.pto());
    for time in [2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 12_000] {
        sender.now = time;
        sender.send_many(1);
    }
    sender.now = 12_200;
    let mut ranges = vec![8..=8];
    ranges.extend(acked_between.map(|number| number..=number));
    sender.ack(&ranges);
    sender
}

/// RFC 9002 §7.6.3.
#[test]
fn persistent_congestion_as_in_the_example() {
    let sender = rfc9002_7_6_3(None);
    assert_eq!(sender.lost(), [1, 2, 3, 4, 5, 6, 7]);
    assert!(sender.out.persistent_congestion);
    assert_eq!(
        sender.recovery.congestion_window(),
        2400 + 1200,
        "and packet 9 was acknowledged"
    );
    // RFC 9002 §5.2.
    assert_eq!(sender.recovery.rtt().min(), sender.recovery.rtt().latest());
}

/// RFC 9002 §7.6.2: an acknowledged packet between the lost ones breaks the period.
#[test]
fn persistent_congestion_needs_silence_in_between() {
    let sender = rfc9002_7_6_3(Some(4));
    assert_eq!(sender.lost(), [1, 2, 3, 5, 6, 7]);
    assert!(!sender.out.persistent_congestion);
}

/// Sends a packet at each of these times, in milliseconds, and three more; acknowledges the last, after
/// 100 ms, and those that were sent at `arrived`. Then the probe timeout is 250 ms, and 25 ms of the peer's
/// delay make the duration of persistent congestion 825 ms. The first sample was taken at 100 ms.
fn is_persistent(times: &[u64], arrived: &[u64]) -> bool {
    let mut sender = Sender::confirmed();
    let mut acked = Vec::new();
    for &time in times {
        sender.now = time;
        let number = sender.send(SpaceId::Data);
        acked.extend(arrived.contains(&time).then_some(number..=number));
    }
    sender.send_many(3);
    let last = sender.next[2] - 1;
    sender.now += 100;
    acked.insert(0, last..=last);
    sender.ack(&acked);
    assert_eq!(sender.recovery.rtt().pto(), ms(250));
    sender.out.persistent_congestion
}

/// RFC 9002 §7.6.1, §7.6.2.
#[test]
fn persistent_congestion_lasts_longer_than_its_duration() {
    assert!(!is_persistent(&[200, 1_025], &[]));
    assert!(is_persistent(&[200, 1_026], &[]));
    assert!(!is_persistent(&[200, 1_025, 1_050, 1_100], &[1_050]));
    assert!(is_persistent(&[200, 1_026, 1_050, 1_100], &[1_050]));
}

/// RFC 9002 §7.6.2: a sample must have existed when the first of the packets left.
#[test]
fn a_packet_sent_when_the_first_sample_was_taken_proves_nothing() {
    assert!(!is_persistent(&[100, 2_000], &[]));
    assert!(is_persistent(&[101, 2_000], &[]));
}

/// RFC 9002 §7.6.2.
#[test]
fn persistent_congestion_needs_a_prior_rtt_sample() {
    let mut sender = Sender::new(Side::Server);
    sender.recovery.on_handshake_confirmed(at(0));
    for time in [0, 5_000, 10_000, 15_000, 20_000] {
        sender.now = time;
        sender.send_many(1);
    }
    sender.ack(&[4..=4]);
    assert_eq!(sender.lost(), [0, 1, 2, 3]);
    assert!(!sender.out.persistent_congestion);
}

/// RFC 9002 §7.6.2.
#[test]
fn persistent_congestion_needs_ack_eliciting_packets() {
    let mut sender = Sender::confirmed();
    for time in [1_000, 5_000, 10_000] {
        sender.now = time;
        let number = sender.next[2];
        sender.next[2] += 1;
        let packet = SentPacket {
            ack_eliciting: false,
            ..sender.packet(number)
        };
        sender.recovery.on_packet_sent(SpaceId::Data, packet, &[]);
    }
    sender.now = 15_000;
    sender.send_many(1);
    sender.ack(&[4..=4]);
    assert!(sender.out.congestion_event && !sender.out.persistent_congestion);
}

/// A whole flight of packets is lost, and then another: of the first only so many are still known.
#[test]
fn lost_packets_are_remembered_up_to_a_bound() {
    let mut sender = Sender::confirmed();
    for _ in 0..2 {
        sender.send_many(1000);
        let last = sender.next[SpaceId::Data.index()] - 1;
        sender.ack(&[last..=last]);
        sender.now += 1;
    }
    sender.send_many(1000);
    let last = sender.next[SpaceId::Data.index()] - 1;
    sender.ack(&[last..=last]);
    let before = sender.out.spurious_packets;
    assert_eq!(before, 0);
    sender.ack(&[1..=900]);
    assert_eq!(
        sender.out.spurious_packets, 0,
        "the first flight is forgotten"
    );
    let lost = &sender.recovery.spaces[SpaceId::Data.index()].lost;
    assert!(lost.len() <= 1000 + limits::LOST_PACKETS, "{}", lost.len());
}
