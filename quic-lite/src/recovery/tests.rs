//! Behaviour of `Recovery` as a whole, named after the sections of RFC 9002.

mod acknowledgement;
mod bounds;
mod congestion;
mod loss;
mod others;
mod simulation;
mod timeout;

use core::ops::RangeInclusive;

use super::*;
use crate::error::TransportError;
use crate::range_set::RangeSet;
use crate::wire::frame::{Ack, EcnCounts, Frame, frames};
use crate::wire::writer::Writer;

/// A sender with a clock in milliseconds.
struct Sender {
    recovery: Recovery,
    out: Outcome,
    next: [u64; 3],
    now: u64,
    size: u16,
}

const fn at(millis: u64) -> Time {
    Time::from_micros(millis * 1000)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Sender {
    fn new(side: Side) -> Self {
        let config = RecoveryConfig {
            congestion: Congestion::NewReno,
            mtu_discovery: None,
            ecn: false,
            ..RecoveryConfig::default()
        };
        Self::with(side, &config)
    }

    fn with(side: Side, config: &RecoveryConfig) -> Self {
        let recovery = Recovery::new(side, config);
        Self {
            recovery,
            out: Outcome::default(),
            next: [0; 3],
            now: 0,
            size: 1200,
        }
    }

    /// A server whose handshake is confirmed and whose RTT was once measured as 100 ms.
    fn confirmed() -> Self {
        let mut sender = Self::new(Side::Server);
        sender.measure();
        sender
    }

    /// Confirms the handshake and takes one RTT sample of 100 ms, ending at 100 ms.
    fn measure(&mut self) {
        self.recovery.on_handshake_confirmed(at(0));
        self.send(SpaceId::Data);
        self.now = 100;
        self.ack(&[0..=0]);
        assert_eq!(self.recovery.rtt().smoothed(), ms(100));
    }

    fn packet(&self, number: u64) -> SentPacket {
        SentPacket {
            number: PacketNumber::new(number),
            time: at(self.now),
            path: self.recovery.path_generation(),
            size: self.size,
            ack_eliciting: true,
            in_flight: true,
            ecn_marked: self.recovery.marks_ecn(),
            mtu_probe: false,
            by_other: false,
        }
    }

    /// Sends a packet that carries the frame `NewConnectionId(its number)`.
    fn send(&mut self, id: SpaceId) -> u64 {
        let number = self.next[id.index()];
        self.next[id.index()] += 1;
        let packet = self.packet(number);
        self.recovery
            .on_packet_sent(id, packet, &[SentFrame::NewConnectionId(number)]);
        number
    }

    fn send_many(&mut self, packets: u64) {
        for _ in 0..packets {
            self.send(SpaceId::Data);
        }
    }

    /// Sends an ACK frame alone.
    fn send_ack(&mut self) {
        let number = self.next[2];
        self.next[2] += 1;
        let packet = SentPacket {
            ack_eliciting: false,
            in_flight: false,
            ..self.packet(number)
        };
        let frame = SentFrame::Ack {
            largest: PacketNumber::new(7),
        };
        self.recovery
            .on_packet_sent(SpaceId::Data, packet, &[frame]);
    }

    /// An ACK frame arrives that the sender has reason to believe.
    fn ack(&mut self, ranges: &[RangeInclusive<u64>]) {
        self.ack_in(SpaceId::Data, ranges, None).unwrap();
    }

    fn ack_in(
        &mut self,
        id: SpaceId,
        ranges: &[RangeInclusive<u64>],
        ecn: Option<EcnCounts>,
    ) -> Result<(), TransportError> {
        let mut set = RangeSet::new();
        for range in ranges {
            set.insert(*range.start()..*range.end() + 1);
        }
        let mut buffer = [0; 1500];
        let mut writer = Writer::new(&mut buffer);
        Ack::encode_ranges(&set, 0, ecn, &mut writer).unwrap();
        let Some(Ok(Frame::Ack(ack))) = frames(writer.written()).next() else {
            panic!()
        };
        let next = PacketNumber::new(self.next[id.index()]);
        self.recovery
            .on_ack(at(self.now), id, &ack, next, &mut self.out)
    }

    /// Lets the clock run to the next timeout.
    fn timeout(&mut self) -> TimeoutAction {
        let time = self.recovery.next_timeout().expect("a timer runs");
        self.now = self.now.max(time.as_micros().div_ceil(1000));
        self.recovery.on_timeout(at(self.now), &mut self.out)
    }

    /// When the timer fires, in milliseconds.
    fn timer(&self) -> Option<u64> {
        self.recovery
            .next_timeout()
            .map(|time| time.as_micros() / 1000)
    }

    fn acked(&self) -> Vec<u64> {
        numbers(&self.out.acked)
    }

    fn lost(&self) -> Vec<u64> {
        numbers(&self.out.lost)
    }
}

fn numbers(frames: &[SentFrame]) -> Vec<u64> {
    let numbers = frames.iter().filter_map(|frame| match frame {
        SentFrame::NewConnectionId(number) => Some(*number),
        _ => None,
    });
    numbers.collect()
}
