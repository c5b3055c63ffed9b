//! The largest datagram that a path carries. RFC 9000 §14.2, §14.3; RFC 8899.
//!
//! Every path carries 1200 bytes. After the handshake probes of padding try more, by binary search;
//! losing one is no sign of congestion. Promise: the size rises only to what a probe proved, and when
//! only large datagrams vanish it returns to 1200.

use core::time::Duration;

use crate::time::Time;

/// Search for the maximum datagram size of one path.
#[derive(Clone, Debug)]
pub struct MtuDiscovery {
    /// The size that data may have.
    current: u16,
    /// The largest size worth trying: the configuration's, or less by the peer's wish.
    limit: u16,
    state: State,
    /// Loss events since a large datagram was acknowledged in which large ones, and only such, were lost.
    suspicious: u8,
    /// When the last of them was counted.
    counted: Option<Time>,
    event: LossEvent,
}

/// States of RFC 8899 §5.2, without ERROR: a path that does not carry 1200 bytes carries no QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No search is wanted, or none yet.
    Disabled,
    /// Sizes up to `current` are proven, sizes above `high` are refuted.
    Searching {
        high: u16,
        probe: u16,
        tries: u8,
        in_flight: bool,
    },
    /// Nothing to gain before this time.
    SearchComplete { until: Time },
}

/// What one round of loss detection has found so far.
#[derive(Clone, Copy, Debug, Default)]
struct LossEvent {
    large_acked: bool,
    /// When the newest large one was sent.
    large_lost: Option<Time>,
    small_lost: bool,
}

impl MtuDiscovery {
    /// A path of which only `base` is known; nothing is searched until `start`.
    pub fn new(base: u16) -> Self {
        let base = base.max(BASE_SIZE);
        Self {
            current: base,
            limit: base,
            state: State::Disabled,
            suspicious: 0,
            counted: None,
            event: LossEvent::default(),
        }
    }

    /// The largest datagram that data may fill.
    pub fn current(&self) -> u16 {
        self.current
    }

    /// Begins to search up to `limit` bytes.
    pub fn start(&mut self, limit: u16) {
        self.limit = limit;
        // Most paths carry the whole of it, so that is the first question.
        self.search(limit, limit);
    }

    /// The size of the probe to send now, if any.
    pub fn probe(&mut self, now: Time) -> Option<u16> {
        if let State::SearchComplete { until } = self.state
            && until <= now
        {
            self.search(self.limit, self.limit);
        }
        match self.state {
            State::Searching {
                probe,
                in_flight: false,
                ..
            } => Some(probe),
            _ => None,
        }
    }

    /// Whether [`Self::probe`] has one.
    pub fn is_due(&self, now: Time) -> bool {
        match self.state {
            State::SearchComplete { until } => until <= now,
            State::Searching { in_flight, .. } => !in_flight,
            _ => false,
        }
    }

    /// The probe left.
    pub fn on_probe_sent(&mut self) {
        if let State::Searching { in_flight, .. } = &mut self.state {
            *in_flight = true;
        }
    }

    /// A datagram of `size` bytes arrived. Whether `current` rose.
    pub fn on_acked(&mut self, now: Time, size: u16, is_probe: bool) -> bool {
        if size > BASE_SIZE {
            self.suspicious = 0;
            self.event.large_acked = true;
        }
        match self.state {
            State::Searching { high, probe, .. } if is_probe && size == probe => {
                self.current = size;
                self.next(now, high);
                true
            }
            _ => false,
        }
    }

    /// A probe of `size` bytes was lost.
    pub fn on_probe_lost(&mut self, now: Time, size: u16) {
        let State::Searching {
            high, probe, tries, ..
        } = self.state
        else {
            return;
        };
        if probe != size {
            return;
        }
        // RFC 8899 §5.1.2: MAX_PROBES is three, since probes are lost to congestion too.
        if tries + 1 < MAX_PROBES {
            self.state = State::Searching {
                high,
                probe,
                tries: tries + 1,
                in_flight: false,
            };
        } else {
            self.next(now, probe - 1);
        }
    }

    /// A packet of `size` bytes that was no probe, sent at `sent`, was lost.
    pub fn on_lost(&mut self, sent: Time, size: u16) {
        if size > BASE_SIZE {
            self.event.large_lost = self.event.large_lost.max(Some(sent));
        } else {
            self.event.small_lost = true;
        }
    }

