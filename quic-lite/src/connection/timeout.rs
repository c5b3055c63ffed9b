//! What happens when time passes (RFC 9000 §10.1, RFC 9002 §6.2), and what moves the deadlines.

use crate::error::ConnectionError;
use crate::observer::Observed;
use crate::recovery::{SpaceId, TimeoutAction};
use crate::time::Time;
use core::time::Duration;

use super::Connection;
use super::build::Drafts;
use super::close::idle_timeout;
use super::state::Transition;
use super::timers::Timer;
use crate::wire::stream_id::Side;

impl Connection {
    pub(super) fn earliest_timeout(&self) -> Option<Time> {
        let own = self.timers.next();
        if !self.state.is_open() {
            return own;
        }
        // An acknowledgement that is due and cannot be sent, for want of keys or credit, waits for them.
        let acks = SpaceId::ALL.into_iter().filter_map(|id| {
            let space = self.spaces.get(id).filter(|space| space.keys.is_known())?;
            space
                .received
                .ack_deadline()
                .filter(|_| self.path.budget() >= MIN_BUDGET)
        });
        own.into_iter()
            .chain(acks)
            .chain(self.recovery.next_timeout())
            .min()
    }

    pub(super) fn serve_timeouts(&mut self, now: Time) {
        self.collect(now);
        while let Some(timer) = self.timers.pop_due(now) {
            self.on_timer(now, timer);
        }
        if self.state.is_open() {
            self.on_recovery_timeout(now);
        }
    }

    fn on_timer(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Idle => self.abandon(ConnectionError::IdleTimeout),
            // RFC 9000 §10.2.3 would allow a CONNECTION_CLOSE; nobody may be there to read it.
            Timer::Handshake => self.abandon(ConnectionError::HandshakeTimeout),
            Timer::Close => {
                self.enter(Transition::PeriodOver);
            }
            Timer::KeepAlive => self.control.ping = true,
            Timer::PathValidation => self.on_path_validation_failed(now),
            Timer::PathChallenge => self.repeat_challenge(now),
            Timer::OldKeys => {
                if let Some(keys) = self.spaces.one_rtt_mut() {
                    keys.discard_previous();
                }
            }
            // Its point was the wake-up: `transmit` asks the pacer again.
            Timer::Pacing => {}
            Timer::Collect => self.collect_again(now),
        }
    }

    fn on_recovery_timeout(&mut self, now: Time) {
        match self.recovery.on_timeout(now, &mut self.outcome) {
            TimeoutAction::None => {}
            TimeoutAction::Lost(space) => self.apply_outcome(space),
            TimeoutAction::Probe(_) => {
                self.stats.probe_timeouts += 1;
                self.watch.tell(&Observed::Recovery(&self.recovery));
                SpaceId::ALL.into_iter().for_each(|id| self.fill_probes(id));
            }
        }
    }

    /// RFC 9002 §6.2.4: a probe had better carry data, and the oldest unacknowledged is wanted most.
    fn fill_probes(&mut self, id: SpaceId) {
        if !self.recovery.probe_pending(id) {
            return;
        }
        let mut frames = core::mem::take(&mut self.sent_frames);
        self.recovery.probe_frames(id, &mut frames);
        for frame in frames.drain(..) {
            self.on_frame_lost(id, frame);
        }
        self.sent_frames = frames;
    }

    /// A packet of the peer arrived (RFC 9000 §10.1).
    pub(super) fn on_activity(&mut self, now: Time) {
        self.is_quiet = true;
        self.sharing.heard = now;
        self.restart_idle_timer(now);
        self.restart_keep_alive(now);
    }

    pub(super) fn restart_idle_timer(&mut self, now: Time) {
        let peers = Duration::from_millis(self.peer.max_idle_timeout);
        let timeout = idle_timeout(self.config.max_idle_timeout, peers, self.recovery.pto());
        self.timers
            .set(Timer::Idle, timeout.map(|timeout| now + timeout));
    }

    fn restart_keep_alive(&mut self, now: Time) {
        if self.state.is_established() {
            let interval = self.config.keep_alive;
            let at = interval.map(|it| (now + it).round_down(it / KEEP_ALIVE_STEPS));
            let at = at.max(self.timers.at(Timer::KeepAlive));
            self.timers.set(Timer::KeepAlive, at);
        }
    }

    /// A datagram on the path in use is complete.
    pub(super) fn on_sent(&mut self, now: Time, drafts: &Drafts) {
        if drafts.iter().any(|draft| draft.ack_eliciting) {
            self.on_eliciting_sent(now);
        }
        let sent_handshake = drafts.iter().any(|draft| draft.id == SpaceId::Handshake);
        if sent_handshake && self.side == Side::Client {
            // RFC 9001 §4.9.1: from its first Handshake packet on a client needs no Initial keys.
            self.discard_space(now, SpaceId::Initial);
        }
    }

    /// A packet that asks for an answer left at `time`, which is perhaps a while ago.
    pub(super) fn on_eliciting_sent(&mut self, time: Time) {
        // RFC 9000 §10.1: only the first one since the peer was heard, or silence would never end.
        if time >= self.sharing.heard && core::mem::replace(&mut self.is_quiet, false) {
            self.restart_idle_timer(time);
        }
        self.restart_keep_alive(time);
    }
}

/// Keep-alives of many connections are due together, a little early, so that one turn of the loop sends them and another
/// takes their answers: to wake up for each costs more than to send it.
const KEEP_ALIVE_STEPS: u32 = 512;
/// Room that is enough for any acknowledgement with its headers; with less, no timer can help.
const MIN_BUDGET: u64 = 256;
