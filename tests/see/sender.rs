//! The sending half of a connection, with a clock in milliseconds: packets and fates, no bytes. RFC 9002 A.

use std::ops::RangeInclusive;

use quic_lite::range_set::RangeSet;
use quic_lite::recovery::{Congestion, Outcome, Recovery, RecoveryConfig};
use quic_lite::recovery::{SentFrame, SentPacket, SpaceId, TimeoutAction};
use quic_lite::wire::frame::{Ack, Frame, frames};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::Writer;
use quic_lite::{Side, Time};

/// Sends packets of 1200 bytes, each with one frame that is named like the packet.
pub struct Sender {
    pub recovery: Recovery,
    pub now: u64,
    pub next: u64,
    out: Outcome,
}

impl Sender {
    /// After the handshake, with a round-trip time of 100 ms, at 0 ms.
    pub fn new() -> Self {
        let config = RecoveryConfig {
            congestion: Congestion::NewReno,
            mtu_discovery: None,
            ecn: false,
            ..RecoveryConfig::default()
        };
        Self {
            recovery: Recovery::new(Side::Client, &config),
            now: 0,
            next: 0,
            out: Outcome::default(),
        }
    }

    /// Confirms the handshake and measures the round trip with one packet.
    pub fn measure(&mut self) {
        self.recovery.on_handshake_confirmed(at(self.now));
        self.send(1);
        self.now += 100;
        self.ack(&[0..=0]);
    }

    pub fn send(&mut self, packets: u64) -> RangeInclusive<u64> {
        let first = self.next;
        for number in first..first + packets {
            let packet = SentPacket {
                number: PacketNumber::new(number),
                time: at(self.now),
                path: self.recovery.path_generation(),
                size: 1200,
                ack_eliciting: true,
                in_flight: true,
                ecn_marked: false,
                mtu_probe: false,
                by_other: false,
            };
            let frame = SentFrame::NewConnectionId(number);
            self.recovery
                .on_packet_sent(SpaceId::Data, packet, &[frame]);
        }
        self.next += packets;
        first..=self.next - 1
    }

    /// An ACK frame arrives. Returns which packets are lost because of it.
    pub fn ack(&mut self, ranges: &[RangeInclusive<u64>]) -> Vec<u64> {
        let mut received = RangeSet::new();
        for range in ranges {
            received.insert(*range.start()..range.end() + 1);
        }
        let mut buffer = [0; 200];
        let mut frame = Writer::new(&mut buffer);
        Ack::encode_ranges(&received, 0, None, &mut frame).expect("200 bytes are enough");
        let Some(Ok(Frame::Ack(ack))) = frames(frame.written()).next() else {
            unreachable!("an ACK frame was written");
        };
        let next = PacketNumber::new(self.next);
        self.recovery
            .on_ack(at(self.now), SpaceId::Data, &ack, next, &mut self.out)
            .expect("only packets that were sent are acknowledged");
        self.lost()
    }

    /// When the timer fires, in milliseconds.
    pub fn timer(&self) -> Option<u64> {
        let time = self.recovery.next_timeout()?;
        Some(time.as_micros().div_ceil(1000))
    }

    /// Lets the time pass until the timer fires. Returns what it asks for, and what is lost.
    pub fn timeout(&mut self) -> (TimeoutAction, Vec<u64>) {
        self.now = self.timer().expect("a timer runs");
        let action = self.recovery.on_timeout(at(self.now), &mut self.out);
        (action, self.lost())
    }

    fn lost(&self) -> Vec<u64> {
        let numbers = self.out.lost.iter().filter_map(|frame| match frame {
            SentFrame::NewConnectionId(number) => Some(*number),
            _ => None,
        });
        numbers.collect()
    }
}

/// So many milliseconds after the beginning.
pub const fn at(millis: u64) -> Time {
    Time::from_micros(millis * 1000)
}