    /// All that one ACK frame or timeout decided was told. Whether `current` fell because of a black
    /// hole (RFC 8899 §4.3).
    pub fn on_loss_event(&mut self, now: Time, persistent_congestion: bool) -> bool {
        let LossEvent {
            large_acked,
            large_lost,
            small_lost,
        } = core::mem::take(&mut self.event);
        // One burst may be declared lost in several steps; only packets sent since count anew.
        if large_lost <= self.counted || small_lost || large_acked || self.current <= BASE_SIZE {
            return false;
        }
        self.counted = Some(now);
        // A long silence weighs more, but alone it may be an outage that spared the small probes after it.
        self.suspicious += if persistent_congestion { 2 } else { 1 };
        if self.suspicious < BLACK_HOLE {
            return false;
        }
        self.suspicious = 0;
        self.current = BASE_SIZE;
        if self.state != State::Disabled {
            self.state = State::SearchComplete {
                until: now + AFTER_BLACK_HOLE,
            };
        }
        true
    }

    /// Goes on with sizes in `current..=high`.
    fn next(&mut self, now: Time, high: u16) {
        let low = self.current;
        self.search(high, low + high.saturating_sub(low).div_ceil(2));
        if high.saturating_sub(low) < RESOLUTION {
            self.state = State::SearchComplete {
                until: now + RAISE_AFTER,
            };
        }
    }

    fn search(&mut self, high: u16, probe: u16) {
        self.state = if probe > self.current {
            State::Searching {
                high,
                probe,
                tries: 0,
                in_flight: false,
            }
        } else {
            State::SearchComplete {
                until: Time::FAR_FUTURE,
            }
        };
    }
}

