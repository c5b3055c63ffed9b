//! The loss detection timer and probe timeouts. RFC 9002 §6.2, A.8, A.9.
//!
//! There is no timer to keep: `next_timeout` follows from what is in flight, so it is always right.
//! Promise: a probe timeout declares nothing lost; it only permits packets beyond the window.

use core::time::Duration;

use crate::limits;
use crate::space::SpaceId;
use crate::time::Time;
use crate::wire::stream_id::Side;

use super::Recovery;
use super::loss::Arrivals;
use super::outcome::Outcome;
use super::sent_frame::SentFrame;

/// What a timeout asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutAction {
    /// Nothing: the timeout was early.
    None,
    /// Packets of this space are lost; see the outcome.
    Lost(SpaceId),
    /// Ack-eliciting packets are to be sent in each space for which `probe_pending` holds, this one first.
    Probe(SpaceId),
}

impl Recovery {
    /// When to call `on_timeout`.
    pub fn next_timeout(&self) -> Option<Time> {
        // RFC 9002 §6.2.1: no PTO while a loss timer runs.
        if let Some((time, _)) = self.loss_time_and_space() {
            return Some(time);
        }
        // RFC 9002 §6.2.2.1: what cannot send a probe sets no timer for one.
        if self.amplification_limited {
            return None;
        }
        self.pto_time_and_space().map(|(time, _)| time)
    }

    /// The time of `next_timeout` may have come (RFC 9002 A.9).
    pub fn on_timeout(&mut self, now: Time, out: &mut Outcome) -> TimeoutAction {
        out.clear();
        if self.next_timeout().is_none_or(|time| time > now) {
            return TimeoutAction::None;
        }
        if let Some((_, id)) = self.loss_time_and_space() {
            let arrivals = Arrivals {
                acked: &[],
                before: self.newest_acked,
            };
            self.detect_lost(now, id, arrivals, out);
            return TimeoutAction::Lost(id);
        }
        let Some((_, id)) = self.pto_time_and_space() else {
            return TimeoutAction::None;
        };
        self.request_probes(id);
        self.pto_count += 1;
        self.last_pto = Some(now);
        self.last_event = Some(now);
        if self.pto_count >= CAUTIOUS_PTOS {
            self.ecn.on_repeated_pto();
        }
        TimeoutAction::Probe(id)
    }

    /// Whether an ack-eliciting packet must be sent in this space, whatever window and pacer say
    /// (RFC 9002 §7.5). `on_packet_sent` counts it.
    pub fn probe_pending(&self, id: SpaceId) -> bool {
        self.spaces[id.index()].probes > 0
    }

    /// Appends what the oldest packets in flight carried: worth repeating in a probe when there is
    /// nothing new to say (RFC 9002 §6.2.4). They are not lost yet.
    pub fn probe_frames(&self, id: SpaceId, out: &mut Vec<SentFrame>) {
        self.spaces[id.index()].sent.copy_frames(
            usize::from(limits::PROBES),
            |packet| packet.ack_eliciting,
            out,
        );
    }

    /// The current probe timeout of the Data space without backoff, which other timers are multiples of.
    pub fn pto(&self) -> Duration {
        self.rtt.pto() + self.max_ack_delay
    }

    /// RFC 9002 A.8: PeerCompletedAddressValidation.
    pub(super) fn peer_completed_address_validation(&self) -> bool {
        self.side == Side::Server || self.handshake_acked || self.handshake_confirmed
    }

    /// RFC 9002 A.8: GetLossTimeAndSpace.
    fn loss_time_and_space(&self) -> Option<(Time, SpaceId)> {
        let times = SpaceId::ALL.map(|id| self.spaces[id.index()].loss_time.map(|time| (time, id)));
        times.into_iter().flatten().min()
    }

    /// RFC 9002 A.8: GetPtoTimeAndSpace.
    fn pto_time_and_space(&self) -> Option<(Time, SpaceId)> {
        if self.spaces.iter().all(|space| space.ack_eliciting == 0) {
            return self.anti_deadlock_time_and_space();
        }
        let times = SpaceId::ALL.map(|id| {
            let space = &self.spaces[id.index()];
            let delay = match id {
                _ if space.ack_eliciting == 0 => return None,
                // RFC 9002 §6.2.1: no PTO for Data before the handshake is confirmed.
                SpaceId::Data if !self.handshake_confirmed => return None,
                SpaceId::Data => self.max_ack_delay,
                _ => Duration::ZERO,
            };
            // Probes that could not leave yet must not make the next timeout due at once.
            let since = space.time_of_last_ack_eliciting_packet.max(self.last_pto)?;
            Some((since + self.backed_off(self.rtt.pto() + delay), id))
        });
        times.into_iter().flatten().min()
    }

    /// RFC 9002 §6.2.2.1: a client with nothing in flight must still unblock a server that waits for bytes.
    fn anti_deadlock_time_and_space(&self) -> Option<(Time, SpaceId)> {
        if self.peer_completed_address_validation() {
            return None;
        }
        let id = if self.has_handshake_keys {
            SpaceId::Handshake
        } else {
            SpaceId::Initial
        };
        Some((self.last_event? + self.backed_off(self.rtt.pto()), id))
    }

    /// RFC 9002 §6.2.1: each timeout without an answer doubles the next.
    fn backed_off(&self, duration: Duration) -> Duration {
        duration
            .saturating_mul(1 << self.pto_count.min(MAX_BACKOFF_SHIFT))
            .min(limits::PROBE_TIMEOUT.max(duration))
    }

    fn request_probes(&mut self, expired: SpaceId) {
        for id in SpaceId::ALL {
            let space = &mut self.spaces[id.index()];
            let in_flight = u8::try_from(space.ack_eliciting).unwrap_or(u8::MAX);
            if id == expired {
                // RFC 9002 §6.2.4: one or two; one when there is but one packet to make up for.
                space.probes = in_flight.clamp(1, limits::PROBES);
            } else {
                // RFC 9002 §6.2.4: the peer may have keys of one space only; and Data, which has no PTO
                // of its own before the handshake is confirmed, may be all that the peer still reads.
                space.probes = in_flight.min(1);
            }
        }
    }
}

/// After so many timeouts in a row probes are sent in the safest form: small, and without ECN marks.
pub(super) const CAUTIOUS_PTOS: u32 = 3;
/// The backoff stops doubling here; the idle timeout ends it anyway.
const MAX_BACKOFF_SHIFT: u32 = 16;
