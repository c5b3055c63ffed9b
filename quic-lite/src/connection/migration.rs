//! A peer that moves (RFC 9000 §9): follow it, make it prove its address, go back if it does not.

use crate::error::{ConnectionError, TransportError, TransportErrorCode};
use crate::recovery::SpaceId;
use crate::time::Time;

use super::path::{FourTuple, Path};
use super::receive::Received;
use super::state::State;
use super::timers::Timer;
use super::{Connection, Event};

impl Connection {
    /// RFC 9000 §9.3: the newest packet that is more than a probe says where the peer is.
    pub(super) fn follow_migration(&mut self, received: &Received, non_probing: bool) {
        let newest = self
            .spaces
            .get(received.space)
            .and_then(|space| space.received.largest_received());
        if received.space != SpaceId::Data || newest != Some(received.number) || !non_probing {
            return;
        }
        let switched = self.peer_uses != Some(received.destination_cid);
        let has_moved = !self.path.tuple().matches(&received.arrival.tuple);
        let is_followed = self.state == State::Confirmed && !self.recovery.has_moved_in_vain();
        if has_moved && is_followed {
            // RFC 9000 §9.5: a peer that moves on purpose uses a new ID, and so do we then; behind a NAT
            // that forgot it, it does not know that it moved.
            let before = self.remote_ids.current();
            if switched && self.peer_uses.is_some() && self.remote_ids.switch() {
                self.announce_reset_tokens();
                self.note_remote_cid(before);
            }
            self.move_to(
                received.arrival.now,
                received.arrival.tuple,
                received.arrival.len,
            );
        }
        self.peer_uses = Some(received.destination_cid);
    }

    fn move_to(&mut self, now: Time, tuple: FourTuple, len: usize) {
        self.leave_path(now);
        if !self.state.is_open() {
            return;
        }
        let old = self.path.tuple();
        let known = self.fallback.take_if(|path| path.tuple().matches(&tuple));
        let new = known.map_or_else(
            || {
                let mut path = Path::unvalidated(tuple);
                path.on_datagram_received(len);
                path
            },
            |path| *path,
        );
        let mut previous = core::mem::replace(&mut self.path, new);
        previous.stop_challenge();
        self.responses.count_elsewhere(&tuple);
        if previous.is_validated() {
            // RFC 9000 §9.3.3: perhaps somebody else sent a copy of the peer's packet from there, and the
            // peer is where it was; being asked, it shows.
            previous.challenge(self.rng.bytes());
            self.fallback = Some(Box::new(previous));
        }
        self.on_path_changed(now, old);
        if self.path.is_validated() {
            self.path.stop_challenge();
            self.stop_path_timers();
        } else {
            self.challenge_path(now);
        }
    }

    fn on_path_changed(&mut self, now: Time, old: FourTuple) {
        let new = self.path.tuple();
        // RFC 9000 §9.4: another port is most likely the same path; all else is unknown.
        if !new.differs_by_port_only(&old) {
            self.recovery.on_path_changed(now);
        }
        self.events.push_back(Event::PathChanged { old, new });
    }

    /// Asks for a proof that the peer receives where it seems to be (RFC 9000 §8.2.1).
    pub(super) fn challenge_path(&mut self, now: Time) {
        let pto = self.recovery.pto();
        // RFC 9000 §8.2.4: three PTOs, with the round-trip time of a path of which nothing is known.
        let give_up = now + pto.max(self.config.initial_rtt * 3) * 3;
        self.path.challenge(self.rng.bytes());
        self.timers.set(Timer::PathValidation, Some(give_up));
        self.timers.set(Timer::PathChallenge, Some(now + pto));
    }

    /// No answer so far.
    pub(super) fn repeat_challenge(&mut self, now: Time) {
        if self.path.is_challenged() {
            self.path.challenge_again();
            self.timers
                .set(Timer::PathChallenge, Some(now + self.recovery.pto()));
        }
    }

    pub(super) fn on_path_validated(&mut self) {
        self.stop_path_timers();
        self.fallback = None;
        self.events
            .push_back(Event::PathValidated(self.path.tuple()));
    }

    /// RFC 9000 §9.3.2: back to the last address that was proved; without one the connection is over.
    pub(super) fn on_path_validation_failed(&mut self, now: Time) {
        self.stop_path_timers();
        self.path.stop_challenge();
        let Some(fallback) = self.fallback.take() else {
            if !self.path.is_validated() {
                let reason = "the peer's new address was not validated";
                let error = TransportError::new(TransportErrorCode::NO_VIABLE_PATH, 0, reason);
                self.abandon(ConnectionError::Transport(error));
            }
            return;
        };
        self.leave_path(now);
        let old = core::mem::replace(&mut self.path, *fallback).tuple();
        self.path.stop_challenge();
        self.on_path_changed(now, old);
    }

    fn stop_path_timers(&mut self) {
        self.timers.stop(Timer::PathValidation);
        self.timers.stop(Timer::PathChallenge);
    }
}
