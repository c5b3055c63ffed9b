//! Packets of any content under the right keys, and what must hold for those that an endpoint sent (RFC 9001 §5).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use quic_lite::protection::{Keys, TAG_LEN, seal_packet};
use quic_lite::range_set::RangeSet;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::frame::{Ack, Frame, frames};
use quic_lite::wire::header::{LongHeader, LongType, PacketType, ShortHeader};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::Writer;

/// Bytes in the connection IDs of all endpoints here.
pub const CID_LEN: usize = 8;

/// A packet with a long header.
pub fn seal_long(header: &LongHeader<'_>, number: u64, payload: &[u8], keys: &Keys) -> Vec<u8> {
    let token = match header.long_type {
        LongType::Initial { token } => token.len(),
        _ => 0,
    };
    let mut buffer = vec![0; payload.len() + token + 100];
    let mut out = Writer::new(&mut buffer);
    let number = PacketNumber::new(number);
    let layout = header.encode(number, PN_LEN, &mut out).expect("room");
    out.put(payload).expect("room");
    layout
        .set_length(TAG_LEN, &mut out)
        .expect("it fits in two bytes");
    finish(out, layout.pn_offset, number, keys)
}

/// A 1-RTT packet.
pub fn seal_short(
    (destination_cid, phase): (ConnectionId, bool),
    number: u64,
    payload: &[u8],
    keys: &Keys,
) -> Vec<u8> {
    let mut buffer = vec![0; payload.len() + 100];
    let mut out = Writer::new(&mut buffer);
    let header = ShortHeader {
        destination_cid,
        spin: false,
    };
    let number = PacketNumber::new(number);
    let layout = header
        .encode(phase, number, PN_LEN, &mut out)
        .expect("room");
    out.put(payload).expect("room");
    finish(out, layout.pn_offset, number, keys)
}

fn finish(mut out: Writer<'_>, pn_offset: usize, number: PacketNumber, keys: &Keys) -> Vec<u8> {
    out.put_zeros(TAG_LEN).expect("room");
    let mut packet = out.written().to_vec();
    seal_packet(&mut packet, pn_offset, number, keys).expect("four bytes of number are enough");
    packet
}

/// The frames of a packet that an endpoint sent: some, well-formed and allowed there.
pub fn frames_of(payload: &[u8], packet_type: PacketType) -> impl Iterator<Item = Frame<'_>> {
    assert!(!payload.is_empty(), "a packet without frames");
    frames(payload).map(move |frame| {
        let frame = frame.expect("an endpoint sends a malformed frame");
        assert!(
            frame.is_allowed_in(packet_type),
            "{frame} in {packet_type:?}"
        );
        frame
    })
}

/// RFC 9000 §13.1: what an endpoint acknowledges was sent.
pub fn check_acknowledged(ack: &Ack<'_>, sent: &RangeSet) {
    for range in ack.ranges() {
        let range = range.start().value()..range.end().value() + 1;
        assert!(sent.contains_range(&range), "{ack}: nobody sent that");
    }
}

/// RFC 9000 §12.3: no number comes twice. The largest of each packet type, by the connection ID of who sends.
#[derive(Default)]
pub struct Numbers(BTreeMap<(Vec<u8>, usize), PacketNumber>);

impl Numbers {
    /// The largest so far.
    pub fn largest(&self, from: ConnectionId, packet_type: PacketType) -> Option<PacketNumber> {
        let key = (from.as_slice().to_vec(), packet_type as usize);
        self.0.get(&key).copied()
    }

    /// A packet was sent.
    pub fn sent(&mut self, from: ConnectionId, packet_type: PacketType, number: PacketNumber) {
        let key = (from.as_slice().to_vec(), packet_type as usize);
        let last = self.0.insert(key, number);
        assert!(last < Some(number), "{number:?} after {last:?}");
    }
}

/// RFC 9000 §8.1: what each address gave and got.
#[derive(Default)]
pub struct Accounts(BTreeMap<SocketAddr, Account>);

#[derive(Default)]
struct Account {
    received: usize,
    sent: usize,
    is_validated: bool,
}

impl Accounts {
    /// A datagram came from there.
    pub fn received(&mut self, from: SocketAddr, len: usize) {
        self.0.entry(from).or_default().received += len;
    }

    /// It was shown that the peer receives there.
    pub fn validated(&mut self, address: SocketAddr) {
        self.0.entry(address).or_default().is_validated = true;
    }

    /// A datagram goes there.
    pub fn sent(&mut self, to: SocketAddr, len: usize) {
        let account = self.0.entry(to).or_default();
        account.sent += len;
        let Account {
            received,
            sent,
            is_validated,
        } = account;
        assert!(
            *is_validated || *sent <= 3 * *received,
            "{received} bytes from {to}, {sent} to it"
        );
    }
}

/// All packet numbers are written in full: what is cut off is another target's business.
const PN_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "after Some(")]
    fn a_number_that_comes_twice_is_noticed() {
        let (mut numbers, from) = (Numbers::default(), ConnectionId::EMPTY);
        for packet_type in [PacketType::Initial, PacketType::Handshake] {
            numbers.sent(from, packet_type, PacketNumber::ZERO);
        }
        numbers.sent(from, PacketType::Initial, PacketNumber::ZERO);
    }

    #[test]
    #[should_panic(expected = "100 bytes from 10.0.0.1:1, 301 to it")]
    fn more_than_three_times_what_came_is_noticed() {
        let mut accounts = Accounts::default();
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        accounts.received(address, 100);
        accounts.sent(address, 300);
        accounts.sent(address, 1);
    }
}
