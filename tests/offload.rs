//! The relay with a kernel beside it: whoever sends, subscribers get every byte once and in time. RFC 9000,
//! RFC 9001, RFC 9002; MOQT draft-18.
//!
//! The kernel is the stand-in that runs the programs' own code on the heap; nothing here needs rights.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "offload/access.rs"]
mod access;
#[path = "offload/attacks.rs"]
mod attacks;
#[path = "offload/basic.rs"]
mod basic;
#[path = "offload/changes.rs"]
mod changes;
#[path = "offload/client.rs"]
mod client;
#[path = "offload/media.rs"]
mod media;
#[path = "offload/raw.rs"]
mod raw;
#[path = "offload/settings.rs"]
mod settings;
#[path = "offload/soak.rs"]
mod soak;
#[path = "offload/variants.rs"]
mod variants;
#[path = "offload/wire.rs"]
mod wire;
#[path = "offload/world.rs"]
mod world;
