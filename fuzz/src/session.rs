//! An endpoint under test, its clock, and what it sends (RFC 9000 §10, §12).
//!
//! After each step it is asked for everything: to send, to say what happened. It must come to rest, say nothing after
//! the end, and be empty in the end; and what holds after each step of a simulation holds here, too
//! ([`invariants::check`]): queues within their limits, the sums of flow control, no more memory than these explain.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use integration::heap::Heap;
use integration::invariants;
use quic_lite::Time;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event, FourTuple};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::tls::{ClientTls, ServerTls};

/// The endpoint and what surrounds it.
pub struct Subject {
    /// The time.
    pub now: Time,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What it has sent and nobody has looked at.
    pub sent: Vec<(SocketAddr, Vec<u8>)>,
    /// What its connections told, but for news of streams.
    pub events: Vec<(Handle, Event)>,
    /// Its own address.
    pub local: SocketAddr,
    closed: BTreeSet<Handle>,
    /// What its own calls have allocated.
    heap: Heap,
    steps: u64,
    buffer: Vec<u8>,
}

impl Subject {
    /// An endpoint at an address.
    pub fn new(make: impl FnOnce() -> Endpoint, local: SocketAddr) -> Self {
        let mut heap = Heap::new();
        Self {
            now: START,
            endpoint: heap.count(make),
            sent: Vec::new(),
            events: Vec::new(),
            local,
            closed: BTreeSet::new(),
            heap,
            steps: 0,
            buffer: vec![0; 20_000],
        }
    }

    /// A connection to somewhere.
    pub fn connect(&mut self, tls: &ClientTls, to: SocketAddr) -> Handle {
        let (now, endpoint) = (self.now, &mut self.endpoint);
        let made = self
            .heap
            .count(|| endpoint.connect(now, tls, to, "localhost", config()));
        made.expect("there is room")
    }

    /// The application does something with a connection, if it still lives.
    pub fn on_connection<T>(
        &mut self,
        handle: Handle,
        act: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        let Self { heap, endpoint, .. } = self;
        heap.count(|| endpoint.connection_mut(handle).map(act))
    }

    /// A datagram arrives.
    pub fn receive(&mut self, remote: SocketAddr, datagram: &[u8]) {
        let path = FourTuple {
            local: self.local,
            remote,
        };
        let mut bytes = datagram.to_vec();
        let (heap, endpoint) = (&mut self.heap, &mut self.endpoint);
        heap.count(|| endpoint.receive(self.now, path, None, &mut bytes));
    }

    /// Lets it send all it wants now, and listens to it.
    pub fn flush(&mut self) {
        for _ in 0..MAX_CALLS {
            let (now, buffer, endpoint) = (self.now, &mut self.buffer, &mut self.endpoint);
            let Some(transmit) = self.heap.count(|| endpoint.transmit(now, buffer, 10)) else {
                self.listen();
                self.steps += 1;
                return invariants::check(&self.endpoint, &self.heap, self.steps);
            };
            let size = transmit.segment_size.unwrap_or(transmit.len);
            assert!(transmit.len > 0 && size > 0 && transmit.len.div_ceil(size) <= 10);
            for segment in self.buffer[..transmit.len].chunks(size) {
                self.sent.push((transmit.path.remote, segment.to_vec()));
            }
        }
        panic!("it has always more to send");
    }

    fn listen(&mut self) {
        for _ in 0..MAX_EVENTS {
            let endpoint = &mut self.endpoint;
            let Some((handle, event)) = self.heap.count(|| endpoint.poll_event()) else {
                return;
            };
            assert!(!self.closed.contains(&handle), "{event:?} after the end");
            if matches!(event, Event::Closed(_)) {
                self.closed.insert(handle);
            }
            if !matches!(event, Event::Stream(_)) {
                self.events.push((handle, event));
            }
        }
        panic!("it has always more to tell");
    }

    /// Lets the time pass, and serves each deadline in it.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut standstill = 0;
        while let Some(at) = self.endpoint.next_timeout().filter(|at| *at <= end) {
            standstill = if at > self.now { 0 } else { standstill + 1 };
            assert!(standstill < MAX_STANDSTILL, "a deadline that stays at {at}");
            self.now = self.now.max(at);
            let (heap, endpoint) = (&mut self.heap, &mut self.endpoint);
            heap.count(|| endpoint.on_timeout(self.now));
            self.flush();
        }
        self.now = end;
    }

    /// Nobody says anything any more: all connections end and are forgotten. RFC 9000 §10.1: not before three probe
    /// timeouts, each of which is a round trip and four times its variation, and none of these is longer than the
    /// script was.
    pub fn fade(&mut self) {
        let script = self.now.since(START);
        self.wait(Duration::from_secs(120) + 15 * script);
        assert_eq!((self.endpoint.len(), self.endpoint.half_open()), (0, 0));
        assert!(self.endpoint.is_idle() && self.endpoint.next_timeout().is_none());
    }
}

/// An endpoint whose chance is `seed`, with limits that a script can reach.
pub fn endpoint(server: Option<ServerTls>, seed: u8, retry: bool) -> Endpoint {
    let config = EndpointConfig {
        server,
        transport: Arc::new(config()),
        retry,
        retry_above: 6,
        max_half_open: 12,
        max_half_open_per_network: 8,
        max_connections: 20,
        ..EndpointConfig::default()
    };
    Endpoint::new(config, [seed; 32])
}

/// Limits that a script can reach.
pub fn config() -> Config {
    Config {
        initial_stream_window: 2_000,
        max_stream_window: 4_000,
        initial_connection_window: 6_000,
        max_connection_window: 10_000,
        max_bidi_streams: 5,
        max_uni_streams: 5,
        send_buffer: 4_000,
        datagram_send_bytes: 4_000,
        datagram_receive_bytes: 4_000,
        max_queued_datagrams: 20,
        min_ack_delay: Some(Duration::from_millis(1)),
        ..Config::default()
    }
}

/// Where the client is, or one of its other places.
pub fn client_address(place: u8) -> SocketAddr {
    let (host, port) = (1 + (place & 3), 1000 + u16::from(place >> 2 & 3));
    SocketAddr::from(([10, 0, 0, host], port))
}

/// Where the server is.
pub fn server_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 1, 1], 4433))
}

/// No clock begins at zero.
const START: Time = Time::from_micros(1_000_000);
/// Calls in a row that give something to send.
const MAX_CALLS: u32 = 2_000;
/// Events in a row.
const MAX_EVENTS: u32 = 5_000;
/// Deadlines served in a row without time passing.
const MAX_STANDSTILL: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// The other invariants are those of [`invariants::check`], in the same call.
    #[test]
    #[should_panic(expected = "bytes held")]
    fn an_endpoint_that_holds_too_much_is_noticed_at_the_next_step() {
        let mut subject = Subject::new(|| endpoint(None, 1, false), client_address(0));
        subject.flush();
        let kept = subject.heap.count(|| vec![0_u8; 300_000]);
        subject.flush();
        drop(kept);
    }
}
