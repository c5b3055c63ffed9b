//! `quic-relay serve`: options in, a socket and a relay out, until a signal ends it.
//!
//! No RFC. Everything that can be wrong with the options is found before the socket is opened. On
//! SIGINT or SIGTERM the sessions get a GOAWAY (draft-18 §10.4) and a moment to leave; a second signal
//! does not wait.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quic_lite::Time;
#[cfg(feature = "disable-1rtt-encryption")]
use quic_lite::config::Config;
use quic_lite::connection::Event as ConnectionEvent;
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::io::{Application, Driver, SocketConfig, SystemCalls, random_seed};
use quic_lite::tls::ServerTls;
use quic_relay::moqt::ALPN;
use quic_relay::raw;
use quic_relay::serve::RelayConfig;
use quic_relay::serve::server::{Above, Server, transport, transport_beside_kernel};
use quic_relay::track::PeerId;

use crate::args::{PORT, Serve, ServeOptions};
use crate::client::session::setup;
use crate::client::{resolve, tls};
use crate::clock::unix_micros;
use crate::control::{Control, Request, default_path};
use crate::credentials::Credentials;
use crate::error::{Failure, Kind, Result};
use crate::fast_path::FastPath;
use crate::interrupt::Interrupt;
use crate::qlog;
use crate::report::{Event, Reporter, Served};
use crate::status::{self, Status};
use crate::tally::{self, Tally};
use crate::token::read_key;

/// Runs `quic-relay serve`.
pub(crate) fn run(serve: Serve) -> Result<()> {
    let options = serve.resolve()?;
    let credentials = credentials(&options)?;
    let fingerprint = credentials.fingerprint();
    let above = above(&options)?;
    let config = relay_config(&options)?;
    let mut reporter = Reporter::open(options.report.as_deref())?;
    let bind = options.bind.unwrap_or_else(default_address);
    let fast_path = FastPath::begin(&options, bind)?;
    let mut driver = listen(&options, bind, credentials, &fast_path)?;
    let waker = driver.waker();
    let interrupt = Interrupt::catch(move || waker.wake())?;
    let addresses = driver.local_addresses();
    let control = control(&options, &addresses)?;
    if let Some(control) = &control {
        let watched = driver.watch(control, CONTROL);
        watched.map_err(|error| Failure::new(Kind::File, format!("control socket: {error}")))?;
    }
    tell_who_may_come(&config, &options);
    for &address in &addresses {
        log::info!("listening on {address}, certificate SHA-256 {fingerprint}");
        reporter.tell(&Event::Listening { address });
    }
    log::info!("{}", fast_path.status(0).summary());
    let mut server = Server::new(config, above);
    server.set_clock(driver.now(), unix_micros());
    let port = addresses.first().map_or(PORT, SocketAddr::port);
    if let Some(offloader) = fast_path.offloader(&driver.clock(), port) {
        server.set_offloader(offloader);
    }
    let mut daemon = Daemon {
        server,
        fast_path,
        control,
        tally: Tally::default(),
        addresses,
        system_calls: driver.system_calls(),
        interrupt,
        leave_at: None,
        has_left: false,
    };
    driver
        .run(&mut daemon)
        .map_err(|error| Failure::new(Kind::Network, format!("the event loop failed: {error}")))?;
    log::info!("{}", daemon.server.counters());
    reporter.tell(&Event::Served(daemon.served(driver.endpoint())));
    Ok(())
}

/// The relay, what stands beside it, and the way it ends.
struct Daemon {
    server: Server,
    fast_path: FastPath,
    control: Option<Control>,
    tally: Tally,
    addresses: Vec<SocketAddr>,
    system_calls: SystemCalls,
    interrupt: Interrupt,
    /// When it ends although not everybody has left.
    leave_at: Option<Time>,
    has_left: bool,
}

impl Daemon {
    fn connection(&self, endpoint: &Endpoint, handle: Handle) -> Option<status::Connection> {
        let peer = PeerId(handle.0);
        let (roles, forwarding) = (self.server.roles(peer), self.server.forwarding(peer));
        let connection = endpoint.connection(handle)?;
        Some(tally::connection(connection, roles, &forwarding))
    }

