//! Control messages (draft §10): `type, length (16 bits), body`.
//!
//! A message is parsed only when all of it is there, and its body has to be used up exactly.

mod fetch;
mod namespace;
mod publish;
mod request;
mod subscribe;

pub use fetch::{Fetch, FetchOk, FetchRange};
pub use namespace::{NamespaceRequest, PublishBlocked};
pub use publish::{Publish, PublishDone, UNKNOWN_STREAM_COUNT};
pub use request::{GoAway, Redirect, RequestError, RequestOk, RequestUpdate};
pub use subscribe::{Subscribe, SubscribeOk};

use super::varint::{put, take, vi64};
use super::{MoqtError, Namespace, PResult, Parameters, Setup};

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first message of a control stream.
    Setup(Setup),
    /// The session, or one request, is to move on.
    GoAway(GoAway),
    /// Yes, to anything but SUBSCRIBE and FETCH.
    RequestOk(RequestOk),
    /// No.
    RequestError(RequestError),
    /// Other parameters for a request.
    RequestUpdate(RequestUpdate),
    /// The wish for a track.
    Subscribe(Subscribe),
    /// The alias of a subscribed track.
    SubscribeOk(SubscribeOk),
    /// The question how far a track is.
    TrackStatus(Subscribe),
    /// The offer of a track.
    Publish(Publish),
    /// The end of a subscription.
    PublishDone(PublishDone),
    /// The wish for past objects.
    Fetch(Fetch),
    /// How far a FETCH will go.
    FetchOk(FetchOk),
    /// The offer of all tracks below a namespace.
    PublishNamespace(NamespaceRequest),
    /// The wish to hear of namespaces.
    SubscribeNamespace(NamespaceRequest),
    /// The wish for all tracks below a namespace.
    SubscribeTracks(NamespaceRequest),
    /// A namespace exists; what follows the prefix.
    Namespace(Namespace),
    /// A namespace is gone; what follows the prefix.
    NamespaceDone(Namespace),
    /// A track that could not be offered.
    PublishBlocked(PublishBlocked),
}

/// Message types (draft §10, table 3).
mod kind {
    pub const REQUEST_UPDATE: u64 = 0x02;
    pub const SUBSCRIBE: u64 = 0x03;
    pub const SUBSCRIBE_OK: u64 = 0x04;
    pub const REQUEST_ERROR: u64 = 0x05;
    pub const PUBLISH_NAMESPACE: u64 = 0x06;
    pub const REQUEST_OK: u64 = 0x07;
    pub const NAMESPACE: u64 = 0x08;
    pub const PUBLISH_DONE: u64 = 0x0b;
    pub const TRACK_STATUS: u64 = 0x0d;
    pub const NAMESPACE_DONE: u64 = 0x0e;
    pub const PUBLISH_BLOCKED: u64 = 0x0f;
    pub const GOAWAY: u64 = 0x10;
    pub const FETCH: u64 = 0x16;
    pub const FETCH_OK: u64 = 0x18;
    pub const PUBLISH: u64 = 0x1d;
    /// The draft's table still lists it beside REQUEST_OK.
    pub const PUBLISH_OK: u64 = 0x1e;
    pub const SUBSCRIBE_NAMESPACE: u64 = 0x50;
    pub const SUBSCRIBE_TRACKS: u64 = 0x51;
    pub const SETUP: u64 = 0x2f00;
}

/// The most bytes a message can take: nine of type, two of length, the body.
pub const MAX_MESSAGE_LEN: usize = 9 + 2 + 65_535;

/// The type of a control stream's first message.
pub const SETUP_TYPE: u64 = kind::SETUP;

impl Message {
    /// The message at the front of `i` and how many bytes it took; `None` while it is incomplete.
    pub fn decode(i: &[u8]) -> Result<Option<(Self, usize)>, MoqtError> {
        let (rest, (kind, body)) = match frame(i) {
            Ok(framed) => framed,
            Err(error) => {
                let error = MoqtError::from(error);
                return if error.is_truncated() {
                    Ok(None)
                } else {
                    Err(error)
                };
            }
        };
        let message = Self::body(kind, body)?;
        Ok(Some((message, i.len().saturating_sub(rest.len()))))
    }

