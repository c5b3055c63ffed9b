//! Finds the object boundaries of a subgroup stream without keeping its bytes (draft §11.4.2).
//!
//! The relay forwards bytes as they arrive; it needs the boundaries only for joins in the middle
//! of a group, for FETCH and for the largest location. So the scanner holds at most the nine bytes
//! of an unfinished integer, and skips payloads.

use super::MoqtError;
use super::subgroup::{object_id, status};
use super::varint::{MAX_LEN, encoded_len, vi64};

use crate::limits;

/// Where an object stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectSpan {
    /// The object's ID.
    pub id: u64,
    /// Where its first byte is.
    pub start: u64,
    /// Where its ID delta ends and the rest begins: from here on it is the same in any stream.
    pub body: u64,
    /// Where the next object starts; `None` until its length is known.
    pub end: Option<u64>,
}

/// Which field the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Delta,
    PropertiesLength,
    Skip { left: u64, then: After },
    PayloadLength,
    Status,
}

/// What follows skipped bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    PayloadLength,
    Delta,
}

/// The scanner of one stream.
#[derive(Clone, Debug)]
pub struct Scanner {
    properties: bool,
    has_properties: bool,
    position: u64,
    field: Field,
    partial: [u8; MAX_LEN],
    partial_len: u8,
    open: Option<ObjectSpan>,
    previous: Option<u64>,
}

/// What the scanner saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// An object begins; its end is not known yet.
    Started(ObjectSpan),
    /// The end of the last started object is known; its bytes may still be on their way.
    Measured(ObjectSpan),
    /// The last started object ends its group or track: no payload.
    Status(ObjectSpan, u64),
}

impl Scanner {
    /// A scanner for the bytes after a header of `header_len` bytes.
    pub fn new(properties: bool, header_len: u64) -> Self {
        Self {
            properties,
            has_properties: false,
            position: header_len,
            field: Field::Delta,
            partial: [0; MAX_LEN],
            partial_len: 0,
            open: None,
            previous: None,
        }
    }

    /// The offset of the next byte it wants.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Whether the stream may end here.
    pub fn is_between_objects(&self) -> bool {
        self.field == Field::Delta && self.partial_len == 0
    }

    /// Takes the bytes at [`Self::position`] and tells what they begin or end.
    pub fn push(&mut self, mut bytes: &[u8], seen: &mut Vec<Scanned>) -> Result<(), MoqtError> {
        while !bytes.is_empty() {
            if let Field::Skip { left, then } = self.field {
                bytes = self.skip(bytes, left, then);
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            self.position = self.position.saturating_add(1);
            if let Some(value) = self.integer(*first) {
                self.value(value, seen)?;
            }
        }
        Ok(())
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, then: After) -> &'a [u8] {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.position = self.position.saturating_add(skipped as u64);
        let left = left.saturating_sub(skipped as u64);
        self.field = match (left, then) {
            (0, After::PayloadLength) => Field::PayloadLength,
            (0, After::Delta) => Field::Delta,
            (left, then) => Field::Skip { left, then },
        };
        bytes.get(skipped..).unwrap_or_default()
    }

    /// Adds a byte to the integer in progress; its value when that completes it.
    fn integer(&mut self, next: u8) -> Option<u64> {
        let len = usize::from(self.partial_len);
        if let Some(slot) = self.partial.get_mut(len) {
            *slot = next;
        }
        self.partial_len = self.partial_len.saturating_add(1);
        let wanted = encoded_len(*self.partial.first()?);
        if usize::from(self.partial_len) < wanted {
            return None;
        }
        self.partial_len = 0;
        vi64(self.partial.get(..wanted)?)
            .ok()
            .map(|(_, value)| value)
    }

    fn value(&mut self, value: u64, seen: &mut Vec<Scanned>) -> Result<(), MoqtError> {
        match self.field {
            Field::Delta => self.started(value, seen)?,
            Field::PropertiesLength => {
                if value > limits::PROPERTIES as u64 {
                    return Err(MoqtError::violation("properties too long"));
                }
                self.has_properties = value > 0;
                self.field = skip_or(value, After::PayloadLength, Field::PayloadLength);
            }
            Field::PayloadLength if value == 0 => self.field = Field::Status,
            Field::PayloadLength => {
                self.measured(value, seen)?;
                self.field = Field::Skip {
                    left: value,
                    then: After::Delta,
                };
            }
            Field::Status => {
                status(value)?;
                if value != 0 && self.has_properties {
                    return Err(MoqtError::violation(
                        "properties on an object that is not normal",
                    ));
                }
                self.measured(0, seen)?;
                if let (true, Some(Scanned::Measured(span))) = (value != 0, seen.last().copied()) {
                    seen.push(Scanned::Status(span, value));
                }
                self.field = Field::Delta;
            }
            Field::Skip { .. } => {}
        }
        Ok(())
    }

