//! The messages all requests share: REQUEST_OK, REQUEST_ERROR, REQUEST_UPDATE (draft §10.5, §10.6,
//! §10.9), and GOAWAY (draft §10.4).

use super::subscribe::properties;
use crate::moqt::parameters::allowed;
use crate::moqt::varint::{prefixed, put, put_prefixed, vi64};
use crate::moqt::{FullTrackName, PResult, Parameters, Properties, RequestErrorCode};

/// The longest reason phrase (draft §1.4.4).
const MAX_REASON_LEN: usize = 1024;
/// The longest URI of a GOAWAY or redirect (draft §10.4).
const MAX_URI_LEN: usize = 8192;

/// REQUEST_OK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOk {
    /// What the request was granted.
    pub parameters: Parameters,
    /// The track's properties, in answer to TRACK_STATUS only.
    pub properties: Properties,
}

impl RequestOk {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, parameters) = Parameters::parse(i, allowed::REQUEST_OK)?;
        let (i, properties) = properties(i)?;
        Ok((
            i,
            Self {
                parameters,
                properties,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.parameters.encode(out);
        out.extend_from_slice(self.properties.as_bytes());
    }
}

/// Where else to ask (draft §10.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The URI; empty means this session's.
    pub uri: Vec<u8>,
    /// The track; empty means the one asked for.
    pub track: FullTrackName,
}

/// REQUEST_ERROR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// Why.
    pub code: RequestErrorCode,
    /// Milliseconds to wait before asking again, plus one; 0 means do not.
    pub retry_interval: u64,
    /// Why, in words.
    pub reason: String,
    /// Where else to ask, with code REDIRECT.
    pub redirect: Option<Redirect>,
}

impl RequestError {
    /// A refusal without retry.
    pub fn new(code: RequestErrorCode, reason: &str) -> Self {
        Self {
            code,
            retry_interval: 0,
            reason: reason.into(),
            redirect: None,
        }
    }

    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, code) = vi64(i)?;
        let (i, retry_interval) = vi64(i)?;
        let (i, reason) = reason(i)?;
        let code = RequestErrorCode(code);
        let (i, redirect) = if code == RequestErrorCode::REDIRECT {
            let (i, uri) = prefixed(i, MAX_URI_LEN, "URI too long")?;
            let (i, track) = FullTrackName::parse(i)?;
            (
                i,
                Some(Redirect {
                    uri: uri.to_vec(),
                    track,
                }),
            )
        } else {
            (i, None)
        };
        Ok((
            i,
            Self {
                code,
                retry_interval,
                reason,
                redirect,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.code.0);
        put(out, self.retry_interval);
        put_reason(out, &self.reason);
        if let Some(redirect) = &self.redirect {
            put_prefixed(out, &redirect.uri);
            redirect.track.encode(out);
        }
    }
}

/// REQUEST_UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestUpdate {
    /// A Request ID of its own.
    pub request_id: u64,
    /// What changes.
    pub parameters: Parameters,
}

impl RequestUpdate {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, request_id) = vi64(i)?;
        let (i, parameters) = Parameters::parse(i, allowed::REQUEST_UPDATE)?;
        Ok((
            i,
            Self {
                request_id,
                parameters,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.request_id);
        self.parameters.encode(out);
    }
}

/// GOAWAY.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoAway {
    /// Where to go; empty means here again. Clients may not name one.
    pub uri: Vec<u8>,
    /// How long the sender waits, in milliseconds; 0 means it did not say.
    pub timeout: u64,
    /// The first request that was not looked at; on the control stream only.
    pub request_id: Option<u64>,
}

impl GoAway {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, uri) = prefixed(i, MAX_URI_LEN, "URI too long")?;
        let (i, timeout) = vi64(i)?;
        let (i, request_id) = if i.is_empty() {
            (i, None)
        } else {
            let (i, id) = vi64(i)?;
            (i, Some(id))
        };
        Ok((
            i,
            Self {
                uri: uri.to_vec(),
                timeout,
                request_id,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_prefixed(out, &self.uri);
        put(out, self.timeout);
        if let Some(id) = self.request_id {
            put(out, id);
        }
    }
}

/// Parses a reason phrase; what is not UTF-8 in it is replaced.
pub(super) fn reason(i: &[u8]) -> PResult<'_, String> {
    let (i, reason) = prefixed(i, MAX_REASON_LEN, "reason phrase too long")?;
    Ok((i, String::from_utf8_lossy(reason).into_owned()))
}

/// Appends a reason phrase, cut where the draft's limit is.
pub(super) fn put_reason(out: &mut Vec<u8>, reason: &str) {
    let bytes = reason.as_bytes();
    put_prefixed(out, bytes.get(..MAX_REASON_LEN).unwrap_or(bytes));
}
