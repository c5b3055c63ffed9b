//! Two endpoints, their applications, and the network between them, driven step by step. No RFC.
//!
//! A step moves the clock to the next thing that happens, lets it happen, and lets both sides send
//! until they have nothing more. A panic anywhere prints the seed and the last packets.

use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use quic_lite::connection::{Connection, Event, FourTuple, Transmit};
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::error::ConnectionError;
use quic_lite::io::Application;
use quic_lite::rng::Rng;
use quic_lite::{Side, Time};

use crate::invariants::Invariants;
use crate::link::Datagram;
use crate::network::{Arrival, Network};
use crate::scenario::Scenario;
use crate::tap::{Sent, Tap, TappedPacket};

/// One side.
pub struct Node<A> {
    /// Its connections.
    pub endpoint: Endpoint,
    /// Its application.
    pub app: A,
    /// The connection that it told of last, or began.
    pub handle: Option<Handle>,
    /// What happened and when, without what happened to streams.
    pub events: Vec<(Time, Event)>,
}

impl<A: Application> Node<A> {
    /// A side without connections.
    pub const fn new(endpoint: Endpoint, app: A) -> Self {
        Self {
            endpoint,
            app,
            handle: None,
            events: Vec::new(),
        }
    }

    /// The connection, unless it is drained.
    pub fn connection(&self) -> Option<&Connection> {
        self.endpoint.connection(self.handle?)
    }

    /// The connection, to act on.
    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.endpoint.connection_mut(self.handle?)
    }

    /// When the first event of a sort came.
    pub fn time_of(&self, wanted: impl Fn(&Event) -> bool) -> Option<Time> {
        let found = self.events.iter().find(|(_, event)| wanted(event));
        found.map(|(time, _)| *time)
    }

    /// Why the connection is over, and since when.
    pub fn closed(&self) -> Option<(Time, &ConnectionError)> {
        self.events.iter().find_map(|(time, event)| match event {
            Event::Closed(error) => Some((*time, error)),
            _ => None,
        })
    }
}

/// A run.
pub struct Pair<C: Application, S: Application> {
    /// The virtual time.
    pub now: Time,
    /// Who connects.
    pub client: Node<C>,
    /// Who accepts.
    pub server: Node<S>,
    /// What is between them.
    pub network: Network,
    /// All packets so far.
    pub tap: Tap,
    scenario: Scenario,
    rng: Rng,
    invariants: Invariants,
    /// Which packets of the tap each datagram had.
    datagrams: Vec<Range<usize>>,
    buffer: Vec<u8>,
    steps: u64,
    /// Steps since the clock moved.
    standstill: u64,
}

impl<C: Application, S: Application> Pair<C, S> {
    /// Both sides at time zero plus one second: a real clock does not begin at zero either.
    pub fn new(
        scenario: Scenario,
        client: Node<C>,
        server: Node<S>,
        network: Network,
        tap: Tap,
        rng: Rng,
    ) -> Self {
        Self {
            now: Time::from_micros(1_000_000),
            client,
            server,
            network,
            tap,
            scenario,
            rng,
            invariants: Invariants::default(),
            datagrams: Vec::new(),
            buffer: vec![0; MAX_SEGMENTS as usize * 1500],
            steps: 0,
            standstill: 0,
        }
    }

    /// Begins the client's connection.
    pub fn connect(&mut self) {
        let (tls, config) = (self.scenario.client_tls(), self.scenario.client.clone());
        let (endpoint, server) = (&mut self.client.endpoint, self.scenario.server_address);
        let connected = endpoint.connect(self.now, &tls, server, "localhost", config);
        self.client.handle = Some(connected.unwrap());
    }

    /// Begins another connection of the client, from another port, which the tap follows instead.
    pub fn connect_again(&mut self) {
        let outside = self.network.outside();
        let port = outside.port() + 1;
        self.network.rebind(SocketAddr::new(outside.ip(), port));
        self.tap.forget_connection();
        self.client.events.clear();
        self.server.events.clear();
        self.connect();
    }

