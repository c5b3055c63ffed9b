//! A link between a client and a server on loopback, one datagram a packet: delay, bandwidth, queue, loss, damage,
//! outages, an address that changes; and a trace of all that enters it. No RFC; after the runner's network simulator.
//!
//! IP's ECN bits do not pass: where they matter there is no link.

use crate::Failure;
use quic_lite::Side;
use quic_lite::rng::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// What a link does.
#[derive(Clone, Debug)]
pub struct Link {
    /// Whether there is one: without, the endpoints meet directly.
    pub exists: bool,
    /// One way.
    pub delay: Duration,
    /// Bits per second.
    pub bandwidth: u64,
    /// Datagrams that wait at most.
    pub queue: usize,
    /// Percent that is lost.
    pub loss: u64,
    /// At most so many in a row; 0: any number.
    pub burst: u64,
    /// Percent of which a byte is changed.
    pub damage: u64,
    /// On for so long, then off for so long.
    pub outage: Option<(Duration, Duration)>,
    /// Datagrams of the client that are dropped, the first is 1.
    pub drops: RangeInclusive<u64>,
    /// The client's address changes after so long, and once more so long after that.
    pub rebind: Option<(Duration, Duration)>,
    /// Then the IP address changes, too.
    pub addresses: bool,
}

impl Default for Link {
    /// The runner's usual one.
    fn default() -> Self {
        Self {
            exists: true,
            delay: Duration::from_millis(15),
            bandwidth: 10_000_000,
            queue: 25,
            loss: 0,
            burst: 0,
            damage: 0,
            outage: None,
            drops: RangeInclusive::new(1, 0),
            rebind: None,
            addresses: false,
        }
    }
}

impl Link {
    /// No link at all.
    pub fn none() -> Self {
        Self { exists: false, ..Self::default() }
    }
}

/// A datagram that entered the link.
#[derive(Clone, Debug)]
pub struct Entered {
    /// Since the link was there.
    pub time: Duration,
    /// Who sent it.
    pub from: Side,
    /// The client's address as the server sees it.
    pub client: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A link at work; it ends when it is dropped.
pub struct Running {
    /// Where clients send to.
    pub address: SocketAddr,
    /// What has entered it.
    pub trace: Arc<Mutex<Vec<Entered>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Lays a link to `server`.
    pub async fn start(link: Link, server: SocketAddr, seed: u64) -> Result<Self, Failure> {
        let front = UdpSocket::bind(SocketAddr::new(server.ip(), 0)).await?;
        let address = front.local_addr()?;
        let trace = Arc::new(Mutex::new(Vec::new()));
        let (answers, from_server) = mpsc::channel(1024);
        let mut hop = Hop {
            start: Instant::now(),
            front: Arc::new(front),
            server,
            client: None,
            behind: None,
            bindings: 0,
            rng: Rng::from_number(seed),
            ways: [Way::default(), Way::default()],
            under_way: BinaryHeap::new(),
            entered: [0; 2],
            trace: Arc::clone(&trace),
            answers,
            link,
        };
        let task = tokio::spawn(async move {
            if let Err(error) = hop.run(from_server).await {
                eprintln!("the link to {server} broke: {error}");
            }
        });
        Ok(Self { address, trace, task })
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// When the last datagram will have left the queue.
    free: Option<Instant>,
    /// Lost in a row.
    lost: u64,
}

/// A datagram on its way: due, in order, to where.
type Flying = Reverse<(Instant, u64, bool, Vec<u8>)>;

/// What came back from the server, to which of the client's addresses.
type Answer = (u64, Vec<u8>);

struct Hop {
    start: Instant,
    link: Link,
    front: Arc<UdpSocket>,
    server: SocketAddr,
    client: Option<SocketAddr>,
    /// The socket that is the client to the server.
    behind: Option<Arc<UdpSocket>>,
    bindings: u64,
    rng: Rng,
    ways: [Way; 2],
    under_way: BinaryHeap<Flying>,
    entered: [u64; 2],
    trace: Arc<Mutex<Vec<Entered>>>,
    answers: mpsc::Sender<Answer>,
}

impl Hop {
    async fn run(&mut self, mut from_server: mpsc::Receiver<Answer>) -> Result<(), Failure> {
        self.bind().await?;
        let mut next_rebind = self.link.rebind.map(|(first, _)| self.start + first);
        let front = Arc::clone(&self.front);
        let mut buffer = vec![0; 65_535];
        loop {
            let far = Instant::now() + Duration::from_secs(3600);
            let due = self.under_way.peek().map_or(far, |Reverse((at, ..))| *at);
            tokio::select! {
                biased;
                () = sleep_until(due) => self.deliver().await,
                () = sleep_until(next_rebind.unwrap_or(far)) => {
                    self.bind().await?;
                    // Not again and again: a change at the very end of a run has no consequences to judge.
                    let then = self.link.rebind.filter(|_| self.bindings < 3);
                    next_rebind = then.map(|(_, then)| Instant::now() + then);
                }
                got = front.recv_from(&mut buffer) => {
                    let (length, client) = got?;
                    self.client = Some(client);
                    self.enter(Side::Client, buffer[..length].to_vec())?;
                }
                Some((binding, bytes)) = from_server.recv() => {
                    // Behind a NAT that has forgotten the old address nobody gets what is sent there.
                    if binding == self.bindings {
                        self.enter(Side::Server, bytes)?;
                    }
                }
            }
        }
    }

