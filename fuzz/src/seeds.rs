//! The named seeds: where the fuzzer starts from, and what `cargo test` replays. No RFC.

mod handshake;
mod kernel;
mod models;
mod moqt;
mod relay;
mod scripts;
mod text;
mod wire;

use std::path::PathBuf;

/// One file of the corpus.
pub struct Seed {
    /// The target it is for.
    pub target: &'static str,
    /// Its file name: what it is.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The folder of the corpus.
pub fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Those that a handshake of today's endpoints gives: they change when what endpoints say changes.
pub fn recorded() -> Vec<Seed> {
    handshake::seeds()
}

/// Those of tables.
pub fn seeds() -> Vec<Seed> {
    let tables = [
        wire::seeds(),
        scripts::seeds(),
        models::seeds(),
        moqt::seeds(),
        kernel::seeds(),
        text::seeds(),
        relay::seeds(),
    ];
    tables.into_iter().flatten().collect()
}

fn seed(target: &'static str, name: &str, bytes: Vec<u8>) -> Seed {
    Seed {
        target,
        name: name.to_owned(),
        bytes,
    }
}

/// The seeds of a target from a table of names and bytes in hex.
fn named(target: &'static str, table: &[(&str, &str)]) -> Vec<Seed> {
    let seeds = table
        .iter()
        .map(|(name, text)| seed(target, name, hex(text)));
    seeds.collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("seeds are written in hex"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}