/// RFC 9000 §14: every path carries datagrams of 1200 bytes.
pub const BASE_SIZE: u16 = 1200;
/// RFC 8899 §5.1.2: MAX_PROBES.
const MAX_PROBES: u8 = 3;
/// Loss events of large datagrams alone that make a black hole.
const BLACK_HOLE: u8 = 3;
/// Differences below this are not worth a probe.
const RESOLUTION: u16 = 16;
/// RFC 8899 §5.1.1: PMTU_RAISE_TIMER.
const RAISE_AFTER: Duration = Duration::from_secs(600);
/// A route that changed once may change again soon.
const AFTER_BLACK_HOLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches on a path that carries datagrams up to `path` bytes; returns the result and the probes.
    fn search(mtu: &mut MtuDiscovery, path: u16) -> Vec<u16> {
        let mut probes = Vec::new();
        while let Some(size) = mtu.probe(Time::ZERO) {
            mtu.on_probe_sent();
            assert_eq!(mtu.probe(Time::ZERO), None, "one probe at a time");
            probes.push(size);
            if size <= path {
                assert!(mtu.on_acked(Time::ZERO, size, true));
            } else {
                mtu.on_probe_lost(Time::ZERO, size);
            }
            assert!(!mtu.on_loss_event(Time::ZERO, false));
            assert!(probes.len() < 50);
        }
        probes
    }

    /// A large datagram sent in this round is lost while a small one arrives.
    fn lose(mtu: &mut MtuDiscovery, round: u64, persistent_congestion: bool) -> bool {
        let now = Time::from_micros(round);
        mtu.on_lost(now, 1472);
        mtu.on_acked(now, 100, false);
        mtu.on_loss_event(now, persistent_congestion)
    }

    fn started(limit: u16) -> MtuDiscovery {
        let mut mtu = MtuDiscovery::new(1200);
        assert_eq!(mtu.probe(Time::ZERO), None);
        mtu.start(limit);
        mtu
    }

    #[test]
    fn an_ethernet_path_is_found_with_one_probe() {
        let mut mtu = started(1472);
        assert_eq!(search(&mut mtu, 1472), [1472]);
        assert_eq!(mtu.current(), 1472);
    }

    /// RFC 8899 §5.1.2: each size that is lost is tried three times.
    #[test]
    fn sizes_between_the_proven_and_the_refuted_are_halved() {
        let mut mtu = started(1472);
        let probes = [
            1472, 1472, 1472, 1336, 1336, 1336, 1268, 1302, 1302, 1302, 1285, 1293,
        ];
        assert_eq!(search(&mut mtu, 1300), probes);
        assert_eq!(mtu.current(), 1293);
    }

    #[test]
    fn only_the_probe_under_way_proves_its_size() {
        let mut mtu = started(1472);
        mtu.on_probe_sent();
        assert!(!mtu.on_acked(Time::ZERO, 1400, true));
        assert!(!mtu.on_acked(Time::ZERO, 1472, false));
        mtu.on_probe_lost(Time::ZERO, 1400);
        assert_eq!((mtu.current(), mtu.probe(Time::ZERO)), (1200, None));
        assert!(mtu.on_acked(Time::ZERO, 1472, true));
    }

    #[test]
    fn a_narrow_path_is_found_by_binary_search() {
        for path in 1200..=1472 {
            let mut mtu = started(1472);
            let probes = search(&mut mtu, path);
            assert!(
                mtu.current() <= path && path - mtu.current() < RESOLUTION,
                "{path} {}",
                mtu.current()
            );
            assert!(probes.len() <= 20, "{path}: {probes:?}");
        }
    }

    #[test]
    fn a_size_is_refuted_by_three_losses_only() {
        let mut mtu = started(1472);
        for _ in 0..2 {
            mtu.on_probe_sent();
            mtu.on_probe_lost(Time::ZERO, 1472);
        }
        assert_eq!(search(&mut mtu, 1472), [1472]);
    }

    #[test]
    fn nothing_is_searched_when_the_peer_takes_no_more() {
        assert_eq!(started(1200).probe(Time::ZERO), None);
    }

    #[test]
    fn the_search_is_repeated_after_ten_minutes() {
        let mut mtu = started(1472);
        search(&mut mtu, 1300);
        assert_eq!(mtu.probe(Time::ZERO + RAISE_AFTER), Some(1472));
    }

    /// RFC 8899 §4.3.
    #[test]
    fn when_only_large_datagrams_vanish_the_size_returns_to_base() {
        let mut mtu = started(1472);
        search(&mut mtu, 1472);
        for (round, last) in [(0, false), (1, false), (2, true)] {
            assert_eq!(lose(&mut mtu, round, false), last);
        }
        assert_eq!(mtu.current(), 1200);
        assert_eq!(mtu.probe(Time::ZERO), None);
        assert_eq!(
            mtu.probe(Time::from_micros(2) + AFTER_BLACK_HOLE),
            Some(1472)
        );
    }

    #[test]
    fn persistent_congestion_weighs_twice() {
        let mut mtu = started(1472);
        search(&mut mtu, 1472);
        assert!(!lose(&mut mtu, 0, true));
        assert!(lose(&mut mtu, 1, true));
    }

    #[test]
    fn one_burst_counts_once_in_however_many_steps_it_is_lost() {
        let mut mtu = started(1472);
        search(&mut mtu, 1472);
        for step in 0..10 {
            mtu.on_lost(Time::ZERO, 1472);
            assert!(!mtu.on_loss_event(Time::from_micros(100 + step), false));
        }
    }

    /// RFC 9000 §14: every path carries 1200 bytes, so one that does not is congested.
    #[test]
    fn datagrams_of_the_base_size_are_small() {
        let mut mtu = started(1472);
        search(&mut mtu, 1472);
        for round in 0..20 {
            let now = Time::from_micros(round);
            mtu.on_lost(now, 1472);
            mtu.on_lost(now, 1200);
            assert!(!mtu.on_loss_event(now, false));
        }
        for round in 20..23 {
            mtu.on_acked(Time::from_micros(round), 1200, false);
            assert_eq!(lose(&mut mtu, round, false), round == 22);
        }
    }

    #[test]
    fn a_large_datagram_that_arrives_ends_the_suspicion() {
        let mut mtu = started(1472);
        search(&mut mtu, 1472);
        assert!(!lose(&mut mtu, 0, true));
        mtu.on_acked(Time::from_micros(1), 1472, false);
        for (round, last) in [(1, false), (2, false), (3, false), (4, true)] {
            assert_eq!(lose(&mut mtu, round, false), last, "{round}");
        }
    }

    #[test]
    fn congestion_is_no_black_hole() {
        let mut mtu = started(1472);
        search(&mut mtu, 1472);
        for round in 0..20 {
            let now = Time::from_micros(round);
            mtu.on_lost(now, 1472);
            if round % 2 == 0 {
                mtu.on_lost(now, 80);
            } else {
                mtu.on_acked(now, 1400, false);
            }
            assert!(!mtu.on_loss_event(now, false));
        }
        assert_eq!(mtu.current(), 1472);
    }
}
