//! The connection IDs that the peer issues (RFC 9000 §5.1.2): where our packets go.

use crate::error::{TransportError, TransportErrorCode};
use crate::limits;
use crate::range_set::RangeSet;
use crate::recovery::SentFrame;
use crate::wire::connection_id::ConnectionId;
use crate::wire::frame::{Frame, NewConnectionId, RetireConnectionId, frame_type};
use crate::wire::writer::Writer;

/// One connection ID of the peer.
#[derive(Clone, Copy, Debug)]
struct RemoteId {
    sequence_number: u64,
    cid: ConnectionId,
    token: Option<[u8; 16]>,
    /// A packet was sent to it, so the peer's reset may carry its token.
    is_used: bool,
}

/// The connection IDs the peer issued: where our packets go (RFC 9000 §5.1.2).
#[derive(Clone, Debug)]
pub struct RemoteIds {
    current: RemoteId,
    spare: Vec<RemoteId>,
    limit: usize,
    retire_prior_to: u64,
    /// Every sequence number that was ever issued to us.
    seen: RangeSet,
    /// RETIRE_CONNECTION_ID to send.
    retiring: Vec<u64>,
    /// RETIRE_CONNECTION_ID sent and neither acknowledged nor lost.
    unacknowledged: Vec<u64>,
    /// Reset tokens that began (true) or ceased to count since somebody asked.
    token_news: Vec<([u8; 16], bool)>,
}

impl RemoteIds {
    /// Starts with the ID of the handshake. `limit` is our `active_connection_id_limit`.
    pub fn new(first: ConnectionId, limit: u64) -> Self {
        let mut seen = RangeSet::new();
        seen.insert(0..1);
        Self {
            current: RemoteId {
                sequence_number: 0,
                cid: first,
                token: None,
                is_used: true,
            },
            spare: Vec::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            retire_prior_to: 0,
            seen,
            retiring: Vec::new(),
            unacknowledged: Vec::new(),
            token_news: Vec::new(),
        }
    }

    /// A client learns the server's ID from its Retry or first Initial (RFC 9000 §7.2).
    pub fn replace_first(&mut self, cid: ConnectionId) {
        self.current.cid = cid;
    }

    /// The stateless reset token of the handshake's ID, from the server's transport parameters.
    pub fn set_first_token(&mut self, token: [u8; 16]) {
        if self.current.sequence_number == 0 {
            self.current.token = Some(token);
            self.token_news.push((token, true));
        }
    }

    /// The ID that our packets carry.
    pub const fn current(&self) -> ConnectionId {
        self.current.cid
    }

    /// NEW_CONNECTION_ID, or the one that came with `preferred_address` (RFC 9000 §19.15).
    pub fn on_new(&mut self, frame: &NewConnectionId) -> Result<(), TransportError> {
        if self.current.cid.is_empty() {
            return Err(new_violation(
                "NEW_CONNECTION_ID beside a zero-length connection ID",
            ));
        }
        let id = RemoteId {
            sequence_number: frame.sequence_number,
            cid: frame.connection_id,
            token: Some(frame.stateless_reset_token),
            is_used: false,
        };
        self.check_consistent(&id)?;
        let is_new = !self.seen.contains(frame.sequence_number);
        self.seen
            .insert(frame.sequence_number..frame.sequence_number + 1);
        if is_new && frame.sequence_number < self.retire_prior_to {
            // RFC 9000 §5.1.2: asked to retire it before it came.
            self.retiring.push(frame.sequence_number);
        } else if is_new {
            self.spare.push(id);
        }
        self.retire_below(frame.retire_prior_to);
        self.check_limits()
    }

    fn check_consistent(&self, id: &RemoteId) -> Result<(), TransportError> {
        for known in self.spare.iter().chain([&self.current]) {
            let same = (
                known.sequence_number == id.sequence_number,
                known.cid == id.cid,
            );
            let same_token = known.token.is_none() || known.token == id.token;
            if same.0 != same.1 || (same.0 && !same_token) {
                return Err(new_violation(
                    "connection ID issued twice in different ways",
                ));
            }
        }
        Ok(())
    }

    fn retire_below(&mut self, retire_prior_to: u64) {
        self.retire_prior_to = self.retire_prior_to.max(retire_prior_to);
        for id in self
            .spare
            .extract_if(.., |id| id.sequence_number < retire_prior_to)
        {
            self.retiring.push(id.sequence_number);
            let token = id.token.filter(|_| id.is_used);
            self.token_news.extend(token.map(|token| (token, false)));
        }
        // One that had to go earlier may have stayed for want of another.
        if self.current.sequence_number < self.retire_prior_to {
            self.switch();
        }
    }

