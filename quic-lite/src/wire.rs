//! The wire format of QUIC v1: RFC 9000 §16 (integers), §17 (packets), §18 (transport parameters),
//! §19 (frames) and RFC 9221 (DATAGRAM).
//!
//! | module | what |
//! |---|---|
//! | [`datagram`] | splits a UDP datagram into packets |
//! | [`header`] | long and short headers, Retry, Version Negotiation |
//! | [`frame`] | every frame, and the iterator over a packet's payload |
//! | [`transport_parameters`] | the handshake's parameters |
//! | [`varint`], [`packet_number`], [`connection_id`], [`stream_id`] | the fields they are made of |
//! | [`writer`] | where encoders write |
//!
//! Promise: nothing here panics or allocates on a peer's bytes, and every parser either consumes or fails.
//! A parsed value borrows from the packet. `parse` and `encode` of a type stand side by side.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::arithmetic_side_effects,
        clippy::panic
    )
)]

pub mod connection_id;
pub mod datagram;
pub mod error;
pub mod frame;
pub mod header;
pub mod packet_number;
pub mod stream_id;
pub mod transport_parameters;
pub mod varint;
pub mod writer;

use error::{WireError, WireErrorKind};

/// What a parser returns: the rest of the input and the value.
pub type PResult<'a, T> = nom::IResult<&'a [u8], T, WireError>;

/// The next `N` bytes, by value.
pub fn array<const N: usize>(i: &[u8]) -> PResult<'_, [u8; N]> {
    match i.split_first_chunk::<N>() {
        Some((head, rest)) => Ok((rest, *head)),
        None => error::refuse(WireErrorKind::Truncated),
    }
}

/// The next `length` bytes, borrowed. `length` is a peer's number and may be anything.
pub fn bytes(length: u64) -> impl Fn(&[u8]) -> PResult<'_, &[u8]> {
    move |i| match usize::try_from(length)
        .ok()
        .and_then(|n| i.split_at_checked(n))
    {
        Some((head, rest)) => Ok((rest, head)),
        None => error::refuse(WireErrorKind::Truncated),
    }
}
