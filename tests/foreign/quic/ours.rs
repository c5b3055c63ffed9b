//! quic-lite as client and as server of the exchange, each on a thread with the mio driver. No RFC.

use crate::{ALPN, CLOSE_CODE, Demands, Identity, PATIENCE, Plan, Report, stream_bytes};
use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::error::ConnectionError;
use quic_lite::io::{Application, Driver, random_seed};
use quic_lite::stream::{Read, StreamEvent};
use quic_lite::tls::{ClientTls, ServerTls};
use quic_lite::wire::stream_id::{Dir, StreamId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Small windows, so that credit must grow during the exchange.
fn transport() -> Arc<Config> {
    Arc::new(Config { initial_stream_window: 20_000, max_uni_streams: 2, max_bidi_streams: 2, ..Config::default() })
}

/// Starts an echo server for one connection; the handle gives the application code it was closed with.
pub fn serve(identity: &Identity, demands: Demands) -> Result<(SocketAddr, JoinHandle<Result<u64, Failure>>), Failure> {
    let tls = ServerTls::new_single(vec![identity.certificate.clone()], identity.private_key(), &[ALPN])?;
    let config = EndpointConfig { server: Some(tls), transport: transport(), retry: demands.retry, ..EndpointConfig::default() };
    let mut driver = Driver::bind(&["127.0.0.1:0".parse()?], Endpoint::new(config, random_seed()?))?;
    let address = driver.local_addresses()[0];
    let served = std::thread::spawn(move || {
        let mut server = Server { update_keys: demands.key_update, deadline: driver.now() + PATIENCE, ..Server::default() };
        driver.run(&mut server)?;
        server.outcome.unwrap_or_else(|| Err("nobody came".into()))
    });
    Ok((address, served))
}

/// Runs the client side of the exchange.
pub fn exchange(server: SocketAddr, identity: &Identity, plan: Plan) -> Result<Report, Failure> {
    let tls = ClientTls::with_roots(vec![identity.certificate.clone()], &[ALPN])?;
    let mut driver = Driver::bind(&["127.0.0.1:0".parse()?], Endpoint::new(EndpointConfig::default(), random_seed()?))?;
    let now = driver.now();
    driver.endpoint_mut().connect(now, &tls, server, "localhost", transport())?;
    let mut client = Client { plan, deadline: now + PATIENCE, ..Client::default() };
    driver.run(&mut client)?;
    match client.failure {
        Some(reason) => Err(reason.into()),
        None => Ok(client.report),
    }
}

/// The whole bytes of streams, collected until each ends.
#[derive(Default)]
struct Incoming(HashMap<StreamId, Vec<u8>>);

impl Incoming {
    /// Reads what is there; the bytes of the stream once it has ended.
    fn read(&mut self, connection: &mut Connection, id: StreamId) -> Option<Vec<u8>> {
        let mut buffer = [0; 16_384];
        loop {
            match connection.read(id, &mut buffer) {
                Ok(Read::Bytes(length)) => self.0.entry(id).or_default().extend_from_slice(&buffer[..length]),
                Ok(Read::Finished) => return Some(self.0.remove(&id).unwrap_or_default()),
                Ok(Read::Blocked | Read::Reset(_)) | Err(_) => return None,
            }
        }
    }
}

#[derive(Default)]
struct Server {
    update_keys: bool,
    incoming: Incoming,
    /// Answers that wait for the client to allow another stream.
    waiting: Vec<Vec<u8>>,
    handle: Option<Handle>,
    deadline: Time,
    outcome: Option<Result<u64, Failure>>,
}

impl Server {
    fn answer_uni(&mut self, connection: &mut Connection) {
        while let Some(bytes) = self.waiting.pop() {
            let Some(id) = connection.open(Dir::Uni) else {
                self.waiting.push(bytes);
                return;
            };
            send_whole(connection, id, bytes);
        }
    }
}

fn send_whole(connection: &mut Connection, id: StreamId, bytes: Vec<u8>) {
    connection.write_chunk(id, bytes.into()).expect("the stream is open");
    connection.finish(id).expect("the stream is open");
}

fn answer_datagrams(connection: &mut Connection) {
    while let Some(datagram) = connection.receive_datagram() {
        connection.send_datagram_chunk(datagram).expect("what came in fits back out");
    }
}

impl Application for Server {
    fn on_event(&mut self, _now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        if let Event::Closed(error) = &event {
            self.outcome = Some(match error {
                ConnectionError::PeerApplication { .. } if self.update_keys => Err("keys never updated".into()),
                ConnectionError::PeerApplication { code, .. } => Ok(*code),
                other => Err(other.to_string().into()),
            });
        }
        let Some(connection) = endpoint.connection_mut(handle) else { return };
        self.handle = Some(handle);
        match event {
            Event::Stream(StreamEvent::Readable(id)) => {
                if let Some(bytes) = self.incoming.read(connection, id) {
                    match id.dir() {
                        Dir::Bi => send_whole(connection, id, bytes),
                        Dir::Uni => self.waiting.push(bytes),
                    }
                }
                self.answer_uni(connection);
            }
            Event::Stream(StreamEvent::Available(Dir::Uni)) => self.answer_uni(connection),
            Event::DatagramReceived if !self.update_keys => answer_datagrams(connection),
            _ => {}
        }
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        // Too early until the client has acknowledged something; then asked again in the next turn. Datagrams wait for it.
        let connection = self.handle.and_then(|handle| endpoint.connection_mut(handle));
        if let Some(connection) = connection.filter(|_| self.update_keys)
            && connection.force_key_update()
        {
            self.update_keys = false;
            answer_datagrams(connection);
        }
        if now >= self.deadline && self.outcome.is_none() {
            self.outcome = Some(Err("the exchange took too long".into()));
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        Some(self.deadline)
    }

    fn is_done(&self) -> bool {
        self.outcome.is_some()
    }
}

#[derive(Default)]
struct Client {
    plan: Plan,
    opened: Report,
    report: Report,
    incoming: Incoming,
    deadline: Time,
    handle: Option<Handle>,
    is_closing: bool,
    is_over: bool,
    failure: Option<String>,
}

impl Client {
    fn open_streams(&mut self, connection: &mut Connection) {
        while self.opened.bidi < self.plan.bidi {
            let Some(id) = connection.open(Dir::Bi) else { break };
            send_whole(connection, id, stream_bytes(self.opened.bidi, self.plan.bytes));
            self.opened.bidi += 1;
        }
        while self.opened.uni < self.plan.uni {
            let Some(id) = connection.open(Dir::Uni) else { break };
            send_whole(connection, id, stream_bytes(100 + self.opened.uni, self.plan.bytes));
            self.opened.uni += 1;
        }
    }

    /// Datagrams go last, one by one, as the answers come: nothing then pushes them out of a queue.
    fn send_datagram(&mut self, connection: &mut Connection) {
        let streams_are_back = self.report.bidi == self.plan.bidi && self.report.uni == self.plan.uni;
        let may_send = streams_are_back && !self.plan.key_update;
        if may_send && self.opened.datagrams < self.plan.datagrams {
            let bytes = stream_bytes(200 + self.opened.datagrams, 100);
            connection.send_datagram(&bytes).expect("100 bytes fit");
            self.opened.datagrams += 1;
        }
    }

    fn on_stream_end(&mut self, connection: &mut Connection, id: StreamId, bytes: &[u8]) {
        if id.dir() == Dir::Bi {
            let index = usize::try_from(id.index()).unwrap_or(usize::MAX);
            self.report.bidi += usize::from(bytes == stream_bytes(index, self.plan.bytes));
        } else {
            let is_ours = (0..self.plan.uni).any(|index| bytes == stream_bytes(100 + index, self.plan.bytes));
            self.report.uni += usize::from(is_ours);
        }
        self.send_datagram(connection);
    }

    /// Too early until something is acknowledged under these keys; then asked again in the next turn. Datagrams wait for it.
    fn update_keys(&mut self, connection: &mut Connection) {
        if self.plan.key_update && self.report.bidi > 0 && connection.force_key_update() {
            self.plan.key_update = false;
            self.send_datagram(connection);
        }
    }
}

impl Application for Client {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        if let Event::Closed(error) = &event {
            self.is_over = true;
            if !self.is_closing {
                self.failure = Some(error.to_string());
            }
        }
        self.handle = Some(handle);
        let Some(connection) = endpoint.connection_mut(handle) else { return };
        match event {
            Event::Connected | Event::Stream(StreamEvent::Available(_)) => self.open_streams(connection),
            Event::Stream(StreamEvent::Readable(id)) => {
                if let Some(bytes) = self.incoming.read(connection, id) {
                    self.on_stream_end(connection, id, &bytes);
                }
            }
            Event::DatagramReceived => {
                while let Some(datagram) = connection.receive_datagram() {
                    let expected = stream_bytes(200 + self.report.datagrams, 100);
                    self.report.datagrams += usize::from(datagram.as_slice() == expected);
                    self.send_datagram(connection);
                }
            }
            _ => {}
        }
        if self.report == Report::complete(&self.plan) && !self.plan.key_update && !self.is_closing {
            self.is_closing = true;
            connection.close(now, CLOSE_CODE, "done");
        }
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        if let Some(connection) = self.handle.and_then(|handle| endpoint.connection_mut(handle)) {
            self.update_keys(connection);
        }
        if now >= self.deadline && self.failure.is_none() {
            let without = if self.plan.key_update { ", without a key update" } else { "" };
            self.failure = Some(format!("the exchange took too long; so far {:?}{without}", self.report));
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        Some(self.deadline)
    }

    fn is_done(&self) -> bool {
        self.is_over || self.failure.is_some()
    }
}