    /// Gives the client a new address towards the server.
    async fn bind(&mut self) -> Result<(), Failure> {
        let ip = match (self.server.ip(), self.link.addresses) {
            // All of 127/8 is this machine.
            (IpAddr::V4(_), true) => Ipv4Addr::new(127, 0, 0, 2 + self.bindings as u8).into(),
            (ip, _) => ip,
        };
        let socket = Arc::new(UdpSocket::bind(SocketAddr::new(ip, 0)).await?);
        socket.connect(self.server).await?;
        self.bindings += 1;
        self.behind = Some(Arc::clone(&socket));
        let (binding, answers) = (self.bindings, self.answers.clone());
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_535];
            // Until the link is gone. A server that is not there yet, or any more, is an error to read.
            while !answers.is_closed() {
                match socket.recv(&mut buffer).await {
                    Ok(length) => drop(answers.send((binding, buffer[..length].to_vec())).await),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        Ok(())
    }

    fn enter(&mut self, from: Side, mut bytes: Vec<u8>) -> Result<(), Failure> {
        let (now, way) = (Instant::now(), from as usize);
        let client = self.behind.as_ref().ok_or("not bound")?.local_addr()?;
        let entered = Entered { time: now - self.start, from, client, bytes: bytes.clone() };
        self.trace.lock().unwrap_or_else(|error| error.into_inner()).push(entered);
        self.entered[way] += 1;
        if self.is_lost(from, now) {
            return Ok(());
        }
        if self.rng.below(100) < self.link.damage {
            let at = self.rng.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 + self.rng.below(255) as u8;
        }
        let size = (bytes.len() + OVERHEAD) as u64 * 8;
        let takes = Duration::from_nanos(size * 1_000_000_000 / self.link.bandwidth);
        let begins = self.ways[way].free.unwrap_or(now).max(now);
        if begins.duration_since(now) > takes * u32::try_from(self.link.queue)? {
            return Ok(());
        }
        let left = begins + takes;
        self.ways[way].free = Some(left);
        let order = self.entered[0] + self.entered[1];
        self.under_way.push(Reverse((left + self.link.delay, order, from == Side::Client, bytes)));
        Ok(())
    }

    fn is_lost(&mut self, from: Side, now: Instant) -> bool {
        let way = &mut self.ways[from as usize];
        let dice = self.rng.below(100) < self.link.loss;
        let lost = dice && (self.link.burst == 0 || way.lost < self.link.burst);
        way.lost = if lost { way.lost + 1 } else { 0 };
        let is_off = self.link.outage.is_some_and(|(on, off)| {
            let since = (now - self.start).as_nanos() % (on + off).as_nanos();
            since >= on.as_nanos()
        });
        let is_dropped = from == Side::Client && self.link.drops.contains(&self.entered[Side::Client as usize]);
        lost || is_off || is_dropped
    }

    async fn deliver(&mut self) {
        while let Some(Reverse((at, ..))) = self.under_way.peek() {
            if *at > Instant::now() {
                return;
            }
            let Some(Reverse((_, _, to_server, bytes))) = self.under_way.pop() else { return };
            // A receiver that is gone loses its packets.
            let _ = match (to_server, &self.behind, self.client) {
                (true, Some(behind), _) => behind.send(&bytes).await,
                (false, _, Some(client)) => self.front.send_to(&bytes, client).await,
                _ => Ok(0),
            };
        }
    }
}

/// Headers of UDP and IPv4.
const OVERHEAD: usize = 28;