    fn status(&self, endpoint: &Endpoint) -> Status {
        let connections = endpoint.handles();
        let slots_used = self.server.offloader().map_or(0, |it| it.slots().0);
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            addresses: self.addresses.clone(),
            fast_path: self.fast_path.status(slots_used),
            connections: connections
                .filter_map(|handle| self.connection(endpoint, handle))
                .collect(),
            relay: self.server.counters(),
            system_calls: self.system_calls.count(),
        }
    }

    /// Serves those who ask how things are.
    fn attend(&mut self, now: Time, endpoint: &mut Endpoint) {
        let Some(mut control) = self.control.take() else {
            return;
        };
        control.go_on(now, |request| {
            if let (Request::FastPath(on), Some(offloader)) = (request, self.server.offloader_mut())
            {
                offloader.switch(on);
            }
            let status = self.status(endpoint);
            serde_json::to_string(&status).expect("plain fields always become JSON")
        });
        self.control = Some(control);
    }

    fn served(mut self, endpoint: &Endpoint) -> Served {
        for handle in endpoint.handles() {
            if let Some(connection) = self.connection(endpoint, handle) {
                self.tally.add(&connection);
            }
        }
        Served {
            forwarded_packets: self.tally.packets(),
            fast_path: self.tally.by_kernel() > 0,
            subscribers: self.tally.subscribers(),
        }
    }
}

impl Application for Daemon {
    fn on_event(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        handle: Handle,
        event: ConnectionEvent,
    ) {
        if matches!(event, ConnectionEvent::Closed(_))
            && let Some(connection) = self.connection(endpoint, handle)
        {
            self.tally.add(&connection);
        }
        self.server.on_event(now, endpoint, handle, event);
    }

    fn on_readable(&mut self, now: Time, endpoint: &mut Endpoint, _id: usize) {
        if let Some(control) = &mut self.control {
            control.accept(now);
        }
        self.attend(now, endpoint);
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        self.server.set_clock(now, unix_micros());
        if self.interrupt.is_set() && self.leave_at.is_none() {
            log::info!("asking {} connections to leave", endpoint.len());
            self.server.shut_down(now, endpoint, FAREWELL);
            self.leave_at = Some(now + FAREWELL + FLUSH);
        }
        self.attend(now, endpoint);
        self.server.on_tick(now, endpoint);
        let is_late = self.leave_at.is_some_and(|at| at <= now);
        self.has_left = is_late || (self.server.is_done() && endpoint.is_idle());
    }

    fn next_timeout(&self) -> Option<Time> {
        let control = self.control.as_ref().and_then(Control::next_timeout);
        let server = self.server.next_timeout();
        [server, self.leave_at, control].into_iter().flatten().min()
    }

    fn rest(&self, now: Time) -> Option<Duration> {
        self.server.rest(now)
    }

    fn is_done(&self) -> bool {
        self.has_left || self.interrupt.is_urgent()
    }
}

fn relay_config(options: &ServeOptions) -> Result<RelayConfig> {
    let default = RelayConfig::default();
    let token = options.upstream_token.as_deref();
    let upstream = options.upstream.as_ref().map(|url| setup(url, token));
    Ok(RelayConfig {
        cache_bytes: options.cache_bytes.unwrap_or(default.cache_bytes),
        upstream: upstream.transpose()?,
        auth_key: options.auth_key.as_deref().map(read_key).transpose()?,
        ..default
    })
}

fn tell_who_may_come(config: &RelayConfig, options: &ServeOptions) {
    match (&config.auth_key, &options.auth_key) {
        (Some(key), Some(path)) => {
            let (alg, path) = (key.algorithm(), path.display());
            log::info!("only with a token ({alg}, signed by the key of {path})");
        }
        _ => log::warn!("ANYONE who reaches this port may publish and subscribe: no --auth-key"),
    }
}

fn credentials(options: &ServeOptions) -> Result<Credentials> {
    match (&options.tls_cert, &options.tls_key, &options.tls_generate) {
        (Some(cert), Some(key), _) => Credentials::read(cert, key),
        (_, _, Some(name)) => Credentials::generate(name),
        _ => Err(Failure::new(Kind::Usage, "QUIC needs a certificate")
            .advise("give --tls-cert and --tls-key, or for a test --tls-generate localhost")),
    }
}

