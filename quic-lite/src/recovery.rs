//! Loss recovery and congestion control: what became of the packets sent. RFC 9002.
//!
//! `Recovery` is told of every packet sent and every ACK frame received, in all three spaces, and
//! says which frames arrived, which are to be repeated, how much may be sent and when to look again.
//! It holds no bytes and no clock. Promise: no allocation per packet, and no work that a peer can
//! inflate beyond the packets that were really sent.
//!
//! | file | what | RFC 9002 |
//! |---|---|---|
//! | [`rtt`] | round-trip time | §5 |
//! | [`sent`], [`sent_frame`] | packets whose fate is open, and what they carried | A.1 |
//! | `ack` | on receiving an acknowledgement | A.7 |
//! | `loss` | lost packets, persistent congestion | §6.1, §7.6 |
//! | [`pto`] | timers and probes | §6.2 |
//! | [`congestion`], [`new_reno`], [`cubic`] | the window | §7, RFC 9438 |
//! | [`pacing`] | when a packet may leave | §7.7 |
//! | [`ecn`] | whether marks arrive | RFC 9000 §13.4 |
//! | [`mtu`] | the largest datagram | RFC 9000 §14.3 |
//! | [`skip`] | numbers left out against optimistic receivers | RFC 9000 §21.4 |
//! | `others` | packets of another sender | A.5, A.7 |

mod ack;
pub mod congestion;
pub mod cubic;
pub mod ecn;
mod loss;
pub mod mtu;
pub mod new_reno;
mod others;
mod outcome;
pub mod pacing;
pub mod pto;
pub mod rtt;
pub mod sent;
pub mod sent_frame;
pub mod skip;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use crate::space::SpaceId;
pub use congestion::Congestion;
pub use outcome::Outcome;
pub use pto::TimeoutAction;
pub use rtt::Rtt;
pub use sent::SentPacket;
pub use sent_frame::SentFrame;

use crate::limits;
use crate::time::Time;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;
use congestion::Controller;
use ecn::{EcnState, EcnValidation};
use loss::{Reordering, SentSpace};
use mtu::MtuDiscovery;
use others::Others;
use pacing::{Pace, Pacer};
use skip::SkipPolicy;

/// What the application chooses.
#[derive(Clone, Debug)]
pub struct RecoveryConfig {
    /// kInitialRtt: the guess before the first sample.
    pub initial_rtt: Duration,
    /// Which algorithm moves the congestion window.
    pub congestion: Congestion,
    /// The datagram size to begin with, 1200 or more.
    pub initial_datagram_size: u16,
    /// The largest datagram to search for; `None` stays at the initial size.
    pub mtu_discovery: Option<u16>,
    /// Whether packets are marked ECT(0) where the path allows it.
    pub ecn: bool,
}

/// Loss recovery and congestion control of one connection.
#[derive(Debug)]
pub struct Recovery {
    side: Side,
    config: RecoveryConfig,
    spaces: [SentSpace; 3],
    rtt: Rtt,
    reordering: Reordering,
    controller: Controller,
    pacer: Pacer,
    ecn: EcnValidation,
    mtu: MtuDiscovery,
    /// The window had no room for an MTU probe that is due.
    mtu_probe_waits: bool,
    skips: SkipPolicy,
    others: Others,
    /// Packets sent beyond the window, or on other paths, since an acknowledgement told of something new.
    beyond: u32,
    /// Changes of the path since then.
    moves: u32,
    /// Generation of the path in use: packets of others do not count for congestion and RTT.
    path: u32,
    /// The newest send time of a packet acknowledged on this path.
    newest_acked: Option<Time>,
    pto_count: u32,
    last_pto: Option<Time>,
    /// The last sending, acknowledgement, timeout or change of keys: the anti-deadlock timer runs from here.
    last_event: Option<Time>,
    /// The peer's max_ack_delay and ack_delay_exponent.
    max_ack_delay: Duration,
    ack_delay_exponent: u8,
    /// The largest datagram that the peer accepts.
    peer_datagram_size: u16,
    has_handshake_keys: bool,
    handshake_acked: bool,
    handshake_confirmed: bool,
    amplification_limited: bool,
}

