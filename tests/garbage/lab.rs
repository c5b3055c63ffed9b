//! One run of `quic-relay lab`, and its relay, found from outside. No RFC.

use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::flood::Kind;

#[path = "../../ebpf/bench/src/delay/clip.rs"]
mod clip;

/// What all turns have in common.
pub struct Run<'a> {
    /// The program.
    pub relay: &'a Path,
    /// What is played.
    pub clip: &'a Clip,
    /// Without namespaces.
    pub is_loopback: bool,
}

/// What a turn came to.
pub struct Played {
    /// Median delay in milliseconds.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The relay's memory in KiB: before the flood, at most, afterwards.
    pub memory: [u64; 3],
}

/// Plays the clip, with so many strangers of a kind at such a rate.
pub fn play(run: &Run<'_>, flood: (Kind, u32, u32)) -> io::Result<Played> {
    let mut lab = Command::new(run.relay);
    lab.args([
        "lab",
        "--json",
        "--subscribers",
        "1",
        "--fast-path",
        "off",
        "--input",
    ]);
    lab.arg(&run.clip.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if run.is_loopback {
        lab.arg("--loopback");
    }
    let mut lab = lab.spawn()?;
    let (over, is_over) = mpsc::channel();
    let result = thread::scope(|scope| {
        let (id, is_loopback) = (lab.id(), run.is_loopback);
        let watch = scope.spawn(move || watch(id, is_loopback, flood, &is_over));
        let mut json = String::new();
        let read = lab
            .stdout
            .take()
            .map(|mut output| output.read_to_string(&mut json));
        let ended = lab.wait();
        drop(over);
        let memory = watch
            .join()
            .map_err(|_| io::Error::other("the watch has panicked"))??;
        read.transpose()?;
        match ended?.success() {
            true => Ok((json, memory)),
            false => Err(io::Error::other("the lab has lost something")),
        }
    });
    let (json, memory) = result?;
    let millis = |name: &str| Some(figure(&json, name)? / 1000.0);
    let no_result = || io::Error::other("the lab has printed no result");
    Ok(Played {
        p50: millis("p50").ok_or_else(no_result)?,
        p99: millis("p99").ok_or_else(no_result)?,
        memory,
    })
}

/// The first number of this name.
fn figure(json: &str, name: &str) -> Option<f64> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// Waits for the relay, floods it when media flows, and looks at its memory until the lab is over.
fn watch(
    lab: u32,
    is_loopback: bool,
    (kind, strangers, rate): (Kind, u32, u32),
    is_over: &mpsc::Receiver<()>,
) -> io::Result<[u64; 3]> {
    let is_running = |pause: u64| {
        let ended = is_over.recv_timeout(Duration::from_millis(pause));
        ended == Err(mpsc::RecvTimeoutError::Timeout)
    };
    let relay = loop {
        match relay_of(lab) {
            Some(relay) => break relay,
            None if is_running(5) => {}
            None => return Err(io::Error::other("there was no relay")),
        }
    };
    // Until everybody is connected.
    is_running(1000);
    let before = memory(relay).unwrap_or(0);
    let mut memories = [before; 3];
    let mut flood = match strangers {
        0 => None,
        _ => Some(start(
            relay,
            is_loopback,
            &[kind.name(), &strangers.to_string(), &rate.to_string()],
        )?),
    };
    while is_running(20) {
        if let Some(now) = memory(relay) {
            memories = [before, memories[1].max(now), now];
        }
    }
    if let Some(flood) = &mut flood {
        // It may still be at it when the lab is over.
        let _ = flood.kill();
        let _ = flood.wait();
    }
    Ok(memories)
}

/// Starts a flood.
fn start(relay: u32, is_loopback: bool, words: &[&str; 3]) -> io::Result<Child> {
    let [kind, count, rate] = words;
    let this = std::env::current_exe()?;
    if is_loopback {
        let port = port_of(relay).ok_or_else(|| io::Error::other("the relay has no port"))?;
        let target = SocketAddr::from(([127, 0, 0, 1], port)).to_string();
        let words = ["flood", kind, &target, "127.1.0.0", count, rate];
        return Command::new(this).args(words).stdout(Stdio::null()).spawn();
    }
    // All of these are the attacker's, and answers find their way back.
    ip("-n qr-sub route replace local 10.99.0.0/16 dev lo")?;
    ip("-n qr-relay route replace 10.99.0.0/16 via 10.71.2.2")?;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "qr-sub"]).arg(this);
    command.args(["flood", kind, "10.71.2.1:4443", "10.99.0.0", count, rate]);
    command.stdout(Stdio::null()).spawn()
}

fn ip(words: &str) -> io::Result<()> {
    match Command::new("ip")
        .args(words.split(' '))
        .status()?
        .success()
    {
        true => Ok(()),
        false => Err(io::Error::other(format!("`ip {words}` failed"))),
    }
}

/// The relay among the children of a lab.
fn relay_of(lab: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|process: &u32| {
            let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let parent = status(*process, "PPid:");
            parent == Some(u64::from(lab))
                && words.split(|byte| *byte == 0).any(|word| word == b"serve")
        })
}

/// Resident memory in KiB.
fn memory(process: u32) -> Option<u64> {
    status(process, "VmRSS:")
}

fn status(process: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The UDP port that a process listens on: the first of its sockets in /proc/net/udp.
fn port_of(process: u32) -> Option<u16> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    let sockets: Vec<String> = links
        .filter_map(|link| {
            Some(
                link.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/udp")).ok()?;
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_its = sockets
            .iter()
            .any(|inode| words.get(9) == Some(&inode.as_str()));
        let (_, port) = words.get(1).filter(|_| is_its)?.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    })
}

/// The clip, for as long as this lives.
pub struct Clip(PathBuf);

impl Clip {
    /// So many seconds.
    pub fn write(seconds: u32) -> io::Result<Self> {
        let name = format!("bench-garbage-{}.ivf", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, clip::ivf(seconds))?;
        Ok(Self(path))
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
