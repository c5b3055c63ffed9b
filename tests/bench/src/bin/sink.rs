//! `bench-sink`: subscribers of the raw protocol, or of MOQT, that cost as little as can be, or a receiver of plain UDP, which say how
//! late messages were. No RFC.

#[path = "../sink/arrivals.rs"]
mod arrivals;
#[path = "../sink/frames.rs"]
mod frames;
#[path = "../sink/peek.rs"]
mod peek;
#[path = "../sink/subscriber.rs"]
mod subscriber;
#[path = "../sink/tally.rs"]
mod tally;

use std::collections::HashMap;
use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use arrivals::Arrivals;
use bench::clock::monotonic;
use bench::line::{Line, is_passing, wait, widen};
use bench::message::Message;
use bench::moqt::{self, Role, Talk};
use bench::orders::Orders;
use clap::Parser;
use frames::Packing;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::Handle;
use serde_json::json;
use subscriber::{CID_LEN, Subscriber};
use tally::Tally;

/// Receives messages from a relay, or at an address.
#[derive(Debug, Parser)]
struct Options {
    /// The relay; with `--udp`, our own address.
    address: SocketAddr,
    /// How many subscribers; with `--udp`, how many copies of each message.
    #[arg(long, default_value_t = 1)]
    subscribers: usize,
    /// Without QUIC.
    #[arg(long)]
    udp: bool,
    /// By MOQT.
    #[arg(long, conflicts_with = "udp")]
    moqt: bool,
    /// Sessions that subscribe to nothing.
    #[arg(long, requires = "moqt")]
    idle: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    // Alarms to the microsecond: the default lets them come 50 us late.
    nix::sys::prctl::set_timerslack(1)?;
    let mut orders = Orders::new()?;
    let mut sink = match options.udp {
        true => Sink::plain(&options)?,
        false => Sink::subscribe(&options, &mut orders)?,
    };
    println!(
        "{}",
        json!({ "event": "ready", "address": sink.socket.local_addr()?.to_string() })
    );
    sink.run(&mut orders)
}

struct Sink {
    socket: UdpSocket,
    arrivals: Arrivals,
    /// None with plain UDP.
    subscribers: Vec<Subscriber>,
    by_id: HashMap<[u8; CID_LEN], usize>,
    tally: Tally,
}

impl Sink {
    fn plain(options: &Options) -> Result<Self, Box<dyn Error>> {
        let socket = UdpSocket::bind(options.address)?;
        socket.set_nonblocking(true)?;
        widen(&socket)?;
        let arrivals = Arrivals::of(&socket)?;
        Ok(Self {
            socket,
            arrivals,
            subscribers: Vec::new(),
            by_id: HashMap::new(),
            tally: Tally::new(options.subscribers),
        })
    }

    /// Connects all, waits until they are quiet, and takes over.
    fn subscribe(options: &Options, orders: &mut Orders) -> Result<Self, Box<dyn Error>> {
        let mut joining = Joining::new(options)?;
        while joining.settled < options.subscribers {
            let room = options.subscribers.min(joining.settled + AT_ONCE);
            while joining.handles.len() < room {
                joining.handles.push(joining.line.connect()?);
            }
            joining.turn(orders)?;
        }
        // Probes of the path's MTU, tokens and new connection IDs are the library's to answer.
        let until = joining.line.now() + QUIET;
        while joining.line.now() < until {
            joining.turn(orders)?;
        }
        let Joining { line, handles, .. } = joining;
        let arrivals = Arrivals::of(&line.socket)?;
        let mut sink = Self {
            socket: line.socket,
            arrivals,
            subscribers: Vec::new(),
            by_id: HashMap::new(),
            tally: Tally::new(options.subscribers),
        };
        let packing = match options.moqt {
            true => Packing::Moqt,
            false => Packing::Raw,
        };
        for handle in handles {
            let connection = line.endpoint.connection(handle);
            sink.take_over(connection.ok_or("a connection is gone")?, packing)?;
        }
        Ok(sink)
    }

    fn take_over(
        &mut self,
        connection: &Connection,
        packing: Packing,
    ) -> Result<(), Box<dyn Error>> {
        let place = self.subscribers.len();
        for id in connection.local_cids() {
            self.by_id.insert(id.as_slice().try_into()?, place);
        }
        let subscriber = Subscriber::take_over(connection, packing);
        self.subscribers
            .push(subscriber.ok_or("a connection has no keys")?);
        Ok(())
    }

    fn run(&mut self, orders: &mut Orders) -> Result<(), Box<dyn Error>> {
        while !orders.has_ended() {
            for order in orders.read() {
                match order.as_str() {
                    "start" => self.tally.forget(),
                    "report" => println!("{}", self.tally.report()),
                    _ => return Err("the orders are start and report".into()),
                }
            }
            let mut left = BATCHES;
            while left > 0 && self.receive()? != 0 {
                left -= 1;
            }
            let now = monotonic();
            let due = self.acknowledge(now)?;
            let left = due.map(|due| Duration::from_nanos(due.saturating_sub(now)));
            wait(&self.socket, orders, left)?;
        }
        self.leave()
    }

