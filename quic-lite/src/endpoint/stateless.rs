//! Replies that need no connection: Version Negotiation (RFC 9000 §6.1), Retry (§8.1.2), a close during
//! the handshake (§5.2.2), Stateless Reset (§10.3).
//!
//! Promise: each is smaller than what caused it, each kind is rate-limited, and what waits to be sent is
//! bounded. So nothing here amplifies, and two endpoints that reset each other fall silent.

use std::collections::VecDeque;

use crate::Time;
use crate::connection::{FourTuple, Transmit};
use crate::error::TransportErrorCode;
use crate::limits;
use crate::protection::{self, Keys, ProtectedPacket, retry};
use crate::rng::Rng;
use crate::wire::connection_id::ConnectionId;
use crate::wire::frame::Frame;
use crate::wire::frame::close::{CloseError, ConnectionClose};
use crate::wire::header::{Header, LongHeader, LongType, Retry, VERSION_1, VersionNegotiation};
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Side;
use crate::wire::writer::{Full, Writer};

use super::limit::Limit;

/// The replies that wait to be sent, and how many more may be made.
pub(super) struct Replies {
    queue: VecDeque<(FourTuple, Vec<u8>)>,
    versions: Limit,
    retries: Limit,
    closes: Limit,
    resets: Limit,
}

/// The kinds of reply, limited each for itself: a flood of one must not silence another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    VersionNegotiation,
    Retry,
    Close,
    Reset,
}

impl Replies {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            versions: Limit::per_second(limits::VERSION_NEGOTIATIONS_PER_SECOND),
            retries: Limit::per_second(limits::RETRIES_PER_SECOND),
            closes: Limit::per_second(limits::CLOSES_PER_SECOND),
            resets: Limit::per_second(limits::RESETS_PER_SECOND),
        }
    }

    /// Whether one more of this kind may be made now.
    pub(super) fn allows(&mut self, kind: Kind, now: Time) -> bool {
        let limit = match kind {
            Kind::VersionNegotiation => &mut self.versions,
            Kind::Retry => &mut self.retries,
            Kind::Close => &mut self.closes,
            Kind::Reset => &mut self.resets,
        };
        self.queue.len() < limits::QUEUED_REPLIES && limit.take(now)
    }

    pub(super) fn push(&mut self, path: FourTuple, reply: Vec<u8>) {
        self.queue.push_back((path, reply));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes the oldest reply.
    pub(super) fn transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let (path, reply) = self.queue.pop_front()?;
        let len = reply.len();
        buffer.get_mut(..len)?.copy_from_slice(&reply);
        Some(Transmit {
            len,
            segment_size: None,
            path,
            ecn: None,
        })
    }
}

/// Answers a packet of a version we do not speak; the connection IDs are those of that packet.
pub(super) fn version_negotiation(
    destination_cid: &[u8],
    source_cid: &[u8],
    rng: &mut Rng,
) -> Option<Vec<u8>> {
    // RFC 9000 §6.3: a version that nobody speaks keeps clients from relying on the list.
    let reserved = u32::from_be_bytes(rng.bytes()) & 0xf0f0_f0f0 | 0x0a0a_0a0a;
    let unused = rng.bytes::<1>()[0] & 0x3f;
    write(|out| {
        let versions = [VERSION_1, reserved];
        // RFC 9000 §17.2.1: each ID goes back to where it came from.
        VersionNegotiation::encode(source_cid, destination_cid, &versions, unused, out)
    })
}

/// Asks a client to come back with `token`, to `retry_cid`.
pub(super) fn retry(
    client: &LongHeader<'_>,
    retry_cid: ConnectionId,
    token: &[u8],
) -> Option<Vec<u8>> {
    let mut packet = write(|out| {
        let packet = Retry {
            destination_cid: client.source_cid,
            source_cid: retry_cid,
            retry_token: token,
            retry_integrity_tag: [0; Retry::TAG_LEN],
        };
        packet.encode_without_tag(out)
    })?;
    packet.extend(retry::tag(&client.destination_cid, &packet).ok()?);
    Some(packet)
}

