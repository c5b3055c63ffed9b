//! Unreliable datagrams under load and loss. RFC 9221.

use std::collections::BTreeMap;
use std::time::Duration;

use integration::{LinkConfig, Pair, Scenario, for_each_seed};
use quic_lite::connection::{Connection, DatagramError, Event};
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::io::Application;
use quic_lite::wire::frame::Frame;
use quic_lite::{Side, Time};

const SECOND: Duration = Duration::from_secs(1);

/// Sends a datagram with its number every `interval`, and notes what comes from the other side.
#[derive(Debug)]
struct Ticker {
    interval: Duration,
    size: usize,
    left: u64,
    next: Option<Time>,
    handle: Option<Handle>,
    sent: BTreeMap<u64, Time>,
    refused: u64,
    /// In the order of their coming.
    received: Vec<(u64, Time)>,
}

impl Ticker {
    fn new(count: u64, size: usize, interval: Duration) -> Self {
        Self {
            interval,
            size,
            left: count,
            next: None,
            handle: None,
            sent: BTreeMap::new(),
            refused: 0,
            received: Vec::new(),
        }
    }

    fn silent() -> Self {
        Self::new(0, 0, SECOND)
    }

    fn receive(&mut self, now: Time, connection: &mut Connection) {
        while let Some(datagram) = connection.receive_datagram() {
            let (number, rest) = datagram.split_first_chunk().expect("too short");
            let number = u64::from_be_bytes(*number);
            assert!(rest.iter().all(|byte| *byte == number as u8), "damaged");
            self.received.push((number, now));
        }
    }

    fn send(&mut self, now: Time, connection: &mut Connection) {
        while self.left > 0 && self.next.is_some_and(|next| next <= now) {
            let number = self.sent.len() as u64 + self.refused;
            let mut datagram = number.to_be_bytes().to_vec();
            datagram.resize(self.size, number as u8);
            match connection.send_datagram(&datagram) {
                Ok(()) => drop(self.sent.insert(number, now)),
                Err(DatagramError::Full) => self.refused += 1,
                Err(error) => panic!("{error}"),
            }
            self.left -= 1;
            self.next = self.next.map(|next| next + self.interval);
        }
    }

    fn numbers(&self) -> Vec<u64> {
        self.received.iter().map(|(number, _)| *number).collect()
    }
}

