//! RFC 9002 §6.2, A.8, A.9: the timer and its probes.

use super::*;

/// RFC 9002 §6.2.1: PTO = smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay.
#[test]
fn the_data_space_waits_for_the_peers_delay_too() {
    let mut sender = Sender::confirmed();
    assert_eq!(sender.timer(), None);
    sender.send_many(1);
    assert_eq!(sender.timer(), Some(100 + 100 + 4 * 50 + 25));
    assert_eq!(sender.recovery.pto(), ms(325));
    assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Data));
    assert!(
        sender.lost().is_empty(),
        "RFC 9002 §6.2: nothing is lost yet"
    );
}

/// RFC 9002 §6.2.1.
#[test]
fn each_timeout_doubles_the_next_and_an_acknowledgement_ends_that() {
    let mut sender = Sender::confirmed();
    sender.send_many(1);
    for factor in [1, 2, 4, 8] {
        assert_eq!(sender.timer(), Some(sender.now + 325 * factor));
        assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Data));
        sender.send_many(1);
    }
    sender.ack(&[5..=5]);
    assert_eq!(sender.recovery.pto_count(), 0);
}

#[test]
fn the_backoff_has_a_limit() {
    let mut sender = Sender::confirmed();
    sender.send_many(1);
    let before = (0..50).fold(0, |_, _| {
        let before = sender.now;
        sender.timeout();
        before
    });
    assert_eq!(sender.now - before, 60_000);
}

/// RFC 9002 §6.2.1.
#[test]
fn no_probe_timeout_for_data_before_the_handshake_is_confirmed() {
    let mut sender = Sender::new(Side::Server);
    sender.send_many(1);
    assert_eq!(sender.timer(), None);
    sender.send(SpaceId::Handshake);
    assert_eq!(sender.timer(), Some(999), "without max_ack_delay");
    sender.recovery.discard(at(0), SpaceId::Handshake);
    sender.recovery.on_handshake_confirmed(at(0));
    assert_eq!(sender.timer(), Some(999 + 25));
}

/// RFC 9002 §6.2.1: the earlier of Initial and Handshake.
#[test]
fn the_earliest_space_is_probed_first_and_the_other_goes_along() {
    let mut sender = Sender::new(Side::Server);
    sender.send(SpaceId::Initial);
    sender.now = 10;
    sender.send(SpaceId::Handshake);
    sender.send(SpaceId::Handshake);
    assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Initial));
    assert!(sender.recovery.probe_pending(SpaceId::Initial));
    assert!(sender.recovery.probe_pending(SpaceId::Handshake));
    sender.send(SpaceId::Initial);
    sender.send(SpaceId::Handshake);
    assert!(
        !SpaceId::ALL
            .iter()
            .any(|&id| sender.recovery.probe_pending(id))
    );
}

/// RFC 9002 A.8: a space with nothing in flight sets no timer.
#[test]
fn an_empty_space_does_not_hasten_the_timer() {
    let mut sender = Sender::new(Side::Server);
    sender.send(SpaceId::Initial);
    sender.ack_in(SpaceId::Initial, &[0..=0], None).unwrap();
    sender.now = 10;
    sender.send(SpaceId::Handshake);
    assert_eq!(sender.timer(), Some(11));
    assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Handshake));
    assert!(!sender.recovery.probe_pending(SpaceId::Initial));
}

/// RFC 9002 §6.2.4.
#[test]
fn two_probes_repeat_what_the_oldest_packets_carried() {
    let mut sender = Sender::confirmed();
    sender.send_ack();
    sender.send_many(5);
    sender.timeout();
    let mut frames = Vec::new();
    sender.recovery.probe_frames(SpaceId::Data, &mut frames);
    assert_eq!(numbers(&frames), [2, 3]);
    sender.send_many(1);
    assert!(sender.recovery.probe_pending(SpaceId::Data));
    sender.send_many(1);
    assert!(!sender.recovery.probe_pending(SpaceId::Data));
}

/// RFC 9002 §6.2.2.1.
#[test]
fn a_server_that_may_not_send_sets_no_probe_timer() {
    let mut sender = Sender::new(Side::Server);
    sender.send(SpaceId::Initial);
    sender.recovery.set_amplification_limited(true);
    assert_eq!(sender.timer(), None);
    sender.recovery.set_amplification_limited(false);
    assert_eq!(sender.timer(), Some(999));
}

