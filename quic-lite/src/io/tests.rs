//! Drivers on the loopback interface: real sockets, a real clock, a server in a thread of its own.

use std::collections::HashMap;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::*;
use crate::config::Config;
use crate::connection::Connection;
use crate::endpoint::EndpointConfig;
use crate::stream::{Chunk, Read, ReadChunk, StreamEvent};
use crate::tls::rustls::pki_types::PrivateKeyDer;
use crate::tls::{ClientTls, ServerTls};
use crate::wire::stream_id::{Dir, StreamId};

const ALPN: &[&[u8]] = &[b"test"];
/// No test here takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends back what it gets, until told to stop.
struct Echo(Arc<AtomicBool>);

impl Application for Echo {
    fn on_event(&mut self, _now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        let (Event::Stream(StreamEvent::Readable(id)), Some(connection)) =
            (event, endpoint.connection_mut(handle))
        else {
            return;
        };
        let streams = connection.streams_mut();
        while let Ok(ReadChunk::Chunk { chunk, .. }) = streams.read_chunk(id) {
            streams.write_chunk(id, chunk).unwrap();
        }
        if streams.recv_state(id).is_none() {
            streams.finish(id).unwrap();
        }
    }

    fn on_tick(&mut self, _now: Time, _endpoint: &mut Endpoint) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn is_done(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<Endpoint>,
}

impl Server {
    fn start(address: &str, config: &SocketConfig) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let cert = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let server = Some(ServerTls::new_single(vec![cert.into()], key, ALPN).unwrap());
        let endpoint = Endpoint::new(
            EndpointConfig {
                server,
                ..Default::default()
            },
            [1; 32],
        );
        let address = address.parse().unwrap();
        let mut driver = Driver::bind_with(&[address], endpoint, config).unwrap();
        let (address, waker) = (driver.local_addresses()[0], driver.waker());
        let stop = Arc::new(AtomicBool::new(false));
        let mut app = Echo(stop.clone());
        let thread = thread::spawn(move || {
            driver.run(&mut app).unwrap();
            driver.endpoint
        });
        Self {
            address,
            stop,
            waker,
            thread,
        }
    }

    fn stop(self) -> Endpoint {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread.join().unwrap()
    }
}

/// Each connection sends a message and waits for it to come back.
struct Clients {
    message: Chunk,
    received: HashMap<Handle, Vec<u8>>,
    unfinished: usize,
    deadline: Time,
    failed: Option<String>,
}

impl Clients {
    fn new(message: Vec<u8>, driver: &mut Driver, server: SocketAddr, count: usize) -> Self {
        let (now, tls) = (driver.now(), ClientTls::insecure(ALPN).unwrap());
        let config = Arc::new(Config::default());
        for _ in 0..count {
            let endpoint = driver.endpoint_mut();
            endpoint
                .connect(now, &tls, server, "localhost", config.clone())
                .unwrap();
        }
        Self {
            message: message.into(),
            received: HashMap::new(),
            unfinished: count,
            deadline: now + PATIENCE,
            failed: None,
        }
    }

    fn read(&mut self, handle: Handle, connection: &mut Connection, id: StreamId) {
        let mut buffer = [0; 4096];
        let received = self.received.entry(handle).or_default();
        while let Ok(read) = connection.streams_mut().read(id, &mut buffer) {
            match read {
                Read::Bytes(len) => received.extend(&buffer[..len]),
                Read::Finished => {
                    assert_eq!(received[..], self.message[..]);
                    self.unfinished -= 1;
                    return;
                }
                _ => return,
            }
        }
    }
}

impl Application for Clients {
    fn on_event(&mut self, _now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        match event {
            Event::Connected => {
                let streams = connection.streams_mut();
                let id = streams.open(Dir::Bi).unwrap();
                streams.write_chunk(id, self.message.clone()).unwrap();
                streams.finish(id).unwrap();
            }
            Event::Stream(StreamEvent::Readable(id)) => self.read(handle, connection, id),
            Event::Closed(error) => self.failed = Some(error.to_string()),
            _ => {}
        }
    }

    fn on_tick(&mut self, now: Time, _endpoint: &mut Endpoint) {
        assert!(
            now < self.deadline,
            "{} clients still wait",
            self.unfinished
        );
    }

    fn next_timeout(&self) -> Option<Time> {
        Some(self.deadline)
    }

    fn is_done(&self) -> bool {
        assert_eq!(self.failed, None);
        self.unfinished == 0
    }
}

/// Connects `count` clients from one socket and lets each exchange `bytes`.
fn exchange(listen: &str, connect: &str, config: &SocketConfig, count: usize, bytes: usize) {
    let server = Server::start(listen, config);
    let target = SocketAddr::new(connect.parse().unwrap(), server.address.port());
    let endpoint = Endpoint::new(EndpointConfig::default(), [2; 32]);
    let mut driver = Driver::bind_with(&[any_port(target)], endpoint, config).unwrap();
    let message = (0..bytes).map(|at| (at % 251) as u8).collect();
    let mut clients = Clients::new(message, &mut driver, target, count);
    driver.run(&mut clients).unwrap();
    assert_eq!(driver.endpoint().len(), count);
    assert_eq!(server.stop().len(), count);
}

#[test]
fn a_megabyte_comes_back_with_and_without_offloads() {
    let plain = SocketConfig {
        receive_offload: false,
        send_offload: false,
        ..SocketConfig::default()
    };
    for config in [SocketConfig::default(), plain] {
        exchange("127.0.0.1:0", "127.0.0.1", &config, 1, 1 << 20);
    }
}

