//! A relay whose datagrams pass the kernel's stand-in first, and its clients, in one box: virtual time,
//! seeded links. QUIC and TLS are real (RFC 9000, RFC 9001); there are no sockets.
//!
//! What comes for the relay is seen by the stand-in at once, and by the relay only after it has waited in
//! the socket for a while: so acknowledgements and the relay's own work are late as they like.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use integration::certificates;
use integration::link::{Datagram, Link};
use integration::network::address;
use integration::scenario::server_config;
use integration::tap::Secrets;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, FourTuple, Stats};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::io::Application;
use quic_lite::protection::CipherSuite;
use quic_lite::rng::Rng;
use quic_lite::tls::ServerTls;
use quic_lite::{Side, Time};
use quic_relay::moqt::ALPN;
use quic_relay::offload::{KernelClock, Offloader, Reason};
use quic_relay::raw;
use quic_relay::serve::RelayConfig;
use quic_relay::serve::server::{self, Server};
use quic_relay::track::PeerId;
use relay_ebpf_loader::layout::{Candidate, Flow};
use relay_ebpf_loader::{Engine, Sizes, Twin};

use super::client::{Client, Part};
pub use super::settings::Settings;
use super::wire::Wire;

/// The relay's address.
pub const RELAY: SocketAddr = address(1, 443);

/// A datagram on its way.
pub struct Travel {
    /// Whence.
    pub from: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub datagram: Datagram,
}

/// A relay, its kernel, and its clients.
pub struct World {
    /// The virtual time.
    pub now: Time,
    /// The relay's connections.
    pub endpoint: Endpoint,
    /// The relay.
    pub server: Server,
    /// The kernel's stand-in.
    pub twin: Arc<Twin>,
    /// Who is or was connected.
    pub clients: Vec<Client>,
    /// The relay does nothing, as after SIGSTOP.
    pub is_stopped: bool,
    /// What the kernel sends gets lost.
    pub is_astray: bool,
    /// Copies that the stand-in has sent.
    pub copies: u64,
    /// Connections that the relay has closed, and others that the kernel must send nothing to.
    closed: BTreeSet<SocketAddr>,
    settings: Settings,
    secrets: Arc<Secrets>,
    /// Up and down, for each client.
    links: Vec<(Link, Link)>,
    rng: Rng,
    times: BinaryHeap<Reverse<(Time, u64)>>,
    travels: BTreeMap<u64, Travel>,
    sent: u64,
    /// What waits in the relay's socket, and until when.
    socket: VecDeque<(Time, Travel)>,
    buffer: Vec<u8>,
}

impl World {
    /// A relay without clients.
    pub fn new(settings: Settings) -> Self {
        Self::with(settings, RelayConfig::default())
    }

    /// The same with other settings.
    pub fn with(settings: Settings, config: RelayConfig) -> Self {
        let mut rng = Rng::from_number(settings.seed);
        let secrets = Arc::new(Secrets::default());
        let twin = twin(&settings);
        Self {
            now: Time::from_micros(1_000_000),
            endpoint: endpoint(&settings, &secrets, &mut rng),
            server: server(twin.clone(), config),
            twin,
            clients: Vec::new(),
            is_stopped: false,
            is_astray: false,
            copies: 0,
            closed: BTreeSet::new(),
            settings,
            secrets,
            links: Vec::new(),
            rng,
            times: BinaryHeap::new(),
            travels: BTreeMap::new(),
            sent: 0,
            socket: VecDeque::new(),
            buffer: vec![0; SEGMENTS * 1500],
        }
    }

    /// The relay is killed: it says nothing, and what waits in its socket is gone. The programs of its kernel stay,
    /// as they do before Linux 6.6.
    pub fn kill(&mut self) {
        self.is_stopped = true;
        self.socket.clear();
    }

    /// A relay in the place of a killed one: of all its predecessor knew it has the secret on disk, and it has
    /// put programs with empty tables in the place of those left behind.
    pub fn start_again(&mut self) {
        self.twin = twin(&self.settings);
        self.endpoint = endpoint(&self.settings, &self.secrets, &mut self.rng);
        self.server = server(self.twin.clone(), RelayConfig::default());
        self.is_stopped = false;
    }