    /// The server loses all its state but its secret.
    pub fn restart_server(&mut self) {
        let secrets = self.tap.secrets();
        self.server.endpoint = self.scenario.server_endpoint(&secrets, &mut self.rng);
        self.server.handle = None;
    }

    /// Runs until both applications are done, and fails if that takes longer than `limit`. Returns how
    /// long it took.
    pub fn run(&mut self, limit: Duration) -> Duration {
        self.run_until(limit, |pair| {
            pair.client.app.is_done() && pair.server.app.is_done()
        })
    }

    /// Runs until `done`, and fails if that takes longer than `limit`.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        self.turn();
        while !done(self) {
            let next = self
                .next_event()
                .expect("not done, and nothing is going to happen");
            assert!(next <= start + limit, "not done after {limit:?}");
            self.step(next);
        }
        self.now.since(start)
    }

    /// Runs for so long, whatever happens.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.turn();
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.step(next);
        }
        self.now = end;
    }

    /// Lets what happens at `next` happen, and both sides answer.
    fn step(&mut self, next: Time) {
        self.steps += 1;
        self.standstill = if next > self.now {
            0
        } else {
            self.standstill + 1
        };
        assert!(self.steps < MAX_STEPS, "too many steps");
        assert!(
            self.standstill < MAX_STANDSTILL,
            "a deadline in the past is never served"
        );
        self.now = self.now.max(next);
        while let Some(arrival) = self.network.arrive(self.now) {
            self.deliver(arrival);
        }
        let now = self.now;
        for endpoint in [&mut self.client.endpoint, &mut self.server.endpoint] {
            if endpoint
                .next_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                endpoint.on_timeout(now);
            }
        }
        self.turn();
    }

    /// When something happens next.
    fn next_event(&mut self) -> Option<Time> {
        let times = [
            self.network.next_arrival(),
            self.client.endpoint.next_timeout(),
            self.server.endpoint.next_timeout(),
            self.client.app.next_timeout(),
            self.server.app.next_timeout(),
        ];
        times.into_iter().flatten().min()
    }

    fn deliver(&mut self, arrival: Arrival) {
        let Arrival {
            to,
            source,
            mut datagram,
            ordinal,
        } = arrival;
        let local = match to {
            Side::Client => self.scenario.client_address,
            Side::Server => self.scenario.server_address,
        };
        if to == Side::Server {
            // Of a damaged datagram the packets that are whole still count; which, does not matter here.
            let range = ordinal.map_or(0..0, |ordinal| self.datagrams[ordinal as usize].clone());
            let packets = &self.tap.packets[range];
            self.invariants
                .on_server_received(source, datagram.bytes.len(), packets);
        }
        let path = FourTuple {
            local,
            remote: source,
        };
        let endpoint = match to {
            Side::Client => &mut self.client.endpoint,
            Side::Server => &mut self.server.endpoint,
        };
        endpoint.receive(self.now, path, datagram.ecn, &mut datagram.bytes);
    }

    /// Both sides hear what happened and send until they have nothing to send.
    pub fn turn(&mut self) {
        for side in [Side::Client, Side::Server] {
            let mut calls = 0..MAX_SENDS;
            while calls.next().is_some() && self.tell_and_send(side) {}
            assert!(!calls.is_empty(), "{side:?} has always more to send");
        }
    }

    fn tell_and_send(&mut self, side: Side) -> bool {
        let (now, invariants) = (self.now, &mut self.invariants);
        match side {
            Side::Client => tell(&mut self.client, side, now, invariants),
            Side::Server => tell(&mut self.server, side, now, invariants),
        }
        self.send(side)
    }

    /// Sends once. False when there is nothing to send.
    fn send(&mut self, side: Side) -> bool {
        let segments = 1 + self.rng.below(MAX_SEGMENTS) as usize;
        let mut buffer = std::mem::take(&mut self.buffer);
        let endpoint = match side {
            Side::Client => &mut self.client.endpoint,
            Side::Server => &mut self.server.endpoint,
        };
        let transmit = endpoint.transmit(self.now, &mut buffer, segments);
        if let Some(transmit) = &transmit {
            assert!(transmit.len > 0, "{side:?} sends nothing");
            let size = transmit.segment_size.unwrap_or(transmit.len);
            assert!(
                transmit.len.div_ceil(size) <= segments,
                "{side:?} sends too many segments"
            );
            for bytes in buffer[..transmit.len].chunks(size) {
                self.launch(side, transmit, bytes);
            }
        }
        self.buffer = buffer;
        transmit.is_some()
    }

    fn launch(&mut self, from: Side, transmit: &Transmit, bytes: &[u8]) {
        let ordinal = self.datagrams.len() as u64;
        let (to, ecn) = (transmit.path.remote, transmit.ecn);
        let server = self.scenario.server_address;
        assert!(from == Side::Server || to == server, "a datagram to {to}");
        let client = match from {
            Side::Client => self.network.outside(),
            Side::Server => to,
        };
        let added = self.tap.on_sent(&Sent {
            time: self.now,
            from,
            client,
            ordinal,
            ecn,
            bytes,
        });
        let range = self.tap.packets.len() - added..self.tap.packets.len();
        if from == Side::Server {
            self.invariants
                .on_server_sent(to, bytes.len(), &self.tap.packets[range.clone()]);
        }
        self.datagrams.push(range);
        let datagram = Datagram {
            bytes: bytes.to_vec(),
            ecn,
        };
        self.network.send(self.now, from, to, ordinal, datagram);
    }

    /// The packets of the latest datagrams.
    fn last_packets(&self) -> &[TappedPacket] {
        let packets = &self.tap.packets;
        &packets[packets.len().saturating_sub(SHOWN_PACKETS)..]
    }
}

