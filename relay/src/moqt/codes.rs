//! The four code spaces of draft §15.10: session close, REQUEST_ERROR, PUBLISH_DONE, stream reset.
//!
//! Unknown values are legal everywhere and mean "internal error" (draft §14), so these are open
//! newtypes, not enums.

use core::fmt;

/// Why a session is closed (draft §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u64);

impl CloseCode {
    /// No error.
    pub const NO_ERROR: Self = Self(0x0);
    /// Something of ours failed.
    pub const INTERNAL_ERROR: Self = Self(0x1);
    /// The client may not open a session.
    pub const UNAUTHORIZED: Self = Self(0x2);
    /// The peer broke a rule.
    pub const PROTOCOL_VIOLATION: Self = Self(0x3);
    /// Wrong parity, or a Request ID used twice.
    pub const INVALID_REQUEST_ID: Self = Self(0x4);
    /// One alias for two live tracks.
    pub const DUPLICATE_TRACK_ALIAS: Self = Self(0x5);
    /// A key-value pair that does not match its type.
    pub const KEY_VALUE_FORMATTING_ERROR: Self = Self(0x6);
    /// PATH where it may not be, or not served.
    pub const INVALID_PATH: Self = Self(0x8);
    /// PATH that is not a path.
    pub const MALFORMED_PATH: Self = Self(0x9);
    /// The peer stayed longer than the GOAWAY allowed.
    pub const GOAWAY_TIMEOUT: Self = Self(0x10);
    /// No answer to a control message in time.
    pub const CONTROL_MESSAGE_TIMEOUT: Self = Self(0x11);
    /// A data stream stood still inside a header.
    pub const DATA_STREAM_TIMEOUT: Self = Self(0x12);
    /// More registered tokens than we offered room for.
    pub const AUTH_TOKEN_CACHE_OVERFLOW: Self = Self(0x13);
    /// A token was to be registered under an alias that is taken.
    pub const DUPLICATE_AUTH_TOKEN_ALIAS: Self = Self(0x14);
    /// A token that is none.
    pub const MALFORMED_AUTH_TOKEN: Self = Self(0x16);
    /// No token is registered under the alias.
    pub const UNKNOWN_AUTH_TOKEN_ALIAS: Self = Self(0x17);
    /// A token whose time is over.
    pub const EXPIRED_AUTH_TOKEN: Self = Self(0x18);
    /// AUTHORITY where it may not be, or not served.
    pub const INVALID_AUTHORITY: Self = Self(0x19);
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NO_ERROR => "NO_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::UNAUTHORIZED => "UNAUTHORIZED",
            Self::PROTOCOL_VIOLATION => "PROTOCOL_VIOLATION",
            Self::INVALID_REQUEST_ID => "INVALID_REQUEST_ID",
            Self::DUPLICATE_TRACK_ALIAS => "DUPLICATE_TRACK_ALIAS",
            Self::KEY_VALUE_FORMATTING_ERROR => "KEY_VALUE_FORMATTING_ERROR",
            Self::INVALID_PATH => "INVALID_PATH",
            Self::MALFORMED_PATH => "MALFORMED_PATH",
            Self::GOAWAY_TIMEOUT => "GOAWAY_TIMEOUT",
            Self::CONTROL_MESSAGE_TIMEOUT => "CONTROL_MESSAGE_TIMEOUT",
            Self::DATA_STREAM_TIMEOUT => "DATA_STREAM_TIMEOUT",
            Self::AUTH_TOKEN_CACHE_OVERFLOW => "AUTH_TOKEN_CACHE_OVERFLOW",
            Self::DUPLICATE_AUTH_TOKEN_ALIAS => "DUPLICATE_AUTH_TOKEN_ALIAS",
            Self::MALFORMED_AUTH_TOKEN => "MALFORMED_AUTH_TOKEN",
            Self::EXPIRED_AUTH_TOKEN => "EXPIRED_AUTH_TOKEN",
            Self::UNKNOWN_AUTH_TOKEN_ALIAS => "UNKNOWN_AUTH_TOKEN_ALIAS",
            Self::INVALID_AUTHORITY => "INVALID_AUTHORITY",
            Self(code) => return write!(f, "code {code:#x}"),
        };
        f.write_str(name)
    }
}

