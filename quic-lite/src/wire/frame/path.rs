//! PATH_CHALLENGE and PATH_RESPONSE frames (RFC 9000 §19.17, §19.18): is the peer really at that address?

use super::frame_type;
use crate::wire::connection_id::Hex;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, array};
use core::fmt;

/// Eight unpredictable bytes that the peer is to send back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathChallenge {
    /// The bytes.
    pub data: [u8; 8],
}

/// The bytes of a challenge, sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathResponse {
    /// The bytes.
    pub data: [u8; 8],
}

impl PathChallenge {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, data) = array(i)?;
        Ok((i, Self { data }))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::PATH_CHALLENGE)?;
        out.put(&self.data)
    }
}

impl PathResponse {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, data) = array(i)?;
        Ok((i, Self { data }))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::PATH_RESPONSE)?;
        out.put(&self.data)
    }
}

impl fmt::Display for PathChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PATH_CHALLENGE data={}", Hex(&self.data))
    }
}

impl fmt::Display for PathResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PATH_RESPONSE data={}", Hex(&self.data))
    }
}
