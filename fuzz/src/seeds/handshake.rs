//! Seeds of handshakes: what a client and a server of ours really say, and what they must not (RFC 9001 A.2, A.3).

use std::sync::Arc;
use std::time::Duration;

use integration::opened::open;
use quic_lite::connection::FourTuple;
use quic_lite::endpoint::Endpoint;
use quic_lite::protection::Keys;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::datagram::{Packet, packets};
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::header::PacketType;
use quic_lite::wire::writer::Writer;
use quic_lite::{Side, Time};

use super::{Seed, hex, seed, wire};
use crate::peer::CID_LEN;
use crate::session::{client_address, config, endpoint, server_address};
use crate::tls::{self, Secrets};

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let real = record();
    let mut all = vec![
        seed("initial_server", "real_client", for_server(&real, 0, &[])),
        seed("initial_client", "real_server", for_client(&real)),
        seed("initial_server", "real_client_after_retry", retried(&real)),
        seed(
            "initial_server",
            "retry_again_for_one_that_has_a_connection",
            [
                retried(&real),
                step(0, 0, &real.from_client[0].1),
                hex("05 0fff"),
            ]
            .concat(),
        ),
        seed("initial_server", "rfc9001_a2", rfc_client()),
        seed("initial_client", "rfc9001_a3", rfc_server(&real)),
    ];
    all.extend(odd_for_server(&real));
    all.extend(odd_for_client(&real));
    for (name, text) in wire::FRAMES {
        let frame = hex(text);
        let initial = step(0, 0, &frame);
        all.push(seed(
            "initial_server",
            &format!("frame_{name}"),
            for_server(&real, 1, &initial),
        ));
        let from = &real.server_cid;
        let bytes = [prefixed(from.as_slice()), initial].concat();
        all.push(seed("initial_client", &format!("frame_{name}"), bytes));
    }
    all
}

/// A step with a kind and a payload.
fn step(step: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    [&[step, kind][..], &len, payload].concat()
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8][..], bytes].concat()
}

/// One handshake: the plaintext of each packet, and whether another one follows in the datagram.
struct Recording {
    client_cids: (ConnectionId, ConnectionId),
    server_cid: ConnectionId,
    from_client: Vec<(PacketType, Vec<u8>, bool)>,
    from_server: Vec<(PacketType, Vec<u8>, bool)>,
}

/// The endpoints are those of the properties, so they say the same there.
fn record() -> Recording {
    let secrets = Arc::new(Secrets::default());
    let mut client = endpoint(None, 1, false);
    let mut server = endpoint(Some(tls::server(secrets.clone())), 2, false);
    let mut now = Time::from_micros(1_000_000);
    let tls = tls::client(Arc::default());
    let connected = client.connect(now, &tls, server_address(), "localhost", config());
    connected.expect("there is room");
    let mut real = Recording {
        client_cids: (ConnectionId::EMPTY, ConnectionId::EMPTY),
        server_cid: ConnectionId::EMPTY,
        from_client: Vec::new(),
        from_server: Vec::new(),
    };
    for _ in 0..4 {
        now = now + Duration::from_millis(5);
        for datagram in send(now, &mut client) {
            real.note(Side::Client, &datagram, &secrets);
            arrive(now, &mut server, Side::Server, &datagram);
        }
        for datagram in send(now, &mut server) {
            // TLS has told the secrets by now, and the packets that need them are opened.
            real.note(Side::Server, &datagram, &secrets);
            arrive(now, &mut client, Side::Client, &datagram);
        }
    }
    real
}

fn send(now: Time, from: &mut Endpoint) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 20_000];
    let mut sent = Vec::new();
    while let Some(transmit) = from.transmit(now, &mut buffer, 1) {
        sent.push(buffer[..transmit.len].to_vec());
    }
    sent
}

fn arrive(now: Time, to: &mut Endpoint, side: Side, datagram: &[u8]) {
    let (local, remote) = match side {
        Side::Client => (client_address(0), server_address()),
        Side::Server => (server_address(), client_address(0)),
    };
    to.receive(
        now,
        FourTuple { local, remote },
        None,
        &mut datagram.to_vec(),
    );
}

