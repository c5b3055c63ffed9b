//! Loss recovery (RFC 9002) through any schedule of packets, acknowledgements and timeouts, against a list of
//! the packets whose fate is open.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quic_lite::limits::{HELD_ACK_RANGES, SKIPPED_NUMBERS, UNACKED_ACKS};
use quic_lite::range_set::RangeSet;
use quic_lite::recovery::congestion::Congestion;
use quic_lite::recovery::{
    Outcome, Recovery, RecoveryConfig, SentFrame, SentPacket, SpaceId, TimeoutAction,
};
use quic_lite::wire::frame::{Ack, EcnCounts, Frame};
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::Writer;
use quic_lite::{Side, Time};

use crate::bytes::Script;

/// One packet number space of the model.
#[derive(Default)]
struct Numbers {
    next: u64,
    /// As many as are remembered.
    skipped: VecDeque<u64>,
    /// Not acknowledged, not lost.
    open: BTreeMap<u64, SentPacket>,
    /// Declared lost; may arrive after all.
    lost: BTreeMap<u64, SentPacket>,
}

struct Schedule {
    recovery: Recovery,
    now: Time,
    spaces: [Numbers; 3],
    discarded: [bool; 3],
    out: Outcome,
    /// Timeouts in a row after which another was due at once.
    standstill: usize,
}

/// What is in flight is what was sent and is neither acknowledged nor lost; each packet is acknowledged once;
/// who acknowledges what was not sent is found out, and that changes nothing; a timer that runs out does something.
pub fn recovery(data: &[u8]) {
    let mut script = Script::new(data);
    let flags = script.byte();
    let side = if flags & 1 == 0 {
        Side::Client
    } else {
        Side::Server
    };
    let config = RecoveryConfig {
        congestion: if flags & 2 == 0 {
            Congestion::Cubic
        } else {
            Congestion::NewReno
        },
        mtu_discovery: (flags & 4 == 0).then_some(1452),
        ..RecoveryConfig::default()
    };
    let mut schedule = Schedule {
        recovery: Recovery::new(side, &config),
        now: Time::from_micros(1_000_000),
        spaces: Default::default(),
        discarded: [false; 3],
        out: Outcome::default(),
        standstill: 0,
    };
    let mut steps = 0;
    while let Some(step) = script.step().filter(|_| steps < MAX_STEPS) {
        steps += 1;
        schedule.step(step, &mut script);
        schedule.check();
    }
    schedule.end();
}

