//! The states of a connection (RFC 9001 §4.1 while it is set up, RFC 9000 §10 while it ends).
//!
//! One table says which event leads where. It does not act: `connection/close.rs` and
//! `connection/handshake.rs` do, and ask here first.

use core::fmt;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TLS has not finished on this side (RFC 9001 §4.1.1).
    Handshake,
    /// TLS is complete, the peer may not know yet (RFC 9001 §4.1.1).
    Complete,
    /// Both sides know: Handshake keys are gone, paths may change (RFC 9001 §4.1.2).
    Confirmed,
    /// We sent CONNECTION_CLOSE and repeat it when asked (RFC 9000 §10.2.1).
    Closing,
    /// The peer ended it: nothing is sent any more (RFC 9000 §10.2.2).
    Draining,
    /// Nothing is left; the owner may drop the connection.
    Drained,
}

/// What moves a connection from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The TLS handshake finished (RFC 9001 §4.1.1).
    HandshakeComplete,
    /// The server finished its handshake, or the client got HANDSHAKE_DONE (RFC 9001 §4.1.2).
    HandshakeConfirmed,
    /// The application, or an error found here, closes (RFC 9000 §10.2).
    LocalClose,
    /// CONNECTION_CLOSE or a stateless reset arrived (RFC 9000 §10.2.2, §10.3.1).
    PeerClose,
    /// The idle timeout passed, or the handshake never began: end without a packet (RFC 9000 §10.1).
    Abandon,
    /// Three PTOs have passed since closing began (RFC 9000 §10.2).
    PeriodOver,
}

/// This transition makes no sense in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl State {
    /// The state after `transition`.
    pub const fn on(self, transition: Transition) -> Result<Self, Invalid> {
        use Transition as T;
        match (self, transition) {
            (Self::Handshake, T::HandshakeComplete) => Ok(Self::Complete),
            (Self::Complete, T::HandshakeConfirmed) => Ok(Self::Confirmed),
            (Self::Handshake | Self::Complete | Self::Confirmed, T::LocalClose) => {
                Ok(Self::Closing)
            }
            // RFC 9000 §10.2.1: the peer's CONNECTION_CLOSE shows that it got ours.
            (Self::Handshake | Self::Complete | Self::Confirmed | Self::Closing, T::PeerClose) => {
                Ok(Self::Draining)
            }
            (Self::Handshake | Self::Complete | Self::Confirmed, T::Abandon) => Ok(Self::Drained),
            (Self::Closing | Self::Draining, T::PeriodOver) => Ok(Self::Drained),
            _ => Err(Invalid),
        }
    }

    /// Whether packets are exchanged as usual: neither closing nor closed.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Handshake | Self::Complete | Self::Confirmed)
    }

    /// Whether the TLS handshake is complete on this side and the connection is open.
    pub const fn is_established(self) -> bool {
        matches!(self, Self::Complete | Self::Confirmed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] = [
        State::Handshake,
        State::Complete,
        State::Confirmed,
        State::Closing,
        State::Draining,
        State::Drained,
    ];
    const TRANSITIONS: [Transition; 6] = [
        Transition::HandshakeComplete,
        Transition::HandshakeConfirmed,
        Transition::LocalClose,
        Transition::PeerClose,
        Transition::Abandon,
        Transition::PeriodOver,
    ];

    const TABLE: &str = "\
Handshake HandshakeComplete Complete
Handshake LocalClose Closing
Handshake PeerClose Draining
Handshake Abandon Drained
Complete HandshakeConfirmed Confirmed
Complete LocalClose Closing
Complete PeerClose Draining
Complete Abandon Drained
Confirmed LocalClose Closing
Confirmed PeerClose Draining
Confirmed Abandon Drained
Closing PeerClose Draining
Closing PeriodOver Drained
Draining PeriodOver Drained
";

    /// Prints every pair (`cargo test -- --nocapture`), the diagram of the book.
    #[test]
    fn the_table_has_these_transitions_and_no_others() {
        let mut table = String::new();
        for state in STATES {
            for transition in TRANSITIONS {
                match state.on(transition) {
                    Ok(next) => table += &format!("{state:?} {transition:?} {next:?}\n"),
                    Err(Invalid) => println!("{state:?} {transition:?} -"),
                }
            }
        }
        println!("{table}");
        assert_eq!(table, TABLE);
    }

    #[test]
    fn drained_is_final() {
        assert!(
            TRANSITIONS
                .iter()
                .all(|&transition| State::Drained.on(transition).is_err())
        );
    }
}
