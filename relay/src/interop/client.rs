//! `quic-relay interop-client`: fetches files, on one connection or one after the other. No RFC.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::error::ConnectionError;
use quic_lite::io::{Application, Driver, any_port, random_seed};
use quic_lite::protection::CipherSuite;
use quic_lite::stream::{Read, StreamEvent};
use quic_lite::tls::ClientTls;
use quic_lite::{Dir, StreamId, Time};

use super::case::Case;
use super::request::Request;
use super::{ALPN, NO_ERROR, orders, transport, variable};
use crate::args;
use crate::error::{Failure, Kind, Result};
use crate::interrupt::Interrupt;
use crate::qlog;

/// Runs `quic-relay interop-client`, until all files are there.
pub(crate) fn run(options: &args::InteropClient) -> Result<()> {
    let (case, qlog) = orders(&options.interop)?;
    let requests = requests(options)?;
    let first = requests.first().ok_or_else(|| {
        Failure::new(Kind::Usage, "nothing to fetch").advise("set REQUESTS, or give addresses")
    })?;
    let server = resolve(first)?;
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Network, format!("cannot reach {server}: {error}"))
    };
    let seed = random_seed().map_err(failed)?;
    let mut endpoint = Endpoint::new(EndpointConfig::default(), seed);
    qlog::watch(&mut endpoint, qlog.as_deref())?;
    let mut driver = Driver::bind(&[any_port(server)], endpoint).map_err(failed)?;
    let waker = driver.waker();
    let mut client = Client {
        tls: tls(case)?,
        server,
        server_name: first.host.clone(),
        config: Arc::new(Config {
            // Whoever only receives does not notice that its address has changed.
            keep_alive: Some(Duration::from_secs(1)),
            ..transport()
        }),
        downloads: options.downloads.clone(),
        connections: connections(case, requests),
        current: None,
        wanted: VecDeque::new(),
        coming: BTreeMap::new(),
        update_keys: case == Case::KeyUpdate,
        interrupt: Interrupt::catch(move || waker.wake())?,
        outcome: None,
        leave_at: None,
        has_left: false,
    };
    driver.run(&mut client).map_err(failed)?;
    client.outcome.unwrap_or(Ok(()))
}

/// The files of each connection.
fn connections(case: Case, requests: Vec<Request>) -> VecDeque<VecDeque<Request>> {
    match case {
        Case::Multiconnect => requests.into_iter().map(|it| [it].into()).collect(),
        _ => [requests.into()].into(),
    }
}

fn requests(options: &args::InteropClient) -> Result<Vec<Request>> {
    if !options.requests.is_empty() {
        return Ok(options.requests.clone());
    }
    let words = variable("REQUESTS").unwrap_or_default();
    let parsed = words.split_whitespace().map(str::parse);
    parsed
        .collect::<std::result::Result<_, String>>()
        .map_err(|error| Failure::new(Kind::Usage, format!("REQUESTS: {error}")))
}

fn resolve(request: &Request) -> Result<SocketAddr> {
    let found = (request.host.as_str(), request.port).to_socket_addrs();
    let first = found.ok().and_then(|mut addresses| addresses.next());
    first.ok_or_else(|| Failure::new(Kind::Network, format!("cannot find the host of {request}")))
}

/// The server's certificate is not checked against the runner's `ca.pem`: `amplificationlimit` has a chain of
/// nine, and rustls goes through six authorities at most.
fn tls(case: Case) -> Result<ClientTls> {
    let tls = ClientTls::insecure(&[ALPN]).and_then(|tls| match case {
        Case::Chacha20 => tls.only(&[CipherSuite::ChaCha20Poly1305Sha256]),
        _ => Ok(tls),
    });
    tls.map_err(|error| Failure::new(Kind::Certificate, format!("cannot use TLS: {error}")))
}

/// The client's work.
struct Client {
    tls: ClientTls,
    server: SocketAddr,
    server_name: String,
    config: Arc<Config>,
    downloads: PathBuf,
    /// The files of each connection that has not begun.
    connections: VecDeque<VecDeque<Request>>,
    current: Option<Handle>,
    /// Files of the current connection that have not been asked for.
    wanted: VecDeque<Request>,
    coming: BTreeMap<StreamId, (Request, File)>,
    /// An update is still to be begun.
    update_keys: bool,
    interrupt: Interrupt,
    outcome: Option<Result<()>>,
    leave_at: Option<Time>,
    has_left: bool,
}