/// Whether a datagram begins with a client's Initial that opens.
pub(super) fn is_genuine(datagram: &[u8]) -> bool {
    let opened = || {
        let (_, header) = Header::parse(datagram, 0).ok()?;
        let Header::Long {
            header,
            pn_offset,
            length,
        } = header
        else {
            return None;
        };
        let mut bytes = datagram.get(..pn_offset.checked_add(length)?)?.to_vec();
        let keys = Keys::initial(&header.destination_cid, Side::Server).remote;
        let packet = ProtectedPacket {
            bytes: &mut bytes,
            pn_offset,
        };
        let packet = packet.unprotect(&keys.header).ok()?;
        packet.open(&keys.packet, None).ok().map(|_| ())
    };
    opened().is_some()
}

/// Ends a handshake before there is a connection.
pub(super) fn close(client: &LongHeader<'_>, code: TransportErrorCode) -> Option<Vec<u8>> {
    let keys = Keys::initial(&client.destination_cid, Side::Server).local;
    let number = PacketNumber::new(0);
    let header = LongHeader {
        long_type: LongType::Initial { token: &[] },
        destination_cid: client.source_cid,
        // Nothing will come back to it, so no ID of our own is made.
        source_cid: client.destination_cid,
    };
    let error = CloseError::Transport {
        code,
        frame_type: 0,
    };
    let frame = Frame::ConnectionClose(ConnectionClose { error, reason: &[] });
    let mut pn_offset = 0;
    let mut packet = write(|out| {
        let layout = header.encode(number, PN_LEN, out)?;
        pn_offset = layout.pn_offset;
        frame.encode(out)?;
        layout.set_length(protection::TAG_LEN, out)?;
        out.put_zeros(protection::TAG_LEN)
    })?;
    protection::seal_packet(&mut packet, pn_offset, number, &keys).ok()?;
    Some(packet)
}

/// Tells the sender of a 1-RTT packet of `trigger` bytes that its connection is gone.
pub(super) fn reset(trigger: usize, token: [u8; 16], rng: &mut Rng) -> Option<Vec<u8>> {
    // RFC 9000 §10.3.3: always smaller than the trigger, so that no two endpoints go on for ever.
    let like_a_packet = LEAST_PLAUSIBLE + usize::try_from(rng.below(SPREAD)).unwrap_or(0);
    let len = like_a_packet.min(trigger.checked_sub(1)?);
    // RFC 9000 §10.3: below this it could not be taken for a packet.
    let unpredictable = len.checked_sub(token.len()).filter(|&bytes| bytes >= 5)?;
    let mut packet = vec![0; unpredictable];
    rng.fill(&mut packet);
    let first = packet.first_mut()?;
    *first = *first & 0x3f | 0x40;
    packet.extend(token);
    Some(packet)
}

