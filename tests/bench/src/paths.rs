//! The ways that media can take, and a relay for each. No RFC.

use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use crate::interruption::{SLICE, pause};
use crate::network::{FLOOR, Place, RELAY_FOR_PUBLISHER, RELAY_FOR_SUBSCRIBERS, SUBSCRIBER};
use crate::process::{Failure, Process};
use crate::usage::{Told, programs_run};

/// A way from the publisher to the subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Path {
    /// No relay: the kernel routes.
    PlainIp,
    /// No relay: the kernel makes the copies, and does no more than that takes.
    Floor,
    /// Our relay, with its kernel programs.
    Kernel,
    /// The same without protection of 1-RTT packets.
    KernelClear,
    /// Our relay without.
    Userspace,
    /// The same, with each packet by itself.
    UserspaceWithoutGso,
    /// The relay on quinn.
    Quinn,
    /// The same, with each packet by itself.
    QuinnWithoutGso,
    /// Our relay with its kernel programs, by MOQT.
    KernelMoqt,
    /// moq-relay of moq-dev, by MOQT.
    MoqRelay,
}

impl Path {
    /// In the order in which they take turns.
    pub const ALL: [Self; 10] = [
        Self::PlainIp,
        Self::Floor,
        Self::Kernel,
        Self::KernelClear,
        Self::Userspace,
        Self::UserspaceWithoutGso,
        Self::Quinn,
        Self::QuinnWithoutGso,
        Self::KernelMoqt,
        Self::MoqRelay,
    ];

    /// Those that are measured for what GSO does not change.
    pub const MAIN: [Self; 3] = [Self::Kernel, Self::Userspace, Self::Quinn];

    /// What it is called in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlainIp => "plain IP",
            Self::Floor => "floor",
            Self::Kernel => "kernel",
            Self::KernelClear => "kernel, clear",
            Self::Userspace => "userspace",
            Self::UserspaceWithoutGso => "userspace, no GSO",
            Self::Quinn => "quinn",
            Self::QuinnWithoutGso => "quinn, no GSO",
            Self::KernelMoqt => "kernel, MOQT",
            Self::MoqRelay => "moq-relay",
        }
    }

    /// Whether messages are plain UDP.
    pub const fn is_plain(self) -> bool {
        matches!(self, Self::PlainIp | Self::Floor)
    }

    /// Whether messages are objects of MOQT.
    pub const fn is_moqt(self) -> bool {
        matches!(self, Self::KernelMoqt | Self::MoqRelay)
    }

    /// Where the source sends to.
    const fn publisher_peer(self) -> &'static str {
        match self {
            Self::PlainIp => SUBSCRIBER,
            Self::Floor => FLOOR,
            _ => RELAY_FOR_PUBLISHER,
        }
    }

    /// The relay; where there is none, the receiver's own address.
    const fn subscriber_peer(self) -> &'static str {
        match self {
            Self::PlainIp | Self::Floor => SUBSCRIBER,
            _ => RELAY_FOR_SUBSCRIBERS,
        }
    }

    /// What source and sink have to know of the path. Whether packets are protected is the relay's to say.
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::PlainIp | Self::Floor => &["--udp"],
            Self::KernelMoqt | Self::MoqRelay => &["--moqt"],
            _ => &[],
        }
    }
}

/// Programs that are not the bench's own.
#[derive(Clone, Debug, clap::Args)]
pub struct Given {
    /// The program of our relay, a release build.
    #[arg(long, value_name = "FILE")]
    relay: PathBuf,
    /// The same with the feature `disable-1rtt-encryption`; without, that path is left out.
    #[arg(long, value_name = "FILE")]
    clear_relay: Option<PathBuf>,
    /// `bench-floor`; without, that path is left out.
    #[arg(long, value_name = "FILE")]
    floor: Option<PathBuf>,
    /// `moq-relay`; without, nothing is measured by MOQT.
    #[arg(long, value_name = "FILE")]
    moq_relay: Option<PathBuf>,
}

/// The programs that the bench starts.
#[derive(Debug)]
pub struct Programs {
    given: Given,
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
    /// The others are beside the bench.
    pub fn new(given: &Given) -> Result<Self, Failure> {
        let own = std::env::current_exe()?;
        let folder = own.parent().ok_or("the bench has no folder")?.to_owned();
        let whole = |file: &PathBuf| {
            std::fs::canonicalize(file).map_err(|error| format!("{}: {error}", file.display()))
        };
        let given = Given {
            relay: whole(&given.relay)?,
            clear_relay: given.clear_relay.as_ref().map(whole).transpose()?,
            floor: given.floor.as_ref().map(whole).transpose()?,
            moq_relay: given.moq_relay.as_ref().map(whole).transpose()?,
        };
        Ok(Self { given, folder })
    }

