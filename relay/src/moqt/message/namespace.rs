//! PUBLISH_NAMESPACE, SUBSCRIBE_NAMESPACE, SUBSCRIBE_TRACKS, PUBLISH_BLOCKED (draft §10.15 to §10.20).

use crate::moqt::parameters::allowed;
use crate::moqt::varint::{put, vi64};
use crate::moqt::{FullTrackName, Namespace, PResult, Parameters};

/// A request about a namespace: three messages have this body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRequest {
    /// The Request ID.
    pub request_id: u64,
    /// The namespace offered, or the prefix asked for.
    pub namespace: Namespace,
    /// How.
    pub parameters: Parameters,
}

impl NamespaceRequest {
    /// Parses the body of PUBLISH_NAMESPACE and SUBSCRIBE_NAMESPACE.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        Self::with(i, allowed::NAMESPACE)
    }

    /// Parses the body of SUBSCRIBE_TRACKS, which may say FORWARD.
    pub fn parse_tracks(i: &[u8]) -> PResult<'_, Self> {
        Self::with(i, allowed::SUBSCRIBE_TRACKS)
    }

    fn with<'a>(i: &'a [u8], allowed: &[u64]) -> PResult<'a, Self> {
        let (i, request_id) = vi64(i)?;
        let (i, namespace) = Namespace::parse(i)?;
        let (i, parameters) = Parameters::parse(i, allowed)?;
        Ok((
            i,
            Self {
                request_id,
                namespace,
                parameters,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.request_id);
        self.namespace.encode(out);
        self.parameters.encode(out);
    }
}

/// PUBLISH_BLOCKED: the namespace in `track` is what follows the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishBlocked {
    /// The track without the prefix.
    pub track: FullTrackName,
}

impl PublishBlocked {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, track) = FullTrackName::parse(i)?;
        Ok((i, Self { track }))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.track.encode(out);
    }
}
