//! A QUIC peer of our own codec and keys that says whatever a test tells it to (RFC 9000 §12, RFC 9001).
//!
//! It shakes hands by itself, with rustls and real keys, and has no other will: it sends any frames in any
//! packet type under any packet number, acknowledges what it is told to, and remembers every packet that
//! comes back. [`crate::Duel`] sets it against an endpoint. Promise: what it sends is authentic and well
//! protected, so that an endpoint cannot refuse it for less than its contents.

use quic_lite::Side;
use quic_lite::protection::{KeyPair, Keys, TAG_LEN, retry, seal_packet};
use quic_lite::range_set::RangeSet;
use quic_lite::tls::{ClientTls, Level, ServerTls, TlsOutput, TlsSession};
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::datagram::{self, Packet};
use quic_lite::wire::frame::{self, Ack, Crypto, Frame};
use quic_lite::wire::header::{Header, LongHeader, LongType, PacketType, ShortHeader};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::writer::Writer;

use crate::opened::open;
use crate::tap::{CID_LEN, Kind};

/// What it brings to its handshake.
pub enum Credentials {
    /// It is a client.
    Client(ClientTls),
    /// It is a server.
    Server(ServerTls),
}

/// Changes the encoded transport parameters before they are declared.
pub type Alter = Box<dyn Fn(&mut Vec<u8>)>;

/// A packet that came from the endpoint.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it was.
    pub kind: Kind,
    /// Its number, zero for packets without.
    pub number: u64,
    /// Where it goes to.
    pub destination_cid: ConnectionId,
    /// The size of the whole datagram.
    pub datagram_len: usize,
    /// Its frames, encoded; of a packet that was not opened, all of it.
    pub payload: Vec<u8>,
}

impl Seen {
    /// Its frames.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let opened = matches!(self.kind, Kind::Opened(_)).then_some(self.payload.as_slice());
        let frames = frame::frames(opened.unwrap_or_default());
        frames.map(|frame| frame.expect("an endpoint sent a malformed frame"))
    }

    /// Whether a frame of this sort is in it.
    pub fn has(&self, wanted: impl Fn(&Frame<'_>) -> bool) -> bool {
        self.frames().any(|frame| wanted(&frame))
    }

    /// Whether it is an opened packet of this type.
    pub fn is(&self, packet_type: PacketType) -> bool {
        self.kind == Kind::Opened(packet_type)
    }
}

/// A peer that follows a script.
pub struct ScriptedPeer {
    side: Side,
    /// Its own connection ID.
    pub cid: ConnectionId,
    /// Where its packets go.
    pub remote_cid: ConnectionId,
    /// The token of its Initials.
    pub token: Vec<u8>,
    credentials: Credentials,
    parameters: TransportParameters,
    alter: Option<Alter>,
    original_dcid: ConnectionId,
    retry_scid: Option<ConnectionId>,
    tls: Option<TlsSession>,
    spaces: [Space; 3],
    phase: bool,
}

/// What it knows of a packet number space.
#[derive(Default)]
struct Space {
    keys: Option<KeyPair>,
    next: u64,
    received: RangeSet,
    /// Something arrived that wants an acknowledgement.
    owes_ack: bool,
    /// CRYPTO bytes that TLS has.
    read: u64,
    /// CRYPTO bytes of TLS, and how many of them were sent.
    crypto: Vec<u8>,
    crypto_sent: usize,
}

impl ScriptedPeer {
    /// A peer that has not said anything. `cid` is its own connection ID, `original_dcid` the one that a
    /// client makes up for the server.
    pub fn new(
        credentials: Credentials,
        parameters: TransportParameters,
        alter: Option<Alter>,
        cid: ConnectionId,
        original_dcid: ConnectionId,
    ) -> Self {
        let side = match credentials {
            Credentials::Client(_) => Side::Client,
            Credentials::Server(_) => Side::Server,
        };
        let mut peer = Self {
            side,
            cid,
            remote_cid: original_dcid,
            token: Vec::new(),
            credentials,
            parameters,
            alter,
            original_dcid,
            retry_scid: None,
            tls: None,
            spaces: Default::default(),
            phase: false,
        };
        if side == Side::Client {
            peer.start();
        }
        peer
    }

