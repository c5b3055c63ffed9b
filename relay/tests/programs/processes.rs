//! Processes of the program, and what they leave behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::CLIP;

/// A running process; it is killed at the end of the test.
pub(crate) struct Program {
    pub(crate) child: Child,
    events: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(words: &[&str]) -> Self {
        Self::spawn(program(words))
    }

    /// The program with its words, wherever it is to run.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .args(["--report", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let output = child.stdout.take().expect("standard output is a pipe");
        Self {
            child,
            events: BufReader::new(output),
        }
    }

    /// Reads events until one of this name comes.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &str) -> Value {
        match self.next(name) {
            Some(event) => event,
            None => panic!("no {name}: {}", self.said()),
        }
    }

    /// The same; `None` when it ended without.
    pub(crate) fn next(&mut self, name: &str) -> Option<Value> {
        let mut line = String::new();
        while self.events.read_line(&mut line).expect("events are text") > 0 {
            let event: Value = serde_json::from_str(&line).expect("an event is JSON");
            if event["event"] == name {
                return Some(event);
            }
            line.clear();
        }
        None
    }

    pub(crate) fn said(&mut self) -> String {
        let mut text = String::new();
        let mut pipe = self.child.stderr.take().expect("asked for once");
        let _ = self.child.kill();
        pipe.read_to_string(&mut text).expect("messages are text");
        text
    }

    #[track_caller]
    pub(crate) fn ends_well(mut self) {
        let status = self.child.wait().expect("our own child");
        assert!(status.success(), "{status}: {}", self.said());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A relay on a free port, and its URL.
pub(crate) struct Relay {
    pub(crate) program: Program,
    pub(crate) url: String,
}

impl Relay {
    pub(crate) fn start(words: &[&str]) -> Self {
        let serve = ["serve", "--bind", "127.0.0.1:0"];
        let mut program = Program::start(&[&serve[..], words].concat());
        let listening = program.event("listening");
        let url = format!(
            "moqt://{}",
            listening["address"].as_str().expect("an address")
        );
        Self { program, url }
    }

    pub(crate) fn generated() -> Self {
        Self::start(&["--tls-generate", "localhost"])
    }

    /// A client's command line: `command` first, the track and `words` behind.
    pub(crate) fn client<'a>(&'a self, command: &'a str, words: &[&'a str]) -> Vec<&'a str> {
        let names = [
            "--namespace",
            "live/demo",
            "--track",
            "video",
            "--tls-disable-verify",
        ];
        [&[command, self.url.as_str()][..], &names, words].concat()
    }
}

/// A directory that is removed at the end of the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quic-relay-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain name").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quic-relay"));
    command.args(words).env_remove("RUST_LOG");
    command
}

#[track_caller]
pub(crate) fn same(a: impl AsRef<Path>, b: impl AsRef<Path>) {
    let (a, b) = (
        fs::read(a).expect("it was written"),
        fs::read(b).expect("it was written"),
    );
    assert!(a == b, "{} bytes and {} bytes differ", a.len(), b.len());
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A publisher that waits for its subscriber.
pub(crate) fn held(relay: &Relay, words: &[&str]) -> Program {
    let words = [&["--rate", "max", "--hold", CLIP], words].concat();
    let mut publisher = Program::start(&relay.client("publish", &words));
    publisher.event("ready");
    publisher
}

/// Once the subscriber is there the publisher sends; both end well.
pub(crate) fn go(publisher: Program, mut subscriber: Program) {
    subscriber.event("subscribed");
    send(publisher);
    subscriber.ends_well();
}

/// Lets a publisher go that has waited.
pub(crate) fn send(mut publisher: Program) {
    let input = publisher.child.stdin.as_mut();
    writeln!(input.expect("a pipe"), "go").expect("the publisher reads");
    publisher.ends_well();
}

#[track_caller]
pub(crate) fn within(limit: Duration, mut holds: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "processes run in real time")]
    let now = Instant::now;
    let end = now() + limit;
    while !holds() {
        assert!(now() < end, "not within {limit:?}");
        pause(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "there is nothing to wait on")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}