fn write(encode: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Option<Vec<u8>> {
    let mut buffer = [0; limits::REPLY_SIZE];
    let mut out = Writer::new(&mut buffer);
    encode(&mut out).ok()?;
    Some(out.written().to_vec())
}

/// Bytes of packet number in a close: with the shortest CONNECTION_CLOSE enough to be sampled.
const PN_LEN: usize = 2;
/// A reset of this size and the next few looks like any small packet (RFC 9000 §10.3).
const LEAST_PLAUSIBLE: usize = 42;
const SPREAD: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::frames;

    fn client() -> LongHeader<'static> {
        LongHeader {
            long_type: LongType::Initial { token: &[] },
            destination_cid: ConnectionId::new(&[1; 8]).unwrap(),
            source_cid: ConnectionId::new(&[2; 5]).unwrap(),
        }
    }

    #[test]
    fn a_reset_is_smaller_than_its_trigger_and_ends_in_the_token() {
        let mut rng = Rng::from_number(1);
        for trigger in 0..1500 {
            let Some(reset) = reset(trigger, [9; 16], &mut rng) else {
                assert!(trigger < 22);
                continue;
            };
            assert!(
                reset.len() < trigger && reset.len() >= 21,
                "{trigger}: {}",
                reset.len()
            );
            assert!(reset.len() <= 60);
            assert_eq!(reset[0] & 0xc0, 0x40);
            assert!(reset.ends_with(&[9; 16]));
        }
    }

    #[test]
    fn each_kind_of_reply_has_its_rate_and_all_have_a_queue() {
        let path = FourTuple {
            local: ([127, 0, 0, 1], 1).into(),
            remote: ([127, 0, 0, 1], 2).into(),
        };
        for (kind, rate) in [
            (
                Kind::VersionNegotiation,
                limits::VERSION_NEGOTIATIONS_PER_SECOND,
            ),
            (Kind::Retry, limits::RETRIES_PER_SECOND),
            (Kind::Close, limits::CLOSES_PER_SECOND),
            (Kind::Reset, limits::RESETS_PER_SECOND),
        ] {
            let mut replies = Replies::new();
            let now = Time::from_micros(1 << 40);
            let allowed = (0..2 * rate).filter(|_| replies.allows(kind, now));
            assert_eq!(allowed.count(), rate as usize, "{kind:?}");
            let mut replies = Replies::new();
            while replies.allows(kind, now) && replies.queue.len() < 2 * limits::QUEUED_REPLIES {
                replies.push(path, Vec::new());
            }
            let most = limits::QUEUED_REPLIES.min(rate as usize);
            assert_eq!(replies.queue.len(), most, "{kind:?}");
        }
    }

    #[test]
    fn a_close_opens_with_the_keys_of_the_clients_first_initial() {
        let client = client();
        let mut packet = close(&client, TransportErrorCode::CONNECTION_REFUSED).unwrap();
        let (rest, header) = Header::parse(&packet, 8).unwrap();
        let Header::Long {
            header,
            pn_offset,
            length,
        } = header
        else {
            panic!("{header}")
        };
        assert_eq!(
            (header.destination_cid, header.source_cid),
            (client.source_cid, client.destination_cid)
        );
        assert_eq!((pn_offset + length, rest.len()), (packet.len(), length));
        let keys = Keys::initial(&client.destination_cid, Side::Client).remote;
        let protected = ProtectedPacket {
            bytes: &mut packet,
            pn_offset,
        };
        let opened = protected
            .unprotect(&keys.header)
            .unwrap()
            .open(&keys.packet, None)
            .unwrap();
        let frames: Vec<_> = frames(opened.payload).map(Result::unwrap).collect();
        let [Frame::ConnectionClose(close)] = frames[..] else {
            panic!("{frames:?}")
        };
        let code = TransportErrorCode::CONNECTION_REFUSED;
        assert_eq!(
            close.error,
            CloseError::Transport {
                code,
                frame_type: 0
            }
        );
    }

    #[test]
    fn a_retry_carries_the_tag_of_the_original_id() {
        let packet =
            super::retry(&client(), ConnectionId::new(&[3; 8]).unwrap(), b"token").unwrap();
        assert!(retry::verify(&client().destination_cid, &packet));
        let Ok((_, Header::Retry(header))) = Header::parse(&packet, 8) else {
            panic!()
        };
        assert_eq!(header.retry_token, b"token");
        assert_eq!(header.destination_cid, client().source_cid);
    }

    #[test]
    fn version_negotiation_swaps_the_ids_and_lists_version_1() {
        let packet = version_negotiation(&[1; 30], &[2; 255], &mut Rng::from_number(1)).unwrap();
        let Ok((_, Header::VersionNegotiation(header))) = Header::parse(&packet, 8) else {
            panic!()
        };
        assert_eq!(
            (header.destination_cid, header.source_cid),
            (&[2; 255][..], &[1; 30][..])
        );
        assert!(
            header
                .supported_versions()
                .any(|version| version == VERSION_1)
        );
    }

    #[test]
    fn waiting_replies_are_bounded() {
        let mut replies = Replies::new();
        let address = "192.0.2.1:1".parse().unwrap();
        let path = FourTuple {
            local: address,
            remote: address,
        };
        let now = Time::from_micros(1);
        let made = (0..10_000).filter(|_| {
            let allowed = replies.allows(Kind::Retry, now);
            allowed.then(|| replies.push(path, vec![0; 100])).is_some()
        });
        assert_eq!(made.count(), limits::QUEUED_REPLIES);
    }
}
