//! quiche as client and as server of the exchange: a blocking loop on one UDP socket. No RFC.

use crate::{ALPN, CLOSE_CODE, Demands, Identity, PATIENCE, Plan, Report, stream_bytes};
use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn config() -> Result<quiche::Config, quiche::Error> {
    let mut config = quiche::Config::new(quiche::PROTOCOL_VERSION)?;
    config.set_application_protos(&[ALPN])?;
    config.set_max_idle_timeout(10_000);
    config.set_initial_max_data(1 << 20);
    config.set_initial_max_stream_data_bidi_local(100_000);
    config.set_initial_max_stream_data_bidi_remote(100_000);
    config.set_initial_max_stream_data_uni(100_000);
    config.set_initial_max_streams_bidi(3);
    config.set_initial_max_streams_uni(3);
    config.enable_dgram(true, 100, 100);
    config.verify_peer(false);
    Ok(config)
}

/// One quiche connection on one socket.
struct Peer {
    socket: UdpSocket,
    local: SocketAddr,
    connection: quiche::Connection,
    deadline: Instant,
}

impl Peer {
    /// Sends what there is, waits for a datagram or a timer, and feeds it in. An error after `PATIENCE`.
    fn turn(&mut self) -> Result<(), Failure> {
        if Instant::now() > self.deadline {
            return Err("the quiche peer waited too long".into());
        }
        self.flush()?;
        let wait = self.connection.timeout().unwrap_or(Duration::from_millis(50));
        self.socket.set_read_timeout(Some(wait.clamp(Duration::from_millis(1), Duration::from_millis(50))))?;
        let mut buffer = [0; 65_535];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                let info = quiche::RecvInfo { from, to: self.local };
                self.connection.recv(&mut buffer[..length], info)?;
            }
            Err(_) => self.connection.on_timeout(),
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 1500];
        loop {
            match self.connection.send(&mut buffer) {
                Ok((length, info)) => self.socket.send_to(&buffer[..length], info.to)?,
                Err(quiche::Error::Done) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
        }
    }
}

/// Bytes on their way out, per stream.
#[derive(Default)]
struct Outgoing(BTreeMap<u64, VecDeque<u8>>);

