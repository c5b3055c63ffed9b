//! Row 21: peers that move, and say odd things about connection IDs while they do. RFC 9000 §5.1, §9, §21.5.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use integration::for_each_seed;
use integration::forge::{cid, one_rtt};
use quic_lite::config::Config;
use quic_lite::connection::Event;
use quic_lite::endpoint::{Endpoint, EndpointConfig};
use quic_lite::rng::Rng;
use quic_lite::tls::ClientTls;
use quic_lite::wire::frame::{
    Frame, NewConnectionId, PathChallenge, PathResponse, RetireConnectionId,
};
use quic_lite::wire::writer::Writer;

use crate::net::{ALPN, Flying, Net, address};

/// A frame that a peer with a broken or a bad mind would send while it moves.
fn odd_frame(rng: &mut Rng, step: u64) -> Vec<u8> {
    // Beyond what the client itself has issued; more of them as time goes by, and some again.
    let number = 8 + rng.below(1 + step / 8);
    let id = |sequence_number: u64, retire_prior_to| NewConnectionId {
        sequence_number,
        retire_prior_to,
        connection_id: cid(&(sequence_number + 1).to_be_bytes()),
        stateless_reset_token: [sequence_number as u8 + 1; 16],
    };
    let frame = match rng.below(40) {
        // Too many, or to be given up in an order that makes no sense.
        0 => Frame::NewConnectionId(id(number, rng.below(number))),
        1 => Frame::RetireConnectionId(RetireConnectionId {
            sequence_number: rng.below(9),
        }),
        2..15 => Frame::NewConnectionId(id(number, number)),
        15..25 => Frame::PathChallenge(PathChallenge { data: rng.bytes() }),
        25..35 => Frame::PathResponse(PathResponse { data: rng.bytes() }),
        _ => Frame::Ping,
    };
    let mut buffer = [0; 100];
    let mut out = Writer::new(&mut buffer);
    frame.encode(&mut out).unwrap();
    out.written().to_vec()
}

/// Client 0 is hostile, client 2 is not; both are connected to 1.
fn crowd(moved: &Rc<Cell<u16>>) -> Net {
    let mut net = Net::connected(EndpointConfig::default());
    let honest = net.add(address(3, 3333), EndpointConfig::default());
    let tls = ClientTls::with_roots([integration::certificates::short().root], ALPN).unwrap();
    let (to, now) = (net.nodes[1].address, net.now);
    let endpoint: &mut Endpoint = &mut net.nodes[honest].endpoint;
    endpoint
        .connect(now, &tls, to, "localhost", Config::default())
        .unwrap();
    net.run(Duration::from_secs(1));
    let (home, moved) = (net.nodes[0].address, moved.clone());
    net.filter = Box::new(move |datagram: &mut Flying| {
        if datagram.from == home {
            datagram.from = from(moved.get());
        } else if datagram.from == to && datagram.to.ip() == from(0).ip() {
            // What goes to where it was is lost.
            if datagram.to != from(moved.get()) {
                return false;
            }
            datagram.to = home;
        }
        true
    });
    net
}

/// Where the hostile client seems to be after so many moves.
fn from(moves: u16) -> SocketAddr {
    address(1, 1111 + moves)
}

/// The hostile client sends an odd frame from there, if it still has a connection.
fn say_something_odd(net: &mut Net, rng: &mut Rng, step: u64, from: SocketAddr) {
    let Some(handle) = net.nodes[0].endpoint.handles().next() else {
        return;
    };
    let client = net.nodes[0].endpoint.connection(handle).unwrap();
    if client.is_established() {
        // Ahead of what the client itself sends, so that it is new.
        let number = client.next_packet_number().value() + 1000 + step;
        let bytes = one_rtt(client, number, &odd_frame(rng, step), 0);
        let to = net.nodes[1].address;
        net.deliver(Flying { from, to, bytes });
    }
}

/// GHSA-rfhg-rjfp-9q8q: one connection's odd moves end that connection at worst; the endpoint and the others go on.
#[test]
fn row_21_a_peer_that_moves_and_reissues_ids_harms_only_itself() {
    let (ended, moves) = (Cell::new(0), Cell::new(0));
    for_each_seed(40, |seed| {
        let mut rng = Rng::from_number(seed);
        let moved = Rc::new(Cell::new(0));
        let mut net = crowd(&moved);
        for step in 0..60 {
            match rng.below(3) {
                0 => moved.set(rng.below(6) as u16),
                1 => say_something_odd(&mut net, &mut rng, step, from(moved.get())),
                _ => net.nodes[2].files.want(2000),
            }
            net.run(Duration::from_millis(rng.below(40)));
        }
        net.nodes[2].files.want(1000);
        net.run(Duration::from_secs(2));
        assert!(net.nodes[2].files.has_all() && net.nodes[2].closed().is_none());
        let changed = |event: &Event| matches!(event, Event::PathChanged { .. });
        moves.set(moves.get() + net.nodes[1].count(changed));
        ended.set(ended.get() + usize::from(net.nodes[1].closed().is_some()));
        net.run(Duration::from_secs(120));
        assert!(net.nodes.iter_mut().all(|node| node.endpoint.is_idle()));
    });
    let (ended, moves) = (ended.get(), moves.get());
    println!("{moves} moves, {ended} connections ended by them");
    assert!(moves > 0, "nobody moved");
}
