//! What `publish` and `subscribe` have in common: one connection to a relay, and a role that says what
//! to do with it. With MOQT there is a session in between ([`session`]).
//!
//! No RFC. A host may have several addresses (`localhost` has two); all are tried at once and the first
//! to answer is kept. Every way a connection can fail ends up as one line here.

pub(crate) mod session;

use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::error::ConnectionError;
use quic_lite::io::{Application, Driver, SocketConfig, Waker, any_port, random_seed};
use quic_lite::tls::ClientTls;
use quic_relay::url::RelayUrl;

use crate::args::{self, Protocol};
use crate::credentials::{certificates, system_certificates};
use crate::error::{Failure, Kind, Result};
use crate::interrupt::Interrupt;
use crate::qlog;

/// What a client does with its connection.
pub(crate) trait Role {
    /// The application protocol.
    const ALPN: &'static [u8];

    /// Something happened on the connection; `Connected` comes first.
    fn on_event(&mut self, now: Time, connection: &mut Connection, event: &Event) -> Result<()>;

    /// Called in each turn of the loop once it is connected; `Done` ends the connection in peace.
    fn on_tick(&mut self, now: Time, connection: &mut Connection) -> Result<Progress>;

    /// When `on_tick` wants to be called at the latest.
    fn next_timeout(&self) -> Option<Time>;

    /// What an application error code of the relay means: the kind of failure, and words.
    fn explain(code: u64) -> (Kind, String);
}

/// Whether a role has finished its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is more to do.
    Going,
    /// All is done.
    Done,
}

/// Connects and lets the role that `begin` makes do its work. The role gets something to wake the
/// loop with.
pub(crate) fn run<R: Role>(
    options: &args::Client,
    begin: impl FnOnce(Waker) -> Result<R>,
) -> Result<()> {
    if options.protocol == Protocol::Raw && options.token.is_some() {
        return Err(Failure::new(
            Kind::Usage,
            "the raw protocol carries no tokens",
        ));
    }
    let tls = tls(
        options.tls_ca.as_deref(),
        options.tls_disable_verify,
        R::ALPN,
    )?;
    let (locals, remotes) = addresses(&options.url)?;
    let seed = random_seed().map_err(|error| network(&options.url, &error))?;
    let mut endpoint = Endpoint::new(EndpointConfig::default(), seed);
    qlog::watch(&mut endpoint, options.qlog.as_deref())?;
    let sockets = SocketConfig {
        send_offload: !options.one_by_one,
        ..SocketConfig::default()
    };
    let mut driver = Driver::bind_with(&locals, endpoint, &sockets)
        .map_err(|error| network(&options.url, &error))?;
    let waker = driver.waker();
    let interrupt = Interrupt::catch(move || waker.wake())?;
    let role = begin(driver.waker())?;
    let attempts = connect(&mut driver, options, &tls, &remotes)?;
    let mut client = Client {
        options,
        role,
        interrupt,
        attempts,
        current: None,
        outcome: None,
        leave_at: None,
        has_left: false,
    };
    driver
        .run(&mut client)
        .map_err(|error| network(&options.url, &error))?;
    client.outcome.unwrap_or(Ok(()))
}

/// The application that the event loop drives.
struct Client<'a, R> {
    options: &'a args::Client,
    role: R,
    interrupt: Interrupt,
    /// Connections of which none has answered yet.
    attempts: Vec<Handle>,
    /// The one that has answered.
    current: Option<Handle>,
    outcome: Option<Result<()>>,
    /// When we go although the relay may not have heard that we do.
    leave_at: Option<Time>,
    has_left: bool,
}

impl<R: Role> Application for Client<'_, R> {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        if self.current.is_none() && self.attempts.contains(&handle) {
            self.on_attempt(now, endpoint, handle, &event);
        }
        if self.current != Some(handle) || self.outcome.is_some() {
            return;
        }
        if let Event::Closed(error) = &event {
            self.outcome = Some(Err(ended::<R>(&self.options.url, error)));
        }
        if let Some(connection) = endpoint.connection_mut(handle)
            && let Err(failure) = self.role.on_event(now, connection, &event)
        {
            self.outcome.get_or_insert(Err(failure));
        }
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        if let Err(failure) = self.interrupt.check() {
            self.outcome.get_or_insert(Err(failure));
        }
        self.work(now, endpoint);
        if self.outcome.is_some() {
            self.leave(now, endpoint);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        [self.role.next_timeout(), self.leave_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_done(&self) -> bool {
        self.has_left
    }
}

impl<R: Role> Client<'_, R> {
    fn on_attempt(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: &Event) {
        match event {
            Event::Connected => {
                self.current = Some(handle);
                let attempts = std::mem::take(&mut self.attempts);
                let others = attempts.into_iter().filter(|other| *other != handle);
                others.for_each(|other| say_goodbye(now, endpoint, other));
            }
            Event::Closed(error) => {
                self.attempts.retain(|attempt| *attempt != handle);
                if self.attempts.is_empty() {
                    self.outcome
                        .get_or_insert(Err(ended::<R>(&self.options.url, error)));
                }
            }
            _ => {}
        }
    }

    /// Lets the role do what is due.
    fn work(&mut self, now: Time, endpoint: &mut Endpoint) {
        let current = self.current.filter(|_| self.outcome.is_none());
        let Some(connection) = current.and_then(|handle| endpoint.connection_mut(handle)) else {
            return;
        };
        self.outcome = match self.role.on_tick(now, connection) {
            Ok(Progress::Going) => None,
            Ok(Progress::Done) => Some(Ok(())),
            Err(failure) => Some(Err(failure)),
        };
    }

    /// Says goodbye, and goes once that is heard or a moment has passed.
    fn leave(&mut self, now: Time, endpoint: &mut Endpoint) {
        if self.leave_at.is_none() {
            endpoint.close_all(now, NO_ERROR, "");
            self.leave_at = Some(now + FAREWELL);
        }
        self.has_left = endpoint.is_idle() || self.leave_at.is_some_and(|at| at <= now);
    }
}

