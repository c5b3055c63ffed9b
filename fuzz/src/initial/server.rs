//! Clients that say anything to a server (RFC 9000 §5.2.2, §8.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use integration::opened::open;
use quic_lite::Side;
use quic_lite::connection::Event;
use quic_lite::protection::Keys;
use quic_lite::range_set::RangeSet;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::datagram::{Packet, ProtectedPacket, packets};
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::header::{Header, LongHeader, LongType, PacketType};
use quic_lite::wire::packet_number::PacketNumber;

use crate::bytes::Script;
use crate::initial::{MAX_PAYLOAD, MAX_STEPS, cid, padded};
use crate::peer::{
    Accounts, CID_LEN, Numbers, check_acknowledged, frames_of, seal_long, seal_short,
};
use crate::session::{Subject, client_address, endpoint, server_address};
use crate::tls::{self, Secrets};

/// Four clients speak to a server in turns. It never sends three times what it got from an address that proved
/// nothing, acknowledges nothing that was not sent, keeps to its limits, and forgets everybody in the end.
pub fn initial_server(data: &[u8]) {
    play(data);
}

/// What the server told.
pub(super) fn play(data: &[u8]) -> Vec<Event> {
    let mut script = Script::new(data);
    let flags = script.byte();
    let secrets = Arc::new(Secrets::default());
    let tls = tls::server(secrets.clone());
    let server = || endpoint(Some(tls), 2, flags & 1 == 1);
    let mut clients = [0, 1, 2, 3].map(Client::new);
    if flags & 2 == 2 {
        clients[0].destination = cid(&mut script);
        clients[0].source = cid(&mut script);
        clients[0].first = clients[0].destination;
        clients[0].keys_from = clients[0].destination;
    }
    let mut stage = Stage {
        subject: Subject::new(server, server_address()),
        secrets,
        clients,
        accounts: Accounts::default(),
        sent: Numbers::default(),
        pending: Vec::new(),
        last: (client_address(0), Vec::new()),
    };
    for _ in 0..MAX_STEPS {
        let Some(step) = script.step() else {
            break;
        };
        stage.step(step, &mut script);
        stage.look();
    }
    stage.subject.fade();
    stage.look();
    let events = stage.subject.events.into_iter();
    events.map(|(_, event)| event).collect()
}

/// One who would like to connect.
struct Client {
    address: SocketAddr,
    /// The connection ID that it made up for the server.
    first: ConnectionId,
    /// The one that it sends to.
    destination: ConnectionId,
    /// What its Initial keys come from: the first, or that of a Retry.
    keys_from: ConnectionId,
    /// All that keys ever came from or that it sent to: the server's come from one of them.
    destinations: Vec<ConnectionId>,
    source: ConnectionId,
    /// What the server calls itself.
    server: Option<ConnectionId>,
    token: Vec<u8>,
    next: u64,
    numbers: RangeSet,
}

impl Client {
    fn new(place: u8) -> Self {
        let first = ConnectionId::new(&[0x11 * (place + 1); 8]).expect("short enough");
        Self {
            address: client_address(place),
            first,
            destination: first,
            keys_from: first,
            destinations: Vec::new(),
            source: ConnectionId::new(&[0x51 + place; 5]).expect("short enough"),
            server: None,
            token: Vec::new(),
            next: 0,
            numbers: RangeSet::new(),
        }
    }
}

struct Stage {
    subject: Subject,
    secrets: Arc<Secrets>,
    clients: [Client; 4],
    accounts: Accounts,
    sent: Numbers,
    /// Packets that go in one datagram with the next.
    pending: Vec<u8>,
    last: (SocketAddr, Vec<u8>),
}

