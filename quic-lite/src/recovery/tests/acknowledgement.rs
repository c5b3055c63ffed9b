//! RFC 9002 §5, A.7 and RFC 9000 §13: what acknowledgements are believed, and what they cost.

use super::*;

#[test]
fn frames_of_acknowledged_packets_come_back_once() {
    let mut sender = Sender::confirmed();
    sender.send_many(5);
    sender.ack(&[1..=2, 4..=4]);
    assert_eq!(sender.acked(), [4, 1, 2]);
    assert_eq!(
        (sender.out.acked_packets, sender.out.acked_bytes),
        (3, 3600)
    );
    sender.ack(&[0..=5]);
    assert_eq!(sender.acked(), [3, 5]);
    sender.ack(&[0..=5]);
    assert!(sender.acked().is_empty());
    assert_eq!(sender.recovery.bytes_in_flight(), 0);
}

/// RFC 9002 §6.2.1: what was acknowledged before proves no sign of life; a packet that comes late does.
#[test]
fn only_news_is_progress() {
    let mut sender = Sender::confirmed();
    sender.send_many(5);
    sender.ack(&[4..=4]);
    sender.timeout();
    let mut probed = || {
        assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Data));
        let count = sender.recovery.pto_count();
        sender.ack(&[4..=4]);
        assert_eq!(sender.recovery.pto_count(), count);
    };
    probed();
    probed();
    sender.ack(&[1..=1, 4..=4]);
    assert_eq!((sender.out.spurious_packets, sender.acked()), (1, vec![1]));
    assert_eq!(sender.recovery.pto_count(), 0);
    assert_eq!(sender.recovery.rtt().latest(), Duration::from_micros(1));
}

/// RFC 9000 §13.1.
#[test]
fn an_ack_of_an_unsent_packet_is_refused_and_changes_nothing() {
    let mut sender = Sender::confirmed();
    sender.send_many(2);
    let error = sender.ack_in(SpaceId::Data, &[0..=3], None).unwrap_err();
    assert_eq!(
        error.code,
        crate::error::TransportErrorCode::PROTOCOL_VIOLATION
    );
    assert_eq!(sender.recovery.bytes_in_flight(), 2400);
    assert_eq!(
        sender.recovery.largest_acked(SpaceId::Data),
        Some(PacketNumber::ZERO)
    );
}

/// RFC 9000 §21.4.
#[test]
fn an_ack_of_a_skipped_number_is_refused() {
    let mut sender = Sender::confirmed();
    sender.send_many(2);
    sender
        .recovery
        .on_skipped(SpaceId::Data, PacketNumber::new(3));
    sender.next[2] += 1;
    sender.send_many(1);
    sender.ack(&[1..=2, 4..=4]);
    assert!(sender.ack_in(SpaceId::Data, &[1..=4], None).is_err());
}

/// RFC 9002 §6.1: numbers that were never sent are no reordering.
#[test]
fn a_skipped_number_does_not_make_packets_before_it_lost() {
    let mut sender = Sender::confirmed();
    sender.send_many(1);
    sender
        .recovery
        .on_skipped(SpaceId::Data, PacketNumber::new(2));
    sender.next[2] += 1;
    sender.send_many(2);
    sender.ack(&[4..=4]);
    assert!(sender.lost().is_empty());
    sender.send_many(1);
    sender.ack(&[4..=5]);
    assert_eq!(sender.lost(), [1]);
}

/// An ACK frame may name 2^62 numbers; only those sent cost anything.
#[test]
fn huge_ranges_are_as_cheap_as_small_ones() {
    let mut sender = Sender::confirmed();
    let mut ranges = Vec::new();
    for i in 1..60 {
        let number = i << 55;
        sender.next[2] = number;
        sender.send_many(1);
        ranges.push(number - (1 << 54)..=number);
    }
    sender.ack(&ranges);
    assert_eq!(sender.out.acked_packets, 59);
    // Would take centuries if it walked the numbers.
    for _ in 0..1000 {
        sender.ack(&ranges);
    }
}

#[test]
fn packets_of_another_sender_are_entered_when_they_become_known() {
    let mut sender = Sender::confirmed();
    sender.next[2] = 10;
    sender.send_many(1);
    for number in [3, 4, 8] {
        let packet = SentPacket {
            time: at(99),
            ..sender.packet(number)
        };
        sender.recovery.on_packet_sent(
            SpaceId::Data,
            packet,
            &[SentFrame::NewConnectionId(number)],
        );
        sender.recovery.on_packet_sent(
            SpaceId::Data,
            packet,
            &[SentFrame::NewConnectionId(number)],
        );
    }
    assert_eq!(sender.recovery.bytes_in_flight(), 4800, "entered once each");
    sender.ack(&[4..=4, 8..=10]);
    assert_eq!(sender.acked(), [8, 10, 4]);
    assert_eq!(sender.lost(), [3]);
}

