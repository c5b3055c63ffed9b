//! One direction of a path. No RFC.
//!
//! A datagram waits in a queue for the bandwidth, may be lost, damaged or doubled, and arrives after the
//! delay. The order of these steps is that of a router with a faulty cable behind it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use quic_lite::Time;
use quic_lite::connection::Ecn;
use quic_lite::rng::Rng;

/// What a link does. Percentages are of datagrams.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// From the end of sending to arrival.
    pub delay: Duration,
    /// Bits per second; `None`: no limit, and no queue.
    pub bandwidth: Option<u64>,
    /// Datagrams that may wait for the bandwidth; more are dropped.
    pub queue: usize,
    /// The largest UDP payload that fits; larger ones are dropped.
    pub max_udp_payload: usize,
    /// Losses begin with this probability.
    pub loss: u64,
    /// Each loss takes everything that follows within this time.
    pub burst: Duration,
    /// After so many losses in a row, one datagram gets through.
    pub max_losses_in_row: u32,
    /// One byte is changed.
    pub corruption: u64,
    /// Arrives twice.
    pub duplication: u64,
    /// Is held back for up to `reordering_delay`, so that others overtake it.
    pub reordering: u64,
    /// How long a datagram may be held back.
    pub reordering_delay: Duration,
    /// Ordinals, from 1, of datagrams that are dropped.
    pub drop_list: BTreeSet<u64>,
    /// The link works and fails in turns.
    pub outages: Option<Outages>,
    /// Marks ECT datagrams CE (RFC 3168) when so many wait; `None`: never.
    pub mark_above: Option<usize>,
    /// Clears ECN bits, as some routers do.
    pub clears_ecn: bool,
}

/// The link works for `on`, then fails for `off`, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Outages {
    /// How long it works.
    pub on: Duration,
    /// How long it does not.
    pub off: Duration,
}

impl Default for LinkConfig {
    /// The link of quic-interop-runner: 15 ms, 10 Mbit/s, 25 datagrams, nothing else.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(15),
            bandwidth: Some(10_000_000),
            queue: 25,
            max_udp_payload: 1472,
            loss: 0,
            burst: Duration::ZERO,
            max_losses_in_row: u32::MAX,
            corruption: 0,
            duplication: 0,
            reordering: 0,
            reordering_delay: Duration::from_millis(10),
            drop_list: BTreeSet::new(),
            outages: None,
            mark_above: None,
            clears_ecn: false,
        }
    }
}

/// A datagram somewhere between two endpoints.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The UDP payload.
    pub bytes: Vec<u8>,
    /// The mark in the IP header.
    pub ecn: Option<Ecn>,
}

/// What a link did with a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Datagrams that were sent into it.
    pub offered: u64,
    /// Datagrams that came out, copies included.
    pub delivered: u64,
    /// Datagrams dropped by a full queue.
    pub overflowed: u64,
    /// Datagrams dropped otherwise.
    pub lost: u64,
    /// Datagrams damaged.
    pub corrupted: u64,
    /// Datagrams marked CE.
    pub marked: u64,
}

/// A link and where it stands.
#[derive(Debug)]
pub struct Link {
    /// Its settings, which may change during a run.
    pub config: LinkConfig,
    /// Dead until switched on again.
    pub blackhole: bool,
    counts: LinkCounts,
    rng: Rng,
    /// When the datagrams in the queue will have been sent.
    departures: VecDeque<Time>,
    burst_end: Time,
    losses_in_row: u32,
}

impl Link {
    /// An empty link.
    pub fn new(config: LinkConfig, rng: Rng) -> Self {
        Self {
            config,
            blackhole: false,
            counts: LinkCounts::default(),
            rng,
            departures: VecDeque::new(),
            burst_end: Time::ZERO,
            losses_in_row: 0,
        }
    }

    /// What happened so far.
    pub const fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// Sends a datagram in; `out` is called with each that comes out, and when.
    pub fn carry(
        &mut self,
        now: Time,
        mut datagram: Datagram,
        mut out: impl FnMut(Time, Datagram),
    ) {
        self.counts.offered += 1;
        if datagram.bytes.len() > self.config.max_udp_payload {
            self.counts.lost += 1;
            return;
        }
        let Some(departure) = self.enqueue(now, &mut datagram) else {
            self.counts.overflowed += 1;
            return;
        };
        if self.is_lost(now) {
            self.counts.lost += 1;
            return;
        }
        if self.config.clears_ecn {
            datagram.ecn = None;
        }
        if self.happens(self.config.corruption) {
            self.damage(&mut datagram);
        }
        let copies = 1 + u64::from(self.happens(self.config.duplication));
        for _ in 0..copies {
            self.counts.delivered += 1;
            out(departure + self.travel(), datagram.clone());
        }
    }

    /// When the datagram's last bit has left, or `None` when the queue is full.
    fn enqueue(&mut self, now: Time, datagram: &mut Datagram) -> Option<Time> {
        let Some(bandwidth) = self.config.bandwidth else {
            return Some(now);
        };
        while self.departures.front().is_some_and(|sent| *sent <= now) {
            self.departures.pop_front();
        }
        let waiting = self.departures.len();
        if waiting >= self.config.queue {
            return None;
        }
        if datagram.ecn.is_some() && self.config.mark_above.is_some_and(|limit| waiting >= limit) {
            datagram.ecn = Some(Ecn::Ce);
            self.counts.marked += 1;
        }
        let bits = 8 * (datagram.bytes.len() + IP_UDP_HEADERS) as u64;
        let start = self.departures.back().copied().unwrap_or(now);
        let departure = start + Duration::from_micros((bits * 1_000_000).div_ceil(bandwidth));
        self.departures.push_back(departure);
        Some(departure)
    }

