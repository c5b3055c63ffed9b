//! RFC 9001 Appendix A, byte for byte, and what becomes of packets that someone touched.

use super::*;
use crate::wire::connection_id::ConnectionId;
use crate::wire::stream_id::Side;

const CLIENT_INITIAL: &str =
    include_str!("../../../tests/vectors/rfc9001/a2_client_initial.unprotected.hex");
const CLIENT_INITIAL_PROTECTED: &str =
    include_str!("../../../tests/vectors/rfc9001/a2_client_initial.protected.hex");
const SERVER_INITIAL: &str =
    include_str!("../../../tests/vectors/rfc9001/a3_server_initial.unprotected.hex");
const SERVER_INITIAL_PROTECTED: &str =
    include_str!("../../../tests/vectors/rfc9001/a3_server_initial.protected.hex");
const RETRY: &str = include_str!("../../../tests/vectors/rfc9001/a4_retry.hex");
const SHORT: &str =
    include_str!("../../../tests/vectors/rfc9001/a5_chacha20_short.unprotected.hex");
const SHORT_PROTECTED: &str =
    include_str!("../../../tests/vectors/rfc9001/a5_chacha20_short.protected.hex");

/// Where the packet numbers of the vectors start.
const CLIENT_PN_OFFSET: usize = 18;
const SERVER_PN_OFFSET: usize = 18;
const SHORT_PN_OFFSET: usize = 1;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let pairs = digits
        .chunks_exact(2)
        .map(|pair| str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn client_dcid() -> ConnectionId {
    ConnectionId::new(&hex("8394c8f03e515708")).unwrap()
}

fn initial_keys() -> KeyPair {
    Keys::initial(&client_dcid(), Side::Client)
}

fn a5_keys() -> Keys {
    let secret = hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
    Keys::from_secret(
        CipherSuite::ChaCha20Poly1305Sha256,
        &Secret::new(&secret).unwrap(),
    )
}

fn number(value: u64) -> PacketNumber {
    PacketNumber::new(value)
}

fn sealed(plain: &str, pn_offset: usize, number: PacketNumber, keys: &Keys) -> Vec<u8> {
    let mut packet = hex(plain);
    packet.extend([0; TAG_LEN]);
    seal_packet(&mut packet, pn_offset, number, keys).unwrap();
    packet
}

/// Number and payload of a packet that opens.
fn opened(
    packet: &[u8],
    pn_offset: usize,
    keys: &Keys,
    largest: Option<PacketNumber>,
) -> Result<(PacketNumber, u8, Vec<u8>), ProtectionError> {
    let mut bytes = packet.to_vec();
    let unprotected = ProtectedPacket {
        bytes: &mut bytes,
        pn_offset,
    }
    .unprotect(&keys.header)?;
    let opened = unprotected.open(&keys.packet, largest)?;
    Ok((opened.number, opened.first_byte, opened.payload.to_vec()))
}

#[test]
fn a1_initial_secrets_and_keys() {
    let KeyPair {
        local: client,
        remote: server,
    } = initial_keys();
    let expect = |keys: &Keys, secret: &str, key: &str, iv: &str, hp: &str| {
        assert_eq!(keys.secret.as_bytes(), hex(secret));
        assert_eq!(keys.packet.raw().0, hex(key));
        assert_eq!(keys.packet.raw().1.as_slice(), hex(iv));
        assert_eq!(keys.header.raw(), hex(hp));
    };
    expect(
        &client,
        "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
        "1f369613dd76d5467730efcbe3b1a22d",
        "fa044b2f42a3fd3b46fb255c",
        "9f50449e04a0e810283a1e9933adedd2",
    );
    expect(
        &server,
        "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
        "cf3a5331653c364c88f0f379b6067e37",
        "0ac1493ca1905853b0bba03e",
        "c206b8d9b9f0f37644430b490eeaa314",
    );
}

#[test]
fn a1_a_server_derives_the_same_keys_the_other_way_round() {
    let server = Keys::initial(&client_dcid(), Side::Server);
    assert_eq!(
        server.remote.secret.as_bytes(),
        initial_keys().local.secret.as_bytes()
    );
    assert_eq!(
        server.local.packet.raw(),
        initial_keys().remote.packet.raw()
    );
}

#[test]
fn a2_client_initial_is_sealed_and_opened() {
    let keys = initial_keys().local;
    let packet = sealed(CLIENT_INITIAL, CLIENT_PN_OFFSET, number(2), &keys);
    assert_eq!(packet, hex(CLIENT_INITIAL_PROTECTED));
    let (pn, first, payload) = opened(&packet, CLIENT_PN_OFFSET, &keys, None).unwrap();
    assert_eq!((pn, first), (number(2), 0xc3));
    assert_eq!(payload, hex(CLIENT_INITIAL)[CLIENT_PN_OFFSET + 4..]);
}

#[test]
fn a2_header_protection_mask() {
    let sample = hex("d1b1c98dd7689fb8ec11d242b123dc9b");
    let mask = initial_keys()
        .local
        .header
        .mask(sample.first_chunk().unwrap());
    assert_eq!(mask.as_slice(), hex("437b9aec36"));
}

#[test]
fn a3_server_initial_is_sealed_and_opened() {
    let keys = initial_keys().remote;
    let packet = sealed(SERVER_INITIAL, SERVER_PN_OFFSET, number(1), &keys);
    assert_eq!(packet, hex(SERVER_INITIAL_PROTECTED));
    let (pn, first, payload) = opened(&packet, SERVER_PN_OFFSET, &keys, None).unwrap();
    assert_eq!((pn, first), (number(1), 0xc1));
    assert_eq!(payload, hex(SERVER_INITIAL)[SERVER_PN_OFFSET + 2..]);
}

#[test]
fn a4_retry_has_the_integrity_tag() {
    let packet = hex(RETRY);
    let (body, tag) = packet.split_last_chunk::<TAG_LEN>().unwrap();
    assert_eq!(retry::tag(&client_dcid(), body).unwrap(), *tag);
    assert!(retry::verify(&client_dcid(), &packet));
}

#[test]
fn a4_retry_with_any_bit_flipped_or_for_another_initial_is_refused() {
    let packet = hex(RETRY);
    for bit in 0..packet.len() * 8 {
        assert!(
            !retry::verify(&client_dcid(), &flipped(&packet, bit)),
            "bit {bit}"
        );
    }
    assert!(!retry::verify(&ConnectionId::EMPTY, &packet));
    for len in 0..packet.len() {
        assert!(
            !retry::verify(&client_dcid(), &packet[..len]),
            "length {len}"
        );
    }
}

#[test]
fn a5_chacha20_keys_and_key_update() {
    let keys = a5_keys();
    let (key, iv) = keys.packet.raw();
    assert_eq!(
        key,
        hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8")
    );
    assert_eq!(iv.as_slice(), hex("e0459b3474bdd0e44a41c144"));
    let hp = hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4");
    assert_eq!(keys.header.raw(), hp);
    let next = keys.next_generation();
    let ku = hex("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
    assert_eq!(next.secret.as_bytes(), ku);
    assert_eq!(next.header.raw(), hp, "the header key stays");
    assert_ne!(next.packet.raw(), keys.packet.raw());
}

#[test]
fn a5_chacha20_short_header_packet_is_sealed_and_opened() {
    let (keys, pn) = (a5_keys(), number(654_360_564));
    assert_eq!(
        keys.packet.nonce(pn).as_slice(),
        hex("e0459b3474bdd0e46d417eb0")
    );
    let sample = hex("5e5cd55c41f69080575d7999c25a5bfb");
    assert_eq!(
        keys.header.mask(sample.first_chunk().unwrap()).as_slice(),
        hex("aefefe7d03")
    );
    let packet = sealed(SHORT, SHORT_PN_OFFSET, pn, &keys);
    assert_eq!(packet, hex(SHORT_PROTECTED));
    let largest = Some(number(654_360_563));
    assert_eq!(
        opened(&packet, SHORT_PN_OFFSET, &keys, largest),
        Ok((pn, 0x42, vec![0x01]))
    );
}

fn flipped(packet: &[u8], bit: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[bit / 8] ^= 1 << (bit % 8);
    packet
}

/// Keys of each suite, from a secret of the right length.
fn all_keys() -> impl Iterator<Item = Keys> {
    CipherSuite::ALL.into_iter().map(|suite| {
        Keys::from_secret(
            suite,
            &Secret::new(&vec![0x5a; suite.secret_len()]).unwrap(),
        )
    })
}

/// A short header with a connection ID of 8 bytes, a packet number of `pn_len`, and some frames.
fn short_packet(pn: PacketNumber, pn_len: usize, frames: &[u8], keys: &Keys) -> Vec<u8> {
    let mut packet = vec![0x40 | u8::try_from(pn_len - 1).unwrap()];
    packet.extend([0xcd; 8]);
    packet.extend(&pn.value().to_be_bytes()[8 - pn_len..]);
    packet.extend(frames);
    packet.extend([0; TAG_LEN]);
    seal_packet(&mut packet, 9, pn, keys).unwrap();
    packet
}

#[test]
fn every_suite_opens_what_it_sealed_with_each_packet_number_length() {
    let frames: Vec<u8> = (0..=255).cycle().take(1170).collect();
    for keys in all_keys() {
        for (pn_len, pn) in [(1, 0x7f), (2, 0x7fff), (3, 0x7f_ffff), (4, 0x7fff_ffff)] {
            let packet = short_packet(number(pn), pn_len, &frames, &keys);
            let (got, _, payload) = opened(&packet, 9, &keys, Some(number(pn - 1))).unwrap();
            assert_eq!((got, &payload), (number(pn), &frames), "{}", keys.suite);
        }
    }
}

#[test]
fn a_packet_with_any_bit_flipped_is_refused() {
    for keys in all_keys() {
        let packet = short_packet(number(7), 2, b"some frames", &keys);
        for bit in 0..packet.len() * 8 {
            // Flipping the length bits of the number moves header bytes into the payload: refused as well.
            let result = opened(&flipped(&packet, bit), 9, &keys, Some(number(6)));
            assert_eq!(
                result,
                Err(ProtectionError::Refused),
                "{} bit {bit}",
                keys.suite
            );
        }
    }
}

/// RFC 9001 §5.4.1. The masks of Appendix A all have a zero where the two forms differ.
#[test]
fn four_bits_of_a_long_first_byte_are_masked_and_five_of_a_short_one() {
    let keys = initial_keys().local;
    for (first, expected) in [(0xc0, 0x0f), (0x40, 0x1f)] {
        let masked = (0..64).fold(0, |masked, pn| {
            let mut packet = [0; 40];
            packet[0] = first;
            seal_packet(&mut packet, 1, number(pn), &keys).unwrap();
            masked | packet[0] ^ first
        });
        assert_eq!(masked, expected);
    }
}

#[test]
fn keys_of_another_generation_connection_or_direction_refuse() {
    for keys in all_keys() {
        let packet = short_packet(number(7), 2, b"some frames", &keys);
        let next = keys.next_generation();
        assert_eq!(
            opened(&packet, 9, &next, None),
            Err(ProtectionError::Refused)
        );
    }
    let mirrored = initial_keys().remote;
    let packet = hex(CLIENT_INITIAL_PROTECTED);
    assert!(opened(&packet, CLIENT_PN_OFFSET, &mirrored, None).is_err());
}

#[test]
fn a_refused_payload_is_left_as_it_was() {
    for keys in all_keys() {
        let mut payload = *b"sealed under another header";
        let before = payload;
        let tag = [0; TAG_LEN];
        assert!(
            keys.packet
                .open(number(1), b"header", &mut payload, &tag)
                .is_err()
        );
        assert_eq!(payload, before);
    }
}

#[test]
fn a_packet_too_short_to_be_sampled_is_refused() {
    for keys in all_keys() {
        for len in 0..9 + MAX_PN_LEN + SAMPLE_LEN {
            let result = opened(&vec![0x40; len], 9, &keys, None);
            assert_eq!(result, Err(ProtectionError::TooShort), "{len} bytes");
            let sealing = seal_packet(&mut vec![0x40; len], 9, number(0), &keys);
            assert_eq!(sealing, Err(ProtectionError::TooShort), "{len} bytes");
        }
        let smallest = opened(&[0x40; 9 + MAX_PN_LEN + SAMPLE_LEN], 9, &keys, None);
        assert_eq!(smallest, Err(ProtectionError::Refused));
    }
}

#[test]
fn a_packet_number_offset_outside_of_the_packet_is_refused() {
    let keys = a5_keys();
    for pn_offset in [0, 22, 1200, usize::MAX] {
        assert!(opened(&[0x40; 21], pn_offset, &keys, None).is_err());
        assert!(seal_packet(&mut [0x40; 21], pn_offset, number(0), &keys).is_err());
    }
}

#[test]
fn reserved_bits_are_a_protocol_violation_in_both_header_forms() {
    let check = |first_byte| {
        let packet = OpenedPacket {
            number: number(0),
            first_byte,
            payload: &[],
        };
        packet.check_reserved_bits().map_err(|error| error.code)
    };
    let violation = Err(TransportErrorCode::PROTOCOL_VIOLATION);
    for (first_byte, expected) in [
        (0x47, Ok(())), // key phase and number length are not reserved
        (0x48, violation),
        (0x50, violation),
        (0xf3, Ok(())), // in a long header the packet type takes the place
        (0xc4, violation),
        (0xc8, violation),
    ] {
        assert_eq!(check(first_byte), expected, "{first_byte:#x}");
    }
}

#[test]
fn the_key_phase_can_be_read_before_the_payload_is_opened() {
    let keys = a5_keys();
    for (first, key_phase) in [(0x46, true), (0x42, false)] {
        let mut packet = hex("00 0001 00000000 00000000 00000000 00000000 00000000");
        packet[0] = first;
        seal_packet(&mut packet, 1, number(1), &keys).unwrap();
        let packet = ProtectedPacket {
            bytes: &mut packet,
            pn_offset: 1,
        };
        let unprotected = packet.unprotect(&keys.header).unwrap();
        assert_eq!(
            (unprotected.first_byte(), unprotected.key_phase()),
            (first, key_phase)
        );
        assert_eq!(
            (unprotected.pn_len(), unprotected.truncated_pn()),
            (3, 0x000100)
        );
        assert_eq!(unprotected.number(None), number(0x100));
    }
}

#[test]
fn suites_and_errors_have_words_for_the_log() {
    let suites = CipherSuite::ALL.map(|suite| suite.to_string());
    assert_eq!(
        suites,
        [
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256"
        ]
    );
    let errors = [ProtectionError::TooShort, ProtectionError::Refused].map(|e| e.to_string());
    assert!(errors[0].contains("too short") && errors[1].contains("refused"));
}

#[test]
fn limits_are_those_of_section_6_6() {
    let limits =
        CipherSuite::ALL.map(|suite| (suite.confidentiality_limit(), suite.integrity_limit()));
    assert_eq!(
        limits,
        [(1 << 23, 1 << 52), (1 << 23, 1 << 52), (1 << 62, 1 << 36)]
    );
}

#[test]
fn secrets_and_keys_do_not_show_in_debug_output() {
    let shown = format!("{:?}", a5_keys());
    assert_eq!(
        shown,
        "Keys { suite: ChaCha20Poly1305Sha256, secret: Secret(..), packet: PacketKey(..), header: HeaderKey(..) }"
    );
}

#[test]
fn a_secret_of_no_suites_length_is_refused() {
    let lengths: Vec<usize> = (0..100)
        .filter(|&len| Secret::new(&vec![1; len]).is_some())
        .collect();
    assert_eq!(lengths, [32, 48]);
}
