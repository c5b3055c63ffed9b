//! Known attacks on QUIC stacks, each as a test named after its row in `doc/attacks.md`. RFC 9000 §21.
//!
//! A scripted peer does what was done to others, and the endpoint must close or carry on within memory that the
//! allocator counts.

#[path = "attacks/ack.rs"]
mod ack;
#[path = "attacks/crypto.rs"]
mod crypto;
#[path = "attacks/early.rs"]
mod early;
#[path = "attacks/frames.rs"]
mod frames;
#[path = "attacks/ids.rs"]
mod ids;
#[path = "attacks/parameters.rs"]
mod parameters;
#[path = "attacks/path.rs"]
mod path;
#[path = "attacks/streams.rs"]
mod streams;
