//! FETCH streams (draft §11.4.4): a Request ID, then objects written as differences to the one before.

use super::varint::{byte, prefixed, put, put_prefixed, vi64};
use super::{GroupOrder, Location, MoqtError, PResult};
use crate::limits;

/// The stream type of FETCH_HEADER.
pub const FETCH_TYPE: u64 = 0x05;

/// Parses a FETCH_HEADER: the Request ID of its FETCH.
pub fn header(i: &[u8]) -> PResult<'_, u64> {
    let (i, stream_type) = vi64(i)?;
    if stream_type != FETCH_TYPE {
        return MoqtError::violation("not a fetch stream").fail();
    }
    vi64(i)
}

/// Appends a FETCH_HEADER.
pub fn put_header(out: &mut Vec<u8>, request_id: u64) {
    put(out, FETCH_TYPE);
    put(out, request_id);
}

/// What a fetch stream consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchItem<'a> {
    /// An object.
    Object(FetchObject<'a>),
    /// Everything up to here does not exist.
    NonExistent(Location),
    /// Nothing is known of what is up to here.
    Unknown(Location),
}

/// An object of a fetch stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchObject<'a> {
    /// Which object.
    pub location: Location,
    /// Its subgroup; `None` for an object that was published in a datagram.
    pub subgroup: Option<u64>,
    /// Its priority.
    pub priority: u8,
    /// Its properties, unparsed.
    pub properties: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

const SUBGROUP_MASK: u64 = 0x03;
const OBJECT_DELTA: u64 = 0x04;
const GROUP_DELTA: u64 = 0x08;
const PRIORITY: u64 = 0x10;
const PROPERTIES: u64 = 0x20;
const DATAGRAM: u64 = 0x40;
const END_NON_EXISTENT: u64 = 0x8c;
const END_UNKNOWN: u64 = 0x10c;

/// What the next item is written relative to; one for each direction of a stream.
#[derive(Clone, Debug, Default)]
pub struct FetchContext {
    order: GroupOrder,
    location: Option<Location>,
    subgroup: Option<u64>,
    priority: Option<u8>,
}

impl FetchContext {
    /// The context at the start of a stream whose groups come in this order.
    pub fn new(order: GroupOrder) -> Self {
        Self {
            order,
            ..Self::default()
        }
    }

    /// Parses a whole item.
    pub fn parse<'a>(&mut self, i: &'a [u8]) -> PResult<'a, FetchItem<'a>> {
        let (i, flags) = vi64(i)?;
        match flags {
            END_NON_EXISTENT | END_UNKNOWN => {
                let (i, end) = Location::parse(i)?;
                self.location = Some(end);
                let unknown = flags == END_UNKNOWN;
                Ok((
                    i,
                    if unknown {
                        FetchItem::Unknown(end)
                    } else {
                        FetchItem::NonExistent(end)
                    },
                ))
            }
            0..0x80 => {
                let (i, object) = self.object(i, flags)?;
                Ok((i, FetchItem::Object(object)))
            }
            _ => MoqtError::violation("invalid serialization flags").fail(),
        }
    }

    fn object<'a>(&mut self, i: &'a [u8], flags: u64) -> PResult<'a, FetchObject<'a>> {
        let (i, group) = optional(i, flags & GROUP_DELTA != 0)?;
        let (i, subgroup) = self.subgroup(i, flags)?;
        let (i, object) = optional(i, flags & OBJECT_DELTA != 0)?;
        let (i, priority) = if flags & PRIORITY != 0 {
            let (i, priority) = byte(i)?;
            (i, Some(priority))
        } else {
            (i, self.priority)
        };
        let (i, properties) = if flags & PROPERTIES != 0 {
            prefixed(i, limits::PROPERTIES, "properties too long")?
        } else {
            (i, &[][..])
        };
        let (i, payload) = prefixed(i, usize::MAX, "payload too long")?;
        let (Some(location), Some(priority)) = (self.next_location(group, object), priority) else {
            return MoqtError::violation("fetch object refers to nothing before it").fail();
        };
        self.location = Some(location);
        self.priority = Some(priority);
        if subgroup.is_some() {
            self.subgroup = subgroup;
        }
        Ok((
            i,
            FetchObject {
                location,
                subgroup,
                priority,
                properties,
                payload,
            },
        ))
    }

    fn subgroup<'a>(&self, i: &'a [u8], flags: u64) -> PResult<'a, Option<u64>> {
        if flags & DATAGRAM != 0 {
            return Ok((i, None));
        }
        let prior = match flags & SUBGROUP_MASK {
            0 => Some(0),
            1 => self.subgroup,
            2 => self.subgroup.and_then(|prior| prior.checked_add(1)),
            _ => {
                let (i, id) = vi64(i)?;
                return Ok((i, Some(id)));
            }
        };
        match prior {
            Some(_) => Ok((i, prior)),
            None => MoqtError::violation("fetch object refers to nothing before it").fail(),
        }
    }

    /// Draft §11.4.4.1: deltas are absolute at first, and objects restart with a new group.
    fn next_location(&self, group: Option<u64>, object: Option<u64>) -> Option<Location> {
        let Some(prior) = self.location else {
            return Some(Location::new(group?, object?));
        };
        let next = prior.object.checked_add(1);
        let Some(delta) = group else {
            let object = object.map_or(next, |delta| prior.object.checked_add(delta))?;
            return Some(Location::new(prior.group, object));
        };
        let step = delta.checked_add(1)?;
        let group = match self.order {
            GroupOrder::Ascending => prior.group.checked_add(step)?,
            GroupOrder::Descending => prior.group.checked_sub(step)?,
        };
        Some(Location::new(group, object.or(next)?))
    }

    /// Appends an item; locations must follow the group order.
    pub fn encode(&mut self, item: &FetchItem<'_>, out: &mut Vec<u8>) {
        let (flags, end) = match item {
            FetchItem::Object(object) => return self.encode_object(object, out),
            FetchItem::NonExistent(end) => (END_NON_EXISTENT, end),
            FetchItem::Unknown(end) => (END_UNKNOWN, end),
        };
        put(out, flags);
        end.encode(out);
        self.location = Some(*end);
    }

    fn encode_object(&mut self, object: &FetchObject<'_>, out: &mut Vec<u8>) {
        self.encode_head(object, object.payload.len() as u64, out);
        out.extend_from_slice(object.payload);
    }

    /// Appends an object up to its payload, which the caller has elsewhere.
    pub fn encode_head(&mut self, object: &FetchObject<'_>, payload_len: u64, out: &mut Vec<u8>) {
        let Location { group, object: id } = object.location;
        let (group_delta, object_delta) = match self.location {
            None => (Some(group), Some(id)),
            Some(prior) if prior.group == group => (
                None,
                Some(id.saturating_sub(prior.object)).filter(|delta| *delta != 1),
            ),
            Some(prior) => (
                Some(prior.group.abs_diff(group).saturating_sub(1)),
                Some(id),
            ),
        };
        let mut flags = match object.subgroup {
            None => DATAGRAM,
            Some(0) => 0,
            Some(id) if self.subgroup == Some(id) => 1,
            Some(_) => SUBGROUP_MASK,
        };
        let explicit_subgroup = object.subgroup.filter(|_| flags == SUBGROUP_MASK);
        let priority = Some(object.priority).filter(|priority| self.priority != Some(*priority));
        for (present, flag) in [
            (group_delta.is_some(), GROUP_DELTA),
            (object_delta.is_some(), OBJECT_DELTA),
            (priority.is_some(), PRIORITY),
            (!object.properties.is_empty(), PROPERTIES),
        ] {
            if present {
                flags |= flag;
            }
        }
        put(out, flags);
        for field in [group_delta, explicit_subgroup, object_delta]
            .into_iter()
            .flatten()
        {
            put(out, field);
        }
        out.extend(priority);
        if !object.properties.is_empty() {
            put_prefixed(out, object.properties);
        }
        put(out, payload_len);
        self.location = Some(object.location);
        self.priority = Some(object.priority);
        if object.subgroup.is_some() {
            self.subgroup = object.subgroup;
        }
    }
}

