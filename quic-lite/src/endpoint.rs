//! ① From datagrams to connections and back, without sockets. RFC 9000 §5.2, §6, §8.1, §10.3.
//!
//! An [`Endpoint`] owns the connections of a client, a server, or a relay that is both. Five calls:
//! [`Endpoint::receive`], [`Endpoint::transmit`] until it gives nothing, [`Endpoint::next_timeout`],
//! [`Endpoint::on_timeout`], [`Endpoint::poll_event`]. Promise: what strangers send costs no memory
//! beyond fixed bounds; the cost of a call depends on the connections with something to do, never on
//! how many there are. Replies that need no connection are made in `endpoint/stateless.rs`.

mod accept;
mod config;
mod half_open;
mod limit;
mod ports;
mod routes;
mod slots;
mod stateless;
mod tables;
#[cfg(test)]
mod tests;
mod timers;
mod tokens;

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::Time;
use crate::config::Config;
use crate::connection::{Connection, Ecn, Event, FourTuple, Parts, Transmit};
use crate::observer::Observer;
use crate::rng::Rng;
use crate::tls::{ClientTls, rustls};
use crate::token::{ResetKey, TokenKey};
use crate::wire::connection_id::ConnectionId;
use crate::wire::header::{FORM_BIT, destination_cid};

pub use config::EndpointConfig;
use half_open::HalfOpen;
use routes::Routes;
pub use slots::Handle;
use slots::Slots;
use stateless::Replies;
use timers::Timers;
use tokens::{ServerTokens, UsedTokens};

/// The connections of one process, or of one thread of it.
pub struct Endpoint {
    config: EndpointConfig,
    rng: Rng,
    token_key: TokenKey,
    reset_key: Arc<ResetKey>,
    slots: Slots,
    routes: Routes,
    timers: Timers,
    /// Slots whose events and deadlines may have changed since they were last looked at.
    touched: Vec<usize>,
    /// Slots that may have something to send, each once; they take turns.
    ready: VecDeque<usize>,
    events: VecDeque<(Handle, Event)>,
    replies: Replies,
    replies_first: bool,
    used_tokens: UsedTokens,
    server_tokens: ServerTokens,
    half_open: HalfOpen,
    local_addresses: Vec<SocketAddr>,
    observers: Option<Observers>,
    /// The latest time that a call told.
    now: Time,
}

/// Makes the observer of a new connection; `None` for one that is not watched.
pub type Observers = Box<dyn FnMut(&Connection) -> Option<Box<dyn Observer>> + Send>;

/// A datagram and what is known of its coming.
struct Arrival<'a> {
    now: Time,
    path: FourTuple,
    ecn: Option<Ecn>,
    datagram: &'a mut [u8],
}

