//! ① ⑧ The event loop: sockets, clock and alarm around an [`Endpoint`]. RFC 9000 §5.2, §13.4, §14.
//!
//! One thread, one loop, any number of sockets and connections. Each turn waits, reads a bounded batch,
//! serves the timers, gives events to the application, and sends what has become ready. Promise: no
//! flood on a socket keeps a timer from its time for longer than one budget; only this module and its
//! children touch sockets or the clock. Linux only.
//!
//! ```no_run
//! # use quic_lite::{endpoint::Endpoint, io::{Application, Driver}};
//! # fn serve(endpoint: Endpoint, mut app: impl Application) -> std::io::Result<()> {
//! let mut driver = Driver::bind(&["[::]:4433".parse().unwrap()], endpoint)?;
//! driver.run(&mut app)
//! # }
//! ```

mod calls;
mod clock;
mod receive;
mod send;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::event::Event as Ready;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use quinn_udp::EcnCodepoint;

use crate::Time;
use crate::connection::{Event, FourTuple, Transmit};
use crate::endpoint::{Endpoint, Handle};
use crate::limits;

pub use calls::SystemCalls;
use clock::Alarm;
pub use clock::Clock;
use receive::Inbox;
use send::{Flush, Manner, Outbox};
use socket::Socket;
pub use socket::{SocketConfig, any_port};

/// What the loop drives besides the endpoint.
pub trait Application {
    /// Something happened on a connection.
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event);

    /// Called once in each turn of the loop, after the events: for deadlines and for other threads' work.
    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint);

    /// When [`Self::on_tick`] must be called at the latest.
    fn next_timeout(&self) -> Option<Time>;

    /// How long nobody waits for what comes in, after [`Self::on_tick`]: the loop may rest for so long, and find more
    /// to do at once. No rest is longer than to the next deadline.
    fn rest(&self, now: Time) -> Option<Duration> {
        let _ = now;
        None
    }

    /// Ends the loop.
    fn is_done(&self) -> bool;

    /// A descriptor given to [`Driver::watch`] has become readable. It must be read until it would block:
    /// there is one call per change, not one per byte.
    fn on_readable(&mut self, now: Time, endpoint: &mut Endpoint, id: usize) {
        let _ = (now, endpoint, id);
    }
}

/// An endpoint on real sockets.
pub struct Driver {
    poll: Poll,
    events: Events,
    waker: Waker,
    alarm: Alarm,
    clock: Clock,
    sockets: Vec<Socket>,
    inbox: Inbox,
    outbox: Outbox,
    /// The socket that the kernel has no room for; nothing is sent until it has.
    blocked: Option<usize>,
    /// The last turn ended before everything that is ready was sent.
    unsent: bool,
    calls: SystemCalls,
    endpoint: Endpoint,
}

/// Makes the loop turn at once, from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Wakes the loop. Calls before it turns count as one.
    pub fn wake(&self) {
        if let Err(error) = self.0.wake() {
            log::warn!("cannot wake the event loop: {error}");
        }
    }
}

impl Driver {
    /// Binds one socket to each address. `[::]` takes IPv4 and IPv6.
    pub fn bind(addresses: &[SocketAddr], endpoint: Endpoint) -> io::Result<Self> {
        Self::bind_with(addresses, endpoint, &SocketConfig::default())
    }