impl Recording {
    fn note(&mut self, from: Side, datagram: &[u8], secrets: &Secrets) {
        for packet in packets(datagram, CID_LEN) {
            let Packet::Protected(packet) = packet else {
                panic!("a handshake has no such packet")
            };
            if from == Side::Client && self.client_cids.0.is_empty() {
                self.client_cids = (packet.destination_cid, packet.source_cid);
            }
            if from == Side::Server && !packet.source_cid.is_empty() {
                self.server_cid = packet.source_cid;
            }
            let name = if from == Side::Client {
                "CLIENT"
            } else {
                "SERVER"
            };
            let keys = match packet.packet_type {
                PacketType::Initial => Some(Keys::initial(&self.client_cids.0, from).local),
                PacketType::Handshake => secrets.keys(&format!("{name}_HANDSHAKE_TRAFFIC_SECRET")),
                _ => secrets.keys(&format!("{name}_TRAFFIC_SECRET_0")),
            };
            let bytes = &datagram[packet.range.clone()];
            let keys = keys.expect("TLS has told");
            let opened = open(bytes, packet.pn_offset, &keys, None).expect("these are its keys");
            let follows = packet.range.end < datagram.len();
            let noted = (
                packet.packet_type,
                without_padding(&opened.payload),
                follows,
            );
            match from {
                Side::Client => self.from_client.push(noted),
                Side::Server => self.from_server.push(noted),
            }
        }
    }
}

fn without_padding(payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 2 * payload.len() + 100];
    let mut out = Writer::new(&mut buffer);
    for frame in frames(payload) {
        let frame = frame.expect("our own frame");
        if !matches!(frame, Frame::Padding { .. }) {
            frame.encode(&mut out).expect("room");
        }
    }
    out.written().to_vec()
}

/// So many packets of the real client (all of them for zero), then these steps.
fn for_server(real: &Recording, packets: usize, then: &[u8]) -> Vec<u8> {
    let (destination, source) = real.client_cids;
    let mut bytes = vec![2];
    bytes.extend(prefixed(destination.as_slice()));
    bytes.extend(prefixed(source.as_slice()));
    let all = real.from_client.len();
    let packets = if packets == 0 { all } else { packets };
    for (at, (packet_type, payload, follows)) in real.from_client[..packets].iter().enumerate() {
        // RFC 9000 §7.2: the client goes over to the server's connection ID.
        let kind = u8::from(*follows) << 3 | u8::from(at > 0);
        bytes.extend(match packet_type {
            PacketType::Initial => step(0, kind, payload),
            PacketType::Handshake => step(4, kind & 8, payload),
            _ => [&[9, 0][..], &prefixed(payload)].concat(),
        });
    }
    bytes.extend(then);
    bytes
}

fn for_client(real: &Recording) -> Vec<u8> {
    let mut bytes = prefixed(real.server_cid.as_slice());
    for (packet_type, payload, follows) in &real.from_server {
        let kind = u8::from(*follows) << 3;
        bytes.extend(match packet_type {
            PacketType::Initial => step(0, kind, payload),
            PacketType::Handshake => step(4, kind, payload),
            _ => [&[6, kind][..], &prefixed(payload)].concat(),
        });
    }
    bytes
}

/// The same ClientHello before and after a Retry.
fn retried(real: &Recording) -> Vec<u8> {
    let hello = &real.from_client[0].1;
    let (destination, source) = real.client_cids;
    let mut bytes = vec![3];
    bytes.extend(prefixed(destination.as_slice()));
    bytes.extend(prefixed(source.as_slice()));
    bytes.extend(step(0, 0, hello));
    bytes.extend(step(0, 2, hello));
    bytes
}

fn rfc_client() -> Vec<u8> {
    let packet = hex(include_str!(
        "../../../tests/vectors/rfc9001/a2_client_initial.unprotected.hex"
    ));
    // Its header takes 22 bytes; the CRYPTO frame behind it 245.
    let crypto = &packet[22..22 + 245];
    let destination = prefixed(&hex("8394c8f03e515708"));
    [&[2][..], &destination, &[0], &step(0, 0, crypto)].concat()
}

