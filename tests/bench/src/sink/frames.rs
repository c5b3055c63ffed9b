//! Looks through the first frames of a packet for the beginning of a message (RFC 9000 §19, RFC 9221 §4).

use bench::message::Message;
use quic_lite::wire::varint;

/// What a packet carries, as far as its beginning shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Nothing that is to be acknowledged.
    Acknowledgements,
    /// Something else, but no message.
    Control,
    /// A message's beginning.
    Message(Message),
    /// More of a message.
    More,
}

/// The frames at the beginning of a payload.
pub fn look(mut bytes: &[u8]) -> Carries {
    let mut found = Carries::Acknowledgements;
    while let Some((&kind, rest)) = bytes.split_first() {
        let after = match kind {
            0 => Some(rest),
            2 => ack(rest, 0),
            3 => ack(rest, 3),
            8..=15 => return stream(kind, rest).unwrap_or(Carries::More),
            0x30 => return Message::decode(rest).map_or(Carries::More, Carries::Message),
            0x31 => {
                let data = skip(rest, 1).and_then(Message::decode);
                return data.map_or(Carries::More, Carries::Message);
            }
            _ => {
                found = Carries::Control;
                fields(kind).and_then(|count| skip(rest, count))
            }
        };
        // What is cut off, or not known here, was there for a reason.
        let Some(after) = after else {
            return Carries::Control;
        };
        bytes = after;
    }
    found
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

fn stream(kind: u8, bytes: &[u8]) -> Option<Carries> {
    let mut bytes = skip(bytes, 1)?;
    if kind & 4 != 0 {
        let (rest, offset) = varint::parse(bytes).ok()?;
        if offset != 0 {
            return None;
        }
        bytes = rest;
    }
    let data = if kind & 2 != 0 {
        skip(bytes, 1)?
    } else {
        bytes
    };
    Message::decode(data).map(Carries::Message)
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

    #[test]
    fn a_message_is_found_behind_other_frames() {
        let message = MESSAGE.encode(20);
        let behind = |frames: &[u8]| look(&[frames, &message].concat());
        assert_eq!(behind(&[0x30]), Carries::Message(MESSAGE));
        assert_eq!(behind(&[0, 0, 0x31, 20]), Carries::Message(MESSAGE));
        assert_eq!(
            behind(&[2, 9, 0, 1, 3, 0, 1, 0x0a, 3, 20]),
            Carries::Message(MESSAGE)
        );
        assert_eq!(
            behind(&[0x10, 0x40, 0x50, 0x0e, 3, 0, 20]),
            Carries::Message(MESSAGE)
        );
        assert_eq!(behind(&[0x0e, 3, 1, 20]), Carries::More);
    }

    #[test]
    fn what_only_acknowledges_needs_no_answer() {
        assert_eq!(look(&[2, 9, 0, 0, 3, 0, 0]), Carries::Acknowledgements);
        assert_eq!(look(&[1]), Carries::Control);
        assert_eq!(look(&[0x18, 1, 2]), Carries::Control);
    }
}
