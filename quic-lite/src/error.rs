//! Why a connection ends: transport error codes (RFC 9000 §20.1) and what the application is told.
//!
//! Promise: a reason that we produce is a fixed string; a reason from the peer is no longer than its packet.
//! Application error codes (§20.2) are plain numbers, they mean nothing here.

use alloc::string::String;
use core::fmt::{self, Write as _};

/// A transport error code (RFC 9000 §20.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransportErrorCode(pub u64);

impl TransportErrorCode {
    /// The connection is closed without an error.
    pub const NO_ERROR: Self = Self(0x00);
    /// The endpoint cannot continue.
    pub const INTERNAL_ERROR: Self = Self(0x01);
    /// The server does not want this connection.
    pub const CONNECTION_REFUSED: Self = Self(0x02);
    /// More data than was allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x03);
    /// A stream beyond the advertised count.
    pub const STREAM_LIMIT_ERROR: Self = Self(0x04);
    /// A frame that the stream's state does not permit.
    pub const STREAM_STATE_ERROR: Self = Self(0x05);
    /// The final size changed, or was below received data.
    pub const FINAL_SIZE_ERROR: Self = Self(0x06);
    /// A frame that cannot be decoded.
    pub const FRAME_ENCODING_ERROR: Self = Self(0x07);
    /// Transport parameters that are malformed, forbidden or do not match the handshake.
    pub const TRANSPORT_PARAMETER_ERROR: Self = Self(0x08);
    /// More connection IDs than were allowed.
    pub const CONNECTION_ID_LIMIT_ERROR: Self = Self(0x09);
    /// A violation that no other code describes.
    pub const PROTOCOL_VIOLATION: Self = Self(0x0a);
    /// A client Initial carried a token that is not valid.
    pub const INVALID_TOKEN: Self = Self(0x0b);
    /// The application closed the connection (sent before 1-RTT keys may be used).
    pub const APPLICATION_ERROR: Self = Self(0x0c);
    /// More CRYPTO data than is buffered.
    pub const CRYPTO_BUFFER_EXCEEDED: Self = Self(0x0d);
    /// Key updates that break RFC 9001 §6.
    pub const KEY_UPDATE_ERROR: Self = Self(0x0e);
    /// The AEAD's confidentiality or integrity limit is used up.
    pub const AEAD_LIMIT_REACHED: Self = Self(0x0f);
    /// No path can carry a QUIC packet.
    pub const NO_VIABLE_PATH: Self = Self(0x10);

    /// The code for a TLS alert (RFC 9001 §4.8).
    pub const fn crypto(alert: u8) -> Self {
        Self(0x0100 | alert as u64)
    }

    /// The TLS alert, when this is a code of the CRYPTO_ERROR range.
    pub fn alert(self) -> Option<u8> {
        if self.0 >> 8 != 1 {
            return None;
        }
        u8::try_from(self.0 & 0xff).ok()
    }

    fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 17] = [
            "NO_ERROR",
            "INTERNAL_ERROR",
            "CONNECTION_REFUSED",
            "FLOW_CONTROL_ERROR",
            "STREAM_LIMIT_ERROR",
            "STREAM_STATE_ERROR",
            "FINAL_SIZE_ERROR",
            "FRAME_ENCODING_ERROR",
            "TRANSPORT_PARAMETER_ERROR",
            "CONNECTION_ID_LIMIT_ERROR",
            "PROTOCOL_VIOLATION",
            "INVALID_TOKEN",
            "APPLICATION_ERROR",
            "CRYPTO_BUFFER_EXCEEDED",
            "KEY_UPDATE_ERROR",
            "AEAD_LIMIT_REACHED",
            "NO_VIABLE_PATH",
        ];
        let at = usize::try_from(self.0).ok()?;
        NAMES.get(at).copied()
    }
}

impl fmt::Display for TransportErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.alert()) {
            (Some(name), _) => f.write_str(name),
            (None, Some(alert)) => write!(f, "CRYPTO_ERROR(alert {alert})"),
            (None, None) => write!(f, "{:#x}", self.0),
        }
    }
}

/// A violation that ends the connection: what is sent in CONNECTION_CLOSE (RFC 9000 §19.19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// The code on the wire.
    pub code: TransportErrorCode,
    /// The type of the frame that triggered it; 0 when no frame is known.
    pub frame_type: u64,
    /// One line for a human.
    pub reason: &'static str,
}

