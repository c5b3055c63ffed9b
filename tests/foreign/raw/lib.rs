//! Foreign QUIC stacks as publishers and subscribers of a running relay, on networks of their own. No RFC.
//!
//! The programs `raw-quinn` and `raw-quiche` speak the relay's raw protocol (ALPN `qr-raw-pub` and `qr-raw-sub`): every
//! stream and every datagram is a [`message`] that says what it must look like, so that a subscriber finds what was
//! altered, doubled or is missing. The tests build a [`world`] of namespaces, start a relay and such peers in it, do
//! something unkind, and compare.

pub mod capture;
pub mod hop;
pub mod message;
pub mod options;
pub mod process;
pub mod relay;
pub mod reader;
pub mod scenario;
pub mod tally;
pub mod world;

/// What most functions here fail with: a test prints it, a program ends with it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