fn above(options: &ServeOptions) -> Result<Option<Above>> {
    let Some(url) = &options.upstream else {
        return Ok(None);
    };
    Ok(Some(Above {
        addresses: resolve(url)?,
        server_name: url.host().to_owned(),
        tls: tls(options.tls_ca.as_deref(), options.tls_disable_verify, ALPN)?,
        transport: Arc::new(transport()),
    }))
}

fn listen(
    options: &ServeOptions,
    address: SocketAddr,
    credentials: Credentials,
    fast_path: &FastPath,
) -> Result<Driver> {
    let protocols: &[&[u8]] = match options.raw {
        true => &[ALPN, raw::PUBLISHER, raw::SUBSCRIBER],
        false => &[ALPN],
    };
    let secret = credentials.reset_secret();
    let tls = ServerTls::new_single(credentials.chain, credentials.key, protocols)
        .and_then(|tls| match fast_path.is_on() {
            // The cipher that the kernel can compute, too, with every client that has it.
            true => tls.prefer_chacha20(),
            // Processors have instructions for AES.
            false => Ok(tls),
        })
        .map_err(|error| Failure::new(Kind::Certificate, format!("cannot use TLS: {error}")))?;
    let failed = |error: io::Error| cannot_listen(address, &error);
    let transport = match fast_path.is_on() {
        true => transport_beside_kernel(),
        false => transport(),
    };
    #[cfg(feature = "disable-1rtt-encryption")]
    let transport = without_protection(options, transport);
    let config = EndpointConfig {
        server: Some(tls),
        transport: Arc::new(transport),
        secret: Some(secret),
        ..EndpointConfig::default()
    };
    let sockets = SocketConfig {
        // Merged packets come to the kernel programs as one, which they cannot take apart.
        receive_offload: !fast_path.is_on(),
        send_offload: !options.no_gso,
        ..SocketConfig::default()
    };
    let mut endpoint = Endpoint::new(config, random_seed().map_err(failed)?);
    qlog::watch(&mut endpoint, options.qlog.as_deref())?;
    Driver::bind_with(&[address], endpoint, &sockets).map_err(failed)
}

/// Says loudly what that means.
#[cfg(feature = "disable-1rtt-encryption")]
fn without_protection(options: &ServeOptions, transport: Config) -> Config {
    if options.disable_1rtt_encryption {
        log::warn!(
            "--disable-1rtt-encryption: whoever sees the packets of peers that offer it can read and forge them"
        );
    }
    Config {
        disable_1rtt_encryption: options.disable_1rtt_encryption,
        ..transport
    }
}

/// Where `status` asks. Without a place of one's own the relay goes on without, unless one was asked for.
fn control(options: &ServeOptions, addresses: &[SocketAddr]) -> Result<Option<Control>> {
    if let Some(path) = &options.control {
        return Control::open(path).map(Some);
    }
    let port = addresses.first().map_or(PORT, SocketAddr::port);
    let opened = default_path(port).map(|path| Control::open(&path));
    opened.transpose().or_else(|failure| {
        log::warn!("`quic-relay status` will not work: {failure}");
        Ok(None)
    })
}

/// All addresses of both families; on a kernel without IPv6, all of IPv4.
fn default_address() -> SocketAddr {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    match std::net::UdpSocket::bind(any) {
        Ok(_) => (Ipv6Addr::UNSPECIFIED, PORT).into(),
        Err(_) => (Ipv4Addr::UNSPECIFIED, PORT).into(),
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let (what, advice) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "the port is in use",
            "end its program, or choose another --bind",
        ),
        io::ErrorKind::AddrNotAvailable => (
            "the address is not one of this machine",
            "choose another --bind",
        ),
        io::ErrorKind::PermissionDenied => ("not permitted", "choose a port above 1023"),
        _ => {
            return Failure::new(
                Kind::Address,
                format!("cannot listen on {address}: {error}"),
            );
        }
    };
    Failure::new(Kind::Address, format!("cannot listen on {address}: {what}")).advise(advice)
}

/// The control socket, among watched descriptors.
const CONTROL: usize = 0;

/// How long sessions may take to leave after GOAWAY.
const FAREWELL: Duration = Duration::from_secs(2);

/// And then the last packets to go out.
const FLUSH: Duration = Duration::from_millis(200);
