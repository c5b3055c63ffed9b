//! The main job in one command: a relay, a publisher and subscribers as real processes on a network
//! of their own, and a comparison of what arrived with what was sent.
//!
//! No RFC. The order is: relay listens, publisher has announced its track and holds, every
//! subscriber has its subscription, then the publisher is told to go. Each step waits for an event of
//! the process, never for time to pass, and no longer than a limit. Whatever ends the run, dropping
//! `Stage` ends the processes first and then removes the network and the files.

mod lossy_hop;
mod namespaces;
mod outcome;
mod process;
mod usage;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use quic_relay::ivf;
use sha2::{Digest, Sha256};

use self::lossy_hop::LossyHop;
use self::namespaces::Namespaces;
use self::outcome::{Outcome, Relay, Subscriber};
use self::process::{Launch, Message, Process, now};
use self::usage::Usage;
use crate::args::{FastPath, Lab, PORT, Protocol};
use crate::credentials::hex;
use crate::error::{Failure, Kind, Result};
use crate::interrupt::Interrupt;
use crate::report::{Event, Media, Served};

/// Runs the lab and prints what came out.
pub(crate) fn run(options: &Lab) -> Result<()> {
    let interrupt = Interrupt::catch(|| ())?;
    let outcome = Stage::build(options, interrupt)?.play()?;
    match options.json {
        true => println!("{}", outcome.json()),
        false => println!("{outcome}"),
    }
    if outcome.is_ok() {
        return Ok(());
    }
    let (intact, all) = (outcome.intact(), outcome.subscribers.len());
    Err(Failure::new(
        Kind::Result,
        format!("{intact} of {all} subscribers got the whole input"),
    ))
}

/// Everything that must be taken down again. Fields are dropped in this order.
#[derive(Debug)]
struct Stage<'a> {
    processes: Vec<Process>,
    hops: Vec<LossyHop>,
    namespaces: Option<Namespaces>,
    directory: Directory,
    options: &'a Lab,
    input: PathBuf,
    interrupt: Interrupt,
    sender: Sender<Message>,
    messages: Receiver<Message>,
    /// Of each process, the last thing it told.
    told: Vec<Told>,
}

/// What a process has told so far.
#[derive(Debug, Default)]
struct Told {
    last: Option<Event>,
    has_ended: bool,
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
struct Directory(PathBuf);

impl<'a> Stage<'a> {
    fn build(options: &'a Lab, interrupt: Interrupt) -> Result<Self> {
        let directory = Directory::create()?;
        let input = match &options.input {
            Some(path) => {
                check_readable(path)?;
                path.clone()
            }
            None => directory.write("clip.ivf", CLIP)?,
        };
        let namespaces = match options.loopback {
            true => None,
            false => {
                let fast_path = options.fast_path != FastPath::Off;
                Some(Namespaces::create(options.loss, fast_path)?)
            }
        };
        let (sender, messages) = channel();
        Ok(Self {
            processes: Vec::new(),
            hops: Vec::new(),
            namespaces,
            directory,
            options,
            input,
            interrupt,
            sender,
            messages,
            told: Vec::new(),
        })
    }

    /// The run from the first process to the result.
    fn play(mut self) -> Result<Outcome> {
        let listening = self.start_relay()?;
        let (for_publisher, for_subscribers) = self.addresses(listening)?;
        self.start_publisher(for_publisher)?;
        self.start_subscribers(for_subscribers)?;
        let control = self.control();
        let (before, _) = Usage::of(&self.processes[RELAY], &control);
        self.processes[PUBLISHER].say("go")?;
        self.await_the_end()?;
        let (after, status) = Usage::of(&self.processes[RELAY], &control);
        let served = self.stop_relay()?;
        let mut outcome = self.outcome(after.since(before), served);
        outcome.fast_path = status.fast_path.summary();
        Ok(outcome)
    }

    /// Where the relay answers; not where another relay on the same port might.
    fn control(&self) -> PathBuf {
        self.directory.0.join("relay.sock")
    }