    /// A client joins, and has what it asked for. Its place in `clients`.
    pub fn join(&mut self, part: Part) -> usize {
        let place = self.begin_to_join(part.clone());
        let wanted = match &part {
            Part::Publish(..) | Part::Raw(_) | Part::RawNarrow(_) => 1,
            Part::Subscribe(tracks) => tracks.len(),
        };
        for _ in 0..100 {
            self.run(Duration::from_millis(50));
            if self.clients[place].accepted >= wanted {
                return place;
            }
        }
        panic!("{part:?} has only {}", self.clients[place].accepted);
    }

    /// A client begins to join.
    pub fn begin_to_join(&mut self, part: Part) -> usize {
        let place = self.clients.len();
        let from = address(2, 2000 + place as u16);
        let suites = &self.settings.suites;
        let config = Config {
            min_ack_delay: self.settings.min_ack_delay,
            ..server::transport()
        };
        let seed = self.rng.number();
        let wire = Wire::new(self.secrets.clone(), from);
        let client = Client::new(self.now, part, wire, seed, (suites, config));
        self.clients.push(client);
        let up = Link::new(self.settings.up.clone(), self.rng.fork());
        let down = Link::new(self.settings.down.clone(), self.rng.fork());
        self.links.push((up, down));
        place
    }

    /// The link from a client, to change it.
    pub fn up(&mut self, client: usize) -> &mut Link {
        &mut self.links[client].0
    }

    /// The link to a client, to change it.
    pub fn down(&mut self, client: usize) -> &mut Link {
        &mut self.links[client].1
    }

    /// The relay's end of a client's connection.
    pub fn served(&mut self, client: usize) -> Option<(Handle, &mut Connection)> {
        let remote = self.clients[client].address;
        let is_it = |handle: &Handle| {
            let connection = self.endpoint.connection(*handle);
            connection.is_some_and(|it| it.path().remote == remote)
        };
        let handle = self.endpoint.handles().find(is_it)?;
        Some((handle, self.endpoint.connection_mut(handle)?))
    }

    /// What the relay has counted for a client: packets from the kernel, packets from userspace.
    pub fn packets(&mut self, client: usize) -> (u64, u64) {
        let now = self.now;
        let (_, connection) = self.served(client).unwrap();
        connection.collect(now);
        let Stats {
            packets_sent,
            other_packets_sent,
            ..
        } = *connection.stats();
        (other_packets_sent, packets_sent - other_packets_sent)
    }

    /// Packets to a client that the kernel had no key pad for.
    pub fn packets_without_pad(&mut self, client: usize) -> u64 {
        let (handle, _) = self.served(client).unwrap();
        let slot = self.server.forwarding(PeerId(handle.0)).slot.unwrap();
        self.twin.memory().slot(slot).without_pad.load()
    }

    /// Why the kernel has no part in a client's connection.
    pub fn reason(&mut self, client: usize) -> Option<Reason> {
        let (handle, _) = self.served(client).unwrap();
        self.server.forwarding(PeerId(handle.0)).reason
    }

    /// The relay closes a connection, as it does when a rule is broken.
    pub fn close(&mut self, handle: Handle) {
        let (now, endpoint) = (self.now, &mut self.endpoint);
        if let Some(offloader) = self.server.offloader_mut() {
            offloader.close(now, endpoint, handle);
        }
        if let Some(connection) = endpoint.connection_mut(handle) {
            self.closed.insert(connection.path().remote);
            connection.close(now, 1, "enough");
        }
    }

    /// From now on the kernel must send nothing to a client.
    pub fn forbid(&mut self, client: usize) {
        self.closed.insert(self.clients[client].address);
    }

    /// Two clients have changed their places.
    pub fn swap_links(&mut self, a: usize, b: usize) {
        self.links.swap(a, b);
    }

