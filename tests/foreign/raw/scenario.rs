//! What most tests do: a relay, a publisher, subscribers of both stacks; all get all, or the test says who does not. No RFC.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::message::Random;
use crate::process::Process;
use crate::relay::{Peers, Relay, SOON, Stack, assert_exact};
use crate::world::{Family, World};

/// Whether the kernel forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It does not.
    Off,
    /// It does.
    On,
    /// It does, by netlink TC filters.
    Netlink,
    /// It does at times, decided by this seed.
    Switched(u64),
}

/// No run takes longer.
pub const LIMIT: Duration = Duration::from_secs(60);

impl Mode {
    /// For `quic-relay serve`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Off => "--raw --fast-path off",
            Self::On | Self::Switched(_) => "--raw --fast-path require --fast-path-slots 16",
            Self::Netlink => "--raw --fast-path require --fast-path-slots 16 --fast-path-hook netlink",
        }
    }

    /// Switched, with a seed of `QR_SEED` or of the clock, which is printed.
    pub fn switched(test: &str) -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        let seed = std::env::var("QR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(clock);
        eprintln!("{test}: QR_SEED={seed}");
        Self::Switched(seed)
    }
}

/// A relay with a publisher that waits and subscribers that are there. Fields are dropped in this order.
#[derive(Debug)]
pub struct Scene {
    /// The publisher.
    pub publisher: Process,
    /// The subscribers.
    pub subscribers: Vec<Process>,
    /// The relay.
    pub relay: Relay,
    /// The network.
    pub world: World,
}

impl Scene {
    /// A network and a relay; `None`, with SKIP, where that cannot be.
    pub fn relay(test: &str, mode: Mode) -> Option<(World, Relay)> {
        let world = World::build(test)?;
        let relay = Relay::start(test, &world, mode.words())?;
        Some((world, relay))
    }

    /// Two subscribers of quinn and one of quiche with `subscriber`, a publisher with `publisher`.
    #[track_caller]
    pub fn usual(test: &str, peers: &Peers, mode: Mode, family: Family, publisher: &str, subscriber: &str) -> Option<Self> {
        let (world, relay) = Self::relay(test, mode)?;
        let mut subscribers: Vec<_> = (0..2).map(|_| peers.subscriber(&world, Stack::Quinn, family, subscriber)).collect();
        subscribers.push(peers.subscriber(&world, Stack::Quiche, family, "credit=50"));
        let publisher = peers.publisher(&world, family, publisher);
        Some(Self { publisher, subscribers, relay, world })
    }

    /// Sends, and asserts that all subscribers got all streams, and the datagrams if `with_datagrams`. What was sent, and how
    /// many packets with media the subscribers got from the kernel and from userspace.
    #[track_caller]
    pub fn play(&mut self, mode: Mode, with_datagrams: bool) -> (Value, (u64, u64)) {
        self.publisher.order("go");
        let sent = match mode {
            Mode::Switched(seed) => self.switching(seed),
            _ => self.publisher.event("sent", LIMIT),
        };
        self.check(&sent, with_datagrams);
        let packets = self.relay.packets();
        eprintln!("packets from the kernel {}, from userspace {}\n{:#}", packets.0, packets.1, self.relay.status());
        for subscriber in &mut self.subscribers {
            subscriber.order("leave");
            // Nothing came a second time since.
            assert_exact(&sent, &subscriber.event("left", SOON), with_datagrams);
        }
        (sent, packets)
    }

    /// Asserts that what the subscribers received is what was sent.
    #[track_caller]
    pub fn check(&mut self, sent: &Value, with_datagrams: bool) {
        for at in 0..self.subscribers.len() {
            let name = self.subscribers[at].name().to_owned();
            let received = self.subscribers[at].try_event_within("received", LIMIT);
            let received = received.unwrap_or_else(|| panic!("{name}: not all of {sent} arrived\n{:#}", self.relay.status()));
            if received["streams"] != sent["streams"] {
                eprintln!("{name} got too little\n{:#}", self.relay.status());
            }
            assert_exact(sent, &received, with_datagrams);
        }
    }

    /// Switches the fast path off and on until all is sent; it is on in the end.
    #[track_caller]
    fn switching(&mut self, seed: u64) -> Value {
        let (mut random, mut is_on, mut switches) = (Random(seed), true, 0);
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            let pause = Duration::from_millis(10 + random.next() % 190);
            if let Some(sent) = self.publisher.try_event_within("sent", pause) {
                self.relay.switch(true);
                eprintln!("switched {switches} times");
                assert!(switches > 3, "too few: the run was too short");
                return sent;
            }
            is_on = !is_on;
            switches += 1;
            self.relay.switch(is_on);
        }
        panic!("the publisher did not finish; switched {switches} times\n{:#}", self.relay.status());
    }
}

/// Asserts that most packets came from the kernel: at least this share.
#[track_caller]
pub fn assert_by_kernel((kernel, userspace): (u64, u64), share: f64) {
    let all = kernel + userspace;
    assert!(kernel as f64 >= share * all as f64, "the kernel sent {kernel} of {all} packets, not {share}");
}
