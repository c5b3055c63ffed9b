//! The end of a connection (RFC 9000 §10): idle timeout, CONNECTION_CLOSE and its repetition, and how a
//! stateless reset is told from noise.

use core::time::Duration;

use crate::error::{ConnectionError, TransportErrorCode};
use crate::limits;
use crate::recovery::SpaceId;
use crate::wire::frame::close::{CloseError, ConnectionClose};

/// The CONNECTION_CLOSE of a closing connection, and when to repeat it.
#[derive(Clone, Debug)]
pub struct Close {
    error: CloseError,
    reason: Vec<u8>,
    /// Whether it is to be sent now.
    due: bool,
    /// Datagrams that arrived since closing began.
    arrivals: u32,
}

impl Close {
    /// The frame that says `error`, due at once; nothing to say when the peer ended it.
    pub fn new(error: &ConnectionError) -> Option<Self> {
        let (error, reason) = match error {
            ConnectionError::Transport(error) => {
                let frame_type = error.frame_type;
                (
                    CloseError::Transport {
                        code: error.code,
                        frame_type,
                    },
                    error.reason,
                )
            }
            ConnectionError::Application { code, reason } => {
                (CloseError::Application { code: *code }, reason.as_str())
            }
            _ => return None,
        };
        let reason = reason
            .as_bytes()
            .iter()
            .take(limits::CLOSE_REASON)
            .copied()
            .collect();
        Some(Self {
            error,
            reason,
            due: true,
            arrivals: 0,
        })
    }

    /// Whether the frame is to be sent now.
    pub const fn is_due(&self) -> bool {
        self.due
    }

    /// It was sent.
    pub const fn on_sent(&mut self) {
        self.due = false;
    }

    /// A datagram arrived for the closing connection. RFC 9000 §10.2.1: answer, but ever more rarely.
    pub const fn on_arrival(&mut self) {
        self.arrivals = self.arrivals.saturating_add(1);
        self.due |= self.arrivals.is_power_of_two();
    }

    /// The frame for packets of one space.
    pub fn frame(&self, space: SpaceId) -> ConnectionClose<'_> {
        match (self.error, space) {
            // RFC 9000 §10.2.3: before 1-RTT the application's words could be read by others.
            (CloseError::Application { .. }, SpaceId::Initial | SpaceId::Handshake) => {
                let code = TransportErrorCode::APPLICATION_ERROR;
                ConnectionClose {
                    error: CloseError::Transport {
                        code,
                        frame_type: 0,
                    },
                    reason: &[],
                }
            }
            (error, _) => ConnectionClose {
                error,
                reason: &self.reason,
            },
        }
    }
}

/// What the application is told when the peer closes.
pub fn peer_error(frame: &ConnectionClose<'_>) -> ConnectionError {
    let reason = String::from_utf8_lossy(frame.reason).into_owned();
    match frame.error {
        CloseError::Transport { code, frame_type } => ConnectionError::PeerTransport {
            code,
            frame_type,
            reason,
        },
        CloseError::Application { code } => ConnectionError::PeerApplication { code, reason },
    }
}

/// The idle timeout in force: the smaller of both sides', zero meaning none, but never so short that one
/// loss ends the connection (RFC 9000 §10.1).
pub fn idle_timeout(ours: Duration, peers: Duration, pto: Duration) -> Option<Duration> {
    let agreed = [ours, peers]
        .into_iter()
        .filter(|timeout| !timeout.is_zero())
        .min()?;
    Some(agreed.max(pto.saturating_mul(3)))
}

/// The last 16 bytes of a datagram that may be a stateless reset: it looks like a short header packet
/// (RFC 9000 §10.3).
pub fn possible_reset_token(datagram: &[u8]) -> Option<[u8; 16]> {
    let first = datagram.first()?;
    let looks_short = first & 0x80 == 0 && datagram.len() >= MIN_RESET;
    datagram.last_chunk().copied().filter(|_| looks_short)
}

/// RFC 9000 §10.3: 5 bytes of header and randomness, 16 of token.
const MIN_RESET: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::TransportError;

    #[test]
    fn answers_while_closing_get_rarer() {
        let error = TransportError::new(TransportErrorCode::NO_ERROR, 0, "bye");
        let mut close = Close::new(&error.into()).unwrap();
        assert!(close.is_due());
        close.on_sent();
        let answers = (0..1000).filter(|_| {
            close.on_arrival();
            let due = close.is_due();
            close.on_sent();
            due
        });
        assert_eq!(answers.count(), 10);
    }

    #[test]
    fn an_application_close_is_hidden_before_1_rtt() {
        let error = ConnectionError::Application {
            code: 7,
            reason: "secret".into(),
        };
        let close = Close::new(&error).unwrap();
        let early = close.frame(SpaceId::Handshake);
        assert!(early.is_transport() && early.reason.is_empty());
        assert_eq!(close.frame(SpaceId::Data).reason, b"secret");
        assert!(Close::new(&ConnectionError::IdleTimeout).is_none());
    }

    #[test]
    fn the_smaller_nonzero_idle_timeout_counts_but_not_below_three_ptos() {
        let seconds = Duration::from_secs;
        assert_eq!(idle_timeout(seconds(0), seconds(0), seconds(1)), None);
        assert_eq!(
            idle_timeout(seconds(0), seconds(9), seconds(1)),
            Some(seconds(9))
        );
        assert_eq!(
            idle_timeout(seconds(30), seconds(9), seconds(1)),
            Some(seconds(9))
        );
        assert_eq!(
            idle_timeout(seconds(30), seconds(9), seconds(5)),
            Some(seconds(15))
        );
    }

    #[test]
    fn only_short_looking_datagrams_may_be_resets() {
        let mut datagram = [0x40; 21];
        datagram[5..].fill(9);
        assert_eq!(possible_reset_token(&datagram), Some([9; 16]));
        assert_eq!(possible_reset_token(&datagram[1..]), None);
        datagram[0] = 0xc0;
        assert_eq!(possible_reset_token(&datagram), None);
        assert_eq!(possible_reset_token(&[]), None);
    }
}