    fn check_limits(&self) -> Result<(), TransportError> {
        // RFC 9000 §5.1.1, §5.1.2: more IDs than we offered to keep; or more to retire than the peer
        // acknowledges, or holes between them, which nobody needs.
        let waiting = self.retired();
        if self.len() > self.limit
            || waiting > limits::RETIRED_CONNECTION_IDS
            || self.seen.len() > limits::CONNECTION_ID_RANGES
        {
            let (code, frame) = (
                TransportErrorCode::CONNECTION_ID_LIMIT_ERROR,
                frame_type::NEW_CONNECTION_ID,
            );
            return Err(TransportError::new(code, frame, "too many connection IDs"));
        }
        Ok(())
    }

    /// Goes over to an unused ID, for example on a new path (RFC 9000 §9.5). False when there is none.
    pub fn switch(&mut self) -> bool {
        let Some(at) = self.oldest_spare() else {
            return false;
        };
        self.use_spare(at);
        self.retiring.push(self.current.sequence_number);
        self.token_news
            .extend(self.current.token.map(|token| (token, false)));
        self.current = self.spare.remove(at);
        true
    }

    /// The ID for a packet to an address that is not in use: not the one that ties it to the path in
    /// use, if there is another (RFC 9000 §9.5). `switch` would go over to it.
    pub fn for_another_path(&mut self) -> ConnectionId {
        let spare = self.oldest_spare();
        spare.map_or(self.current.cid, |at| self.use_spare(at))
    }

    /// RFC 9000 §10.3.1: only from now on its reset token counts.
    fn use_spare(&mut self, at: usize) -> ConnectionId {
        let id = &mut self.spare[at];
        if !core::mem::replace(&mut id.is_used, true) {
            self.token_news.extend(id.token.map(|token| (token, true)));
        }
        id.cid
    }

    fn oldest_spare(&self) -> Option<usize> {
        (0..self.spare.len()).min_by_key(|&at| self.spare[at].sequence_number)
    }

    /// Reset tokens that began (true) or ceased to count since the last call.
    pub fn take_token_news(&mut self) -> Vec<([u8; 16], bool)> {
        core::mem::take(&mut self.token_news)
    }

    /// Whether `token` is a stateless reset token of an ID in use (RFC 9000 §10.3.1).
    pub fn is_reset_token(&self, token: &[u8; 16]) -> bool {
        let ids = self.spare.iter().chain([&self.current]);
        ids.filter(|id| id.is_used)
            .filter_map(|id| id.token)
            .fold(false, |found, own| found | equal(&own, token))
    }

    /// How many of the peer's IDs are kept, the one in use included.
    pub const fn len(&self) -> usize {
        1 + self.spare.len()
    }

    /// How many were retired and are not acknowledged as such.
    pub const fn retired(&self) -> usize {
        self.retiring.len() + self.unacknowledged.len()
    }

    /// Ranges of sequence numbers that are remembered.
    pub fn ranges(&self) -> usize {
        self.seen.len()
    }

    /// Whether RETIRE_CONNECTION_ID frames wait to be sent.
    pub fn has_pending(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// Writes the waiting frames that fit.
    pub fn write_frames(&mut self, out: &mut Writer<'_>, sent: &mut Vec<SentFrame>) {
        while let Some(&sequence_number) = self.retiring.last() {
            let frame = Frame::RetireConnectionId(RetireConnectionId { sequence_number });
            if frame.encode(out).is_err() {
                return;
            }
            self.retiring.pop();
            self.unacknowledged.push(sequence_number);
            sent.push(SentFrame::RetireConnectionId(sequence_number));
        }
    }

    /// The peer knows that we retired it.
    pub fn on_acked(&mut self, sequence_number: u64) {
        self.unacknowledged.retain(|seq| *seq != sequence_number);
    }

    /// The RETIRE_CONNECTION_ID was lost.
    pub fn on_lost(&mut self, sequence_number: u64) {
        let before = self.unacknowledged.len();
        self.on_acked(sequence_number);
        if self.unacknowledged.len() < before {
            self.retiring.push(sequence_number);
        }
    }
}

/// Compares without telling by its time where the first difference is.
fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
    a.iter()
        .zip(b)
        .fold(0, |difference, (a, b)| difference | (a ^ b))
        == 0
}

