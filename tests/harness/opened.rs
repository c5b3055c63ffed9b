//! A packet that an endpoint sent, opened by somebody who has the keys (RFC 9001 §5).

use quic_lite::protection::{Keys, ProtectedPacket};
use quic_lite::wire::packet_number::PacketNumber;

/// What was in it.
pub struct Opened {
    /// Its number.
    pub number: PacketNumber,
    /// Its Key Phase bit, if it has one.
    pub key_phase: bool,
    /// Its frames.
    pub payload: Vec<u8>,
}

/// Opens a copy of a packet, if these are its keys. `largest`: the largest number that was opened before it.
pub fn open(
    bytes: &[u8],
    pn_offset: usize,
    keys: &Keys,
    largest: Option<PacketNumber>,
) -> Option<Opened> {
    let mut bytes = bytes.to_vec();
    let packet = ProtectedPacket {
        bytes: &mut bytes,
        pn_offset,
    };
    let packet = packet.unprotect(&keys.header).ok()?;
    let key_phase = packet.key_phase();
    let packet = packet.open(&keys.packet, largest).ok()?;
    packet
        .check_reserved_bits()
        .expect("an endpoint sets no reserved bits");
    Some(Opened {
        number: packet.number,
        key_phase,
        payload: packet.payload.to_vec(),
    })
}
