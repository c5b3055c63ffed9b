//! Row 25: clocks that jump and numbers that have no encoding. RFC 9000 §16; nothing that a clock or a peer says may
//! end in an assertion.

use std::time::Duration;

use integration::for_each_seed;
use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::endpoint::EndpointConfig;
use quic_lite::rng::Rng;
use quic_lite::wire::frame::{Frame, MaxData, NewConnectionId, RetireConnectionId, Stream};
use quic_lite::wire::varint;
use quic_lite::wire::writer::{Full, Writer};
use quic_lite::{Dir, Side, StreamId};

use integration::forge::cid;

use crate::net::Net;

/// A transfer while clocks do as they like; then they are well again.
fn with_clocks(seed: u64, mut jump: impl FnMut(&mut Rng) -> Duration) -> Net {
    let (mut net, mut rng) = (Net::new(EndpointConfig::default()), Rng::from_number(seed));
    net.connect(Config::default());
    net.nodes[0].files.want(300_000);
    for _ in 0..100 {
        net.run(Duration::from_millis(5));
        let place = rng.below(2) as usize;
        net.nodes[place].behind = jump(&mut rng);
    }
    net.nodes
        .iter_mut()
        .for_each(|node| node.behind = Duration::ZERO);
    net
}

/// Time stands still until a clock is where it was; all is late, and nothing is lost.
#[test]
fn row_25_a_clock_that_goes_back_a_little_delays_a_transfer() {
    for_each_seed(20, |seed| {
        let mut net = with_clocks(seed, |rng| Duration::from_millis(rng.below(200)));
        net.run(Duration::from_secs(20));
        assert_eq!(net.nodes[0].files.files, 1);
        assert_eq!(net.nodes[0].closed(), None);
    });
}

/// To the beginning of time, and on to the end: the connection may end, in order.
#[test]
fn row_25_a_clock_that_goes_anywhere_ends_a_connection_at_worst() {
    for_each_seed(20, |seed| {
        let mut net = with_clocks(seed, |rng| match rng.below(4) {
            0 => Duration::MAX,
            1 => Duration::from_secs(rng.below(100_000)),
            2 => Duration::from_micros(rng.below(100_000)),
            _ => Duration::ZERO,
        });
        net.run(Duration::from_secs(60));
        net.now = Time::FAR_FUTURE - Duration::from_secs(100);
        net.run(Duration::from_secs(60));
        for node in &mut net.nodes {
            assert!(node.endpoint.is_idle(), "{:?}", node.events);
        }
    });
}

/// RFC 9000 §16: beyond 2^62-1 there is no encoding, and that is an error, not a panic or another number.
#[test]
fn row_25_a_number_without_an_encoding_is_an_error_in_every_frame() {
    let big = varint::MAX + 1;
    for value in [big, big + 1, u64::MAX] {
        let id = StreamId::new(Side::Client, Dir::Bi, 0);
        let connection_id = cid(b"whatever");
        let new = |sequence_number, retire_prior_to| {
            Frame::NewConnectionId(NewConnectionId {
                sequence_number,
                retire_prior_to,
                connection_id,
                stateless_reset_token: [1; 16],
            })
        };
        let frames = [
            Frame::MaxData(MaxData {
                maximum_data: value,
            }),
            Frame::RetireConnectionId(RetireConnectionId {
                sequence_number: value,
            }),
            new(value, 0),
            new(0, value),
            Frame::Stream(Stream {
                stream_id: id,
                offset: value,
                fin: false,
                data: b"x",
            }),
        ];
        for frame in frames {
            let mut buffer = [0; 200];
            let mut out = Writer::new(&mut buffer);
            assert_eq!(frame.encode(&mut out), Err(Full), "{frame}");
            assert!(out.is_empty(), "{frame}: half of it was written");
        }
    }
}