    fn body(kind: u64, body: &[u8]) -> Result<Self, MoqtError> {
        if kind == kind::SETUP {
            return Setup::parse_all(body).map(Self::Setup);
        }
        let (rest, message) = match kind {
            kind::GOAWAY => map(GoAway::parse(body), Self::GoAway),
            kind::REQUEST_OK | kind::PUBLISH_OK => map(RequestOk::parse(body), Self::RequestOk),
            kind::REQUEST_ERROR => map(RequestError::parse(body), Self::RequestError),
            kind::REQUEST_UPDATE => map(RequestUpdate::parse(body), Self::RequestUpdate),
            kind::SUBSCRIBE => map(Subscribe::parse(body), Self::Subscribe),
            kind::SUBSCRIBE_OK => map(SubscribeOk::parse(body), Self::SubscribeOk),
            kind::TRACK_STATUS => map(Subscribe::parse(body), Self::TrackStatus),
            kind::PUBLISH => map(Publish::parse(body), Self::Publish),
            kind::PUBLISH_DONE => map(PublishDone::parse(body), Self::PublishDone),
            kind::FETCH => map(Fetch::parse(body), Self::Fetch),
            kind::FETCH_OK => map(FetchOk::parse(body), Self::FetchOk),
            kind::PUBLISH_NAMESPACE => map(NamespaceRequest::parse(body), Self::PublishNamespace),
            kind::SUBSCRIBE_NAMESPACE => {
                map(NamespaceRequest::parse(body), Self::SubscribeNamespace)
            }
            kind::SUBSCRIBE_TRACKS => {
                map(NamespaceRequest::parse_tracks(body), Self::SubscribeTracks)
            }
            kind::NAMESPACE => map(Namespace::parse(body), Self::Namespace),
            kind::NAMESPACE_DONE => map(Namespace::parse(body), Self::NamespaceDone),
            kind::PUBLISH_BLOCKED => map(PublishBlocked::parse(body), Self::PublishBlocked),
            _ => MoqtError::violation("unknown message type").fail(),
        }?;
        if !rest.is_empty() {
            return Err(MoqtError::violation("message longer than its fields"));
        }
        Ok(message)
    }

