//! Paths (RFC 9000 §8, §9): how much may be sent to an address that proved nothing, the proof, and
//! what happens when the peer's address changes.
//!
//! Promise: to an unvalidated address never more than three times the bytes that came from it, whole
//! UDP payloads on both sides (§8.1); answers waiting for a PATH_CHALLENGE are few (attack: flood of them).

use crate::limits;
use core::fmt;
use std::net::SocketAddr;

pub use crate::recovery::ecn::Ecn;

/// The addresses of a path. An unspecified local IP stands for whatever the system chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FourTuple {
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

impl FourTuple {
    /// Whether both name one path: an unspecified local IP agrees with any.
    pub fn matches(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.local, other.local);
        let any_ip = ours.ip().is_unspecified() || theirs.ip().is_unspecified();
        self.remote == other.remote
            && ours.port() == theirs.port()
            && (any_ip || ours.ip() == theirs.ip())
    }

    /// Whether the peer only has another port: then it is most likely the same host behind a NAT.
    pub fn differs_by_port_only(&self, other: &Self) -> bool {
        self.remote.ip() == other.remote.ip() && self.local.ip() == other.local.ip()
    }
}

impl fmt::Display for FourTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.remote)
    }
}

/// Datagrams to send: `len` bytes of the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Bytes to send, all datagrams together.
    pub len: usize,
    /// The size of each datagram but the last, which may be shorter; `None` when there is only one.
    pub segment_size: Option<usize>,
    /// Where to send from and to.
    pub path: FourTuple,
    /// The mark for the IP header.
    pub ecn: Option<Ecn>,
}

/// One path and what it has proved.
#[derive(Clone, Debug)]
pub struct Path {
    tuple: FourTuple,
    validated: bool,
    received: u64,
    sent: u64,
    challenge: Option<Challenge>,
}

/// A PATH_CHALLENGE without its answer.
#[derive(Clone, Debug)]
struct Challenge {
    data: [u8; 8],
    /// Whether it is to be sent (again) now.
    due: bool,
    /// Whether it went out in a datagram of full size, so that the answer also proves the size.
    padded: bool,
    /// How often it went out.
    sent: u8,
}

impl Path {
    /// A path to an address that has proved nothing yet.
    pub const fn unvalidated(tuple: FourTuple) -> Self {
        Self {
            tuple,
            validated: false,
            received: 0,
            sent: 0,
            challenge: None,
        }
    }

    /// A path that needs no proof: a client's own choice, or a token showed it (RFC 9000 §8.1).
    pub const fn validated(tuple: FourTuple) -> Self {
        Self {
            validated: true,
            ..Self::unvalidated(tuple)
        }
    }

    /// Its addresses.
    pub const fn tuple(&self) -> FourTuple {
        self.tuple
    }

    /// The socket's wildcard address is replaced once a datagram shows the real one.
    pub fn learn_local(&mut self, tuple: &FourTuple) {
        if self.tuple.local.ip().is_unspecified() {
            self.tuple.local = tuple.local;
        }
    }

    /// Whether the peer has shown that it receives at this address.
    pub const fn is_validated(&self) -> bool {
        self.validated
    }

    /// Whether an answer to a PATH_CHALLENGE is outstanding.
    pub const fn is_challenged(&self) -> bool {
        self.challenge.is_some()
    }

    /// The peer has shown that it receives here, by a Handshake packet or a token (RFC 9000 §8.1).
    pub const fn set_validated(&mut self) {
        self.validated = true;
    }

    /// Counts a UDP payload of `len` bytes from this address, once for all its packets (§8.1).
    pub const fn on_datagram_received(&mut self, len: usize) {
        self.received = self.received.saturating_add(len as u64);
    }

    /// Counts a UDP payload of `len` bytes to this address.
    pub const fn on_datagram_sent(&mut self, len: usize) {
        self.sent = self.sent.saturating_add(len as u64);
    }

    /// Bytes that may be sent now (RFC 9000 §8.1: three times what was received).
    pub const fn budget(&self) -> u64 {
        if self.validated {
            return u64::MAX;
        }
        self.received
            .saturating_mul(limits::AMPLIFICATION)
            .saturating_sub(self.sent)
    }

