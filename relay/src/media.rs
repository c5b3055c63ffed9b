//! How a file travels as a track, and how it is put together again bit for bit.
//!
//! A frame of an IVF file, or a piece of any other file, is a *unit*. On streams a unit is one
//! object. A datagram holds only about a kilobyte, so there a unit is a run of objects with
//! consecutive IDs; a relay needs to know nothing of that. Object payloads are the coded frames and
//! nothing else, as other receivers expect them. What the file has beside them travels in properties
//! (draft-18 §2.5) of the range 0x3800 to 0x3fff, which is reserved for applications and which relays
//! carry unchanged:
//!
//! | property | of | value |
//! |---|---|---|
//! | 0x3800 | object | when it was sent, microseconds since 1970: for the one-way delay |
//! | 0x3802 | first object of a frame | the frame's timestamp in the IVF file |
//! | 0x3804 | first object of several | length of the whole unit |
//! | 0x3806 | the others of them | offset in the unit |
//! | 0x3801 | track | the 32 bytes of the IVF file header |
//! | 0x3808 | track | the first group there is |
//!
//! Where there is no session to say what the track is, its properties stand beside those of each group's
//! first object. The file header is a property of the track because a subscriber that joins late needs it too. The
//! 12 bytes before each frame are its length and its timestamp, and both are known. The first group
//! is told because group IDs start at the publisher's clock, so that they increase when it comes back
//! (draft-18 §2.3.1): a subscriber could not tell a group that is still on its way from one that never
//! was.

use quic_relay::ivf::{self, FileHeader};
use quic_relay::limits;
use quic_relay::moqt::key_value::{PairWriter, Value, pairs};

/// What a publisher of ours says about a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrackFacts {
    /// The IVF file header, when the track is an IVF file.
    pub(crate) header: Option<FileHeader>,
    /// The first group of the track.
    pub(crate) first_group: Option<u64>,
}

/// What a publisher of ours says about an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObjectFacts {
    /// When it was sent, in microseconds since 1970.
    pub(crate) sent: Option<u64>,
    /// The timestamp of the frame that begins here.
    pub(crate) timestamp: Option<u64>,
    /// Length of the unit that begins here and does not end here.
    pub(crate) length: Option<u64>,
    /// Where in its unit this object belongs, when that is not its start.
    pub(crate) offset: Option<u64>,
}

impl TrackFacts {
    /// The facts as track properties.
    pub(crate) fn encode(&self) -> Vec<u8> {
        ObjectFacts::default().encode_with(self)
    }

    /// What track properties say. Other publishers say nothing of it, which is no error.
    pub(crate) fn parse(properties: &[u8]) -> Self {
        let mut facts = Self::default();
        for pair in pairs(properties).flatten() {
            match pair {
                (FILE_HEADER, Value::Bytes(bytes)) => facts.header = FileHeader::parse(bytes).ok(),
                (FIRST_GROUP, Value::Int(group)) => facts.first_group = Some(group),
                _ => {}
            }
        }
        facts
    }
}

impl ObjectFacts {
    /// The facts as object properties, together with facts about the track. Keys ascend.
    pub(crate) fn encode_with(&self, track: &TrackFacts) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = PairWriter::new(&mut out);
        let int = |writer: &mut PairWriter<'_>, key, value: Option<u64>| {
            if let Some(value) = value {
                writer.int(key, value);
            }
        };
        int(&mut writer, SENT, self.sent);
        if let Some(header) = &track.header {
            writer.bytes(FILE_HEADER, header.as_bytes());
        }
        int(&mut writer, TIMESTAMP, self.timestamp);
        int(&mut writer, LENGTH, self.length);
        int(&mut writer, OFFSET, self.offset);
        int(&mut writer, FIRST_GROUP, track.first_group);
        out
    }

    /// What object properties say.
    pub(crate) fn parse(properties: &[u8]) -> Self {
        let mut facts = Self::default();
        for pair in pairs(properties).flatten() {
            match pair {
                (SENT, Value::Int(value)) => facts.sent = Some(value),
                (TIMESTAMP, Value::Int(value)) => facts.timestamp = Some(value),
                (LENGTH, Value::Int(value)) => facts.length = Some(value),
                (OFFSET, Value::Int(value)) => facts.offset = Some(value),
                _ => {}
            }
        }
        facts
    }
}