    /// Appends type, length and body. A body over 65535 bytes cannot be sent: false, nothing written.
    #[must_use]
    pub fn encode(&self, out: &mut Vec<u8>) -> bool {
        let mut body = Vec::new();
        self.encode_body(&mut body);
        let Ok(len) = u16::try_from(body.len()) else {
            return false;
        };
        put(out, self.kind());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&body);
        true
    }

    const fn kind(&self) -> u64 {
        match self {
            Self::Setup(_) => kind::SETUP,
            Self::GoAway(_) => kind::GOAWAY,
            Self::RequestOk(_) => kind::REQUEST_OK,
            Self::RequestError(_) => kind::REQUEST_ERROR,
            Self::RequestUpdate(_) => kind::REQUEST_UPDATE,
            Self::Subscribe(_) => kind::SUBSCRIBE,
            Self::SubscribeOk(_) => kind::SUBSCRIBE_OK,
            Self::TrackStatus(_) => kind::TRACK_STATUS,
            Self::Publish(_) => kind::PUBLISH,
            Self::PublishDone(_) => kind::PUBLISH_DONE,
            Self::Fetch(_) => kind::FETCH,
            Self::FetchOk(_) => kind::FETCH_OK,
            Self::PublishNamespace(_) => kind::PUBLISH_NAMESPACE,
            Self::SubscribeNamespace(_) => kind::SUBSCRIBE_NAMESPACE,
            Self::SubscribeTracks(_) => kind::SUBSCRIBE_TRACKS,
            Self::Namespace(_) => kind::NAMESPACE,
            Self::NamespaceDone(_) => kind::NAMESPACE_DONE,
            Self::PublishBlocked(_) => kind::PUBLISH_BLOCKED,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Setup(setup) => setup.encode(out),
            Self::GoAway(message) => message.encode(out),
            Self::RequestOk(message) => message.encode(out),
            Self::RequestError(message) => message.encode(out),
            Self::RequestUpdate(message) => message.encode(out),
            Self::Subscribe(message) | Self::TrackStatus(message) => message.encode(out),
            Self::SubscribeOk(message) => message.encode(out),
            Self::Publish(message) => message.encode(out),
            Self::PublishDone(message) => message.encode(out),
            Self::Fetch(message) => message.encode(out),
            Self::FetchOk(message) => message.encode(out),
            Self::PublishNamespace(message)
            | Self::SubscribeNamespace(message)
            | Self::SubscribeTracks(message) => message.encode(out),
            Self::Namespace(suffix) | Self::NamespaceDone(suffix) => suffix.encode(out),
            Self::PublishBlocked(message) => message.encode(out),
        }
    }

    /// The Request ID, in messages that take one.
    pub fn request_id(&self) -> Option<u64> {
        match self {
            Self::RequestUpdate(message) => Some(message.request_id),
            Self::Subscribe(message) | Self::TrackStatus(message) => Some(message.request_id),
            Self::Publish(message) => Some(message.request_id),
            Self::Fetch(message) => Some(message.request_id),
            Self::PublishNamespace(message)
            | Self::SubscribeNamespace(message)
            | Self::SubscribeTracks(message) => Some(message.request_id),
            _ => None,
        }
    }

    /// Writes the Request ID, in messages that take one.
    pub fn set_request_id(&mut self, id: u64) {
        match self {
            Self::RequestUpdate(message) => message.request_id = id,
            Self::Subscribe(message) | Self::TrackStatus(message) => message.request_id = id,
            Self::Publish(message) => message.request_id = id,
            Self::Fetch(message) => message.request_id = id,
            Self::PublishNamespace(message)
            | Self::SubscribeNamespace(message)
            | Self::SubscribeTracks(message) => message.request_id = id,
            _ => {}
        }
    }

    /// The parameters, in messages that have some.
    pub fn parameters(&self) -> Option<&Parameters> {
        match self {
            Self::RequestUpdate(message) => Some(&message.parameters),
            Self::Subscribe(message) | Self::TrackStatus(message) => Some(&message.parameters),
            Self::Publish(message) => Some(&message.parameters),
            Self::Fetch(message) => Some(&message.parameters),
            Self::PublishNamespace(message)
            | Self::SubscribeNamespace(message)
            | Self::SubscribeTracks(message) => Some(&message.parameters),
            _ => None,
        }
    }

    /// The same, to change them.
    pub fn parameters_mut(&mut self) -> Option<&mut Parameters> {
        match self {
            Self::RequestUpdate(message) => Some(&mut message.parameters),
            Self::Subscribe(message) | Self::TrackStatus(message) => Some(&mut message.parameters),
            Self::Publish(message) => Some(&mut message.parameters),
            Self::Fetch(message) => Some(&mut message.parameters),
            Self::PublishNamespace(message)
            | Self::SubscribeNamespace(message)
            | Self::SubscribeTracks(message) => Some(&mut message.parameters),
            _ => None,
        }
    }

    /// Whether the message may stand first on a request stream (draft §3.2).
    pub fn opens_request(&self) -> bool {
        self.request_id().is_some() && !matches!(self, Self::RequestUpdate(_))
    }

    /// Its name in the draft.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Setup(_) => "SETUP",
            Self::GoAway(_) => "GOAWAY",
            Self::RequestOk(_) => "REQUEST_OK",
            Self::RequestError(_) => "REQUEST_ERROR",
            Self::RequestUpdate(_) => "REQUEST_UPDATE",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::SubscribeOk(_) => "SUBSCRIBE_OK",
            Self::TrackStatus(_) => "TRACK_STATUS",
            Self::Publish(_) => "PUBLISH",
            Self::PublishDone(_) => "PUBLISH_DONE",
            Self::Fetch(_) => "FETCH",
            Self::FetchOk(_) => "FETCH_OK",
            Self::PublishNamespace(_) => "PUBLISH_NAMESPACE",
            Self::SubscribeNamespace(_) => "SUBSCRIBE_NAMESPACE",
            Self::SubscribeTracks(_) => "SUBSCRIBE_TRACKS",
            Self::Namespace(_) => "NAMESPACE",
            Self::NamespaceDone(_) => "NAMESPACE_DONE",
            Self::PublishBlocked(_) => "PUBLISH_BLOCKED",
        }
    }
}

fn frame(i: &[u8]) -> PResult<'_, (u64, &[u8])> {
    let (i, kind) = vi64(i)?;
    let (i, len) = take(i, 2)?;
    let len = len
        .iter()
        .fold(0, |len, byte| (len << 8) | usize::from(*byte));
    let (i, body) = take(i, len)?;
    Ok((i, (kind, body)))
}

fn map<T>(parsed: PResult<'_, T>, wrap: impl FnOnce(T) -> Message) -> PResult<'_, Message> {
    parsed.map(|(i, value)| (i, wrap(value)))
}

#[cfg(test)]
mod tests;
