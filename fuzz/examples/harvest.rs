//! Takes the byte literals of the unit tests for seeds: `harvest FOLDER` writes FOLDER/TARGET/FILE_LINE. No RFC.
//!
//! They are many and most of them say what the named seeds say, so they are not committed: a campaign begins with
//! them and keeps what reaches something new.

use std::io;
use std::path::{Path, PathBuf};

/// Sources below the repository's root, the target whose input their literals are, and what comes before it.
const SOURCES: [(&str, &str, &[u8]); 10] = [
    ("quic-lite/src/wire/varint.rs", "varint", &[]),
    ("quic-lite/src/wire/frame", "frames_roundtrip", &[]),
    ("quic-lite/src/wire/header", "packet_header", &[8]),
    ("quic-lite/src/wire/datagram.rs", "coalesced_datagram", &[4]),
    (
        "quic-lite/src/wire/transport_parameters",
        "transport_params",
        &[0],
    ),
    ("relay/src/moqt/message", "moqt_control", &[]),
    ("relay/src/moqt/subgroup.rs", "moqt_data", &[3, 9]),
    (
        "relay/src/moqt/scanner.rs",
        "moqt_data",
        &[3, 9, 0x31, 5, 1],
    ),
    ("relay/src/moqt/datagram.rs", "moqt_datagram", &[9]),
    ("relay/src/moqt/fetch_object.rs", "moqt_fetch", &[0]),
];

fn main() -> io::Result<()> {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("usage: harvest FOLDER");
        std::process::exit(2);
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut written = 0;
    for (source, target, prefix) in SOURCES {
        let into = folder.join(target);
        std::fs::create_dir_all(&into)?;
        for file in sources(&root.join(source))? {
            let stem = file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            for (line, bytes) in literals(&std::fs::read_to_string(&file)?) {
                let name = format!("{stem}_{line}");
                std::fs::write(into.join(name), [prefix, &bytes].concat())?;
                written += 1;
            }
        }
    }
    eprintln!("{written} literals");
    Ok(())
}

/// The file itself, or all below the folder.
fn sources(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        found.extend(sources(&entry?.path())?);
    }
    Ok(found)
}

/// Every list of bytes in brackets, with the line that it begins in.
fn literals(source: &str) -> Vec<(usize, Vec<u8>)> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices('[') {
        let inside = &source[at + 1..];
        let list = inside.split([']', '[']).next().unwrap_or_default();
        let items = list
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let bytes: Option<Vec<u8>> = items.map(byte).collect();
        let line = source[..at].lines().count();
        found.extend(
            bytes
                .filter(|bytes| !bytes.is_empty())
                .map(|bytes| (line, bytes)),
        );
    }
    found
}

/// `7`, `0x07` or `b'x'`.
fn byte(item: &str) -> Option<u8> {
    let item = item.trim_end_matches("u8");
    if let Some(digits) = item.strip_prefix("0x") {
        return u8::from_str_radix(digits, 16).ok();
    }
    if let Some(character) = item.strip_prefix("b'") {
        return character.bytes().next();
    }
    item.parse().ok()
}
