//! MOQT draft-18 on the wire (draft-ietf-moq-transport-18): bytes to values and back.
//!
//! One file is one concept: [`varint`], [`name`], [`key_value`], [`parameters`], [`setup`], the
//! control messages in [`message`], and the data plane in [`subgroup`], [`fetch_object`] and
//! [`datagram`]. Parsers are `complete` nom parsers: too few bytes is [`MoqtError::is_truncated`],
//! which on a stream means "wait", and inside a message "protocol violation".
//! Promise: no input panics, no allocation is larger than the input that asked for it.
//! It does not know sessions: who may send what, and when, is `session`'s business.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
#![cfg_attr(
    test,
    expect(
        clippy::indexing_slicing,
        clippy::expect_used,
        reason = "tests may fail by panicking"
    )
)]

pub mod codes;
pub mod datagram;
pub mod error;
pub mod fetch_object;
pub mod filter;
pub mod key_value;
pub mod location;
pub mod message;
pub mod name;
pub mod parameters;
pub mod scanner;
pub mod setup;
pub mod subgroup;
pub mod token;
pub mod varint;

pub use codes::{CloseCode, DoneCode, RequestErrorCode, ResetCode};
pub use error::MoqtError;
pub use filter::{Filter, GroupOrder};
pub use key_value::Properties;
pub use location::Location;
pub use message::Message;
pub use name::{FullTrackName, Namespace};
pub use parameters::Parameters;
pub use setup::Setup;
pub use subgroup::{SubgroupHeader, SubgroupId};
pub use token::Token;

/// The ALPN of this version over raw QUIC (draft §3.1).
pub const ALPN: &[u8] = b"moqt-18";

/// A parser's result: the rest of the input and the value.
pub type PResult<'a, T> = nom::IResult<&'a [u8], T, MoqtError>;
