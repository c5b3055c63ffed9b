//! What goes over a client's link, opened: who sent it, the kernel or userspace, and which bytes it brought. RFC 9000
//! §12.3, §19.8. The observer behind it fails when a packet number does not grow, whoever took it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use integration::TappedPacket;
use integration::link::Datagram;
use integration::tap::{Secrets, Sent, Tap};
use quic_lite::wire::frame::Frame;
use quic_lite::wire::stream_id::StreamId;
use quic_lite::{Side, Time};

/// A client's link.
pub struct Wire {
    /// Every packet, opened.
    pub tap: Tap,
    addresses: Vec<SocketAddr>,
    datagrams: u64,
    by_kernel: BTreeSet<u64>,
}

/// A piece of a stream, in the order of sending.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// When it left.
    pub at: Time,
    /// The kernel sent it.
    pub by_kernel: bool,
    /// Its first byte.
    pub start: u64,
    /// The byte behind its last one.
    pub end: u64,
}

impl Wire {
    /// The link of a client at this address.
    pub fn new(secrets: Arc<Secrets>, address: SocketAddr) -> Self {
        Self {
            tap: Tap::new(secrets),
            addresses: vec![address],
            datagrams: 0,
            by_kernel: BTreeSet::new(),
        }
    }

    /// Where the client is.
    pub fn address(&self) -> SocketAddr {
        self.addresses[self.addresses.len() - 1]
    }

    /// The client is somewhere else.
    pub fn moved(&mut self, address: SocketAddr) {
        self.addresses.push(address);
    }

    /// Whether the client is or was there.
    pub fn was_at(&self, address: SocketAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// A datagram enters the link.
    pub fn saw(
        &mut self,
        time: Time,
        from: Side,
        client: SocketAddr,
        datagram: &Datagram,
        by_kernel: bool,
    ) {
        let ordinal = self.datagrams;
        self.datagrams += 1;
        if by_kernel {
            self.by_kernel.insert(ordinal);
        }
        self.tap.on_sent(&Sent {
            time,
            from,
            client,
            ordinal,
            ecn: datagram.ecn,
            bytes: &datagram.bytes,
        });
    }

    /// The packets that the kernel has sent.
    pub fn kernel_packets(&self) -> impl Iterator<Item = &TappedPacket> {
        let packets = self.tap.packets.iter();
        packets.filter(|packet| self.by_kernel.contains(&packet.datagram))
    }

    /// The bytes of every stream from one side, piece by piece.
    pub fn pieces(&self, from: Side) -> BTreeMap<StreamId, Vec<Piece>> {
        let mut streams: BTreeMap<StreamId, Vec<Piece>> = BTreeMap::new();
        let packets = self.tap.from(from);
        let frames = packets.flat_map(|packet| packet.frames().map(move |frame| (packet, frame)));
        for (packet, frame) in frames {
            let Frame::Stream(stream) = frame else {
                continue;
            };
            let piece = Piece {
                at: packet.time,
                by_kernel: self.by_kernel.contains(&packet.datagram),
                start: stream.offset,
                end: stream.offset + stream.data.len() as u64,
            };
            streams.entry(stream.stream_id).or_default().push(piece);
        }
        streams
    }
}