impl Application for Ticker {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        match event {
            Event::Connected => (self.next, self.handle) = (Some(now), Some(handle)),
            Event::DatagramReceived => {
                if let Some(connection) = endpoint.connection_mut(handle) {
                    self.receive(now, connection);
                }
            }
            _ => {}
        }
    }

    fn on_tick(&mut self, now: Time, endpoint: &mut Endpoint) {
        let is_due = self.next_timeout().is_some_and(|next| next <= now);
        let handle = self.handle.filter(|_| is_due);
        if let Some(connection) = handle.and_then(|handle| endpoint.connection_mut(handle)) {
            self.send(now, connection);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.next.filter(|_| self.left > 0)
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// The longest time on the way from `sender` to `receiver`.
fn longest_way(sender: &Ticker, receiver: &Ticker) -> Duration {
    let way = |(number, at): &(u64, Time)| at.since(sender.sent[number]);
    let longest = receiver.received.iter().map(way).max();
    longest.expect("nothing came")
}

fn run(scenario: Scenario, client: Ticker, server: Ticker) -> Pair<Ticker, Ticker> {
    let mut pair = scenario.start(client, server);
    pair.run(60 * SECOND);
    pair.run_for(SECOND);
    pair
}

#[test]
fn on_a_clean_link_all_arrive_in_order_at_once_both_ways() {
    for_each_seed(3, |seed| {
        let millis = Duration::from_millis(1);
        let pair = run(
            Scenario::new(seed),
            Ticker::new(1000, 100, 2 * millis),
            Ticker::new(500, 900, 5 * millis),
        );
        assert_eq!(pair.server.app.numbers(), (0..1000).collect::<Vec<_>>());
        assert_eq!(pair.client.app.numbers(), (0..500).collect::<Vec<_>>());
        for (from, to) in [
            (&pair.client.app, &pair.server.app),
            (&pair.server.app, &pair.client.app),
        ] {
            let longest = longest_way(from, to);
            assert!(longest < 25 * millis, "{longest:?}");
        }
    });
}

/// RFC 9221 §5: lost ones stay lost, doubled ones are seen once, and none waits for another.
#[test]
fn on_a_bad_link_some_are_missing_none_comes_twice_and_none_is_late() {
    for_each_seed(5, |seed| {
        let link = LinkConfig {
            loss: 3,
            duplication: 10,
            reordering: 20,
            ..LinkConfig::default()
        };
        // 400 kbit/s, as live video does: far below what the link carries.
        let ticker = Ticker::new(1000, 500, Duration::from_millis(10));
        let pair = run(Scenario::over(seed, &link), ticker, Ticker::silent());
        let mut numbers = pair.server.app.numbers();
        let count = numbers.len();
        assert!((950..990).contains(&count), "{count}");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "some came twice");
        // Losses make the window small, so that some wait for acknowledgements; none is ever repeated.
        let longest = longest_way(&pair.client.app, &pair.server.app);
        assert!(longest < Duration::from_millis(300), "{longest:?}");
    });
}

#[test]
fn too_fast_a_sender_is_refused_and_what_was_taken_arrives() {
    let mut scenario = Scenario::new(1);
    scenario.client.max_queued_datagrams = 20;
    // 80 Mbit/s into 10.
    let ticker = Ticker::new(5000, 1000, Duration::from_micros(100));
    let pair = run(scenario, ticker, Ticker::silent());
    let (sent, refused) = (pair.client.app.sent.len(), pair.client.app.refused);
    assert!(refused > 3000, "{refused} refused");
    let lost = sent - pair.server.app.received.len();
    let overflowed = pair.network.to_server.counts().overflowed as usize;
    assert!(lost <= overflowed, "{lost} of {sent} lost");
    let longest = longest_way(&pair.client.app, &pair.server.app);
    assert!(longest < Duration::from_millis(150), "{longest:?}");
}

#[test]
fn sizes_up_to_the_limit_pass_and_others_are_refused_by_name() {
    let mut pair = Scenario::new(1).start(Ticker::silent(), Ticker::silent());
    pair.run_for(SECOND);
    let connection = pair.client.connection_mut().unwrap();
    let max = connection.max_datagram_payload().unwrap();
    assert!(max >= 1350, "{max}");
    let mut largest = 3_u64.to_be_bytes().to_vec();
    largest.resize(max, 3);
    assert_eq!(connection.send_datagram(&largest), Ok(()));
    largest.push(3);
    assert_eq!(
        connection.send_datagram(&largest),
        Err(DatagramError::TooLarge(max))
    );
    pair.run_for(SECOND);
    assert_eq!(pair.server.app.numbers(), [3]);
}

#[test]
fn a_peer_that_takes_none_gets_none() {
    let mut scenario = Scenario::new(1);
    scenario.server.max_datagram_frame_size = 0;
    let mut pair = scenario.start(Ticker::silent(), Ticker::silent());
    pair.run_for(SECOND);
    let connection = pair.client.connection_mut().unwrap();
    assert_eq!(connection.max_datagram_payload(), None);
    assert_eq!(
        connection.send_datagram(&[1; 20]),
        Err(DatagramError::Unsupported)
    );
    pair.run_for(SECOND);
    assert_eq!(
        pair.tap
            .count(Side::Client, |frame| matches!(frame, Frame::Datagram(_))),
        0
    );
}

/// RFC 9221 §5.2: datagrams are acknowledged, so their loss slows the sender down.
#[test]
fn datagrams_obey_congestion_control() {
    let link = LinkConfig {
        bandwidth: Some(1_000_000),
        ..LinkConfig::default()
    };
    let ticker = Ticker::new(2000, 1000, Duration::from_millis(2));
    let pair = run(Scenario::over(1, &link), ticker, Ticker::silent());
    let counts = pair.network.to_server.counts();
    assert!(counts.overflowed * 10 < counts.offered, "{counts:?}");
    assert!(pair.client.app.refused > 0 || pair.client.app.sent.len() == 2000);
}
