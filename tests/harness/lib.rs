//! A network in a box: virtual time, seeded links, two endpoints, and an observer who holds the keys. No RFC.
//!
//! | file | what |
//! |---|---|
//! | `link` | one direction of a path: delay, bandwidth, queue, loss, corruption, outages |
//! | `network` | both directions, a NAT that rebinds, datagrams under way |
//! | `scenario` | the settings of one run |
//! | `pair` | two endpoints and their applications, driven step by step |
//! | `tap` | every packet sent, opened |
//! | `opened` | how a packet is opened |
//! | `trace` | what may be asked of them |
//! | `invariants`, `flow` | what must hold after every step of any run |
//! | `scripted`, `duel` | a peer that sends whatever it is told to, against an endpoint that knows of nothing |
//! | `heap` | the memory that a part of a simulation holds |
//! | `files` | applications: a file server, a client that checks what it gets |
//! | `certificates` | chains of any length, the same bytes each time |
//! | `forge` | packets that an attacker makes |
//! | `seeds` | which seeds a test runs with |
//!
//! Promise: a seed decides everything but the contents of TLS messages, whose lengths are fixed. Nothing
//! here reads a clock, sleeps, or opens a socket, and each run is bounded in virtual time and in steps.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod book;
pub mod certificates;
pub mod duel;
pub mod files;
pub mod flow;
pub mod forge;
pub mod heap;
pub mod invariants;
pub mod link;
pub mod network;
pub mod opened;
pub mod pair;
pub mod scenario;
pub mod scripted;
pub mod seeds;
pub mod tap;
mod trace;

pub use duel::{Acks, Duel, Setup};
pub use files::{FileClient, FileServer};
pub use link::LinkConfig;
pub use pair::Pair;
pub use scenario::Scenario;
pub use scripted::{ScriptedPeer, Seen};
pub use seeds::for_each_seed;
pub use tap::{Kind, TappedPacket};
