//! A socket and an endpoint of ours behind it, turned by hand: the bench decides what is sent when. RFC 9000 §5.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use nix::sys::time::TimeSpec;
use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::{Event, FourTuple};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::io::{Clock, random_seed};
use quic_lite::tls::ClientTls;

use crate::orders::Orders;

/// Ours and the relay's end.
pub struct Line {
    /// Connected to the relay.
    pub socket: UdpSocket,
    /// With all connections.
    pub endpoint: Endpoint,
    clock: Clock,
    path: FourTuple,
    tls: ClientTls,
}

impl Line {
    /// A socket to the relay, without a connection yet.
    pub fn open(relay: SocketAddr, alpn: &[u8]) -> io::Result<Self> {
        let any: SocketAddr = if relay.is_ipv4() {
            ([0; 4], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(relay)?;
        socket.set_nonblocking(true)?;
        widen(&socket)?;
        let config = EndpointConfig {
            max_connections: 20_000,
            ..EndpointConfig::default()
        };
        let mut endpoint = Endpoint::new(config, random_seed()?);
        let local = socket.local_addr()?;
        endpoint.set_local_addresses(&[local]);
        let tls = ClientTls::insecure(&[alpn]).map_err(io::Error::other)?;
        Ok(Self {
            socket,
            endpoint,
            clock: Clock::start(),
            path: FourTuple {
                local,
                remote: relay,
            },
            tls,
        })
    }

    /// Now, as the endpoint tells time.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// One more connection.
    pub fn connect(&mut self) -> io::Result<Handle> {
        let (now, remote) = (self.now(), self.path.remote);
        let connection = self
            .endpoint
            .connect(now, &self.tls, remote, "localhost", config());
        connection.map_err(io::Error::other)
    }

    /// Takes what has come, serves the timers and sends what is ready: the events of that.
    pub fn turn(&mut self) -> io::Result<Vec<(Handle, Event)>> {
        let mut datagram = [0; 2048];
        let mut budget = 256_u32;
        while let (Some(left), Some(len)) = (budget.checked_sub(1), self.receive(&mut datagram)?) {
            budget = left;
            let now = self.now();
            self.endpoint
                .receive(now, self.path, None, &mut datagram[..len]);
        }
        let now = self.now();
        self.endpoint.on_timeout(now);
        let events = std::iter::from_fn(|| self.endpoint.poll_event()).collect();
        self.send()?;
        Ok(events)
    }

    /// Sends what is ready, one datagram at a time.
    pub fn send(&mut self) -> io::Result<()> {
        let mut datagram = [0; 2048];
        loop {
            let now = self.now();
            let Some(transmit) = self.endpoint.transmit(now, &mut datagram, 1) else {
                return Ok(());
            };
            match self.socket.send(&datagram[..transmit.len]) {
                Err(error) if is_passing(&error) => {}
                other => other.map(|_| ())?,
            }
        }
    }

    /// Waits until something comes, an order, a timer of the endpoint's, or `deadline`.
    pub fn wait(&mut self, orders: &Orders, deadline: Option<Time>) -> io::Result<()> {
        let deadline = [self.endpoint.next_timeout(), deadline]
            .into_iter()
            .flatten()
            .min();
        let left = deadline.map(|deadline| deadline.since(self.now()));
        wait(&self.socket, orders, left)
    }

    fn receive(&self, datagram: &mut [u8]) -> io::Result<Option<usize>> {
        match self.socket.recv(datagram) {
            Ok(len) => Ok(Some(len)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Waits until something comes, an order, or until so much time has passed.
pub fn wait(socket: &UdpSocket, orders: &Orders, left: Option<Duration>) -> io::Result<()> {
    use std::os::fd::AsFd;
    let mut all = [
        PollFd::new(socket.as_fd(), PollFlags::POLLIN),
        PollFd::new(orders.descriptor(), PollFlags::POLLIN),
    ];
    match ppoll(&mut all, left.map(TimeSpec::from), None) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Room for what a busy machine leaves lying.
pub fn widen(socket: &UdpSocket) -> io::Result<()> {
    setsockopt(socket, RcvBufForce, &(64 << 20))?;
    setsockopt(socket, SndBufForce, &(64 << 20))?;
    Ok(())
}

/// The network is full, or nobody is there yet: what was not sent is repeated.
pub fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionRefused)
        || error.raw_os_error() == Some(Errno::ENOBUFS as i32)
}

/// The peer may send all it wants.
fn config() -> Config {
    Config {
        max_idle_timeout: Duration::ZERO,
        keep_alive: Some(Duration::from_secs(5)),
        max_uni_streams: 1 << 40,
        initial_stream_window: 1 << 30,
        initial_connection_window: 1 << 60,
        max_connection_window: 1 << 60,
        // For the one path whose relay wants that too.
        disable_1rtt_encryption: true,
        ..Config::default()
    }
}
