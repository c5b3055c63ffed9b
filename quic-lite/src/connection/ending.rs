//! From open to drained (RFC 9000 §10): who ends a connection, and what follows.

use crate::error::ConnectionError;
use crate::observer::Observed;
use crate::time::Time;

use super::Connection;
use super::close::Close;
use super::state::Transition;
use super::timers::Timer;

impl Connection {
    /// Goes to the next state; false when that is not possible from here.
    pub(super) fn enter(&mut self, transition: Transition) -> bool {
        let next = self.state.on(transition);
        if let Ok(next) = next {
            let old = core::mem::replace(&mut self.state, next);
            self.watch.tell(&Observed::State { old, new: next });
            if !next.is_open() {
                // RFC 9000 §10.2: nothing but CONNECTION_CLOSE is sent from here on.
                self.suspend_other();
            }
        }
        next.is_ok()
    }

    /// Ends the connection from this side, and tells the peer (RFC 9000 §10.2).
    pub(super) fn fail(&mut self, now: Time, error: ConnectionError) {
        self.watch.now = now;
        if self.enter(Transition::LocalClose) {
            self.close = Close::new(&error).map(Box::new);
            self.await_end(now);
            self.tell_end(error);
        }
    }

    /// The peer has ended the connection, or knows that we have: nothing more is sent (RFC 9000 §10.2.2).
    pub(super) fn drain(&mut self, now: Time) {
        if self.enter(Transition::PeerClose) {
            self.close = None;
            self.await_end(now);
        }
    }

    /// Ends the connection without telling anyone (RFC 9000 §10.1).
    pub(super) fn abandon(&mut self, error: ConnectionError) {
        if self.enter(Transition::Abandon) {
            self.timers.stop_all();
            self.tell_end(error);
        }
    }

    /// Tells the application why, once.
    pub(super) fn tell_end(&mut self, error: ConnectionError) {
        if self.ended.is_none() {
            self.watch.tell(&Observed::Closed(&error));
            self.ended = Some(error);
            self.is_end_told = false;
        }
    }

    fn await_end(&mut self, now: Time) {
        self.timers.stop_all();
        // RFC 9000 §10.2: three PTOs, for packets on their way. A period that runs is not prolonged.
        self.timers
            .set(Timer::Close, Some(now + self.recovery.pto() * 3));
    }
}