/// RFC 9002 §6.2.2.1: the client keeps the server from waiting for ever.
#[test]
fn a_client_with_nothing_in_flight_unblocks_the_server() {
    let mut sender = Sender::new(Side::Client);
    assert_eq!(sender.timer(), None, "nothing was sent at all");
    sender.send(SpaceId::Initial);
    sender.now = 100;
    sender.ack_in(SpaceId::Initial, &[0..=0], None).unwrap();
    // The RTT is 100 ms now; the timer runs from the acknowledgement.
    assert_eq!(sender.timer(), Some(100 + 300));
    assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Initial));
    assert!(sender.recovery.probe_pending(SpaceId::Initial));
    sender.recovery.on_handshake_keys();
    assert_eq!(sender.timer(), Some(400 + 600));
    assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Handshake));
    assert!(!sender.recovery.probe_pending(SpaceId::Data));
}

/// RFC 9002 §6.2.1, A.8: PeerCompletedAddressValidation.
#[test]
fn only_a_handshake_acknowledgement_ends_a_clients_backoff() {
    let mut sender = Sender::new(Side::Client);
    sender.send(SpaceId::Initial);
    sender.timeout();
    sender.send(SpaceId::Initial);
    sender.ack_in(SpaceId::Initial, &[1..=1], None).unwrap();
    assert_eq!(sender.recovery.pto_count(), 1);
    sender.send(SpaceId::Handshake);
    sender.ack_in(SpaceId::Handshake, &[0..=0], None).unwrap();
    assert_eq!(sender.recovery.pto_count(), 0);
    sender.recovery.discard(at(sender.now), SpaceId::Initial);
    assert_eq!(sender.timer(), None);
}

/// RFC 9002 A.8: so does the confirmation of the handshake.
#[test]
fn a_client_with_a_confirmed_handshake_has_nobody_to_unblock() {
    let mut sender = Sender::new(Side::Client);
    sender.send(SpaceId::Initial);
    sender.ack_in(SpaceId::Initial, &[0..=0], None).unwrap();
    assert!(sender.timer().is_some());
    sender.recovery.on_handshake_confirmed(at(0));
    assert_eq!(sender.timer(), None);
}

/// RFC 9002 §6.2.1: one timer; the loss timer comes first.
#[test]
fn a_loss_timer_replaces_the_probe_timer() {
    let mut sender = Sender::confirmed();
    sender.send_many(3);
    sender.now = 150;
    sender.ack(&[2..=2]);
    sender.recovery.set_amplification_limited(true);
    // 9/8 of (7 * 100 + 50) / 8 ms.
    assert_eq!(sender.timer(), Some(100 + 105));
    assert_eq!(sender.timeout(), TimeoutAction::Lost(SpaceId::Data));
    assert_eq!(sender.lost(), [1]);
}

/// RFC 9002 A.11.
#[test]
fn discarding_a_space_empties_it_and_ends_the_backoff() {
    let mut sender = Sender::new(Side::Server);
    sender.send(SpaceId::Initial);
    sender.timeout();
    sender.send(SpaceId::Initial);
    assert_eq!(sender.recovery.bytes_in_flight(), 2400);
    sender.recovery.discard(at(sender.now), SpaceId::Initial);
    assert_eq!(
        (
            sender.recovery.bytes_in_flight(),
            sender.recovery.pto_count()
        ),
        (0, 0)
    );
    assert_eq!(sender.timer(), None);
}

/// RFC 9002 §6.3.
#[test]
fn a_retry_repeats_everything_and_resets_the_state() {
    let mut sender = Sender::new(Side::Client);
    sender.send(SpaceId::Initial);
    sender.timeout();
    sender.send(SpaceId::Initial);
    sender.recovery.on_retry(at(sender.now), &mut sender.out);
    assert_eq!(sender.lost(), [0, 1]);
    assert_eq!(
        (
            sender.recovery.bytes_in_flight(),
            sender.recovery.pto_count()
        ),
        (0, 0)
    );
    assert_eq!(sender.recovery.congestion_window(), 12_000);
}

/// Probes that cannot leave must not make the timer spin.
#[test]
fn a_timeout_is_never_due_twice_at_the_same_time() {
    let mut sender = Sender::confirmed();
    sender.send_many(1);
    sender.now = 1_000_000;
    assert_eq!(sender.timeout(), TimeoutAction::Probe(SpaceId::Data));
    assert!(sender.timer().is_some_and(|time| time > sender.now));
}
