//! What is allocated per packet once traffic is steady, counted by the allocator for each side by itself.
//! No RFC.
//!
//! Two endpoints without a network: datagrams go straight from one to the other, in place. The counter is
//! one for the whole process, so all cases are one test, and only what the endpoints do is counted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "allocations/other.rs"]
mod other;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use integration::certificates;
use integration::heap::calls;
use integration::network::address;
use other::Numbers;
use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event, FourTuple};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::stream::{Chunk, ReadChunk, StreamEvent};
use quic_lite::tls::{ClientTls, ServerTls};
use quic_lite::wire::stream_id::{Dir, StreamId};

#[test]
fn the_stored_copy_is_all_that_is_allocated_per_packet() {
    for case in CASES {
        let mut pair = Pair::new();
        // Windows open, queues grow to the size that they keep.
        pair.rounds(case, 2000);
        let start = pair.count();
        pair.rounds(case, 10_000);
        let Count {
            packets,
            copies,
            sender,
            receiver,
        } = pair.count().since(start);
        println!(
            "{}: {packets} packets, {copies} stored copies; allocations: sender {sender} ({:.4} per packet), \
             receiver {receiver} ({:.4} per packet)",
            case.name,
            sender as f64 / packets as f64,
            receiver as f64 / packets as f64,
        );
        assert!(packets >= 10_000 && copies >= 9000, "little was sent");
        assert!(sender <= CONSTANT, "{}: {sender} by the sender", case.name);
        let beside = receiver.saturating_sub(copies);
        assert!(
            beside <= CONSTANT,
            "{}: {beside} by the receiver",
            case.name
        );
    }
}

/// Allocations in ten thousand rounds that have other causes than packets.
const CONSTANT: usize = 16;

/// What is sent in each round.
struct Case {
    name: &'static str,
    /// Pieces that the application writes.
    pieces: usize,
    by: By,
    /// Every so manieth datagram of the sender is lost.
    loss: Option<u64>,
}

/// How pieces travel.
#[derive(Clone, Copy, Debug)]
enum By {
    Stream,
    Datagrams,
    /// In datagrams that another sender of the connection sends.
    Other,
}

const CASES: &[Case] = &[
    Case {
        name: "a piece at a time",
        pieces: 1,
        by: By::Stream,
        loss: None,
    },
    Case {
        name: "bulk",
        pieces: 20,
        by: By::Stream,
        loss: None,
    },
    Case {
        name: "bulk with loss",
        pieces: 20,
        by: By::Stream,
        loss: Some(50),
    },
    Case {
        name: "datagrams",
        pieces: 20,
        by: By::Datagrams,
        loss: None,
    },
    Case {
        name: "datagrams of another sender",
        pieces: 5,
        by: By::Other,
        loss: None,
    },
];

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Sent by the sender.
    packets: u64,
    /// Chunks that the receiver's application got.
    copies: usize,
    sender: usize,
    receiver: usize,
}

impl Count {
    fn since(self, start: Self) -> Self {
        Self {
            packets: self.packets - start.packets,
            copies: self.copies - start.copies,
            sender: self.sender - start.sender,
            receiver: self.receiver - start.receiver,
        }
    }
}

/// An endpoint with one connection, and what it has allocated.
struct Node {
    endpoint: Endpoint,
    address: SocketAddr,
    handle: Option<Handle>,
    allocations: usize,
}

impl Node {
    fn new(config: EndpointConfig, address: SocketAddr) -> Self {
        let mut endpoint = Endpoint::new(config, [address.port() as u8; 32]);
        endpoint.set_local_addresses(&[address]);
        Self {
            endpoint,
            address,
            handle: None,
            allocations: 0,
        }
    }

    /// Lets the endpoint do something, and counts what it allocates.
    fn counted<T>(&mut self, act: impl FnOnce(&mut Endpoint, Option<Handle>) -> T) -> T {
        let before = calls();
        let result = act(&mut self.endpoint, self.handle);
        self.allocations += calls() - before;
        result
    }
}

struct Pair {
    now: Time,
    sender: Node,
    receiver: Node,
    stream: Option<StreamId>,
    other: Option<Arc<Numbers>>,
    piece: Chunk,
    buffer: Vec<u8>,
    copies: usize,
    sent: u64,
}

impl Pair {
    fn new() -> Self {
        let chain = certificates::short();
        let tls = ServerTls::new_single(chain.certificates, chain.key, &[b"test"]).unwrap();
        let server = EndpointConfig {
            server: Some(tls),
            ..EndpointConfig::default()
        };
        let mut pair = Self {
            now: Time::from_micros(1_000_000),
            sender: Node::new(EndpointConfig::default(), address(1, 1000)),
            receiver: Node::new(server, address(2, 443)),
            stream: None,
            other: None,
            piece: Chunk::from(vec![7; 1000]),
            buffer: vec![0; SEGMENTS * 1500],
            copies: 0,
            sent: 0,
        };
        let tls = ClientTls::with_roots([chain.root], &[b"test"]).unwrap();
        let (now, to) = (pair.now, pair.receiver.address);
        let connected = pair
            .sender
            .endpoint
            .connect(now, &tls, to, "localhost", Config::default());
        pair.sender.handle = Some(connected.unwrap());
        (0..100).for_each(|_| pair.exchange(None));
        pair
    }

