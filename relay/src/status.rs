//! What a running relay says of itself, and `quic-relay status`, which asks it. No RFC.
//!
//! The same object goes over the control socket and to `--json`; the table shows the part that people
//! look for: who is served by the kernel, who is not, and why.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use quic_relay::serve::{Counters, Roles};
use serde::{Deserialize, Serialize};

use crate::args;
use crate::control::{Request, ask, default_path};
use crate::error::{Failure, Kind, Result};
use crate::terminal::columns;

/// A running relay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The program's version.
    pub(crate) version: String,
    /// Where it listens.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The path through the kernel.
    pub(crate) fast_path: FastPath,
    /// Everybody who is connected.
    pub(crate) connections: Vec<Connection>,
    /// What was done since the start.
    pub(crate) relay: Counters,
    /// System calls of the event loop since the start.
    pub(crate) system_calls: u64,
}

/// The path through the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FastPath {
    /// Whether it is used.
    pub(crate) on: bool,
    /// How it is attached, or why it is not used.
    pub(crate) what: String,
    /// Where.
    pub(crate) interfaces: Vec<String>,
    /// Places for publishers and subscribers that are taken.
    pub(crate) slots_used: u32,
    /// All places.
    pub(crate) slots: u32,
    /// Bytes of shared memory.
    pub(crate) memory: u64,
    /// How often each decision was taken.
    pub(crate) counters: BTreeMap<String, u64>,
    /// The programs.
    pub(crate) programs: Vec<Program>,
}

/// A kernel program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: String,
    /// Instructions that the verifier looked at when it was loaded.
    pub(crate) verified_instructions: u64,
    /// Time that it ran, in ns; zero unless that is measured (`kernel.bpf_stats_enabled`). A program that
    /// another one sets off counts for both.
    pub(crate) run_time_ns: u64,
    /// How often it ran; zero unless measured.
    pub(crate) runs: u64,
}

/// Somebody who is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Connection {
    /// Its address.
    pub(crate) peer: SocketAddr,
    /// What it does here.
    pub(crate) role: Role,
    /// Whether the kernel takes part in it.
    pub(crate) in_kernel: bool,
    /// Why not.
    pub(crate) reason: Option<String>,
    /// Packets with media that the kernel sent to it.
    pub(crate) packets_from_kernel: u64,
    /// Packets with media that userspace sent to it.
    pub(crate) packets_from_userspace: u64,
    /// Packets of it that the kernel forwarded to somebody.
    pub(crate) packets_forwarded: u64,
}

/// What a peer does here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// It brings tracks.
    Publisher,
    /// It takes tracks.
    Subscriber,
    /// It does both, as another relay may.
    Both,
    /// Neither, up to now.
    #[default]
    Idle,
}

/// Runs `quic-relay status`.
pub(crate) fn run(options: &args::Status) -> Result<()> {
    let (text, status) = exchange(&options.relay, Request::Status)?;
    match options.json {
        true => println!("{text}"),
        false => print!("{status}"),
    }
    Ok(())
}

/// Runs `quic-relay fast-path`.
pub(crate) fn switch(options: &args::Switch) -> Result<()> {
    let on = options.state == args::OnOff::On;
    let (_, status) = exchange(&options.relay, Request::FastPath(on))?;
    match status.fast_path.on {
        true => Ok(()),
        false => {
            let why = status.fast_path.what;
            let what = format!("that relay has no fast path: {why}");
            Err(Failure::new(Kind::Refused, what))
        }
    }
}

/// What a relay answers: as it came, and understood.
fn exchange(relay: &args::Running, request: Request) -> Result<(String, Status)> {
    let path = match &relay.control {
        Some(path) => path.clone(),
        None => default_path(relay.port).ok_or_else(|| {
            Failure::new(Kind::Usage, "XDG_RUNTIME_DIR is not set")
                .advise("say with --control where the relay answers")
        })?,
    };
    let text = ask(&path, request)?;
    let status = serde_json::from_str(&text).map_err(|error| {
        let path = path.display();
        let what = format!("the answer at {path} is not understood: {error}");
        Failure::new(Kind::Refused, what).advise("is the relay of another version?")
    })?;
    Ok((text, status))
}

impl Role {
    /// Whether it takes tracks.
    pub(crate) const fn takes(self) -> bool {
        matches!(self, Self::Subscriber | Self::Both)
    }
}

