//! `quic-relay`: the program.

fn main() {}
