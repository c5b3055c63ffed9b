//! The raw protocol between stacks nobody here wrote, through a running relay: a quinn publisher, quinn and
//! quiche subscribers. No RFC; the protocol is defined in `relay/src/raw.rs`.
//!
//! The relay is `$QUIC_RELAY`; `make foreign` sets it.

use foreign_quic::PATIENCE;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with the test.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(program: &str, words: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    /// Reads lines until one begins like this.
    #[track_caller]
    fn says(&mut self, start: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("text") > 0 {
            if line.starts_with(start) {
                return line;
            }
            line.clear();
        }
        panic!("it never said {start}");
    }

    fn go(&mut self) {
        writeln!(self.child.stdin.as_ref().expect("piped"), "go").expect("it waits");
    }

    /// Its last line, when it ends well in time.
    #[track_caller]
    fn ends_well(mut self) -> String {
        let mut last = String::new();
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("text") > 0 {
            last = std::mem::take(&mut line);
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                assert!(status.success(), "{status}: {last}");
                return last;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end: {last}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our relay, on a port of its own.
fn relay() -> (Running, String) {
    let program = std::env::var("QUIC_RELAY").expect("set QUIC_RELAY, as `make foreign` does");
    let words = ["serve", "--raw", "--bind", "127.0.0.1:0", "--tls-generate", "localhost", "--report", "-"];
    let mut relay = Running::start(&program, &words);
    let line = relay.says("{\"event\":\"listening\"");
    let address = line.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
    (relay, address)
}

const PUBLISHER: &str = env!("CARGO_BIN_EXE_raw-quinn-pub");
const QUINN: &str = env!("CARGO_BIN_EXE_raw-quinn-sub");
const QUICHE: &str = env!("CARGO_BIN_EXE_raw-quiche-sub");

/// One quinn publisher, two quinn subscribers and a quiche subscriber; what the subscribers said at last.
fn run(publisher: &[&str], quinn: &[&str]) -> Vec<String> {
    let (_relay, address) = relay();
    let mut subscribers: Vec<Running> = [(QUINN, quinn), (QUINN, quinn), (QUICHE, &[])]
        .map(|(program, words)| Running::start(program, &[&[&address[..]], words].concat()))
        .into();
    for subscriber in &mut subscribers {
        subscriber.says("subscribed");
    }
    let publisher = Running::start(PUBLISHER, &[&[&address[..]], publisher].concat());
    let said = subscribers.into_iter().map(Running::ends_well).collect();
    publisher.ends_well();
    said
}

#[test]
fn every_stream_of_a_quinn_publisher_arrives_whole_at_quinn_and_quiche() {
    for said in run(&["--messages", "200"], &[]) {
        assert!(said.starts_with("200 of 200 messages, 0 altered, 0 repeated, 0 reset"), "{said}");
    }
}

#[test]
fn streams_of_one_packet_as_fast_as_they_go_arrive_whole() {
    for said in run(&["--messages", "1000", "--max", "900", "--pause", "0"], &[]) {
        assert!(said.starts_with("1000 of 1000 messages, 0 altered, 0 repeated, 0 reset"), "{said}");
    }
}

#[test]
fn every_datagram_of_a_quinn_publisher_arrives_once_at_quinn_and_quiche() {
    for said in run(&["--messages", "500", "--datagrams"], &[]) {
        assert!(said.starts_with("500 of 500 messages, 0 altered, 0 repeated, 0 reset"), "{said}");
    }
}

#[test]
fn key_updates_of_both_sides_disturb_nothing() {
    for said in run(&["--messages", "300", "--update-keys", "50"], &["--update-keys", "70"]) {
        assert!(said.starts_with("300 of 300 messages, 0 altered, 0 repeated, 0 reset"), "{said}");
    }
}

#[test]
fn subscriber_that_takes_another_port_misses_nothing() {
    for said in run(&["--messages", "300"], &["--rebind", "100"]) {
        assert!(said.starts_with("300 of 300 messages, 0 altered, 0 repeated, 0 reset"), "{said}");
    }
}

#[test]
fn late_subscriber_gets_whole_streams_from_its_coming_on() {
    let (_relay, address) = relay();
    let mut early = Running::start(QUINN, &[&address]);
    early.says("subscribed");
    let mut publisher = Running::start(PUBLISHER, &[&address, "--messages", "400", "--pause", "5000", "--hold"]);
    publisher.says("ready");
    publisher.go();
    std::thread::sleep(Duration::from_millis(700));
    let late = [QUINN, QUICHE].map(|program| Running::start(program, &[&address, "--some"]));
    for said in late.map(Running::ends_well) {
        assert!(said.contains("of 400 messages, 0 altered, 0 repeated, 0 reset"), "{said}");
        assert!(said.trim_end().ends_with("to 399") && !said.contains(", 0 to"), "{said}");
    }
    early.ends_well();
    publisher.ends_well();
}
