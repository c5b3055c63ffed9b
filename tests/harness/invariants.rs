//! What holds after every step of any run, whatever the network did. RFC 9000 §8, §10, §12.3.
//!
//! The numbers of packets are checked by [`crate::tap`], which sees them, and streams by [`crate::flow`].
//! Here: the amplification limit, counted from outside; silence after the end; what an endpoint says of
//! itself ([`Connection::audit`]); and how much memory it may hold, counted by the allocator.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use quic_lite::Side;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;

use crate::heap::Heap;
use crate::tap::TappedPacket;

/// The books of one run.
#[derive(Debug, Default)]
pub struct Invariants {
    accounts: BTreeMap<SocketAddr, Account>,
    /// Where the server has sent each challenge.
    challenges: BTreeMap<[u8; 8], SocketAddr>,
    closed: BTreeSet<(bool, Handle)>,
}

/// What an address has given and got.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    is_validated: bool,
}

impl Invariants {
    /// The server got a datagram, with these packets.
    pub fn on_server_received(&mut self, source: SocketAddr, len: usize, packets: &[TappedPacket]) {
        self.accounts.entry(source).or_default().received += len as u64;
        for packet in packets {
            // RFC 9000 §8.1: a Handshake packet or a token comes from one who receives there.
            if packet.is(PacketType::Handshake) || !packet.token.is_empty() {
                self.accounts.entry(source).or_default().is_validated = true;
            }
            packet.frames().for_each(|frame| self.on_answer(&frame));
        }
    }

    /// RFC 9000 §8.2.3: the answer validates the address that the challenge went to.
    fn on_answer(&mut self, frame: &Frame<'_>) {
        if let Frame::PathResponse(response) = frame
            && let Some(address) = self.challenges.get(&response.data)
        {
            self.accounts.entry(*address).or_default().is_validated = true;
        }
    }

    /// The server sends a datagram.
    pub fn on_server_sent(
        &mut self,
        destination: SocketAddr,
        len: usize,
        packets: &[TappedPacket],
    ) {
        for frame in packets.iter().flat_map(TappedPacket::frames) {
            if let Frame::PathChallenge(challenge) = frame {
                self.challenges.insert(challenge.data, destination);
            }
        }
        let account = self.accounts.entry(destination).or_default();
        account.sent += len as u64;
        assert!(
            account.is_validated || account.sent <= 3 * account.received,
            "amplification: {} bytes from {destination}, {} bytes to it",
            account.received,
            account.sent
        );
    }

    /// An endpoint tells of an event.
    pub fn on_event(&mut self, side: Side, handle: Handle, event: &Event) {
        let key = (side == Side::Client, handle);
        assert!(
            !self.closed.contains(&key),
            "{side:?}: {event:?} after the connection was closed"
        );
        if matches!(event, Event::Closed(_)) {
            self.closed.insert(key);
        }
    }
}

/// Looks at every connection of an endpoint, and at the memory that it holds with its application. `step`
/// counts the steps: where there are many streams, only every so manieth walks over them.
pub fn check(endpoint: &Endpoint, heap: &Heap, step: u64) {
    let mut allowed = ENDPOINT;
    for handle in endpoint.handles() {
        let connection = endpoint.connection(handle).expect("it has a handle");
        for usage in connection.usage() {
            let is_over = connection.state().is_open() && usage.used > usage.limit;
            assert!(!is_over, "{usage:?}");
        }
        let streams = connection.streams().open_parts() as u64;
        if streams > FEW_STREAMS && !step.is_multiple_of(streams) {
            return;
        }
        connection.audit().unwrap();
        allowed += allowance(connection);
    }
    let held = heap.held();
    assert!(held <= allowed, "{held} bytes held, {allowed} allowed");
}

/// What a connection may hold: a fixed amount, what its windows are filled with, and what it costs to remember
/// streams, holes, and packets in flight.
fn allowance(connection: &Connection) -> isize {
    let streams = connection.streams();
    let filled = 2 * connection.held_bytes() as isize;
    let remembered = 2048 * streams.open_parts() + 256 * streams.gaps();
    let in_flight = 256 * (connection.cwnd() / 1200) as isize;
    CONNECTION + filled + remembered as isize + in_flight
}

/// Of an endpoint without connections.
const ENDPOINT: isize = 256 << 10;
/// Of a connection, above what its windows are filled with.
const CONNECTION: isize = 256 << 10;
/// So many are walked over at every step.
const FEW_STREAMS: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Duel;

    #[test]
    #[should_panic(expected = "bytes held")]
    fn a_connection_that_holds_too_much_is_noticed() {
        let mut duel = Duel::at(Side::Server, true);
        check(&duel.endpoint, &duel.heap, 0);
        let kept = duel.heap.count(|| vec![0_u8; 1 << 20]);
        check(&duel.endpoint, &duel.heap, 0);
        drop(kept);
    }
}