/// Why a request was refused (draft §10.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestErrorCode(pub u64);

impl RequestErrorCode {
    /// Something failed.
    pub const INTERNAL_ERROR: Self = Self(0x0);
    /// Not allowed.
    pub const UNAUTHORIZED: Self = Self(0x1);
    /// Not in time.
    pub const TIMEOUT: Self = Self(0x2);
    /// This endpoint does not do that.
    pub const NOT_SUPPORTED: Self = Self(0x3);
    /// A token that is none.
    pub const MALFORMED_AUTH_TOKEN: Self = Self(0x4);
    /// A token whose time is over.
    pub const EXPIRED_AUTH_TOKEN: Self = Self(0x5);
    /// The session is ending.
    pub const GOING_AWAY: Self = Self(0x6);
    /// Too much at the moment.
    pub const EXCESSIVE_LOAD: Self = Self(0x9);
    /// No such track or namespace.
    pub const DOES_NOT_EXIST: Self = Self(0x10);
    /// The range or filter cannot be satisfied.
    pub const INVALID_RANGE: Self = Self(0x11);
    /// The track broke the rules of the object model.
    pub const MALFORMED_TRACK: Self = Self(0x12);
    /// A second subscription to one track in one role.
    pub const DUPLICATE_SUBSCRIPTION: Self = Self(0x19);
    /// The subscriber does not want the track.
    pub const UNINTERESTED: Self = Self(0x20);
    /// The prefix overlaps another one of the session.
    pub const PREFIX_OVERLAP: Self = Self(0x30);
    /// The prefix matches more than we are willing to list.
    pub const NAMESPACE_TOO_LARGE: Self = Self(0x31);
    /// A joining FETCH without its subscription.
    pub const INVALID_JOINING_REQUEST_ID: Self = Self(0x32);
    /// A mandatory track property we do not understand.
    pub const UNSUPPORTED_EXTENSION: Self = Self(0x33);
    /// Ask elsewhere.
    pub const REDIRECT: Self = Self(0x34);
}

/// Why a subscription ended (draft §10.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DoneCode(pub u64);

impl DoneCode {
    /// Something failed.
    pub const INTERNAL_ERROR: Self = Self(0x0);
    /// No longer allowed.
    pub const UNAUTHORIZED: Self = Self(0x1);
    /// The track is over.
    pub const TRACK_ENDED: Self = Self(0x2);
    /// The end of the filter was reached.
    pub const SUBSCRIPTION_ENDED: Self = Self(0x3);
    /// The session is ending.
    pub const GOING_AWAY: Self = Self(0x4);
    /// The subscriber cannot keep up.
    pub const TOO_FAR_BEHIND: Self = Self(0x5);
    /// The subscription's time is over.
    pub const EXPIRED: Self = Self(0x6);
    /// A REQUEST_UPDATE failed.
    pub const UPDATE_FAILED: Self = Self(0x8);
    /// Too much at the moment.
    pub const EXCESSIVE_LOAD: Self = Self(0x9);
    /// The track broke the rules of the object model.
    pub const MALFORMED_TRACK: Self = Self(0x12);
}

/// Why a stream was reset or stopped (draft §3.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResetCode(pub u64);

impl ResetCode {
    /// Something failed.
    pub const INTERNAL_ERROR: Self = Self(0x0);
    /// No longer wanted.
    pub const CANCELLED: Self = Self(0x1);
    /// A delivery timeout passed.
    pub const DELIVERY_TIMEOUT: Self = Self(0x2);
    /// The session ends.
    pub const SESSION_CLOSED: Self = Self(0x3);
    /// After a GOAWAY.
    pub const GOING_AWAY: Self = Self(0x4);
    /// The subscriber cannot keep up.
    pub const TOO_FAR_BEHIND: Self = Self(0x5);
    /// The token for the request has expired.
    pub const EXPIRED_AUTH_TOKEN: Self = Self(0x7);
    /// In a FETCH: whether the next object exists is not known.
    pub const UNKNOWN_OBJECT_STATUS: Self = Self(0x6);
    /// Too much at the moment.
    pub const EXCESSIVE_LOAD: Self = Self(0x9);
    /// The track broke the rules of the object model.
    pub const MALFORMED_TRACK: Self = Self(0x12);
}