/// Sending.
impl Recovery {
    /// The state before the first packet.
    pub fn new(side: Side, config: &RecoveryConfig) -> Self {
        Self {
            side,
            spaces: Default::default(),
            rtt: Rtt::new(config.initial_rtt),
            reordering: Reordering::default(),
            controller: Controller::new(config.congestion, config.initial_datagram_size),
            pacer: Pacer::default(),
            ecn: EcnValidation::new(config.ecn),
            mtu: MtuDiscovery::new(config.initial_datagram_size),
            mtu_probe_waits: false,
            skips: SkipPolicy::default(),
            others: Others::default(),
            beyond: 0,
            moves: 0,
            path: 0,
            newest_acked: None,
            pto_count: 0,
            last_pto: None,
            last_event: None,
            // RFC 9000 §18.2: defaults of both parameters.
            max_ack_delay: Duration::from_millis(25),
            ack_delay_exponent: 3,
            peer_datagram_size: u16::MAX,
            has_handshake_keys: false,
            handshake_acked: false,
            handshake_confirmed: false,
            amplification_limited: false,
            config: config.clone(),
        }
    }

    /// A packet left, or another sender's packet became known. Numbers may come out of order.
    pub fn on_packet_sent(&mut self, id: SpaceId, packet: SentPacket, frames: &[SentFrame]) {
        // Probes for a timeout are rare by themselves; another sender keeps to what it was granted.
        let is_asked_for = self.probe_pending(id) || packet.by_other || !packet.ack_eliciting;
        let is_within = packet.path == self.path && self.window_left() >= u64::from(packet.size);
        self.beyond += u32::from(!is_asked_for && !is_within);
        let space = &mut self.spaces[id.index()];
        self.controller.remove(space.forget_light(self.path));
        let new = space.insert(packet, frames);
        self.last_event = self.last_event.max(Some(packet.time));
        if !new || packet.path != self.path {
            return;
        }
        if packet.ecn_marked {
            self.ecn.on_marked_sent();
        }
        if packet.mtu_probe {
            self.mtu.on_probe_sent();
        }
        if packet.in_flight {
            self.controller
                .on_packet_sent(packet.time, u64::from(packet.size));
            let pace = self.pace();
            self.pacer.on_packet_sent(packet.time, packet.size, &pace);
        }
    }

    /// How many bytes the congestion window still admits. Probes and bare acknowledgements need none.
    pub fn window_left(&self) -> u64 {
        self.controller.window_left(self.others.outstanding)
    }

    /// Whether a small packet that no window should hold back, such as one that validates a path, may be
    /// sent now. A peer that acknowledges nothing gets only a few of them beyond the window: each is
    /// remembered until its fate is known.
    pub fn may_exceed_window(&self) -> bool {
        self.beyond < limits::PACKETS_BEYOND_WINDOW
            || self.window_left() >= u64::from(mtu::BASE_SIZE)
    }

    /// Whether the peer has moved often without having acknowledged anything. What was sent on each path
    /// is remembered, and each path has a new window: such a peer is not followed any further.
    pub fn has_moved_in_vain(&self) -> bool {
        self.moves >= limits::MOVES_WITHOUT_ACK
    }

    /// When a packet of `size` bytes may leave; `None`: now. Ask only when there is one to send.
    pub fn send_at(&mut self, now: Time, size: u16) -> Option<Time> {
        let at = self.pacer.send_at(now, size, &self.pace());
        if at.is_some() {
            self.controller.on_paced(now);
        }
        at
    }

    /// Whether datagrams are to carry ECT(0) now.
    pub fn marks_ecn(&self) -> bool {
        self.ecn.marks()
    }

