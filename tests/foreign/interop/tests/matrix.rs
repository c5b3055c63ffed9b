//! All cases with all peers, compared with `tests/interop/required.toml`. No RFC.
//!
//! Our endpoints are `$QUIC_RELAY`; `make foreign` sets it. `QUIC_RELAY_RATCHET=write` adds rows that have become
//! green, `QUIC_RELAY_CASE=retry` plays one case, `SEED=2` has other packets lost, `QUIC_RELAY_KEEP=1` keeps folders.

use foreign_interop::case::{self, Peer};
use foreign_interop::{ratchet, run};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_green_is_green_and_what_has_become_green_is_written_down() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    let only = std::env::var("QUIC_RELAY_CASE").ok();
    println!("SEED={seed}");
    let (begun, at_once) = (Instant::now(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut running = JoinSet::new();
    let mut results = BTreeMap::new();
    let mut is_whole = only.is_none();
    for case in case::all().into_iter().filter(|case| only.as_ref().is_none_or(|only| case.name == only)) {
        if case.ipv6 && std::net::UdpSocket::bind("[::1]:0").is_err() {
            println!("SKIP (no IPv6 on this machine) {}", case.name);
            is_whole = false;
            continue;
        }
        for peer in Peer::ALL {
            if let Some(why) = case.impossible(peer) {
                println!("{:19} {:13} -      {why}", case.name, peer.name());
                continue;
            }
            let (case, at_once) = (case.clone(), Arc::clone(&at_once));
            running.spawn(async move {
                let _turn = at_once.acquire_owned().await;
                let begun = Instant::now();
                let mut result = run::play(&case, peer, seed).await.map_err(|error| error.to_string());
                if let Err(why) = &result {
                    // Which packets are lost depends on when they come, on a machine with other work to do.
                    println!("{:19} {:13} again: {why}", case.name, peer.name());
                    result = run::play(&case, peer, seed + 1).await.map_err(|error| error.to_string());
                }
                (case.name.to_owned(), peer.name().to_owned(), result, begun.elapsed())
            });
        }
    }
    while let Some(done) = running.join_next().await {
        let (case, peer, result, took) = done.expect("no panic: a packet that breaks a rule, or a bug of the test");
        let word = if result.is_ok() { "green" } else { "RED" };
        println!("{case:19} {peer:13} {word:6} {:4.1} s {}", took.as_secs_f32(), result.as_ref().err().map_or("", |it| it));
        results.insert((case, peer), result);
    }
    println!("{} runs in {:.1} s", results.len(), begun.elapsed().as_secs_f32());
    compare(&results, is_whole);
}

fn compare(results: &BTreeMap<(String, String), Result<(), String>>, is_whole: bool) {
    let mut required = ratchet::read().expect("tests/interop/required.toml has rows");
    let (mut red, mut new) = (Vec::new(), Vec::new());
    for ((case, peer), result) in results {
        let is_required = required.get(case).is_some_and(|peers| peers.contains(peer));
        match (result, is_required) {
            (Err(why), true) => red.push(format!("{case} {peer}: {why}")),
            (Ok(()), false) => {
                new.push(format!("{case} {peer}"));
                required.entry(case.clone()).or_default().insert(peer.clone());
            }
            _ => {}
        }
    }
    if std::env::var("QUIC_RELAY_RATCHET").is_ok_and(|word| word == "write") {
        ratchet::write(&required).expect("the file is writable");
        new.clear();
    }
    let played = |row: &(&String, &String)| results.contains_key(&(row.0.clone(), row.1.clone()));
    let rows = required.iter().flat_map(|(case, peers)| peers.iter().map(move |peer| (case, peer)));
    let unplayed: Vec<_> = rows.filter(|row| is_whole && !played(row)).collect();
    assert!(unplayed.is_empty(), "required and not played: {unplayed:?}");
    assert!(red.is_empty(), "was green once:\n{}", red.join("\n"));
    assert!(new.is_empty(), "has become green; `make interop-ratchet` writes it down:\n{}", new.join("\n"));
}

/// Runs mostly wait for their links.
const AT_ONCE: usize = 12;
