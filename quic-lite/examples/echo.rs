//! A server that sends back what it gets on each stream, and a client that checks it (RFC 9000 §2).
//!
//! ```text
//! cargo run --release -p quic-lite --example echo -- serve [::]:4433
//! cargo run --release -p quic-lite --example echo -- connect 127.0.0.1:4433 100000000
//! ```
//!
//! The client trusts any certificate: this is for trying out, not for use.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::Event;
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::io::{Application, Driver, any_port, random_seed};
use quic_lite::stream::{Chunk, Read, ReadChunk, StreamError, StreamEvent, Streams};
use quic_lite::tls::rustls::pki_types::PrivateKeyDer;
use quic_lite::tls::{ClientTls, ServerTls};
use quic_lite::wire::stream_id::{Dir, StreamId};

const ALPN: &[&[u8]] = &[b"echo"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", address] => serve(address.parse()?),
        ["connect", address, bytes] => connect(address.parse()?, bytes.parse()?),
        _ => Err("usage: echo serve ADDRESS | echo connect ADDRESS BYTES".into()),
    }
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let server = ServerTls::new_single(vec![certificate.into()], key, ALPN)?;
    let config = EndpointConfig {
        server: Some(server),
        ..EndpointConfig::default()
    };
    let mut driver = Driver::bind(&[address], Endpoint::new(config, random_seed()?))?;
    println!("listening on {:?}", driver.local_addresses());
    Ok(driver.run(&mut Server::default())?)
}

fn connect(server: SocketAddr, bytes: usize) -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::new(EndpointConfig::default(), random_seed()?);
    let mut driver = Driver::bind(&[any_port(server)], endpoint)?;
    let (now, tls) = (driver.now(), ClientTls::insecure(ALPN)?);
    let config = Arc::new(Config::default());
    driver
        .endpoint_mut()
        .connect(now, &tls, server, "localhost", config)?;
    let mut client = Client {
        expected: bytes,
        begun: now,
        ..Client::default()
    };
    driver.run(&mut client)?;
    println!("{}", client.outcome);
    Ok(())
}

/// What was read from a stream and did not fit into its answer yet.
#[derive(Default)]
struct Server {
    held: HashMap<(Handle, StreamId), Chunk>,
}

impl Application for Server {
    fn on_event(&mut self, _now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        let Some(connection) = endpoint.connection_mut(handle) else {
            self.held.retain(|(owner, _), _| *owner != handle);
            return;
        };
        match event {
            Event::Connected => println!("{handle}: {}", connection.path()),
            Event::Closed(error) => println!("{handle}: {error}"),
            Event::Stream(StreamEvent::Readable(id) | StreamEvent::Writable(id)) => {
                let held = self.held.remove(&(handle, id));
                // An error means that the client stopped the answer: nothing is left to do.
                if let Ok(Some(rest)) = echo(connection.streams_mut(), id, held) {
                    self.held.insert((handle, id), rest);
                }
            }
            _ => {}
        }
    }

    fn on_tick(&mut self, _now: Time, _endpoint: &mut Endpoint) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// Sends back what can be read, as long as the client takes it; what did not fit comes back.
fn echo(
    streams: &mut Streams,
    id: StreamId,
    held: Option<Chunk>,
) -> Result<Option<Chunk>, StreamError> {
    let mut waiting = held;
    loop {
        if let Some(mut chunk) = waiting.take() {
            let accepted = streams.write(id, &chunk)?;
            let _sent = chunk.split_to(accepted);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        match streams.read_chunk(id)? {
            ReadChunk::Chunk { chunk, .. } => waiting = Some(chunk),
            ReadChunk::Blocked => return Ok(None),
            ReadChunk::Finished => return streams.finish(id).map(|()| None),
            ReadChunk::Reset(code) => return streams.reset(id, code).map(|()| None),
        }
    }
}

#[derive(Default)]
struct Client {
    expected: usize,
    received: usize,
    begun: Time,
    outcome: String,
}

impl Application for Client {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        match event {
            Event::Connected => {
                let streams = connection.streams_mut();
                let id = streams
                    .open(Dir::Bi)
                    .expect("the server takes at least one stream");
                let message = Chunk::from(vec![0x42; self.expected]);
                streams.write_chunk(id, message).expect("the stream is new");
                streams.finish(id).expect("the stream is new");
            }
            Event::Stream(StreamEvent::Readable(id)) if self.read(connection.streams_mut(), id) => {
                let seconds = now.since(self.begun).as_secs_f64();
                let (bytes, rate) = (self.received, self.received as f64 * 8e-6 / seconds);
                self.outcome =
                    format!("{bytes} bytes there and back in {seconds:.3} s, {rate:.0} Mbit/s");
                connection.close(now, 0, "done");
            }
            Event::Closed(error) if self.outcome.is_empty() => self.outcome = error.to_string(),
            _ => {}
        }
    }

    fn on_tick(&mut self, _now: Time, _endpoint: &mut Endpoint) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn is_done(&self) -> bool {
        !self.outcome.is_empty()
    }
}

impl Client {
    /// Reads what is there; whether that was all.
    fn read(&mut self, streams: &mut Streams, id: StreamId) -> bool {
        let mut buffer = [0; 65_536];
        loop {
            match streams.read(id, &mut buffer) {
                Ok(Read::Bytes(read)) => {
                    assert!(
                        buffer[..read].iter().all(|byte| *byte == 0x42),
                        "altered on the way"
                    );
                    self.received += read;
                }
                Ok(Read::Blocked) => return false,
                Ok(Read::Finished) => return self.received == self.expected,
                Ok(Read::Reset(_)) | Err(_) => panic!("the server gave up"),
            }
        }
    }
}