    /// The size of an MTU probe to send now: PING and PADDING alone, `mtu_probe` set.
    pub fn mtu_probe(&mut self, now: Time) -> Option<u16> {
        let size = self.mtu_probe_size(now);
        let fits = size.filter(|size| self.window_left() >= u64::from(*size));
        self.mtu_probe_waits = size.is_some() && fits.is_none();
        fits
    }

    /// Whether there is an MTU probe to send, if the window has room.
    pub fn wants_mtu_probe(&mut self, now: Time) -> bool {
        self.mtu_probe_size(now).is_some()
    }

    /// Whether there may be an MTU probe to send, now or when the window has room.
    pub fn may_probe_mtu(&self, now: Time) -> bool {
        self.mtu_probe_waits || self.mtu.is_due(now)
    }

    fn mtu_probe_size(&mut self, now: Time) -> Option<u16> {
        self.mtu.probe(now).filter(|_| self.pto_count == 0)
    }

    /// Whether the next MTU probe goes before data: behind them it would wait as long as they fill the
    /// window.
    pub fn is_mtu_probe_overdue(&self) -> bool {
        self.mtu_probe_waits
    }

    /// The size that datagrams may have now.
    pub fn max_datagram_size(&self) -> u16 {
        let proven = self.mtu.current().min(self.peer_datagram_size);
        // A path that swallows large datagrams would swallow large probes too.
        if self.pto_count >= pto::CAUTIOUS_PTOS {
            proven.min(mtu::BASE_SIZE)
        } else {
            proven
        }
    }

    /// The first packet number of the Data space at or above this one is to be left out: taken, not used,
    /// and told to `on_skipped`. It is chosen once, from `next` on, until that has happened.
    pub fn skip_at(&mut self, next: PacketNumber, random: u64) -> PacketNumber {
        let window = self.controller.window() / u64::from(self.mtu.current());
        self.skips.at(next, random, window)
    }

    /// This number was taken and will never be sent.
    pub fn on_skipped(&mut self, id: SpaceId, number: PacketNumber) {
        self.spaces[id.index()].skipped.insert(number);
        self.skips.on_skipped(number);
    }

    fn pace(&self) -> Pace {
        Pace {
            window: self.controller.window(),
            smoothed_rtt: self.rtt.smoothed(),
            slow_start: self.controller.in_slow_start(),
            max_datagram_size: self.mtu.current(),
        }
    }
}

/// What happens to the connection.
impl Recovery {
    /// The peer's transport parameters arrived.
    pub fn set_peer_parameters(
        &mut self,
        max_ack_delay: Duration,
        ack_delay_exponent: u8,
        max_udp_payload_size: u64,
    ) {
        self.max_ack_delay = max_ack_delay;
        // RFC 9000 §18.2: no larger exponent is valid.
        self.ack_delay_exponent = ack_delay_exponent.min(20);
        self.peer_datagram_size = u16::try_from(max_udp_payload_size).unwrap_or(u16::MAX);
    }

    /// The peer was asked for another delay with ACK_FREQUENCY.
    pub fn set_peer_max_ack_delay(&mut self, max_ack_delay: Duration) {
        self.max_ack_delay = max_ack_delay;
    }

    /// Handshake packets can be sent from now on.
    pub fn on_handshake_keys(&mut self) {
        self.has_handshake_keys = true;
    }

    /// RFC 9001 §4.1.2: the handshake is confirmed.
    pub fn on_handshake_confirmed(&mut self, now: Time) {
        self.handshake_confirmed = true;
        self.last_event = Some(now);
        self.search_mtu();
    }

    /// Whether a server has used up what it may send to an unproven address (RFC 9000 §8.1).
    pub fn set_amplification_limited(&mut self, limited: bool) {
        self.amplification_limited = limited;
    }

