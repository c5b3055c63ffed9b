//! What the book shows: small scenes on virtual time, the same output at every run. No RFC.
//!
//! `cargo run -q --example see -- SCENE`; without a scene it lists them.

mod closing;
mod fanout;
mod handshake;
mod kernel;
mod keys;
mod loss;
mod migration;
mod network;
mod sender;
mod session;
mod streams;
mod window;

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    match SCENES.iter().find(|(name, ..)| *name == wanted) {
        Some((_, _, play)) => play(),
        None => {
            for (name, what, _) in SCENES {
                println!("{name:10} {what}");
            }
        }
    }
}

type Scene = (&'static str, &'static str, fn());

const SCENES: &[Scene] = &[
    (
        "loss",
        "chapter 5: how a sender finds out what is lost",
        loss::play,
    ),
    (
        "window",
        "chapter 6: a window from slow start to a loss, and a paced burst",
        window::play,
    ),
    (
        "streams",
        "chapter 7: bytes in frames, a limit, a loss",
        streams::play,
    ),
    (
        "handshake",
        "chapter 8: every packet of a handshake and one file",
        handshake::play,
    ),
    ("keys", "chapter 8: a key update", keys::play),
    (
        "migration",
        "chapter 10: a client's port changes",
        migration::play,
    ),
    (
        "closing",
        "chapter 11: a close that is lost at first",
        closing::play,
    ),
    (
        "session",
        "chapter 13: a subscription, byte by byte",
        session::play,
    ),
    (
        "fanout",
        "chapter 14: one stream to three subscribers",
        fanout::play,
    ),
    (
        "kernel",
        "chapter 15: one packet through the kernel programs",
        kernel::play,
    ),
];