/// One object of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Its properties; when it is sent is for the sender to add.
    pub(crate) facts: ObjectFacts,
    /// Its payload.
    pub(crate) payload: &'a [u8],
}

/// Cuts a unit into objects of at most `limit` bytes.
pub(crate) fn cut(
    timestamp: Option<u64>,
    unit: &[u8],
    limit: usize,
) -> impl Iterator<Item = Piece<'_>> {
    let length = (unit.len() > limit).then_some(unit.len() as u64);
    // A frame may be empty, and is an object all the same.
    let chunks = unit.chunks(limit).chain(unit.is_empty().then_some(unit));
    chunks.enumerate().map(move |(index, payload)| {
        let facts = match index {
            0 => ObjectFacts {
                timestamp,
                length,
                ..ObjectFacts::default()
            },
            _ => ObjectFacts {
                offset: Some((index * limit) as u64),
                ..ObjectFacts::default()
            },
        };
        Piece { facts, payload }
    })
}

/// Puts a file together from its objects, in order.
#[derive(Debug)]
pub(crate) struct Rebuild {
    is_ivf: bool,
    begun: Option<Begun>,
    dropped: u64,
}

/// A unit of which the end is still to come.
#[derive(Debug)]
struct Begun {
    facts: ObjectFacts,
    bytes: Vec<u8>,
    length: u64,
}

impl Rebuild {
    /// Begins a file with what the track says about it; its first bytes go to `out`.
    pub(crate) fn new(track: &TrackFacts, out: &mut Vec<u8>) -> Self {
        if let Some(header) = &track.header {
            out.extend_from_slice(header.as_bytes());
        }
        Self {
            is_ivf: track.header.is_some(),
            begun: None,
            dropped: 0,
        }
    }

    /// Adds the next object. When a unit is whole with it, the unit's bytes of the file go to `out`
    /// and the facts of its first object are returned.
    pub(crate) fn add(
        &mut self,
        facts: ObjectFacts,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<ObjectFacts> {
        if let Some(offset) = facts.offset {
            return self.go_on(offset, payload, out);
        }
        self.dropped += u64::from(self.begun.take().is_some());
        match facts.length {
            Some(length) if length > payload.len() as u64 && length <= limits::UNIT => {
                self.begun = Some(Begun {
                    facts,
                    bytes: payload.to_vec(),
                    length,
                });
                None
            }
            _ => self.write(facts, payload, out),
        }
    }

    /// Units that were begun and never became whole.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped + u64::from(self.begun.is_some())
    }

    fn go_on(&mut self, offset: u64, payload: &[u8], out: &mut Vec<u8>) -> Option<ObjectFacts> {
        // The unit's start, or the part before this one, was lost.
        let begun = self
            .begun
            .as_mut()
            .filter(|begun| begun.bytes.len() as u64 == offset)?;
        begun.bytes.extend_from_slice(payload);
        if (begun.bytes.len() as u64) < begun.length {
            return None;
        }
        let Begun { facts, bytes, .. } = self.begun.take()?;
        self.write(facts, &bytes, out)
    }

    fn write(&mut self, facts: ObjectFacts, unit: &[u8], out: &mut Vec<u8>) -> Option<ObjectFacts> {
        if self.is_ivf {
            // A frame without a time has no place in an IVF file.
            let (Some(timestamp), Ok(length)) = (facts.timestamp, u32::try_from(unit.len())) else {
                self.dropped += 1;
                return None;
            };
            out.extend_from_slice(&ivf::frame_header(timestamp, length));
        }
        out.extend_from_slice(unit);
        Some(facts)
    }
}

const SENT: u64 = 0x3800;
const FILE_HEADER: u64 = 0x3801;
const TIMESTAMP: u64 = 0x3802;
const LENGTH: u64 = 0x3804;
const OFFSET: u64 = 0x3806;
const FIRST_GROUP: u64 = 0x3808;

