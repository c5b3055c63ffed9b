//! An observer beside both endpoints who has the TLS key log and opens every packet they send. RFC 9001 §5.
//!
//! Packets are seen as they leave, before any loss, so each side's numbers come in the order of sending.
//! It follows one connection, with its Retry and its key updates.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use quic_lite::connection::Ecn;
use quic_lite::protection::{CipherSuite, Keys, Secret};
use quic_lite::tls::rustls::KeyLog;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::datagram::{self, Packet};
use quic_lite::wire::frame::{self, Frame};
use quic_lite::wire::header::{Header, LongType, PacketType};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::{Side, Time};

use crate::opened::{Opened, open};

/// Bytes in the connection IDs of both endpoints.
pub const CID_LEN: usize = 8;

/// What sort of packet it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With frames, and opened.
    Opened(PacketType),
    /// Retry.
    Retry,
    /// Version Negotiation.
    VersionNegotiation,
    /// Nothing that the keys fit: a stateless reset, or a packet of another connection.
    Unopened,
}

/// A packet that was sent.
#[derive(Clone, Debug)]
pub struct TappedPacket {
    /// When it left.
    pub time: Time,
    /// Who sent it.
    pub from: Side,
    /// The client's address then, as the server sees it.
    pub client: SocketAddr,
    /// The ordinal of its datagram in the run.
    pub datagram: u64,
    /// The size of the whole datagram.
    pub datagram_len: usize,
    /// The mark in the IP header.
    pub ecn: Option<Ecn>,
    /// What it was.
    pub kind: Kind,
    /// Its number, zero for packets without.
    pub number: u64,
    /// Its Key Phase bit.
    pub key_phase: bool,
    /// Where it goes to.
    pub destination_cid: ConnectionId,
    /// Where it comes from; empty for 1-RTT.
    pub source_cid: ConnectionId,
    /// Its version; none for 1-RTT.
    pub version: Option<u32>,
    /// The token of an Initial or a Retry.
    pub token: Vec<u8>,
    /// Its frames, encoded.
    pub payload: Vec<u8>,
}

impl TappedPacket {
    /// Its frames.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        frame::frames(&self.payload).map(|frame| frame.expect("an endpoint sent a malformed frame"))
    }

    /// Whether a frame of this sort is in it.
    pub fn has(&self, wanted: impl Fn(&Frame<'_>) -> bool) -> bool {
        self.frames().any(|frame| wanted(&frame))
    }

    /// Whether it is a packet with frames of this type.
    pub fn is(&self, packet_type: PacketType) -> bool {
        self.kind == Kind::Opened(packet_type)
    }
}

impl fmt::Display for TappedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, from, number) = (self.time, self.from, self.number);
        write!(
            f,
            "{time} {from:?} #{} ({} bytes) ",
            self.datagram, self.datagram_len
        )?;
        match self.kind {
            Kind::Opened(packet_type) => write!(f, "{packet_type:?} pn {number}:")?,
            other => write!(f, "{other:?}")?,
        }
        self.frames().try_for_each(|frame| write!(f, " [{frame}]"))
    }
}

/// The secrets of a connection, as TLS tells them.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.push((label.to_owned(), secret.to_vec()));
    }
}

impl Secrets {
    /// The first result that the secrets with this label give, beginning with the newest.
    fn find<T>(&self, label: &str, by: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest_first = secrets.iter().rev().filter(|(known, _)| known == label);
        newest_first.find_map(|(_, secret)| by(secret))
    }
}

/// What the observer knows and has seen.
pub struct Tap {
    /// Every packet, in order of sending.
    pub packets: Vec<TappedPacket>,
    secrets: Arc<Secrets>,
    server_cid: Option<ConnectionId>,
    initial: Vec<[Keys; 2]>,
    handshake: [Option<Keys>; 2],
    one_rtt: [Option<Phase>; 2],
    largest: [[Option<PacketNumber>; 3]; 2],
}

/// The 1-RTT keys of one direction.
struct Phase {
    bit: bool,
    keys: Keys,
}

