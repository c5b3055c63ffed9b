//! Transport parameters at and beyond the edges of RFC 9000 §18.2.

use super::*;
use crate::error::{TransportError, TransportErrorCode};
use alloc::vec::Vec;

fn encode(parameters: &TransportParameters, from: Side) -> Vec<u8> {
    let mut buffer = [0; TransportParameters::MAX_ENCODED_LEN];
    let mut out = Writer::new(&mut buffer);
    parameters.encode(from, &mut out).unwrap();
    out.written().to_vec()
}

fn kind(bytes: &[u8], from: Side) -> Option<WireErrorKind> {
    TransportParameters::parse(bytes, from)
        .err()
        .map(|error| error.kind)
}

fn integer(id: u64, value: u64) -> Vec<u8> {
    let mut buffer = [0; 20];
    let mut out = Writer::new(&mut buffer);
    put_integer(id, value, &mut out).unwrap();
    out.written().to_vec()
}

/// Every field away from its default, as large as it may be.
fn full() -> TransportParameters {
    let cid = ConnectionId::new(&[7; 20]);
    TransportParameters {
        original_destination_connection_id: cid,
        max_idle_timeout: varint::MAX,
        stateless_reset_token: Some([9; 16]),
        max_udp_payload_size: varint::MAX,
        initial_max_data: varint::MAX,
        initial_max_stream_data_bidi_local: varint::MAX,
        initial_max_stream_data_bidi_remote: varint::MAX,
        initial_max_stream_data_uni: varint::MAX,
        initial_max_streams_bidi: 1 << 60,
        initial_max_streams_uni: 1 << 60,
        ack_delay_exponent: 20,
        max_ack_delay: (1 << 14) - 1,
        disable_active_migration: true,
        preferred_address: Some(PreferredAddress {
            ipv4: Some("192.0.2.1:443".parse().unwrap()),
            ipv6: Some("[2001:db8::1]:4433".parse().unwrap()),
            connection_id: ConnectionId::new(&[5; 20]).unwrap(),
            stateless_reset_token: [6; 16],
        }),
        active_connection_id_limit: varint::MAX,
        initial_source_connection_id: cid,
        retry_source_connection_id: cid,
        max_datagram_frame_size: varint::MAX,
        min_ack_delay: Some(16_383_000),
        disable_1rtt_encryption: true,
    }
}

#[test]
fn a_servers_parameters_round_trip_at_their_largest() {
    let bytes = encode(&full(), Side::Server);
    assert_eq!(TransportParameters::parse(&bytes, Side::Server), Ok(full()));
}

#[test]
fn a_client_sends_none_of_a_servers_parameters() {
    let bytes = encode(&full(), Side::Client);
    let expected = TransportParameters {
        original_destination_connection_id: None,
        stateless_reset_token: None,
        preferred_address: None,
        retry_source_connection_id: None,
        ..full()
    };
    assert_eq!(
        TransportParameters::parse(&bytes, Side::Client),
        Ok(expected)
    );
}

#[test]
fn bytes_of_a_small_set() {
    let parameters = TransportParameters {
        max_idle_timeout: 30_000,
        initial_max_streams_uni: 3,
        disable_active_migration: true,
        initial_source_connection_id: ConnectionId::new(&[0xab, 0xcd]),
        ..TransportParameters::default()
    };
    let expected = [
        0x01, 4, 0x80, 0, 0x75, 0x30, 0x09, 1, 3, 0x0c, 0, 0x0f, 2, 0xab, 0xcd,
    ];
    assert_eq!(encode(&parameters, Side::Client), expected);
    assert_eq!(
        TransportParameters::parse(&expected, Side::Client),
        Ok(parameters)
    );
}

#[test]
fn absence_means_the_defaults() {
    assert_eq!(
        TransportParameters::parse(&[], Side::Client),
        Ok(TransportParameters::default())
    );
    assert!(encode(&TransportParameters::default(), Side::Server).is_empty());
}

