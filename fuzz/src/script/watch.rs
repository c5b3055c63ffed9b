//! What the peer sees of a connection, and what must be true of it (RFC 9000 §4, §8.1, §12.3, §13.1).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use integration::opened::{Opened, open};
use quic_lite::connection::Connection;
use quic_lite::protection::Keys;
use quic_lite::range_set::RangeSet;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::datagram::{Packet, packets};
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::header::PacketType;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::{Dir, Side, StreamId};

use crate::peer::{Accounts, CID_LEN, check_acknowledged, frames_of};

/// The peer's books.
pub struct Watch {
    /// Of the connection under test.
    side: Side,
    /// The connection ID to send to now.
    pub cid: ConnectionId,
    cids: VecDeque<ConnectionId>,
    /// How long those are that the peer gave out.
    cid_lens: BTreeSet<usize>,
    keys: Keys,
    phase: bool,
    /// Key updates that were seen.
    pub updates: u64,
    /// Numbers of the peer's own packets.
    pub numbers: RangeSet,
    /// Numbers of the packets that were seen.
    pub received: RangeSet,
    largest: Option<PacketNumber>,
    /// What addresses gave and got.
    pub accounts: Accounts,
    challenges: VecDeque<([u8; 8], SocketAddr)>,
    /// What the peer allows, at most.
    max_data: u64,
    max_stream_data: BTreeMap<StreamId, u64>,
    max_streams: [u64; 2],
    windows: [u64; 3],
    /// What was sent of each stream.
    sent: BTreeMap<StreamId, u64>,
}

impl Watch {
    /// The books of `peer`, whose own packets have the numbers below `next`.
    pub fn new(side: Side, peer: &Connection, next: u64) -> Self {
        let theirs = crate::session::config();
        let largest = peer.largest_received();
        let seen = largest.map_or(0, |largest| largest.value() + 1);
        Self {
            side,
            cid: peer.remote_cid(),
            cids: VecDeque::new(),
            cid_lens: BTreeSet::from([CID_LEN]),
            keys: peer.keys().expect("it has keys").remote.clone(),
            phase: false,
            updates: 0,
            numbers: up_to(next),
            received: up_to(seen),
            largest,
            accounts: Accounts::default(),
            challenges: VecDeque::new(),
            max_data: theirs.initial_connection_window,
            max_stream_data: BTreeMap::new(),
            max_streams: [theirs.max_bidi_streams, theirs.max_uni_streams],
            windows: [theirs.initial_stream_window; 3],
            sent: BTreeMap::new(),
        }
    }

    /// Limits that the peer raises with these frames, if they count.
    pub fn on_promised(&mut self, payload: &[u8]) {
        for frame in frames(payload).map_while(Result::ok) {
            match frame {
                Frame::MaxData(frame) => self.max_data = self.max_data.max(frame.maximum_data),
                Frame::MaxStreamData(frame) => {
                    let limit = self.max_stream_data.entry(frame.stream_id).or_default();
                    *limit = frame.maximum_stream_data.max(*limit);
                }
                Frame::MaxStreams(frame) => {
                    let limit = &mut self.max_streams[frame.dir as usize];
                    *limit = frame.maximum_streams.max(*limit);
                }
                Frame::NewConnectionId(frame) => {
                    self.cid_lens.insert(frame.connection_id.len());
                }
                _ => {}
            }
        }
    }

    /// The peer sends to the next connection ID that it was given.
    pub fn next_cid(&mut self) {
        if let Some(cid) = self.cids.pop_front() {
            self.cids.push_back(self.cid);
            self.cid = cid;
        }
    }

    /// The oldest challenge that went to an address.
    pub fn take_challenge(&mut self, address: SocketAddr) -> Option<[u8; 8]> {
        let at = self.challenges.iter().position(|(_, to)| *to == address)?;
        self.challenges.remove(at).map(|(data, _)| data)
    }

    /// The connection sent a datagram.
    pub fn on_datagram(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.side == Side::Server {
            self.accounts.sent(to, datagram.len());
        }
        for packet in packets(datagram, CID_LEN) {
            let Packet::Protected(packet) = packet else {
                panic!("neither Retry nor Version Negotiation comes now")
            };
            if packet.packet_type == PacketType::OneRtt {
                self.on_packet(to, &datagram[packet.range]);
            }
        }
    }

    fn on_packet(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Some(opened) = self.open(bytes) else {
            // A stateless reset, for what came to a connection ID that is not in use.
            return assert!(bytes.len() < 100, "nobody can open what it sends");
        };
        let number = opened.number;
        assert!(
            self.largest < Some(number),
            "{number:?} after {:?}",
            self.largest
        );
        self.largest = Some(number);
        self.received.insert(number.value()..number.value() + 1);
        for frame in frames_of(&opened.payload, PacketType::OneRtt) {
            self.on_frame(to, &frame);
        }
        let total: u64 = self.sent.values().sum();
        assert!(
            total <= self.max_data,
            "{total} bytes, {} allowed",
            self.max_data
        );
    }

    fn open(&mut self, bytes: &[u8]) -> Option<Opened> {
        let largest = self.largest;
        let opened = |keys: &Keys| {
            let mut lens = self.cid_lens.iter();
            lens.find_map(|len| open(bytes, 1 + len, keys, largest))
        };
        if let Some(opened) = opened(&self.keys) {
            assert_eq!(opened.key_phase, self.phase, "a key phase without new keys");
            return Some(opened);
        }
        let next = self.keys.next_generation();
        let opened = opened(&next)?;
        assert_ne!(opened.key_phase, self.phase, "new keys without a key phase");
        self.phase = opened.key_phase;
        self.keys = next;
        self.updates += 1;
        Some(opened)
    }

    fn on_frame(&mut self, to: SocketAddr, frame: &Frame<'_>) {
        match frame {
            Frame::Ack(ack) => check_acknowledged(ack, &self.numbers),
            Frame::Stream(stream) => {
                let end = stream.offset + stream.data.len() as u64;
                self.check_stream(stream.stream_id, end);
            }
            Frame::ResetStream(reset) => self.check_stream(reset.stream_id, reset.final_size),
            Frame::PathChallenge(challenge) => {
                self.challenges.push_back((challenge.data, to));
                self.challenges.truncate(50);
            }
            Frame::NewConnectionId(frame) => {
                self.cids.push_back(frame.connection_id);
                self.cids.truncate(50);
            }
            _ => {}
        }
    }

    /// RFC 9000 §4.1, §4.6: within the limits that the peer has given.
    fn check_stream(&mut self, id: StreamId, end: u64) {
        let (dir, own) = (id.dir(), id.initiator() == self.side);
        assert!(own || dir == Dir::Bi, "{id} is not its to send on");
        if own {
            let limit = self.max_streams[dir as usize];
            assert!(id.index() < limit, "{id}, {limit} allowed");
        }
        let first = self.windows[dir as usize];
        let limit = self
            .max_stream_data
            .get(&id)
            .map_or(first, |limit| first.max(*limit));
        assert!(end <= limit, "{end} bytes of {id}, {limit} allowed");
        let sent = self.sent.entry(id).or_default();
        *sent = end.max(*sent);
    }
}

fn up_to(end: u64) -> RangeSet {
    let mut set = RangeSet::new();
    set.insert(0..end);
    set
}
