//! PUBLISH and PUBLISH_DONE (draft §10.10, §10.11).

use super::request::{put_reason, reason};
use super::subscribe::properties;
use crate::moqt::parameters::allowed;
use crate::moqt::varint::{put, vi64};
use crate::moqt::{DoneCode, FullTrackName, PResult, Parameters, Properties};

/// PUBLISH: a track is offered, and its objects may already be on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The Request ID.
    pub request_id: u64,
    /// Which track.
    pub track: FullTrackName,
    /// What streams and datagrams of the track start with.
    pub track_alias: u64,
    /// EXPIRES, LARGEST_OBJECT, FORWARD.
    pub parameters: Parameters,
    /// The track's properties.
    pub properties: Properties,
}

impl Publish {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, request_id) = vi64(i)?;
        let (i, track) = FullTrackName::parse(i)?;
        let (i, track_alias) = vi64(i)?;
        let (i, parameters) = Parameters::parse(i, allowed::PUBLISH)?;
        let (i, properties) = properties(i)?;
        Ok((
            i,
            Self {
                request_id,
                track,
                track_alias,
                parameters,
                properties,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.request_id);
        self.track.encode(out);
        put(out, self.track_alias);
        self.parameters.encode(out);
        out.extend_from_slice(self.properties.as_bytes());
    }
}

/// The Stream Count that says "not counted" (draft §10.11).
pub const UNKNOWN_STREAM_COUNT: u64 = (1 << 62) - 1;

/// PUBLISH_DONE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishDone {
    /// Why.
    pub status: DoneCode,
    /// How many streams the publisher opened for the subscription.
    pub stream_count: u64,
    /// Why, in words.
    pub reason: String,
}

impl PublishDone {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, status) = vi64(i)?;
        let (i, stream_count) = vi64(i)?;
        let (i, reason) = reason(i)?;
        Ok((
            i,
            Self {
                status: DoneCode(status),
                stream_count,
                reason,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.status.0);
        put(out, self.stream_count);
        put_reason(out, &self.reason);
    }
}