    /// Binds with other socket settings than the default.
    pub fn bind_with(
        addresses: &[SocketAddr],
        endpoint: Endpoint,
        config: &SocketConfig,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let open = |(index, address): (usize, &SocketAddr)| {
            Socket::bind(*address, config, poll.registry(), Token(index))
        };
        let sockets = addresses
            .iter()
            .enumerate()
            .map(open)
            .collect::<io::Result<_>>()?;
        let calls = SystemCalls::default();
        let mut driver = Self {
            waker: Waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?)),
            alarm: Alarm::new(poll.registry(), ALARM)?,
            poll,
            events: Events::with_capacity(128),
            clock: Clock::start(),
            sockets,
            inbox: Inbox::new(calls.clone()),
            outbox: Outbox::new(calls.clone()),
            blocked: None,
            unsent: true,
            calls,
            endpoint,
        };
        let local = driver.local_addresses();
        driver.endpoint.set_local_addresses(&local);
        Ok(driver)
    }

    /// The addresses bound to, with the ports the system chose.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(Socket::local).collect()
    }

    /// The endpoint, for example to connect before the loop runs.
    pub fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The loop's clock: what calls on the endpoint outside the loop take as `now`.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The loop's clock, to understand the times of others.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Lets other threads, or a signal handler's thread, wake the loop.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Counts the loop's system calls.
    pub fn system_calls(&self) -> SystemCalls {
        self.calls.clone()
    }

    /// Tells [`Application::on_readable`] with `id` when the descriptor becomes readable.
    /// The caller keeps the descriptor open as long as the loop runs.
    pub fn watch(&self, descriptor: &impl AsRawFd, id: usize) -> io::Result<()> {
        let fd = descriptor.as_raw_fd();
        let token = Token(WATCHED.saturating_add(id));
        self.poll
            .registry()
            .register(&mut SourceFd(&fd), token, Interest::READABLE)
    }

    /// Turns until the application is done.
    pub fn run(&mut self, app: &mut impl Application) -> io::Result<()> {
        while !app.is_done() {
            self.turn(app)?;
        }
        Ok(())
    }

    /// One turn: wait, receive, serve timers, tell the application, send.
    pub fn turn(&mut self, app: &mut impl Application) -> io::Result<()> {
        self.wait(app)?;
        self.receive();
        let now = self.clock.now();
        self.endpoint.on_timeout(now);
        self.deliver(now, app);
        app.on_tick(now, &mut self.endpoint);
        self.deliver(now, app);
        self.send()
    }

    fn wait(&mut self, app: &mut impl Application) -> io::Result<()> {
        let timeout = match self.is_busy() {
            true => Some(Duration::ZERO),
            false => self.idle(app)?,
        };
        self.calls.add();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let now = self.clock.now();
        for ready in &self.events {
            match ready.token() {
                WAKER | ALARM => {}
                Token(id) if id >= WATCHED => {
                    app.on_readable(now, &mut self.endpoint, id - WATCHED)
                }
                _ => mark(
                    self.poll.registry(),
                    &mut self.sockets,
                    &mut self.blocked,
                    ready,
                )?,
            }
        }
        Ok(())
    }

    /// Whether there is something to do already.
    fn is_busy(&mut self) -> bool {
        let to_send = self.unsent && self.blocked.is_none();
        // Sending makes events too, such as that of a key update.
        to_send || self.endpoint.has_events() || self.sockets.iter().any(|socket| socket.readable)
    }

    /// Takes the rest that the application allows; how long `poll` may wait after it.
    fn idle(&mut self, app: &impl Application) -> io::Result<Option<Duration>> {
        let deadlines = [self.endpoint.next_timeout(), app.next_timeout()];
        let deadline = deadlines.into_iter().flatten().min();
        let now = self.clock.now();
        if let Some(rest) = app.rest(now).filter(|_| self.blocked.is_none()) {
            self.rest(deadline.map_or(rest, |deadline| deadline.since(now).min(rest)));
            return Ok(Some(Duration::ZERO));
        }
        self.alarm.timeout(now, deadline, &self.calls)
    }

    #[expect(clippy::disallowed_methods, reason = "nothing is to wake the loop")]
    fn rest(&self, duration: Duration) {
        self.calls.add();
        thread::sleep(duration);
    }

    /// Reads from all sockets in turn until they are empty or the budget is spent.
    fn receive(&mut self) {
        let mut budget = limits::RECEIVE_BUDGET;
        let end = self.clock.now() + limits::RECEIVE_TIME;
        let mut turns = (0..self.sockets.len()).cycle();
        while self.sockets.iter().any(|socket| socket.readable) {
            let now = self.clock.now();
            let Some(index) = turns.next().filter(|_| budget > 0 && now < end) else {
                return;
            };
            budget = budget.saturating_sub(self.receive_batch(now, index));
        }
    }

    /// Reads one batch from one socket; how many datagrams it had.
    fn receive_batch(&mut self, now: Time, index: usize) -> usize {
        let Some(socket) = self.sockets.get_mut(index).filter(|socket| socket.readable) else {
            return 0;
        };
        let batch = match self.inbox.fill(socket) {
            Ok(batch) => batch,
            Err(error) => {
                socket.readable = error.kind() == io::ErrorKind::Interrupted;
                if !socket.readable && error.kind() != io::ErrorKind::WouldBlock {
                    log::warn!("receive on {} failed: {error}", socket.local());
                }
                return 1;
            }
        };
        // What arrives after a batch that was not full makes a new readiness event.
        socket.readable = batch.is_full;
        for arrival in self.inbox.arrivals(socket) {
            let path = FourTuple {
                local: arrival.local,
                remote: arrival.remote,
            };
            self.endpoint
                .receive(now, path, arrival.ecn, arrival.datagram);
        }
        batch.datagrams
    }

    fn deliver(&mut self, now: Time, app: &mut impl Application) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            app.on_event(now, &mut self.endpoint, handle, event);
        }
    }

    /// Sends until nothing is ready, the kernel has no room, or the budget is spent.
    fn send(&mut self) -> io::Result<()> {
        for _ in 0..limits::SEND_BUDGET {
            if self.blocked.is_some() {
                break;
            }
            self.unsent = self.collect();
            match self.outbox.flush(&self.sockets) {
                Flush::Done if self.unsent => {}
                Flush::Done => break,
                Flush::Blocked { socket: index } => {
                    self.blocked = Some(index);
                    self.watch_writable(index, true)?;
                    self.unsent = true;
                }
            }
        }
        Ok(())
    }

    /// Fills the outbox; whether there may be more.
    fn collect(&mut self) -> bool {
        let now = self.clock.now();
        let segments = self
            .sockets
            .iter()
            .map(Socket::max_segments)
            .min()
            .unwrap_or(1);
        while let Some(room) = self.outbox.room() {
            let Some(transmit) = self.endpoint.transmit(now, room, segments) else {
                return false;
            };
            self.address(&transmit);
        }
        true
    }

    fn address(&mut self, transmit: &Transmit) {
        let FourTuple { local, remote } = transmit.path;
        let Some(index) = self
            .sockets
            .iter()
            .position(|socket| socket.carries(local, remote))
        else {
            log::debug!("no socket leads from {local} to {remote}");
            return;
        };
        let source = self
            .sockets
            .get(index)
            .and_then(|socket| socket.source(local));
        let segment_size = transmit.segment_size.filter(|&size| size < transmit.len);
        let manner = Manner {
            socket: index,
            source,
            ecn: transmit
                .ecn
                .and_then(|ecn| EcnCodepoint::from_bits(ecn.bits())),
            segment_size: segment_size.and_then(|size| u16::try_from(size).ok()),
        };
        self.outbox.push(transmit.len, remote, manner);
    }

    fn watch_writable(&mut self, index: usize, on: bool) -> io::Result<()> {
        match self.sockets.get_mut(index) {
            Some(socket) => socket.watch_writable(self.poll.registry(), on),
            None => Ok(()),
        }
    }
}

/// A seed for [`Endpoint::new`] from the system's randomness.
pub fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(seed)
}

/// Notes what poll said about a socket.
fn mark(
    registry: &Registry,
    sockets: &mut [Socket],
    blocked: &mut Option<usize>,
    ready: &Ready,
) -> io::Result<()> {
    let Token(index) = ready.token();
    let Some(socket) = sockets.get_mut(index) else {
        return Ok(());
    };
    // A pending error is fetched, and forgotten, by reading.
    socket.readable |= ready.is_readable() || ready.is_error();
    if ready.is_writable() && *blocked == Some(index) {
        *blocked = None;
        socket.watch_writable(registry, false)?;
    }
    Ok(())
}

const WAKER: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);
/// Tokens from here on belong to the application; below are the sockets.
const WATCHED: usize = 1 << 16;