    fn started(&mut self, delta: u64, seen: &mut Vec<Scanned>) -> Result<(), MoqtError> {
        let Some(id) = object_id(self.previous, delta) else {
            return Err(MoqtError::violation("object ID beyond 2^64-1"));
        };
        let encoded = self.partial.first().map_or(1, |first| encoded_len(*first)) as u64;
        let span = ObjectSpan {
            id,
            start: self.position.saturating_sub(encoded),
            body: self.position,
            end: None,
        };
        self.open = Some(span);
        self.has_properties = false;
        self.field = if self.properties {
            Field::PropertiesLength
        } else {
            Field::PayloadLength
        };
        seen.push(Scanned::Started(span));
        Ok(())
    }

    fn measured(&mut self, payload: u64, seen: &mut Vec<Scanned>) -> Result<(), MoqtError> {
        // RFC 9000 §4.5: no stream offset is beyond 2^62-1.
        let end = self
            .position
            .checked_add(payload)
            .filter(|end| *end < 1 << 62);
        let Some(end) = end else {
            return Err(MoqtError::violation("payload longer than a stream"));
        };
        if let Some(mut span) = self.open.take() {
            span.end = Some(end);
            self.previous = Some(span.id);
            seen.push(Scanned::Measured(span));
        }
        Ok(())
    }
}

fn skip_or(left: u64, then: After, otherwise: Field) -> Field {
    if left == 0 {
        otherwise
    } else {
        Field::Skip { left, then }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moqt::subgroup::{Body, Object};

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        Object {
            id: 2,
            properties: &[2, 5],
            body: Body::Payload(&[7; 300]),
        }
        .encode(&mut out, true, None);
        Object {
            id: 200,
            properties: &[],
            body: Body::Payload(&[]),
        }
        .encode(&mut out, true, Some(2));
        Object {
            id: 201,
            properties: &[],
            body: Body::EndOfGroup,
        }
        .encode(&mut out, true, Some(200));
        out
    }

    #[test]
    fn boundaries_are_the_same_however_the_bytes_arrive() {
        let bytes = stream();
        let mut whole = Vec::new();
        Scanner::new(true, 6)
            .push(&bytes, &mut whole)
            .expect("valid");
        for step in 1..20 {
            let mut seen = Vec::new();
            let mut scanner = Scanner::new(true, 6);
            for piece in bytes.chunks(step) {
                scanner.push(piece, &mut seen).expect("valid");
            }
            assert_eq!(seen, whole);
            assert!(scanner.is_between_objects());
            assert_eq!(scanner.position(), 6 + bytes.len() as u64);
        }
        let ids: Vec<_> = whole
            .iter()
            .filter_map(|seen| match seen {
                Scanned::Measured(span) => Some((span.id, span.start, span.body, span.end)),
                _ => None,
            })
            .collect();
        assert_eq!(ids[0], (2, 6, 7, Some(6 + 1 + 3 + 2 + 300)));
        assert_eq!(ids[1].0, 200);
        assert_eq!(ids[1].2 - ids[1].1, 2, "a two-byte delta");
        assert_eq!(ids[2].3, Some(6 + bytes.len() as u64));
        assert!(matches!(whole.last(), Some(Scanned::Status(span, 3)) if span.id == 201));
    }

    #[test]
    fn endless_lengths_and_bad_values_are_refused() {
        let mut seen = Vec::new();
        let mut long = vec![0];
        long.extend([0xff; 9]);
        assert!(Scanner::new(false, 0).push(&long, &mut seen).is_err());
        assert!(Scanner::new(true, 0).push(&long, &mut seen).is_err());
        assert!(Scanner::new(false, 0).push(&[0, 0, 1], &mut seen).is_err());
        assert!(
            Scanner::new(true, 0)
                .push(&[0, 2, 2, 5, 0, 3], &mut seen)
                .is_err()
        );
    }

    #[test]
    fn properties_have_a_largest_size() {
        for (len, is_taken) in [(limits::PROPERTIES, true), (limits::PROPERTIES + 1, false)] {
            let mut bytes = vec![0];
            crate::moqt::varint::put(&mut bytes, len as u64);
            let scanned = Scanner::new(true, 0).push(&bytes, &mut Vec::new());
            assert_eq!(scanned.is_ok(), is_taken, "{len} bytes");
        }
    }
}
