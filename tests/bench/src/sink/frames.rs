//! Looks through the frames of a packet for the beginnings of messages (RFC 9000 §19, RFC 9221 §4; with MOQT draft-18
//! §11.3, §11.4.2).

use bench::message::Message;
use bench::moqt;
use quic_lite::wire::varint;

/// What a packet carries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Something that is to be acknowledged.
    pub is_eliciting: bool,
    /// Bytes of messages.
    pub is_media: bool,
    /// The messages that begin in it.
    pub messages: Vec<Message>,
}

/// What stands in streams and datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A message, and no more.
    Raw,
    /// An object of MOQT with a message.
    Moqt,
}

/// The frames of a payload, of which `part` shows what stands from an offset on: at least the beginning of a message
/// and all before it.
pub fn look<const LEN: usize>(
    packing: Packing,
    part: impl Fn(usize) -> ([u8; LEN], usize),
) -> Found {
    let (mut found, mut offset) = (Found::default(), 0);
    loop {
        let (bytes, len) = part(offset);
        let Some((&kind, rest)) = bytes[..len].split_first() else {
            return found;
        };
        found.is_eliciting |= !matches!(kind, 0 | 2 | 3);
        let after = match kind {
            0 => Some(&rest[rest.iter().take_while(|&&byte| byte == 0).count()..]),
            2 => ack(rest, 0),
            3 => ack(rest, 3),
            _ => match data(kind, rest) {
                Some(data) => {
                    found.is_media = true;
                    found.messages.extend(data.message(packing));
                    let Some(bytes) = data.len else {
                        return found;
                    };
                    offset += len - data.rest.len() + bytes;
                    continue;
                }
                None => fields(kind).and_then(|count| skip(rest, count)),
            },
        };
        // What is not known here is not walked over.
        let Some(after) = after else {
            return found;
        };
        offset += len - after.len();
    }
}

/// A frame with a message's bytes, or some of them.
struct Data<'a> {
    /// It begins here.
    is_begin: bool,
    /// How many bytes; `None`: to the packet's end.
    len: Option<usize>,
    is_datagram: bool,
    rest: &'a [u8],
}

impl Data<'_> {
    /// The message that begins here.
    fn message(&self, packing: Packing) -> Option<Message> {
        let bytes = match (packing, self.is_datagram) {
            _ if !self.is_begin => return None,
            (Packing::Raw, _) => self.rest,
            (Packing::Moqt, true) => moqt::in_datagram(self.rest)?,
            (Packing::Moqt, false) => moqt::in_stream(self.rest)?,
        };
        Message::decode(bytes)
    }
}

fn data(kind: u8, bytes: &[u8]) -> Option<Data<'_>> {
    let (has_len, has_offset) = match kind {
        0x30 | 0x31 => (kind & 1 != 0, false),
        8..=15 => (kind & 2 != 0, kind & 4 != 0),
        _ => return None,
    };
    let bytes = if kind < 16 { skip(bytes, 1)? } else { bytes };
    let (bytes, offset) = if has_offset {
        varint::parse(bytes).ok()?
    } else {
        (bytes, 0)
    };
    let (rest, len) = match has_len {
        true => varint::parse(bytes)
            .map(|(rest, len)| (rest, usize::try_from(len).ok()))
            .ok()?,
        false => (bytes, None),
    };
    Some(Data {
        is_begin: offset == 0,
        len,
        is_datagram: kind >= 16,
        rest,
    })
}

/// How many integers a frame of this type has, and nothing else.
const fn fields(kind: u8) -> Option<usize> {
    match kind {
        0x01 | 0x1e => Some(0),
        0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x19 => Some(1),
        0x05 | 0x11 | 0x15 => Some(2),
        0x04 => Some(3),
        _ => None,
    }
}

/// Behind an ACK frame that has so many counts at its end.
fn ack(bytes: &[u8], counts: usize) -> Option<&[u8]> {
    let bytes = skip(bytes, 2)?;
    let (bytes, ranges) = varint::parse(bytes).ok()?;
    let ranges = usize::try_from(ranges).ok().filter(|&ranges| ranges < 64)?;
    skip(bytes, 1 + 2 * ranges + counts)
}

fn skip(bytes: &[u8], integers: usize) -> Option<&[u8]> {
    (0..integers).try_fold(bytes, |bytes, _| {
        varint::parse(bytes).ok().map(|(rest, _)| rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Message = Message {
        sequence: 3,
        sent: 4,
    };

    fn of(packing: Packing, payload: &[u8]) -> Found {
        look(packing, |offset| {
            let (mut part, rest) = ([0; 64], payload.get(offset..).unwrap_or_default());
            let len = rest.len().min(64);
            part[..len].copy_from_slice(&rest[..len]);
            (part, len)
        })
    }

    #[test]
    fn messages_are_found_behind_other_frames_and_behind_each_other() {
        let message = MESSAGE.encode(80);
        let behind = |frames: &[u8]| of(Packing::Raw, &[frames, &message].concat()).messages;
        assert_eq!(behind(&[0x30]), [MESSAGE]);
        assert_eq!(behind(&[0, 0, 0x31, 0x40, 80]), [MESSAGE]);
        assert_eq!(behind(&[2, 9, 0, 1, 3, 0, 1, 0x0a, 3, 0x40, 80]), [MESSAGE]);
        assert_eq!(behind(&[0x10, 0x40, 0x50, 0x0e, 3, 0, 0x40, 80]), [MESSAGE]);
        assert_eq!(behind(&[0x0e, 3, 1, 0x40, 80]), []);
        let first = [&[0x0a, 3, 0x40, 80], &message[..], &[0; 99]].concat();
        assert_eq!(
            behind(&[&first[..], &[0x08, 7]].concat()),
            [MESSAGE, MESSAGE]
        );
    }

    #[test]
    fn messages_are_found_in_objects() {
        let message = MESSAGE.encode(80);
        let (datagram, stream) = (moqt::datagram(3, &message), moqt::stream(3, &message));
        let of = |frame: &[u8], bytes: &[u8]| of(Packing::Moqt, &[frame, bytes].concat()).messages;
        assert_eq!(of(&[0x30], &datagram), [MESSAGE]);
        assert_eq!(of(&[0x08, 7], &stream), [MESSAGE]);
        assert_eq!(of(&[0x0c, 7, 1], &stream), [], "not the beginning");
        assert_eq!(of(&[0x08, 7], &message), [], "another kind of stream");
    }

    #[test]
    fn what_only_acknowledges_needs_no_answer() {
        assert_eq!(of(Packing::Raw, &[2, 9, 0, 0, 3, 0, 0]), Found::default());
        for other in [&[1][..], &[0x18, 1, 2], &[0x10]] {
            let found = of(Packing::Raw, other);
            assert!(found.is_eliciting && !found.is_media, "{found:?}");
        }
    }
}
