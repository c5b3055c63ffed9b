//! ACK_FREQUENCY frame (draft-ietf-quic-ack-frequency): the sender of data asks for fewer acknowledgements.
//! Its companion IMMEDIATE_ACK has no fields. Both need the peer's `min_ack_delay` transport parameter.

use super::frame_type;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, varint};
use core::fmt;

/// How the receiver of this frame is to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckFrequency {
    /// Orders these frames: only the highest counts.
    pub sequence_number: u64,
    /// How many ack-eliciting packets may arrive without an ACK being sent.
    pub ack_eliciting_threshold: u64,
    /// How long an ACK may be held back, in microseconds.
    pub requested_max_ack_delay: u64,
    /// How far out of order a packet must be to be acknowledged at once; 0 for never.
    pub reordering_threshold: u64,
}

impl AckFrequency {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, sequence_number) = varint::parse(i)?;
        let (i, ack_eliciting_threshold) = varint::parse(i)?;
        let (i, requested_max_ack_delay) = varint::parse(i)?;
        let (i, reordering_threshold) = varint::parse(i)?;
        Ok((
            i,
            Self {
                sequence_number,
                ack_eliciting_threshold,
                requested_max_ack_delay,
                reordering_threshold,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::ACK_FREQUENCY)?;
        out.varint(self.sequence_number)?;
        out.varint(self.ack_eliciting_threshold)?;
        out.varint(self.requested_max_ack_delay)?;
        out.varint(self.reordering_threshold)
    }
}

impl fmt::Display for AckFrequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ACK_FREQUENCY seq={} packets={} delay={}us reordering={}",
            self.sequence_number,
            self.ack_eliciting_threshold,
            self.requested_max_ack_delay,
            self.reordering_threshold
        )
    }
}
