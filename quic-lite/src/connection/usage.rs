//! How full a connection is: each thing that a peer can make it keep, beside its limit ([`crate::limits`]). No
//! RFC.
//!
//! For tests and for whoever watches a connection that grows. [`Connection::usage`] is cheap enough for every
//! step of a simulation; [`Connection::audit`] walks over all streams.

use crate::limits;
use crate::space::SpaceId;

use super::Connection;
use super::spaces::PacketSpace;

/// One thing that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What it is.
    pub what: &'static str,
    /// How much there is of it.
    pub used: u64,
    /// How much there may be.
    pub limit: u64,
}

impl Usage {
    const fn new(what: &'static str, used: u64, limit: u64) -> Self {
        Self { what, used, limit }
    }

    fn count(what: &'static str, used: usize, limit: usize) -> Self {
        Self::new(what, used as u64, limit as u64)
    }
}

impl Connection {
    /// All that is bounded, and how much of it is used. While the connection is open nothing is above its limit.
    pub fn usage(&self) -> impl Iterator<Item = Usage> {
        let packets = self.packets_usage().into_iter();
        packets.chain(self.ids_usage()).chain(self.data_usage())
    }

    fn packets_usage(&self) -> [Usage; 8] {
        let most = |of: &dyn Fn(SpaceId) -> usize| SpaceId::ALL.map(of).into_iter().max();
        let space = |of: fn(&PacketSpace) -> usize| {
            most(&|id| self.spaces.get(id).map_or(0, of)).unwrap_or(0)
        };
        let kept = self.handshake.kept.len();
        let bytes = space(|space| space.crypto_receive.kept().0);
        let pieces = space(|space| space.crypto_receive.kept().1);
        let seen = space(|space| space.received.ranges().0);
        let ranges = space(|space| space.received.ranges().1);
        let light = self.recovery.unacked_acks();
        let held = self.recovery.held_ranges();
        let skipped = most(&|id| self.recovery.skipped_numbers(id)).unwrap_or(0);
        [
            Usage::count("packets before their keys", kept, limits::KEPT_PACKETS),
            Usage::count("CRYPTO bytes", bytes, limits::CRYPTO_BUFFERED),
            Usage::count("CRYPTO pieces", pieces, limits::CRYPTO_PIECES),
            Usage::count("ranges of numbers seen", seen, limits::ACK_RANGES),
            Usage::count("ranges to acknowledge", ranges, limits::ACK_RANGES),
            Usage::new(
                "bare ACKs sent",
                light.into(),
                (limits::UNACKED_ACKS + 1).into(),
            ),
            Usage::count("ranges held", held, limits::HELD_ACK_RANGES),
            Usage::count("numbers left out", skipped, limits::SKIPPED_NUMBERS),
        ]
    }

    fn ids_usage(&self) -> [Usage; 4] {
        let ours = self.local_cids().count();
        let theirs = self.remote_ids.len() as u64;
        // Going over to another ID retires one more.
        let (retired, may_retire) = (
            self.remote_ids.retired(),
            limits::RETIRED_CONNECTION_IDS + 1,
        );
        let ranges = self.remote_ids.ranges();
        let offered = self.config.active_connection_id_limit.max(2);
        [
            Usage::count("our connection IDs", ours, limits::ISSUED_CONNECTION_IDS),
            Usage::new("connection IDs of the peer", theirs, offered),
            Usage::count("connection IDs retired", retired, may_retire),
            Usage::count(
                "ranges of connection IDs",
                ranges,
                limits::CONNECTION_ID_RANGES,
            ),
        ]
    }

    fn data_usage(&self) -> [Usage; 7] {
        let (config, count) = (&self.config, self.config.max_queued_datagrams);
        let (out, incoming) = (&self.datagrams_out, &self.datagrams_in);
        let [bidi, uni] = self.streams.open_to_peer();
        [
            Usage::count("datagrams to send", out.len(), count),
            Usage::count("bytes of them", out.bytes(), config.datagram_send_bytes),
            Usage::count("datagrams to read", incoming.len(), count),
            Usage::count(
                "bytes of them",
                incoming.bytes(),
                config.datagram_receive_bytes,
            ),
            Usage::new("gaps", self.streams.gaps() as u64, self.streams.max_gaps()),
            Usage::new("bidirectional streams", bidi, config.max_bidi_streams),
            Usage::new("unidirectional streams", uni, config.max_uni_streams),
        ]
    }

    /// Bytes that were received and not read, or written and not acknowledged, with datagrams that wait. A walk
    /// over all streams.
    pub fn held_bytes(&self) -> u64 {
        let datagrams = self.datagrams_in.bytes() + self.datagrams_out.bytes();
        self.streams.held_bytes() + datagrams as u64
    }

    /// Whether all is as it must be: [`Self::usage`], flow control in both directions, and the sums of streams.
    /// An error says what is not.
    pub fn audit(&self) -> Result<(), String> {
        for Usage { what, used, limit } in self.usage() {
            // A frame too many ends the connection, and is what it was ended for.
            if used > limit && self.state.is_open() {
                return Err(format!("{what}: {used} of {limit}"));
            }
        }
        match self.state.is_open() {
            true => self.streams.audit(),
            false => Ok(()),
        }
    }
}
