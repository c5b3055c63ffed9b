//! `make bench-kernel`: how long the kernel programs take for a copy, against the least that a copy costs.
//! No RFC.
//!
//! All candidates take turns, packet by packet, so that whatever else the machine does meets all of them. A
//! packet goes through the ingress program by BPF_PROG_TEST_RUN; its time, as the kernel tells it, has in it the
//! clones, the egress program for each, and their way into a veth device. It does not have in it what the other
//! end of the veth does: there all is dropped. Packets are made, and pads filled, between the runs.
//!
//! `bench-kernel [--json]`; `--only NAME COPIES PACKETS` runs one candidate alone, for a profiler.

mod candidate;
mod floor;
mod programs;
mod relay;
mod report;
mod stage;
#[path = "../../loader/tests/support/world.rs"]
mod world;

use std::io;
use std::process::ExitCode;

use candidate::{BATCH, Candidate, MOST, PACKET};
use floor::Floor;
use relay::{Protection, Relay};
use relay_ebpf_loader::probe::probe;
use report::{NAMES, Quartiles, Report, Row};

fn main() -> ExitCode {
    if let Err(why) = probe() {
        println!("SKIP ({why})");
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        [] => all().map(|result| report::table(&result)),
        ["--json"] => all().map(|result| report::json(&result)),
        ["--only", name, copies, packets] => only(name, copies, packets),
        _ => Err(io::Error::other(USAGE)),
    };
    match result {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-kernel: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All candidates, by [`NAMES`], each on a wire of its name.
struct Field {
    floor: Floor,
    clear: Relay,
    pads: Relay,
    no_pads: Relay,
}

impl Field {
    fn new() -> io::Result<Self> {
        stage::enter()?;
        let wires = NAMES.map(|name| name.replace(' ', "-"));
        let [floor, clear, pads, no_pads] = wires.each_ref().map(String::as_str);
        let mut field = Self {
            floor: Floor::new(floor)?,
            clear: Relay::new(clear, Protection::Clear)?,
            pads: Relay::new(pads, Protection::Pads)?,
            no_pads: Relay::new(no_pads, Protection::NoPads)?,
        };
        field.floor.drop_at_ends(&[floor, clear, pads, no_pads])?;
        Ok(field)
    }

    fn candidates(&mut self) -> [&mut dyn Candidate; NAMES.len()] {
        [
            &mut self.floor,
            &mut self.clear,
            &mut self.pads,
            &mut self.no_pads,
        ]
    }
}

fn all() -> io::Result<Report> {
    let mut field = Field::new()?;
    let candidates = &mut field.candidates();
    let rows = [1, 10, 100, MOST].map(|copies| {
        // About as long for each number of copies, and often enough for a median.
        let batches = (10_000 / u64::from(copies)).clamp(6, 60);
        let times = measure(candidates, copies, batches * BATCH)?;
        Ok(Row {
            copies,
            packets: batches * BATCH,
            times: times.map(Quartiles::of),
        })
    });
    Ok(Report {
        packet_bytes: PACKET,
        rows: rows.into_iter().collect::<io::Result<_>>()?,
        is_measured: field.clear.is_measured(),
    })
}

fn only(name: &str, copies: &str, packets: &str) -> io::Result<String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| io::Error::other(USAGE));
    let (copies, packets) = (number(copies)?, number(packets)?);
    let at = NAMES.iter().position(|it| *it == name && copies <= MOST);
    let at = at.ok_or_else(|| io::Error::other(USAGE))?;
    let mut field = Field::new()?;
    let candidates = &mut field.candidates();
    let [times] = measure(&mut candidates[at..=at], copies, packets.into())?;
    Ok(format!("{name}: {:?}\n", Quartiles::of(times)))
}

/// Nanoseconds for a copy, packet by packet, of each candidate.
fn measure<const N: usize>(
    candidates: &mut [&mut dyn Candidate],
    copies: u32,
    packets: u64,
) -> io::Result<[Vec<f64>; N]> {
    let mut times = [const { Vec::new() }; N];
    for candidate in candidates.iter_mut() {
        candidate.begin(copies)?;
    }
    for packet in 0..packets {
        if packet % BATCH == 0 {
            candidates.iter_mut().for_each(|it| it.refill());
        }
        for (candidate, times) in candidates.iter_mut().zip(&mut times) {
            let time = candidate.packet()?;
            times.push(time.as_nanos() as f64 / f64::from(copies));
        }
    }
    candidates
        .iter_mut()
        .try_for_each(|it| it.end(packets))
        .map(|()| times)
}

const USAGE: &str =
    "usage: bench-kernel [--json | --only floor|clear|pads|'no pads' COPIES PACKETS]";