#[test]
fn a_dual_stack_socket_serves_both_families() {
    for client in ["127.0.0.1", "::1"] {
        exchange("[::]:0", client, &SocketConfig::default(), 1, 10_000);
    }
}

#[test]
fn a_hundred_clients_share_one_socket() {
    exchange(
        "127.0.0.1:0",
        "127.0.0.1",
        &SocketConfig::default(),
        100,
        20_000,
    );
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    // The whole of 127.0.0.0/8 is local; the kernel by itself would answer from 127.0.0.1.
    exchange(
        "0.0.0.0:0",
        "127.0.0.77",
        &SocketConfig::default(),
        1,
        10_000,
    );
}

/// Notes when it was called.
#[derive(Default)]
struct Observer {
    ticks: usize,
    readable: Vec<usize>,
    timeout: Option<Time>,
    reached: Option<Time>,
    rest: Option<Duration>,
}

impl Application for Observer {
    fn on_event(&mut self, _: Time, _: &mut Endpoint, _: Handle, _: Event) {}

    fn on_tick(&mut self, now: Time, _endpoint: &mut Endpoint) {
        self.ticks += 1;
        if self.timeout.is_some_and(|timeout| timeout <= now) {
            self.reached.get_or_insert(now);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.timeout
    }

    fn rest(&self, _now: Time) -> Option<Duration> {
        self.rest
    }

    fn is_done(&self) -> bool {
        self.reached.is_some()
    }

    fn on_readable(&mut self, _now: Time, _endpoint: &mut Endpoint, id: usize) {
        self.readable.push(id);
    }
}

fn idle_driver() -> Driver {
    let endpoint = Endpoint::new(EndpointConfig::default(), [3; 32]);
    Driver::bind(&["127.0.0.1:0".parse().unwrap()], endpoint).unwrap()
}

/// Sends what is nothing to a connection, until told to stop.
fn flood(target: SocketAddr, stop: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagrams = [&[][..], &[0x40; 30], &[0xff; 1200]].into_iter().cycle();
    while !stop.load(Ordering::Relaxed) {
        let _ = socket.send_to(datagrams.next().unwrap(), target);
    }
}

#[test]
fn garbage_and_empty_datagrams_do_not_hold_up_a_timer() {
    let mut driver = idle_driver();
    let target = driver.local_addresses()[0];
    let stop = Arc::new(AtomicBool::new(false));
    let flood = {
        let stop = stop.clone();
        thread::spawn(move || flood(target, &stop))
    };
    let timeout = driver.now() + Duration::from_millis(200);
    let mut observer = Observer {
        timeout: Some(timeout),
        ..Observer::default()
    };
    driver.run(&mut observer).unwrap();
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    let late = observer.reached.unwrap().since(timeout);
    assert!(late < Duration::from_millis(100), "{late:?}");
}

#[test]
fn other_threads_and_descriptors_wake_the_loop() {
    let mut driver = idle_driver();
    let (mut writer, reader) = UnixStream::pair().unwrap();
    driver.watch(&reader, 42).unwrap();
    let mut observer = Observer {
        timeout: Some(driver.now() + PATIENCE),
        ..Observer::default()
    };
    driver.turn(&mut observer).unwrap();
    let before = observer.ticks;
    driver.waker().wake();
    driver.turn(&mut observer).unwrap();
    assert_eq!(observer.ticks, before + 1);
    writer.write_all(b"x").unwrap();
    driver.turn(&mut observer).unwrap();
    assert_eq!(observer.readable, [42]);
}

/// More datagrams than one turn may send: those that are left wait until the sockets were read.
#[test]
fn a_turn_sends_a_limited_number_of_datagrams() {
    let mut driver = idle_driver();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let remote = silent.local_addr().unwrap();
    let (now, tls) = (driver.now(), ClientTls::insecure(ALPN).unwrap());
    let config = Arc::new(Config::default());
    let limit = limits::SEND_BUDGET * limits::SEND_BATCH;
    for _ in 0..limit + 50 {
        let endpoint = driver.endpoint_mut();
        endpoint
            .connect(now, &tls, remote, "localhost", config.clone())
            .unwrap();
    }
    driver.send().unwrap();
    assert!(driver.unsent);
    let endpoint = driver.endpoint();
    let connections = endpoint.handles().filter_map(|it| endpoint.connection(it));
    let sent: u64 = connections.map(|it| it.stats().packets_sent).sum();
    assert!(sent <= limit as u64 && sent > 0, "{sent} datagrams");
}

#[test]
fn a_loop_that_rests_is_woken_by_deadlines_only() {
    let mut driver = idle_driver();
    let address = driver.local_addresses()[0];
    // The first turn has to find out that there is nothing to send.
    driver.turn(&mut Observer::default()).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(&[0; 50], address).unwrap();
    let start = driver.now();
    let mut observer = Observer {
        timeout: Some(start + Duration::from_millis(40)),
        rest: Some(PATIENCE),
        ..Observer::default()
    };
    driver.turn(&mut observer).unwrap();
    let rested = driver.now().since(start);
    assert!(
        rested >= Duration::from_millis(40) && rested < PATIENCE,
        "{rested:?}"
    );
    assert!(!driver.sockets[0].readable, "it was read afterwards");
}
