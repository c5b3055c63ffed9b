//! Known attacks on QUIC stacks, each as a test named after its row in `doc/attacks.md`. RFC 9000 §21.
//!
//! A scripted peer does what was done to others, and the endpoint must close or carry on within memory that the
//! allocator counts.

#[path = "attacks/ack.rs"]
mod ack;
#[path = "attacks/path.rs"]
mod path;
