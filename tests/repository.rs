//! Looks at the files of this repository, for the rules. No RFC.

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("tests/ lies in the repository")
        .into()
}

/// A file as text.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files with this extension, from the top, sorted; not what builds and tools leave behind.
pub fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.');
            if path.is_dir() && !hidden && !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path.strip_prefix(root()).expect("below the top").into());
            }
        }
    }
    found.sort();
    found
}

/// The first of these that exists: a path is written from the top, or from a crate's sources.
pub fn resolve(path: &str) -> Option<PathBuf> {
    ["", "quic-lite/src", "relay/src"]
        .map(|base| Path::new(base).join(path))
        .into_iter()
        .find(|path| root().join(path).exists())
}

/// Text between single backticks, outside of code blocks.
pub fn code_spans(markdown: &str) -> Vec<&str> {
    let mut in_block = false;
    let mut spans = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}

/// The cells of each row of each table whose head begins with `first`.
pub fn table<'a>(markdown: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        let Some(row) = line
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'))
        else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if cells[0] == first {
            inside = true;
        } else if inside && !cells[0].starts_with("--") {
            rows.push(cells);
        }
    }
    rows
}

const LEFT_OUT: [&str; 4] = ["target", "corpus", "artifacts", "campaign-state"];
