//! SUBSCRIBE, SUBSCRIBE_OK and TRACK_STATUS (draft §10.7, §10.8, §10.14).

use crate::moqt::parameters::allowed;
use crate::moqt::varint::{put, vi64};
use crate::moqt::{FullTrackName, PResult, Parameters, Properties};

/// SUBSCRIBE; TRACK_STATUS has the same body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The Request ID.
    pub request_id: u64,
    /// Which track.
    pub track: FullTrackName,
    /// How.
    pub parameters: Parameters,
}

impl Subscribe {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, request_id) = vi64(i)?;
        let (i, track) = FullTrackName::parse(i)?;
        let (i, parameters) = Parameters::parse(i, allowed::SUBSCRIBE)?;
        Ok((
            i,
            Self {
                request_id,
                track,
                parameters,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.request_id);
        self.track.encode(out);
        self.parameters.encode(out);
    }
}

/// SUBSCRIBE_OK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOk {
    /// What streams and datagrams of the track will start with.
    pub track_alias: u64,
    /// LARGEST_OBJECT and EXPIRES.
    pub parameters: Parameters,
    /// The track's properties.
    pub properties: Properties,
}

impl SubscribeOk {
    /// Parses the body.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, track_alias) = vi64(i)?;
        let (i, parameters) = Parameters::parse(i, allowed::SUBSCRIBE_OK)?;
        let (i, properties) = properties(i)?;
        Ok((
            i,
            Self {
                track_alias,
                parameters,
                properties,
            },
        ))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.track_alias);
        self.parameters.encode(out);
        out.extend_from_slice(self.properties.as_bytes());
    }
}

/// Track properties are the last field and have no length of their own.
pub(super) fn properties(i: &[u8]) -> PResult<'_, Properties> {
    match Properties::parse_all(i) {
        Ok(properties) => Ok((&[], properties)),
        Err(error) => error.fail(),
    }
}
