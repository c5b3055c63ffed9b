//! Packets that an attacker makes: Initials under the keys that everybody can derive (RFC 9001 §5.2), and 1-RTT
//! packets of a peer that has the real keys and no manners.

use quic_lite::Side;
use quic_lite::connection::Connection;
use quic_lite::protection::{Keys, TAG_LEN, seal_packet};
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::header::{Header, LongHeader, LongType, ShortHeader};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::Writer;

use crate::opened::open;

/// A connection ID of these bytes.
pub fn cid(bytes: &[u8]) -> ConnectionId {
    ConnectionId::new(bytes).unwrap()
}

/// What an Initial of a client says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Initial<'a> {
    /// Where to.
    pub destination: ConnectionId,
    /// Where from.
    pub source: ConnectionId,
    /// Of a Retry or an earlier visit.
    pub token: &'a [u8],
}

impl Initial<'_> {
    /// A whole datagram of a client: authentic, with these frames, and padded to `size`.
    pub fn of_client(&self, frames: &[u8], size: usize) -> Vec<u8> {
        let keys = Keys::initial(&self.destination, Side::Client).local;
        self.sealed(PacketNumber::ZERO, &keys, frames, size)
    }

    /// The same as a server's, whose keys come from the ID that the client made up.
    pub fn of_server(
        &self,
        made_up: &ConnectionId,
        number: u64,
        frames: &[u8],
        size: usize,
    ) -> Vec<u8> {
        let keys = Keys::initial(made_up, Side::Server).local;
        self.sealed(PacketNumber::new(number), &keys, frames, size)
    }

    fn sealed(&self, number: PacketNumber, keys: &Keys, frames: &[u8], size: usize) -> Vec<u8> {
        let header = LongHeader {
            long_type: LongType::Initial { token: self.token },
            destination_cid: self.destination,
            source_cid: self.source,
        };
        let mut packet = vec![0; 66_000];
        let mut out = Writer::new(&mut packet);
        let layout = header.encode(number, 4, &mut out).unwrap();
        out.put(frames).unwrap();
        let padding = size.saturating_sub(out.len() + TAG_LEN);
        out.put_zeros(padding).unwrap();
        layout.set_length(TAG_LEN, &mut out).unwrap();
        out.put_zeros(TAG_LEN).unwrap();
        let len = out.len();
        packet.truncate(len);
        seal_packet(&mut packet, layout.pn_offset, number, keys).unwrap();
        packet
    }
}

/// The first datagram of a client that nobody knows: different for each `number`.
pub fn stranger(number: u64) -> Vec<u8> {
    let initial = Initial {
        destination: cid(&number.to_be_bytes()),
        source: cid(b"us"),
        token: &[],
    };
    initial.of_client(PING, 1200)
}

/// A 1-RTT packet as `from` would make it, with this number and these frames, under its keys of today or under
/// those that come after so many updates.
pub fn one_rtt(from: &Connection, number: u64, frames: &[u8], updates: u32) -> Vec<u8> {
    let raw = from.keys().unwrap();
    let keys = (0..updates).fold(raw.local.clone(), |keys, _| keys.next_generation());
    let phase = raw.phase ^ (updates % 2 == 1);
    let header = ShortHeader {
        destination_cid: from.remote_cid(),
        spin: false,
    };
    let (mut packet, number) = (vec![0; 2000], PacketNumber::new(number));
    let mut out = Writer::new(&mut packet);
    let layout = header.encode(phase, number, 4, &mut out).unwrap();
    out.put(frames).unwrap();
    out.put_zeros(TAG_LEN).unwrap();
    let len = out.len();
    packet.truncate(len);
    seal_packet(&mut packet, layout.pn_offset, number, &keys).unwrap();
    packet
}

/// The payload of an Initial of a server to a client that made up this ID.
pub fn open_server_initial(packet: &[u8], made_up: &ConnectionId) -> Option<Vec<u8>> {
    let Ok((
        _,
        Header::Long {
            pn_offset, length, ..
        },
    )) = Header::parse(packet, 8)
    else {
        return None;
    };
    let keys = Keys::initial(made_up, Side::Client).remote;
    let opened = open(&packet[..pn_offset + length], pn_offset, &keys, None)?;
    Some(opened.payload)
}

/// PING.
pub const PING: &[u8] = &[1];