fn optional(i: &[u8], present: bool) -> PResult<'_, Option<u64>> {
    if !present {
        return Ok((i, None));
    }
    let (i, value) = vi64(i)?;
    Ok((i, Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(group: u64, id: u64, subgroup: Option<u64>) -> FetchItem<'static> {
        let location = Location::new(group, id);
        FetchItem::Object(FetchObject {
            location,
            subgroup,
            priority: 7,
            properties: &[],
            payload: b"p",
        })
    }

    fn round_trip(order: GroupOrder, items: &[FetchItem<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = FetchContext::new(order);
        for item in items {
            writer.encode(item, &mut out);
        }
        let mut reader = FetchContext::new(order);
        let mut rest = &out[..];
        for item in items {
            for cut in 0..rest.len().min(3) {
                let mut clone = reader.clone();
                let _ = clone.parse(&rest[..cut]);
            }
            let read;
            (rest, read) = reader.parse(rest).expect("valid");
            assert_eq!(&read, item);
        }
        assert!(rest.is_empty());
        out
    }

    #[test]
    fn bytes_of_a_short_answer() {
        let out = round_trip(
            GroupOrder::Ascending,
            &[
                object(3, 0, Some(0)),
                object(3, 1, Some(0)),
                object(5, 0, Some(2)),
            ],
        );
        assert_eq!(
            out,
            [
                0x1c, 3, 0, 7, 1, b'p', 0x00, 1, b'p', 0x0f, 1, 2, 0, 1, b'p'
            ]
        );
    }

    #[test]
    fn gaps_ranges_datagrams_and_both_orders_round_trip() {
        round_trip(
            GroupOrder::Ascending,
            &[
                FetchItem::Unknown(Location::new(1, 9)),
                object(2, 4, Some(1)),
                object(2, 6, None),
                FetchItem::NonExistent(Location::new(2, 8)),
                object(2, 9, Some(1)),
                object(9, 0, Some(2)),
            ],
        );
        round_trip(
            GroupOrder::Descending,
            &[
                object(9, 4, Some(0)),
                object(7, 0, Some(0)),
                object(7, 1, Some(5)),
            ],
        );
    }

    #[test]
    fn a_first_object_must_stand_alone() {
        for flags in [0x00, 0x04, 0x08, 0x0c, 0x1d] {
            let bytes = [flags, 1, 1, 1, 1, 1, 1];
            assert!(
                FetchContext::new(GroupOrder::Ascending)
                    .parse(&bytes)
                    .is_err(),
                "{flags:#x}"
            );
        }
        assert!(
            FetchContext::new(GroupOrder::Ascending)
                .parse(&[0x80, 0x80, 0])
                .is_err()
        );
    }

    #[test]
    fn group_deltas_cannot_leave_the_number_range() {
        let mut context = FetchContext::new(GroupOrder::Descending);
        let mut out = Vec::new();
        FetchContext::new(GroupOrder::Descending).encode(&object(0, 0, Some(0)), &mut out);
        context.parse(&out).expect("valid");
        assert!(context.parse(&[0x0c, 0, 0, 0]).is_err());
    }
}