/// Objects of streams are not cut; this is beyond any frame that `publish` reads.
pub(crate) const WHOLE: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: &[u8] = include_bytes!("../../tests/media/clip.ivf");

    fn clip() -> (TrackFacts, Vec<ivf::Frame>) {
        let mut reader = ivf::Reader::new(CLIP).unwrap();
        let facts = TrackFacts {
            header: Some(*reader.header()),
            first_group: Some(1 << 40),
        };
        let frames = std::iter::from_fn(|| reader.next_frame().unwrap()).collect();
        (facts, frames)
    }

    /// The clip as it is rebuilt from pieces of at most `limit`, those that `keep` refuses left out.
    fn rebuilt(limit: usize, keep: impl Fn(usize) -> bool) -> (Vec<u8>, usize, u64) {
        let (track, frames) = clip();
        let mut out = Vec::new();
        let mut rebuild = Rebuild::new(&TrackFacts::parse(&track.encode()), &mut out);
        let pieces = frames
            .iter()
            .flat_map(|f| cut(Some(f.timestamp), &f.payload, limit));
        let kept = pieces.enumerate().filter(|(index, _)| keep(*index));
        let add = |(_, piece): (usize, Piece<'_>)| {
            rebuild.add(
                ObjectFacts::parse(&piece.facts.encode_with(&track)),
                piece.payload,
                &mut out,
            )
        };
        let whole = kept.filter_map(add).count();
        let dropped = rebuild.dropped();
        (out, whole, dropped)
    }

    #[test]
    fn facts_survive_encoding() {
        let (track, _) = clip();
        assert_eq!(TrackFacts::parse(&track.encode()), track);
        let object = ObjectFacts {
            sent: Some(1_800_000_000_000_000),
            timestamp: Some(0),
            length: None,
            offset: Some(u64::MAX),
        };
        assert_eq!(ObjectFacts::parse(&object.encode_with(&track)), object);
        assert_eq!(ObjectFacts::parse(&[0xff, 1]), ObjectFacts::default());
    }

    #[test]
    fn clip_is_rebuilt_bit_for_bit_whole_or_in_datagrams() {
        for limit in [WHOLE, 1024, 1] {
            assert_eq!(rebuilt(limit, |_| true), (CLIP.to_vec(), 250, 0), "{limit}");
        }
    }

    #[test]
    fn lost_piece_costs_its_frame_and_nothing_else() {
        let (out, whole, dropped) = rebuilt(1024, |index| index != 3);
        assert_eq!((whole, dropped), (249, 1));
        let mut reader = ivf::Reader::new(&out[..]).unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| reader.next_frame().unwrap()).collect();
        assert_eq!(rest, clip().1[1..]);
    }

    #[test]
    fn lost_start_of_a_frame_costs_the_frame() {
        let (_, whole, _) = rebuilt(1024, |index| index != 0);
        assert_eq!(whole, 249);
    }

    #[test]
    fn other_files_are_the_payloads_one_after_another() {
        let mut out = Vec::new();
        let mut rebuild = Rebuild::new(&TrackFacts::default(), &mut out);
        for piece in cut(None, b"hello, world", 5) {
            rebuild.add(piece.facts, piece.payload, &mut out);
        }
        rebuild.add(ObjectFacts::default(), b"!", &mut out);
        assert_eq!(out, b"hello, world!");
    }

    #[test]
    fn empty_frame_is_an_object() {
        assert_eq!(cut(Some(1), b"", 1024).count(), 1);
    }

    #[test]
    fn a_unit_that_would_be_too_long_is_not_waited_for() {
        let mut out = Vec::new();
        let mut rebuild = Rebuild::new(&TrackFacts::default(), &mut out);
        for (length, waits) in [(limits::UNIT, true), (limits::UNIT + 1, false)] {
            let facts = ObjectFacts {
                length: Some(length),
                ..ObjectFacts::default()
            };
            rebuild.add(facts, b"x", &mut out);
            assert_eq!(rebuild.begun.is_some(), waits, "{length}");
        }
    }
}