fn rfc_server(real: &Recording) -> Vec<u8> {
    let packet = hex(include_str!(
        "../../../tests/vectors/rfc9001/a3_server_initial.unprotected.hex"
    ));
    let payload = &packet[20..];
    [prefixed(real.server_cid.as_slice()), step(0, 0, payload)].concat()
}

fn odd_for_server(real: &Recording) -> Vec<Seed> {
    let hello = &real.from_client[0].1;
    let four: Vec<u8> = [0, 0x40, 0x80, 0xc0]
        .iter()
        .flat_map(|which| step(*which, 0, hello))
        .collect();
    let silence = hex("05 ffff");
    let table = [
        ("four_clients", four.clone()),
        ("silence", [four, silence].concat()),
        ("hello_in_a_small_datagram", step(0x40, 4, hello)),
        (
            "hello_twice_in_a_datagram",
            [step(0x40, 8, hello), step(0x40, 0, hello)].concat(),
        ),
        (
            "hello_damaged",
            [step(0x40, 0, hello), hex("07 0030 01 07 0400 80")].concat(),
        ),
        (
            "unknown_version",
            hex("08 40 face b00c 08 1122334455667788 02 aabb 00"),
        ),
        (
            "short_header_of_nobody",
            hex("06 0020 40 0102030405060708 000000000000000000000000000000000000000000000000"),
        ),
        (
            "address_changes",
            [step(0, 0, hello), hex("0b 05"), step(0, 0, hello)].concat(),
        ),
    ];
    let seeds = table.into_iter().map(|(name, steps)| {
        let bytes = [&[0][..], &steps].concat();
        seed("initial_server", name, bytes)
    });
    let hello_in_pieces = real.from_client[0]
        .1
        .chunks(40)
        .enumerate()
        .flat_map(|(at, piece)| {
            // Of a CRYPTO frame with one byte of offset and two of length only the rest is right.
            let header = hex(&format!(
                "06 {:04x} {:04x}",
                0x4000 + at * 40,
                0x4000 + piece.len()
            ));
            step(0, 0, &[&header, piece].concat())
        });
    let pieces = [vec![0], hello_in_pieces.collect()].concat();
    seeds
        .chain([seed("initial_server", "crypto_in_pieces", pieces)])
        .collect()
}

fn odd_for_client(real: &Recording) -> Vec<Seed> {
    let from = prefixed(real.server_cid.as_slice());
    let hello = &real.from_server[0].1;
    let table = [
        ("retry", hex("07 02 08 1122334455667788 05 0102030405")),
        (
            "retry_with_a_wrong_tag",
            hex("07 01 08 1122334455667788 05 0102030405"),
        ),
        ("retry_without_token", hex("07 02 08 1122334455667788 00")),
        (
            "retry_twice",
            hex("07 02 08 1122334455667788 01 01 07 02 08 2122334455667788 01 02"),
        ),
        (
            "retry_after_hello",
            [step(0, 0, hello), hex("07 02 08 1122334455667788 01 01")].concat(),
        ),
        ("version_negotiation", hex("08 02 1a2a 3a4a ff00 001d")),
        (
            "version_negotiation_with_ours",
            hex("08 02 0000 0001 1a2a 3a4a"),
        ),
        ("version_negotiation_empty", hex("08 00")),
        ("hello_with_token", step(0, 1, hello)),
        (
            "hello_under_another_id",
            [step(0, 0, hello), step(0, 2, &[1])].concat(),
        ),
        ("silence", [step(0, 0, hello), hex("09 ffff")].concat()),
        ("close", step(0, 0, &hex("1c 02 00 00"))),
    ];
    let seeds = table.into_iter().map(|(name, steps)| {
        let bytes = [&from[..], &steps].concat();
        seed("initial_client", name, bytes)
    });
    seeds.collect()
}