/// A datagram about to enter the network.
pub struct Sent<'a> {
    /// When.
    pub time: Time,
    /// Who sends it.
    pub from: Side,
    /// The client's address.
    pub client: SocketAddr,
    /// Its ordinal in the run.
    pub ordinal: u64,
    /// The mark in the IP header.
    pub ecn: Option<Ecn>,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Tap {
    /// Listens with the key log of the server, who knows all secrets first.
    pub fn new(secrets: Arc<Secrets>) -> Self {
        Self {
            packets: Vec::new(),
            secrets,
            server_cid: None,
            initial: Vec::new(),
            handshake: [None, None],
            one_rtt: [None, None],
            largest: Default::default(),
        }
    }

    /// Where TLS tells its secrets.
    pub fn secrets(&self) -> Arc<Secrets> {
        self.secrets.clone()
    }

    /// From now on the client's packets are those of another connection.
    pub fn forget_connection(&mut self) {
        let packets = std::mem::take(&mut self.packets);
        *self = Self {
            packets,
            ..Self::new(self.secrets.clone())
        };
    }

    /// Looks at a datagram. Returns how many packets it added.
    pub fn on_sent(&mut self, sent: &Sent<'_>) -> usize {
        let before = self.packets.len();
        for packet in datagram::packets(sent.bytes, CID_LEN) {
            let tapped = match packet {
                Packet::Protected(packet) => self.on_protected(sent, &packet),
                Packet::Other { range } => on_other(sent, &sent.bytes[range]),
            };
            self.packets.push(tapped);
        }
        self.packets.len() - before
    }

    fn on_protected(
        &mut self,
        sent: &Sent<'_>,
        packet: &datagram::ProtectedPacket,
    ) -> TappedPacket {
        let bytes = &sent.bytes[packet.range.clone()];
        if sent.from == Side::Server && packet.packet_type != PacketType::OneRtt {
            self.follow_server(packet.source_cid);
        }
        let mut tapped = blank(sent, bytes);
        tapped.destination_cid = packet.destination_cid;
        tapped.source_cid = packet.source_cid;
        tapped.token = token(bytes);
        let opened = match packet.packet_type {
            PacketType::Initial => self.open_initial(sent.from, packet, bytes),
            PacketType::Handshake => self.open_handshake(sent.from, packet, bytes),
            PacketType::OneRtt => self.open_one_rtt(sent.from, packet, bytes),
            PacketType::ZeroRtt => None,
        };
        if let Some(opened) = opened {
            tapped.kind = Kind::Opened(packet.packet_type);
            tapped.number = opened.number.value();
            tapped.key_phase = opened.key_phase;
            tapped.payload = opened.payload;
            self.check_number(sent.from, packet.packet_type, opened.number);
        }
        tapped
    }

    /// A client that changes its port before the server's answer arrives causes a second attempt of the
    /// server, under another connection ID and with numbers from zero.
    fn follow_server(&mut self, cid: ConnectionId) {
        if self
            .server_cid
            .replace(cid)
            .is_some_and(|before| before != cid)
        {
            self.handshake = [None, None];
            self.one_rtt = [None, None];
            self.largest[Side::Server as usize] = [None; 3];
        }
    }

    /// RFC 9000 §12.3: numbers grow, and none is used twice, not even after a Retry (§17.2.5.3).
    fn check_number(&mut self, from: Side, packet_type: PacketType, number: PacketNumber) {
        let largest = &mut self.largest[from as usize][space(packet_type)];
        assert!(
            largest.is_none_or(|largest| largest < number),
            "{from:?} sent {packet_type:?} packet {number:?} after {largest:?}"
        );
        *largest = Some(number);
    }

    fn largest(&self, from: Side, packet_type: PacketType) -> Option<PacketNumber> {
        self.largest[from as usize][space(packet_type)]
    }

    fn open_initial(
        &mut self,
        from: Side,
        packet: &datagram::ProtectedPacket,
        bytes: &[u8],
    ) -> Option<Opened> {
        let largest = self.largest(from, PacketType::Initial);
        let by = |keys: &[Keys; 2]| open(bytes, packet.pn_offset, &keys[from as usize], largest);
        if let Some(opened) = self.initial.iter().rev().find_map(by) {
            return Some(opened);
        }
        let pair = Keys::initial(&packet.destination_cid, Side::Client);
        let keys = [pair.local, pair.remote];
        let opened = by(&keys)?;
        self.initial.push(keys);
        Some(opened)
    }

    fn open_handshake(
        &mut self,
        from: Side,
        packet: &datagram::ProtectedPacket,
        bytes: &[u8],
    ) -> Option<Opened> {
        let largest = self.largest(from, PacketType::Handshake);
        if let Some(keys) = &self.handshake[from as usize] {
            return open(bytes, packet.pn_offset, keys, largest);
        }
        let label = format!("{}_HANDSHAKE_TRAFFIC_SECRET", name(from));
        let by = |keys: &Keys| open(bytes, packet.pn_offset, keys, largest);
        let (keys, opened) = self.secrets.find(&label, |secret| derive(secret, by))?;
        self.handshake[from as usize] = Some(keys);
        Some(opened)
    }

    fn open_one_rtt(
        &mut self,
        from: Side,
        packet: &datagram::ProtectedPacket,
        bytes: &[u8],
    ) -> Option<Opened> {
        let largest = self.largest(from, PacketType::OneRtt);
        let Some(phase) = &mut self.one_rtt[from as usize] else {
            let label = format!("{}_TRAFFIC_SECRET_0", name(from));
            let by = |keys: &Keys| open(bytes, packet.pn_offset, keys, largest);
            let (keys, opened) = self.secrets.find(&label, |secret| derive(secret, by))?;
            let bit = opened.key_phase;
            assert!(!bit, "{from:?} began with key phase 1");
            self.one_rtt[from as usize] = Some(Phase { bit, keys });
            return Some(opened);
        };
        if let Some(opened) = open(bytes, packet.pn_offset, &phase.keys, largest) {
            assert_eq!(
                opened.key_phase, phase.bit,
                "{from:?}: key phase without new keys"
            );
            return Some(opened);
        }
        let next = phase.keys.next_generation();
        let opened = open(bytes, packet.pn_offset, &next, largest)?;
        assert_ne!(
            opened.key_phase, phase.bit,
            "{from:?}: new keys without a key phase"
        );
        *phase = Phase {
            bit: opened.key_phase,
            keys: next,
        };
        Some(opened)
    }
}

