//! Two connections back to back on virtual time: each file of `tests/` has one topic.

mod chaos;
#[cfg(feature = "disable-1rtt-encryption")]
mod clear;
mod close;
mod datagram;
mod extras;
mod handshake;
mod hostile;
mod kernel;
mod keys;
mod migration;
mod observing;
mod pair;
mod peer;
mod relayed;
mod sharing;
mod sharing_chaos;
mod sharing_streams;
mod transfer;

use pair::{Direction, Pair, Setup};
