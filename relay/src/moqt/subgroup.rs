//! Subgroup streams (draft §11.4.2): the header, and the objects that follow it.
//!
//! The track alias stands right after the type, so a relay can replace it in the first bytes of a
//! stream without moving anything ([`patch_alias`]).

use core::fmt;
use core::ops::Range;

use super::varint::{byte, encoded_len, overwrite, prefixed, put, put_prefixed, take, vi64};
use super::{MoqtError, PResult};

use crate::limits;

/// Where the Subgroup ID comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubgroupId {
    /// It is 0.
    Zero,
    /// It is the ID of the stream's first object.
    FirstObject,
    /// It is written in the header.
    Explicit(u64),
}

/// SUBGROUP_HEADER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubgroupHeader {
    /// Which track.
    pub track_alias: u64,
    /// Which group.
    pub group_id: u64,
    /// Which subgroup.
    pub subgroup_id: SubgroupId,
    /// The priority; `None` means the track's default.
    pub publisher_priority: Option<u8>,
    /// Whether each object has a properties field.
    pub properties: bool,
    /// Whether a FIN ends the group, too.
    pub end_of_group: bool,
    /// Whether the first object here is the first of the subgroup.
    pub first_object: bool,
}

const PROPERTIES: u64 = 0x01;
const SUBGROUP_ID_MODE: u64 = 0x06;
const END_OF_GROUP: u64 = 0x08;
const SUBGROUP: u64 = 0x10;
const DEFAULT_PRIORITY: u64 = 0x20;
const FIRST_OBJECT: u64 = 0x40;

/// The longest header: nine bytes for each of four integers, one of priority.
pub const MAX_HEADER_LEN: usize = 37;

/// Whether a stream of this type is a subgroup: `0b0XX1XXXX`.
pub const fn is_subgroup_type(stream_type: u64) -> bool {
    stream_type < 0x80 && stream_type & SUBGROUP != 0
}

impl SubgroupHeader {
    /// Parses the header.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, flags) = vi64(i)?;
        if !is_subgroup_type(flags) || flags & SUBGROUP_ID_MODE == SUBGROUP_ID_MODE {
            return MoqtError::violation("invalid subgroup type").fail();
        }
        let (i, track_alias) = vi64(i)?;
        let (i, group_id) = vi64(i)?;
        let (i, subgroup_id) = match flags & SUBGROUP_ID_MODE {
            0 => (i, SubgroupId::Zero),
            2 => (i, SubgroupId::FirstObject),
            _ => {
                let (i, id) = vi64(i)?;
                (i, SubgroupId::Explicit(id))
            }
        };
        let (i, publisher_priority) = if flags & DEFAULT_PRIORITY == 0 {
            let (i, priority) = byte(i)?;
            (i, Some(priority))
        } else {
            (i, None)
        };
        let header = Self {
            track_alias,
            group_id,
            subgroup_id,
            publisher_priority,
            properties: flags & PROPERTIES != 0,
            end_of_group: flags & END_OF_GROUP != 0,
            first_object: flags & FIRST_OBJECT != 0,
        };
        Ok((i, header))
    }

    /// Appends the header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mode = match self.subgroup_id {
            SubgroupId::Zero => 0,
            SubgroupId::FirstObject => 2,
            SubgroupId::Explicit(_) => 4,
        };
        let flags = SUBGROUP
            | mode
            | flag(self.properties, PROPERTIES)
            | flag(self.end_of_group, END_OF_GROUP)
            | flag(self.publisher_priority.is_none(), DEFAULT_PRIORITY)
            | flag(self.first_object, FIRST_OBJECT);
        put(out, flags);
        put(out, self.track_alias);
        put(out, self.group_id);
        if let SubgroupId::Explicit(id) = self.subgroup_id {
            put(out, id);
        }
        out.extend(self.publisher_priority);
    }

    /// This header for a stream that starts at a later object: the ID is spelled out and
    /// FIRST_OBJECT is not claimed (draft §2.2). `first` is the first object of the original stream.
    #[must_use]
    pub fn joined(mut self, first: u64) -> Self {
        if self.subgroup_id == SubgroupId::FirstObject {
            self.subgroup_id = SubgroupId::Explicit(first);
        }
        self.first_object = false;
        self
    }
}

impl fmt::Display for SubgroupHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SUBGROUP alias={} group={}",
            self.track_alias, self.group_id
        )?;
        match self.subgroup_id {
            SubgroupId::Zero => f.write_str(" subgroup=0"),
            SubgroupId::FirstObject => f.write_str(" subgroup=first"),
            SubgroupId::Explicit(id) => write!(f, " subgroup={id}"),
        }
    }
}

/// Where the track alias stands in a subgroup stream or object datagram: after the type.
pub fn alias_slot(bytes: &[u8]) -> Option<Range<usize>> {
    let start = encoded_len(*bytes.first()?);
    let len = encoded_len(*bytes.get(start)?);
    let end = start.checked_add(len)?;
    (end <= bytes.len()).then_some(start..end)
}

