//! Rows 7 and 8: packets that are for nobody, or too early. RFC 9000 §12.2, RFC 9001 §5.7.

use integration::{Acks, Duel, Setup};
use quic_lite::Side;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;
use quic_lite::wire::writer::Writer;

/// Sixty packets in one datagram, each for another connection but the first (lsquic, CVE-2025-54939).
fn mixed_datagram(duel: &mut Duel, packet_type: PacketType) -> Vec<u8> {
    let right = duel.peer.remote_cid;
    let mut datagram = Vec::new();
    for number in 0..60_u8 {
        let ping = |out: &mut Writer<'_>| Frame::Ping.encode(out).expect("it fits");
        datagram.extend(duel.peer.packet(packet_type, 0, ping));
        duel.peer.remote_cid = ConnectionId::new(&[number; 8]).expect("eight bytes");
    }
    duel.peer.remote_cid = right;
    datagram
}

#[test]
fn row_07_coalesced_packets_for_others_leave_no_memory_behind() {
    for side in [Side::Server, Side::Client] {
        for packet_type in [PacketType::Initial, PacketType::Handshake] {
            let mut duel = Duel::against(side, Setup::default());
            duel.begin();
            (duel.acks, duel.records) = (Acks::Closed, false);
            // Some answers may be due to the first.
            for _ in 0..10 {
                let datagram = mixed_datagram(&mut duel, packet_type);
                duel.deliver(datagram);
            }
            let datagram = mixed_datagram(&mut duel, packet_type);
            duel.deliver(datagram.clone());
            let before = duel.heap.held();
            let received = |duel: &Duel| {
                let connection = duel.connection().expect("it is there");
                connection.stats().packets_received
            };
            let taken = received(&duel);
            for _ in 0..100_000 {
                duel.deliver(datagram.clone());
            }
            assert_eq!(duel.heap.held(), before, "{side:?} {packet_type:?}");
            assert_eq!(received(&duel), taken, "a packet for others was taken");
            assert!(duel.error().is_none());
        }
    }
}

/// Datagrams that look like a new client's and do not open.
#[test]
fn row_07_datagrams_of_strangers_leave_no_memory_behind() {
    let mut duel = Duel::against_server(Setup::default());
    let mut datagram = mixed_datagram(&mut duel, PacketType::Initial);
    datagram[40] ^= 1;
    for round in 0..300 {
        duel.deliver(datagram.clone());
        if round == 0 {
            duel.sent = (0, 0);
        }
    }
    assert!(duel.endpoint.is_idle() && duel.endpoint.half_open() == 0);
    assert!(duel.heap.held() < 4 << 10, "{}", duel.heap.held());
}

/// A few packets wait for their keys, all others are dropped (quic-go, CVE-2025-59530 is about the order).
#[test]
fn row_08_packets_before_their_keys_are_kept_by_the_dozen() {
    for side in [Side::Server, Side::Client] {
        let mut duel = Duel::against(side, Setup::default());
        duel.begin();
        let before = duel.heap.held();
        let received = |duel: &Duel| {
            let connection = duel.connection().expect("it is there");
            connection.stats().packets_received
        };
        for _ in 0..10_000 {
            let ping = |out: &mut Writer<'_>| Frame::Ping.encode(out).expect("it fits");
            let packet = duel.peer.packet(PacketType::OneRtt, 1200, ping);
            duel.deliver(packet);
        }
        let (more, taken) = (duel.heap.held() - before, received(&duel));
        println!("{side:?}: {more} bytes for packets kept");
        assert!(more < 10 * 2048 + (8 << 10));
        duel.complete();
        let opened = received(&duel) - taken;
        println!("{side:?}: {opened} opened");
        assert!((10..40).contains(&opened));
    }
}
