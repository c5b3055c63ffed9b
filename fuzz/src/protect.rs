//! Packet protection (RFC 9001 §5) and truncated packet numbers (RFC 9000 A.2, A.3).

use quic_lite::protection::{
    CipherSuite, Keys, ProtectedPacket, ProtectionError, Secret, TAG_LEN, seal_packet,
};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::Writer;

use crate::bytes::Script;

/// A number that is written in as few bytes as allowed is read as the same, whatever of the later ones up to it
/// arrived before.
pub fn packet_number(data: &[u8]) {
    let mut script = Script::new(data);
    let (acked, ahead, arrived) = (script.integer(), script.integer(), script.integer());
    let largest_acked = (script.byte() & 1 == 1).then(|| PacketNumber::new(acked));
    let first = largest_acked.map_or(0, |acked| acked.value() + 1);
    let number = first
        .saturating_add(ahead % (1 << 31))
        .min(PacketNumber::MAX.value());
    let number = PacketNumber::new(number);
    let len = number.encode_len(largest_acked);
    assert!((1..=4).contains(&len));
    let mut buffer = [0; 4];
    let mut out = Writer::new(&mut buffer);
    number.encode(len, &mut out).unwrap();
    let truncated = out
        .written()
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte));
    // RFC 9000 §17.1: the receiver has the acknowledged packet, and perhaps some after it.
    let newer = arrived % (number.value() - acked.min(number.value()) + 1);
    let largest = largest_acked.map(|acked| PacketNumber::new(acked.value() + newer));
    let largest = largest
        .filter(|largest| *largest < number)
        .or(largest_acked);
    if largest_acked.is_some() && largest_acked < Some(number) {
        assert_eq!(PacketNumber::decode(truncated, len, largest), number);
    }
    // Any combination is a number, and ends in the bytes that were read.
    let any = PacketNumber::decode(truncated, len, Some(PacketNumber::new(arrived)));
    assert!(any <= PacketNumber::MAX);
    assert_eq!(
        any.value() & (u64::MAX >> (64 - 8 * len)),
        u64::from(truncated)
    );
}

/// What was sealed opens, and only as it was sealed: no other key, number or byte. The rest of the input is the
/// plaintext packet.
pub fn packet_protection(data: &[u8]) {
    let mut script = Script::new(data);
    let suite = CipherSuite::ALL[usize::from(script.byte() % 3)];
    let secret = vec![script.byte(); suite.secret_len()];
    let keys = Keys::from_secret(suite, &Secret::new(&secret).unwrap());
    let number = PacketNumber::new(script.integer());
    let pn_offset = 1 + usize::from(script.byte() % 60);
    let (damaged, flip) = (usize::from(script.short()), script.byte());
    let plain = script.rest();
    let mut sealed = [plain, &[0; TAG_LEN]].concat();
    if let Err(error) = seal_packet(&mut sealed, pn_offset, number, &keys) {
        assert_eq!(error, ProtectionError::TooShort);
        return assert!(plain.len() < pn_offset + 4);
    }
    let open = |bytes: &[u8], keys: &Keys| {
        let mut bytes = bytes.to_vec();
        let packet = ProtectedPacket {
            bytes: &mut bytes,
            pn_offset,
        };
        let packet = packet.unprotect(&keys.header)?;
        let (first, pn_len) = (packet.first_byte(), packet.pn_len());
        // The number's bytes are the plaintext's own, so the right number is told.
        let opened = packet.open(
            &keys.packet,
            number.value().checked_sub(1).map(PacketNumber::new),
        )?;
        Ok::<_, ProtectionError>((first, pn_len, opened.number, opened.payload.to_vec()))
    };
    let opened = open(&sealed, &keys);
    if let Ok((first, pn_len, seen, payload)) = &opened {
        assert_eq!((*first, *seen), (plain[0], number));
        assert_eq!(payload, &plain[pn_offset + pn_len..]);
    }
    assert!(open(&sealed, &keys.next_generation()).is_err());
    let at = damaged % sealed.len();
    if flip != 0 {
        sealed[at] ^= flip;
        assert!(open(&sealed, &keys).is_err());
    }
}
