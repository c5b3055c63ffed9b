//! `tests/interop/required.toml`: what has passed once must pass for ever. No RFC.

use crate::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Which peers each case must pass with.
pub type Required = BTreeMap<String, BTreeSet<String>>;

/// Where the file is.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../interop/required.toml")
}

/// Reads the lines `case = ["peer", "peer"]`; others are for readers.
pub fn read() -> Result<Required, Failure> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut required = Required::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()) {
        let (case, peers) = line.split_once(" = ").ok_or_else(|| format!("not a row: {line}"))?;
        let peers = peers.trim_matches(['[', ']']).split(", ").filter(|peer| !peer.is_empty());
        required.insert(case.into(), peers.map(|peer| peer.trim_matches('"').to_owned()).collect());
    }
    Ok(required)
}

/// Writes it, the old rows and the new ones.
pub fn write(required: &Required) -> Result<(), Failure> {
    let rows = required.iter().map(|(case, peers)| {
        let peers: Vec<_> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
        format!("{case} = [{}]\n", peers.join(", "))
    });
    Ok(std::fs::write(path(), HEAD.to_owned() + &rows.collect::<String>())?)
}

const HEAD: &str = "\
# The interop runner's cases that quic-relay has passed with other stacks, and must pass for ever: quinn-server means
# that quinn was the server and interop-client asked it. `make interop-ratchet` adds what has become green; nothing
# takes a row away. Why a pair is not here: doc/interop.md.

";
