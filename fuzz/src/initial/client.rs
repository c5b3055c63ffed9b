//! A server that says anything to a client (RFC 9000 §7.2, §17.2.1, §17.2.5).

use std::sync::Arc;
use std::time::Duration;

use integration::opened::open;
use quic_lite::Side;
use quic_lite::connection::Event;
use quic_lite::protection::{Keys, retry};
use quic_lite::range_set::RangeSet;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::datagram::{Packet, packets};
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::{LongHeader, LongType, PacketType, Retry, VersionNegotiation};
use quic_lite::wire::writer::Writer;

use crate::bytes::Script;
use crate::initial::{MAX_PAYLOAD, MAX_STEPS, cid};
use crate::peer::{CID_LEN, Numbers, check_acknowledged, frames_of, seal_long, seal_short};
use crate::session::{Subject, client_address, endpoint, server_address};
use crate::tls::{self, Secrets};

/// A server says anything to a client that connects. The client opens every datagram of its first flight with a
/// full-sized Initial, acknowledges nothing that was not sent, keeps to its limits, and gives up in the end.
pub fn initial_client(data: &[u8]) {
    play(data);
}

/// What the client told.
pub(super) fn play(data: &[u8]) -> Vec<Event> {
    let mut script = Script::new(data);
    let source = cid(&mut script);
    let secrets = Arc::new(Secrets::default());
    let mut subject = Subject::new(|| endpoint(None, 1, false), client_address(0));
    subject.connect(&tls::client(secrets.clone()), server_address());
    subject.flush();
    let (destination, client) = cids(&subject.sent[0].1);
    let mut stage = Stage {
        subject,
        secrets,
        source,
        first: destination,
        keys_of: vec![destination],
        client,
        next: 0,
        numbers: Default::default(),
        sent: Numbers::default(),
        pending: Vec::new(),
        last: Vec::new(),
    };
    stage.look();
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

/// Destination and source of the first packet.
fn cids(datagram: &[u8]) -> (ConnectionId, ConnectionId) {
    match packets(datagram, CID_LEN).next() {
        Some(Packet::Protected(packet)) => (packet.destination_cid, packet.source_cid),
        other => panic!("a client begins with {other:?}"),
    }
}

struct Stage {
    subject: Subject,
    secrets: Arc<Secrets>,
    /// What the server calls itself.
    source: ConnectionId,
    /// The connection ID that the client made up.
    first: ConnectionId,
    /// All that its Initial keys may come from: that one, and those of Retry packets.
    keys_of: Vec<ConnectionId>,
    /// What it calls itself.
    client: ConnectionId,
    next: u64,
    /// Of its packets, by their type.
    numbers: [RangeSet; 4],
    /// Of the client's.
    sent: Numbers,
    pending: Vec<u8>,
    last: Vec<u8>,
}

impl Stage {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 12 {
            0..=3 => self.long(PacketType::Initial, script),
            4 | 5 => self.long(PacketType::Handshake, script),
            6 => self.one_rtt(script),
            7 => self.retry(script),
            8 => self.version_negotiation(script),
            9 => self
                .subject
                .wait(Duration::from_millis(script.short().into())),
            10 => {
                let bytes = script.long_bytes().to_vec();
                self.arrive(bytes);
            }
            _ => {
                let (at, flip) = (usize::from(script.short()), script.byte());
                let mut bytes = self.last.clone();
                let len = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % len) {
                    *byte ^= flip;
                }
                self.subject.receive(server_address(), &bytes);
            }
        }
        self.subject.flush();
    }

    /// An Initial or a Handshake packet; `kind` may make it odd, or say that another packet follows.
    fn long(&mut self, packet_type: PacketType, script: &mut Script<'_>) {
        let kind = script.byte();
        let payload = script.long_bytes();
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        let is_initial = packet_type == PacketType::Initial;
        if !is_initial && !self.pending.is_empty() {
            // The client's TLS tells the keys when it has got what is before.
            self.send(Vec::new(), false);
        }
        let newest = *self.keys_of.last().unwrap_or(&self.first);
        let keys = match is_initial {
            true => Some(Keys::initial(&newest, Side::Server).local),
            false => self.secrets.keys("SERVER_HANDSHAKE_TRAFFIC_SECRET"),
        };
        let Some(keys) = keys else {
            return;
        };
        let token: &[u8] = if kind & 1 == 1 { b"token" } else { b"" };
        let header = LongHeader {
            long_type: match is_initial {
                true => LongType::Initial { token },
                false => LongType::Handshake,
            },
            destination_cid: self.client,
            source_cid: if kind & 2 == 2 {
                self.first
            } else {
                self.source
            },
        };
        let packet = seal_long(&header, self.next, payload, &keys);
        self.numbers[packet_type as usize].insert(self.next..self.next + 1);
        self.next += 1;
        self.send(packet, kind & 8 == 8);
    }

    fn one_rtt(&mut self, script: &mut Script<'_>) {
        let kind = script.byte();
        let payload = script.bytes();
        if let Some(keys) = self.secrets.keys("SERVER_TRAFFIC_SECRET_0") {
            let packet = seal_short((self.client, kind & 1 == 1), self.next, payload, &keys);
            self.next += 1;
            self.send(packet, kind & 8 == 8);
        }
    }

    fn retry(&mut self, script: &mut Script<'_>) {
        let (kind, source_cid) = (script.byte(), cid(script));
        let retry_token = script.bytes();
        let mut buffer = [0; 600];
        let mut out = Writer::new(&mut buffer);
        let packet = Retry {
            destination_cid: self.client,
            source_cid,
            retry_token,
            retry_integrity_tag: [0; Retry::TAG_LEN],
        };
        packet.encode_without_tag(&mut out).expect("room");
        let mut bytes = out.written().to_vec();
        let mut tag = retry::tag(&self.first, &bytes).expect("short enough");
        tag[0] ^= kind & 1;
        bytes.extend(tag);
        if kind & 1 == 0 {
            self.keys_of.push(source_cid);
        }
        self.arrive(bytes);
        if kind & 2 == 2 {
            // From now on the server calls itself so, as an honest one does.
            self.source = source_cid;
        }
    }

    fn version_negotiation(&mut self, script: &mut Script<'_>) {
        let kind = script.byte();
        let versions: Vec<u32> = (0..kind & 7)
            .map(|_| u32::from(script.short()) << 16 | u32::from(script.short()))
            .collect();
        let source = if kind & 8 == 0 {
            self.first
        } else {
            self.source
        };
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        let (to, from) = (self.client.as_slice(), source.as_slice());
        VersionNegotiation::encode(to, from, &versions, kind & 0x3f, &mut out).expect("room");
        let packet = out.written().to_vec();
        self.arrive(packet);
    }

    fn send(&mut self, packet: Vec<u8>, another_follows: bool) {
        self.pending.extend(packet);
        if !another_follows || self.pending.len() > 3_000 {
            let datagram = std::mem::take(&mut self.pending);
            self.arrive(datagram);
        }
    }

    fn arrive(&mut self, datagram: Vec<u8>) {
        self.subject.receive(server_address(), &datagram);
        self.last = datagram;
    }

    /// Looks at all that was sent.
    fn look(&mut self) {
        for (to, datagram) in std::mem::take(&mut self.subject.sent) {
            assert_eq!(to, server_address());
            for packet in packets(&datagram, CID_LEN) {
                self.on_packet(&packet, &datagram);
            }
        }
    }

    fn on_packet(&mut self, packet: &Packet, datagram: &[u8]) {
        let Packet::Protected(packet) = packet else {
            panic!("a client sends packets with frames only")
        };
        let packet_type = packet.packet_type;
        let keys = match packet_type {
            PacketType::Initial => {
                // RFC 9000 §14.1.
                let len = datagram.len();
                assert!(len >= 1200, "{len} bytes with an Initial");
                let all = self.keys_of.iter().rev();
                all.map(|cid| Keys::initial(cid, Side::Server).remote)
                    .collect()
            }
            PacketType::Handshake => {
                let keys = self.secrets.keys("CLIENT_HANDSHAKE_TRAFFIC_SECRET");
                vec![keys.expect("who sends has keys")]
            }
            _ => return,
        };
        let largest = self.sent.largest(self.client, packet_type);
        let bytes = &datagram[packet.range.clone()];
        let mut tried = keys.iter();
        let opened = tried.find_map(|keys| open(bytes, packet.pn_offset, keys, largest));
        let opened = opened.expect("it opens with keys that the server knows");
        self.sent.sent(self.client, packet_type, opened.number);
        for frame in frames_of(&opened.payload, packet_type) {
            if let Frame::Ack(ack) = frame {
                check_acknowledged(&ack, &self.numbers[packet_type as usize]);
            }
        }
    }
}
