//! RFC 9002 over a bottleneck: one sender, one receiving `Space`, a link with rate, delay, queue and
//! seeded loss. Shows that the parts agree, which no test of a part can.

use std::collections::VecDeque;

use super::*;
use crate::space::Space;

/// A link in one direction for the data, the other way without limit.
struct Link {
    /// Bytes per millisecond.
    rate: u64,
    /// One way, in microseconds.
    delay: u64,
    /// Bytes that wait at most; more are dropped.
    queue: u64,
    /// One of so many packets is lost at random; none for zero.
    loss: u64,
}

struct Simulation {
    recovery: Recovery,
    space: Space,
    link: Link,
    out: Outcome,
    now: u64,
    next: u64,
    seed: u64,
    /// When the link has sent what it accepted.
    link_free: u64,
    /// Packets and ACK frames under way, in order of arrival.
    data: VecDeque<(u64, u64)>,
    acks: VecDeque<(u64, RangeSet, u64)>,
    /// Frames to send: new ones are counted, lost ones are listed.
    new_frames: u64,
    sent: u64,
    again: Vec<u64>,
    delivered: RangeSet,
    confirmed: RangeSet,
    drops: u64,
}

impl Simulation {
    fn new(congestion: Congestion, link: Link) -> Self {
        let config = RecoveryConfig {
            congestion,
            ecn: false,
            mtu_discovery: None,
            ..RecoveryConfig::default()
        };
        let mut recovery = Recovery::new(Side::Server, &config);
        recovery.on_handshake_confirmed(Time::ZERO);
        Self {
            recovery,
            space: Space::new(SpaceId::Data, ms(25)),
            link,
            out: Outcome::default(),
            now: 0,
            next: 0,
            seed: 1,
            link_free: 0,
            data: VecDeque::new(),
            acks: VecDeque::new(),
            new_frames: 0,
            sent: 0,
            again: Vec::new(),
            delivered: RangeSet::new(),
            confirmed: RangeSet::new(),
            drops: 0,
        }
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    fn random(&mut self) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.seed >> 33
    }

    /// Runs until `end` microseconds; `frames` is how many the application has offered by a given time.
    fn run(&mut self, end: u64, frames: impl Fn(u64) -> u64) {
        for _ in 0..10_000_000 {
            self.new_frames = frames(self.now) - self.sent;
            let before = self.new_frames;
            let wake = self.transmit();
            self.sent += before - self.new_frames;
            self.send_ack();
            let next = [
                self.data.front().map(|(at, _)| *at),
                self.acks.front().map(|(at, ..)| *at),
                self.recovery.next_timeout().map(Time::as_micros),
                self.space.ack_deadline().map(Time::as_micros),
                wake.map(Time::as_micros),
                Some(self.now + 1_000),
            ];
            self.now = next
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(end)
                .max(self.now);
            if self.now >= end {
                return;
            }
            self.arrive();
            match self.recovery.on_timeout(self.time(), &mut self.out) {
                TimeoutAction::None => {}
                TimeoutAction::Lost(_) => self.again.extend(numbers(&self.out.lost)),
                TimeoutAction::Probe(id) => {
                    let mut frames = Vec::new();
                    self.recovery.probe_frames(id, &mut frames);
                    self.again.extend(numbers(&frames));
                }
            }
        }
        panic!("the simulation does not end");
    }

    /// Sends what window and pacer allow; when the pacer wants to be asked again.
    fn transmit(&mut self) -> Option<Time> {
        loop {
            let probe = self.recovery.probe_pending(SpaceId::Data);
            let nothing = self.new_frames == 0 && self.again.is_empty();
            if !probe && (nothing || self.recovery.window_left() < 1200) {
                return None;
            }
            let at = self.recovery.send_at(self.time(), 1200);
            if !probe && at.is_some() {
                return at;
            }
            let frame = self.again.pop().unwrap_or_else(|| {
                self.new_frames = self.new_frames.saturating_sub(1);
                self.next
            });
            self.send(frame);
        }
    }

    fn send(&mut self, frame: u64) {
        let number = self.next;
        self.next += 1;
        let packet = SentPacket {
            number: PacketNumber::new(number),
            time: self.time(),
            path: 0,
            size: 1200,
            ack_eliciting: true,
            in_flight: true,
            ecn_marked: false,
            mtu_probe: false,
            by_other: false,
        };
        self.recovery
            .on_packet_sent(SpaceId::Data, packet, &[SentFrame::NewConnectionId(frame)]);
        self.link_free = self.link_free.max(self.now);
        let waiting = (self.link_free - self.now) * self.link.rate / 1000;
        let unlucky = self.link.loss > 0 && self.random().is_multiple_of(self.link.loss);
        if waiting > self.link.queue || unlucky {
            self.drops += 1;
            return;
        }
        self.link_free += 1_200_000 / self.link.rate;
        self.data
            .push_back((self.link_free + self.link.delay, number));
    }

