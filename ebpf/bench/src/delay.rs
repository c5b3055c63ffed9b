//! `make bench-delay`: what a relay adds to a packet's way, in the kernel and in userspace, in turns. No RFC.
//!
//! `quic-relay lab` with one subscriber and a clip of a thousand frames a second, each a DATAGRAM: so a packet comes
//! every millisecond and leaves again. Both are seen on the relay's two interfaces, with the time at which the
//! kernel had them; the difference is what the relay added. The first turn is the kernel's, the next userspace's, and
//! so on.

#[path = "delay/capture.rs"]
mod capture;
#[path = "delay/clip.rs"]
mod clip;
#[path = "delay/pairs.rs"]
mod pairs;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use relay_ebpf_loader::probe::probe;

const USAGE: &str = "usage: bench-delay QUIC-RELAY [SECONDS [TURNS]]";
/// What of userspace's delay the kernel's is to be at most.
const AIM: f64 = 1.0 / 3.0;

fn main() -> ExitCode {
    if let Err(why) = probe() {
        println!("SKIP ({why})");
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u32| match words.get(at) {
        Some(word) => word.parse().map_err(|_| io::Error::other(USAGE)),
        None => Ok(default),
    };
    let run = || {
        let relay = words.first().ok_or_else(|| io::Error::other(USAGE))?;
        compare(Path::new(relay), number(1, 5)?, number(2, 6)?)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-delay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All turns, and what both sides' came to.
fn compare(relay: &Path, seconds: u32, turns: u32) -> io::Result<()> {
    let clip = Clip::write(seconds)?;
    println!("one subscriber, a packet each millisecond; microseconds that the relay adds");
    println!("turn path       packets from-kernel  lower median  upper");
    let mut all = [Vec::new(), Vec::new()];
    for turn in 0..turns as usize {
        let (name, fast_path) = PATHS[turn % 2];
        let (delays, from_kernel) = play(relay, &clip.0, fast_path)?;
        let [lower, median, upper] = quartiles(&delays);
        let (turn_number, packets) = (turn + 1, delays.len());
        println!(
            "{turn_number:>4} {name:<10} {packets:>7} {from_kernel:>11} {lower:>6.1} {median:>6.1} {upper:>6.1}"
        );
        all[turn % 2].extend(delays);
    }
    let [[_, kernel, _], [_, userspace, _]] = all.map(|delays| quartiles(&delays));
    let ratio = kernel / userspace;
    let not = if ratio <= AIM { "" } else { " not reached" };
    println!(
        "medians of all: kernel {kernel:.1}, userspace {userspace:.1}, ratio {ratio:.2} (aim {AIM:.2}{not})"
    );
    Ok(())
}

const PATHS: [(&str, &str); 2] = [("kernel", "require"), ("userspace", "off")];

/// One run of the lab: the delays in microseconds, and how many packets the kernel sent.
fn play(relay: &Path, clip: &Path, fast_path: &str) -> io::Result<(Vec<f64>, u64)> {
    let mut lab = Command::new(relay)
        .args(["lab", "--json", "--subscribers", "1", "--datagrams"])
        .args(["--fast-path", fast_path, "--input"])
        .arg(clip)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let capture = capture::Capture::start();
    let mut json = String::new();
    let output = lab.stdout.take().map(|mut it| it.read_to_string(&mut json));
    // It fails if a datagram was lost, which does not matter here.
    let _ = lab.wait()?;
    output.transpose()?;
    let seen = capture.end()?;
    let from_kernel = json
        .split("\"packets_from_kernel\":")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| io::Error::other("the lab has printed no result"))?;
    Ok((pairs::delays(&seen), from_kernel))
}

/// Lower quartile, median, upper quartile.
fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|part| {
        let at = values.get(values.len() * part / 4);
        at.copied().unwrap_or(f64::NAN)
    })
}

/// The clip, for as long as this lives.
struct Clip(PathBuf);

impl Clip {
    fn write(seconds: u32) -> io::Result<Self> {
        let name = format!("bench-delay-{}.ivf", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, clip::ivf(seconds))?;
        Ok(Self(path))
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
