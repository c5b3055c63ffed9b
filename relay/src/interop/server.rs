//! `quic-relay interop-server`: sends the files of a folder to who asks for them. No RFC.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::io::{Application, Driver, random_seed};
use quic_lite::stream::{Read, StreamEvent};
use quic_lite::tls::ServerTls;
use quic_lite::{Dir, StreamId, Time};

use super::case::Case;
use super::files::{Going, Line};
use super::{ALPN, NO_ERROR, orders, transport};
use crate::args;
use crate::credentials::Credentials;
use crate::error::{Failure, Kind, Result};
use crate::interrupt::Interrupt;
use crate::qlog;

/// Runs `quic-relay interop-server`, until a signal ends it.
pub(crate) fn run(options: &args::InteropServer) -> Result<()> {
    let (case, qlog) = orders(&options.interop)?;
    let certs = &options.certs;
    let credentials = Credentials::read(&certs.join("cert.pem"), &certs.join("priv.key"))?;
    let tls = ServerTls::new_single(credentials.chain, credentials.key, &[ALPN])
        .map_err(|error| Failure::new(Kind::Certificate, format!("cannot use TLS: {error}")))?;
    let config = EndpointConfig {
        server: Some(tls),
        transport: Arc::new(transport()),
        retry: case == Case::Retry,
        ..EndpointConfig::default()
    };
    let failed = |error: std::io::Error| {
        let what = format!("cannot listen on {}: {error}", options.bind);
        Failure::new(Kind::Address, what)
    };
    let mut endpoint = Endpoint::new(config, random_seed().map_err(failed)?);
    qlog::watch(&mut endpoint, qlog.as_deref())?;
    let mut driver = Driver::bind(&[options.bind], endpoint).map_err(failed)?;
    let waker = driver.waker();
    let interrupt = Interrupt::catch(move || waker.wake())?;
    for address in driver.local_addresses() {
        log::info!("listening on {address}");
    }
    let mut server = Server {
        folder: options.www.clone(),
        lines: BTreeMap::new(),
        going: BTreeMap::new(),
        interrupt,
        leave_at: None,
        has_left: false,
    };
    let run = driver.run(&mut server);
    run.map_err(|error| Failure::new(Kind::Network, format!("the event loop failed: {error}")))
}

type Key = (Handle, StreamId);

/// What is asked for and what is sent.
struct Server {
    folder: PathBuf,
    lines: BTreeMap<Key, Line>,
    going: BTreeMap<Key, Going>,
    interrupt: Interrupt,
    leave_at: Option<Time>,
    has_left: bool,
}

impl Server {
    fn read(&mut self, key: Key, connection: &mut Connection) {
        let (line, mut buffer) = (self.lines.entry(key).or_default(), [0; 512]);
        let is_whole = loop {
            match connection.read(key.1, &mut buffer) {
                Ok(Read::Bytes(len)) if line.add(buffer.get(..len).unwrap_or_default()) => {}
                Ok(Read::Blocked) => return,
                Ok(Read::Finished) => break true,
                _ => break false,
            }
        };
        let going = is_whole.then(|| open(line, &self.folder)).flatten();
        match going {
            Some(going) => {
                self.lines.remove(&key);
                self.going.insert(key, going);
                self.write(key, connection);
            }
            None => self.refuse(key, connection),
        }
    }

    /// HTTP/0.9 has no words for it: the stream ends early.
    fn refuse(&mut self, key: Key, connection: &mut Connection) {
        log::info!("{key:?}: no such file");
        self.lines.remove(&key);
        let _ = connection.streams_mut().stop_sending(key.1, NO_SUCH_FILE);
        let _ = connection.streams_mut().reset(key.1, NO_SUCH_FILE);
    }

    fn write(&mut self, key: Key, connection: &mut Connection) {
        let Some(going) = self.going.get_mut(&key) else {
            return;
        };
        match going.give(|piece| connection.write(key.1, piece).unwrap_or(0)) {
            Some(false) => return,
            Some(true) => {
                let _ = connection.finish(key.1);
            }
            None => self.refuse(key, connection),
        }
        self.going.remove(&key);
    }

    fn forget(&mut self, handle: Handle) {
        self.lines.retain(|(other, _), _| *other != handle);
        self.going.retain(|(other, _), _| *other != handle);
    }
}

impl Application for Server {
    fn on_event(&mut self, _now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        if let Event::Closed(error) = &event {
            log::info!("{handle}: {error}");
            return self.forget(handle);
        }
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        match event {
            Event::Stream(StreamEvent::Readable(id)) if id.dir() == Dir::Bi => {
                self.read((handle, id), connection);
            }
            Event::Stream(StreamEvent::Writable(id)) => self.write((handle, id), connection),
            Event::Stream(StreamEvent::Stopped { id, .. }) => {
                self.going.remove(&(handle, id));
            }
            _ => {}
        }
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        if self.interrupt.is_set() && self.leave_at.is_none() {
            endpoint.close_all(now, NO_ERROR, "");
            self.leave_at = Some(now + FAREWELL);
        }
        let leaving = self.leave_at.is_some();
        self.has_left = leaving && (endpoint.is_idle() || self.leave_at <= Some(now));
    }

    fn next_timeout(&self) -> Option<Time> {
        self.leave_at
    }

    fn is_done(&self) -> bool {
        self.has_left || self.interrupt.is_urgent()
    }
}

fn open(line: &Line, folder: &Path) -> Option<Going> {
    Going::open(&line.path(folder)?)
}

/// How long to wait for the last packets after a signal.
const FAREWELL: Duration = Duration::from_secs(1);

/// The error code of a stream that cannot be served.
const NO_SUCH_FILE: u64 = 1;
