//! How many instructions the kernel's verifier follows in each program: no more than a tenth more than
//! `ebpf/complexity.toml` says, and no more than 70 % of what it allows. `make complexity` writes that file anew.
//! Needs root; says SKIP without. No RFC.

use std::collections::BTreeMap;
use std::fs;

use relay_ebpf_loader::{Kernel, Sizes};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../complexity.toml");
/// What the verifier allows, since Linux 5.2.
const LIMIT: u64 = 1_000_000;
const HEAD: &str = "\
# Instructions that the kernel's verifier follows in each program, of a million that it allows.
# `make complexity` writes this. A test fails when a program has more than a tenth more, or more than 70 %.
";

/// By program.
type Counts = BTreeMap<String, u64>;

#[test]
fn no_program_grows_by_a_tenth_or_comes_near_the_limit() {
    let Some(counts) = counted() else {
        return;
    };
    let kernel = kernel();
    if std::env::var_os("QUIC_RELAY_COMPLEXITY").is_some() {
        fs::write(FILE, written(&kernel, &counts)).expect("the file can be written");
    }
    let (recorded_on, recorded) = parsed(&fs::read_to_string(FILE).expect("the file is there"));
    let is_same = recorded_on == kernel;
    if !is_same {
        println!("recorded on Linux {recorded_on}, this is {kernel}: growth is not judged");
    }
    let complaints = complaints(&counts, &recorded, is_same);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn complaints(counts: &Counts, recorded: &Counts, is_same: bool) -> Vec<String> {
    let judge = |(name, &count): (&String, &u64)| {
        let before = recorded.get(name).copied();
        if count > LIMIT / 100 * 70 {
            return Some(format!("{name}: {count} is more than 70 % of {LIMIT}"));
        }
        match before {
            None => Some(format!("{name}: not in the file; `make complexity`")),
            Some(before) if is_same && count > before + before / 10 => {
                Some(format!("{name}: from {before} to {count}"))
            }
            Some(_) => None,
        }
    };
    let gone = recorded.keys().filter(|name| !counts.contains_key(*name));
    let gone = gone.map(|name| format!("{name}: in the file, but there is no such program"));
    counts.iter().filter_map(judge).chain(gone).collect()
}

/// What the kernel says, if it takes programs from us.
fn counted() -> Option<Counts> {
    let sizes = Sizes {
        slots: 8,
        tracks: 4,
    };
    let kernel = Kernel::load(sizes)
        .map_err(|why| println!("SKIP ({why})"))
        .ok()?;
    let programs = kernel.programs().into_iter();
    Some(
        programs
            .map(|it| (it.name, it.verified_instructions))
            .collect(),
    )
}

/// Its version, as far as the verifier's ways depend on it.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.trim().split('.');
    let (major, minor) = (parts.next(), parts.next());
    format!("{}.{}", major.unwrap_or("0"), minor.unwrap_or("0"))
}

fn written(kernel: &str, counts: &Counts) -> String {
    let lines: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} = {count}\n"))
        .collect();
    format!(
        "{HEAD}kernel = \"{kernel}\"\n\n[verified]\n{}",
        lines.concat()
    )
}

fn parsed(text: &str) -> (String, Counts) {
    let pairs = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "));
    let (mut kernel, mut counts) = (String::new(), Counts::new());
    for (name, value) in pairs {
        match value.parse() {
            Ok(count) => drop(counts.insert(name.to_owned(), count)),
            Err(_) => kernel = value.trim_matches('"').to_owned(),
        }
    }
    (kernel, counts)
}

#[test]
fn what_is_written_is_read_and_growth_is_noticed() {
    let counts = |list: &[(&str, u64)]| -> Counts {
        list.iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    let recorded = counts(&[("a", 1000), ("b", 1000)]);
    let text = written("6.18", &recorded);
    assert_eq!(parsed(&text), ("6.18".to_owned(), recorded.clone()));
    let found = |list: &[(&str, u64)], is_same| complaints(&counts(list), &recorded, is_same).len();
    assert_eq!(found(&[("a", 1100), ("b", 10)], true), 0);
    assert_eq!(found(&[("a", 1101), ("b", 10)], true), 1);
    assert_eq!(found(&[("a", 1101), ("b", 10)], false), 0);
    assert_eq!(found(&[("a", 700_001), ("b", 10)], false), 1);
    assert_eq!(found(&[("a", 1), ("b", 1), ("c", 1)], true), 1);
    assert_eq!(found(&[("a", 1)], true), 1);
}