fn say_goodbye(now: Time, endpoint: &mut Endpoint, handle: Handle) {
    if let Some(connection) = endpoint.connection_mut(handle) {
        connection.close(now, NO_ERROR, "");
    }
}

fn connect(
    driver: &mut Driver,
    options: &args::Client,
    tls: &ClientTls,
    remotes: &[SocketAddr],
) -> Result<Vec<Handle>> {
    let now = driver.now();
    let config = Arc::new(Config {
        keep_alive: Some(KEEP_ALIVE),
        ..Config::default()
    });
    let host = options.url.host();
    let connect = |remote: &SocketAddr| {
        let endpoint = driver.endpoint_mut();
        endpoint
            .connect(now, tls, *remote, host, Arc::clone(&config))
            .map_err(|error| {
                Failure::new(
                    Kind::Network,
                    format!("cannot connect to {}: {error}", options.url),
                )
            })
    };
    remotes.iter().map(connect).collect()
}

/// Addresses of the relay, and for each of their families one of ours.
fn addresses(url: &RelayUrl) -> Result<(Vec<SocketAddr>, Vec<SocketAddr>)> {
    let mut remotes = resolve(url)?;
    let mut locals: Vec<SocketAddr> = remotes.iter().map(|remote| any_port(*remote)).collect();
    locals.sort_unstable();
    locals.dedup();
    // Without IPv6 in the kernel, a name can still have an IPv6 address.
    locals.retain(|local| UdpSocket::bind(local).is_ok());
    remotes.retain(|remote| locals.contains(&any_port(*remote)));
    if remotes.is_empty() {
        let what = format!("no way to reach {url} from here");
        return Err(Failure::new(Kind::Network, what));
    }
    Ok((locals, remotes))
}

/// The addresses behind an URL.
pub(crate) fn resolve(url: &RelayUrl) -> Result<Vec<SocketAddr>> {
    let found = (url.host(), url.port()).to_socket_addrs();
    let found = found.map_err(|error| {
        let what = format!("cannot find the host {} of {url}: {error}", url.host());
        Failure::new(Kind::Network, what).advise("check its name")
    })?;
    Ok(found.take(MAX_ATTEMPTS).collect())
}

/// What servers must prove: that `ca` has signed them, else that the system trusts them, or nothing.
pub(crate) fn tls(ca: Option<&Path>, disable_verify: bool, alpn: &[u8]) -> Result<ClientTls> {
    let made = match (ca, disable_verify) {
        (_, true) => ClientTls::insecure(&[alpn]),
        (Some(path), false) => ClientTls::with_roots(certificates(path)?, &[alpn]),
        (None, false) => ClientTls::with_roots(system_certificates()?, &[alpn]),
    };
    made.map_err(|error| Failure::new(Kind::Certificate, format!("cannot use TLS: {error}")))
}

fn network(url: &RelayUrl, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Network, format!("cannot reach {url}: {error}"))
}

/// Why a connection is over, in the words of a user.
fn ended<R: Role>(url: &RelayUrl, error: &ConnectionError) -> Failure {
    let failure = |kind, what: String| Failure::new(kind, what);
    match error {
        ConnectionError::HandshakeTimeout => {
            failure(Kind::Network, format!("no answer from {url}"))
                .advise("check that a relay runs there and that UDP gets through")
        }
        ConnectionError::IdleTimeout => failure(
            Kind::Network,
            format!("connection to {url} lost: nothing heard any more"),
        ),
        ConnectionError::Transport(error) if is_about_certificate(error.code.alert()) => {
            let what = format!("the certificate of {url} is not accepted: {}", error.reason);
            failure(Kind::Certificate, what)
                .advise("give its issuer with --tls-ca FILE, or for a test --tls-disable-verify")
        }
        ConnectionError::PeerTransport { code, .. } if code.alert() == Some(NO_ALPN) => failure(
            Kind::Network,
            format!(
                "{url} is a server, but does not speak {}",
                String::from_utf8_lossy(R::ALPN)
            ),
        ),
        ConnectionError::PeerApplication { code, reason } => {
            let (kind, code) = R::explain(*code);
            failure(kind, format!("{url} ended the session: {code}: {reason}"))
        }
        error => failure(Kind::Network, format!("connection to {url} lost: {error}")),
    }
}

/// RFC 8446 §6.2: bad_certificate to unknown_ca without illegal_parameter between them, and
/// decrypt_error, which a signature that does not fit is.
fn is_about_certificate(alert: Option<u8>) -> bool {
    matches!(alert, Some(42..=46 | 48 | 51))
}

/// RFC 8446 §6.2: no_application_protocol.
const NO_ALPN: u8 = 120;

/// The application error code that MOQT and the raw protocol share: nothing is wrong.
const NO_ERROR: u64 = 0;

/// A host has rarely more addresses; each costs a handshake.
const MAX_ATTEMPTS: usize = 4;

/// Well below the idle timeout: a subscriber may wait long for its publisher.
const KEEP_ALIVE: Duration = Duration::from_secs(8);

/// How long to wait until the relay has heard that we go.
const FAREWELL: Duration = Duration::from_millis(300);
