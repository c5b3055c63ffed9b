//! The receiver of plain UDP, as the floor's copies come to it: on the loopback interface. No RFC.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bench::message::Message;
use serde_json::{Value, json};

#[test]
fn copies_are_told_apart_by_their_numbers() {
    let mut sink = Sink::start(2);
    let socket = sink.socket();
    sink.order("start");
    for (copy, sequence) in [(0, 5), (1, 5), (1, 5), (0, 6), (2, 6)] {
        socket.send(&packet(copy, sequence)).unwrap();
    }
    // So that all have come when it is asked.
    thread::sleep(Duration::from_millis(200));
    sink.order("report");
    let received = sink.event();
    assert_eq!(
        (&received["packets"], &received["messages"]),
        (&json!(5), &json!(3)),
        "one came twice and one for nobody"
    );
    assert_eq!(received["first"].as_array().unwrap().len(), 2);
    assert_eq!(received["last"].as_array().unwrap().len(), 1);
}

#[test]
fn a_flood_does_not_keep_orders_waiting() {
    let mut sink = Sink::start(1);
    let flood = Flood::of(&sink);
    // So that more waits than is received meanwhile.
    thread::sleep(Duration::from_millis(500));
    sink.order("start");
    thread::sleep(Duration::from_millis(500));
    sink.order("report");
    let received = sink.event();
    flood.end();
    assert!(received["packets"].as_u64().unwrap() > 0, "{received}");
}

/// The program; it ends with this.
struct Sink {
    child: Child,
    input: ChildStdin,
    events: Receiver<Value>,
    address: String,
}

impl Sink {
    fn start(subscribers: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-sink"))
            .args(["127.0.0.1:0", "--udp", "--subscribers"])
            .arg(subscribers.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, events) = (
            child.stdin.take().unwrap(),
            events(child.stdout.take().unwrap()),
        );
        let mut sink = Self {
            child,
            input,
            events,
            address: String::new(),
        };
        sink.address = sink.event()["address"].as_str().unwrap().to_owned();
        sink
    }

    fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(&self.address).unwrap();
        socket
    }

    fn order(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn event(&self) -> Value {
        let event = self.events.recv_timeout(PATIENCE);
        event.expect("it answers in time")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn events(output: ChildStdout) -> Receiver<Value> {
    let (sender, events) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let events = lines.filter_map(|line| serde_json::from_str(&line).ok());
        let _ = events.map(|event| sender.send(event)).find(Result::is_err);
    });
    events
}

/// Packets as fast as they can be sent, for some seconds at most.
struct Flood {
    has_ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    fn of(sink: &Sink) -> Self {
        let has_ended = Arc::new(AtomicBool::new(false));
        let thread = |_| {
            let (socket, has_ended) = (sink.socket(), Arc::clone(&has_ended));
            thread::spawn(move || {
                // Whoever waits for an answer has lost patience before this ends.
                let numbers = (0..MOST).take_while(|_| !has_ended.load(Ordering::Relaxed));
                numbers.for_each(|sequence| drop(socket.send(&packet(0, sequence))));
            })
        };
        let threads = (0..THREADS).map(thread).collect();
        Self { has_ended, threads }
    }

    fn end(self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }
}

fn packet(copy: u64, sequence: u64) -> Vec<u8> {
    let message = Message {
        sequence: copy << 32 | sequence,
        sent: 1,
    };
    message.encode(100)
}

const PATIENCE: Duration = Duration::from_secs(5);
const THREADS: usize = 3;
const MOST: u64 = 20_000_000;
