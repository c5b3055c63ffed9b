//! Replays the corpus on stable, and small changes of every file in it. No RFC.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use quic_lite_fuzz::seeds::{corpus, seeds};
use quic_lite_fuzz::{TARGETS, Target};

fn files(target: &Target) -> Vec<PathBuf> {
    let folder = corpus().join(target.name);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {}", target.name);
    files
}

#[test]
fn every_property_holds_for_its_corpus() {
    for target in TARGETS {
        for file in files(target) {
            println!("{}", file.display()); // shown when the property fails
            target.run(&std::fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_property_holds_for_truncated_and_changed_corpus_files() {
    for target in TARGETS {
        let files = files(target);
        let tried: usize = files.iter().map(|file| change(target, file)).sum();
        println!("{}: {tried} inputs of {} files", target.name, files.len());
    }
}

/// Every truncation and every change of a byte, or as many of them as the target has time for, evenly.
fn change(target: &Target, file: &Path) -> usize {
    let whole = std::fs::read(file).unwrap();
    let all = whole.len() * (VALUES + 1);
    let step = all.div_ceil(target.changes).max(1);
    let mut tried = 0;
    // A step that is a multiple of the changes per byte would try the same change everywhere.
    let step = if step.is_multiple_of(VALUES + 1) {
        step + 1
    } else {
        step
    };
    for at in (0..all).step_by(step) {
        println!("{} change {at}", file.display());
        target.run(&changed(&whole, at));
        tried += 1;
    }
    tried
}

fn changed(whole: &[u8], change: usize) -> Vec<u8> {
    let at = change / (VALUES + 1);
    let old = whole[at];
    let value = match change % (VALUES + 1) {
        0 => return whole[..at].to_vec(),
        1 => 0,
        2 => 1,
        3 => 0x20,
        4 => 0x3f,
        5 => 0x40,
        6 => 0x80,
        7 => 0xc0,
        8 => 0xff,
        9 => old ^ 1,
        10 => old ^ 0x80,
        _ => old.wrapping_add(1),
    };
    let mut bytes = whole.to_vec();
    bytes[at] = value;
    bytes
}

#[test]
fn the_committed_seeds_are_those_of_the_table() {
    let mut names = BTreeSet::new();
    for seed in seeds() {
        let file = corpus().join(seed.target).join(&seed.name);
        let committed = std::fs::read(&file).unwrap_or_default();
        assert!(names.insert(file.clone()), "{}: twice", file.display());
        assert_eq!(
            committed,
            seed.bytes,
            "{}: run the seeds example",
            file.display()
        );
    }
}

#[test]
fn every_target_has_a_binary_and_every_binary_is_a_target() {
    let named: BTreeSet<_> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
    let manifest = include_str!("../Cargo.toml");
    let binaries = manifest.split("[[bin]]").skip(1).map(|section| {
        let name = section.split('"').nth(1).unwrap();
        assert!(section.contains(&format!("fuzz_targets/{name}.rs")));
        name.to_owned()
    });
    assert_eq!(binaries.collect::<BTreeSet<_>>(), named);
}

#[test]
fn every_dictionary_is_a_targets_and_libfuzzer_can_read_it() {
    for entry in std::fs::read_dir(corpus().join("../dictionaries")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(TARGETS.iter().any(|it| it.name == name), "{name}");
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let quotes = line.replace("\\\"", "").matches('"').count();
            assert!(
                line.starts_with('#') || quotes == 2 && line.ends_with('"'),
                "{name}: {line}"
            );
        }
    }
}

/// Values that a byte is changed to.
const VALUES: usize = 11;