/// RFC 9002 §5.1: the largest must be new, and something must have asked for an answer.
#[test]
fn rtt_samples_need_a_new_largest_and_an_ack_eliciting_packet() {
    let mut sender = Sender::confirmed();
    sender.send_many(2);
    sender.send_ack();
    sender.now = 150;
    sender.ack(&[3..=3]);
    assert_eq!(
        sender.recovery.rtt().latest(),
        ms(100),
        "only an ACK was acknowledged"
    );
    sender.ack(&[2..=3]);
    assert_eq!(
        sender.recovery.rtt().latest(),
        ms(100),
        "the largest was known"
    );
    sender.send_many(1);
    sender.send_ack();
    sender.now = 190;
    sender.ack(&[4..=5]);
    assert_eq!(sender.recovery.rtt().latest(), ms(40));
}

/// RFC 9002 §5.3: before confirmation any delay is believed, afterwards max_ack_delay at most, and none
/// of Initial packets.
#[test]
fn ack_delay_is_limited_once_the_handshake_is_confirmed() {
    for (id, confirmed, smoothed) in [
        (SpaceId::Data, false, 100_000),
        (SpaceId::Data, true, 106_875),
        (SpaceId::Handshake, false, 100_000),
        (SpaceId::Initial, false, 110_000),
    ] {
        let mut sender = Sender::new(Side::Server);
        sender.send(id);
        sender.now = 100;
        sender.ack_in(id, &[0..=0], None).unwrap();
        if confirmed {
            sender.recovery.on_handshake_confirmed(at(100));
        }
        sender.send(id);
        sender.now = 280;
        let payload = [0x02, 1, 0x80, 0, 0x27, 0x10, 0, 0]; // delay 10000 * 2^3 us = 80 ms
        let Some(Ok(Frame::Ack(ack))) = frames(&payload).next() else {
            panic!()
        };
        let next = PacketNumber::new(2);
        sender
            .recovery
            .on_ack(at(280), id, &ack, next, &mut sender.out)
            .unwrap();
        assert_eq!(
            sender.recovery.rtt().smoothed(),
            Duration::from_micros(smoothed)
        );
    }
}

/// Packets of bare acknowledgements are not limited by a window, so their record is.
#[test]
fn unanswered_ack_packets_do_not_pile_up() {
    let mut sender = Sender::confirmed();
    sender.send_many(1);
    (0..10_000).for_each(|_| sender.send_ack());
    assert!(sender.recovery.spaces[2].sent.len() <= 130);
    sender.ack(&[0..=10_001]);
    assert!(sender.acked().contains(&1));
    assert!(sender.recovery.spaces[2].sent.is_empty());
    assert_eq!(sender.recovery.unacked_acks(), 0);
}

/// Padded Initials are in flight, though nobody need acknowledge them.
#[test]
fn what_is_forgotten_is_in_flight_no_longer() {
    let mut sender = Sender::new(Side::Server);
    sender.send(SpaceId::Handshake);
    sender.send(SpaceId::Initial);
    for number in 1..=u64::from(limits::UNACKED_ACKS) + 1 {
        let packet = SentPacket {
            ack_eliciting: false,
            in_flight: number != 5,
            path: if number == 7 { 3 } else { 0 },
            size: 10,
            ..sender.packet(number)
        };
        sender
            .recovery
            .on_packet_sent(SpaceId::Initial, packet, &[]);
        assert_eq!(u64::from(sender.recovery.unacked_acks()), number);
    }
    let light = 10 * u64::from(limits::UNACKED_ACKS - 1);
    assert_eq!(sender.recovery.bytes_in_flight(), 2400 + light);
    sender.next[0] = u64::from(limits::UNACKED_ACKS) + 2;
    sender.send(SpaceId::Initial);
    assert_eq!(sender.recovery.bytes_in_flight(), 3600);
    assert_eq!(sender.recovery.unacked_acks(), 0);
}

#[test]
fn an_idle_connection_owns_little_memory() {
    let mut sender = Sender::confirmed();
    assert!(size_of::<Recovery>() < 2048, "{}", size_of::<Recovery>());
    for round in 0..50 {
        sender.send_many(200);
        sender.now += 100;
        let last = 200 * (round + 1);
        sender.ack(&[0..=last]);
    }
    let space = &sender.recovery.spaces[2];
    assert!(space.sent.is_empty() && space.lost.is_empty());
}