    /// Which side it is.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Whether it can seal packets of this type.
    pub fn has_keys(&self, packet_type: PacketType) -> bool {
        self.spaces[index(packet_type)].keys.is_some()
    }

    /// Whether TLS is done on its side.
    pub fn is_complete(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking())
    }

    /// The numbers of all packets of a space that arrived.
    pub fn received(&self, packet_type: PacketType) -> &RangeSet {
        &self.spaces[index(packet_type)].received
    }

    /// The next number that it would use by itself.
    pub fn next_number(&self, packet_type: PacketType) -> u64 {
        self.spaces[index(packet_type)].next
    }

    /// Goes on with this number.
    pub fn set_next_number(&mut self, packet_type: PacketType, number: u64) {
        self.spaces[index(packet_type)].next = number;
    }

    /// How many CRYPTO bytes of its own TLS a space has.
    pub fn crypto_len(&self, packet_type: PacketType) -> u64 {
        self.spaces[index(packet_type)].crypto.len() as u64
    }

    /// The keys of a space, to do worse than this type allows.
    pub fn keys(&self, packet_type: PacketType) -> Option<&KeyPair> {
        self.spaces[index(packet_type)].keys.as_ref()
    }

    /// Seals 1-RTT packets with the next keys from now on (RFC 9001 §6).
    pub fn update_keys(&mut self) {
        if let Some(keys) = &mut self.spaces[2].keys {
            keys.local = keys.local.next_generation();
            self.phase = !self.phase;
        }
    }

    /// A packet with the next number. `write` writes its frames; as many PADDING frames follow as make the
    /// packet `least` bytes long.
    pub fn packet(
        &mut self,
        packet_type: PacketType,
        least: usize,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Vec<u8> {
        let number = self.next_number(packet_type);
        self.set_next_number(packet_type, number + 1);
        self.packet_numbered(packet_type, number, least, write)
    }

    /// The same with any number.
    pub fn packet_numbered(
        &self,
        packet_type: PacketType,
        number: u64,
        least: usize,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Vec<u8> {
        let space = &self.spaces[index(packet_type)];
        // 0-RTT is never accepted: any keys will do.
        let keys = space.keys.as_ref().or(self.spaces[0].keys.as_ref());
        let keys = &keys.expect("no keys for this packet type yet").local;
        let mut buffer = vec![0; MAX_PACKET];
        let mut out = Writer::new(&mut buffer[..MAX_PACKET - TAG_LEN]);
        let number = PacketNumber::new(number);
        let layout = match self.long_type(packet_type) {
            None => {
                let header = ShortHeader {
                    destination_cid: self.remote_cid,
                    spin: false,
                };
                header.encode(self.phase, number, PN_LEN, &mut out)
            }
            Some(long_type) => {
                let header = LongHeader {
                    long_type,
                    destination_cid: self.remote_cid,
                    source_cid: self.cid,
                };
                header.encode(number, PN_LEN, &mut out)
            }
        };
        let layout = layout.unwrap();
        write(&mut out);
        let missing = least.saturating_sub(TAG_LEN).saturating_sub(out.len());
        out.put_zeros(missing).unwrap();
        if packet_type != PacketType::OneRtt {
            layout.set_length(TAG_LEN, &mut out).unwrap();
        }
        let len = out.len() + TAG_LEN;
        buffer.truncate(len);
        seal_packet(&mut buffer, layout.pn_offset, number, keys).unwrap();
        buffer
    }

    fn long_type(&self, packet_type: PacketType) -> Option<LongType<'_>> {
        match packet_type {
            PacketType::Initial => Some(LongType::Initial { token: &self.token }),
            PacketType::ZeroRtt => Some(LongType::ZeroRtt),
            PacketType::Handshake => Some(LongType::Handshake),
            PacketType::OneRtt => None,
        }
    }

    /// The next packet of its handshake: CRYPTO bytes of the first space, up to `last`, that has some left.
    pub fn next_crypto(&mut self, last: PacketType) -> Option<Vec<u8>> {
        let types = [
            PacketType::Initial,
            PacketType::Handshake,
            PacketType::OneRtt,
        ];
        let packet_type = types
            .into_iter()
            .take(index(last) + 1)
            .find(|&packet_type| self.spaces[index(packet_type)].has_crypto())?;
        let space = &mut self.spaces[index(packet_type)];
        let from = space.crypto_sent;
        let to = space.crypto.len().min(from + CRYPTO_PER_PACKET);
        space.crypto_sent = to;
        let data = space.crypto[from..to].to_vec();
        let frame = Frame::Crypto(Crypto {
            offset: from as u64,
            data: &data,
        });
        Some(self.packet(packet_type, least(packet_type), |out| {
            frame.encode(out).unwrap();
        }))
    }

    /// A packet that acknowledges all that arrived in a space, if something there wants it.
    pub fn next_ack(&mut self) -> Option<Vec<u8>> {
        let types = [
            PacketType::Initial,
            PacketType::Handshake,
            PacketType::OneRtt,
        ];
        let packet_type = types.into_iter().find(|&packet_type| {
            let space = &self.spaces[index(packet_type)];
            space.owes_ack && space.keys.is_some()
        })?;
        let space = &mut self.spaces[index(packet_type)];
        space.owes_ack = false;
        let received = space.received.clone();
        Some(self.packet(packet_type, least(packet_type), |out| {
            Ack::encode_ranges(&received, 0, None, out).unwrap();
        }))
    }

    /// Takes a datagram of the endpoint: opens its packets and lets TLS have its CRYPTO bytes.
    pub fn receive(&mut self, datagram: &[u8]) -> Vec<Seen> {
        let mut all = Vec::new();
        for packet in datagram::packets(datagram, CID_LEN) {
            let mut seen = Seen {
                kind: Kind::Unopened,
                number: 0,
                destination_cid: ConnectionId::EMPTY,
                datagram_len: datagram.len(),
                payload: Vec::new(),
            };
            match packet {
                Packet::Protected(packet) => {
                    seen.destination_cid = packet.destination_cid;
                    seen.payload = datagram[packet.range.clone()].to_vec();
                    self.open(&packet, &mut seen);
                }
                Packet::Other { range } => {
                    seen.payload = datagram[range].to_vec();
                    self.on_unprotected(&mut seen);
                }
            }
            all.push(seen);
        }
        all
    }

    fn open(&mut self, packet: &datagram::ProtectedPacket, seen: &mut Seen) {
        let first_initial = packet.packet_type == PacketType::Initial && self.tls.is_none();
        if first_initial && self.side == Side::Server {
            self.original_dcid = packet.destination_cid;
            self.remote_cid = packet.source_cid;
            self.start();
        }
        let Some((number, payload)) = self.unseal(packet, &seen.payload) else {
            return;
        };
        if packet.packet_type == PacketType::Initial {
            self.remote_cid = packet.source_cid;
        }
        seen.kind = Kind::Opened(packet.packet_type);
        seen.number = number;
        seen.payload = payload;
        let space = &mut self.spaces[index(packet.packet_type)];
        let is_new = space.received.insert(number..number + 1);
        assert!(is_new, "an endpoint used number {number} twice");
        let elicits = seen.frames().any(|frame| frame.is_ack_eliciting());
        self.spaces[index(packet.packet_type)].owes_ack |= elicits;
        for frame in seen.frames() {
            if let Frame::Crypto(crypto) = frame {
                self.on_crypto(packet.packet_type, &crypto);
            }
        }
    }

    fn unseal(
        &mut self,
        packet: &datagram::ProtectedPacket,
        bytes: &[u8],
    ) -> Option<(u64, Vec<u8>)> {
        let space = &mut self.spaces[index(packet.packet_type)];
        let largest = space.received.last();
        let largest = largest.map(|range| PacketNumber::new(range.end - 1));
        let keys = space.keys.as_mut()?;
        let open = |keys: &Keys| {
            let opened = open(bytes, packet.pn_offset, keys, largest)?;
            Some((opened.number.value(), opened.payload))
        };
        if let Some(opened) = open(&keys.remote) {
            return Some(opened);
        }
        let next = keys.remote.next_generation();
        let opened = open(&next)?;
        keys.remote = next;
        Some(opened)
    }

    fn on_crypto(&mut self, packet_type: PacketType, frame: &Crypto<'_>) {
        let space = &mut self.spaces[index(packet_type)];
        // Nothing is lost on the way here, and what comes again is known.
        let known = space.read.saturating_sub(frame.offset) as usize;
        let fresh = frame.data.get(known..).unwrap_or_default();
        if frame.offset > space.read || fresh.is_empty() {
            return;
        }
        space.read += fresh.len() as u64;
        let Some(tls) = &mut self.tls else { return };
        // An endpoint's TLS bytes are in order: this peer has nothing against them.
        tls.receive(level(packet_type), fresh).unwrap();
        self.follow_tls();
    }

    fn follow_tls(&mut self) {
        while let Some(output) = self.tls.as_mut().and_then(TlsSession::poll) {
            match output {
                TlsOutput::Crypto { level, bytes } => {
                    self.spaces[level as usize].crypto.extend(bytes);
                }
                TlsOutput::Keys { level, keys } => {
                    self.spaces[level as usize].keys = Some(*keys);
                }
            }
        }
    }

    /// A Retry is obeyed (RFC 9000 §17.2.5.2).
    fn on_unprotected(&mut self, seen: &mut Seen) {
        match Header::parse(&seen.payload, CID_LEN) {
            Ok((_, Header::Retry(packet))) => {
                seen.kind = Kind::Retry;
                assert!(retry::verify(&self.original_dcid, &seen.payload));
                self.token = packet.retry_token.to_vec();
                self.remote_cid = packet.source_cid;
                self.retry_scid = Some(packet.source_cid);
                self.spaces[0].keys = Some(Keys::initial(&packet.source_cid, self.side));
                self.spaces[0].crypto_sent = 0;
            }
            Ok((_, Header::VersionNegotiation(_))) => seen.kind = Kind::VersionNegotiation,
            _ => {}
        }
    }

    /// Begins its part of the handshake.
    fn start(&mut self) {
        self.spaces[0].keys = Some(Keys::initial(&self.original_dcid, self.side));
        self.parameters.initial_source_connection_id = Some(self.cid);
        if self.side == Side::Server {
            self.parameters.original_destination_connection_id = Some(self.original_dcid);
        }
        let mut buffer = [0; TransportParameters::MAX_ENCODED_LEN];
        let mut out = Writer::new(&mut buffer);
        self.parameters.encode(self.side, &mut out).unwrap();
        let mut parameters = out.written().to_vec();
        if let Some(alter) = &self.alter {
            alter(&mut parameters);
        }
        let tls = match &self.credentials {
            Credentials::Client(tls) => TlsSession::client(tls, "localhost", &parameters),
            Credentials::Server(tls) => TlsSession::server(tls, &parameters),
        };
        self.tls = Some(tls.unwrap());
        self.follow_tls();
    }
}

impl Space {
    fn has_crypto(&self) -> bool {
        self.crypto_sent < self.crypto.len() && self.keys.is_some()
    }
}

/// How long the packet must be if its datagram has no other: RFC 9000 §14.1.
pub const fn least(packet_type: PacketType) -> usize {
    match packet_type {
        PacketType::Initial => 1200,
        _ => 0,
    }
}

const fn index(packet_type: PacketType) -> usize {
    match packet_type {
        PacketType::Initial => 0,
        PacketType::Handshake => 1,
        PacketType::ZeroRtt | PacketType::OneRtt => 2,
    }
}

const fn level(packet_type: PacketType) -> Level {
    match packet_type {
        PacketType::Initial => Level::Initial,
        PacketType::Handshake => Level::Handshake,
        PacketType::ZeroRtt | PacketType::OneRtt => Level::OneRtt,
    }
}

/// Bytes of the longest packet: more than an endpoint asks for.
const MAX_PACKET: usize = 4096;
/// Bytes of its packet numbers.
const PN_LEN: usize = 4;
/// CRYPTO bytes in a packet of its handshake.
const CRYPTO_PER_PACKET: usize = 1000;
