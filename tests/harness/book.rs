//! The Rust code of the book, as doctests. No RFC.

#![cfg(doctest)]

#[doc = include_str!("../../doc/01-varint.md")]
pub mod varint {}
#[doc = include_str!("../../doc/02-headers-and-packet-numbers.md")]
pub mod headers {}
#[doc = include_str!("../../doc/03-packet-protection.md")]
pub mod protection {}
#[doc = include_str!("../../doc/04-frames.md")]
pub mod frames {}
#[doc = include_str!("../../doc/05-acks-and-loss-recovery.md")]
pub mod loss {}
#[doc = include_str!("../../doc/06-congestion-control-and-pacing.md")]
pub mod congestion {}
#[doc = include_str!("../../doc/07-streams-and-flow-control.md")]
pub mod streams {}
#[doc = include_str!("../../doc/08-handshake-and-keys.md")]
pub mod handshake {}
#[doc = include_str!("../../doc/09-connection-ids.md")]
pub mod connection_ids {}
#[doc = include_str!("../../doc/10-paths-and-migration.md")]
pub mod paths {}
#[doc = include_str!("../../doc/11-closing.md")]
pub mod closing {}
#[doc = include_str!("../../doc/12-the-event-loop.md")]
pub mod event_loop {}
#[doc = include_str!("../../doc/13-moqt-sessions.md")]
pub mod moqt {}
#[doc = include_str!("../../doc/14-fan-out-and-cache.md")]
pub mod fan_out {}
#[doc = include_str!("../../doc/15-the-kernel-path.md")]
pub mod kernel {}
#[doc = include_str!("../../doc/design.md")]
pub mod design {}
