//! quiche as server and as client of the runner's cases: blocking loops on one UDP socket. No RFC.

use crate::case::Case;
use crate::folders::Folders;
use crate::{ALPN, Failure, file_of};
use quic_lite::rng::Rng;
use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn config() -> Result<quiche::Config, quiche::Error> {
    let mut config = quiche::Config::new(quiche::PROTOCOL_VERSION)?;
    config.set_application_protos(&[ALPN])?;
    config.set_max_idle_timeout(60_000);
    config.set_initial_max_data(200_000);
    config.set_initial_max_stream_data_bidi_local(100_000);
    config.set_initial_max_stream_data_bidi_remote(100_000);
    config.set_initial_max_streams_bidi(100);
    // So many paths are known at a time, those that are gone included.
    config.set_active_connection_id_limit(8);
    Ok(config)
}

fn bind(case: &Case) -> Result<UdpSocket, Failure> {
    Ok(UdpSocket::bind(if case.ipv6 { "[::1]:0" } else { "127.0.0.1:0" })?)
}

/// A connection on a socket that others may share.
struct End {
    connection: quiche::Connection,
    requests: BTreeMap<u64, Vec<u8>>,
    /// Bytes on their way out, and how many of them have been taken.
    going: BTreeMap<u64, (Vec<u8>, usize)>,
}

impl End {
    fn new(connection: quiche::Connection) -> Self {
        Self { connection, requests: BTreeMap::new(), going: BTreeMap::new() }
    }

