//! Programs that tell events, one JSON object a line, and take orders. No RFC.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// What `make foreign` sets: the path of a program or a folder.
pub fn required(variable: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("set {variable}, as `make foreign` does")))
}

/// A running program; it is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    events: Receiver<Value>,
    said: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `command`; `name` is for messages.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        let (sender, events) = channel();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let said = Arc::new(Mutex::new(String::new()));
        let (mut errors, copy) = (child.stderr.take().expect("piped"), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = errors.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                copy.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Self { name: name.to_owned(), input: child.stdin.take(), child, events, said }
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it said on standard error.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next event of this name; others before it are passed over. Fails when there is none within `limit`.
    #[track_caller]
    pub fn event(&mut self, event: &str, limit: Duration) -> Value {
        let end = Instant::now() + limit;
        loop {
            let why = match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(told) if told["event"] == event => return told,
                Ok(told) if told["event"] == "failed" => format!("it failed: {}", told["reason"]),
                Ok(_) => continue,
                Err(RecvTimeoutError::Timeout) => format!("not within {limit:?}"),
                Err(RecvTimeoutError::Disconnected) => format!("it ended: {:?}", self.child.wait()),
            };
            panic!("{}: no event `{event}`: {why}\n{}", self.name, self.said());
        }
    }

    /// The next event of this name, if it comes within `limit`; others are passed over.
    pub fn try_event_within(&mut self, event: &str, limit: Duration) -> Option<Value> {
        let end = Instant::now() + limit;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(told) if told["event"] == event => return Some(told),
                Ok(told) => eprintln!("{}: {told}", self.name),
                Err(_) => return None,
            }
        }
    }

    /// One line on its standard input.
    #[track_caller]
    pub fn order(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was not closed");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{}: {error}\n", self.name));
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("our own child");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ends(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < end, "{} did not end within {limit:?}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes its standard output away from us, for one that tells no events.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.said());
        }
    }
}