/// Why a connection cannot be started.
#[derive(Debug)]
pub enum ConnectError {
    /// The endpoint has as many connections as it may.
    TooManyConnections,
    /// TLS cannot begin, for instance because the server name is not one.
    Tls(rustls::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyConnections => {
                f.write_str("the endpoint has no room for more connections")
            }
            Self::Tls(error) => write!(f, "TLS: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl Endpoint {
    /// An endpoint without connections. All its randomness comes from `seed`: secret and fresh for real
    /// use, fixed to repeat a simulation.
    pub fn new(mut config: EndpointConfig, seed: [u8; 32]) -> Self {
        // RFC 9000 §7.2: the ID of a Retry comes back as one that must have 8 bytes.
        config.cid_len = config.cid_len.clamp(8, ConnectionId::MAX_LEN);
        let mut rng = Rng::new(seed);
        // A secret shared with the endpoint's past self lets it reset connections it has forgotten.
        let mut keys = config.secret.map_or_else(|| rng.fork(), Rng::new);
        // RFC 9000 §8.1.4: that one's tokens would outlive their time, which another clock told, and might be
        // used again: so their key is new.
        let (routes, token_key) = secrets(rng.bytes());
        Self {
            token_key: TokenKey::new(token_key),
            reset_key: Arc::new(ResetKey::new(keys.bytes())),
            slots: Slots::default(),
            routes: Routes::new(routes),
            timers: Timers::default(),
            touched: Vec::new(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
            replies: Replies::new(),
            replies_first: false,
            used_tokens: UsedTokens::default(),
            server_tokens: ServerTokens::default(),
            half_open: HalfOpen::default(),
            local_addresses: Vec::new(),
            observers: None,
            now: Time::ZERO,
            rng,
            config,
        }
    }

    /// Tells which addresses datagrams leave from, so that connections begun here know their path.
    pub fn set_local_addresses(&mut self, addresses: &[SocketAddr]) {
        self.local_addresses = addresses.to_vec();
    }

    /// Has the connections that begin from now on watched by what `observers` makes for each of them.
    pub fn set_observers(&mut self, observers: Observers) {
        self.observers = Some(observers);
    }

    /// Begins a connection. Its first datagram is ready to [`Self::transmit`].
    pub fn connect(
        &mut self,
        now: Time,
        tls: &ClientTls,
        remote: SocketAddr,
        server_name: &str,
        config: impl Into<Arc<Config>>,
    ) -> Result<Handle, ConnectError> {
        self.now = now;
        if self.slots.len() >= self.config.max_connections {
            return Err(ConnectError::TooManyConnections);
        }
        let path = FourTuple {
            local: self.local_address(remote),
            remote,
        };
        let local_cid = self.new_cid().ok_or(ConnectError::TooManyConnections)?;
        let parts = self.parts(config.into(), path, local_cid);
        let token = self.server_tokens.take(server_name).unwrap_or_default();
        let connection = Connection::client(now, parts, tls, server_name, token);
        let mut connection = connection.map_err(ConnectError::Tls)?;
        self.observe(now, &mut connection);
        Ok(self.insert(connection, local_cid))
    }

    /// Takes a datagram that came in; it is changed in place.
    pub fn receive(&mut self, now: Time, path: FourTuple, ecn: Option<Ecn>, datagram: &mut [u8]) {
        self.now = now;
        let slot = self.route(path.remote, datagram);
        let arrival = Arrival {
            now,
            path,
            ecn,
            datagram,
        };
        match slot {
            Some(slot) => self.hand_over(slot, arrival),
            None => self.on_stranger(arrival),
        }
    }

    /// Writes what is to be sent next into `buffer`: up to `max_segments` datagrams of equal size to one
    /// peer. Connections with something to send take turns.
    pub fn transmit(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        max_segments: usize,
    ) -> Option<Transmit> {
        self.now = now;
        self.settle();
        // Half of the calls at most: a flood of strangers must not silence the connections.
        self.replies_first = !self.replies_first;
        if self.replies_first && !self.replies.is_empty() {
            return self.replies.transmit(buffer);
        }
        while let Some(slot) = self.ready.pop_front() {
            let Some(entry) = self.slots.entry(slot).filter(|entry| entry.ready) else {
                continue;
            };
            let transmit = entry.connection.transmit(now, buffer, max_segments);
            if transmit.is_some() && entry.connection.may_have_more(now) {
                self.ready.push_back(slot);
                return transmit;
            }
            entry.ready = false;
            self.inspect(slot);
            if transmit.is_some() {
                return transmit;
            }
        }
        self.replies.transmit(buffer)
    }

    /// When [`Self::on_timeout`] must be called.
    pub fn next_timeout(&mut self) -> Option<Time> {
        self.settle();
        self.set_timers();
        let slots = &self.slots;
        self.timers.next(|slot| slots.deadline(slot))
    }

    /// Serves all deadlines that have passed.
    pub fn on_timeout(&mut self, now: Time) {
        self.now = now;
        self.settle();
        self.set_timers();
        while let Some(slot) = self.timers.pop(now) {
            let Some(entry) = self.slots.entry(slot) else {
                continue;
            };
            if entry
                .connection
                .next_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                entry.connection.on_timeout(now);
            }
            self.touch(slot);
        }
    }

    /// What happened next, and to which connection.
    pub fn poll_event(&mut self) -> Option<(Handle, Event)> {
        self.settle();
        self.events.pop_front()
    }

    /// Whether [`Self::poll_event`] has something to tell.
    pub fn has_events(&mut self) -> bool {
        self.settle();
        !self.events.is_empty()
    }

    /// A connection, unless it is gone.
    pub fn connection(&self, handle: Handle) -> Option<&Connection> {
        self.slots.get(handle).map(|entry| &entry.connection)
    }

    /// A connection to act on; what that makes ready is sent at the next [`Self::transmit`].
    pub fn connection_mut(&mut self, handle: Handle) -> Option<&mut Connection> {
        self.slots.get(handle)?;
        self.touch(handle.slot());
        self.slots
            .get_mut(handle)
            .map(|entry| &mut entry.connection)
    }

    /// The connections there are, those being closed included.
    pub fn handles(&self) -> impl Iterator<Item = Handle> {
        self.slots.handles()
    }

    /// How many connections there are, those being closed included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many clients have begun a handshake here and not completed it.
    pub fn half_open(&self) -> usize {
        self.half_open.total()
    }

    /// Closes all connections with an application error code.
    pub fn close_all(&mut self, now: Time, code: u64, reason: &str) {
        let handles: Vec<Handle> = self.handles().collect();
        for handle in handles {
            if let Some(connection) = self.connection_mut(handle) {
                connection.close(now, code, reason);
            }
        }
    }

    /// Whether no connection is left and nothing waits to be sent or read.
    pub fn is_idle(&mut self) -> bool {
        self.settle();
        self.is_empty() && self.events.is_empty() && self.replies.is_empty()
    }

    /// The slot a datagram is for (RFC 9000 §5.2).
    fn route(&self, remote: SocketAddr, datagram: &[u8]) -> Option<usize> {
        let (_, cid) = destination_cid(datagram, self.config.cid_len).ok()?;
        // RFC 9000 §17.2: a longer one is of another version, and cannot be ours.
        let cid = ConnectionId::new(cid)?;
        self.routes.find(&cid).or_else(|| {
            let is_long = datagram.first()? & FORM_BIT != 0;
            is_long.then(|| self.routes.find_original(remote, cid))?
        })
    }

    fn hand_over(&mut self, slot: usize, arrival: Arrival<'_>) {
        let Arrival {
            now,
            path,
            ecn,
            datagram,
        } = arrival;
        if let Some(entry) = self.slots.entry(slot) {
            entry.connection.receive(now, path, ecn, datagram);
            self.touch(slot);
        }
    }

    /// Gives a new connection its observer.
    fn observe(&mut self, now: Time, connection: &mut Connection) {
        let observers = self.observers.as_mut();
        if let Some(observer) = observers.and_then(|make| make(connection)) {
            connection.set_observer(now, observer);
        }
    }

    fn insert(&mut self, connection: Connection, local_cid: ConnectionId) -> Handle {
        let handle = self.slots.insert(connection);
        self.add_cid(handle.slot(), local_cid);
        self.touch(handle.slot());
        handle
    }

    fn parts(&mut self, config: Arc<Config>, path: FourTuple, local_cid: ConnectionId) -> Parts {
        let (reset_key, rng) = (self.reset_key.clone(), self.rng.fork());
        Parts {
            config,
            path,
            local_cid,
            reset_key,
            rng,
        }
    }

    /// A connection ID that no connection has.
    fn new_cid(&mut self) -> Option<ConnectionId> {
        let bytes = self.rng.bytes::<{ ConnectionId::MAX_LEN }>();
        let cid = ConnectionId::new(bytes.get(..self.config.cid_len)?)?;
        self.routes.find(&cid).is_none().then_some(cid)
    }

    /// Where a connection to `remote` is going to leave from, as far as it is known.
    fn local_address(&self, remote: SocketAddr) -> SocketAddr {
        let (v4, v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        let any: IpAddr = if remote.is_ipv4() { v4 } else { v6 };
        let reaches = |local: &&SocketAddr| local.is_ipv4() == remote.is_ipv4() || local.ip() == v6;
        match self.local_addresses.iter().find(reaches) {
            Some(local) if local.ip().is_unspecified() => SocketAddr::new(any, local.port()),
            Some(local) => *local,
            None => SocketAddr::new(any, 0),
        }
    }

    /// Notes that a connection may have changed.
    fn touch(&mut self, slot: usize) {
        if let Some(entry) = self.slots.entry(slot).filter(|entry| !entry.touched) {
            entry.touched = true;
            self.touched.push(slot);
        }
    }

    /// Collects the events of all connections that may have changed. Their deadlines are looked at when they
    /// have sent what they have, or when somebody asks.
    fn settle(&mut self) {
        while let Some(slot) = self.touched.pop() {
            let Some(entry) = self.slots.entry(slot).filter(|entry| entry.touched) else {
                continue;
            };
            entry.touched = false;
            if !entry.ready {
                entry.ready = true;
                self.ready.push_back(slot);
            }
            self.follow(slot);
        }
    }

    /// Looks at the deadlines of the connections that are yet to be asked for datagrams.
    fn set_timers(&mut self) {
        for &slot in &self.ready {
            self.timers.set(slot, self.slots.deadline(slot));
        }
    }

    /// Collects a connection's events and its deadline; frees it when it is over.
    fn inspect(&mut self, slot: usize) {
        self.follow(slot);
        self.timers.set(slot, self.slots.deadline(slot));
    }

    /// Collects a connection's events; frees it when it is over.
    fn follow(&mut self, slot: usize) {
        while let Some(entry) = self.slots.entry(slot) {
            let Some(event) = entry.connection.poll_event() else {
                break;
            };
            let handle = entry.handle;
            self.on_event(slot, &event);
            self.events.push_back((handle, event));
        }
        if self
            .slots
            .entry(slot)
            .is_some_and(|entry| entry.connection.is_drained())
        {
            self.free(slot);
        }
    }
}

/// The routes' secret and the tokens' from random bytes.
fn secrets(random: [u8; 48]) -> ([u8; 16], [u8; 32]) {
    let (mut routes, mut tokens) = ([0; 16], [0; 32]);
    routes.copy_from_slice(&random[..16]);
    tokens.copy_from_slice(&random[16..]);
    (routes, tokens)
}
