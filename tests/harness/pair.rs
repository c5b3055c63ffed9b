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
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::{Side, Time};

use crate::flow::FlowBooks;
use crate::heap::Heap;
use crate::invariants::{self, Invariants};
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
    /// What it has allocated.
    pub heap: Heap,
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
            heap: Heap::new(),
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
    flow: FlowBooks,
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
            flow: FlowBooks::default(),
            datagrams: Vec::new(),
            buffer: vec![0; MAX_SEGMENTS as usize * 1500],
            steps: 0,
            standstill: 0,
        }
    }

    /// Begins the client's connection.
    pub fn connect(&mut self) {
        let (tls, config) = (self.scenario.client_tls(), self.scenario.client.clone());
        let (now, server) = (self.now, self.scenario.server_address);
        let Node { endpoint, heap, .. } = &mut self.client;
        let connected = heap.count(|| endpoint.connect(now, &tls, server, "localhost", config));
        self.client.handle = Some(connected.unwrap());
    }

    /// Begins another connection of the client, from another port, which the tap follows instead.
    pub fn connect_again(&mut self) {
        let outside = self.network.outside();
        let port = outside.port() + 1;
        self.network.rebind(SocketAddr::new(outside.ip(), port));
        self.tap.forget_connection();
        let (client, server) = (&self.client.endpoint, &self.server.endpoint);
        self.flow.forget(Side::Client, client.handles());
        self.flow.forget(Side::Server, server.handles());
        self.client.events.clear();
        self.server.events.clear();
        self.connect();
    }

    /// The server loses all its state but its secret.
    pub fn restart_server(&mut self) {
        let secrets = self.tap.secrets();
        self.server.endpoint = self.scenario.server_endpoint(&secrets, &mut self.rng);
        self.server.handle = None;
        self.server.heap = Heap::new();
        self.flow.forget(Side::Server, std::iter::empty());
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
        on_timeout(&mut self.client, now);
        on_timeout(&mut self.server, now);
        self.turn();
        self.check();
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
        let (endpoint, heap) = match to {
            Side::Client => (&mut self.client.endpoint, &mut self.client.heap),
            Side::Server => (&mut self.server.endpoint, &mut self.server.heap),
        };
        let (now, Datagram { ecn, bytes }) = (self.now, &mut datagram);
        heap.count(|| endpoint.receive(now, path, *ecn, bytes));
    }

    /// All oracles look at both sides.
    fn check(&self) {
        invariants::check(&self.client.endpoint, &self.client.heap, self.steps);
        invariants::check(&self.server.endpoint, &self.server.heap, self.steps);
        for (side, endpoint) in [
            (Side::Client, &self.client.endpoint),
            (Side::Server, &self.server.endpoint),
        ] {
            let handle = self.flow.handle(side);
            let connection = handle.and_then(|handle| endpoint.connection(handle));
            if let Some(connection) = connection.filter(|it| it.state().is_open()) {
                self.flow.check_sum(side, connection.streams().max_data().1);
            }
        }
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
        let (endpoint, heap) = match side {
            Side::Client => (&mut self.client.endpoint, &mut self.client.heap),
            Side::Server => (&mut self.server.endpoint, &mut self.server.heap),
        };
        let now = self.now;
        let transmit = heap.count(|| endpoint.transmit(now, &mut buffer, segments));
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
        let endpoint = match from {
            Side::Client => &self.client.endpoint,
            Side::Server => &self.server.endpoint,
        };
        let packets = &self.tap.packets[range.clone()];
        self.flow
            .on_sent(from, packets, |packet| sender(endpoint, packet));
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
    let Node { endpoint, heap, .. } = node;
    while let Some((handle, event)) = heap.count(|| endpoint.poll_event()) {
        invariants.on_event(side, handle, &event);
        node.handle = Some(handle);
        if !matches!(event, Event::Stream(_) | Event::DatagramReceived) {
            node.events.push((now, event.clone()));
        }
        heap.count(|| node.app.on_event(now, endpoint, handle, event));
    }
    heap.count(|| node.app.on_tick(now, endpoint));
}

/// The connection that sends a packet, and what it has to keep to.
fn sender<'a>(
    endpoint: &'a Endpoint,
    packet: &TappedPacket,
) -> Option<(Handle, &'a TransportParameters)> {
    endpoint.handles().find_map(|handle| {
        let connection = endpoint.connection(handle)?;
        // A client that moves in its handshake may have begun two connections at the server.
        let is_sender =
            connection.is_established() && connection.remote_cid() == packet.destination_cid;
        is_sender.then(|| (handle, connection.peer_parameters()))
    })
}

fn on_timeout<A>(node: &mut Node<A>, now: Time) {
    let Node { endpoint, heap, .. } = node;
    let deadline = heap.count(|| endpoint.next_timeout());
    if deadline.is_some_and(|deadline| deadline <= now) {
        heap.count(|| endpoint.on_timeout(now));
    }
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
