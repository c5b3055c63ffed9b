//! quiche as a raw subscriber: a blocking loop on one UDP socket. No RFC.
//!
//! `raw-quiche sub ADDRESS [NAME=VALUE]...`: one JSON object a line on standard output, orders on standard input.
//! Names: `quiet` and `silence`, ms after which datagrams, and streams, that are missing are lost; `patience`, s; `credit`,
//! unidirectional streams the peer may have open; `cid`, the length of its connection ID.

use std::collections::HashMap;
use std::io::BufRead;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use foreign_raw::Failure;
use foreign_raw::options::{Options, Order};
use foreign_raw::tally::Tally;
use serde_json::{Value, json};

fn main() -> Result<(), Failure> {
    let options = Options::parse(std::env::args().skip(1), &["quiet", "silence", "patience", "credit", "cid"])?;
    if options.role != "sub" {
        return Err(format!("no role {}: sub", options.role).into());
    }
    let outcome = Subscriber::connect(&options).and_then(|subscriber| subscriber.run(&options));
    if let Err(failure) = &outcome {
        tell(&json!({ "event": "failed", "reason": failure.to_string() }));
    }
    std::process::exit(i32::from(outcome.is_err()))
}

/// One line for whoever started us.
fn tell(event: &Value) {
    println!("{event}");
}

fn config(options: &Options) -> Result<quiche::Config, quiche::Error> {
    let mut config = quiche::Config::new(quiche::PROTOCOL_VERSION)?;
    config.set_application_protos(&[b"qr-raw-sub"])?;
    config.set_max_idle_timeout(30_000);
    config.set_initial_max_data(10 << 20);
    config.set_initial_max_stream_data_uni(1 << 20);
    config.set_initial_max_streams_uni(options.get("credit", 1000));
    config.set_max_recv_udp_payload_size(1452);
    config.enable_dgram(true, 10_000, 100);
    config.verify_peer(false);
    Ok(config)
}

/// A quiche connection on its socket, and what came over it.
struct Subscriber {
    socket: UdpSocket,
    local: SocketAddr,
    connection: quiche::Connection,
    unfinished: HashMap<u64, Vec<u8>>,
    tally: Tally,
}

impl Subscriber {
    fn connect(options: &Options) -> Result<Self, Failure> {
        let any: SocketAddr = match options.relay.is_ipv4() {
            true => (Ipv4Addr::UNSPECIFIED, 0).into(),
            false => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        // The address that packets really come from: quiche keeps paths by it.
        socket.connect(options.relay)?;
        let local = socket.local_addr()?;
        let id = quiche::ConnectionId::from_vec(vec![0xEF; options.get("cid", 8) as usize]);
        let connection = quiche::connect(Some("localhost"), &id, local, options.relay, &mut config(options)?)?;
        Ok(Self { socket, local, connection, unfinished: HashMap::new(), tally: Tally::default() })
    }

    fn run(mut self, options: &Options) -> Result<(), Failure> {
        let patience = Instant::now() + Duration::from_secs(options.get("patience", 120));
        let quiet = Duration::from_millis(options.get("quiet", 1000));
        let silence = Duration::from_millis(options.get("silence", 15_000));
        let (mut orders, mut is_asking, mut is_told) = (None, false, false);
        loop {
            if Instant::now() > patience {
                return Err("it took too long".into());
            }
            self.turn()?;
            if self.connection.is_closed() {
                tell(&self.tally.json("left"));
                return Err(format!("the connection was closed: {:?}", self.connection.peer_error()).into());
            }
            if self.connection.is_established() && !is_asking {
                is_asking = true;
                self.connection.stream_send(0, b"?", false)?;
            }
            // The relay refuses a bidirectional stream: it knows us.
            if is_asking && orders.is_none() && matches!(self.connection.stream_capacity(0), Err(quiche::Error::StreamStopped(_)))
            {
                orders = Some(read_orders());
                tell(&json!({ "event": "ready", "port": self.local.port() }));
            }
            self.read();
            if !is_told && self.tally.is_over(quiet, silence) {
                is_told = true;
                tell(&self.tally.json("received"));
            }
            if orders.as_ref().is_some_and(is_to_leave) {
                return self.leave();
            }
        }
    }

    /// Sends what there is, waits a moment for a datagram, and takes in all that came.
    fn turn(&mut self) -> Result<(), Failure> {
        self.flush()?;
        let wait = self.connection.timeout().unwrap_or(LONGEST_WAIT);
        self.socket.set_read_timeout(Some(wait.clamp(Duration::from_millis(1), LONGEST_WAIT)))?;
        let mut buffer = [0; 65_535];
        for count in 0..64 {
            if count == 1 {
                self.socket.set_nonblocking(true)?;
            }
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else {
                break;
            };
            let info = quiche::RecvInfo { from, to: self.local };
            // What cannot be read is dropped, as RFC 9000 has it.
            let _ = self.connection.recv(&mut buffer[..length], info);
        }
        self.socket.set_nonblocking(false)?;
        // Does nothing unless a timer has expired.
        self.connection.on_timeout();
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 1500];
        loop {
            match self.connection.send(&mut buffer) {
                // A relay that is not there any more shows by silence, not by an error of the socket.
                Ok((length, _)) => drop(self.socket.send(&buffer[..length])),
                Err(quiche::Error::Done) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 65_535];
        for id in self.connection.readable() {
            loop {
                match self.connection.stream_recv(id, &mut buffer) {
                    Ok((length, is_last)) => {
                        self.unfinished.entry(id).or_default().extend_from_slice(&buffer[..length]);
                        if is_last {
                            let bytes = self.unfinished.remove(&id).unwrap_or_default();
                            self.tally.take(&bytes, false);
                            break;
                        }
                    }
                    Err(quiche::Error::StreamReset(_)) if id % 4 == 3 => {
                        self.tally.reset += 1;
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
        while let Ok(length) = self.connection.dgram_recv(&mut buffer) {
            self.tally.take(&buffer[..length], true);
        }
    }

    fn leave(mut self) -> Result<(), Failure> {
        let mut left = self.tally.json("left");
        left["packets"] = self.connection.stats().recv.into();
        tell(&left);
        self.connection.close(true, 0, b"done")?;
        self.flush()
    }
}

fn read_orders() -> Receiver<Order> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(Order::parse(&line)).is_err() {
                return;
            }
        }
    });
    receiver
}

fn is_to_leave(orders: &Receiver<Order>) -> bool {
    matches!(orders.try_recv(), Ok(Order::Leave) | Err(TryRecvError::Disconnected))
}

const LONGEST_WAIT: Duration = Duration::from_millis(20);