    /// A number below `bound`.
    pub fn random(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    /// Lets so much time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut calls = 0..MAX_CALLS;
        self.work();
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            calls.next().expect("a deadline is never served");
            self.now = self.now.max(next);
            self.arrive();
            self.work();
        }
        self.now = self.now.max(end);
    }

    fn next_event(&mut self) -> Option<Time> {
        let travel = self.times.peek().map(|Reverse((at, _))| *at);
        let clients = self.clients.iter_mut();
        let clients: Vec<Time> = clients
            .filter_map(|client| client.endpoint.next_timeout())
            .collect();
        let relay = match self.is_stopped {
            true => [None; 3],
            false => [
                self.socket.front().map(|(at, _)| *at),
                self.endpoint.next_timeout(),
                self.server.next_timeout(),
            ],
        };
        let relay = relay.into_iter().flatten();
        travel.into_iter().chain(clients).chain(relay).min()
    }

    /// What has come by now.
    fn arrive(&mut self) {
        while let Some(Reverse((at, key))) = self.times.peek().copied()
            && at <= self.now
        {
            self.times.pop();
            let travel = self.travels.remove(&key).unwrap();
            match travel.to == RELAY {
                true => self.arrive_at_kernel(travel),
                false => self.arrive_at_client(travel),
            }
        }
    }

    fn arrive_at_client(&mut self, mut travel: Travel) {
        let mut clients = self.clients.iter_mut();
        if let Some(client) = clients.find(|client| client.address == travel.to) {
            let path = FourTuple {
                local: travel.to,
                remote: travel.from,
            };
            let Datagram { bytes, ecn } = &mut travel.datagram;
            client.endpoint.receive(self.now, path, *ecn, bytes);
        }
    }

    /// The kernel forwards what it can, then the datagram waits in the socket.
    pub fn arrive_at_kernel(&mut self, travel: Travel) {
        let nanos = self.now.as_micros() * 1000;
        if !self.settings.is_blind {
            self.twin.see(flow(travel.from), candidate(nanos));
        }
        let copies = self
            .twin
            .ingress(nanos, RELAY, travel.from, &travel.datagram.bytes);
        for copy in copies {
            self.copies += 1;
            let to = destination(&copy.frame);
            assert!(
                !self.closed.contains(&to),
                "a packet after CONNECTION_CLOSE, or to whom it is forbidden"
            );
            let datagram = Datagram {
                bytes: copy.datagram,
                ecn: None,
            };
            self.carry_down(to, datagram, true);
        }
        let wait = self.rng.below(self.settings.wait.as_micros() as u64 + 1);
        let ready = self.now + Duration::from_micros(wait);
        let ready = self.socket.back().map_or(ready, |(at, _)| ready.max(*at));
        if self.socket.len() < SOCKET {
            self.socket.push_back((ready, travel));
        }
    }

    fn carry_down(&mut self, to: SocketAddr, datagram: Datagram, by_kernel: bool) {
        let mut clients = self.clients.iter_mut();
        if let Some(client) = clients.find(|client| client.wire.was_at(to)) {
            let wire = &mut client.wire;
            wire.saw(self.now, Side::Server, to, &datagram, by_kernel);
        }
        if by_kernel && self.is_astray {
            return;
        }
        let place = self.clients.iter().position(|client| client.address == to);
        if let Some(place) = place {
            let (_, down) = &mut self.links[place];
            let (times, travels, sent) = (&mut self.times, &mut self.travels, &mut self.sent);
            down.carry(self.now, datagram, |at, datagram| {
                let from = RELAY;
                travels.insert(*sent, Travel { from, to, datagram });
                times.push(Reverse((at, *sent)));
                *sent += 1;
            });
        }
    }

    /// Everybody hears what happened, and sends.
    fn work(&mut self) {
        if !self.is_stopped {
            self.work_at_relay();
        }
        for place in 0..self.clients.len() {
            self.work_at_client(place);
        }
    }

    /// One turn of the relay's loop.
    fn work_at_relay(&mut self) {
        let now = self.now;
        while self.socket.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, mut travel)) = self.socket.pop_front() else {
                break;
            };
            let path = FourTuple {
                local: RELAY,
                remote: travel.from,
            };
            let Datagram { bytes, ecn } = &mut travel.datagram;
            self.endpoint.receive(now, path, *ecn, bytes);
        }
        self.endpoint.on_timeout(now);
        self.tell();
        self.server.on_tick(now, &mut self.endpoint);
        self.tell();
        let mut buffer = core::mem::take(&mut self.buffer);
        while let Some(transmit) = self.endpoint.transmit(now, &mut buffer, SEGMENTS) {
            let size = transmit.segment_size.unwrap_or(transmit.len);
            for bytes in buffer[..transmit.len].chunks(size) {
                let datagram = Datagram {
                    bytes: bytes.to_vec(),
                    ecn: transmit.ecn,
                };
                self.carry_down(transmit.path.remote, datagram, false);
            }
        }
        self.buffer = buffer;
    }

    fn tell(&mut self) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            self.server
                .on_event(self.now, &mut self.endpoint, handle, event);
        }
    }

    fn work_at_client(&mut self, place: usize) {
        let now = self.now;
        let client = &mut self.clients[place];
        client.endpoint.on_timeout(now);
        client.work(now);
        let (up, _) = &mut self.links[place];
        // GSO is the kernel's business: nothing is merged here.
        while let Some(transmit) = client.endpoint.transmit(now, &mut self.buffer, 1) {
            let datagram = Datagram {
                bytes: self.buffer[..transmit.len].to_vec(),
                ecn: transmit.ecn,
            };
            let from = client.address;
            client.wire.saw(now, Side::Client, from, &datagram, false);
            let (times, travels, sent) = (&mut self.times, &mut self.travels, &mut self.sent);
            up.carry(now, datagram, |at, datagram| {
                let to = RELAY;
                travels.insert(*sent, Travel { from, to, datagram });
                times.push(Reverse((at, *sent)));
                *sent += 1;
            });
        }
    }
}