    fn count(&self) -> Count {
        let connection = self.sender.endpoint.connection(self.sender.handle.unwrap());
        Count {
            packets: connection.unwrap().stats().packets_sent,
            copies: self.copies,
            sender: self.sender.allocations,
            receiver: self.receiver.allocations,
        }
    }

    fn rounds(&mut self, case: &Case, count: usize) {
        for _ in 0..count {
            self.write(case);
            self.exchange(case.loss);
        }
    }

    fn write(&mut self, case: &Case) {
        for _ in 0..case.pieces {
            match case.by {
                By::Stream => self.send(|connection, stream, piece| {
                    write_stream(connection, stream, piece);
                }),
                By::Datagrams => self.send(|connection, _, piece| {
                    connection.send_datagram_chunk(piece).unwrap();
                }),
                By::Other => self.send_other(),
            }
        }
    }

    fn send(&mut self, send: impl FnOnce(&mut Connection, &mut Option<StreamId>, Chunk)) {
        let (piece, stream) = (self.piece.clone(), &mut self.stream);
        self.sender.counted(|endpoint, handle| {
            send(
                endpoint.connection_mut(handle.unwrap()).unwrap(),
                stream,
                piece,
            );
        });
    }

    /// Another sender of the connection sends a piece.
    fn send_other(&mut self) {
        let (endpoint, now) = (&mut self.sender.endpoint, self.now);
        let connection = endpoint.connection_mut(self.sender.handle.unwrap());
        let connection = connection.unwrap();
        let other = self
            .other
            .get_or_insert_with(|| Numbers::attach(connection));
        let packet = other.seal(connection, now, &self.piece, &mut self.buffer);
        let path = FourTuple {
            local: self.receiver.address,
            remote: self.sender.address,
        };
        self.receiver
            .counted(|endpoint, _| endpoint.receive(now, path, None, packet));
    }

    /// A round trip: what the sender has, what the receiver answers.
    fn exchange(&mut self, loss: Option<u64>) {
        let (sender, receiver) = (&mut self.sender, &mut self.receiver);
        let (buffer, sent) = (&mut self.buffer[..], &mut self.sent);
        self.now = self.now + Duration::from_millis(5);
        carry(self.now, sender, receiver, buffer, |_| {
            *sent += 1;
            loss.is_none_or(|every| !sent.is_multiple_of(every))
        });
        self.copies += read(receiver);
        self.now = self.now + Duration::from_millis(5);
        carry(self.now, receiver, sender, buffer, |_| true);
        read(sender);
        for node in [sender, receiver] {
            node.counted(|endpoint, _| endpoint.on_timeout(self.now));
        }
    }
}

/// Writes a piece on the one stream, unless much waits there.
fn write_stream(connection: &mut Connection, stream: &mut Option<StreamId>, piece: Chunk) {
    let id = *stream.get_or_insert_with(|| connection.open(Dir::Uni).unwrap());
    if connection.streams().unsent_bytes(id) < MAX_UNSENT {
        connection.write_chunk(id, piece).unwrap();
    }
}

/// Carries all datagrams that one has for the other, unless they are lost.
fn carry(
    now: Time,
    from: &mut Node,
    to: &mut Node,
    buffer: &mut [u8],
    mut arrives: impl FnMut(&[u8]) -> bool,
) {
    let path = FourTuple {
        local: to.address,
        remote: from.address,
    };
    while let Some(transmit) = from.counted(|endpoint, _| endpoint.transmit(now, buffer, SEGMENTS))
    {
        let size = transmit.segment_size.unwrap_or(transmit.len);
        for datagram in buffer[..transmit.len].chunks_mut(size) {
            if arrives(datagram) {
                to.counted(|endpoint, _| endpoint.receive(now, path, transmit.ecn, datagram));
            }
        }
    }
}

/// Takes all events and what they tell of; how many pieces came.
fn read(node: &mut Node) -> usize {
    let mut copies = 0;
    while let Some((handle, event)) = node.counted(|endpoint, _| endpoint.poll_event()) {
        node.handle = Some(handle);
        copies += node.counted(|endpoint, _| {
            let connection = endpoint.connection_mut(handle).unwrap();
            let next = || match event {
                Event::Stream(StreamEvent::Readable(id)) => next_chunk(connection, id),
                Event::DatagramReceived => connection.receive_datagram(),
                _ => None,
            };
            core::iter::from_fn(next).count()
        });
    }
    copies
}

fn next_chunk(connection: &mut Connection, id: StreamId) -> Option<Chunk> {
    match connection.read_chunk(id).unwrap() {
        ReadChunk::Chunk { chunk, .. } => Some(chunk),
        _ => None,
    }
}

/// Datagrams that one call may write, at most.
const SEGMENTS: usize = 10;
/// The application writes no more when so much waits.
const MAX_UNSENT: u64 = 64 << 10;