    /// Bytes received and sent here, as the limit counts them.
    pub const fn counted(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    /// Asks the peer for a proof (RFC 9000 §8.2.1).
    pub const fn challenge(&mut self, data: [u8; 8]) {
        self.challenge = Some(Challenge {
            data,
            due: true,
            padded: false,
            sent: 0,
        });
    }

    /// The challenge to send now, if one is due.
    pub fn challenge_due(&self) -> Option<[u8; 8]> {
        self.challenge
            .as_ref()
            .filter(|challenge| challenge.due)
            .map(|challenge| challenge.data)
    }

    /// The challenge to add to a packet that is sent anyway: the first few carry it, as a lost one costs a
    /// timeout under the amplification limit (RFC 9000 §8.2.1).
    pub fn challenge_to_add(&self) -> Option<[u8; 8]> {
        self.challenge
            .as_ref()
            .filter(|challenge| challenge.due || challenge.sent < limits::CHALLENGE_COPIES)
            .map(|challenge| challenge.data)
    }

    /// The challenge went out; `padded` says whether its datagram had the full 1200 bytes.
    pub const fn on_challenge_sent(&mut self, padded: bool) {
        if let Some(challenge) = &mut self.challenge {
            challenge.due = false;
            challenge.padded |= padded;
            challenge.sent = challenge.sent.saturating_add(1);
        }
    }

    /// No answer yet: the same challenge is due again (RFC 9000 §8.2.1). No effect when answered.
    pub const fn challenge_again(&mut self) {
        if let Some(challenge) = &mut self.challenge {
            challenge.due = true;
        }
    }

    /// Gives the outstanding validation up.
    pub fn stop_challenge(&mut self) {
        self.challenge = None;
    }

    /// A PATH_RESPONSE arrived (on whatever path, RFC 9000 §8.2.3).
    pub fn on_response(&mut self, data: [u8; 8]) -> Response {
        let Some(challenge) = self.challenge.take_if(|challenge| challenge.data == data) else {
            return Response::Unknown;
        };
        self.validated = true;
        if challenge.padded {
            Response::Validated
        } else {
            Response::AddressOnly
        }
    }
}

/// What a PATH_RESPONSE proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Nothing: it answers no challenge of this path.
    Unknown,
    /// The address, but not that a full-sized datagram passes: a padded challenge must follow (§8.2.1).
    AddressOnly,
    /// Address and size.
    Validated,
}

/// A PATH_RESPONSE to send on the path its challenge came from (RFC 9000 §8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingResponse {
    /// Where the challenge came from, and the answer goes.
    pub tuple: FourTuple,
    /// What to echo.
    pub data: [u8; 8],
    /// Size of the datagram that carried the challenge: bounds the answer when the path is not validated.
    pub received: usize,
}

/// Answers waiting to be sent: the newest few. An older one is dropped: the peer repeats its challenge.
#[derive(Clone, Debug, Default)]
pub struct PendingResponses([Option<PendingResponse>; limits::PATH_RESPONSES]);

impl PendingResponses {
    /// Adds an answer. A second challenge in one datagram replaces the first, so that the answers to a
    /// datagram never exceed what one datagram permits (§8.1).
    pub fn push(&mut self, response: PendingResponse) {
        let same =
            |slot: &Option<PendingResponse>| slot.is_none_or(|old| old.tuple == response.tuple);
        let at = self.0.iter().position(same).unwrap_or_else(|| {
            self.0.rotate_left(1);
            limits::PATH_RESPONSES - 1
        });
        self.0[at] = Some(response);
    }

    /// The path is in use now and counts for itself: what came from there is no credit any more.
    pub fn count_elsewhere(&mut self, tuple: &FourTuple) {
        for response in self
            .0
            .iter_mut()
            .flatten()
            .filter(|response| response.tuple.matches(tuple))
        {
            response.received = 0;
        }
    }

