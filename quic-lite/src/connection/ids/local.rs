//! The connection IDs that we issue (RFC 9000 §5.1.1): where the peer's packets go.

use crate::error::{TransportError, TransportErrorCode};
use crate::limits;
use crate::recovery::SentFrame;
use crate::rng::Rng;
use crate::token::ResetKey;
use crate::wire::connection_id::ConnectionId;
use crate::wire::frame::{Frame, NewConnectionId, frame_type};
use crate::wire::writer::Writer;

/// The connection IDs we issued: where the peer's packets go (RFC 9000 §5.1.1).
#[derive(Clone, Debug)]
pub struct LocalIds {
    active: Vec<(u64, ConnectionId)>,
    /// Sequence numbers whose NEW_CONNECTION_ID is to be sent.
    pending: Vec<u64>,
    next: u64,
    /// The largest sequence number that the peer was told.
    largest_sent: u64,
    limit: usize,
}

impl LocalIds {
    /// Starts with the ID of the handshake, sequence number 0. One of length zero stays the only one.
    pub fn new(first: ConnectionId) -> Self {
        Self {
            active: vec![(0, first)],
            pending: Vec::new(),
            next: 1,
            largest_sent: 0,
            limit: 1,
        }
    }

    /// The peer's `active_connection_id_limit`: how many IDs it keeps.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = usize::try_from(limit)
            .unwrap_or(limits::ISSUED_CONNECTION_IDS)
            .min(limits::ISSUED_CONNECTION_IDS);
    }

    /// Makes one more ID if the peer may have more. The endpoint must know of it before the peer does.
    pub fn issue(&mut self, rng: &mut Rng) -> Option<ConnectionId> {
        let len = self.cid_len();
        if len == 0 || self.active.len() >= self.limit {
            return None;
        }
        let bytes = rng.bytes::<{ ConnectionId::MAX_LEN }>();
        let cid = ConnectionId::new(&bytes[..len])?;
        self.active.push((self.next, cid));
        self.pending.push(self.next);
        self.next += 1;
        Some(cid)
    }

    /// The peer retires one of ours (RFC 9000 §19.16); `used` is the ID its packet was sent to.
    pub fn on_retire(
        &mut self,
        sequence_number: u64,
        used: &ConnectionId,
    ) -> Result<Option<ConnectionId>, TransportError> {
        // RFC 9000 §19.16: larger than any that was sent.
        if sequence_number > self.largest_sent {
            return Err(retire_violation(
                "retires a connection ID that was never issued",
            ));
        }
        let Some(at) = self
            .active
            .iter()
            .position(|(seq, _)| *seq == sequence_number)
        else {
            return Ok(None);
        };
        if self.active[at].1 == *used {
            return Err(retire_violation(
                "retires the connection ID of its own packet",
            ));
        }
        self.pending.retain(|seq| *seq != sequence_number);
        Ok(Some(self.active.remove(at).1))
    }

    /// All IDs the peer may use now.
    pub fn iter(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.active.iter().map(|(_, cid)| *cid)
    }

    /// Whether the peer may use `cid`.
    pub fn contains(&self, cid: &ConnectionId) -> bool {
        self.active.iter().any(|(_, own)| own == cid)
    }

    /// The ID of the handshake, as long as the peer has not retired it; else the oldest.
    pub fn first(&self) -> ConnectionId {
        self.active
            .first()
            .map_or(ConnectionId::EMPTY, |(_, cid)| *cid)
    }

    /// The length of all our IDs.
    pub fn cid_len(&self) -> usize {
        self.first().len()
    }

    /// Whether NEW_CONNECTION_ID frames wait to be sent.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes the waiting frames that fit.
    pub fn write_frames(
        &mut self,
        key: &ResetKey,
        out: &mut Writer<'_>,
        sent: &mut Vec<SentFrame>,
    ) {
        while let Some(&sequence_number) = self.pending.last() {
            let issued = self.active.iter().find(|(seq, _)| *seq == sequence_number);
            let Some(&(_, connection_id)) = issued else {
                self.pending.pop();
                continue;
            };
            let stateless_reset_token = key.stateless_reset_token(&connection_id);
            let retire_prior_to = 0;
            let frame = NewConnectionId {
                sequence_number,
                retire_prior_to,
                connection_id,
                stateless_reset_token,
            };
            if Frame::NewConnectionId(frame).encode(out).is_err() {
                return;
            }
            self.pending.pop();
            self.largest_sent = self.largest_sent.max(sequence_number);
            sent.push(SentFrame::NewConnectionId(sequence_number));
        }
    }

    /// The NEW_CONNECTION_ID was lost; it is repeated if still of use.
    pub fn on_lost(&mut self, sequence_number: u64) {
        let active = self.active.iter().any(|(seq, _)| *seq == sequence_number);
        if active && !self.pending.contains(&sequence_number) {
            self.pending.push(sequence_number);
        }
    }
}

fn retire_violation(reason: &'static str) -> TransportError {
    TransportError::new(
        TransportErrorCode::PROTOCOL_VIOLATION,
        frame_type::RETIRE_CONNECTION_ID,
        reason,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cid(number: u64) -> ConnectionId {
        ConnectionId::new(&number.to_be_bytes()).unwrap()
    }

    #[test]
    fn ids_are_issued_up_to_the_peers_limit_and_again_after_retirement() {
        let mut ids = LocalIds::new(cid(0));
        let mut rng = Rng::from_number(1);
        assert_eq!(ids.issue(&mut rng), None);
        ids.set_limit(3);
        assert!(ids.issue(&mut rng).is_some() && ids.issue(&mut rng).is_some());
        assert_eq!(ids.issue(&mut rng), None);
        assert_eq!(ids.on_retire(0, &cid(9)), Ok(Some(cid(0))));
        assert_eq!(ids.on_retire(0, &cid(9)), Ok(None));
        assert!(ids.issue(&mut rng).is_some());
        assert_eq!(ids.iter().count(), 3);
    }

    #[test]
    fn a_peer_cannot_retire_the_unknown_or_the_id_in_use() {
        let mut ids = LocalIds::new(cid(0));
        assert!(ids.on_retire(1, &cid(0)).is_err());
        assert!(ids.on_retire(0, &cid(0)).is_err());
    }

    #[test]
    fn a_lost_new_connection_id_is_repeated_unless_retired() {
        let (mut ids, mut rng, mut sent) = (LocalIds::new(cid(0)), Rng::from_number(1), Vec::new());
        ids.set_limit(2);
        ids.issue(&mut rng);
        let mut buffer = [0; 100];
        ids.write_frames(
            &ResetKey::new([0; 32]),
            &mut Writer::new(&mut buffer),
            &mut sent,
        );
        assert_eq!(sent, [SentFrame::NewConnectionId(1)]);
        assert!(!ids.has_pending());
        ids.on_lost(1);
        assert!(ids.has_pending());
        ids.on_retire(1, &cid(0)).unwrap();
        assert!(!ids.has_pending());
        ids.on_lost(1);
        assert!(!ids.has_pending());
    }
}
