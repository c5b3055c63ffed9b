//! RESET_STREAM and STOP_SENDING frames (RFC 9000 §19.4, §19.5): a stream ends before its data does.

use super::frame_type;
use crate::wire::stream_id::StreamId;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, varint};
use core::fmt;

/// The sender of a stream gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetStream {
    /// Which stream.
    pub stream_id: StreamId,
    /// Why, in the application's terms.
    pub application_error_code: u64,
    /// How many bytes of credit the stream has used in all.
    pub final_size: u64,
}

/// The receiver of a stream asks its sender to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopSending {
    /// Which stream.
    pub stream_id: StreamId,
    /// Why, in the application's terms.
    pub application_error_code: u64,
}

impl ResetStream {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, stream_id) = StreamId::parse(i)?;
        let (i, application_error_code) = varint::parse(i)?;
        let (i, final_size) = varint::parse(i)?;
        Ok((
            i,
            Self {
                stream_id,
                application_error_code,
                final_size,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::RESET_STREAM)?;
        out.varint(self.stream_id.value())?;
        out.varint(self.application_error_code)?;
        out.varint(self.final_size)
    }
}

impl StopSending {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, stream_id) = StreamId::parse(i)?;
        let (i, application_error_code) = varint::parse(i)?;
        Ok((
            i,
            Self {
                stream_id,
                application_error_code,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::STOP_SENDING)?;
        out.varint(self.stream_id.value())?;
        out.varint(self.application_error_code)
    }
}

impl fmt::Display for ResetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream_id,
            application_error_code: code,
            final_size,
        } = self;
        write!(
            f,
            "RESET_STREAM id={stream_id} code={code:#x} final_size={final_size}"
        )
    }
}

impl fmt::Display for StopSending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "STOP_SENDING id={} code={:#x}",
            self.stream_id, self.application_error_code
        )
    }
}