    fn flush(&mut self, socket: &UdpSocket) -> Result<(), Failure> {
        let mut buffer = [0; 1500];
        loop {
            match self.connection.send(&mut buffer) {
                Ok((length, info)) => socket.send_to(&buffer[..length], info.to)?,
                Err(quiche::Error::Done) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
        }
    }

    /// What has come whole, by stream.
    fn read(&mut self) -> Vec<(u64, Vec<u8>)> {
        let (mut whole, mut buffer) = (Vec::new(), [0; 16_384]);
        for id in self.connection.readable() {
            while let Ok((length, fin)) = self.connection.stream_recv(id, &mut buffer) {
                self.requests.entry(id).or_default().extend_from_slice(&buffer[..length]);
                if fin {
                    whole.push((id, self.requests.remove(&id).unwrap_or_default()));
                    break;
                }
            }
        }
        whole
    }

    fn write(&mut self) -> Result<(), Failure> {
        let connection = &mut self.connection;
        let mut failed = None;
        self.going.retain(|id, (bytes, taken)| match connection.stream_send(*id, &bytes[*taken..], true) {
            Ok(written) => {
                *taken += written;
                *taken < bytes.len()
            }
            Err(quiche::Error::Done | quiche::Error::StreamLimit) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A running server, which ends with this value.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Starts a server.
pub fn serve(case: &Case, folders: &Folders) -> Result<Server, Failure> {
    let mut config = config()?;
    config.load_cert_chain_from_pem_file(&folders.path("certs/cert.pem"))?;
    config.load_priv_key_from_pem_file(&folders.path("certs/priv.key"))?;
    let socket = bind(case)?;
    let (address, stop) = (socket.local_addr()?, Arc::new(AtomicBool::new(false)));
    let mut serving = Serving {
        socket,
        address,
        config,
        folder: folders.root.join("www"),
        retry: case.server == "retry",
        ends: Vec::new(),
        routes: HashMap::new(),
        ids: Rng::from_number(address.port().into()),
    };
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            if let Err(error) = serving.turn() {
                eprintln!("quiche cannot serve: {error}");
            }
        }
    });
    Ok(Server { address, stop })
}

struct Serving {
    socket: UdpSocket,
    address: SocketAddr,
    config: quiche::Config,
    folder: PathBuf,
    retry: bool,
    ends: Vec<End>,
    /// Connection IDs of ours, and those that clients made up.
    routes: HashMap<Vec<u8>, usize>,
    ids: Rng,
}

impl Serving {
    fn turn(&mut self) -> Result<(), Failure> {
        let timeouts = self.ends.iter().filter_map(|end| end.connection.timeout());
        let wait = timeouts.min().unwrap_or(LONG).clamp(SHORT, LONG);
        self.socket.set_read_timeout(Some(wait))?;
        let mut buffer = [0; 65_535];
        if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            self.receive(&mut buffer[..length], from)?;
        }
        for end in &mut self.ends {
            if end.connection.timeout().is_some_and(|left| left.is_zero()) {
                end.connection.on_timeout();
            }
            for (id, request) in end.read() {
                let bytes = std::fs::read(self.folder.join(file_of(&request).ok_or("not a request")?))?;
                end.going.insert(id, (bytes, 0));
            }
            end.write()?;
            end.flush(&self.socket)?;
        }
        Ok(())
    }

    fn receive(&mut self, datagram: &mut [u8], from: SocketAddr) -> Result<(), Failure> {
        // What was damaged on its way may be anything.
        let Ok(header) = quiche::Header::from_slice(datagram, CID_LEN) else { return Ok(()) };
        let info = quiche::RecvInfo { from, to: self.address };
        let known = self.routes.get(header.dcid.as_ref()).copied();
        let at = match known {
            Some(at) => at,
            None if header.ty == quiche::Type::Initial && header.version == quiche::PROTOCOL_VERSION => {
                match self.accept(&header, from)? {
                    Some(at) => at,
                    None => return Ok(()),
                }
            }
            None => return Ok(()),
        };
        let opened = self.ends[at].connection.recv(datagram, info);
        if known.is_none() && opened.is_err() {
            // A damaged first packet: quiche gives such a connection up, and the client begins once more.
            self.ends.truncate(at);
            self.routes.retain(|_, to| *to < at);
        }
        Ok(())
    }

    fn accept(&mut self, header: &quiche::Header<'_>, from: SocketAddr) -> Result<Option<usize>, Failure> {
        let token = header.token.clone().unwrap_or_default();
        let fresh: [u8; CID_LEN] = self.ids.bytes();
        if self.retry && token.is_empty() {
            let scid = quiche::ConnectionId::from_ref(&fresh);
            let (mut out, token) = ([0; 1500], [b"token", header.dcid.as_ref()].concat());
            let length = quiche::retry(&header.scid, &header.dcid, &scid, &token, header.version, &mut out)?;
            self.socket.send_to(&out[..length], from)?;
            return Ok(None);
        }
        let original = token.strip_prefix(b"token").map(|id| quiche::ConnectionId::from_vec(id.to_vec()));
        let scid = match original {
            Some(_) => header.dcid.clone(),
            None => quiche::ConnectionId::from_ref(&fresh),
        };
        let connection = quiche::accept(&scid, original.as_ref(), self.address, from, &mut self.config)?;
        let at = self.ends.len();
        self.routes.insert(scid.to_vec(), at);
        self.routes.insert(header.dcid.to_vec(), at);
        self.ends.push(End::new(connection));
        Ok(Some(at))
    }
}

/// Fetches all files.
pub fn fetch(case: &Case, folders: &Folders, server: SocketAddr, until: Instant) -> Result<(), Failure> {
    let mut config = config()?;
    config.load_verify_locations_from_file(&folders.path("certs/ca.pem"))?;
    config.verify_peer(true);
    let socket = bind(case)?;
    let mut ids = Rng::from_number(socket.local_addr()?.port().into());
    let groups: Vec<&[String]> =
        if case.is_multiconnect() { folders.files.chunks(1).collect() } else { vec![&folders.files] };
    for files in groups {
        let id: [u8; CID_LEN] = ids.bytes();
        let scid = quiche::ConnectionId::from_ref(&id);
        let connection = quiche::connect(Some("localhost"), &scid, socket.local_addr()?, server, &mut config)?;
        fetch_group(&mut End::new(connection), &socket, files, folders, until)?;
    }
    Ok(())
}

fn fetch_group(
    end: &mut End,
    socket: &UdpSocket,
    files: &[String],
    folders: &Folders,
    until: Instant,
) -> Result<(), Failure> {
    let mut asked = 0;
    let (mut come, mut heard) = (0, Instant::now());
    while come < files.len() {
        if end.connection.is_established() {
            while asked < files.len() && end.going.len() < end.connection.peer_streams_left_bidi() as usize {
                let request = format!("GET /{}\r\n", files[asked]);
                end.going.insert(4 * asked as u64, (request.into(), 0));
                asked += 1;
            }
            end.write()?;
        }
        // Whoever only receives does not notice that its address has changed.
        if heard.elapsed() > Duration::from_secs(1) {
            end.connection.send_ack_eliciting()?;
            heard = Instant::now();
        }
        if turn(end, socket, until)? {
            heard = Instant::now();
        }
        for (id, bytes) in end.read() {
            std::fs::write(folders.root.join("downloads").join(&files[id as usize / 4]), bytes)?;
            come += 1;
        }
    }
    end.connection.close(true, 0, b"")?;
    end.flush(socket)
}

/// Sends, waits for a datagram or a timer, and feeds it in. Whether a datagram came.
fn turn(end: &mut End, socket: &UdpSocket, until: Instant) -> Result<bool, Failure> {
    if Instant::now() > until {
        return Err("quiche waited too long".into());
    }
    end.flush(socket)?;
    if end.connection.is_closed() {
        return Err(format!("quiche's connection is over: {:?}", end.connection.peer_error()).into());
    }
    let wait = end.connection.timeout().unwrap_or(LONG).clamp(SHORT, LONG);
    socket.set_read_timeout(Some(wait))?;
    let mut buffer = [0; 65_535];
    let came = match socket.recv_from(&mut buffer) {
        Ok((length, from)) => {
            let info = quiche::RecvInfo { from, to: socket.local_addr()? };
            // A packet that does not open, or one of the connection before, is an error of the call only.
            let _ = end.connection.recv(&mut buffer[..length], info);
            true
        }
        Err(_) => false,
    };
    if end.connection.timeout().is_some_and(|left| left.is_zero()) {
        end.connection.on_timeout();
    }
    end.flush(socket)?;
    Ok(came)
}

/// As everybody's here: the judge must know where a short header ends.
const CID_LEN: usize = crate::tap::CID_LEN;
const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_millis(20);
