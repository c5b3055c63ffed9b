//! The processes of the lab: this very program, started again with other words.
//!
//! No RFC. A process tells what it does as events on its standard output; a thread of ours reads them
//! and sends them on with the process's number. Its standard error goes to a file, whose last line
//! is the reason when it fails. Dropping a process ends it: SIGTERM, a moment, SIGKILL.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespaces;
use crate::error::{Failure, Kind, Result};
use crate::report::Event;

/// Something that a process did.
#[derive(Debug)]
pub(crate) struct Message {
    /// Number of the process.
    pub(crate) from: usize,
    /// What it told; `None` when it will tell nothing more, because it has ended.
    pub(crate) event: Option<Event>,
}

/// A process of the lab.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// How and where to start a process.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// What it is called in messages.
    pub(crate) name: String,
    /// Its number.
    pub(crate) number: usize,
    /// The network namespace, if there are any.
    pub(crate) namespace: Option<&'a str>,
    /// A directory for its log.
    pub(crate) directory: &'a Path,
}

impl Process {
    /// Starts this program with `words` as its command line.
    pub(crate) fn start(
        launch: &Launch<'_>,
        words: &[String],
        messages: Sender<Message>,
    ) -> Result<Self> {
        let name = launch.name.clone();
        let cannot =
            |error| Failure::new(Kind::Rights, format!("cannot start the {name}: {error}"));
        let log = launch.directory.join(format!("{}.log", launch.number));
        let mut child = command(launch.namespace)
            .map_err(cannot)?
            .arg("--die-with-parent")
            .args(words)
            .args(["--report", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).map_err(cannot)?)
            // Ctrl-C is for the lab, which then ends them in order.
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        let output = child
            .stdout
            .take()
            .expect("standard output was asked for as a pipe");
        let process = Self {
            name: launch.name.clone(),
            child,
            log,
        };
        let from = launch.number;
        let read = move || {
            let lines = BufReader::new(output)
                .lines()
                .map_while(std::result::Result::ok);
            for event in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                let event = Some(event);
                let _ = messages.send(Message { from, event });
            }
            let _ = messages.send(Message { from, event: None });
        };
        thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(read)
            .map_err(cannot)?;
        Ok(process)
    }

    /// Sends a line to the process's standard input.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let input = self
            .child
            .stdin
            .as_mut()
            .expect("standard input was asked for as a pipe");
        writeln!(input, "{line}").map_err(|_| self.failure())
    }

    /// CPU time the process has used so far.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        // The first number of `schedstat` is nanoseconds; `stat` counts in ticks of 10 ms.
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let mut nanos = 0;
        for task in tasks {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            nanos += text.split(' ').next()?.parse::<u64>().ok()?;
        }
        Some(Duration::from_nanos(nanos))
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits until it has ended; one that does not end in time is killed.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(None) if now() < deadline => pause(),
                Ok(None) => {
                    self.signal(Signal::SIGKILL);
                    return self.child.wait().ok();
                }
                Ok(Some(status)) => return Some(status),
                Err(_) => return None,
            }
        }
    }

    /// Why it failed: the line with which it gave up, or how it ended.
    pub(crate) fn failure(&mut self) -> Failure {
        let ended = match self.wait(GRACE) {
            Some(status) => status.to_string(),
            None => "it is gone".into(),
        };
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines().rev();
        let reason = lines.find_map(|line| line.strip_prefix("quic-relay: "));
        let reason = reason.map_or(ended, str::to_owned);
        Failure::new(Kind::Result, format!("the {} failed: {reason}", self.name))
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended but was not waited for still has its number: no other is hit.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.terminate();
            self.wait(GRACE);
        }
    }
}

/// `ip netns exec` replaces itself by the program, so the child's number is the program's.
fn command(namespace: Option<&str>) -> std::io::Result<Command> {
    let program = std::env::current_exe()?;
    Ok(match namespace {
        Some(namespace) => {
            let [ip, words @ ..] = namespaces::prefix(namespace);
            let mut command = Command::new(ip);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the lab is a program: it may read the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no file descriptor to wait on for a child"
)]
fn pause() {
    thread::sleep(Duration::from_millis(5));
}

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);
