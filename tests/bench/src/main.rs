//! `bench`: our paths and a peer's side by side, in turns, on a network of its own. No RFC.
//!
//! Needs root, for the network; without, it says SKIP. Writes `results.json` and a report into a folder, and a table to
//! standard output. A path that does not work is reported and left out.

mod interruption;
mod network;
mod paths;
mod plan;
mod process;
mod progress;
mod report;
mod results;
mod runs;
mod stats;
mod usage;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use interruption::Interrupted;
use paths::{Given, Path as Way};
use plan::{Plan, Section};
use process::Failure;
use progress::Progress;
use results::{Machine, Results};
use runs::Stage;

/// Measures the relay's paths and a peer's side by side.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Options {
    #[command(flatten)]
    given: Given,
    /// A minute instead of ten: fewer paths, one round.
    #[arg(long)]
    quick: bool,
    /// Nothing but these parts.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<Section>,
    /// On these paths alone.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PATH,…")]
    paths: Vec<Way>,
    /// For so many subscribers alone.
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    subscribers: Vec<usize>,
    /// No more rounds than this.
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    rounds: u64,
    /// How long system calls are counted; by default two seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=600))]
    calls: Option<u16>,
    /// The table as JSON, to a file or, with `-`, to standard output.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Where results and report go.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(reason) = possible() {
        println!("SKIP ({reason})");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether there are the rights and the tools; or why not.
fn possible() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("network namespaces need root".into());
    }
    for (tool, word) in [("ip", "-V"), ("tc", "-V"), ("ethtool", "--version")] {
        if Command::new(tool).arg(word).output().is_err() {
            return Err(format!("there is no program `{tool}`"));
        }
    }
    Ok(())
}

fn run(options: &Options) -> Result<(), Failure> {
    interruption::watch()?;
    let plan = match options.quick {
        true => Plan::quick(),
        false => Plan::full(),
    };
    let plan = plan
        .only(&options.only, options.rounds)
        .with(&options.paths, &options.subscribers)
        .counting_calls(options.calls);
    let results = measure(&options.given, &plan, &options.folder)?;
    write(options, &results)?;
    // What was measured until then is there; but it is not all.
    interruption::check()
}

/// Does all jobs, or those until a signal comes; a path that has failed too often is left out from then on.
fn measure(given: &Given, plan: &Plan, folder: &Path) -> Result<Results, Failure> {
    let stage = Stage::build(given, folder)?;
    let (mut jobs, mut left_out) = (plan.jobs(), BTreeSet::new());
    jobs.retain(|job| {
        let reason = stage.lacks(job.path);
        left_out.extend(reason.map(|reason| format!("{}: {reason}", job.path.name())));
        reason.is_none()
    });
    let mut progress = Progress::new(plan, &jobs);
    let mut results = Results {
        machine: machine(),
        left_out: left_out.into_iter().collect(),
        ..Results::default()
    };
    let mut failures: HashMap<Way, u32> = HashMap::new();
    for job in jobs {
        let failed = failures.entry(job.path).or_default();
        if *failed < PATIENCE {
            progress.begin(job);
            match stage.run(plan, job, &mut results) {
                Ok(()) => *failed = 0,
                Err(failure) if failure.is::<Interrupted>() => break,
                Err(failure) => {
                    *failed += 1;
                    let reason = format!("{job}: {failure}");
                    progress.note(&format!("left out: {reason}"));
                    results.left_out.push(reason);
                }
            }
        }
        progress.end(plan, job);
    }
    results.seconds = progress.finish().as_secs_f64();
    Ok(results)
}

fn write(options: &Options, results: &Results) -> Result<(), Failure> {
    fs::create_dir_all(&options.folder)?;
    let file = options.folder.join("results.json");
    fs::write(&file, serde_json::to_vec(results)?)?;
    let page = report::write(results, &options.folder)?;
    match &options.json {
        Some(path) => {
            let table = serde_json::to_string_pretty(&report::table(results))?;
            match path == Path::new("-") {
                true => writeln!(io::stdout(), "{table}")?,
                false => fs::write(path, table + "\n")?,
            }
        }
        None => write!(io::stdout(), "{}", report::summary(results))?,
    }
    eprintln!("bench: {} and {}", file.display(), page.display());
    Ok(())
}

fn machine() -> Machine {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let information = text("/proc/cpuinfo");
    let field = |name: &str| {
        let line = information.lines().find(|line| line.starts_with(name))?;
        line.split_once(": ").map(|(_, value)| value)
    };
    Machine {
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        model: field("model name").unwrap_or_default().to_owned(),
        mhz: field("cpu MHz")
            .and_then(|mhz| mhz.parse().ok())
            .unwrap_or_default(),
    }
}

/// So often in a row a path may fail.
const PATIENCE: u32 = 2;
