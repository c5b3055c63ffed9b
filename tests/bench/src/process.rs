//! Programs that tell events, one JSON object a line, and take orders. No RFC.
//!
//! A process is killed when this is dropped. What it says on its standard error goes to a file, whose last line is the reason
//! when it fails.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::interruption::{self, SLICE};

/// Why something did not work, for people.
pub type Failure = Box<dyn Error>;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    /// Until it is to end.
    input: Option<ChildStdin>,
    takes_orders: bool,
    events: Receiver<Value>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; `name` is for messages and for the log in `folder`.
    pub fn start(
        name: &'static str,
        command: &mut Command,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let log = folder.join(format!("{name}.log"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            // Ctrl-C is for us, who then end it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start the {name}: {error}"))?;
        let output = child.stdout.take().expect("asked for as a pipe");
        let input = child.stdin.take().expect("asked for as a pipe");
        let (sender, events) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            let events = lines.filter_map(|line| serde_json::from_str(&line).ok());
            // Until nobody listens any more.
            let _ = events.map(|event| sender.send(event)).find(Result::is_err);
        });
        Ok(Self {
            name,
            child,
            input: Some(input),
            takes_orders: false,
            events,
            log,
        })
    }

    /// The next event of this name; others before it are passed over.
    pub fn event(&mut self, event: &str, limit: Duration) -> Result<Value, Failure> {
        let end = Instant::now() + limit;
        loop {
            interruption::check()?;
            match self.events.recv_timeout(SLICE) {
                Ok(told) if told["event"] == event => return Ok(told),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(RecvTimeoutError::Timeout) => {
                    let name = self.name;
                    return Err(format!("the {name} did not say `{event}` in {limit:?}").into());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.end()),
            }
        }
    }

    /// One line on its standard input.
    pub fn order(&mut self, line: &str) -> Result<(), Failure> {
        self.takes_orders = true;
        let input = self.input.as_mut();
        let written = input.map(|input| writeln!(input, "{line}"));
        match written {
            Some(Ok(())) => Ok(()),
            _ => Err(self.end()),
        }
    }

    /// Its number. `ip netns exec` replaces itself, so this is the program's own.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // A child that has ended but was not waited for still has its number: no other is hit.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), signal);
        }
    }

    /// What it said on its standard error.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has ended; whether it has.
    pub fn wait(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => return true,
            }
        }
        false
    }

    /// It has ended before it should.
    fn end(&mut self) -> Failure {
        self.wait(GRACE);
        let said = self.said();
        let reason = said.lines().rev().find(|line| !line.trim().is_empty());
        let reason = reason.unwrap_or("without a word");
        format!("the {} has ended: {reason}", self.name).into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Who takes orders says goodbye when there can be no more of them.
        self.input = None;
        if self.takes_orders && self.wait(GRACE) {
            return;
        }
        // In order first: a relay takes its kernel programs away.
        self.signal(Signal::SIGTERM);
        if !self.wait(GRACE) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// For a process to end.
const GRACE: Duration = Duration::from_secs(2);