#[test]
fn an_empty_connection_id_is_sent_and_is_not_absence() {
    let parameters = TransportParameters {
        initial_source_connection_id: Some(ConnectionId::EMPTY),
        ..Default::default()
    };
    assert_eq!(encode(&parameters, Side::Client), [0x0f, 0]);
    assert_eq!(
        TransportParameters::parse(&[0x0f, 0], Side::Client),
        Ok(parameters)
    );
}

#[test]
fn integers_are_accepted_up_to_their_bounds_only() {
    for (id, inside, outside) in [
        (0x03, [1200, varint::MAX], Some(1199)),
        (0x08, [0, 1 << 60], Some((1 << 60) + 1)),
        (0x09, [0, 1 << 60], Some((1 << 60) + 1)),
        (0x0a, [0, 20], Some(21)),
        (0x0b, [0, (1 << 14) - 1], Some(1 << 14)),
        (0x0e, [2, varint::MAX], Some(1)),
        (0x04, [0, varint::MAX], None),
        (0x20, [0, varint::MAX], None),
    ] {
        for value in inside {
            assert_eq!(
                kind(&integer(id, value), Side::Client),
                None,
                "{id:#x} = {value}"
            );
        }
        if let Some(value) = outside {
            let found = kind(&integer(id, value), Side::Client);
            assert_eq!(
                found,
                Some(WireErrorKind::ParameterValue),
                "{id:#x} = {value}"
            );
        }
    }
}

#[test]
fn min_ack_delay_above_max_ack_delay_is_refused_in_any_order() {
    let min = |micros| integer(MIN_ACK_DELAY, micros);
    assert_eq!(kind(&min(25_000), Side::Server), None);
    assert_eq!(
        kind(&min(25_001), Side::Server),
        Some(WireErrorKind::ParameterValue)
    );
    let raised = [min(30_000), integer(0x0b, 30)].concat();
    assert_eq!(kind(&raised, Side::Server), None);
}

#[test]
fn every_known_parameter_twice_is_refused() {
    let bytes = encode(&full(), Side::Server);
    let mut rest = &bytes[..];
    let mut count = 0;
    while !rest.is_empty() {
        let (after, _) = tuple(rest).unwrap();
        let one = &rest[..rest.len() - after.len()];
        let twice = [&bytes[..], one].concat();
        assert_eq!(
            kind(&twice, Side::Server),
            Some(WireErrorKind::ParameterTwice),
            "{one:x?}"
        );
        (rest, count) = (after, count + 1);
    }
    assert_eq!(count, 20);
}

#[test]
fn a_servers_parameter_from_a_client_is_refused() {
    for id in [0x00, 0x02, 0x0d, 0x10] {
        assert_eq!(
            kind(&[id, 0], Side::Client),
            Some(WireErrorKind::ParameterFromClient)
        );
    }
    let token = [&[0x02, 16][..], &[1; 16]].concat();
    assert_eq!(kind(&token, Side::Server), None);
}

#[test]
fn unknown_and_reserved_parameters_are_ignored() {
    let reserved = integer(31 * 5 + 27, 9);
    let bytes = [
        &reserved[..],
        &integer(0x04, 7),
        &[0x7f, 0xff, 3, 1, 2, 3],
        &reserved,
    ]
    .concat();
    let expected = TransportParameters {
        initial_max_data: 7,
        ..Default::default()
    };
    assert_eq!(
        TransportParameters::parse(&bytes, Side::Client),
        Ok(expected)
    );
}

/// Found beside quinn and s2n: the IDs between those of RFC 9000 and of RFC 9221 were taken for known ones.
#[test]
fn unknown_parameters_may_come_twice() {
    for id in (0x11..0x40).filter(|id| *id != 0x20) {
        let twice = integer(id, 1).repeat(2);
        let expected = TransportParameters::default();
        assert_eq!(
            TransportParameters::parse(&twice, Side::Server),
            Ok(expected),
            "{id:#x}"
        );
    }
}

