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

use integration::LinkConfig;
use integration::certificates;
use integration::link::{Datagram, Link};
use integration::network::address;
use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, FourTuple, Stats};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::io::Application;
use quic_lite::protection::CipherSuite;
use quic_lite::rng::Rng;
use quic_lite::tls::ServerTls;
use quic_relay::moqt::ALPN;
use quic_relay::offload::{KernelClock, Offloader, Reason};
use quic_relay::raw;
use quic_relay::serve::RelayConfig;
use quic_relay::serve::server::{self, Server};
use quic_relay::track::PeerId;
use relay_ebpf_loader::layout::{Candidate, Flow};
use relay_ebpf_loader::{Engine, Sizes, Twin};

use super::client::{Client, Part};

/// The relay's address.
pub const RELAY: SocketAddr = address(1, 443);

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides everything that is random.
    pub seed: u64,
    /// From clients to the relay.
    pub up: LinkConfig,
    /// From the relay to clients.
    pub down: LinkConfig,
    /// How long datagrams wait in the relay's socket, at most.
    pub wait: Duration,
    /// The kernel's slots.
    pub slots: u32,
    /// No interface sees the clients, so the kernel serves nobody.
    pub is_blind: bool,
    /// What clients offer.
    pub suites: Vec<CipherSuite>,
    /// Clients let themselves be asked for fewer acknowledgements.
    pub min_ack_delay: Option<Duration>,
}

impl Settings {
    /// A wide link without faults.
    pub fn new(seed: u64) -> Self {
        let link = LinkConfig {
            delay: Duration::from_millis(5),
            bandwidth: None,
            ..LinkConfig::default()
        };
        Self {
            seed,
            up: link.clone(),
            down: link,
            wait: Duration::from_millis(2),
            slots: 16,
            is_blind: false,
            suites: CipherSuite::ALL.to_vec(),
            min_ack_delay: None,
        }
    }

    /// The same with this much loss and reordering on all links, in percent.
    pub fn with_loss(mut self, loss: u64, reordering: u64) -> Self {
        for link in [&mut self.up, &mut self.down] {
            link.loss = loss;
            link.reordering = reordering;
            link.reordering_delay = Duration::from_millis(8);
        }
        self
    }
}

/// A datagram on its way.
struct Travel {
    from: SocketAddr,
    to: SocketAddr,
    datagram: Datagram,
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
    /// Connections that the relay has closed: the kernel must send nothing to them.
    closed: BTreeSet<SocketAddr>,
    settings: Settings,
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
        let mut rng = Rng::from_number(settings.seed);
        let chain = certificates::short();
        let tls = ServerTls::new_single(
            chain.certificates,
            chain.key,
            &[ALPN, raw::PUBLISHER, raw::SUBSCRIBER],
        );
        let config = EndpointConfig {
            server: Some(tls.and_then(|tls| tls.prefer_chacha20()).unwrap()),
            transport: Arc::new(server::transport_beside_kernel()),
            ..EndpointConfig::default()
        };
        let mut endpoint = Endpoint::new(config, rng.bytes());
        endpoint.set_local_addresses(&[RELAY]);
        let sizes = Sizes {
            slots: settings.slots,
            tracks: 8,
        };
        let twin = Arc::new(Twin::new(sizes).unwrap());
        let mut server = Server::new(RelayConfig::default(), None);
        let clock = KernelClock::default();
        let offloader = Offloader::new(Box::new(twin.clone()), clock, RELAY.port());
        server.set_offloader(offloader);
        Self {
            now: Time::from_micros(1_000_000),
            endpoint,
            server,
            twin,
            clients: Vec::new(),
            is_stopped: false,
            is_astray: false,
            copies: 0,
            closed: BTreeSet::new(),
            settings,
            links: Vec::new(),
            rng,
            times: BinaryHeap::new(),
            travels: BTreeMap::new(),
            sent: 0,
            socket: VecDeque::new(),
            buffer: vec![0; SEGMENTS * 1500],
        }
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
        let client = Client::new(self.now, part, from, seed, (suites, config));
        self.clients.push(client);
        let up = Link::new(self.settings.up.clone(), self.rng.fork());
        let down = Link::new(self.settings.down.clone(), self.rng.fork());
        self.links.push((up, down));
        place
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
    fn arrive_at_kernel(&mut self, travel: Travel) {
        let nanos = self.now.as_micros() * 1000;
        if !self.settings.is_blind {
            self.twin.see(flow(travel.from), candidate(nanos));
        }
        let copies = self
            .twin
            .ingress(nanos, RELAY, travel.from, &travel.datagram.bytes);
        for copy in copies {
            self.copies += 1;
            if self.is_astray {
                continue;
            }
            let to = destination(&copy.frame);
            assert!(
                !self.closed.contains(&to),
                "a packet after CONNECTION_CLOSE"
            );
            let datagram = Datagram {
                bytes: copy.datagram,
                ecn: None,
            };
            self.carry_down(to, datagram);
        }
        let wait = self.rng.below(self.settings.wait.as_micros() as u64 + 1);
        let ready = self.now + Duration::from_micros(wait);
        let ready = self.socket.back().map_or(ready, |(at, _)| ready.max(*at));
        if self.socket.len() < SOCKET {
            self.socket.push_back((ready, travel));
        }
    }

    fn carry_down(&mut self, to: SocketAddr, datagram: Datagram) {
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
                self.carry_down(transmit.path.remote, datagram);
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
