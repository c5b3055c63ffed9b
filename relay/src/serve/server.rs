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

use quic_lite::config::Config;
use quic_lite::connection::Event;
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::io::Application;
use quic_lite::stream::StreamEvent;
use quic_lite::{Dir, Time};

use super::connections::{Connections, Dialer};
use super::{Context, Counters, Relay, RelayConfig, Roles};
use crate::offload::{Forwarding, Offloader};
use crate::raw::{self, RawConfig, RawRelay};
use crate::track::PeerId;

pub use super::connections::Above;

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

/// The same for a relay beside the kernel: a publisher's largest packet leaves room for what a copy may be
/// longer, a connection ID of 20 bytes instead of our 8 and a longer packet number.
pub fn transport_beside_kernel() -> Config {
    let transport = transport();
    Config {
        accepted_udp_payload: Some(transport.max_udp_payload - 16),
        ..transport
    }
}

/// The relay and its way to the relay above.
#[derive(Debug)]
pub struct Server {
    relay: Relay,
    raw: RawRelay,
    dialer: Option<Dialer>,
    offloader: Option<Offloader>,
    leaving: bool,
    begun: bool,
}

impl Server {
    /// A relay that asks `above` for what nobody publishes here.
    pub fn new(mut config: RelayConfig, above: Option<Above>) -> Self {
        if above.is_some() {
            config.upstream.get_or_insert_default();
        }
        let dialer = above.map(Dialer::new);
        Self {
            relay: Relay::new(config),
            // Without its ALPNs at the endpoint, nobody ever comes to it.
            raw: RawRelay::new(RawConfig::default()),
            dialer,
            offloader: None,
            leaving: false,
            begun: false,
        }
    }

    /// What time of day it is, in microseconds since 1970: see [`Relay::set_clock`].
    pub fn set_clock(&mut self, now: Time, unix: u64) {
        self.relay.set_clock(now, unix);
    }

    /// Shares the work with the kernel from now on. To be called before there are connections.
    pub fn set_offloader(&mut self, offloader: Offloader) {
        self.offloader = Some(offloader);
    }

    /// What decides about the kernel, if there is one.
    pub const fn offloader(&self) -> Option<&Offloader> {
        self.offloader.as_ref()
    }

    /// What decides about the kernel, to switch it.
    pub const fn offloader_mut(&mut self) -> Option<&mut Offloader> {
        self.offloader.as_mut()
    }

    /// Whether the kernel has a part in a connection.
    pub fn forwarding(&self, peer: PeerId) -> Forwarding {
        let offloader = self.offloader.as_ref();
        offloader.map_or(Forwarding::OFF, |it| it.forwarding(peer))
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
        let next = |endpoint: &mut Endpoint| endpoint.connection_mut(handle)?.receive_datagram_of();
        let peer = PeerId(handle.0);
        let is_raw = self.raw.role(peer).is_some();
        while let Some((packet, datagram)) = next(endpoint) {
            match is_raw {
                true => self.with_raw(now, endpoint, |raw, cx| {
                    raw.on_datagram(cx, peer, (packet, &datagram));
                }),
                false => self.with(now, endpoint, |relay, cx| {
                    relay.on_datagram_of(cx, peer, packet, datagram);
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
            Some(_) if self.relay.asks_for_tokens() => {
                if let Some(connection) = endpoint.connection_mut(handle) {
                    connection.close(now, raw::code::UNAUTHORIZED, "no tokens in this protocol");
                }
            }
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
            now,
            endpoint,
            dialer: None,
            offloader: self.offloader.as_mut(),
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
            now,
            endpoint,
            dialer: self.dialer.as_mut(),
            offloader: self.offloader.as_mut(),
        };
        act(&mut self.relay, &mut Context { now, net: &mut net });
    }
}

impl Application for Server {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        let peer = PeerId(handle.0);
        let is_raw = self.raw.role(peer).is_some();
        if let Some(offloader) = &mut self.offloader {
            offloader.on_event(now, endpoint, handle, &event);
            if !is_media(&event) {
                offloader.disturb(now);
            }
        }
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
                let level = match self.relay.is_above(peer) {
                    true => log::Level::Warn,
                    false => log::Level::Debug,
                };
                log::log!(level, "{handle}: {error}");
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
        if let Some(offloader) = &mut self.offloader {
            offloader.on_tick(now, endpoint);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        let turn = self.offloader.as_ref().map(Offloader::next_timeout);
        self.relay.next_timeout().into_iter().chain(turn).min()
    }

    fn rest(&self, now: Time) -> Option<Duration> {
        self.offloader.as_ref()?.rest(now)
    }

    fn is_done(&self) -> bool {
        self.leaving && self.relay.is_empty() && self.raw.is_empty()
    }
}

/// Whether that is what happens all the time while media flow.
fn is_media(event: &Event) -> bool {
    match event {
        Event::DatagramReceived => true,
        Event::Stream(StreamEvent::Opened(id) | StreamEvent::Readable(id)) => id.dir() == Dir::Uni,
        Event::Stream(_) => true,
        _ => false,
    }
}