    /// Why there can be no relay for a path.
    pub fn lacks(&self, path: Path) -> Option<&'static str> {
        let (given, reason) = match path {
            Path::Floor => (&self.given.floor, NO_FLOOR),
            Path::KernelClear => (&self.given.clear_relay, NO_CLEAR_RELAY),
            Path::KernelMoqt | Path::MoqRelay => (&self.given.moq_relay, NO_MOQ_RELAY),
            _ => return None,
        };
        given.is_none().then_some(reason)
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
        let relay = &self.given.relay;
        let (mut command, control) = match path {
            Path::PlainIp => return Ok(None),
            Path::Floor => (self.floor(subscribers)?, None),
            Path::Kernel => ours(
                relay,
                &[
                    "--raw",
                    "--fast-path",
                    "require",
                    "--fast-path-slots",
                    &slots,
                ],
                folder,
            ),
            Path::KernelMoqt => ours(
                relay,
                &["--fast-path", "require", "--fast-path-slots", &slots],
                folder,
            ),
            Path::MoqRelay => (self.moq_relay()?, None),
            Path::KernelClear => {
                let relay = self.given.clear_relay.as_ref();
                let words = [
                    "--raw",
                    "--fast-path",
                    "require",
                    "--fast-path-slots",
                    &slots,
                    "--disable-1rtt-encryption",
                ];
                ours(relay.ok_or(NO_CLEAR_RELAY)?, &words, folder)
            }
            Path::Userspace => ours(relay, &["--raw", "--fast-path", "off"], folder),
            Path::UserspaceWithoutGso => {
                ours(relay, &["--raw", "--fast-path", "off", "--no-gso"], folder)
            }
            Path::Quinn => (self.quinn(&[]), None),
            Path::QuinnWithoutGso => (self.quinn(&["--no-gso"]), None),
        };
        let mut process = Process::start("relay", &mut command, folder)?;
        match path {
            Path::MoqRelay => until_bound(&process)?,
            _ => drop(process.event("listening", SOON)?),
        }
        Ok(Some(Relay { process, control }))
    }

    /// The source of a path, there where publishers are.
    pub fn source(&self, path: Path) -> Command {
        let mut command = Place::Publisher.command(self.folder.join("bench-source"));
        command.arg(path.publisher_peer()).args(path.words());
        command
    }

    /// So many subscribers of a path, there where subscribers are.
    pub fn sink(&self, path: Path, subscribers: usize) -> Command {
        let mut command = Place::Subscribers.command(self.folder.join("bench-sink"));
        command.arg(path.subscriber_peer()).args(path.words());
        command.args(["--subscribers", &subscribers.to_string()]);
        command
    }

    /// So many sessions of a path by MOQT that subscribe to nothing, there too.
    pub fn idle(&self, path: Path, sessions: usize) -> Command {
        let mut command = self.sink(path, sessions);
        command.arg("--idle");
        command
    }

    /// A subscriber that comes late, there too.
    pub fn joiner(&self) -> Command {
        Place::Subscribers.command(self.folder.join("bench-joiner"))
    }

    fn floor(&self, copies: usize) -> Result<Command, Failure> {
        let floor = self.given.floor.as_ref();
        let mut command = Place::Relay.command(floor.ok_or(NO_FLOOR)?);
        command.args(["to-pub", "to-sub", &copies.to_string()]);
        Ok(command)
    }

    fn moq_relay(&self) -> Result<Command, Failure> {
        let program = self.given.moq_relay.as_ref().ok_or(NO_MOQ_RELAY)?;
        let mut command = Place::Relay.command(program);
        command
            .args(["--listen", BIND, "--listen-tls-generate", "localhost"])
            .args(["--listen-version", "moq-transport-18"])
            .args(["--auth-public", "**", "--quic-mtu-discovery"])
            .env("RUST_LOG", "error");
        Ok(command)
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
            let bpf = programs_run(self.process.id());
            return Told {
                bpf,
                ..Told::default()
            };
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

/// Our relay, and where it can be asked.
fn ours(
    relay: &FilePath,
    words: &[&str],
    folder: &FilePath,
) -> (Command, Option<(PathBuf, PathBuf)>) {
    let control = folder.join("relay.sock");
    let mut command = Place::Relay.command(relay);
    command
        .args(["--die-with-parent", "serve", "--bind", BIND])
        .args(["--tls-generate", "localhost", "--report", "-"])
        .args(words)
        .arg("--control")
        .arg(&control);
    (command, Some((relay.to_owned(), control)))
}

/// Waits until a program that does not say so has its socket.
fn until_bound(process: &Process) -> Result<(), Failure> {
    let sockets = format!("/proc/{}/net/udp", process.id());
    for _ in 0..SOON.as_millis() / SLICE.as_millis() {
        let bound = std::fs::read_to_string(&sockets).unwrap_or_default();
        if bound.contains(BOUND) {
            return Ok(());
        }
        pause(SLICE)?;
    }
    let said = process.said();
    Err(format!("the relay does not listen: {}", said.trim()).into())
}

const NO_FLOOR: &str = "`--floor` was not given";
const NO_CLEAR_RELAY: &str = "`--clear-relay` was not given";
const NO_MOQ_RELAY: &str = "`--moq-relay` was not given";
/// Where every relay listens.
const BIND: &str = "0.0.0.0:4443";
/// The same, as /proc shows it.
const BOUND: &str = " 00000000:115B ";
/// For a program to come up.
pub const SOON: Duration = Duration::from_secs(15);
/// The programs that packets meet as they come in; what they set off happens within their time.
const INCOMING: [&str; 2] = ["qrelay_ingress", "qrelay_clients"];
/// Places that the kernel has without being asked for more, and the most that it can have.
const DEFAULT_SLOTS: usize = 128;
const MOST_SLOTS: usize = 1024;
