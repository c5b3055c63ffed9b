//! What two connections cost in time: a stream, then datagrams, from one endpoint to another without a
//! network between them. Prints microseconds per packet, both sides together (RFC 9000 §2, RFC 9221).
//! `cargo run --release -p quic-lite --example speed`
#![expect(
    clippy::disallowed_methods,
    reason = "a program that measures reads the clock"
)]

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event, FourTuple};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::stream::{Chunk, Read};
use quic_lite::tls::{ClientTls, ServerTls, rustls};
use quic_lite::wire::stream_id::Dir;

fn main() -> Result<(), Box<dyn Error>> {
    let mut pair = Pair::connect()?;
    let piece = Chunk::from(vec![7; 64 << 10]);
    let id = pair.client().and_then(|it| it.open(Dir::Uni));
    let id = id.ok_or("the handshake failed")?;
    let (mut into, mut read) = (vec![0; 64 << 10], 0);
    pair.measure("stream", |client, server| {
        while client.streams().unsent_bytes(id) < 256 << 10 {
            client.write_chunk(id, piece.clone())?;
        }
        while let Ok(Read::Bytes(n)) = server.read(id, &mut into) {
            read += n;
        }
        Ok(read)
    })?;
    let (piece, mut read) = (piece.slice(0..1150), 0);
    pair.measure("datagrams", |client, server| {
        while client.queued_datagrams().0 < 64 {
            client.send_datagram_chunk(piece.clone())?;
        }
        while let Some(datagram) = server.receive_datagram() {
            read += datagram.len();
        }
        Ok(read)
    })
}

/// Two endpoints with a connection, the client first.
struct Pair {
    now: Time,
    endpoints: [Endpoint; 2],
    handles: [Option<Handle>; 2],
    buffer: Vec<u8>,
    packets: u32,
}

impl Pair {
    fn connect() -> Result<Self, Box<dyn Error>> {
        let key = rcgen::KeyPair::generate()?;
        let cert = rcgen::CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let tls = ServerTls::new_single(vec![cert.into()], key, &[b"speed"])?;
        let server = EndpointConfig {
            server: Some(tls),
            ..EndpointConfig::default()
        };
        let mut client = Endpoint::new(EndpointConfig::default(), [1; 32]);
        client.set_local_addresses(&[ADDRESSES[0]]);
        let (now, tls) = (
            Time::from_micros(1_000_000),
            ClientTls::insecure(&[b"speed"])?,
        );
        let handle = client.connect(now, &tls, ADDRESSES[1], "localhost", Config::default())?;
        let mut pair = Self {
            now,
            endpoints: [client, Endpoint::new(server, [2; 32])],
            handles: [Some(handle), None],
            buffer: vec![0; 10 * 1500],
            packets: 0,
        };
        (0..100).for_each(|_| pair.exchange());
        Ok(pair)
    }

    fn client(&mut self) -> Option<&mut Connection> {
        self.endpoints[0].connection_mut(self.handles[0]?)
    }

    /// Lets `work` write and read until it has read enough, and says how long packets took.
    fn measure(
        &mut self,
        name: &str,
        mut work: impl FnMut(&mut Connection, &mut Connection) -> Result<usize, Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let (start, packets) = (Instant::now(), self.packets);
        let mut read = 0;
        while read < BYTES {
            let [client, server] = &mut self.endpoints;
            let [Some(ours), Some(theirs)] = self.handles else {
                return Err("the handshake failed".into());
            };
            let sides = (client.connection_mut(ours), server.connection_mut(theirs));
            let (Some(client), Some(server)) = sides else {
                return Err("the connection is lost".into());
            };
            read = work(client, server)?;
            self.exchange();
        }
        let (took, packets) = (start.elapsed(), self.packets - packets);
        println!(
            "{name:>10}: {:.2} us per packet, {:.2} Gbit/s",
            (took / packets).as_nanos() as f64 / 1e3,
            read as f64 * 8.0 / took.as_nanos() as f64
        );
        Ok(())
    }

    /// Carries what each has for the other.
    fn exchange(&mut self) {
        self.now = self.now + Duration::from_micros(200);
        let ([client, server], buffer) = (&mut self.endpoints, &mut self.buffer[..]);
        let [ours, theirs] = ADDRESSES;
        self.packets += carry(self.now, (client, ours), (server, theirs), buffer);
        self.packets += carry(self.now, (server, theirs), (client, ours), buffer);
        for (endpoint, known) in self.endpoints.iter_mut().zip(&mut self.handles) {
            endpoint.on_timeout(self.now);
            while let Some((handle, event)) = endpoint.poll_event() {
                *known = Some(handle).filter(|_| !matches!(event, Event::Closed(_)));
            }
        }
    }
}

/// Carries all that one has for the other; how many packets.
fn carry(
    now: Time,
    (from, remote): (&mut Endpoint, SocketAddr),
    (to, local): (&mut Endpoint, SocketAddr),
    buffer: &mut [u8],
) -> u32 {
    let (path, mut packets) = (FourTuple { local, remote }, 0);
    while let Some(transmit) = from.transmit(now, buffer, 10) {
        let size = transmit.segment_size.unwrap_or(transmit.len);
        for datagram in buffer[..transmit.len].chunks_mut(size) {
            to.receive(now, path, transmit.ecn, datagram);
            packets += 1;
        }
    }
    packets
}

const ADDRESSES: [SocketAddr; 2] = [address(1000), address(443)];
/// Read before the time is taken.
const BYTES: usize = 200 << 20;

const fn address(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}
