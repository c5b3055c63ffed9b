//! A UDP hop that loses packets: the lab's bad network where there are no namespaces.
//!
//! No RFC. Clients talk to the hop's address; each client gets a socket of its own towards the
//! target, so the target sees as many peers as there are. Every packet, in either direction, is
//! dropped with the same probability; which ones is decided by a seeded generator. One thread per
//! client, blocking reads with a time limit: simple, and enough for a laboratory.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A running hop; its threads end soon after it is dropped.
#[derive(Debug)]
pub(crate) struct LossyHop {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    ports: Ports,
}

/// The port by which the target knows each client, by the client's own port.
type Ports = Arc<Mutex<HashMap<u16, u16>>>;

/// What all threads of a hop share.
#[derive(Clone, Debug)]
struct Shared {
    front: Arc<UdpSocket>,
    target: SocketAddr,
    dice: Arc<Mutex<Dice>>,
    stop: Arc<AtomicBool>,
    ports: Ports,
}

/// Decides which packets are dropped.
#[derive(Debug)]
struct Dice {
    state: u64,
    threshold: u64,
}

impl LossyHop {
    /// Starts a hop on a free port of 127.0.0.1 that forwards to `target` and back.
    pub(crate) fn start(target: SocketAddr, percent: f64, seed: u64) -> io::Result<Self> {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        front.set_read_timeout(Some(TICK))?;
        let address = front.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let ports = Ports::default();
        let shared = Shared {
            front: Arc::new(front),
            target,
            dice: Arc::new(Mutex::new(Dice::new(percent, seed))),
            stop: Arc::clone(&stop),
            ports: Arc::clone(&ports),
        };
        thread::Builder::new()
            .name("lossy hop".into())
            .spawn(move || forward(&shared))?;
        Ok(Self {
            address,
            stop,
            ports,
        })
    }

    /// The port by which the target knows the client on `port`.
    pub(crate) fn port_of(&self, port: u16) -> Option<u16> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.get(&port).copied()
    }

    /// Where clients send to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LossyHop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Packets of clients to the target.
fn forward(shared: &Shared) {
    let mut upstreams: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut packet = vec![0; MAX_PACKET];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = shared.front.recv_from(&mut packet) else {
            continue;
        };
        if shared.is_dropped() {
            continue;
        }
        let upstream = match upstreams.get(&client) {
            Some(upstream) => Arc::clone(upstream),
            None => match shared.open(client) {
                Ok(upstream) => Arc::clone(upstreams.entry(client).or_insert(upstream)),
                // No socket or thread to be had: one packet more is lost, and the next one tries again.
                Err(_) => continue,
            },
        };
        // A full socket buffer loses the packet, as a full queue would.
        let _ = upstream.send(&packet[..length]);
    }
}

impl Shared {
    /// A socket for a new client, and a thread that carries what comes back.
    fn open(&self, client: SocketAddr) -> io::Result<Arc<UdpSocket>> {
        let upstream = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        upstream.connect(self.target)?;
        upstream.set_read_timeout(Some(TICK))?;
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.insert(client.port(), upstream.local_addr()?.port());
        drop(ports);
        let (shared, socket) = (self.clone(), Arc::clone(&upstream));
        let back = move || shared.backward(&socket, client);
        thread::Builder::new().stack_size(128 << 10).spawn(back)?;
        Ok(upstream)
    }

    /// Packets of the target to one client.
    fn backward(&self, upstream: &UdpSocket, client: SocketAddr) {
        let mut packet = [0; MAX_PACKET];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(length) = upstream.recv(&mut packet) else {
                continue;
            };
            if !self.is_dropped() {
                let _ = self.front.send_to(&packet[..length], client);
            }
        }
    }

    fn is_dropped(&self) -> bool {
        self.dice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_dropped()
    }
}

impl Dice {
    fn new(percent: f64, seed: u64) -> Self {
        Self {
            state: seed,
            threshold: (percent / 100.0 * 2_f64.powi(64)) as u64,
        }
    }

    /// SplitMix64.
    fn is_dropped(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) < self.threshold
    }
}

/// How soon a thread sees that it should end.
const TICK: Duration = Duration::from_millis(200);

/// The largest UDP payload on loopback that QUIC would send, segmentation offload undone.
const MAX_PACKET: usize = 9000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_of_dropped_packets_is_what_was_asked_for() {
        for percent in [0.0, 2.0, 50.0] {
            let mut dice = Dice::new(percent, 1);
            let dropped = (0..100_000).filter(|_| dice.is_dropped()).count();
            let wanted = percent * 1000.0;
            assert!(
                (dropped as f64 - wanted).abs() <= wanted * 0.1,
                "{percent} %: {dropped}"
            );
        }
    }

    #[test]
    fn same_seed_drops_the_same_packets() {
        let run = |seed| {
            let mut dice = Dice::new(30.0, seed);
            (0..64).map(|_| dice.is_dropped()).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn clients_are_told_apart_and_answers_find_their_way_back() {
        let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
        echo.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let hop = LossyHop::start(echo.local_addr().unwrap(), 0.0, 1).unwrap();
        let clients = [(); 3].map(|()| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            client
        });
        for (i, client) in clients.iter().enumerate() {
            client.send_to(&[i as u8], hop.address()).unwrap();
        }
        let mut packet = [0; 8];
        let mut peers = Vec::new();
        for _ in &clients {
            let (length, peer) = echo.recv_from(&mut packet).unwrap();
            echo.send_to(&packet[..length], peer).unwrap();
            peers.push(peer);
        }
        peers.sort_unstable();
        peers.dedup();
        assert_eq!(peers.len(), 3);
        for (i, client) in clients.iter().enumerate() {
            assert_eq!(client.recv(&mut packet).unwrap(), 1);
            assert_eq!(packet[0], i as u8);
        }
    }
}
