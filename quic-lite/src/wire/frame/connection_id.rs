//! NEW_CONNECTION_ID and RETIRE_CONNECTION_ID frames (RFC 9000 §19.15, §19.16).
//! Promise: a parsed NEW_CONNECTION_ID has 1 to 20 bytes of ID and does not retire itself.

use super::frame_type;
use crate::wire::connection_id::ConnectionId;
use crate::wire::error::{WireErrorKind, ensure};
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, array, varint};
use core::fmt;

/// A connection ID that the receiver may send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewConnectionId {
    /// The ID's place in the order of issue.
    pub sequence_number: u64,
    /// IDs with a lower sequence number are to be retired.
    pub retire_prior_to: u64,
    /// The ID.
    pub connection_id: ConnectionId,
    /// What a stateless reset for this ID ends with.
    pub stateless_reset_token: [u8; 16],
}

/// A connection ID of the receiver that the sender will not use again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetireConnectionId {
    /// Which one.
    pub sequence_number: u64,
}

impl NewConnectionId {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, sequence_number) = varint::parse(i)?;
        let (i, retire_prior_to) = varint::parse(i)?;
        let (i, connection_id) = ConnectionId::parse(i)?;
        let (i, stateless_reset_token) = array(i)?;
        // RFC 9000 §19.15: an ID of length zero cannot be issued.
        ensure(!connection_id.is_empty(), WireErrorKind::ConnectionIdLength)?;
        ensure(
            retire_prior_to <= sequence_number,
            WireErrorKind::RetirePriorToTooLarge,
        )?;
        Ok((
            i,
            Self {
                sequence_number,
                retire_prior_to,
                connection_id,
                stateless_reset_token,
            },
        ))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::NEW_CONNECTION_ID)?;
        out.varint(self.sequence_number)?;
        out.varint(self.retire_prior_to)?;
        self.connection_id.encode(out)?;
        out.put(&self.stateless_reset_token)
    }
}

impl RetireConnectionId {
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, sequence_number) = varint::parse(i)?;
        Ok((i, Self { sequence_number }))
    }

    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.varint(frame_type::RETIRE_CONNECTION_ID)?;
        out.varint(self.sequence_number)
    }
}

impl fmt::Display for NewConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is a secret towards everyone else, and this line may end in a log.
        let Self {
            sequence_number,
            retire_prior_to,
            connection_id,
            ..
        } = self;
        write!(
            f,
            "NEW_CONNECTION_ID seq={sequence_number} retire_prior_to={retire_prior_to} cid={connection_id}"
        )
    }
}

impl fmt::Display for RetireConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RETIRE_CONNECTION_ID seq={}", self.sequence_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Frame;
    use alloc::vec::Vec;

    fn frame(sequence_number: u8, retire_prior_to: u8, id: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from([0x18, sequence_number, retire_prior_to, id.len() as u8]);
        bytes.extend(id);
        bytes.extend([7; 16]);
        bytes
    }

    fn kind(bytes: &[u8]) -> Option<WireErrorKind> {
        Frame::parse(bytes).err().map(|error| error.kind)
    }

    #[test]
    fn id_lengths_of_1_to_20_are_accepted() {
        for length in 0..=255 {
            let expected =
                (!(1..=20).contains(&length)).then_some(WireErrorKind::ConnectionIdLength);
            assert_eq!(kind(&frame(1, 0, &[9].repeat(length))), expected);
        }
    }

    #[test]
    fn an_id_that_retires_itself_is_refused() {
        assert_eq!(kind(&frame(3, 3, &[1])), None);
        assert_eq!(
            kind(&frame(3, 4, &[1])),
            Some(WireErrorKind::RetirePriorToTooLarge)
        );
    }
}
