//! What went wrong while parsing (draft §3.4 for the codes). The only file that knows nom's traits.

use core::fmt;

use nom::error::{ErrorKind, ParseError};

use super::CloseCode;

/// A parse failure: the session close code it leads to, and what was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoqtError {
    /// The code to close the session with; `None` when the input only ended too early.
    code: Option<CloseCode>,
    /// Which rule was broken.
    pub reason: &'static str,
}

impl MoqtError {
    /// The input ended inside a field.
    pub const TRUNCATED: Self = Self {
        code: None,
        reason: "truncated",
    };

    /// A broken rule, with the code the draft names for it.
    pub const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self {
            code: Some(code),
            reason,
        }
    }

    /// A broken rule that closes the session as a protocol violation.
    pub const fn violation(reason: &'static str) -> Self {
        Self::new(CloseCode::PROTOCOL_VIOLATION, reason)
    }

    /// Whether more bytes could still make the input valid.
    pub const fn is_truncated(&self) -> bool {
        self.code.is_none()
    }

    /// The session close code; a truncated message is a protocol violation.
    pub const fn code(&self) -> CloseCode {
        match self.code {
            Some(code) => code,
            None => CloseCode::PROTOCOL_VIOLATION,
        }
    }

    /// The same as a nom error, which no alternative can take back.
    pub const fn fail<T>(self) -> Result<T, nom::Err<Self>> {
        Err(nom::Err::Failure(self))
    }
}

impl fmt::Display for MoqtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.reason)
    }
}

impl std::error::Error for MoqtError {}

impl ParseError<&[u8]> for MoqtError {
    fn from_error_kind(_: &[u8], kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Eof => Self::TRUNCATED,
            _ => Self::violation("malformed"),
        }
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl From<nom::Err<Self>> for MoqtError {
    fn from(error: nom::Err<Self>) -> Self {
        match error {
            nom::Err::Incomplete(_) => Self::TRUNCATED,
            nom::Err::Error(error) | nom::Err::Failure(error) => error,
        }
    }
}
