//! The measurements, and what they share: a relay with its subscribers, a source, and a stretch of messages. No RFC.

mod growth;
mod saturation;
mod steady;
mod system_calls;
mod upstream_loss;

use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Once;
use std::time::Duration;

use serde::Deserialize;

use crate::interruption::pause;
use crate::network::{Network, RELAY_FOR_PUBLISHER, RELAY_FOR_SUBSCRIBERS, SUBSCRIBER};
use crate::paths::{Path, Programs, Relay, SOON};
use crate::plan::{Job, Mode, Plan};
use crate::process::{Failure, Process};
use crate::results::{Delay, Results};
use crate::usage::{Books, Told};

/// Where everything runs; all of it is gone when this is dropped.
#[derive(Debug)]
pub struct Stage {
    network: Network,
    programs: Programs,
    folder: PathBuf,
}

impl Stage {
    /// Makes the network, and a folder for what programs write.
    pub fn build(relay: PathBuf) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("quic-relay-bench-{}", std::process::id()));
        let stage = Self {
            network: Network::create()?,
            programs: Programs::new(relay)?,
            folder,
        };
        fs::create_dir_all(&stage.folder)?;
        Ok(stage)
    }

    /// Does a job, and writes down what it found.
    pub fn run(&self, plan: &Plan, job: Job, results: &mut Results) -> Result<(), Failure> {
        match job {
            Job::Steady {
                round,
                path,
                subscribers,
            } => {
                let mut session = Session::open(self, path, subscribers)?;
                for &mode in plan.modes {
                    let found = steady::delay(&mut session, mode, plan.stretch, round)?;
                    results.delay.push(found);
                }
                for &mode in plan.modes {
                    let found = steady::cost(&mut session, mode, plan.stretch, round)?;
                    results.cost.push(found);
                }
            }
            Job::Saturation { round, path } => {
                let mut session = Session::open(self, path, MANY)?;
                saturation::run(&mut session, plan.step, round, &mut results.saturation)?;
            }
            Job::Growth(path) => growth::run(self, path, plan.idle, &mut results.growth)?,
            Job::SystemCalls(path) => {
                let mut session = Session::open(self, path, MANY)?;
                let seconds = plan.system_calls.unwrap_or_default();
                results
                    .system_calls
                    .push(system_calls::run(&mut session, seconds)?);
            }
            Job::UpstreamLoss(path) => {
                let mut session = Session::open(self, path, 1)?;
                let seconds = plan.loss.unwrap_or_default();
                results
                    .upstream_loss
                    .push(upstream_loss::run(&mut session, seconds)?);
            }
        }
        Ok(())
    }

    fn relay(&self, path: Path) -> Result<Option<Relay>, Failure> {
        self.programs.start(path, &self.folder)
    }

    /// So many subscribers of a relay.
    fn sink(&self, address: &str, words: &[&str]) -> Result<Process, Failure> {
        let mut command = self.programs.sink();
        command.arg(address).args(words);
        let mut sink = Process::start("sink", &mut command, &self.folder)?;
        sink.event("ready", CONNECTING)?;
        Ok(sink)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A relay, unless the path has none, and its subscribers.
struct Session<'a> {
    stage: &'a Stage,
    path: Path,
    subscribers: usize,
    sink: Process,
    relay: Option<Relay>,
}

/// A stretch of messages.
struct Stretch {
    /// How many were sent.
    sent: u64,
    /// In which time.
    seconds: f64,
    received: Received,
}

/// What the subscribers got; delays are in the order of arrival.
#[derive(Debug, Deserialize)]
struct Received {
    packets: u64,
    messages: u64,
    first: Vec<Delay>,
    last: Vec<Delay>,
    application: Vec<Delay>,
}

impl<'a> Session<'a> {
    fn open(stage: &'a Stage, path: Path, subscribers: usize) -> Result<Self, Failure> {
        let relay = stage.relay(path)?;
        let sink = match relay {
            Some(_) => {
                let count = subscribers.to_string();
                stage.sink(RELAY_FOR_SUBSCRIBERS, &["--subscribers", &count])?
            }
            None => stage.sink(SUBSCRIBER, &["--udp"])?,
        };
        Ok(Self {
            stage,
            path,
            subscribers,
            sink,
            relay,
        })
    }

    fn folder(&self) -> &FilePath {
        &self.stage.folder
    }

    /// A source of so many messages a second, or `max`, that has sent a few already.
    fn source(&mut self, mode: Mode, rate: &str) -> Result<Process, Failure> {
        let mut command = self.stage.programs.source();
        match self.relay {
            Some(_) => command.arg(RELAY_FOR_PUBLISHER),
            None => command.args([SUBSCRIBER, "--udp"]),
        };
        command.args(["--mode", mode.name(), "--rate", rate]);
        let mut source = Process::start("source", &mut command, &self.stage.folder)?;
        source.event("ready", SOON)?;
        self.stretch(&mut source, WARMING_UP)?;
        Ok(source)
    }

    /// Lets the source send for so long, and waits until what it sent has arrived or is lost.
    fn stretch(&mut self, source: &mut Process, seconds: f64) -> Result<Stretch, Failure> {
        self.sink.order("start")?;
        pause(SETTLING)?;
        source.order(&format!("go {seconds}"))?;
        let sent = source.event("sent", SOON + Duration::from_secs_f64(seconds))?;
        pause(ARRIVING)?;
        self.sink.order("report")?;
        let received = self.sink.event("received", SOON)?;
        Ok(Stretch {
            sent: sent["messages"].as_u64().ok_or("the source counts")?,
            seconds: sent["seconds"].as_f64().ok_or("the source has a clock")?,
            received: serde_json::from_value(received)?,
        })
    }

    /// The books of this session with this source, while interrupts are booked.
    fn books(&self, source: &Process) -> Books {
        let relay = self.relay.as_ref().map(|relay| relay.process.id());
        let books = Books::open(relay, self.sink.id(), source.id());
        if !books.has_interrupts() {
            UNBOOKED.call_once(|| eprintln!("bench: {WITHOUT_THREADS}"));
        }
        books
    }

    /// What the relay tells of itself.
    fn told(&self) -> Told {
        self.relay.as_ref().map(Relay::told).unwrap_or_default()
    }
}

impl Stretch {
    /// Of so many messages that should have come: how many did not.
    fn lost(&self, subscribers: usize) -> u64 {
        (self.sent * subscribers as u64).saturating_sub(self.received.messages)
    }
}

static UNBOOKED: Once = Once::new();
/// What the figures are then, for people.
const WITHOUT_THREADS: &str = "this kernel takes in packets without threads of their own: of the relay's interrupts \
    only its BPF programs count, and receivers and source are booked with others' work";
/// Subscribers where there are to be many.
const MANY: usize = 100;
/// For all subscribers to connect.
const CONNECTING: Duration = Duration::from_secs(60);
/// For a source whose relay and subscribers have to get used to it; in seconds.
const WARMING_UP: f64 = 0.2;
/// Before messages are sent.
const SETTLING: Duration = Duration::from_millis(30);
/// After the last was sent: longer than a loss takes to be repaired here.
const ARRIVING: Duration = Duration::from_millis(200);
