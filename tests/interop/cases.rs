//! The tests, one a case, and that none is missing. No RFC.

use std::fs;
use std::path::Path;

use integration::for_each_seed;

use super::run::{Link, Run, Verdict, fetch, plain};
use super::{CASES, Case, FAST_PATH};

/// Plays a case with its seeds, and asks its judge.
#[track_caller]
fn play(name: &str) {
    let case = case(name);
    for_each_seed(case.4, |seed| {
        println!("{name} SEED={seed}");
        let run = Run::of(case, seed);
        println!("{name} SEED={seed}: {:?}", run.took());
        verdict(name, (case.7)(&run));
    });
}

fn case(name: &str) -> &'static Case {
    let found = CASES.iter().find(|case| case.0 == name);
    found.unwrap_or_else(|| panic!("no row for {name}"))
}

#[track_caller]
fn verdict(name: &str, verdict: Verdict) {
    if let Err(why) = verdict {
        panic!("{name}: {why}");
    }
}

#[test]
fn handshake() {
    play("handshake");
}

#[test]
fn transfer() {
    play("transfer");
}

#[test]
fn longrtt() {
    play("longrtt");
}

#[test]
fn chacha20() {
    play("chacha20");
}

#[test]
fn multiplexing() {
    play("multiplexing");
}

#[test]
fn retry() {
    play("retry");
}

#[test]
fn blackhole() {
    play("blackhole");
}

#[test]
fn keyupdate() {
    play("keyupdate");
}

#[test]
fn ecn() {
    play("ecn");
}

#[test]
fn amplificationlimit() {
    play("amplificationlimit");
}

#[test]
fn handshakeloss() {
    play("handshakeloss");
}

#[test]
fn transferloss() {
    play("transferloss");
}

#[test]
fn handshakecorruption() {
    play("handshakecorruption");
}

#[test]
fn transfercorruption() {
    play("transfercorruption");
}

#[test]
fn ipv6() {
    play("ipv6");
}

#[test]
fn rebind_port() {
    play("rebind-port");
}

#[test]
fn rebind_addr() {
    play("rebind-addr");
}

/// In the order of the runner, so that no row can vanish with its test.
#[test]
fn all_must_haves_are_in_the_table_and_have_a_test() {
    let must = "handshake transfer longrtt chacha20 multiplexing retry blackhole keyupdate ecn \
        amplificationlimit handshakeloss transferloss handshakecorruption transfercorruption ipv6 \
        rebind-port rebind-addr";
    let rows: Vec<&str> = CASES.iter().map(|case| case.0).collect();
    assert_eq!(rows, must.split_whitespace().collect::<Vec<_>>());
    for name in rows {
        assert_test("tests/interop/cases.rs", &name.replace('-', "_"));
    }
}

#[test]
fn all_variants_of_the_kernel_path_have_a_test_without_and_with_a_kernel() {
    let must = "fp-handover fp-loss fp-keyupdate fp-rebind fp-restart fp-mapfull fp-off";
    let rows: Vec<&str> = FAST_PATH.iter().map(|row| row.0).collect();
    assert_eq!(rows, must.split_whitespace().collect::<Vec<_>>());
    for (name, with_kernel) in FAST_PATH {
        assert_test("tests/offload/variants.rs", &name.replace('-', "_"));
        let (path, test) = with_kernel.split_once("::").expect("file::test");
        assert_test(path, test);
    }
}

/// A file of the repository has a test of this name.
#[track_caller]
fn assert_test(path: &str, name: &str) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in it");
    let source = fs::read_to_string(top.join(path)).unwrap_or_default();
    let has = source.contains(&format!("#[test]\nfn {name}() {{"));
    assert!(has, "{path} has no test {name}");
}

/// A judge that lets everything pass is none: each refuses a plain run of one file, `handshake` one with a Retry, and
/// `ecn` one over a router that clears marks.
#[test]
fn every_judge_refuses_what_is_not_its_case() {
    for Case(name, .., judge) in &CASES {
        let run = Run::with(
            Link::Plain,
            &[1024],
            1,
            |scenario| match *name {
                "handshake" => super::retry::demand(scenario),
                "ecn" => scenario.to_client.clears_ecn = true,
                _ => plain(scenario),
            },
            |pair| fetch(pair, std::time::Duration::from_secs(10)),
        );
        let why = judge(&run).expect_err(name);
        println!("{name}: {why}");
    }
}
