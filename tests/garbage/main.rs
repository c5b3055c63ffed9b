//! `make bench-garbage`: whether strangers move the delay of a running stream. No RFC.
//!
//! `quic-relay lab` with one subscriber and a clip of a thousand frames a second; in every second turn a hundred
//! thousand datagrams come to the relay besides, from as many forged addresses: random bytes, or Initials of clients
//! that are not there. Both turns are compared, and the relay's memory before and after. In network namespaces with
//! root, on 127.0.0.0/8 without.

mod flood;
mod lab;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use flood::Kind;
use lab::{Clip, Run};

const USAGE: &str = "usage: bench-garbage QUIC-RELAY [SECONDS [TURNS [loopback]]]";
/// By what the 99th percentile may grow.
const AIM: f64 = 2.0;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.first().map(String::as_str) {
        Some("flood") => flood::run(&words[1..]),
        _ => compare(&words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-garbage: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All turns of both kinds, and what they came to.
fn compare(words: &[String]) -> io::Result<()> {
    let usage = || io::Error::other(USAGE);
    let number = |at: usize, default: u32| match words.get(at) {
        Some(word) => word.parse().map_err(|_| usage()),
        None => Ok(default),
    };
    let relay = Path::new(words.first().ok_or_else(usage)?);
    let (seconds, turns) = (number(1, 10)?, number(2, 4)?);
    let is_loopback = words.get(3).is_some_and(|word| word == "loopback");
    let clip = Clip::write(seconds)?;
    println!("one stream of 1000 frames a second through userspace; delay in milliseconds");
    println!(
        "flood       turn strangers     p50     p99  relay's memory before, most, after (KiB)"
    );
    for kind in [Kind::Garbage, Kind::Initials] {
        let mut p99 = [Vec::new(), Vec::new()];
        for turn in 0..turns as usize {
            let strangers = [0, STRANGERS][turn % 2];
            let run = Run {
                relay,
                clip: &clip,
                is_loopback,
            };
            let flood = (
                kind,
                strangers,
                strangers / seconds.saturating_sub(2).max(1),
            );
            let played = lab::play(&run, flood)?;
            let [before, most, after] = played.memory;
            println!(
                "{:<11} {:>4} {strangers:>9} {:>7.2} {:>7.2}  {before}, {most}, {after}",
                kind.name(),
                turn + 1,
                played.p50,
                played.p99,
            );
            p99[turn % 2].push(played.p99);
        }
        let [quiet, flooded] = p99.map(median);
        let ratio = flooded / quiet;
        let not = if ratio <= AIM { "" } else { ", not reached" };
        println!(
            "{}: p99 {quiet:.2} ms without, {flooded:.2} ms with, ratio {ratio:.2} (aim {AIM:.1}{not})",
            kind.name()
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// In each turn with a flood.
const STRANGERS: u32 = 100_000;