impl Outgoing {
    fn pump(&mut self, connection: &mut quiche::Connection) -> Result<(), Failure> {
        let mut done = Vec::new();
        for (id, bytes) in &mut self.0 {
            match connection.stream_send(*id, bytes.make_contiguous(), true) {
                Ok(written) if written == bytes.len() => done.push(*id),
                Ok(written) => drop(bytes.drain(..written)),
                Err(quiche::Error::Done | quiche::Error::StreamLimit) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for id in done {
            self.0.remove(&id);
        }
        Ok(())
    }
}

/// Bytes that came in, per stream; a stream is handed over when it has ended.
#[derive(Default)]
struct Incoming(BTreeMap<u64, Vec<u8>>);

impl Incoming {
    fn pump(&mut self, connection: &mut quiche::Connection) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let mut ended = Vec::new();
        for id in connection.readable() {
            let mut buffer = [0; 16_384];
            while let Ok((length, fin)) = connection.stream_recv(id, &mut buffer) {
                self.0.entry(id).or_default().extend_from_slice(&buffer[..length]);
                if fin {
                    ended.push((id, self.0.remove(&id).unwrap_or_default()));
                    break;
                }
            }
        }
        Ok(ended)
    }
}

/// Starts an echo server for one connection; the handle gives the application code it was closed with.
pub fn serve(identity: &Identity, demands: Demands) -> Result<(SocketAddr, JoinHandle<Result<u64, Failure>>), Failure> {
    let folder = std::env::temp_dir().join(format!("foreign-quic-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(&folder)?;
    let (certificate, key) = identity.write_pem(&folder)?;
    let mut config = config()?;
    config.load_cert_chain_from_pem_file(&certificate)?;
    config.load_priv_key_from_pem_file(&key)?;
    std::fs::remove_dir_all(&folder)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    Ok((address, std::thread::spawn(move || echo(accept(socket, config, demands)?))))
}

fn accept(socket: UdpSocket, mut config: quiche::Config, demands: Demands) -> Result<Peer, Failure> {
    let local = socket.local_addr()?;
    let deadline = Instant::now() + PATIENCE;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut original: Option<quiche::ConnectionId<'static>> = None;
    loop {
        let mut buffer = [0; 65_535];
        let (length, from) = socket.recv_from(&mut buffer)?;
        let header = quiche::Header::from_slice(&mut buffer[..length], 16)?;
        let token = header.token.clone().unwrap_or_default();
        if demands.retry && token.is_empty() {
            let scid = quiche::ConnectionId::from_ref(&[0xAB; 16]);
            let mut out = [0; 1500];
            let length = quiche::retry(&header.scid, &header.dcid, &scid, b"a token", header.version, &mut out)?;
            original = Some(header.dcid.clone().into_owned());
            socket.send_to(&out[..length], from)?;
            continue;
        }
        if demands.retry && token != b"a token" {
            return Err("the client did not echo the token of the Retry".into());
        }
        let scid = if demands.retry { header.dcid.clone() } else { quiche::ConnectionId::from_ref(&[0xCD; 16]) };
        let mut connection = quiche::accept(&scid, original.as_ref(), local, from, &mut config)?;
        connection.recv(&mut buffer[..length], quiche::RecvInfo { from, to: local })?;
        return Ok(Peer { socket, local, connection, deadline });
    }
}

fn echo(mut peer: Peer) -> Result<u64, Failure> {
    let (mut incoming, mut outgoing) = (Incoming::default(), Outgoing::default());
    let mut next_uni = 3;
    loop {
        peer.turn()?;
        if let Some(close) = peer.connection.peer_error() {
            return if close.is_app { Ok(close.error_code) } else { Err(format!("closed with {close:?}").into()) };
        }
        for (id, bytes) in incoming.pump(&mut peer.connection)? {
            let answer = if id % 4 == 0 {
                id
            } else {
                next_uni += 4;
                next_uni - 4
            };
            outgoing.0.insert(answer, bytes.into());
        }
        let mut datagram = [0; 1500];
        while let Ok(length) = peer.connection.dgram_recv(&mut datagram) {
            peer.connection.dgram_send(&datagram[..length])?;
        }
        outgoing.pump(&mut peer.connection)?;
        peer.flush()?;
    }
}

/// Runs the client side of the exchange. quiche has no call that starts a key update: `plan.key_update` is refused.
pub fn exchange(server: SocketAddr, plan: Plan) -> Result<Report, Failure> {
    if plan.key_update {
        return Err("quiche cannot start a key update".into());
    }
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let local = socket.local_addr()?;
    let scid = quiche::ConnectionId::from_ref(&[0xEF; 16]);
    let connection = quiche::connect(Some("localhost"), &scid, local, server, &mut config()?)?;
    let mut peer = Peer { socket, local, connection, deadline: Instant::now() + PATIENCE };
    while !peer.connection.is_established() {
        peer.turn()?;
    }
    let report = run(&mut peer, &plan)?;
    peer.connection.close(true, CLOSE_CODE, b"done")?;
    peer.flush()?;
    Ok(report)
}

fn run(peer: &mut Peer, plan: &Plan) -> Result<Report, Failure> {
    let (mut incoming, mut outgoing) = (Incoming::default(), Outgoing::default());
    let mut report = Report::default();
    for index in 0..plan.bidi {
        outgoing.0.insert(4 * index as u64, stream_bytes(index, plan.bytes).into());
    }
    for index in 0..plan.uni {
        outgoing.0.insert(4 * index as u64 + 2, stream_bytes(100 + index, plan.bytes).into());
    }
    let uni: Vec<Vec<u8>> = (0..plan.uni).map(|index| stream_bytes(100 + index, plan.bytes)).collect();
    let mut datagrams: Vec<Vec<u8>> = (0..plan.datagrams).map(|index| stream_bytes(200 + index, 100)).collect();
    for bytes in &datagrams {
        peer.connection.dgram_send(bytes)?;
    }
    while report != Report::complete(plan) {
        outgoing.pump(&mut peer.connection)?;
        peer.turn()?;
        for (id, bytes) in incoming.pump(&mut peer.connection)? {
            let bidi = id % 4 == 0;
            report.bidi += usize::from(bidi && bytes == stream_bytes(id as usize / 4, plan.bytes));
            report.uni += usize::from(!bidi && uni.contains(&bytes));
        }
        let mut datagram = [0; 1500];
        while let Ok(length) = peer.connection.dgram_recv(&mut datagram) {
            let before = datagrams.len();
            datagrams.retain(|bytes| bytes[..] != datagram[..length]);
            report.datagrams += before - datagrams.len();
        }
    }
    Ok(report)
}
