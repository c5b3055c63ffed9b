//! The relay of a world, and peers that use it. No RFC.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Process, required};
use crate::world::{Family, Place, World};

/// For a program to come up, or to answer.
pub const SOON: Duration = Duration::from_secs(10);

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// The process.
    pub process: Process,
    control: PathBuf,
}

impl Relay {
    /// Starts a relay with these words behind `serve`. `None` with SKIP if they demand a fast path that this program or
    /// machine cannot have.
    pub fn start(test: &str, world: &World, words: &str) -> Option<Self> {
        let program = required("QUIC_RELAY");
        if words.contains("--fast-path") && !text(Command::new(&program).args(["serve", "--help"])).contains("--fast-path") {
            eprintln!("SKIP {test}: this relay has no fast path");
            return None;
        }
        let control = world.folder().join("relay.sock");
        let mut command = world.command(Place::Relay, &program);
        command.args(["serve", "--bind", &format!("[::]:{}", crate::world::PORT)]);
        command.args(["--tls-generate", "localhost", "--report", "-"]).args(words.split_whitespace());
        if words.contains("--fast-path") {
            command.arg("--control").arg(&control);
        }
        command.env("SSLKEYLOGFILE", key_log(world));
        let mut process = Process::start("relay", &mut command);
        let until = Instant::now() + SOON;
        while !process.has_ended() && Instant::now() < until {
            if process.try_event_within("listening", Duration::from_millis(20)).is_some() {
                return Some(Self { process, control });
            }
        }
        let said = process.said();
        assert!(said.contains("not built in"), "the relay does not start:\n{said}");
        eprintln!("SKIP {test}: {}", said.lines().next().unwrap_or_default());
        None
    }

    /// What it says of itself.
    #[track_caller]
    pub fn status(&self) -> Value {
        let mut command = Command::new(required("QUIC_RELAY"));
        let said = text(command.args(["status", "--json", "--control"]).arg(&self.control));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("status: {error}: {said}"))
    }

    /// Switches the fast path while it runs.
    #[track_caller]
    pub fn switch(&self, is_on: bool) {
        let mut command = Command::new(required("QUIC_RELAY"));
        command.args(["fast-path", if is_on { "on" } else { "off" }, "--control"]).arg(&self.control);
        let output = command.output().expect("the relay's program");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Packets that the kernel and userspace sent to subscribers that are here.
    #[track_caller]
    pub fn packets(&self) -> (u64, u64) {
        let status = self.status();
        let sum = |name: &str| {
            let connections = status["connections"].as_array().into_iter().flatten();
            let subscribers = connections.filter(|connection| connection["role"] == "subscriber");
            subscribers.filter_map(|connection| connection[name].as_u64()).sum()
        };
        (sum("packets_from_kernel"), sum("packets_from_userspace"))
    }
}

/// Where the relay writes the secrets of its connections.
pub fn key_log(world: &World) -> PathBuf {
    world.folder().join("keys.log")
}

/// What a command prints.
fn text(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Removes what a relay has left in the kernel; what that says.
#[track_caller]
pub fn cleanup(world: &World) -> String {
    let mut command = world.command(Place::Relay, required("QUIC_RELAY"));
    let output = command.arg("cleanup").output().expect("the relay's program");
    assert!(output.status.success(), "cleanup: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Which program plays a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// quinn.
    Quinn,
    /// quiche.
    Quiche,
}

/// The programs of the peers.
#[derive(Clone, Copy, Debug)]
pub struct Peers {
    /// `raw-quinn`.
    pub quinn: &'static str,
    /// `raw-quiche`.
    pub quiche: &'static str,
}

impl Peers {
    /// A publisher that waits for `go`.
    #[track_caller]
    pub fn publisher(&self, world: &World, family: Family, words: &str) -> Process {
        self.publisher_at(world, Place::Publisher, family, words)
    }

    /// A publisher that is somewhere else.
    #[track_caller]
    pub fn publisher_at(&self, world: &World, place: Place, family: Family, words: &str) -> Process {
        let mut command = world.command(place, self.quinn);
        command.arg("pub").arg(world.relay_address(place, family).to_string()).args(words.split_whitespace());
        let mut process = Process::start("publisher", &mut command);
        process.event("ready", SOON);
        process
    }

    /// A subscriber that the relay knows.
    #[track_caller]
    pub fn subscriber(&self, world: &World, stack: Stack, family: Family, words: &str) -> Process {
        let program = if stack == Stack::Quinn { self.quinn } else { self.quiche };
        let mut command = world.command(Place::Subscribers, program);
        let relay = world.relay_address(Place::Subscribers, family);
        command.arg("sub").arg(relay.to_string()).args(words.split_whitespace());
        let mut process = Process::start(&format!("{stack:?} subscriber, {family:?}"), &mut command);
        process.event("ready", SOON);
        process
    }
}

/// Asserts that a subscriber got what the publisher sent: all streams, and the datagrams if `with_datagrams`.
///
/// RFC 9221 §5.2: whoever is too slow loses datagrams, and on a busy machine somebody is. None may be changed or doubled.
#[track_caller]
pub fn assert_exact(sent: &Value, received: &Value, with_datagrams: bool) {
    let mut names = vec!["streams", "streams_sha256"];
    if with_datagrams {
        let [all, came] = [sent, received].map(|of| of["datagrams"].as_u64().unwrap_or(0));
        let is_most = came * 100 >= all * DATAGRAMS_PERCENT;
        assert!(came <= all && is_most, "{came} of {all} datagrams: sent {sent}, received {received}");
        if came == all {
            names.push("datagrams_sha256");
        } else {
            eprintln!("{} of {all} datagrams are missing", all - came);
        }
    }
    for name in names {
        assert_eq!(sent[name], received[name], "{name}: sent {sent}, received {received}");
    }
    for name in ["altered", "doubled", "reset"] {
        assert_eq!(received[name], 0, "{name}: {received}");
    }
}

/// Of the datagrams, so many percent arrive at least.
const DATAGRAMS_PERCENT: u64 = 95;
