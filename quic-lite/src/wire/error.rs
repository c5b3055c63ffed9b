//! Why bytes were refused. The only file that knows nom's error traits. Codes: RFC 9000 §20.1.

use crate::error::{TransportError, TransportErrorCode};
use core::fmt;
use nom::error::{ErrorKind, ParseError};

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireErrorKind {
    /// A field reaches beyond the end of its container.
    Truncated,
    /// Bytes that no rule describes.
    Malformed,
    /// A header's fixed bit is zero (RFC 9000 §17.2, §17.3.1).
    FixedBitZero,
    /// A connection ID of a length that its place does not allow (RFC 9000 §17.2, §19.15).
    ConnectionIdLength,
    /// A frame type this endpoint does not know (RFC 9000 §12.4).
    UnknownFrameType,
    /// A frame type in more bytes than needed (RFC 9000 §12.4).
    FrameTypeNotMinimal,
    /// ACK ranges that go below packet number 0 (RFC 9000 §19.3.1).
    AckRangeBelowZero,
    /// Stream or crypto data that ends beyond 2^62-1 (RFC 9000 §19.6, §19.8).
    OffsetTooLarge,
    /// More than 2^60 streams (RFC 9000 §4.6).
    StreamCountTooLarge,
    /// NEW_TOKEN with an empty token (RFC 9000 §19.7).
    EmptyToken,
    /// NEW_CONNECTION_ID that retires itself (RFC 9000 §19.15).
    RetirePriorToTooLarge,
    /// The same transport parameter twice (RFC 9000 §7.4).
    ParameterTwice,
    /// A transport parameter with a value its definition forbids (RFC 9000 §18.2).
    ParameterValue,
    /// A server's transport parameter sent by a client (RFC 9000 §18.2).
    ParameterFromClient,
    /// A truncated transport parameter, or one whose length does not match its value.
    ParameterLength,
}

impl WireErrorKind {
    fn code(self) -> TransportErrorCode {
        match self {
            Self::FrameTypeNotMinimal => TransportErrorCode::PROTOCOL_VIOLATION,
            Self::ParameterTwice
            | Self::ParameterValue
            | Self::ParameterFromClient
            | Self::ParameterLength => TransportErrorCode::TRANSPORT_PARAMETER_ERROR,
            _ => TransportErrorCode::FRAME_ENCODING_ERROR,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated field",
            Self::Malformed => "malformed",
            Self::FixedBitZero => "fixed bit is zero",
            Self::ConnectionIdLength => "invalid connection ID length",
            Self::UnknownFrameType => "unknown frame type",
            Self::FrameTypeNotMinimal => "frame type not in its shortest form",
            Self::AckRangeBelowZero => "ACK range below packet number zero",
            Self::OffsetTooLarge => "data beyond the largest offset",
            Self::StreamCountTooLarge => "more streams than stream IDs",
            Self::EmptyToken => "empty token",
            Self::RetirePriorToTooLarge => "retire prior to is above the sequence number",
            Self::ParameterTwice => "transport parameter repeated",
            Self::ParameterValue => "transport parameter value not allowed",
            Self::ParameterFromClient => "transport parameter not allowed from a client",
            Self::ParameterLength => "transport parameter of wrong length",
        }
    }
}

/// A refusal: what, and in which frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// What is wrong.
    pub kind: WireErrorKind,
    /// The type of the frame it stands in, when that was readable.
    pub frame_type: Option<u64>,
}

impl WireError {
    /// A refusal outside any frame.
    pub const fn new(kind: WireErrorKind) -> Self {
        Self {
            kind,
            frame_type: None,
        }
    }

    /// The same refusal, inside a frame of type `frame_type`.
    pub const fn in_frame(self, frame_type: u64) -> Self {
        Self {
            frame_type: Some(frame_type),
            ..self
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.reason())?;
        match self.frame_type {
            Some(frame_type) => write!(f, " in frame type {frame_type:#x}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for WireError {}

impl From<WireError> for TransportError {
    fn from(error: WireError) -> Self {
        Self::new(
            error.kind.code(),
            error.frame_type.unwrap_or(0),
            error.kind.reason(),
        )
    }
}

impl From<nom::Err<WireError>> for WireError {
    fn from(error: nom::Err<WireError>) -> Self {
        match error {
            nom::Err::Error(error) | nom::Err::Failure(error) => error,
            nom::Err::Incomplete(_) => Self::new(WireErrorKind::Truncated),
        }
    }
}

impl<'a> ParseError<&'a [u8]> for WireError {
    // What ends too soon is refused by our own parsers, before a combinator could.
    fn from_error_kind(_: &'a [u8], _: ErrorKind) -> Self {
        Self::new(WireErrorKind::Malformed)
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// The parse result that says `kind`.
pub(super) const fn refuse<T>(kind: WireErrorKind) -> Result<T, nom::Err<WireError>> {
    Err(nom::Err::Error(WireError::new(kind)))
}

/// `Ok` when `condition` holds, else the refusal `kind`.
pub(super) const fn ensure(
    condition: bool,
    kind: WireErrorKind,
) -> Result<(), nom::Err<WireError>> {
    if condition { Ok(()) } else { refuse(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_error_names_its_frame_and_maps_to_its_code() {
        let error = WireError::new(WireErrorKind::AckRangeBelowZero).in_frame(0x02);
        assert_eq!(
            error.to_string(),
            "ACK range below packet number zero in frame type 0x2"
        );
        let transport = TransportError::from(error);
        assert_eq!(transport.code, TransportErrorCode::FRAME_ENCODING_ERROR);
        assert_eq!(transport.frame_type, 2);
    }

    #[test]
    fn parameter_errors_and_type_errors_have_their_own_codes() {
        let code = |kind| TransportError::from(WireError::new(kind)).code;
        assert_eq!(
            code(WireErrorKind::ParameterTwice),
            TransportErrorCode::TRANSPORT_PARAMETER_ERROR
        );
        assert_eq!(
            code(WireErrorKind::FrameTypeNotMinimal),
            TransportErrorCode::PROTOCOL_VIOLATION
        );
    }
}