impl Schedule {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let id = SpaceId::ALL[usize::from(step >> 4) % 3];
        match step & 15 {
            0..=4 => self.send(id, script),
            5..=7 => self.acknowledge(id, script),
            8 => self.now = self.now + Duration::from_micros(script.integer() % 10_000_000),
            9 | 10 => self.time_out(),
            11 => self.skip(script),
            12 => {
                let parameters = (script.short(), script.byte() % 21, script.short());
                let delay = Duration::from_millis(u64::from(parameters.0) % (1 << 14));
                self.recovery.set_peer_parameters(
                    delay,
                    parameters.1,
                    u64::from(parameters.2).max(1200),
                );
            }
            13 => match script.byte() % 4 {
                0 => self.recovery.on_handshake_keys(),
                1 => self.recovery.on_handshake_confirmed(self.now),
                2 => self.recovery.set_amplification_limited(true),
                _ => self.recovery.set_amplification_limited(false),
            },
            14 if id != SpaceId::Data => {
                self.recovery.discard(self.now, id);
                self.spaces[id.index()].open.clear();
                self.spaces[id.index()].lost.clear();
                self.discarded[id.index()] = true;
            }
            14 => self.recovery.on_path_changed(self.now),
            _ => {
                let size = self.recovery.max_datagram_size();
                self.recovery.send_at(self.now, size);
                if let Some(size) = self.recovery.mtu_probe(self.now) {
                    self.enter(SpaceId::Data, size, (true, true));
                }
            }
        }
    }

    fn send(&mut self, id: SpaceId, script: &mut Script<'_>) {
        let (kind, size) = (script.byte(), script.short() % 1400 + 30);
        if !self.discarded[id.index()] {
            self.enter(id, size, (kind & 3 != 0, false));
        }
    }

    fn enter(&mut self, id: SpaceId, size: u16, (ack_eliciting, mtu_probe): (bool, bool)) {
        let numbers = &mut self.spaces[id.index()];
        let number = PacketNumber::new(numbers.next);
        let packet = SentPacket {
            number,
            time: self.now,
            path: self.recovery.path_generation(),
            size,
            ack_eliciting,
            in_flight: ack_eliciting,
            ecn_marked: self.recovery.marks_ecn(),
            mtu_probe,
            by_other: false,
        };
        // Of those that nobody need acknowledge only so many are remembered.
        let light = numbers.open.values().filter(|it| !it.ack_eliciting);
        if light.count() > UNACKED_ACKS as usize {
            numbers.open.retain(|_, it| it.ack_eliciting);
        }
        numbers.next += 1;
        numbers.open.insert(number.value(), packet);
        let frames = [SentFrame::NewConnectionId(number.value())];
        self.recovery.on_packet_sent(id, packet, &frames);
    }

    fn skip(&mut self, script: &mut Script<'_>) {
        let numbers = &mut self.spaces[SpaceId::Data.index()];
        let next = PacketNumber::new(numbers.next);
        let at = self.recovery.skip_at(next, script.integer());
        assert_eq!(self.recovery.skip_at(next, 0), at, "chosen once");
        // Sooner is as good; later is against the rules.
        if script.byte() & 1 == 0 || at <= next {
            self.recovery.on_skipped(SpaceId::Data, next);
            if numbers.skipped.len() == SKIPPED_NUMBERS {
                numbers.skipped.pop_front();
            }
            numbers.skipped.push_back(numbers.next);
            numbers.next += 1;
        }
    }

    /// An ACK frame with ranges counted down from the newest number, or from beyond it.
    fn acknowledge(&mut self, id: SpaceId, script: &mut Script<'_>) {
        if self.discarded[id.index()] {
            return;
        }
        let numbers = &self.spaces[id.index()];
        let (shape, delay) = (script.byte(), script.integer());
        let mut ranges = RangeSet::new();
        let mut end = numbers.next.saturating_sub(u64::from(script.byte()));
        if shape & 0x80 != 0 {
            end = end.saturating_add(script.integer()).min(1 << 62);
        }
        for _ in 0..=shape & 7 {
            let len = u64::from(script.byte() % 32) + 1;
            let start = end.saturating_sub(len);
            ranges.insert(start..end);
            end = start.saturating_sub(u64::from(script.byte() % 16) + 1);
        }
        let ecn = (shape & 0x40 != 0).then(|| EcnCounts {
            ect0: script.integer(),
            ect1: script.integer(),
            ecn_ce: script.integer(),
        });
        let mut buffer = [0; 200];
        let mut out = Writer::new(&mut buffer);
        if ranges.is_empty() || Ack::encode_ranges(&ranges, delay, ecn, &mut out).is_err() {
            return;
        }
        self.on_ack(id, &parsed(out.written()), &ranges);
    }

    fn on_ack(&mut self, id: SpaceId, ack: &Ack<'_>, ranges: &RangeSet) {
        let numbers = &self.spaces[id.index()];
        let unsent = ranges.last().is_some_and(|last| last.end > numbers.next);
        let skipped = numbers
            .skipped
            .iter()
            .any(|&skipped| ranges.overlaps(&(skipped..skipped + 1)));
        let next = PacketNumber::new(numbers.next);
        let before = (
            self.recovery.bytes_in_flight(),
            self.recovery.congestion_window(),
        );
        let taken = self.recovery.on_ack(self.now, id, ack, next, &mut self.out);
        assert_eq!(taken.is_err(), unsent || skipped, "{ack}");
        if taken.is_err() {
            let after = (
                self.recovery.bytes_in_flight(),
                self.recovery.congestion_window(),
            );
            return assert_eq!(before, after);
        }
        self.note_acked(id);
        let numbers = &self.spaces[id.index()];
        for range in ranges.iter() {
            assert_eq!(
                numbers.open.range(range).next(),
                None,
                "acknowledged and still open"
            );
        }
        self.note_lost(id);
    }

    fn note_acked(&mut self, id: SpaceId) {
        let numbers = &mut self.spaces[id.index()];
        for frame in &self.out.acked {
            let SentFrame::NewConnectionId(number) = frame else {
                panic!("never sent: {frame:?}")
            };
            let open = numbers.open.remove(number).is_some();
            assert!(
                open || numbers.lost.remove(number).is_some(),
                "{number} acknowledged twice"
            );
        }
    }

    fn note_lost(&mut self, id: SpaceId) {
        let numbers = &mut self.spaces[id.index()];
        for frame in &self.out.lost {
            let SentFrame::NewConnectionId(number) = frame else {
                panic!("never sent: {frame:?}")
            };
            let packet = numbers.open.remove(number);
            numbers.lost.insert(
                *number,
                packet.expect("lost once, and not after it arrived"),
            );
        }
    }

    fn time_out(&mut self) {
        let Some(at) = self.recovery.next_timeout() else {
            return;
        };
        self.now = self.now.max(at);
        match self.recovery.on_timeout(self.now, &mut self.out) {
            TimeoutAction::None => panic!("a timer ran out for nothing"),
            TimeoutAction::Lost(id) => {
                // On a new path round trips are taken to be longer: then it runs once more, in each space.
                let again = self.recovery.next_timeout();
                let is_later = again.is_none_or(|again| again > self.now);
                let moves = self.out.lost_packets > 0 || is_later;
                self.standstill = if moves { 0 } else { self.standstill + 1 };
                assert!(self.standstill < SpaceId::ALL.len(), "a timer that stays");
                self.note_lost(id);
            }
            TimeoutAction::Probe(id) => {
                assert!(self.recovery.probe_pending(id) && self.out.lost.is_empty());
                let mut frames = Vec::new();
                self.recovery.probe_frames(id, &mut frames);
                let open = &self.spaces[id.index()].open;
                for frame in frames {
                    assert!(
                        matches!(frame, SentFrame::NewConnectionId(number) if open.contains_key(&number))
                    );
                }
            }
        }
    }

    fn check(&self) {
        let path = self.recovery.path_generation();
        let open = self.spaces.iter().flat_map(|numbers| numbers.open.values());
        let flying = open.filter(|packet| packet.in_flight && packet.path == path);
        let bytes: u64 = flying.map(|packet| u64::from(packet.size)).sum();
        assert_eq!(self.recovery.bytes_in_flight(), bytes);
        assert!((1200..=1452).contains(&self.recovery.max_datagram_size()));
        // RFC 9002 §7.2: never below two datagrams.
        assert!(self.recovery.congestion_window() >= 2 * 1200);
        assert!(self.recovery.unacked_acks() <= UNACKED_ACKS + 1);
        assert!(self.recovery.held_ranges() <= HELD_ACK_RANGES);
        for id in SpaceId::ALL {
            assert!(self.recovery.skipped_numbers(id) <= SKIPPED_NUMBERS);
            let open = &self.spaces[id.index()].open;
            let eliciting = open
                .values()
                .any(|packet| packet.ack_eliciting && packet.path == path);
            assert!(!eliciting || self.recovery.has_ack_eliciting_in_flight(id));
        }
    }

    /// Everything is acknowledged: nothing is left to wait for.
    fn end(&mut self) {
        for id in SpaceId::ALL {
            let open: Vec<u64> = self.spaces[id.index()].open.keys().copied().collect();
            open.into_iter().for_each(|number| self.arrive(id, number));
        }
        self.check();
        assert_eq!(self.recovery.bytes_in_flight(), 0);
    }

    /// One packet is acknowledged, if it is not lost by now.
    fn arrive(&mut self, id: SpaceId, number: u64) {
        if !self.spaces[id.index()].open.contains_key(&number) {
            return;
        }
        let mut ranges = RangeSet::new();
        ranges.insert(number..number + 1);
        let mut buffer = [0; 60];
        let mut out = Writer::new(&mut buffer);
        Ack::encode_ranges(&ranges, 0, None, &mut out).unwrap();
        self.on_ack(id, &parsed(out.written()), &ranges);
    }
}

fn parsed(frame: &[u8]) -> Ack<'_> {
    match Frame::parse(frame) {
        Ok((_, Frame::Ack(ack))) => ack,
        other => panic!("an ACK frame of ours is {other:?}"),
    }
}

/// Steps of one schedule.
const MAX_STEPS: u32 = 2000;
