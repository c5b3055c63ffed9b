//! The relay on an endpoint, and beside it the raw one: what an event loop drives. No RFC.
//!
//! ```no_run
//! # fn run(endpoint: quic_lite::endpoint::Endpoint) -> std::io::Result<()> {
//! use quic_relay::serve::{RelayConfig, server::Server};
//! let mut driver = quic_lite::io::Driver::bind(&["[::]:4443".parse().unwrap()], endpoint)?;
//! driver.run(&mut Server::new(RelayConfig::default(), None))
//! # }
//! ```

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::Event;
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::io::Application;
use quic_lite::stream::{Chunk, Streams};
use quic_lite::tls::ClientTls;

use super::{Context, Counters, Network, Relay, RelayConfig, Roles};
use crate::raw::{self, RawConfig, RawRelay};
use crate::track::PeerId;

/// How to reach the relay above.
#[derive(Clone, Debug)]
pub struct Above {
    /// Where it listens; tried in turn.
    pub addresses: Vec<SocketAddr>,
    /// The name its certificate is for.
    pub server_name: String,
    /// What it must prove, and ALPN.
    pub tls: ClientTls,
    /// Transport settings.
    pub transport: Arc<Config>,
}

/// Transport settings that suit a relay.
pub fn transport() -> Config {
    Config {
        // A viewer of a quiet track says nothing for long; NATs forget it, and peers give up after 10 s.
        keep_alive: Some(Duration::from_secs(4)),
        // A namespace of many tracks is one request each.
        max_bidi_streams: 1024,
        ..Config::default()
    }
}

/// The relay and its way to the relay above.
#[derive(Debug)]
pub struct Server {
    relay: Relay,
    raw: RawRelay,
    dialer: Option<Dialer>,
    leaving: bool,
    begun: bool,
}

#[derive(Debug)]
struct Dialer {
    above: Above,
    attempts: usize,
}

impl Server {
    /// A relay that asks `above` for what nobody publishes here.
    pub fn new(mut config: RelayConfig, above: Option<Above>) -> Self {
        if above.is_some() {
            config.upstream.get_or_insert_default();
        }
        let dialer = above.map(|above| Dialer { above, attempts: 0 });
        Self {
            relay: Relay::new(config),
            // Without its ALPNs at the endpoint, nobody ever comes to it.
            raw: RawRelay::new(RawConfig::default()),
            dialer,
            leaving: false,
            begun: false,
        }
    }

    /// What was done so far, and what there is now.
    pub fn counters(&self) -> Counters {
        self.relay.counters().plus(&self.raw.counters())
    }

    /// What a peer does here, or has done.
    pub fn roles(&self, peer: PeerId) -> Roles {
        match self.raw.role(peer) {
            Some(role) => Roles {
                publishes: role == raw::Role::Publisher,
                subscribes: role == raw::Role::Subscriber,
            },
            None => self.relay.roles(peer),
        }
    }

    /// The relay.
    pub const fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Asks everybody to go and is done when they have, or after `timeout`.
    pub fn shut_down(&mut self, now: Time, endpoint: &mut Endpoint, timeout: Duration) {
        self.leaving = true;
        self.with(now, endpoint, |relay, cx| relay.shut_down(cx, timeout));
        self.with_raw(now, endpoint, RawRelay::shut_down);
    }

    fn on_datagrams(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle) {
        let next = |endpoint: &mut Endpoint| endpoint.connection_mut(handle)?.receive_datagram();
        let peer = PeerId(handle.0);
        let is_raw = self.raw.role(peer).is_some();
        while let Some(datagram) = next(endpoint) {
            match is_raw {
                true => self.with_raw(now, endpoint, |raw, cx| {
                    raw.on_datagram(cx, peer, &datagram);
                }),
                false => self.with(now, endpoint, |relay, cx| {
                    relay.on_datagram(cx, peer, datagram);
                }),
            }
        }
    }

