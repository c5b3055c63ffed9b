//! What holds after every step of any run, whatever the network did. RFC 9000 §8, §10, §12.3.
//!
//! The numbers of packets are checked by [`crate::tap`], which sees them. Here: the amplification limit,
//! counted from outside, and silence after the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use quic_lite::Side;
use quic_lite::connection::Event;
use quic_lite::endpoint::Handle;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;

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