fn new_violation(reason: &'static str) -> TransportError {
    TransportError::new(
        TransportErrorCode::PROTOCOL_VIOLATION,
        frame_type::NEW_CONNECTION_ID,
        reason,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cid(number: u64) -> ConnectionId {
        ConnectionId::new(&number.to_be_bytes()).unwrap()
    }

    fn frame(sequence_number: u64, retire_prior_to: u64) -> NewConnectionId {
        let token = u128::from(sequence_number).to_be_bytes();
        NewConnectionId {
            sequence_number,
            retire_prior_to,
            connection_id: cid(sequence_number),
            stateless_reset_token: token,
        }
    }

    fn code(result: Result<(), TransportError>) -> TransportErrorCode {
        result.unwrap_err().code
    }

    #[test]
    fn retire_prior_to_moves_to_a_new_id() {
        let mut ids = RemoteIds::new(cid(0), 2);
        ids.on_new(&frame(1, 1)).unwrap();
        assert_eq!(ids.current(), cid(1));
        let (mut buffer, mut sent) = ([0; 100], Vec::new());
        ids.write_frames(&mut Writer::new(&mut buffer), &mut sent);
        assert_eq!(sent, [SentFrame::RetireConnectionId(0)]);
        ids.on_lost(0);
        assert!(ids.has_pending());
        ids.write_frames(&mut Writer::new(&mut buffer), &mut sent);
        ids.on_acked(0);
        ids.on_lost(0);
        assert!(!ids.has_pending());
    }

    #[test]
    fn an_id_that_was_to_be_retired_before_it_came_is_retired_once() {
        let mut ids = RemoteIds::new(cid(0), 4);
        ids.on_new(&frame(3, 3)).unwrap();
        ids.on_new(&frame(2, 0)).unwrap();
        ids.on_new(&frame(2, 0)).unwrap();
        assert_eq!(ids.retiring, [0, 2]);
    }

    #[test]
    fn more_ids_than_the_limit_close() {
        let mut ids = RemoteIds::new(cid(0), 2);
        ids.on_new(&frame(1, 0)).unwrap();
        ids.on_new(&frame(1, 0)).unwrap();
        assert_eq!(
            code(ids.on_new(&frame(2, 0))),
            TransportErrorCode::CONNECTION_ID_LIMIT_ERROR
        );
    }

    #[test]
    fn contradictions_close() {
        let mut ids = RemoteIds::new(cid(0), 8);
        ids.on_new(&frame(1, 0)).unwrap();
        let other_id = NewConnectionId {
            connection_id: cid(77),
            ..frame(1, 0)
        };
        let same_id = NewConnectionId {
            connection_id: cid(1),
            ..frame(2, 0)
        };
        let other_token = NewConnectionId {
            stateless_reset_token: [9; 16],
            ..frame(1, 0)
        };
        for wrong in [other_id, same_id, other_token] {
            assert_eq!(
                code(ids.on_new(&wrong)),
                TransportErrorCode::PROTOCOL_VIOLATION
            );
        }
        let mut empty = RemoteIds::new(ConnectionId::EMPTY, 8);
        assert_eq!(
            code(empty.on_new(&frame(1, 0))),
            TransportErrorCode::PROTOCOL_VIOLATION
        );
    }

    #[test]
    fn a_flood_without_acknowledgements_closes_with_bounded_memory() {
        let mut ids = RemoteIds::new(cid(0), 4);
        let result = (1..100_000).try_for_each(|seq| {
            ids.write_frames(&mut Writer::new(&mut [0; 100]), &mut Vec::new());
            ids.on_new(&frame(seq, seq))
        });
        assert_eq!(code(result), TransportErrorCode::CONNECTION_ID_LIMIT_ERROR);
        assert!(
            ids.unacknowledged.len() + ids.retiring.len() <= limits::RETIRED_CONNECTION_IDS + 1
        );

        let mut holes = RemoteIds::new(cid(0), 4);
        holes.on_new(&frame(1 << 40, 1 << 40)).unwrap();
        let result = (1..100_000).try_for_each(|seq| {
            let mut sent = Vec::new();
            holes.write_frames(&mut Writer::new(&mut [0; 100]), &mut sent);
            holes.unacknowledged.clear();
            holes.on_new(&frame(seq * 2, 0))
        });
        assert_eq!(code(result), TransportErrorCode::CONNECTION_ID_LIMIT_ERROR);
    }

    #[test]
    fn reset_tokens_of_ids_in_use_are_known() {
        let mut ids = RemoteIds::new(cid(0), 4);
        assert!(!ids.is_reset_token(&[0; 16]));
        ids.set_first_token([5; 16]);
        ids.on_new(&frame(1, 0)).unwrap();
        assert!(ids.is_reset_token(&[5; 16]));
        assert!(
            !ids.is_reset_token(&1_u128.to_be_bytes()),
            "no packet was sent to it"
        );
        assert_eq!(ids.for_another_path(), cid(1));
        assert!(ids.is_reset_token(&1_u128.to_be_bytes()));
        assert!(ids.switch());
        assert!(!ids.is_reset_token(&[5; 16]));
        let news = [
            ([5; 16], true),
            (1_u128.to_be_bytes(), true),
            ([5; 16], false),
        ];
        assert_eq!(ids.take_token_news(), news);
    }

    #[test]
    fn an_id_that_had_to_be_kept_for_want_of_another_is_left_for_the_next_one() {
        let mut ids = RemoteIds::new(cid(0), 4);
        ids.on_new(&frame(5, 0)).unwrap();
        assert!(ids.switch());
        ids.on_new(&frame(3, 0)).unwrap();
        assert!(ids.switch());
        ids.on_new(&frame(5, 5)).unwrap();
        assert_eq!(ids.current(), cid(3), "there is no other");
        ids.on_new(&frame(6, 0)).unwrap();
        assert_eq!(ids.current(), cid(6));
        assert!(ids.retiring.contains(&3));
    }
}