impl Stage {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let which = usize::from(step >> 6);
        match step % 12 {
            0..=3 => self.initial(which, script),
            4 => self.handshake(which, script),
            5 => self
                .subject
                .wait(Duration::from_millis(script.short().into())),
            6 => {
                let bytes = script.long_bytes().to_vec();
                self.arrive(which, bytes);
            }
            7 => {
                let (at, flip) = (usize::from(script.short()), script.byte());
                let (from, mut bytes) = self.last.clone();
                let len = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % len) {
                    *byte ^= flip;
                }
                self.accounts.received(from, bytes.len());
                self.subject.receive(from, &bytes);
            }
            8 => self.unknown_version(which, script),
            9 => self.one_rtt(which, script),
            10 => self.clients[which].next += u64::from(script.short()),
            _ => {
                let client = &mut self.clients[which];
                client.address = client_address(script.byte());
            }
        }
        self.subject.flush();
        assert!(self.subject.endpoint.len() <= 20 && self.subject.endpoint.half_open() <= 12);
    }

    /// An Initial packet; `kind` says with what that the server has said, and whether another packet follows.
    fn initial(&mut self, which: usize, script: &mut Script<'_>) {
        let kind = script.byte();
        let payload = script.long_bytes();
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        let client = &mut self.clients[which];
        if kind & 1 == 1 {
            client.destination = client.server.unwrap_or(client.first);
        }
        if !client.destinations.contains(&client.destination) {
            client.destinations.push(client.destination);
        }
        let token = if kind & 2 == 2 {
            client.token.clone()
        } else {
            Vec::new()
        };
        if !token.is_empty() {
            // RFC 9000 §8.1.2: it came to this address before.
            self.accounts.validated(client.address);
        }
        let keys = Keys::initial(&client.keys_from, Side::Client).local;
        let header = LongHeader {
            long_type: LongType::Initial { token: &token },
            destination_cid: client.destination,
            source_cid: client.source,
        };
        let payload = match kind & 4 {
            0 => padded(payload, self.pending.len()),
            _ => payload.to_vec(),
        };
        let packet = seal_long(&header, client.next, &payload, &keys);
        client.numbers.insert(client.next..client.next + 1);
        client.next += 1;
        self.send(which, packet, kind & 8 == 8);
    }

    /// A Handshake packet of a client that has the keys: only who got the server's Initial has them.
    fn handshake(&mut self, which: usize, script: &mut Script<'_>) {
        let kind = script.byte();
        let payload = script.long_bytes();
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        let client = &mut self.clients[which];
        let keys = self.secrets.keys("CLIENT_HANDSHAKE_TRAFFIC_SECRET");
        let (Some(keys), Some(server)) = (keys, client.server) else {
            return;
        };
        self.accounts.validated(client.address);
        let header = LongHeader {
            long_type: if kind & 1 == 0 {
                LongType::Handshake
            } else {
                LongType::ZeroRtt
            },
            destination_cid: server,
            source_cid: client.source,
        };
        let packet = seal_long(&header, client.next, payload, &keys);
        client.next += 1;
        self.send(which, packet, kind & 8 == 8);
    }

    fn one_rtt(&mut self, which: usize, script: &mut Script<'_>) {
        let kind = script.byte();
        let payload = script.bytes();
        let client = &mut self.clients[which];
        let Some(keys) = self.secrets.keys("CLIENT_TRAFFIC_SECRET_0") else {
            return;
        };
        let destination = client.server.unwrap_or(client.first);
        let packet = seal_short((destination, kind & 1 == 1), client.next, payload, &keys);
        client.next += 1;
        self.send(which, packet, false);
    }

    fn unknown_version(&mut self, which: usize, script: &mut Script<'_>) {
        let mut packet = vec![script.byte() | 0x80];
        packet.extend(script.short().to_be_bytes());
        packet.extend(script.short().to_be_bytes());
        for id in [script.bytes(), script.bytes()] {
            packet.push(id.len() as u8);
            packet.extend_from_slice(id);
        }
        packet.resize(if script.byte() & 1 == 0 { 1200 } else { 100 }, 0);
        self.arrive(which, packet);
    }

    fn send(&mut self, which: usize, packet: Vec<u8>, another_follows: bool) {
        self.pending.extend(packet);
        if !another_follows || self.pending.len() > 3_000 {
            let datagram = std::mem::take(&mut self.pending);
            self.arrive(which, datagram);
        }
    }

    fn arrive(&mut self, which: usize, datagram: Vec<u8>) {
        let from = self.clients[which].address;
        self.accounts.received(from, datagram.len());
        self.subject.receive(from, &datagram);
        self.last = (from, datagram);
    }

    /// Looks at all that was sent.
    fn look(&mut self) {
        for (to, datagram) in std::mem::take(&mut self.subject.sent) {
            self.accounts.sent(to, datagram.len());
            for packet in packets(&datagram, CID_LEN) {
                match packet {
                    Packet::Protected(packet) => self.on_packet(&packet, &datagram),
                    Packet::Other { range } => self.on_other(&datagram[range]),
                }
            }
        }
    }

    fn on_packet(&mut self, packet: &ProtectedPacket, datagram: &[u8]) {
        let (packet_type, from) = (packet.packet_type, packet.source_cid);
        if packet_type != PacketType::Initial {
            return self.on_handshake(packet, &datagram[packet.range.clone()]);
        }
        let to = packet.destination_cid;
        let client = self.clients.iter_mut().find(|client| client.source == to);
        let client = client.expect("it is for a client");
        let bytes = &datagram[packet.range.clone()];
        let cids = client.destinations.iter().chain([&client.first]);
        let largest = self.sent.largest(from, packet_type);
        let opened = cids.rev().find_map(|cid| {
            let keys = Keys::initial(cid, Side::Client).remote;
            open(bytes, packet.pn_offset, &keys, largest)
        });
        let opened = opened.expect("its Initial opens with the keys of the client's");
        client.server = Some(from);
        for frame in frames_of(&opened.payload, packet_type) {
            if let Frame::Ack(ack) = frame {
                check_acknowledged(&ack, &client.numbers);
            }
        }
        // Who has no connection is turned away with the number 0, however often.
        let is_turned_away = opened.number == PacketNumber::ZERO
            && matches!(
                frames(&opened.payload).next(),
                Some(Ok(Frame::ConnectionClose(_)))
            );
        if !is_turned_away {
            self.sent.sent(from, packet_type, opened.number);
        }
    }

    /// The keys are those of the connection whose handshake began last.
    fn on_handshake(&mut self, packet: &ProtectedPacket, bytes: &[u8]) {
        let (packet_type, from) = (packet.packet_type, packet.source_cid);
        let largest = self.sent.largest(from, packet_type);
        let keys = self.secrets.keys("SERVER_HANDSHAKE_TRAFFIC_SECRET");
        if let Some(keys) = keys.filter(|_| packet_type == PacketType::Handshake)
            && let Some(opened) = open(bytes, packet.pn_offset, &keys, largest)
        {
            self.sent.sent(from, packet_type, opened.number);
        }
    }

    fn on_other(&mut self, packet: &[u8]) {
        let (_, header) = Header::parse(packet, CID_LEN).expect("it is a packet");
        if let Header::Retry(retry) = header {
            let to = retry.destination_cid;
            if let Some(client) = self.clients.iter_mut().find(|client| client.source == to) {
                client.token = retry.retry_token.to_vec();
                client.destination = retry.source_cid;
                client.keys_from = retry.source_cid;
                client.server = Some(retry.source_cid);
            }
        }
    }
}