    /// Says goodbye for all, so that the relay serves them no longer.
    fn leave(&mut self) -> Result<(), Box<dyn Error>> {
        for subscriber in &mut self.subscribers {
            let mut packet = [0; 256];
            say(&self.socket, subscriber.leave(&mut packet))?;
        }
        Ok(())
    }

    /// One batch; how many datagrams it had.
    fn receive(&mut self) -> Result<usize, Box<dyn Error>> {
        let Self {
            socket,
            arrivals,
            subscribers,
            by_id,
            tally,
        } = self;
        let mut count = 0;
        let mut due = Vec::new();
        for (datagram, at) in arrivals.batch(socket)? {
            count += 1;
            let now = monotonic();
            if subscribers.is_empty() {
                tally.packet();
                let copies = Message::decode(datagram).map(Message::copy).into_iter();
                copies.for_each(|(copy, message)| tally.message(copy, message, at, now));
                continue;
            }
            let id = datagram
                .get(1..=CID_LEN)
                .filter(|_| datagram[0] & 0x80 == 0);
            let Some(&place) = id.and_then(|id| by_id.get(id)) else {
                continue;
            };
            let subscriber = &mut subscribers[place];
            let found = subscriber.receive(datagram, now);
            if let Some(found) = found.filter(|found| found.is_media) {
                tally.packet();
                let messages = found.messages.into_iter();
                messages.for_each(|message| tally.message(place, message, at, now));
            }
            if subscriber.due() == Some(0) {
                due.push(place);
            }
        }
        for place in due {
            tell(socket, &mut subscribers[place])?;
        }
        Ok(count)
    }

    /// Acknowledges where it is time to; when the next will be due.
    fn acknowledge(&mut self, now: u64) -> Result<Option<u64>, Box<dyn Error>> {
        for subscriber in &mut self.subscribers {
            if subscriber.due().is_some_and(|due| due <= now) {
                tell(&self.socket, subscriber)?;
            }
        }
        Ok(self.subscribers.iter().filter_map(Subscriber::due).min())
    }
}

fn tell(socket: &UdpSocket, subscriber: &mut Subscriber) -> Result<(), Box<dyn Error>> {
    let mut packet = [0; 256];
    say(socket, subscriber.acknowledge(&mut packet))
}

fn say(socket: &UdpSocket, packet: Option<&[u8]>) -> Result<(), Box<dyn Error>> {
    let Some(packet) = packet else {
        return Ok(());
    };
    match socket.send(packet) {
        Err(error) if is_passing(&error) => Ok(()),
        other => Ok(other.map(|_| ())?),
    }
}

/// Subscribers that are not all there yet.
struct Joining {
    line: Line,
    handles: Vec<Handle>,
    role: Role,
    /// The sessions, if there are to be any.
    talks: Option<HashMap<Handle, Talk>>,
    /// How many have all that they need to be sent media.
    settled: usize,
}

impl Joining {
    fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let alpn = match options.moqt {
            true => moqt::ALPN,
            false => b"qr-raw-sub",
        };
        Ok(Self {
            line: Line::open(options.address, alpn)?,
            handles: Vec::new(),
            role: match options.idle {
                true => Role::Idle,
                false => Role::Subscriber,
            },
            talks: options.moqt.then(HashMap::new),
            settled: 0,
        })
    }

    fn turn(&mut self, orders: &mut Orders) -> Result<(), Box<dyn Error>> {
        orders.read();
        if orders.has_ended() {
            return Err("nobody waits for us any more".into());
        }
        for (handle, event) in self.line.turn()? {
            if let Event::Closed(error) = event {
                return Err(format!("the relay does not take a subscriber: {error}").into());
            }
            self.settled += usize::from(self.settles(handle, &event)?);
        }
        self.line.send()?;
        let soon = self.line.now() + Duration::from_millis(20);
        Ok(self.line.wait(orders, Some(soon))?)
    }

    /// Whether one more has what it needs.
    fn settles(&mut self, handle: Handle, event: &Event) -> Result<bool, Box<dyn Error>> {
        let Some(talks) = &mut self.talks else {
            return Ok(matches!(event, Event::Connected));
        };
        let now = self.line.now();
        let connection = self.line.endpoint.connection_mut(handle);
        let connection = connection.ok_or("a connection is gone")?;
        let talk = talks.entry(handle).or_insert_with(|| Talk::new(self.role));
        let before = talk.is_settled();
        talk.on_event(now, connection, event)
            .map_err(|error| format!("the relay does not take a subscription: {error}"))?;
        Ok(talk.is_settled() && !before)
    }
}

/// Then there may be orders, or something to acknowledge.
const BATCHES: usize = 16;
/// Handshakes at a time.
const AT_ONCE: usize = 50;
/// Until nothing but media is to be expected.
const QUIET: Duration = Duration::from_millis(1000);
