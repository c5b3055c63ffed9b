//! Datagrams (draft §11.3): one object each, or padding.

use super::key_value::pairs;
use super::subgroup::{Body, status};
use super::varint::{byte, prefixed, put, put_prefixed, vi64};
use super::{Location, MoqtError, PResult};

use crate::limits;

/// OBJECT_DATAGRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectDatagram<'a> {
    /// Which track.
    pub track_alias: u64,
    /// Which object.
    pub location: Location,
    /// The priority; `None` means the track's default.
    pub publisher_priority: Option<u8>,
    /// Whether no later object of the group exists.
    pub end_of_group: bool,
    /// The object's properties, unparsed.
    pub properties: &'a [u8],
    /// Payload or status.
    pub body: Body<'a>,
}

const PROPERTIES: u64 = 0x01;
const END_OF_GROUP: u64 = 0x02;
const ZERO_OBJECT_ID: u64 = 0x04;
const DEFAULT_PRIORITY: u64 = 0x08;
const STATUS: u64 = 0x20;
/// The type of padding datagrams (draft §11.5.2).
pub const PADDING_TYPE: u64 = 0x132b_3e29;

impl<'a> ObjectDatagram<'a> {
    /// Parses a whole datagram; `None` for padding.
    pub fn parse_all(i: &'a [u8]) -> Result<Option<Self>, MoqtError> {
        match Self::parse(i) {
            Ok((_, datagram)) => Ok(datagram),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(i: &'a [u8]) -> PResult<'a, Option<Self>> {
        let (i, flags) = vi64(i)?;
        if flags == PADDING_TYPE {
            return Ok((&[], None));
        }
        if flags & !0x2f != 0 || flags & (STATUS | END_OF_GROUP) == STATUS | END_OF_GROUP {
            return MoqtError::violation("invalid datagram type").fail();
        }
        let (i, track_alias) = vi64(i)?;
        let (i, group) = vi64(i)?;
        let (i, object) = if flags & ZERO_OBJECT_ID == 0 {
            vi64(i)?
        } else {
            (i, 0)
        };
        let (i, publisher_priority) = if flags & DEFAULT_PRIORITY == 0 {
            let (i, priority) = byte(i)?;
            (i, Some(priority))
        } else {
            (i, None)
        };
        let (i, properties) = if flags & PROPERTIES != 0 {
            properties(i)?
        } else {
            (i, &[][..])
        };
        let body = if flags & STATUS == 0 {
            Body::Payload(i)
        } else {
            only_status(i)?
        };
        if !matches!(body, Body::Payload(_)) && !properties.is_empty() {
            return MoqtError::violation("properties on an object that is not normal").fail();
        }
        let location = Location::new(group, object);
        let end_of_group = flags & END_OF_GROUP != 0;
        Ok((
            &[],
            Some(Self {
                track_alias,
                location,
                publisher_priority,
                end_of_group,
                properties,
                body,
            }),
        ))
    }

    /// Appends the datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut flags = 0;
        if !self.properties.is_empty() {
            flags |= PROPERTIES;
        }
        if self.end_of_group {
            flags |= END_OF_GROUP;
        }
        if self.location.object == 0 {
            flags |= ZERO_OBJECT_ID;
        }
        if self.publisher_priority.is_none() {
            flags |= DEFAULT_PRIORITY;
        }
        if self.body.status() != 0 {
            flags |= STATUS;
        }
        put(out, flags);
        put(out, self.track_alias);
        put(out, self.location.group);
        if self.location.object != 0 {
            put(out, self.location.object);
        }
        out.extend(self.publisher_priority);
        if !self.properties.is_empty() {
            put_prefixed(out, self.properties);
        }
        match self.body {
            Body::Payload(payload) => out.extend_from_slice(payload),
            status => put(out, status.status()),
        }
    }
}

fn properties(i: &[u8]) -> PResult<'_, &[u8]> {
    let (i, properties) = prefixed(i, limits::PROPERTIES, "properties too long")?;
    if properties.is_empty() {
        return MoqtError::violation("announced properties are empty").fail();
    }
    match pairs(properties).find_map(Result::err) {
        Some(error) => error.fail(),
        None => Ok((i, properties)),
    }
}

fn only_status(i: &[u8]) -> Result<Body<'static>, nom::Err<MoqtError>> {
    let (i, number) = vi64(i)?;
    if !i.is_empty() {
        return MoqtError::violation("bytes after an object status").fail();
    }
    status(number).map_err(nom::Err::Failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_two_datagrams() {
        let full = ObjectDatagram {
            track_alias: 1,
            location: Location::new(2, 3),
            publisher_priority: Some(4),
            end_of_group: true,
            properties: &[2, 5],
            body: Body::Payload(b"xy"),
        };
        let bare = ObjectDatagram {
            location: Location::new(2, 0),
            publisher_priority: None,
            end_of_group: false,
            properties: &[],
            body: Body::EndOfTrack,
            ..full
        };
        for (datagram, bytes) in [
            (full, &[0x03, 1, 2, 3, 4, 2, 2, 5, b'x', b'y'][..]),
            (bare, &[0x2c, 1, 2, 4]),
        ] {
            let mut out = Vec::new();
            datagram.encode(&mut out);
            assert_eq!(out, bytes);
            assert_eq!(ObjectDatagram::parse_all(bytes), Ok(Some(datagram)));
        }
    }

    #[test]
    fn only_the_listed_types_are_valid() {
        let valid: Vec<u64> = (0..=0x7f)
            .filter(|kind| {
                let mut bytes = Vec::new();
                put(&mut bytes, *kind);
                bytes.extend(if kind & 1 == 1 { &[1, 1, 1, 1, 2, 2, 5, 0][..] } else { &[1, 1, 1, 0, 0] });
                // The shape of the rest varies; only the type's verdict counts.
                !matches!(ObjectDatagram::parse_all(&bytes), Err(error) if error.reason == "invalid datagram type")
            })
            .collect();
        let expected: Vec<u64> = (0..=0x0f)
            .chain([0x20, 0x21, 0x24, 0x25, 0x28, 0x29, 0x2c, 0x2d])
            .collect();
        assert_eq!(valid, expected);
    }

    #[test]
    fn padding_is_not_an_object() {
        let mut out = Vec::new();
        put(&mut out, PADDING_TYPE);
        out.push(0);
        assert_eq!(ObjectDatagram::parse_all(&out), Ok(None));
    }

    #[test]
    fn empty_properties_and_truncation_are_refused() {
        assert!(ObjectDatagram::parse_all(&[0x01, 1, 2, 3, 4, 0, b'x']).is_err());
        for len in 0..5 {
            assert!(ObjectDatagram::parse_all(&[0x00, 1, 2, 3, 4][..len]).is_err());
        }
    }
}