impl TransportError {
    /// An error triggered by a frame of type `frame_type`; 0 when no frame is known.
    pub const fn new(code: TransportErrorCode, frame_type: u64, reason: &'static str) -> Self {
        Self {
            code,
            frame_type,
            reason,
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)?;
        match self.frame_type {
            0 => Ok(()),
            frame_type => write!(f, " (frame type {frame_type:#x})"),
        }
    }
}

impl core::error::Error for TransportError {}

/// Why a connection is no more, as the application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionError {
    /// We closed it: the peer broke the protocol, or we could not go on.
    Transport(TransportError),
    /// The peer's transport closed it.
    PeerTransport {
        /// The peer's code.
        code: TransportErrorCode,
        /// The frame type the peer blames; 0 when unknown.
        frame_type: u64,
        /// The peer's words.
        reason: String,
    },
    /// The peer's application closed it.
    PeerApplication {
        /// The application's code.
        code: u64,
        /// The peer's words.
        reason: String,
    },
    /// Our application closed it.
    Application {
        /// The application's code.
        code: u64,
        /// The application's words.
        reason: String,
    },
    /// Nothing arrived for the idle timeout (RFC 9000 §10.1).
    IdleTimeout,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The peer has lost the connection's state (RFC 9000 §10.3).
    StatelessReset,
    /// The server speaks no version that we do (RFC 9000 §6.2).
    VersionNegotiation,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "closed: {error}"),
            Self::PeerTransport {
                code,
                frame_type: 0,
                reason,
            } => {
                write!(f, "closed by peer: {code}: {}", OneLine(reason))
            }
            Self::PeerTransport {
                code,
                frame_type,
                reason,
            } => {
                let reason = OneLine(reason);
                write!(
                    f,
                    "closed by peer: {code}: {reason} (frame type {frame_type:#x})"
                )
            }
            Self::PeerApplication { code, reason } => {
                let reason = OneLine(reason);
                write!(f, "closed by peer's application: code {code:#x}: {reason}")
            }
            Self::Application { code, reason } => {
                write!(f, "closed by application: code {code:#x}: {reason}")
            }
            Self::IdleTimeout => f.write_str("idle timeout"),
            Self::HandshakeTimeout => f.write_str("handshake timeout"),
            Self::StatelessReset => f.write_str("stateless reset by peer"),
            Self::VersionNegotiation => f.write_str("no common QUIC version"),
        }
    }
}

impl core::error::Error for ConnectionError {}

/// The peer's words without what would break a line of a log, or command a terminal.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char.is_control() {
            true => write!(f, "{}", char.escape_default()),
            false => f.write_char(char),
        })
    }
}

impl From<TransportError> for ConnectionError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::string::ToString;

    #[test]
    fn codes_print_by_name_alert_or_number() {
        assert_eq!(
            TransportErrorCode::NO_VIABLE_PATH.to_string(),
            "NO_VIABLE_PATH"
        );
        assert_eq!(
            TransportErrorCode::FRAME_ENCODING_ERROR.to_string(),
            "FRAME_ENCODING_ERROR"
        );
        assert_eq!(
            TransportErrorCode::crypto(40).to_string(),
            "CRYPTO_ERROR(alert 40)"
        );
        assert_eq!(TransportErrorCode(0x200).to_string(), "0x200");
    }

    #[test]
    fn alert_is_read_from_the_crypto_range_only() {
        assert_eq!(TransportErrorCode::crypto(120).alert(), Some(120));
        assert_eq!(TransportErrorCode(0x78).alert(), None);
        assert_eq!(TransportErrorCode(0x0200).alert(), None);
    }

    #[test]
    fn errors_name_the_frame_only_when_one_is_known() {
        let known = TransportError::new(
            TransportErrorCode::PROTOCOL_VIOLATION,
            0x1e,
            "from a client",
        );
        assert_eq!(
            known.to_string(),
            "PROTOCOL_VIOLATION: from a client (frame type 0x1e)"
        );
        let unknown = TransportError {
            frame_type: 0,
            ..known
        };
        assert_eq!(
            ConnectionError::from(unknown).to_string(),
            "closed: PROTOCOL_VIOLATION: from a client"
        );
    }
    #[test]
    fn what_a_peer_says_stays_on_one_line() {
        let error = ConnectionError::PeerApplication {
            code: 7,
            reason: "no\n12:00 all is well \u{1b}[2J\u{85}ü".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "closed by peer's application: code 0x7: no\\n12:00 all is well \\u{1b}[2J\\u{85}ü"
        );
    }
}
