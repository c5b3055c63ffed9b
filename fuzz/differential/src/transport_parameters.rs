//! Transport parameters (RFC 9000 §18) beside quinn-proto and s2n-quic-core. Neither shows what it read, but both write
//! it again; we read that, and it has to be what we read from the bytes themselves.

use crate::{Difference, agree};
use quic_lite::Side;
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::{connection_id::ConnectionId, varint};
use quinn_proto::transport_parameters::TransportParameters as Quinn;
use s2n_codec::{DecoderBuffer, DecoderValue, EncoderValue};
use s2n_quic_core::transport::parameters::{ClientTransportParameters, ServerTransportParameters};

const MIN_ACK_DELAY: u64 = 0xff04_de1b;
const DISABLE_1RTT_ENCRYPTION: u64 = 0xbaad;
const GREASE_QUIC_BIT: u64 = 0x2ab2;
const PREFERRED_ADDRESS: u64 = 0x0d;

/// Where quinn-proto and we may differ. The first byte is the sender, as in the target of the same name.
pub const QUINN: &[Difference] = &[
    Difference {
        name: "disable_1rtt_encryption",
        reason: "an experiment's parameter (draft-banks-quic-disable-encryption), which quinn does not know",
        applies: |i| has(i, DISABLE_1RTT_ENCRYPTION),
    },
    Difference {
        name: "grease_quic_bit",
        reason: "RFC 9287, which we do not speak; quinn refuses one with a value",
        applies: |i| has(i, GREASE_QUIC_BIT),
    },
    Difference {
        name: "preferred address without an address",
        reason: "§18.2 lets a server leave out one family and says nothing of both; quinn refuses, we have nowhere to go",
        applies: nowhere_to_go,
    },
    Difference {
        name: "integers in more bytes than needed",
        reason: "§16 lets an integer have any of the four lengths; quinn wants the shortest here",
        applies: |i| (0x01..=0x0e).any(|id| values(i, id).into_iter().any(is_not_minimal)),
    },
    Difference {
        name: "min_ack_delay twice",
        reason: "§7.4: no parameter comes twice; quinn takes the last",
        applies: |i| values(i, MIN_ACK_DELAY).len() > 1,
    },
];

/// Where s2n-quic-core and we may differ.
pub const S2N: &[Difference] = &[
    Difference {
        name: "drafts that s2n does not know",
        reason: "min_ack_delay and disable_1rtt_encryption have values that we refuse and s2n does not read",
        applies: |i| has(i, MIN_ACK_DELAY) || has(i, DISABLE_1RTT_ENCRYPTION),
    },
    Difference {
        name: "parameters of s2n's own",
        reason: "0xdc0000 to 0xdc0002 are extensions that nobody else speaks",
        applies: |i| (0xdc_0000..=0xdc_0002).any(|id| has(i, id)),
    },
    Difference {
        name: "exponent in more than one byte",
        reason: "§16 lets an integer have any of the four lengths; s2n reads this one as a byte",
        applies: |i| values(i, 0x0a).into_iter().any(is_not_minimal),
    },
    Difference {
        name: "payload size beyond 65527",
        reason: "§18.2 calls 65527 the maximum permitted and forbids only values below 1200; s2n refuses larger ones",
        applies: |i| {
            values(i, 0x03)
                .iter()
                .any(|value| integer(value) > Some(65_527))
        },
    },
    Difference {
        name: "short connection IDs of servers",
        reason: "s2n knows that its own are not shorter than 4 bytes, and first destinations not than 8; bytes alone do not say",
        applies: |i| has(i, 0x00) || has(i, 0x10),
    },
    Difference {
        name: "preferred address",
        reason: "§18.2 wants a connection ID that is not empty, s2n does not look; s2n wants an address, see quinn",
        applies: |i| has(i, PREFERRED_ADDRESS),
    },
];

/// What an endpoint declares. The first byte is the side: even for a client, odd for a server.
pub fn transport_params(data: &[u8]) -> Vec<&'static str> {
    let Some((side, bytes)) = data.split_first() else {
        return Vec::new();
    };
    let from = if side & 1 == 0 {
        Side::Client
    } else {
        Side::Server
    };
    let ours = TransportParameters::parse(bytes, from).ok();
    let quinn = agree(
        "quinn",
        data,
        &ours.clone().map(without_drafts),
        &quinn(bytes, from),
        QUINN,
    );
    let ours = ours.map(|ours| TransportParameters {
        min_ack_delay: None,
        ..without_drafts(ours)
    });
    let s2n = agree("s2n", data, &ours, &s2n(bytes, from), S2N);
    quinn.into_iter().chain(s2n).collect()
}

/// What others do not know either way.
fn without_drafts(ours: TransportParameters) -> TransportParameters {
    TransportParameters {
        disable_1rtt_encryption: false,
        ..ours
    }
}

fn again(written: &[u8], from: Side) -> TransportParameters {
    TransportParameters::parse(written, from).expect("what another stack writes is readable")
}

fn quinn(bytes: &[u8], from: Side) -> Option<TransportParameters> {
    // Theirs is the side of the reader.
    let reader = if from.is_client() {
        quinn_proto::Side::Server
    } else {
        quinn_proto::Side::Client
    };
    let mut rest = bytes;
    let parameters = Quinn::read(reader, &mut rest).ok()?;
    let mut written = Vec::new();
    parameters.write(&mut written);
    Some(again(&written, from))
}

fn s2n(bytes: &[u8], from: Side) -> Option<TransportParameters> {
    let buffer = DecoderBuffer::new(bytes);
    let written = if from.is_client() {
        ClientTransportParameters::decode(buffer)
            .ok()?
            .0
            .encode_to_vec()
    } else {
        ServerTransportParameters::decode(buffer)
            .ok()?
            .0
            .encode_to_vec()
    };
    TransportParameters::parse(&written, from).ok()
}

/// The values that a parameter has in the input, as far as it can be read.
fn values(i: &[u8], wanted: u64) -> Vec<&[u8]> {
    let mut rest = i.get(1..).unwrap_or_default();
    let mut values = Vec::new();
    while let Some((after, id, value)) = parameter(rest) {
        if id == wanted {
            values.push(value);
        }
        rest = after;
    }
    values
}

fn parameter(i: &[u8]) -> Option<(&[u8], u64, &[u8])> {
    let (i, id) = varint::parse(i).ok()?;
    let (i, length) = varint::parse(i).ok()?;
    let (value, rest) = i.split_at_checked(usize::try_from(length).ok()?)?;
    Some((rest, id, value))
}

fn has(i: &[u8], id: u64) -> bool {
    !values(i, id).is_empty()
}

fn integer(value: &[u8]) -> Option<u64> {
    varint::parse(value).ok().map(|(_, value)| value)
}

fn is_not_minimal(value: &[u8]) -> bool {
    integer(value).is_some_and(|integer| varint::size(integer) < value.len())
}

/// Whether a preferred address has zeros in both families.
fn nowhere_to_go(i: &[u8]) -> bool {
    let addresses = 4 + 2 + 16 + 2;
    values(i, PREFERRED_ADDRESS).iter().any(|value| {
        value.len() <= addresses + 1 + ConnectionId::MAX_LEN + 16
            && value.iter().take(addresses).all(|byte| *byte == 0)
    })
}