/// Finds the suite by trying those whose secrets have this length.
fn derive(secret: &[u8], open: impl Fn(&Keys) -> Option<Opened>) -> Option<(Keys, Opened)> {
    let secret_ = Secret::new(secret)?;
    CipherSuite::ALL
        .into_iter()
        .filter(|suite| suite.secret_len() == secret.len())
        .map(|suite| Keys::from_secret(suite, &secret_))
        .find_map(|keys| open(&keys).map(|opened| (keys, opened)))
}

fn on_other(sent: &Sent<'_>, bytes: &[u8]) -> TappedPacket {
    let mut tapped = blank(sent, bytes);
    match Header::parse(bytes, CID_LEN) {
        Ok((_, Header::Retry(retry))) => {
            tapped.kind = Kind::Retry;
            tapped.destination_cid = retry.destination_cid;
            tapped.source_cid = retry.source_cid;
            tapped.token = retry.retry_token.to_vec();
        }
        Ok((_, Header::VersionNegotiation(_))) => tapped.kind = Kind::VersionNegotiation,
        _ => {}
    }
    tapped
}

fn blank(sent: &Sent<'_>, bytes: &[u8]) -> TappedPacket {
    TappedPacket {
        time: sent.time,
        from: sent.from,
        client: sent.client,
        datagram: sent.ordinal,
        datagram_len: sent.bytes.len(),
        ecn: sent.ecn,
        kind: Kind::Unopened,
        number: 0,
        key_phase: false,
        destination_cid: ConnectionId::EMPTY,
        source_cid: ConnectionId::EMPTY,
        version: version(bytes),
        token: Vec::new(),
        payload: Vec::new(),
    }
}

/// RFC 8999 §5.1: every long header has it in the same place.
fn version(packet: &[u8]) -> Option<u32> {
    let (first, rest) = packet.split_first()?;
    let version = rest.first_chunk().filter(|_| first & 0x80 != 0)?;
    Some(u32::from_be_bytes(*version))
}

fn token(packet: &[u8]) -> Vec<u8> {
    match Header::parse(packet, CID_LEN) {
        Ok((_, Header::Long { header, .. })) => match header.long_type {
            LongType::Initial { token } => token.to_vec(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

const fn space(packet_type: PacketType) -> usize {
    match packet_type {
        PacketType::Initial => 0,
        PacketType::Handshake => 1,
        PacketType::ZeroRtt | PacketType::OneRtt => 2,
    }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Client => "CLIENT",
        Side::Server => "SERVER",
    }
}
