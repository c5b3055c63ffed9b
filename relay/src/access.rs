//! Who may publish and subscribe what: tokens (JWT, RFC 7519) in SETUP, in requests or in the URL.
//! MOQT draft §9.1, §9.3, §10.2.2.
//!
//! An `Access` knows the key and the time of day and turns a token into a [`Grant`]; a peer's
//! `Rights` are the grants it has shown: those of SETUP and the URL count for all of the session, that
//! of a request for this request. The one place where a request is let through or refused, and where
//! rights end, is `serve::admission`.
//!
//! Promise: with a key, whoever has shown no valid token gets and sends nothing; no part of a token is ever
//! logged. Without a key, everybody may do everything.
//!
//! ```
//! use quic_relay::access::{AuthKey, Claims};
//! let key = AuthKey::read(b"one-line-of-at-least-32-characters")?;
//! let claims = Claims { get: vec!["live".into()], ..Claims::default() };
//! let token = key.sign(&claims)?;
//! assert_eq!(key.check(token.as_bytes()), Ok(claims));
//! # Ok::<(), quic_relay::access::KeyError>(())
//! ```

mod claims;
mod key;
mod provider;
mod rights;

use core::fmt;
use core::time::Duration;

use quic_lite::Time;

use crate::moqt::{CloseCode, RequestErrorCode};

pub use claims::{Claims, Grant};
pub(crate) use claims::{NEVER, full_name};
pub use key::{AuthKey, KeyError};
pub(crate) use rights::{Rights, token_values};

/// What somebody wants to do with a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring tracks.
    Publish,
    /// Take them, or hear of them.
    Subscribe,
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No token allows it.
    Missing,
    /// A token that cannot be read, or is too long.
    Malformed,
    /// A token that another key has signed, or none.
    Forged,
    /// A token whose time is over.
    Expired,
    /// A token whose time comes in so long.
    Early(Duration),
    /// More tokens than one peer may show.
    TooMany,
}

/// The key and the time of day.
#[derive(Debug)]
pub(crate) struct Access {
    key: Option<AuthKey>,
    /// The time of day at [`Time::ZERO`]; until it is known, no token counts.
    origin: Option<u64>,
}

impl Access {
    /// Tokens count that `key` has signed; without a key none is asked for.
    pub(crate) const fn new(key: Option<AuthKey>) -> Self {
        Self { key, origin: None }
    }

    /// Whether everybody may do everything.
    pub(crate) const fn is_open(&self) -> bool {
        self.key.is_none()
    }

    /// What time of day it is, in microseconds since 1970. Whether that was a jump: then what was computed
    /// from it is to be computed again.
    pub(crate) fn set_clock(&mut self, now: Time, unix: u64) -> bool {
        let origin = unix.saturating_sub(now.as_micros());
        if self.origin.is_some_and(|old| old.abs_diff(origin) < JUMP) {
            return false;
        }
        self.origin.replace(origin).is_some()
    }

    /// The time of day.
    pub(crate) fn unix(&self, now: Time) -> Option<u64> {
        Some(self.origin?.saturating_add(now.as_micros()))
    }

    /// When it will be this time of day.
    pub(crate) fn time_at(&self, unix: u64) -> Time {
        Time::from_micros(unix.saturating_sub(self.origin.unwrap_or(0)))
    }

    /// What a token allows, at its time.
    fn check(&self, token: &[u8], unix: u64) -> Result<Grant, Denied> {
        let key = self.key.as_ref().ok_or(Denied::Missing)?;
        let grant = Grant::try_from(key.check(token)?)?;
        in_time(&grant, unix).map(|()| grant)
    }
}

fn in_time(grant: &Grant, unix: u64) -> Result<(), Denied> {
    if grant.is_over(unix) {
        return Err(Denied::Expired);
    }
    match grant.begins().checked_sub(unix) {
        None | Some(0) => Ok(()),
        Some(left) => Err(Denied::Early(Duration::from_micros(left))),
    }
}

impl Denied {
    /// What a session is closed with that began so (draft §3.4).
    pub(crate) const fn close_code(self) -> CloseCode {
        match self {
            Self::Malformed => CloseCode::MALFORMED_AUTH_TOKEN,
            Self::Expired => CloseCode::EXPIRED_AUTH_TOKEN,
            _ => CloseCode::UNAUTHORIZED,
        }
    }

    /// What a request is refused with (draft §10.6).
    pub(crate) const fn request_code(self) -> RequestErrorCode {
        match self {
            Self::Malformed => RequestErrorCode::MALFORMED_AUTH_TOKEN,
            Self::Expired => RequestErrorCode::EXPIRED_AUTH_TOKEN,
            Self::TooMany => RequestErrorCode::EXCESSIVE_LOAD,
            _ => RequestErrorCode::UNAUTHORIZED,
        }
    }

    /// In words, for peers and logs.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no token allows it",
            Self::Malformed => "malformed token",
            Self::Forged => "not a token of this relay's key",
            Self::Expired => "the token has expired",
            Self::Early(_) => "the token is not valid yet",
            Self::TooMany => "too many tokens",
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// Clocks that are set differ by more than this from those that only run unevenly.
const JUMP: u64 = 100_000;
