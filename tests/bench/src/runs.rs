//! The measurements, and what they share: a relay with its subscribers, a source, and a stretch of messages. No RFC.

mod crowd;
mod film;
mod growth;
mod saturation;
mod stacks;
mod startup;
mod steady;
mod system_calls;
mod upstream_loss;

use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Once;
use std::time::Duration;

use serde::Deserialize;

use crate::interruption::pause;
use crate::network::{Network, prefer};
use crate::paths::{Given, Path, Programs, Relay, SOON};
use crate::plan::{Job, Mode, Plan, Section};
use crate::process::{Failure, Process};
use crate::results::{Delay, Results};
use crate::usage::{Books, Told, Usage};

/// Where everything runs; all of it is gone when this is dropped.
#[derive(Debug)]
pub struct Stage {
    network: Network,
    programs: Programs,
    folder: PathBuf,
    /// Where what is kept goes.
    output: PathBuf,
}

impl Stage {
    /// Makes the network, and a folder for what programs write; what is to be kept goes to `output`.
    pub fn build(given: &Given, output: &FilePath) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("quic-relay-bench-{}", std::process::id()));
        let stage = Self {
            network: Network::create()?,
            programs: Programs::new(given)?,
            folder,
            output: output.to_owned(),
        };
        fs::create_dir_all(&stage.folder)?;
        Ok(stage)
    }

    /// Why a path cannot be measured, if it cannot.
    pub fn lacks(&self, path: Path) -> Option<&'static str> {
        self.programs.lacks(path)
    }

    /// Does a job, and writes down what it found.
    pub fn run(&self, plan: &Plan, job: Job, results: &mut Results) -> Result<(), Failure> {
        if job.section == Section::Growth {
            return growth::run(self, job.path, plan.idle, &mut results.growth);
        }
        if job.section == Section::Crowd {
            return crowd::run(self, job, plan.crowd, &mut results.crowd);
        }
        let mut session = Session::open(self, job)?;
        match job.section {
            Section::Steady => steady::run(&mut session, plan, results)?,
            Section::Saturation => {
                saturation::run(&mut session, plan.step, &mut results.saturation)?;
            }
            Section::Scale => results.scale.push(steady::scale(&mut session)?),
            Section::Startup => {
                let found = startup::run(&mut session, plan.joiners)?;
                results.startup.push(found);
            }
            Section::Film => results.film.push(film::run(&mut session, plan.film)?),
            Section::Growth | Section::Crowd => {}
            Section::Calls => {
                let seconds = plan.system_calls.unwrap_or_default();
                let found = system_calls::run(&mut session, seconds)?;
                results.system_calls.push(found);
            }
            Section::Stacks => {
                let rate = saturation::best(&results.saturation, job.path.name(), job.subscribers);
                let seconds = plan.stacks.unwrap_or_default();
                results
                    .stacks
                    .push(stacks::run(&mut session, rate, seconds)?);
            }
            Section::Loss => {
                let seconds = plan.loss.unwrap_or_default();
                let found = upstream_loss::run(&mut session, seconds)?;
                results.upstream_loss.push(found);
            }
        }
        Ok(())
    }

    fn relay(&self, path: Path, subscribers: usize) -> Result<Option<Relay>, Failure> {
        self.programs.start(path, subscribers, &self.folder)
    }

    /// So many subscribers.
    fn sink(&self, path: Path, subscribers: usize) -> Result<Process, Failure> {
        let mut command = self.programs.sink(path, subscribers);
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
    job: Job,
    /// Nobody before the first source is there: then it is who comes with the source.
    sink: Option<Process>,
    relay: Option<Relay>,
}

/// A stretch of messages.
struct Stretch {
    /// How many were sent.
    sent: u64,
    /// How many were not, since it was too late for them.
    skipped: u64,
    /// Of a film: the number of each frame's last message.
    last_of_frames: Option<Vec<u64>>,
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
    fn open(stage: &'a Stage, job: Job) -> Result<Self, Failure> {
        let relay = stage.relay(job.path, job.subscribers)?;
        // A track of MOQT is there as long as its publisher is, and cheap subscribers cannot ask for it twice.
        let sink = match job.path.is_moqt() {
            true => None,
            false => Some(stage.sink(job.path, job.subscribers)?),
        };
        Ok(Self {
            stage,
            job,
            sink,
            relay,
        })
    }

    fn folder(&self) -> &FilePath {
        &self.stage.folder
    }

    /// A source of so many messages a second, or `max`, that has sent a few already.
    fn source(&mut self, mode: Mode, rate: &str) -> Result<Process, Failure> {
        self.source_that(&["--mode", mode.name(), "--rate", rate])
    }

