//! CONNECTION_CLOSE frames (RFC 9000 §19.19): the transport's (0x1c) and the application's (0x1d).
//! The reason is the peer's bytes, not necessarily text; `Display` escapes it.

use super::crypto::put_with_length;
use super::frame_type;
use crate::error::TransportErrorCode;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, bytes, varint};
use core::fmt;

/// The peer ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionClose<'a> {
    /// Who closed, and why.
    pub error: CloseError,
    /// For humans.
    pub reason: &'a [u8],
}

/// Who closed a connection, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseError {
    /// QUIC itself.
    Transport {
        /// Why.
        code: TransportErrorCode,
        /// The type of the frame that triggered it; 0 when unknown.
        frame_type: u64,
    },
    /// The application.
    Application {
        /// Why, in its own terms.
        code: u64,
    },
}

impl<'a> ConnectionClose<'a> {
    pub(super) fn parse_transport(i: &'a [u8]) -> PResult<'a, Self> {
        let (i, code) = varint::parse(i)?;
        let (i, frame_type) = varint::parse(i)?;
        let (i, length) = varint::parse(i)?;
        let (i, reason) = bytes(length)(i)?;
        let code = TransportErrorCode(code);
        Ok((
            i,
            Self {
                error: CloseError::Transport { code, frame_type },
                reason,
            },
        ))
    }

    pub(super) fn parse_application(i: &'a [u8]) -> PResult<'a, Self> {
        let (i, code) = varint::parse(i)?;
        let (i, length) = varint::parse(i)?;
        let (i, reason) = bytes(length)(i)?;
        Ok((
            i,
            Self {
                error: CloseError::Application { code },
                reason,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(self.frame_type())?;
        match self.error {
            CloseError::Transport { code, frame_type } => {
                out.varint(code.0)?;
                out.varint(frame_type)?;
            }
            CloseError::Application { code } => out.varint(code)?,
        }
        put_with_length(self.reason, out)
    }

    /// Whether QUIC itself closed.
    pub const fn is_transport(&self) -> bool {
        matches!(self.error, CloseError::Transport { .. })
    }

    pub(super) const fn frame_type(&self) -> u64 {
        if self.is_transport() {
            frame_type::CONNECTION_CLOSE
        } else {
            frame_type::APPLICATION_CLOSE
        }
    }
}

impl fmt::Display for ConnectionClose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.escape_ascii();
        match self.error {
            CloseError::Transport { code, frame_type } => {
                write!(
                    f,
                    "CONNECTION_CLOSE {code} frame_type={frame_type:#x} reason=\"{reason}\""
                )
            }
            CloseError::Application { code } => {
                write!(
                    f,
                    "CONNECTION_CLOSE application code={code:#x} reason=\"{reason}\""
                )
            }
        }
    }
}