    fn arrive(&mut self) {
        while let Some((_, number)) = self.data.pop_front_if(|(at, _)| *at <= self.now) {
            self.space
                .on_packet_received(self.time(), PacketNumber::new(number), true, None);
            self.delivered.insert(number..number + 1);
        }
        while let Some((_, ranges, delay)) = self.acks.pop_front_if(|(at, ..)| *at <= self.now) {
            self.on_ack(&ranges, delay);
        }
    }

    fn send_ack(&mut self) {
        let now = self.time();
        if self.space.ack_due(now) {
            let delay = u64::try_from(self.space.ack_delay(now).as_micros()).unwrap() / 8;
            let newest = self.space.ack_ranges().clone();
            self.acks
                .push_back((self.now + self.link.delay, newest, delay));
            self.space.on_packet_sent(true, false);
            // The peer's ACK of ours is not simulated: what is old is known.
            let old = self.next.saturating_sub(5_000);
            self.space.on_ack_acked(PacketNumber::new(old));
        }
    }

    fn on_ack(&mut self, ranges: &RangeSet, delay: u64) {
        let mut buffer = [0; 1500];
        let mut writer = Writer::new(&mut buffer);
        Ack::encode_ranges(ranges, delay, None, &mut writer).unwrap();
        let Some(Ok(Frame::Ack(ack))) = frames(writer.written()).next() else {
            panic!()
        };
        let (now, next) = (self.time(), PacketNumber::new(self.next));
        self.recovery
            .on_ack(now, SpaceId::Data, &ack, next, &mut self.out)
            .unwrap();
        for frame in numbers(&self.out.acked) {
            self.confirmed.insert(frame..frame + 1);
        }
        self.again.extend(numbers(&self.out.lost));
    }

    /// Share of the link's capacity that was used by packets that arrived, in percent.
    fn utilisation(&self) -> u64 {
        self.delivered.total() * 1_200_000 * 100 / (self.link.rate * self.now)
    }
}

/// 10 Mbit/s, 40 ms round trip, a queue of one round trip.
const BROADBAND: Link = Link {
    rate: 1250,
    delay: 20_000,
    queue: 50_000,
    loss: 0,
};

#[test]
fn a_bulk_transfer_fills_the_link() {
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        let mut simulation = Simulation::new(congestion, BROADBAND);
        simulation.run(20_000_000, |_| u64::MAX / 2);
        assert!(
            simulation.utilisation() > 93,
            "{congestion:?} {}",
            simulation.utilisation()
        );
        let loss = simulation.drops * 100 / simulation.next;
        assert!(loss <= 2, "{congestion:?} loses {loss} %");
        // The window is about what the link and its queue hold.
        let window = simulation.recovery.congestion_window();
        assert!(
            (40_000..150_000).contains(&window),
            "{congestion:?} {window}"
        );
    }
}

#[test]
fn random_loss_is_repaired_and_every_frame_confirmed() {
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        let mut simulation = Simulation::new(
            congestion,
            Link {
                loss: 20,
                ..BROADBAND
            },
        );
        simulation.run(60_000_000, |_| 1_000);
        assert_eq!(simulation.recovery.bytes_in_flight(), 0);
        assert_eq!(simulation.recovery.next_timeout(), None);
        // Frames are named after the first packet that carried them; each of the thousand arrived.
        assert_eq!(simulation.confirmed.total(), 1_000, "{congestion:?}");
    }
}

/// A relay's traffic: bursts of eight packets thirty times a second, far below the link's rate.
#[test]
fn media_below_the_window_is_neither_delayed_nor_does_it_inflate_the_window() {
    let mut simulation = Simulation::new(Congestion::Cubic, BROADBAND);
    let offered = |now| 8 * (now / 33_333 + 1);
    simulation.run(5_000_000, offered);
    // At most two bursts are in flight, slow start wants twice that, and the last flight still counts.
    let window = simulation.recovery.congestion_window();
    assert!(window <= 6 * 8 * 1200, "{window}");
    simulation.run(10_000_000, offered);
    assert_eq!(
        simulation.recovery.congestion_window(),
        window,
        "it has settled"
    );
    assert_eq!(simulation.drops, 0);
    assert_eq!(
        simulation.next,
        offered(9_990_000),
        "nothing waits for window or pacer"
    );
}

/// An outage of two seconds: persistent congestion, then the transfer goes on.
#[test]
fn a_transfer_survives_an_outage() {
    let mut simulation = Simulation::new(Congestion::Cubic, BROADBAND);
    simulation.run(5_000_000, |_| u64::MAX / 2);
    simulation.link.loss = 1;
    simulation.run(7_000_000, |_| u64::MAX / 2);
    simulation.link.loss = 0;
    let before = simulation.delivered.total();
    simulation.run(15_000_000, |_| u64::MAX / 2);
    let after = simulation.delivered.total() - before;
    assert!(after > 6_500, "{after} packets in eight seconds of 8300");
}
