//! Replays the corpus on stable, and small changes of every file in it. No RFC.

use quic_lite_fuzz::TARGETS;
use quic_lite_fuzz::seeds::{corpus, seeds};
use std::path::PathBuf;

fn files(target: &str) -> Vec<PathBuf> {
    let folder = corpus().join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {target}");
    files
}

#[test]
fn every_property_holds_for_its_corpus() {
    for (target, property) in TARGETS {
        for file in files(target) {
            println!("{}", file.display()); // shown when the property fails
            property(&std::fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_property_holds_for_truncated_and_changed_corpus_files() {
    for (target, property) in TARGETS {
        for file in files(target) {
            println!("{}", file.display());
            let whole = std::fs::read(&file).unwrap();
            let short = &whole[..whole.len().min(200)];
            (0..short.len()).for_each(|end| property(&short[..end]));
            (0..short.len()).for_each(|at| change_byte(short, at, property));
        }
    }
}

fn change_byte(bytes: &[u8], at: usize, property: fn(&[u8])) {
    let mut changed = bytes.to_vec();
    for value in [
        0,
        1,
        0x20,
        0x3f,
        0x40,
        0x80,
        0xc0,
        0xff,
        bytes[at] ^ 1,
        bytes[at] ^ 0x80,
        bytes[at].wrapping_add(1),
    ] {
        changed[at] = value;
        property(&changed);
    }
}

#[test]
fn the_committed_seeds_are_those_of_the_table() {
    for seed in seeds() {
        let file = corpus().join(seed.target).join(seed.name);
        let committed = std::fs::read(&file).unwrap_or_default();
        assert_eq!(
            committed,
            seed.bytes,
            "{}: run the seeds example",
            file.display()
        );
    }
}
