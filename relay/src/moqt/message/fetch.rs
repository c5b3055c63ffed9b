//! FETCH and FETCH_OK (draft §10.12, §10.13).

use super::subscribe::properties;
use crate::moqt::parameters::allowed;
use crate::moqt::varint::{byte, put, vi64};
use crate::moqt::{FullTrackName, Location, MoqtError, PResult, Parameters, Properties};

/// What a FETCH asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchRange {
    /// A range of a track; the end is one past the last object, object 0 meaning the whole group.
    Standalone {
        /// Which track.
        track: FullTrackName,
        /// The first location.
        start: Location,
        /// The end.
        end: Location,
    },
    /// From some groups before a subscription's start up to it.
    RelativeJoining {
        /// The Request ID of the subscription.
        joining_request_id: u64,
        /// How many groups before.
        joining_start: u64,
    },
    /// From this group up to a subscription's start.
    AbsoluteJoining {
        /// The Request ID of the subscription.
        joining_request_id: u64,
        /// The first group.
        joining_start: u64,
    },
}

/// FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The Request ID.
    pub request_id: u64,
    /// What.
    pub range: FetchRange,
    /// How.
    pub parameters: Parameters,
}

impl Fetch {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, request_id) = vi64(i)?;
        let (i, fetch_type) = vi64(i)?;
        let (i, range) = match fetch_type {
            1 => standalone(i)?,
            2 | 3 => joining(i, fetch_type == 2)?,
            _ => return MoqtError::violation("unknown fetch type").fail(),
        };
        let (i, parameters) = Parameters::parse(i, allowed::FETCH)?;
        Ok((
            i,
            Self {
                request_id,
                range,
                parameters,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.request_id);
        match &self.range {
            FetchRange::Standalone { track, start, end } => {
                put(out, 1);
                track.encode(out);
                start.encode(out);
                end.encode(out);
            }
            FetchRange::RelativeJoining {
                joining_request_id,
                joining_start,
            } => {
                put(out, 2);
                put(out, *joining_request_id);
                put(out, *joining_start);
            }
            FetchRange::AbsoluteJoining {
                joining_request_id,
                joining_start,
            } => {
                put(out, 3);
                put(out, *joining_request_id);
                put(out, *joining_start);
            }
        }
        self.parameters.encode(out);
    }
}

fn standalone(i: &[u8]) -> PResult<'_, FetchRange> {
    let (i, track) = FullTrackName::parse(i)?;
    let (i, start) = Location::parse(i)?;
    let (i, end) = Location::parse(i)?;
    Ok((i, FetchRange::Standalone { track, start, end }))
}

fn joining(i: &[u8], relative: bool) -> PResult<'_, FetchRange> {
    let (i, joining_request_id) = vi64(i)?;
    let (i, joining_start) = vi64(i)?;
    let range = if relative {
        FetchRange::RelativeJoining {
            joining_request_id,
            joining_start,
        }
    } else {
        FetchRange::AbsoluteJoining {
            joining_request_id,
            joining_start,
        }
    };
    Ok((i, range))
}

/// FETCH_OK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOk {
    /// Whether the end is the end of the track.
    pub end_of_track: bool,
    /// Where the answer ends, in the encoding of the request.
    pub end: Location,
    /// None are defined.
    pub parameters: Parameters,
    /// The track's properties.
    pub properties: Properties,
}

impl FetchOk {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, end_of_track) = byte(i)?;
        if end_of_track > 1 {
            return MoqtError::violation("End Of Track neither 0 nor 1").fail();
        }
        let (i, end) = Location::parse(i)?;
        let (i, parameters) = Parameters::parse(i, allowed::FETCH_OK)?;
        let (i, properties) = properties(i)?;
        Ok((
            i,
            Self {
                end_of_track: end_of_track == 1,
                end,
                parameters,
                properties,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.end_of_track));
        self.end.encode(out);
        self.parameters.encode(out);
        out.extend_from_slice(self.properties.as_bytes());
    }
}