impl<C: Application, S: Application> Drop for Pair<C, S> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for packet in self.last_packets() {
            eprintln!("{packet}");
        }
        let events = self.client.events.iter().chain(&self.server.events);
        for (time, event) in events.filter(|(_, event)| matches!(event, Event::Closed(_))) {
            eprintln!("{time} {event:?}");
        }
        let connections = [self.client.connection(), self.server.connection()];
        for connection in connections.into_iter().flatten() {
            let (side, state) = (connection.side(), connection.state());
            let (window, flying) = (connection.cwnd(), connection.bytes_in_flight());
            eprintln!(
                "{side:?} {state} {flying} of {window} bytes in flight, {:?}",
                connection.stats()
            );
        }
        let (to_server, to_client) = (
            self.network.to_server.counts(),
            self.network.to_client.counts(),
        );
        eprintln!("to server {to_server:?}, to client {to_client:?}");
        eprintln!(
            "SEED={} failed at {} after {} steps",
            self.scenario.seed, self.now, self.steps
        );
    }
}

fn tell<A: Application>(node: &mut Node<A>, side: Side, now: Time, invariants: &mut Invariants) {
    while let Some((handle, event)) = node.endpoint.poll_event() {
        invariants.on_event(side, handle, &event);
        node.handle = Some(handle);
        if !matches!(event, Event::Stream(_) | Event::DatagramReceived) {
            node.events.push((now, event.clone()));
        }
        node.app.on_event(now, &mut node.endpoint, handle, event);
    }
    node.app.on_tick(now, &mut node.endpoint);
}

/// Datagrams that one call may write, at most.
const MAX_SEGMENTS: u64 = 10;
/// Calls in one turn of one side: more than any window holds.
const MAX_SENDS: u32 = 100_000;
/// Steps in a run: several for each packet of the largest transfer.
const MAX_STEPS: u64 = 2_000_000;
/// Steps at one moment of virtual time.
const MAX_STANDSTILL: u64 = 1_000;
/// Packets that a failure shows.
const SHOWN_PACKETS: usize = 30;