    /// A source that was told this, and has sent a few messages already.
    fn source_that(&mut self, words: &[&str]) -> Result<Process, Failure> {
        let mut source = self.silent_source(words)?;
        self.stretch(&mut source, WARMING_UP)?;
        Ok(source)
    }

    /// A source that was told this.
    fn silent_source(&mut self, words: &[&str]) -> Result<Process, Failure> {
        let mut command = self.stage.programs.source(self.job.path);
        let mut source = Process::start("source", command.args(words), &self.stage.folder)?;
        source.event("ready", SOON)?;
        if self.job.path.is_moqt() {
            // Those before leave first.
            self.sink = None;
            self.sink = Some(self.stage.sink(self.job.path, self.job.subscribers)?);
        }
        Ok(source)
    }

    /// Lets the source send for so long, and waits until what it sent has arrived or is lost.
    fn stretch(&mut self, source: &mut Process, seconds: f64) -> Result<Stretch, Failure> {
        self.stretch_at(source, seconds, "")
    }

    /// The same with so many messages a second.
    fn stretch_at(
        &mut self,
        source: &mut Process,
        seconds: f64,
        rate: &str,
    ) -> Result<Stretch, Failure> {
        self.sink()?.order("start")?;
        pause(SETTLING)?;
        source.order(format!("go {seconds} {rate}").trim_end())?;
        let sent = source.event("sent", SOON + Duration::from_secs_f64(seconds))?;
        pause(ARRIVING)?;
        self.sink()?.order("report")?;
        let received = self.sink()?.event("received", SOON)?;
        Ok(Stretch {
            sent: sent["messages"].as_u64().ok_or("the source counts")?,
            skipped: sent["skipped"].as_u64().ok_or("the source counts")?,
            last_of_frames: serde_json::from_value(sent["last_of_frames"].clone())?,
            seconds: sent["seconds"].as_f64().ok_or("the source has a clock")?,
            received: serde_json::from_value(received)?,
        })
    }

    /// The same, and what was used for each packet that came, while interrupts are booked.
    fn measure(
        &mut self,
        source: &mut Process,
        seconds: f64,
        rate: &str,
    ) -> Result<(Stretch, Usage), Failure> {
        // A publisher has a machine of its own: the relay's work does not keep it from sending.
        prefer(&source.id().to_string());
        let books = self.books(source)?;
        let told = self.told();
        let before = books.read(told);
        let stretch = self.stretch_at(source, seconds, rate)?;
        // Asking the relay costs it something, which is not to count.
        let after = books.read(told).with(self.told());
        let used = after.per_packet(before, stretch.received.packets);
        Ok((stretch, used))
    }

    /// The books of this session with this source, while interrupts are booked.
    fn books(&mut self, source: &Process) -> Result<Books, Failure> {
        let relay = self.relay.as_ref().map(|relay| relay.process.id());
        let books = Books::open(relay, self.sink()?.id(), source.id());
        if !books.has_interrupts() {
            UNBOOKED.call_once(|| eprintln!("bench: {WITHOUT_THREADS}"));
        }
        Ok(books)
    }

    /// The subscribers.
    fn sink(&mut self) -> Result<&mut Process, Failure> {
        self.sink
            .as_mut()
            .ok_or_else(|| "nobody has subscribed yet".into())
    }

    /// What the relay tells of itself.
    fn told(&self) -> Told {
        self.relay.as_ref().map(Relay::told).unwrap_or_default()
    }

    /// Name of the path, for the results.
    fn path(&self) -> String {
        self.job.path.name().to_owned()
    }
}

impl Stretch {
    /// Of the messages that should have come to so many subscribers: how many did not.
    fn lost(&self, subscribers: usize) -> u64 {
        (self.sent * subscribers as u64).saturating_sub(self.received.messages)
    }
}

static UNBOOKED: Once = Once::new();
/// What the figures are then, for people.
const WITHOUT_THREADS: &str = "this kernel takes in packets without threads of their own: of the relay's interrupts \
    only its BPF programs count, and receivers and source are booked with others' work";
/// For all subscribers to connect.
const CONNECTING: Duration = Duration::from_secs(60);
/// For a source whose relay and subscribers have to get used to it; in seconds.
const WARMING_UP: f64 = 0.2;
/// Before messages are sent.
const SETTLING: Duration = Duration::from_millis(30);
/// After the last was sent: longer than a loss takes to be repaired here.
const ARRIVING: Duration = Duration::from_millis(200);
