//! A subscriber that does as little as a peer may: it reads packet numbers and acknowledges them, seldom.
//! RFC 9000 §13.2, RFC 9001 §5.4.
//!
//! The handshake is the library's; then this takes over with the connection's keys, IDs and packet numbers.

use quic_lite::connection::Connection;
use quic_lite::protection::{Keys, ProtectedPacket, seal_packet};
use quic_lite::range_set::RangeSet;
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::frame::Ack;
use quic_lite::wire::header::ShortHeader;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::{Full, Writer};

use crate::frames::{Found, Packing, look};
use crate::peek::Peek;

/// Acknowledges every so many packets …
const EVERY: u32 = 32;
/// … or after so many ns (RFC 9000 §13.2.1 allows what `max_ack_delay` says: 25 ms).
const AT_LATEST: u64 = 10_000_000;
/// Ranges that are told: older ones were told before.
const RANGES: usize = 32;
/// Bytes of our connection IDs.
pub const CID_LEN: usize = 8;

/// What it sends with.
struct Sending {
    keys: Keys,
    relay: ConnectionId,
    next: u64,
}

/// A subscriber after its handshake.
pub struct Subscriber {
    sending: Sending,
    remote: Keys,
    peek: Peek,
    packing: Packing,
    phase: bool,
    received: RangeSet,
    largest: Option<PacketNumber>,
    unacknowledged: u32,
    due: Option<u64>,
}

impl Subscriber {
    /// Takes over from the library.
    pub fn take_over(connection: &Connection, packing: Packing) -> Option<Self> {
        let keys = connection.keys()?;
        Some(Self {
            sending: Sending {
                keys: keys.local.clone(),
                relay: connection.remote_cid(),
                next: connection.next_packet_number().value(),
            },
            remote: keys.remote.clone(),
            peek: Peek::new(keys.remote)?,
            packing,
            phase: keys.phase,
            received: RangeSet::new(),
            largest: connection.largest_received(),
            unacknowledged: 0,
            due: None,
        })
    }

    /// A packet with a short header for one of our connection IDs, at `now` in ns.
    pub fn receive(&mut self, packet: &mut [u8], now: u64) -> Option<Found> {
        let pn_offset = 1 + CID_LEN;
        let protected = ProtectedPacket {
            bytes: packet,
            pn_offset,
        };
        let unprotected = protected.unprotect(&self.remote.header).ok()?;
        let (number, payload) = (
            unprotected.number(self.largest),
            pn_offset + unprotected.pn_len(),
        );
        if unprotected.key_phase() != self.phase {
            // One of before the last update; it may be repeated.
            (Some(number) > self.largest).then_some(())?;
            self.update_keys()?;
        }
        let end = packet.len().checked_sub(self.remote.packet.tag_len())?;
        let payload = packet.get(payload..end)?;
        let found = look(self.packing, |offset| {
            self.peek.open(&self.remote, number, payload, offset)
        });
        self.largest = self.largest.max(Some(number));
        self.received.insert(number.value()..number.value() + 1);
        if self.received.len() > RANGES {
            self.received.pop_first();
        }
        if found.is_eliciting {
            self.unacknowledged += 1;
            self.due.get_or_insert(now + AT_LATEST);
        }
        Some(found)
    }

    /// RFC 9001 §6.2: the relay has updated its keys, so we do.
    fn update_keys(&mut self) -> Option<()> {
        self.remote = self.remote.next_generation();
        self.sending.keys = self.sending.keys.next_generation();
        self.peek = Peek::new(&self.remote)?;
        self.phase = !self.phase;
        Some(())
    }

    /// When it must acknowledge, in ns.
    pub fn due(&self) -> Option<u64> {
        match self.unacknowledged >= EVERY {
            true => Some(0),
            false => self.due,
        }
    }

    /// An acknowledgement of all that came, in `packet`: its bytes.
    pub fn acknowledge<'a>(&mut self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        (self.unacknowledged, self.due) = (0, None);
        self.sending.seal(self.phase, packet, |out| {
            Ack::encode_ranges(&self.received, 0, None, out).map(|_| ())
        })
    }

    /// A goodbye, in `packet`: its bytes.
    pub fn leave<'a>(&mut self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        // RFC 9000 §19.19: CONNECTION_CLOSE of an application, code 0, no reason.
        self.sending
            .seal(self.phase, packet, |out| out.put(&[0x1d, 0, 0]))
    }
}

impl Sending {
    /// A packet with what `write` writes.
    fn seal<'a>(
        &mut self,
        phase: bool,
        packet: &'a mut [u8],
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Option<&'a [u8]> {
        let number = PacketNumber::new(self.next);
        let header = ShortHeader {
            destination_cid: self.relay,
            spin: false,
        };
        let mut out = Writer::new(packet);
        let layout = header.encode(phase, number, 4, &mut out).ok()?;
        write(&mut out).ok()?;
        out.put_zeros(self.keys.packet.tag_len()).ok()?;
        let len = out.len();
        let packet = packet.get_mut(..len)?;
        seal_packet(packet, layout.pn_offset, number, &self.keys).ok()?;
        self.next += 1;
        Some(packet)
    }
}