/// Writes another alias in the same number of bytes; false when it does not fit.
#[must_use]
pub fn patch_alias(bytes: &mut [u8], alias: u64) -> bool {
    match alias_slot(bytes).and_then(|slot| bytes.get_mut(slot)) {
        Some(slot) => overwrite(slot, alias),
        None => false,
    }
}

/// What an object carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A payload, possibly empty: status Normal.
    Payload(&'a [u8]),
    /// No later object in the group.
    EndOfGroup,
    /// No later object in the track.
    EndOfTrack,
}

impl Body<'_> {
    /// The status number.
    pub const fn status(&self) -> u64 {
        match self {
            Self::Payload(_) => 0,
            Self::EndOfGroup => 3,
            Self::EndOfTrack => 4,
        }
    }
}

/// The status with this number, which has no payload.
pub(super) fn status(number: u64) -> Result<Body<'static>, MoqtError> {
    match number {
        0 => Ok(Body::Payload(&[])),
        3 => Ok(Body::EndOfGroup),
        4 => Ok(Body::EndOfTrack),
        _ => Err(MoqtError::violation("unknown object status")),
    }
}

/// An object of a subgroup stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// Its ID in the group.
    pub id: u64,
    /// Its properties, unparsed.
    pub properties: &'a [u8],
    /// Payload or status.
    pub body: Body<'a>,
}

impl<'a> Object<'a> {
    /// Parses a whole object; `previous` is the ID of the one before it on the stream.
    pub fn parse(i: &'a [u8], properties: bool, previous: Option<u64>) -> PResult<'a, Self> {
        let (i, (object, len)) = Self::parse_head(i, properties, previous)?;
        if len == 0 {
            return Ok((i, object));
        }
        let (i, payload) = take(i, usize::try_from(len).unwrap_or(usize::MAX))?;
        let body = Body::Payload(payload);
        Ok((i, Self { body, ..object }))
    }

    /// Parses an object up to its payload, which is left out; the length of the payload.
    pub fn parse_head(
        i: &'a [u8],
        properties: bool,
        previous: Option<u64>,
    ) -> PResult<'a, (Self, u64)> {
        let (i, delta) = vi64(i)?;
        let Some(id) = object_id(previous, delta) else {
            return MoqtError::violation("object ID beyond 2^64-1").fail();
        };
        let (i, properties) = if properties {
            prefixed(i, limits::PROPERTIES, "properties too long")?
        } else {
            (i, &[][..])
        };
        let (i, len) = vi64(i)?;
        let (i, number) = if len == 0 { vi64(i)? } else { (i, 0) };
        let body = status(number).map_err(nom::Err::Failure)?;
        if number != 0 && !properties.is_empty() {
            return MoqtError::violation("properties on an object that is not normal").fail();
        }
        let object = Self {
            id,
            properties,
            body,
        };
        Ok((i, (object, len)))
    }

    /// Appends the object; `properties` and `previous` as in [`Self::parse`].
    pub fn encode(&self, out: &mut Vec<u8>, properties: bool, previous: Option<u64>) {
        let base = previous.map_or(0, |id| id.saturating_add(1));
        put(out, self.id.saturating_sub(base));
        if properties {
            put_prefixed(out, self.properties);
        }
        match self.body {
            Body::Payload(payload) if !payload.is_empty() => put_prefixed(out, payload),
            body => {
                put(out, 0);
                put(out, body.status());
            }
        }
    }
}

/// The ID that `delta` leads to (draft §11.4.2).
pub(super) fn object_id(previous: Option<u64>, delta: u64) -> Option<u64> {
    match previous {
        None => Some(delta),
        Some(previous) => previous.checked_add(1)?.checked_add(delta),
    }
}

fn flag(set: bool, bit: u64) -> u64 {
    if set { bit } else { 0 }
}

/// Takes a subgroup stream's bytes in order and gives back whole objects.
#[derive(Debug)]
pub struct ObjectReader {
    properties: bool,
    previous: Option<u64>,
    buffer: Vec<u8>,
    taken: usize,
    max_object_len: usize,
}

impl ObjectReader {
    /// A reader for what follows `header`; an object over `max_object_len` bytes is an error.
    pub fn new(header: &SubgroupHeader, max_object_len: usize) -> Self {
        Self {
            properties: header.properties,
            previous: None,
            buffer: Vec::new(),
            taken: 0,
            max_object_len,
        }
    }