impl Client {
    fn connect(&mut self, now: Time, endpoint: &mut Endpoint) -> Result<()> {
        let Some(wanted) = self.connections.pop_front() else {
            self.outcome = Some(Ok(()));
            return Ok(());
        };
        self.wanted = wanted;
        let config = Arc::clone(&self.config);
        let begun = endpoint.connect(now, &self.tls, self.server, &self.server_name, config);
        let handle = begun.map_err(|error| {
            let what = format!("cannot connect to {}: {error}", self.server);
            Failure::new(Kind::Network, what)
        })?;
        self.current = Some(handle);
        Ok(())
    }

    /// Asks for as many files as the server allows streams.
    fn ask(&mut self, connection: &mut Connection) -> Result<()> {
        while let Some(request) = self.wanted.front() {
            let Some(id) = connection.open(Dir::Bi) else {
                return Ok(());
            };
            let path = self.downloads.join(&request.file);
            let file = File::create(&path);
            let file = file.map_err(|error| cannot_write(&request.file, &error))?;
            let sent = connection
                .write(id, request.line().as_bytes())
                .and_then(|_| connection.finish(id));
            sent.map_err(|error| Failure::new(Kind::Network, format!("{request}: {error:?}")))?;
            if let Some(request) = self.wanted.pop_front() {
                self.coming.insert(id, (request, file));
            }
        }
        Ok(())
    }

    fn read(&mut self, connection: &mut Connection, id: StreamId) -> Result<()> {
        let Some((request, file)) = self.coming.get_mut(&id) else {
            return Ok(());
        };
        let mut buffer = [0; 16 << 10];
        loop {
            let cut = match connection.read(id, &mut buffer) {
                Ok(Read::Bytes(len)) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    let written = file.write_all(bytes);
                    written.map_err(|error| cannot_write(&request.file, &error))?;
                    continue;
                }
                Ok(Read::Blocked) => return Ok(()),
                Ok(Read::Finished) => break,
                Ok(Read::Reset(code)) => format!("reset with {code:#x}"),
                Err(error) => format!("{error:?}"),
            };
            return Err(Failure::new(Kind::Refused, format!("{request}: {cut}")));
        }
        self.coming.remove(&id);
        Ok(())
    }

    fn work(&mut self, now: Time, endpoint: &mut Endpoint, event: &Event) -> Result<()> {
        let Some(connection) = self.current.and_then(|it| endpoint.connection_mut(it)) else {
            return Ok(());
        };
        // Too early until the server has acknowledged something; then asked again with the next event.
        self.update_keys = self.update_keys && !connection.force_key_update();
        match event {
            Event::Connected | Event::Stream(StreamEvent::Available(Dir::Bi)) => {
                self.ask(connection)?;
            }
            Event::Stream(StreamEvent::Readable(id)) => self.read(connection, *id)?,
            Event::Closed(error) => return self.on_closed(now, endpoint, error),
            _ => return Ok(()),
        }
        if self.wanted.is_empty() && self.coming.is_empty() {
            connection.close(now, NO_ERROR, "");
        }
        Ok(())
    }

    /// One connection is over: by us, with all its files, or too early.
    fn on_closed(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        error: &ConnectionError,
    ) -> Result<()> {
        self.current = None;
        match self.wanted.is_empty() && self.coming.is_empty() {
            true => self.connect(now, endpoint),
            false => Err(Failure::new(
                Kind::Network,
                format!("connection to {} lost: {error}", self.server),
            )),
        }
    }
}

fn cannot_write(file: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::File, format!("cannot write {file}: {error}"))
}

impl Application for Client {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        if self.current != Some(handle) || self.outcome.is_some() {
            return;
        }
        if let Err(failure) = self.work(now, endpoint, &event) {
            self.outcome = Some(Err(failure));
        }
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        let begun = self.current.is_some() || self.outcome.is_some();
        let begins = self.interrupt.check().and_then(|()| match begun {
            true => Ok(()),
            false => self.connect(now, endpoint),
        });
        if let Err(failure) = begins {
            self.outcome.get_or_insert(Err(failure));
        }
        if self.outcome.is_none() {
            return;
        }
        if self.leave_at.is_none() {
            endpoint.close_all(now, NO_ERROR, "");
            self.leave_at = Some(now + FAREWELL);
        }
        self.has_left = endpoint.is_idle() || self.leave_at.is_some_and(|at| at <= now);
    }

    fn next_timeout(&self) -> Option<Time> {
        self.leave_at
    }

    fn is_done(&self) -> bool {
        self.has_left
    }
}

/// How long to wait until the server has heard that we go, lost packets included.
const FAREWELL: Duration = Duration::from_secs(2);