    /// Takes the oldest answer whose path is `wanted`.
    pub fn take_where(&mut self, wanted: impl Fn(&FourTuple) -> bool) -> Option<PendingResponse> {
        let at = self
            .0
            .iter()
            .position(|slot| slot.is_some_and(|old| wanted(&old.tuple)))?;
        let found = self.0[at].take();
        self.0[at..].rotate_left(1);
        found
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> FourTuple {
        FourTuple {
            local: ([127, 0, 0, 1], 4433).into(),
            remote: ([10, 0, 0, 1], port).into(),
        }
    }

    #[test]
    fn an_unvalidated_path_has_three_times_what_it_sent() {
        let mut path = Path::unvalidated(tuple(1));
        assert_eq!(path.budget(), 0);
        path.on_datagram_received(1200);
        path.on_datagram_sent(1200);
        assert_eq!(path.budget(), 2400);
        path.on_datagram_sent(9000);
        assert_eq!(path.budget(), 0);
        path.set_validated();
        assert_eq!(path.budget(), u64::MAX);
    }

    #[test]
    fn only_the_echo_of_the_challenge_validates() {
        let mut path = Path::unvalidated(tuple(1));
        path.challenge([7; 8]);
        assert_eq!(path.challenge_due(), Some([7; 8]));
        path.on_challenge_sent(true);
        assert_eq!(path.challenge_due(), None);
        assert_eq!(path.on_response([8; 8]), Response::Unknown);
        assert!(!path.is_validated());
        assert_eq!(path.on_response([7; 8]), Response::Validated);
        assert!(path.is_validated());
        assert_eq!(path.on_response([7; 8]), Response::Unknown);
    }

    #[test]
    fn a_small_challenge_proves_the_address_only() {
        let mut path = Path::unvalidated(tuple(1));
        path.challenge([7; 8]);
        path.on_challenge_sent(false);
        assert_eq!(path.on_response([7; 8]), Response::AddressOnly);
    }

    #[test]
    fn a_challenge_is_in_a_few_packets_until_its_timeout() {
        let mut path = Path::unvalidated(tuple(1));
        path.challenge([7; 8]);
        let mut copies = 0;
        while path.challenge_to_add().is_some() && copies < 100 {
            path.on_challenge_sent(true);
            copies += 1;
        }
        assert_eq!(copies, limits::CHALLENGE_COPIES);
        path.challenge_again();
        path.on_challenge_sent(true);
        assert_eq!(path.challenge_to_add(), None);
    }

    #[test]
    fn a_flood_of_challenges_keeps_the_newest_few() {
        let mut pending = PendingResponses::default();
        for at in 0..100_000_u32 {
            let port = 1 + (at % 1000) as u16;
            pending.push(PendingResponse {
                tuple: tuple(port),
                data: u64::from(at).to_le_bytes(),
                received: 1200,
            });
        }
        let left: Vec<_> = core::iter::from_fn(|| pending.take_where(|_| true))
            .map(|r| u64::from_le_bytes(r.data))
            .collect();
        assert_eq!(left, [99_996, 99_997, 99_998, 99_999]);
        assert!(pending.is_empty());
    }

    #[test]
    fn one_path_has_one_answer_and_it_can_be_taken_alone() {
        let mut pending = PendingResponses::default();
        for (port, data) in [(1, 1), (2, 2), (1, 3)] {
            pending.push(PendingResponse {
                tuple: tuple(port),
                data: [data; 8],
                received: 1200,
            });
        }
        let first = |path: &FourTuple| path.matches(&tuple(1));
        assert_eq!(pending.take_where(first).map(|r| r.data), Some([3; 8]));
        assert_eq!(pending.take_where(first), None);
        assert_eq!(pending.take_where(|_| true).map(|r| r.data), Some([2; 8]));
        assert!(pending.is_empty());
    }

    #[test]
    fn an_unspecified_local_address_agrees_with_any() {
        let any = FourTuple {
            local: ([0, 0, 0, 0], 4433).into(),
            ..tuple(1)
        };
        assert!(any.matches(&tuple(1)) && tuple(1).matches(&any));
        assert!(!any.matches(&tuple(2)));
        assert!(tuple(1).differs_by_port_only(&tuple(2)));
    }
}