    fn on_connected(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle) {
        let Some(connection) = endpoint.connection(handle) else {
            return;
        };
        let (peer, side) = (PeerId(handle.0), connection.side());
        match connection.alpn().and_then(raw::Role::from_alpn) {
            Some(role) => {
                self.with_raw(now, endpoint, |raw, cx| raw.on_connected(cx, peer, role));
            }
            None => self.with(now, endpoint, |relay, cx| {
                relay.on_connected(cx, peer, side)
            }),
        }
    }

    fn with_raw(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        act: impl FnOnce(&mut RawRelay, &mut Context<'_>),
    ) {
        let mut net = Connections {
            endpoint,
            dialer: None,
        };
        act(&mut self.raw, &mut Context { now, net: &mut net });
    }

    fn with(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        act: impl FnOnce(&mut Relay, &mut Context<'_>),
    ) {
        let mut net = Connections {
            endpoint,
            dialer: self.dialer.as_mut(),
        };
        act(&mut self.relay, &mut Context { now, net: &mut net });
    }
}

impl Application for Server {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        let peer = PeerId(handle.0);
        let is_raw = self.raw.role(peer).is_some();
        match event {
            Event::Connected => self.on_connected(now, endpoint, handle),
            Event::Stream(event) if is_raw => self.with_raw(now, endpoint, |raw, cx| {
                raw.on_stream_event(cx, peer, event);
            }),
            Event::Stream(event) => self.with(now, endpoint, |relay, cx| {
                relay.on_stream_event(cx, peer, event)
            }),
            Event::DatagramReceived => self.on_datagrams(now, endpoint, handle),
            Event::Closed(error) => {
                log::debug!("{handle}: {error}");
                match is_raw {
                    true => self.with_raw(now, endpoint, |raw, cx| raw.on_closed(cx, peer)),
                    false => self.with(now, endpoint, |relay, cx| relay.on_closed(cx, peer)),
                }
            }
            _ => {}
        }
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        if !self.begun {
            self.begun = true;
            self.with(now, endpoint, |relay, cx| relay.connect_above(cx));
        }
        if self.relay.next_timeout().is_some_and(|at| at <= now) {
            self.with(now, endpoint, |relay, cx| relay.on_timeout(cx));
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.relay.next_timeout()
    }

    fn is_done(&self) -> bool {
        self.leaving && self.relay.is_empty() && self.raw.is_empty()
    }
}

/// The endpoint's connections, as the relay sees them.
struct Connections<'a> {
    endpoint: &'a mut Endpoint,
    dialer: Option<&'a mut Dialer>,
}

impl Network for Connections<'_> {
    fn streams(&mut self, peer: PeerId) -> Option<&mut Streams> {
        // What came before the end of a connection is still read after it.
        let connection = self.endpoint.connection_mut(Handle(peer.0))?;
        Some(connection.streams_mut())
    }

    fn send_datagram(&mut self, peer: PeerId, datagram: Chunk) -> bool {
        let connection = self.endpoint.connection_mut(Handle(peer.0));
        connection.is_some_and(|connection| connection.send_datagram_chunk(datagram).is_ok())
    }

    fn close(&mut self, now: Time, peer: PeerId, code: u64, reason: &str) {
        if let Some(connection) = self.endpoint.connection_mut(Handle(peer.0)) {
            connection.close(now, code, reason);
        }
    }

    fn dial(&mut self, now: Time) -> Option<PeerId> {
        let dialer = self.dialer.as_mut()?;
        let above = &dialer.above;
        let address = *above
            .addresses
            .get(dialer.attempts % above.addresses.len().max(1))?;
        dialer.attempts += 1;
        let connected = self.endpoint.connect(
            now,
            &above.tls,
            address,
            &above.server_name,
            Arc::clone(&above.transport),
        );
        match connected {
            Ok(handle) => Some(PeerId(handle.0)),
            Err(error) => {
                log::warn!("cannot reach the relay above at {address}: {error}");
                None
            }
        }
    }
}