fn endpoint(settings: &Settings, secrets: &Arc<Secrets>, rng: &mut Rng) -> Endpoint {
    let alpn = [ALPN, raw::PUBLISHER, raw::SUBSCRIBER];
    let chacha20_first = [
        CipherSuite::ChaCha20Poly1305Sha256,
        CipherSuite::Aes128GcmSha256,
    ];
    let mut tls = server_config(&certificates::short(), &chacha20_first, &alpn, secrets);
    tls.ignore_client_order = true;
    let config = EndpointConfig {
        server: Some(ServerTls::new(tls).unwrap()),
        transport: Arc::new(settings.transport.clone()),
        secret: Some([7; 32]),
        ..EndpointConfig::default()
    };
    let mut endpoint = Endpoint::new(config, rng.bytes());
    endpoint.set_local_addresses(&[RELAY]);
    endpoint
}

fn twin(settings: &Settings) -> Arc<Twin> {
    let sizes = Sizes {
        slots: settings.slots,
        tracks: 8,
    };
    Arc::new(Twin::new(sizes).unwrap())
}

fn server(twin: Arc<Twin>, config: RelayConfig) -> Server {
    let mut server = Server::new(config, None);
    let clock = KernelClock::default();
    server.set_offloader(Offloader::new(Box::new(twin), clock, RELAY.port()));
    server
}

fn flow(from: SocketAddr) -> Flow {
    let ip = |address: SocketAddr| {
        let mut bytes = [0; 16];
        if let SocketAddr::V4(address) = address {
            bytes[..4].copy_from_slice(&address.ip().octets());
        }
        bytes
    };
    Flow {
        local_ip: ip(RELAY),
        remote_ip: ip(from),
        ports: u64::from(RELAY.port()) << 16 | u64::from(from.port()),
        family: 4,
    }
}

fn candidate(nanos: u64) -> Candidate {
    Candidate {
        macs: [2; 12],
        ifindex: 3,
        packets: 1,
        seen: nanos,
    }
}

/// Where an IPv4 frame goes.
fn destination(frame: &[u8]) -> SocketAddr {
    let ip: [u8; 4] = frame[30..34].try_into().unwrap();
    let port = u16::from_be_bytes(frame[36..38].try_into().unwrap());
    (Ipv4Addr::from(ip), port).into()
}

/// Datagrams that one call may write, at most.
const SEGMENTS: usize = 10;
/// Datagrams that the relay's socket holds.
const SOCKET: usize = 4096;
/// Rounds in one stretch of time: far more than any has.
const MAX_CALLS: u32 = 1_000_000;
