//! The ways that media can take, and a relay for each. No RFC.

use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::network::Place;
use crate::process::{Failure, Process};
use crate::usage::Told;

/// A way from the publisher to the subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// No relay: the kernel routes.
    PlainIp,
    /// Our relay, with its kernel programs.
    Kernel,
    /// Our relay without.
    Userspace,
    /// The same, with each packet by itself.
    UserspaceWithoutGso,
    /// The relay on quinn.
    Quinn,
    /// The same, with each packet by itself.
    QuinnWithoutGso,
}

impl Path {
    /// In the order in which they take turns.
    pub const ALL: [Self; 6] = [
        Self::PlainIp,
        Self::Kernel,
        Self::Userspace,
        Self::UserspaceWithoutGso,
        Self::Quinn,
        Self::QuinnWithoutGso,
    ];

    /// Those that are measured for what GSO does not change.
    pub const MAIN: [Self; 3] = [Self::Kernel, Self::Userspace, Self::Quinn];

    /// What it is called in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlainIp => "plain IP",
            Self::Kernel => "kernel",
            Self::Userspace => "userspace",
            Self::UserspaceWithoutGso => "userspace, no GSO",
            Self::Quinn => "quinn",
            Self::QuinnWithoutGso => "quinn, no GSO",
        }
    }
}

/// The programs that the bench starts.
#[derive(Debug)]
pub struct Programs {
    relay: PathBuf,
    folder: PathBuf,
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// Its process.
    pub process: Process,
    /// Where it can be asked, and with which program.
    control: Option<(PathBuf, PathBuf)>,
}

impl Programs {
    /// `relay` is our relay; the others are beside the bench.
    pub fn new(relay: PathBuf) -> Result<Self, Failure> {
        let own = std::env::current_exe()?;
        let folder = own.parent().ok_or("the bench has no folder")?.to_owned();
        Ok(Self { relay, folder })
    }

    /// Starts a relay for `path` and so many subscribers, unless it needs none. Files go to `folder`.
    pub fn start(
        &self,
        path: Path,
        subscribers: usize,
        folder: &FilePath,
    ) -> Result<Option<Relay>, Failure> {
        let slots = (subscribers + 1)
            .clamp(DEFAULT_SLOTS, MOST_SLOTS)
            .to_string();
        let (mut command, control) = match path {
            Path::PlainIp => return Ok(None),
            Path::Kernel => self.ours(&["require", "--fast-path-slots", &slots], folder),
            Path::Userspace => self.ours(&["off"], folder),
            Path::UserspaceWithoutGso => self.ours(&["off", "--no-gso"], folder),
            Path::Quinn => (self.quinn(&[]), None),
            Path::QuinnWithoutGso => (self.quinn(&["--no-gso"]), None),
        };
        let mut process = Process::start("relay", &mut command, folder)?;
        process.event("listening", SOON)?;
        Ok(Some(Relay { process, control }))
    }

    /// The source, there where publishers are.
    pub fn source(&self) -> Command {
        Place::Publisher.command(self.folder.join("bench-source"))
    }

    /// The sink, there where subscribers are.
    pub fn sink(&self) -> Command {
        Place::Subscribers.command(self.folder.join("bench-sink"))
    }

    /// A subscriber that comes late, there too.
    pub fn joiner(&self) -> Command {
        Place::Subscribers.command(self.folder.join("bench-joiner"))
    }

    fn ours(&self, fast_path: &[&str], folder: &FilePath) -> (Command, Option<(PathBuf, PathBuf)>) {
        let control = folder.join("relay.sock");
        let mut command = Place::Relay.command(&self.relay);
        command
            .args(["--die-with-parent", "serve", "--bind", BIND, "--raw"])
            .args(["--tls-generate", "localhost", "--report", "-"])
            .arg("--fast-path")
            .args(fast_path)
            .arg("--control")
            .arg(&control);
        (command, Some((self.relay.clone(), control)))
    }

    fn quinn(&self, words: &[&str]) -> Command {
        let mut command = Place::Relay.command(self.folder.join("bench-quinn-relay"));
        command.args(["--bind", BIND]).args(words);
        command
    }
}

impl Relay {
    /// What it tells of itself; nothing if it does not.
    pub fn told(&self) -> Told {
        let Some((program, control)) = &self.control else {
            return Told::default();
        };
        let mut command = Command::new(program);
        command.args(["status", "--json", "--control"]).arg(control);
        let output = command.output().map(|output| output.stdout);
        let status: Value = output
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let programs = status["fast_path"]["programs"].as_array();
        let incoming = programs.into_iter().flatten().filter(|program| {
            let name = program["name"].as_str().unwrap_or_default();
            INCOMING.contains(&name)
        });
        let nanos = incoming.filter_map(|program| program["run_time_ns"].as_f64());
        let packets = |key| {
            let connections = status["connections"].as_array()?;
            Some(connections.iter().filter_map(|it| it[key].as_u64()).sum())
        };
        Told {
            bpf: nanos.sum::<f64>() / 1e3,
            system_calls: status["system_calls"].as_u64(),
            packets: packets("packets_from_kernel").zip(packets("packets_from_userspace")),
        }
    }
}

/// Where every relay listens.
const BIND: &str = "0.0.0.0:4443";
/// For a program to come up.
pub const SOON: Duration = Duration::from_secs(15);
/// The programs that packets meet as they come in; what they set off happens within their time.
const INCOMING: [&str; 2] = ["qrelay_ingress", "qrelay_clients"];
/// Places that the kernel has without being asked for more, and the most that it can have.
const DEFAULT_SLOTS: usize = 128;
const MOST_SLOTS: usize = 1024;