    /// Adds the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken.min(self.buffer.len()));
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole object; `None` until more bytes come.
    pub fn next_object(&mut self) -> Result<Option<Object<'_>>, MoqtError> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        match Object::parse(rest, self.properties, self.previous) {
            Ok((after, object)) => {
                let used = rest.len().saturating_sub(after.len());
                self.taken = self.taken.saturating_add(used);
                self.previous = Some(object.id);
                Ok(Some(object))
            }
            Err(error) => {
                let error = MoqtError::from(error);
                if !error.is_truncated() {
                    return Err(error);
                }
                if rest.len() > self.max_object_len {
                    return Err(MoqtError::violation("object larger than we take"));
                }
                Ok(None)
            }
        }
    }

    /// Whether the stream may end here: not inside an object.
    pub fn is_between_objects(&self) -> bool {
        self.taken == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SubgroupHeader {
        SubgroupHeader {
            track_alias: 2,
            group_id: 0,
            subgroup_id: SubgroupId::Explicit(0),
            publisher_priority: Some(0),
            properties: false,
            end_of_group: false,
            first_object: false,
        }
    }

    #[test]
    fn the_example_of_the_draft() {
        let mut out = Vec::new();
        header().encode(&mut out);
        Object {
            id: 0,
            properties: &[],
            body: Body::Payload(b"abcd"),
        }
        .encode(&mut out, false, None);
        Object {
            id: 1,
            properties: &[],
            body: Body::Payload(b"efgh"),
        }
        .encode(&mut out, false, Some(0));
        assert_eq!(out, b"\x14\x02\x00\x00\x00\x00\x04abcd\x00\x04efgh");
    }

    #[test]
    fn every_valid_type_round_trips_and_every_other_is_refused() {
        let mut valid = 0;
        for flags in 0..=255u64 {
            let mut bytes = Vec::new();
            put(&mut bytes, flags);
            bytes.extend([1, 2, 3, 4]);
            let Ok((rest, header)) = SubgroupHeader::parse(&bytes) else {
                continue;
            };
            valid += 1;
            let mut out = Vec::new();
            header.encode(&mut out);
            assert_eq!(out, bytes[..bytes.len() - rest.len()], "{flags:#x}");
            assert_eq!(flags & 0x90, 0x10);
            assert_ne!(flags & 6, 6);
        }
        assert_eq!(valid, 4 * 12);
    }

    #[test]
    fn a_cut_header_asks_for_more() {
        let mut out = Vec::new();
        header().encode(&mut out);
        for len in 0..out.len() {
            let error = MoqtError::from(SubgroupHeader::parse(&out[..len]).expect_err("cut"));
            assert!(error.is_truncated());
        }
    }

    #[test]
    fn the_alias_is_replaced_in_place_whatever_its_length() {
        for alias in [5u64, 300, 1 << 30, u64::MAX] {
            let mut bytes = Vec::new();
            SubgroupHeader {
                track_alias: alias,
                ..header()
            }
            .encode(&mut bytes);
            let len = bytes.len();
            assert!(patch_alias(&mut bytes, 7));
            assert_eq!(bytes.len(), len);
            let expected = SubgroupHeader {
                track_alias: 7,
                ..header()
            };
            assert_eq!(SubgroupHeader::parse(&bytes), Ok((&[][..], expected)));
        }
        assert!(!patch_alias(&mut [0x14, 5, 0], 128));
        assert!(!patch_alias(&mut [0x14], 1));
    }

    #[test]
    fn objects_are_read_byte_by_byte() {
        let header = SubgroupHeader {
            properties: true,
            ..header()
        };
        let objects = [
            Object {
                id: 3,
                properties: &[2, 5],
                body: Body::Payload(b"x"),
            },
            Object {
                id: 4,
                properties: &[],
                body: Body::Payload(&[]),
            },
            Object {
                id: 9,
                properties: &[],
                body: Body::EndOfGroup,
            },
        ];
        let mut out = Vec::new();
        let mut previous = None;
        for object in &objects {
            object.encode(&mut out, true, previous);
            previous = Some(object.id);
        }
        let mut reader = ObjectReader::new(&header, 100);
        let mut read = 0;
        for byte in out {
            reader.push(&[byte]);
            while let Some(object) = reader.next_object().expect("valid") {
                assert_eq!(object, objects[read]);
                read += 1;
            }
        }
        assert_eq!(read, 3);
        assert!(reader.is_between_objects());
    }

    #[test]
    fn an_object_over_the_limit_is_refused() {
        let mut reader = ObjectReader::new(&header(), 10);
        reader.push(&[0, 100]);
        reader.push(&[0; 20]);
        assert!(reader.next_object().is_err());
    }

    #[test]
    fn a_joined_header_spells_the_subgroup_out() {
        let first = SubgroupHeader {
            subgroup_id: SubgroupId::FirstObject,
            first_object: true,
            ..header()
        };
        assert_eq!(
            first.joined(4),
            SubgroupHeader {
                subgroup_id: SubgroupId::Explicit(4),
                ..header()
            }
        );
    }

    #[test]
    fn bad_status_and_overflowing_ids_are_refused() {
        assert!(Object::parse(&[0, 0, 1], false, None).is_err());
        assert!(Object::parse(&[0, 0, 0], false, Some(u64::MAX)).is_err());
        assert!(Object::parse(&[0, 2, 2, 5, 0, 3], true, None).is_err());
    }
}
