//! QUIC version 1 (RFC 9000, 9001, 9002, 9221) from scratch, for reading and for relaying.
//!
//! The path of a datagram is the path through these modules: [`io`] ① receives it, [`endpoint`] finds
//! its connection, [`wire`] ②③ splits it and parses headers, [`protection`] ④⑤ opens packets,
//! [`wire::frame`] ⑥ walks the frames, [`connection`] ⑦ applies them, and ⑧ answers the same way back.
#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]

extern crate alloc;

pub mod error;
pub mod protection;
pub mod range_set;
pub mod time;
pub mod wire;

#[cfg(feature = "std")]
pub mod config;
#[cfg(feature = "std")]
pub mod connection;
#[cfg(feature = "std")]
pub mod endpoint;
#[cfg(feature = "io")]
pub mod io;
#[cfg(feature = "std")]
pub mod limits;
#[cfg(feature = "std")]
pub mod observer;
#[cfg(feature = "std")]
mod other_sender;
#[cfg(feature = "std")]
pub mod recovery;
#[cfg(feature = "std")]
pub mod rng;
#[cfg(feature = "std")]
pub mod space;
#[cfg(feature = "std")]
pub mod stream;
#[cfg(feature = "std")]
pub mod tls;
#[cfg(feature = "std")]
pub mod token;

pub use time::Time;
pub use wire::stream_id::{Dir, Side, StreamId};
