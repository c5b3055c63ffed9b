//! Limits that no row of its own crosses, one test each; `doc/limits.md` names all. RFC 9000 §21.

use integration::network::address;
use integration::{Acks, Duel, Setup};
use quic_lite::connection::Connection;
use quic_lite::error::TransportErrorCode as Code;
use quic_lite::limits;
use quic_lite::wire::frame::{Datagram, Frame, Stream};
use quic_lite::wire::header::PacketType;
use quic_lite::{Dir, Side, StreamId};

fn connection(duel: &mut Duel) -> &mut Connection {
    duel.connection_mut().unwrap()
}

fn received(duel: &Duel) -> u64 {
    duel.connection().unwrap().stats().packets_received
}

#[test]
fn limit_kept_packet_size_a_larger_packet_does_not_wait_for_its_keys() {
    for (size, is_kept) in [
        (limits::KEPT_PACKET_SIZE, true),
        (limits::KEPT_PACKET_SIZE + 1, false),
    ] {
        let mut duel = Duel::at(Side::Server, false);
        let packet = duel.peer.packet(PacketType::OneRtt, size, |out| {
            Frame::Ping.encode(out).unwrap();
        });
        assert_eq!(packet.len(), size);
        let before = duel.heap.held();
        duel.deliver(packet);
        let kept = duel.heap.held() - before >= size as isize;
        assert_eq!(kept, is_kept, "{size} bytes");
    }
}

/// A peer that moves to one address after the other and acknowledges nothing is not followed.
#[test]
fn limit_moves_without_ack_a_restless_peer_is_not_followed() {
    let mut duel = Duel::at(Side::Server, true);
    duel.acks = Acks::Closed;
    let held = duel.heap.held();
    for host in 10..200 {
        duel.from = address(host, 1000);
        duel.send_frames(PacketType::OneRtt, &[Frame::Ping]);
        let now = duel.connection().unwrap().path().remote;
        let last = 9 + limits::MOVES_WITHOUT_ACK as u8;
        assert_eq!(now, address(host.min(last), 1000));
    }
    assert!(duel.heap.held() - held < 64 << 10);
    // An acknowledgement shows that it was no lie.
    duel.acks = Acks::Open;
    duel.send_frames(PacketType::OneRtt, &[Frame::Ping]);
    duel.send_frames(PacketType::OneRtt, &[Frame::Ping]);
    assert_eq!(duel.connection().unwrap().path().remote, duel.from);
}

#[test]
fn limit_issued_connection_ids_whatever_the_peer_offers_to_keep() {
    let mut setup = Setup::default();
    setup.parameters.active_connection_id_limit = 1 << 40;
    let mut duel = Duel::against_server(setup).shaken();
    let ids = connection(&mut duel).local_cids().count();
    assert_eq!(ids, limits::ISSUED_CONNECTION_IDS);
}

/// Every second number arrives: the lowest are forgotten, and count as received from then on.
#[test]
fn limit_ack_ranges_the_lowest_are_forgotten_and_not_taken_again() {
    let mut duel = Duel::at(Side::Server, true);
    // What is acknowledged of acknowledgements need not be said again.
    duel.acks = Acks::Closed;
    let first = duel.peer.next_number(PacketType::OneRtt) + 1;
    for n in 0..300 {
        duel.peer.set_next_number(PacketType::OneRtt, first + 2 * n);
        duel.send_frames(PacketType::OneRtt, &[Frame::Ping]);
    }
    let ranges = duel
        .seen
        .iter()
        .flat_map(|seen| seen.frames())
        .filter_map(|frame| match frame {
            Frame::Ack(ack) => Some(ack.range_count()),
            _ => None,
        });
    assert_eq!(ranges.max(), Some(limits::ACK_RANGES as u64));
    let before = received(&duel);
    duel.peer.set_next_number(PacketType::OneRtt, first + 1);
    duel.send_frames(PacketType::OneRtt, &[Frame::Ping]);
    assert_eq!(received(&duel), before, "a forgotten number was taken");
}

#[test]
fn limit_close_reason_the_rest_is_cut_off() {
    let mut duel = Duel::at(Side::Server, true);
    let now = duel.now;
    connection(&mut duel).close(now, 1, &"x".repeat(1000));
    duel.turn();
    let len = duel
        .seen
        .iter()
        .flat_map(|seen| seen.frames())
        .find_map(|frame| match frame {
            Frame::ConnectionClose(close) => Some(close.reason.len()),
            _ => None,
        });
    assert_eq!(len, Some(limits::CLOSE_REASON));
}

#[test]
fn limit_new_token_a_longer_one_is_not_sent() {
    for (len, is_sent) in [(limits::NEW_TOKEN, true), (limits::NEW_TOKEN + 1, false)] {
        let mut duel = Duel::at(Side::Server, true);
        connection(&mut duel).send_new_token(vec![7; len]);
        duel.turn();
        let wanted =
            |frame: &Frame<'_>| matches!(frame, Frame::NewToken(new) if new.token.len() == len);
        assert_eq!(duel.seen.iter().any(|seen| seen.has(wanted)), is_sent);
    }
}

/// The first byte beyond a window, of a stream and of the connection.
#[test]
fn limit_initial_windows_end_where_they_are_said_to() {
    let send = |duel: &mut Duel, index, end: u64| {
        let frame = Frame::Stream(Stream {
            stream_id: StreamId::new(Side::Client, Dir::Uni, index),
            offset: end - 1,
            fin: false,
            data: b"x",
        });
        duel.send_frames(PacketType::OneRtt, &[frame]);
        duel.code()
    };
    let (stream, all) = (
        limits::INITIAL_STREAM_WINDOW,
        limits::INITIAL_CONNECTION_WINDOW,
    );
    let mut duel = Duel::at(Side::Server, true);
    assert_eq!(send(&mut duel, 0, stream), None);
    assert_eq!(
        send(&mut duel, 0, stream + 1),
        Some(Code::FLOW_CONTROL_ERROR)
    );
    let mut duel = Duel::at(Side::Server, true);
    for index in 0..all / stream {
        assert_eq!(send(&mut duel, index, stream), None);
    }
    let last = all / stream;
    assert_eq!(send(&mut duel, last, 1), Some(Code::FLOW_CONTROL_ERROR));
}

#[test]
fn limit_send_buffer_a_write_is_cut_short() {
    let mut duel = Duel::at(Side::Server, true);
    let connection = connection(&mut duel);
    let id = connection.open(Dir::Uni).unwrap();
    let written = connection.write(id, &vec![0; 1 << 20]).unwrap();
    assert_eq!(written as u64, limits::SEND_BUFFER);
}

/// Type and data count; the length field need not be there.
#[test]
fn limit_datagram_frame_a_larger_one_is_a_violation() {
    for (len, code) in [(99, None), (100, Some(Code::PROTOCOL_VIOLATION))] {
        let mut setup = Setup::default();
        assert_eq!(
            setup.transport.max_datagram_frame_size,
            limits::DATAGRAM_FRAME
        );
        setup.transport.max_datagram_frame_size = 100;
        let mut duel = Duel::against_server(setup).shaken();
        let data = vec![0; len];
        duel.send_frames(
            PacketType::OneRtt,
            &[Frame::Datagram(Datagram { data: &data })],
        );
        assert_eq!(duel.code(), code, "{len} bytes");
    }
}
