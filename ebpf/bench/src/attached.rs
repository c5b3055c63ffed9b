//! `bench-floor`: the floor's programs between two interfaces, where `make bench` wants them. Without rights or a kernel
//! that takes them it says why and fails. No RFC.

mod programs;

use std::io::{self, Read};
use std::process::ExitCode;

use aya::programs::TcAttachType;
use nix::net::if_::if_nametoindex;
use programs::Programs;

const USAGE: &str = "usage: bench-floor INCOMING OUTGOING COPIES";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Until standard input ends; the programs leave with us.
fn run() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [incoming, outgoing, copies] = &words[..] else {
        return Err(io::Error::other(USAGE));
    };
    let copies = copies.parse().map_err(|_| io::Error::other(USAGE))?;
    let mut programs = Programs::load()?;
    programs.copy_to(if_nametoindex(outgoing.as_str())?, copies)?;
    programs.attach("qrelay_floor_out", outgoing, TcAttachType::Egress)?;
    programs.attach("qrelay_floor_in", incoming, TcAttachType::Ingress)?;
    println!("{{\"event\":\"listening\"}}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
