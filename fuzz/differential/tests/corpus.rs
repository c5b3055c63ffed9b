//! Replays both corpora, ours and the one of differences, on stable (RFC 9000 §16 to §19).

use quic_lite_differential::{frames, header, integers, run, targets, transport_parameters};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All files of a target: its own, and those that the codec's target of that name has.
fn files(target: &str) -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let codec = if target == "frames" {
        "frames_roundtrip"
    } else {
        target
    };
    let folders = [
        here.join("corpus").join(target),
        here.join("../corpus").join(codec),
    ];
    let mut files: Vec<_> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {target}");
    files
}

/// Every difference that explained something, by target, in the inputs that are made of each file.
fn replay(inputs: fn(Vec<u8>) -> Vec<Vec<u8>>) -> BTreeSet<(&'static str, &'static str)> {
    let mut explained = BTreeSet::new();
    for target in targets() {
        for file in files(target) {
            println!("{}", file.display()); // shown when the property fails
            for input in inputs(std::fs::read(&file).unwrap()) {
                explained.extend(run(target, &input).into_iter().map(|name| (target, name)));
            }
        }
    }
    explained
}

#[test]
fn all_agree_on_the_corpus_and_each_difference_has_a_file_that_shows_it() {
    let explained = replay(|bytes| vec![bytes]);
    let tables = [
        ("packet_number", integers::DIFFERENCES),
        ("frames", frames::DIFFERENCES),
        ("packet_header", header::QUINN),
        ("packet_header", header::S2N),
        ("transport_params", transport_parameters::QUINN),
        ("transport_params", transport_parameters::S2N),
    ];
    let known: BTreeSet<_> = tables
        .iter()
        .flat_map(|(target, table)| table.iter().map(|known| (*target, known.name)))
        .collect();
    assert_eq!(explained, known);
}

#[test]
fn all_agree_on_truncated_and_changed_corpus_files() {
    replay(|bytes| {
        let short = &bytes[..bytes.len().min(200)];
        let truncated = (0..short.len()).map(|end| short[..end].to_vec());
        truncated
            .chain((0..short.len()).flat_map(|at| changed(short, at)))
            .collect()
    });
}

fn changed(bytes: &[u8], at: usize) -> impl Iterator<Item = Vec<u8>> {
    let near = [bytes[at] ^ 1, bytes[at].wrapping_add(1)];
    [0, 0x3f, 0x40, 0x80, 0xc0, 0xff]
        .into_iter()
        .chain(near)
        .map(move |value| {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            changed
        })
}