    fn is_lost(&mut self, now: Time) -> bool {
        let listed = self.config.drop_list.contains(&self.counts.offered);
        let down = self
            .config
            .outages
            .is_some_and(|outages| outages.is_off(now));
        listed || down || self.blackhole || self.is_lost_by_chance(now)
    }

    fn is_lost_by_chance(&mut self, now: Time) -> bool {
        let enough = self.losses_in_row >= self.config.max_losses_in_row;
        let begins = !enough && now >= self.burst_end && self.happens(self.config.loss);
        if begins {
            self.burst_end = now + self.config.burst;
        }
        let lost = begins || (!enough && now < self.burst_end);
        self.losses_in_row = if lost { self.losses_in_row + 1 } else { 0 };
        lost
    }

    fn damage(&mut self, datagram: &mut Datagram) {
        let at = self.rng.below(datagram.bytes.len() as u64) as usize;
        let bit = 1 << self.rng.below(8);
        if let Some(byte) = datagram.bytes.get_mut(at) {
            *byte ^= bit;
        }
        self.counts.corrupted += 1;
    }

    fn travel(&mut self) -> Duration {
        if !self.happens(self.config.reordering) {
            return self.config.delay;
        }
        let held = self.config.reordering_delay.as_micros() as u64;
        self.config.delay + Duration::from_micros(self.rng.below(held + 1))
    }

    fn happens(&mut self, percent: u64) -> bool {
        percent > 0 && self.rng.below(100) < percent
    }
}

impl Outages {
    /// Whether the link fails at this time.
    pub fn is_off(self, now: Time) -> bool {
        let period = (self.on + self.off).as_micros() as u64;
        now.as_micros() % period >= self.on.as_micros() as u64
    }
}

/// What the bandwidth is spent on besides the UDP payload.
const IP_UDP_HEADERS: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn link(config: LinkConfig) -> Link {
        Link::new(config, Rng::from_number(1))
    }

    fn datagram(len: usize) -> Datagram {
        Datagram {
            bytes: vec![7; len],
            ecn: Some(Ecn::Ect0),
        }
    }

    fn arrivals(link: &mut Link, count: usize) -> Vec<(u64, Datagram)> {
        let mut arrivals = Vec::new();
        for _ in 0..count {
            link.carry(Time::ZERO, datagram(972), |at, datagram| {
                arrivals.push((at.as_micros(), datagram));
            });
        }
        arrivals
    }

    #[test]
    fn bandwidth_spaces_datagrams_and_a_full_queue_drops() {
        let mut link = link(LinkConfig {
            bandwidth: Some(8_000_000), // 1000 bytes per millisecond
            queue: 3,
            ..LinkConfig::default()
        });
        let times: Vec<u64> = arrivals(&mut link, 5).iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [16_000, 17_000, 18_000]);
        assert_eq!(link.counts().overflowed, 2);
    }

    #[test]
    fn loss_is_as_frequent_as_asked_for_and_bounded_in_a_row() {
        let mut link = link(LinkConfig {
            bandwidth: None,
            loss: 30,
            max_losses_in_row: 3,
            ..LinkConfig::default()
        });
        let mut longest = 0;
        let mut row = 0;
        for _ in 0..10_000 {
            row = if arrivals(&mut link, 1).is_empty() {
                row + 1
            } else {
                0
            };
            longest = longest.max(row);
        }
        assert_eq!(longest, 3);
        assert!((2_500..3_200).contains(&link.counts().lost));
    }

    #[test]
    fn listed_datagrams_and_outages_are_dropped() {
        let mut link = link(LinkConfig {
            drop_list: [2, 3].into(),
            outages: Some(Outages {
                on: Duration::from_secs(5),
                off: Duration::from_secs(2),
            }),
            ..LinkConfig::default()
        });
        assert_eq!(arrivals(&mut link, 4).len(), 2);
        let outages = link.config.outages.unwrap();
        let off = |micros| outages.is_off(Time::from_micros(micros));
        assert_eq!(
            [
                off(4_999_999),
                off(5_000_000),
                off(6_999_999),
                off(7_000_000)
            ],
            [false, true, true, false]
        );
    }

    #[test]
    fn corruption_changes_one_bit_and_duplication_doubles() {
        let mut link = link(LinkConfig {
            corruption: 100,
            duplication: 100,
            ..LinkConfig::default()
        });
        let arrivals = arrivals(&mut link, 1);
        assert_eq!(arrivals.len(), 2);
        for (_, datagram) in arrivals {
            let flipped: u32 = datagram
                .bytes
                .iter()
                .map(|byte| (byte ^ 7).count_ones())
                .sum();
            assert_eq!(flipped, 1);
        }
    }

    #[test]
    fn equal_seeds_make_equal_links() {
        let config = LinkConfig {
            loss: 20,
            reordering: 50,
            duplication: 10,
            ..LinkConfig::default()
        };
        let run = || -> Vec<u64> {
            let mut link = link(config.clone());
            arrivals(&mut link, 25).iter().map(|(at, _)| *at).collect()
        };
        assert_eq!(run(), run());
    }
}