    fn start_relay(&mut self) -> Result<SocketAddr> {
        let bind = match self.namespaces {
            Some(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
            None => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let fast_path = word(self.options.fast_path);
        let words = format!(
            "serve --bind {bind} --tls-generate localhost --fast-path {fast_path} --measure --control"
        );
        let mut words = split(&words);
        words.push(self.control().display().to_string());
        if self.options.protocol == Protocol::Raw {
            words.push("--raw".into());
        }
        self.start("relay".into(), namespaces::RELAY, words)?;
        self.wait_for(RELAY, SETUP_LIMIT, |event| {
            matches!(event, Event::Listening { .. })
        })?;
        match &self.told[RELAY].last {
            Some(Event::Listening { address }) => Ok(*address),
            _ => Err(self.processes[RELAY].failure()),
        }
    }

    /// Where the publisher and the subscribers find the relay.
    fn addresses(&mut self, listening: SocketAddr) -> Result<(SocketAddr, SocketAddr)> {
        let port = listening.port();
        if self.namespaces.is_some() {
            let at = |address: IpAddr| SocketAddr::new(address, port);
            let publisher = at(namespaces::RELAY_FOR_PUBLISHER);
            return Ok((publisher, at(namespaces::RELAY_FOR_SUBSCRIBERS)));
        }
        if self.options.loss == 0.0 {
            return Ok((listening, listening));
        }
        Ok((
            self.hop(listening, 0)?,
            self.hop(listening, SUBSCRIBERS_HOP)?,
        ))
    }

    fn hop(&mut self, target: SocketAddr, leg: usize) -> Result<SocketAddr> {
        let seed = self.options.seed.wrapping_mul(2).wrapping_add(leg as u64);
        let hop = LossyHop::start(target, self.options.loss, seed).map_err(|error| {
            Failure::new(
                Kind::Address,
                format!("cannot start the lossy hop: {error}"),
            )
        })?;
        let address = hop.address();
        self.hops.push(hop);
        Ok(address)
    }

    fn start_publisher(&mut self, relay: SocketAddr) -> Result<()> {
        let rate = word(self.options.rate);
        let words = format!(
            "publish moqt://{relay} {} --rate {rate} --hold",
            self.track()
        );
        let mut words = split(&words);
        if self.options.datagrams {
            words.push("--datagrams".into());
        }
        if self.options.loss > 0.0 && self.options.fast_path != FastPath::Off {
            // The loss program of the publisher's device would drop whole bursts.
            words.push("--one-by-one".into());
        }
        let input = self.input.to_str().ok_or_else(|| {
            let path = self.input.display();
            Failure::new(Kind::File, format!("{path}: the path is not UTF-8"))
        })?;
        words.push(input.to_owned());
        self.start("publisher".into(), namespaces::PUBLISHER, words)?;
        self.wait_for(PUBLISHER, SETUP_LIMIT, |event| *event == Event::Ready)
    }

    /// What clients are told about the track.
    fn track(&self) -> &'static str {
        match self.options.protocol {
            Protocol::Moqt => TRACK,
            Protocol::Raw => "--protocol raw",
        }
    }

    /// A few at a time, so that a small machine is not busy with a thousand handshakes at once.
    fn start_subscribers(&mut self, relay: SocketAddr) -> Result<()> {
        let all = self.options.subscribers as usize;
        let words = format!(
            "subscribe moqt://{relay} {} --output /dev/null",
            self.track()
        );
        for number in 0..all {
            let name = format!("subscriber {}", number + 1);
            self.start(name, namespaces::SUBSCRIBERS, split(&words))?;
            if let Some(earlier) = number.checked_sub(AT_ONCE) {
                self.wait_for_subscription(earlier)?;
            }
        }
        (0..all).try_for_each(|number| self.wait_for_subscription(number))
    }

    fn wait_for_subscription(&mut self, number: usize) -> Result<()> {
        let is_subscribed = |event: &Event| *event == Event::Subscribed;
        self.wait_for(FIRST_SUBSCRIBER + number, SETUP_LIMIT, is_subscribed)
    }

    /// Until the publisher and every subscriber have ended, well or not.
    fn await_the_end(&mut self) -> Result<()> {
        let limit = self.time_limit();
        let deadline = now() + limit;
        while !self.told[PUBLISHER..].iter().all(|told| told.has_ended) {
            self.receive(deadline, || {
                format!("the subscribers did not finish in {} s", limit.as_secs())
            })?;
            self.check_relay()?;
        }
        match self.told[PUBLISHER].last {
            Some(Event::Sent(_)) => Ok(()),
            _ => Err(self.processes[PUBLISHER].failure()),
        }
    }

    fn stop_relay(&mut self) -> Result<Served> {
        self.processes[RELAY].terminate();
        self.wait_for(RELAY, SETUP_LIMIT, |event| {
            matches!(event, Event::Served(_))
        })?;
        match self.told[RELAY].last.take() {
            Some(Event::Served(served)) => Ok(served),
            _ => Err(self.processes[RELAY].failure()),
        }
    }

    fn outcome(&mut self, used: Usage, served: Served) -> Outcome {
        let subscribers: Vec<_> = self.told[FIRST_SUBSCRIBER..]
            .iter()
            .map(|told| self.subscriber(told, &served))
            .collect();
        for (number, subscriber) in subscribers.iter().enumerate() {
            if subscriber.received.is_none() {
                log::error!("{}", self.processes[FIRST_SUBSCRIBER + number].failure());
            }
        }
        let frames = match &self.told[PUBLISHER].last {
            Some(Event::Sent(media)) => media.frames,
            _ => 0,
        };
        let packets = served.forwarded_packets;
        let relay = Relay {
            cpu_us_per_forwarded_packet: used.cpu_us_per_packet(packets),
            syscalls_per_forwarded_packet: used.system_calls_per_packet(packets),
            forwarded_packets: packets,
            fast_path: served.fast_path,
        };
        Outcome {
            input: self.input_figures(frames),
            subscribers,
            relay,
            fast_path: String::new(),
        }
    }

    /// What a subscriber got, and what the relay says it sent there. Ports tell who is who.
    fn subscriber(&self, told: &Told, served: &Served) -> Subscriber {
        let Some(Event::Received(received)) = &told.last else {
            return Subscriber::default();
        };
        let port = match self.hops.get(SUBSCRIBERS_HOP) {
            Some(hop) => hop.port_of(received.port),
            None => Some(received.port),
        };
        let mut sent = served.subscribers.iter();
        let sent = sent.find(|sent| Some(sent.peer.port()) == port);
        Subscriber {
            received: Some(received.clone()),
            packets_from_kernel: sent.map_or(0, |sent| sent.packets_from_kernel),
            packets_from_userspace: sent.map_or(0, |sent| sent.packets_from_userspace),
        }
    }

    /// Hashed from the file itself: what the publisher says it sent proves nothing.
    fn input_figures(&self, frames: u64) -> Media {
        let bytes = fs::read(&self.input).unwrap_or_default();
        Media {
            frames,
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
        }
    }

    fn start(&mut self, name: String, namespace: &str, mut words: Vec<String>) -> Result<()> {
        if words[0] != "serve" {
            words.push("--tls-disable-verify".into());
        }
        let namespace = self.namespaces.as_ref().map(|_| namespace);
        let number = self.processes.len();
        let launch = Launch {
            name,
            number,
            namespace,
            directory: &self.directory.0,
        };
        self.processes
            .push(Process::start(&launch, &words, self.sender.clone())?);
        self.told.push(Told::default());
        Ok(())
    }

    /// Without the relay, nothing that is waited for will come.
    fn check_relay(&mut self) -> Result<()> {
        match self.told[RELAY].has_ended {
            true => Err(self.processes[RELAY].failure()),
            false => Ok(()),
        }
    }

    /// Until process `number` has told what `is_wanted` accepts.
    fn wait_for(
        &mut self,
        number: usize,
        limit: Duration,
        is_wanted: impl Fn(&Event) -> bool,
    ) -> Result<()> {
        let deadline = now() + limit;
        while !self.told[number].last.as_ref().is_some_and(&is_wanted) {
            self.check_relay()?;
            if self.told[number].has_ended {
                return Err(self.processes[number].failure());
            }
            let seconds = limit.as_secs();
            self.receive(deadline, || {
                format!("no answer from process {number} in {seconds} s")
            })?;
        }
        Ok(())
    }

    /// Takes in one message, or sees that time is over or that the user wants to stop.
    fn receive(&mut self, deadline: Instant, too_late: impl FnOnce() -> String) -> Result<()> {
        self.interrupt.check()?;
        match self.messages.recv_timeout(TICK) {
            Ok(Message {
                from,
                event: Some(event),
            }) => self.told[from].last = Some(event),
            Ok(Message { from, event: None }) => self.told[from].has_ended = true,
            Err(RecvTimeoutError::Timeout) if now() < deadline => {}
            Err(_) => return Err(Failure::new(Kind::Result, too_late())),
        }
        Ok(())
    }

    /// Generous: it only has to end a run that hangs.
    fn time_limit(&self) -> Duration {
        let clip = duration(&self.input).unwrap_or_default();
        clip * 2 + Duration::from_secs(60) + Duration::from_millis(200) * self.options.subscribers
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // All at once; each is then waited for as it is dropped.
        self.processes.iter().for_each(Process::terminate);
    }
}

impl Directory {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("quic-relay-lab-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| unwritable(&path, &error))?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, bytes).map_err(|error| unwritable(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check_readable(path: &Path) -> Result<()> {
    let wrong = |what: String| Failure::new(Kind::File, what);
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => Err(wrong(format!(
            "{} is not a file: the lab reads it twice",
            path.display()
        ))),
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(format!("cannot read {}: {error}", path.display()))),
    }
}

/// How long the clip plays, when it is one.
fn duration(path: &Path) -> Option<Duration> {
    let mut reader = ivf::Reader::new(std::io::BufReader::new(fs::File::open(path).ok()?)).ok()?;
    let mut last = 0;
    while let Ok(Some(frame)) = reader.next_frame() {
        last = frame.timestamp.max(last);
    }
    Some(reader.header().presentation_time(last))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Kind::File,
        format!("cannot write {}: {error}", path.display()),
    )
}

/// How an option's value is written.
fn word(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn split(words: &str) -> Vec<String> {
    words.split(' ').map(str::to_owned).collect()
}

/// The default input, so that the program works wherever it is.
const CLIP: &[u8] = include_bytes!("../../tests/media/clip.ivf");

const TRACK: &str = "--namespace lab --track clip";

/// The second hop that is made.
const SUBSCRIBERS_HOP: usize = 1;

const RELAY: usize = 0;
const PUBLISHER: usize = 1;
const FIRST_SUBSCRIBER: usize = 2;

/// Subscribers that may be on their way to a subscription at the same time.
const AT_ONCE: usize = 16;

/// For one process to come up or go down.
const SETUP_LIMIT: Duration = Duration::from_secs(20);

/// How soon Ctrl-C is seen.
const TICK: Duration = Duration::from_millis(100);
