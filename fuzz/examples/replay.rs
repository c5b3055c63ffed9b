//! Runs one property over files and folders of files: `replay TARGET PATH...`, or over standard input without a path.
//! No RFC.
//!
//! The plain program that fuzzers without libFuzzer's interface start, and that coverage is measured with.

use quic_lite_fuzz::TARGETS;
use std::io::Read;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!(
            "usage: replay TARGET [PATH]...\ntargets: {}",
            names.join(" ")
        );
        std::process::exit(2);
    };
    let paths: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if paths.is_empty() {
        let mut input = Vec::new();
        std::io::stdin().read_to_end(&mut input)?;
        target.run(&input);
    }
    let mut replayed = 0;
    for path in &paths {
        for file in files(path)? {
            target.run(&std::fs::read(file)?);
            replayed += 1;
        }
    }
    eprintln!("{name}: {replayed} files");
    Ok(())
}

/// The file itself, or all files of the folder.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}