    /// Keys of a space were discarded: its packets have no fate (RFC 9002 §6.4, A.11).
    pub fn discard(&mut self, now: Time, id: SpaceId) {
        let space = &mut self.spaces[id.index()];
        for packet in space
            .sent
            .iter()
            .filter(|packet| packet.in_flight && packet.path == self.path)
        {
            self.controller.remove(u64::from(packet.size));
        }
        *space = SentSpace::default();
        self.pto_count = 0;
        self.last_event = Some(now);
    }

    /// A client received a Retry: what it sent so far was not processed (RFC 9002 §6.3).
    pub fn on_retry(&mut self, now: Time, out: &mut Outcome) {
        out.clear();
        let all = PacketNumber::ZERO..=PacketNumber::MAX;
        let space = &mut self.spaces[SpaceId::Initial.index()];
        space
            .sent
            .remove_if(all, &mut out.lost, &mut out.removed, |_| sent::Fate::Remove);
        out.removed.clear();
        *space = SentSpace::default();
        self.controller = Controller::new(self.config.congestion, self.mtu.current());
        self.pto_count = 0;
        self.last_event = Some(now);
    }

    /// Sending moves to another path; not for a mere change of the peer's port (RFC 9000 §9.4).
    pub fn on_path_changed(&mut self, now: Time) {
        self.path += 1;
        self.moves += 1;
        self.rtt = Rtt::new(self.config.initial_rtt);
        self.reordering = Reordering::default();
        self.controller =
            Controller::new(self.config.congestion, self.config.initial_datagram_size);
        self.pacer = Pacer::default();
        self.ecn = EcnValidation::new(self.config.ecn);
        self.mtu = MtuDiscovery::new(self.config.initial_datagram_size);
        self.newest_acked = None;
        self.pto_count = 0;
        self.last_event = Some(now);
        if self.handshake_confirmed {
            self.search_mtu();
        }
    }

    fn search_mtu(&mut self) {
        if let Some(limit) = self.config.mtu_discovery {
            self.mtu.start(limit.min(self.peer_datagram_size));
        }
    }

    fn on_max_datagram_size(&mut self, out: &mut Outcome) {
        self.controller.set_max_datagram_size(self.mtu.current());
        out.max_datagram_size_changed = true;
    }
}

/// Raw state.
impl Recovery {
    /// Round-trip time of the path in use.
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// The congestion window in bytes.
    pub fn congestion_window(&self) -> u64 {
        self.controller.window()
    }

    /// Bytes sent whose fate is open.
    pub fn bytes_in_flight(&self) -> u64 {
        self.controller.bytes_in_flight()
    }

    /// Whether the window is below its threshold.
    pub fn in_slow_start(&self) -> bool {
        self.controller.in_slow_start()
    }

    /// The largest number the peer acknowledged in this space.
    pub fn largest_acked(&self, id: SpaceId) -> Option<PacketNumber> {
        self.spaces[id.index()].largest_acked
    }

    /// What is known of ECN on the path in use.
    pub fn ecn_state(&self) -> EcnState {
        self.ecn.state()
    }

    /// Probe timeouts since the last acknowledgement.
    pub fn pto_count(&self) -> u32 {
        self.pto_count
    }

    /// The path in use, for `SentPacket::path`.
    pub fn path_generation(&self) -> u32 {
        self.path
    }

    /// Whether an ack-eliciting packet of this space waits for its acknowledgement.
    pub fn has_ack_eliciting_in_flight(&self, id: SpaceId) -> bool {
        self.spaces[id.index()].ack_eliciting > 0
    }
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self {
            initial_rtt: rtt::INITIAL_RTT,
            congestion: Congestion::default(),
            initial_datagram_size: mtu::BASE_SIZE,
            // RFC 9000 §14.3: an Ethernet frame less the larger IP header and UDP's.
            mtu_discovery: Some(1452),
            ecn: true,
        }
    }
}