impl From<Roles> for Role {
    fn from(roles: Roles) -> Self {
        match (roles.publishes, roles.subscribes) {
            (true, true) => Self::Both,
            (true, false) => Self::Publisher,
            (false, true) => Self::Subscriber,
            (false, false) => Self::Idle,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
            Self::Both => "both",
            Self::Idle => "idle",
        })
    }
}

impl FastPath {
    /// Whether and how, in one line.
    pub(crate) fn summary(&self) -> String {
        let state = if self.on { "on" } else { "off" };
        format!("fast path: {state}, {}", self.what)
    }
}

impl fmt::Display for FastPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.summary())?;
        if !self.on {
            return Ok(());
        }
        writeln!(f, "; {} in use", self.slots_used)?;
        let counters = self.counters.iter().filter(|(_, count)| **count > 0);
        let counters: Vec<_> = counters
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        writeln!(f, "decisions: {}", counters.join(", "))?;
        let programs: Vec<_> = self
            .programs
            .iter()
            .map(|program| format!("{} {}", program.name, program.verified_instructions))
            .collect();
        write!(f, "verified instructions: {}", programs.join(", "))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        let version = &self.version;
        writeln!(f, "quic-relay {version} on {}", addresses.join(", "))?;
        writeln!(f, "{}", self.fast_path)?;
        writeln!(f, "relay: {}", self.relay)?;
        let rows = self.connections.iter().map(|connection| {
            let path = if connection.in_kernel {
                "kernel"
            } else {
                "userspace"
            };
            [
                connection.peer.to_string(),
                connection.role.to_string(),
                path.to_owned(),
                connection.packets_from_kernel.to_string(),
                connection.packets_from_userspace.to_string(),
                connection.packets_forwarded.to_string(),
                connection.reason.clone().unwrap_or_default(),
            ]
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            write!(f, "{}", columns(&COLUMNS, &rows, &WORDS))?;
        }
        Ok(())
    }
}

const COLUMNS: [&str; 7] = [
    "peer",
    "role",
    "path",
    "from kernel",
    "from userspace",
    "forwarded",
    "reason",
];
const WORDS: [&str; 4] = ["peer", "role", "path", "reason"];

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let counters = [("forwarded", 5), ("gso", 0), ("no-budget", 1)];
        let subscriber = Connection {
            peer: "10.71.2.2:40000".parse().unwrap(),
            role: Role::Subscriber,
            in_kernel: true,
            reason: None,
            packets_from_kernel: 5,
            packets_from_userspace: 12,
            packets_forwarded: 0,
        };
        let publisher = Connection {
            peer: "10.71.1.2:40001".parse().unwrap(),
            role: Role::Publisher,
            in_kernel: false,
            reason: Some("cipher-not-chacha20".into()),
            packets_from_kernel: 0,
            packets_from_userspace: 3,
            packets_forwarded: 0,
        };
        Status {
            version: "0.1.0".into(),
            addresses: vec!["[::]:4443".parse().unwrap()],
            fast_path: FastPath {
                on: true,
                what: "TCX on to-pub".into(),
                slots_used: 1,
                slots: 128,
                counters: counters.map(|(name, count)| (name.into(), count)).into(),
                programs: vec![Program {
                    name: "qrelay_ingress".into(),
                    verified_instructions: 7,
                    ..Program::default()
                }],
                ..FastPath::default()
            },
            connections: vec![subscriber, publisher],
            ..Status::default()
        }
    }

    #[test]
    fn table_says_who_is_in_the_kernel_and_why_not() {
        let text = status().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "quic-relay 0.1.0 on [::]:4443");
        assert_eq!(lines[1], "fast path: on, TCX on to-pub; 1 in use");
        assert_eq!(lines[2], "decisions: forwarded 5, no-budget 1");
        assert_eq!(lines[3], "verified instructions: qrelay_ingress 7");
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let cells = ["10.71.2.2:40000", "subscriber", "kernel", "5", "12", "0"];
        assert_eq!(words(lines[6]), cells);
        assert!(lines[7].ends_with("cipher-not-chacha20"), "{text}");
    }

    #[test]
    fn relay_without_fast_path_says_why() {
        let off = FastPath {
            what: "not built in".into(),
            ..FastPath::default()
        };
        assert_eq!(off.to_string(), "fast path: off, not built in");
    }

    #[test]
    fn what_is_said_is_understood() {
        let text = serde_json::to_string(&status()).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status());
    }
}