#[test]
fn values_of_the_wrong_length_are_refused() {
    let length = Some(WireErrorKind::ParameterLength);
    assert_eq!(
        kind(&[0x04, 2, 1, 0], Side::Client),
        length,
        "bytes behind an integer"
    );
    assert_eq!(
        kind(&[0x04, 1, 0x40], Side::Client),
        length,
        "half an integer"
    );
    assert_eq!(kind(&[0x04, 0], Side::Client), length, "no integer");
    assert_eq!(
        kind(&[0x0c, 1, 0], Side::Client),
        length,
        "a flag with a value"
    );
    assert_eq!(
        kind(&[&[0x0f, 21][..], &[0; 21]].concat(), Side::Client),
        length,
        "a long connection ID"
    );
    assert_eq!(
        kind(&[&[0x02, 15][..], &[0; 15]].concat(), Side::Server),
        length,
        "a short token"
    );
    assert_eq!(
        kind(&[&[0x02, 17][..], &[0; 17]].concat(), Side::Server),
        length,
        "a long token"
    );
    assert_eq!(
        kind(
            &[0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Side::Client
        ),
        length,
        "no value"
    );
}

#[test]
fn every_truncation_inside_a_parameter_is_refused() {
    let bytes = encode(&full(), Side::Server);
    let mut ends = Vec::from([0]);
    while let Ok((after, _)) = tuple(&bytes[ends[ends.len() - 1]..]) {
        ends.push(bytes.len() - after.len());
    }
    for end in 0..bytes.len() {
        let cut = TransportParameters::parse(&bytes[..end], Side::Server);
        assert_eq!(cut.is_ok(), ends.contains(&end), "cut at {end}: {cut:?}");
    }
}

#[test]
fn a_preferred_address_needs_a_connection_id() {
    let mut bytes = [0; 2 + 41];
    (bytes[0], bytes[1]) = (0x0d, 41);
    assert_eq!(
        kind(&bytes, Side::Server),
        Some(WireErrorKind::ParameterValue)
    );
}

#[test]
fn an_all_zero_preferred_address_is_absent() {
    let mut parameters = full();
    let address = parameters.preferred_address.as_mut().unwrap();
    (address.ipv4, address.ipv6) = (None, None);
    let bytes = encode(&parameters, Side::Server);
    assert_eq!(
        TransportParameters::parse(&bytes, Side::Server),
        Ok(parameters)
    );
}

#[test]
fn refusals_close_the_connection_with_transport_parameter_error() {
    for bytes in [&[0x0a, 1, 21][..], &[0x0c, 0, 0x0c, 0], &[0x04], &[0x10, 0]] {
        let error = TransportParameters::parse(bytes, Side::Client).unwrap_err();
        assert_eq!(
            TransportError::from(error).code,
            TransportErrorCode::TRANSPORT_PARAMETER_ERROR
        );
    }
}

/// RFC 9000 §18.2: address and port, all zero.
#[test]
fn an_address_without_a_port_or_a_port_without_an_address_is_there() {
    for (ipv4, ipv6) in [
        (Some("192.0.2.1:0"), Some("[2001:db8::1]:0")),
        (Some("0.0.0.0:443"), Some("[::]:443")),
        (None, None),
    ] {
        let preferred = PreferredAddress {
            ipv4: ipv4.map(|address| address.parse().unwrap()),
            ipv6: ipv6.map(|address| address.parse().unwrap()),
            ..full().preferred_address.unwrap()
        };
        let parameters = TransportParameters {
            preferred_address: Some(preferred),
            ..TransportParameters::default()
        };
        let bytes = encode(&parameters, Side::Server);
        assert_eq!(
            TransportParameters::parse(&bytes, Side::Server),
            Ok(parameters)
        );
    }
}
