//! Known attacks on QUIC stacks, each as a test named after its row in `doc/attacks.md`. RFC 9000 §21.
//!
//! A scripted peer does what was done to others, and the endpoint must close or carry on within memory that the
//! allocator counts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "attacks/ack.rs"]
mod ack;
#[path = "attacks/answers.rs"]
mod answers;
#[path = "attacks/certificate.rs"]
mod certificate;
#[path = "attacks/clock.rs"]
mod clock;
#[path = "attacks/crypto.rs"]
mod crypto;
#[path = "attacks/early.rs"]
mod early;
#[path = "attacks/frames.rs"]
mod frames;
#[path = "attacks/hash.rs"]
mod hash;
#[path = "attacks/ids.rs"]
mod ids;
#[path = "attacks/kernel.rs"]
mod kernel;
#[path = "attacks/limits.rs"]
mod limits;
#[path = "attacks/moving.rs"]
mod moving;
#[path = "attacks/net.rs"]
mod net;
#[path = "attacks/packets.rs"]
mod packets;
#[path = "attacks/parameters.rs"]
mod parameters;
#[path = "attacks/path.rs"]
mod path;
#[path = "attacks/queues.rs"]
mod queues;
#[path = "attacks/streams.rs"]
mod streams;
#[path = "attacks/token.rs"]
mod token;
#[path = "../ebpf/loader/tests/support/world.rs"]
mod world;
