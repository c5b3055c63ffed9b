//! Key-value pairs (draft §1.4.3) and track properties (draft §2.5, §12).
//!
//! The key is a delta from the previous one; an even key has a vi64 value, an odd one a length
//! and bytes. A relay has to hand properties on exactly as they came, so [`Properties`] keeps the
//! bytes and reads values out of them.

use std::sync::Arc;

use super::varint::{prefixed, put, put_prefixed, vi64};
use super::{CloseCode, MoqtError, PResult};

/// The longest value of an odd key.
const MAX_VALUE_LEN: usize = 65_535;

/// A value: which of the two follows from the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of an even key.
    Int(u64),
    /// Of an odd key.
    Bytes(&'a [u8]),
}

/// The pairs that fill `i` to its end.
pub fn pairs(i: &[u8]) -> Pairs<'_> {
    Pairs {
        rest: i,
        previous: 0,
    }
}

/// Iterator over key-value pairs; ends after the first error.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    rest: &'a [u8],
    previous: u64,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(u64, Value<'a>), MoqtError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match pair(self.rest, self.previous) {
            Ok((rest, (key, value))) => {
                (self.rest, self.previous) = (rest, key);
                Some(Ok((key, value)))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error.into()))
            }
        }
    }
}

fn pair(i: &[u8], previous: u64) -> PResult<'_, (u64, Value<'_>)> {
    let (i, delta) = vi64(i)?;
    let Some(key) = previous.checked_add(delta) else {
        return MoqtError::violation("key beyond 2^64-1").fail();
    };
    if key & 1 == 0 {
        let (i, value) = vi64(i)?;
        Ok((i, (key, Value::Int(value))))
    } else {
        let (i, value) = prefixed(i, MAX_VALUE_LEN, "value longer than 65535 bytes")?;
        Ok((i, (key, Value::Bytes(value))))
    }
}

/// Appends pairs; keys must ascend.
#[derive(Debug)]
pub struct PairWriter<'a> {
    out: &'a mut Vec<u8>,
    previous: u64,
}

impl<'a> PairWriter<'a> {
    /// A writer at the start of a sequence.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, previous: 0 }
    }

    /// Appends an even key.
    pub fn int(&mut self, key: u64, value: u64) {
        self.key(key);
        put(self.out, value);
    }

    /// Appends an odd key.
    pub fn bytes(&mut self, key: u64, value: &[u8]) {
        self.key(key);
        put_prefixed(self.out, value);
    }

    fn key(&mut self, key: u64) {
        put(self.out, key.saturating_sub(self.previous));
        self.previous = key;
    }
}

/// Track properties, exactly as the original publisher wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties(Arc<[u8]>);

impl Default for Properties {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Properties {
    /// Checks and takes all of `bytes`.
    pub fn parse_all(bytes: &[u8]) -> Result<Self, MoqtError> {
        for pair in pairs(bytes) {
            let (key, value) = pair?;
            match (key, value) {
                (key::GROUP_ORDER, Value::Int(order)) if !(1..=2).contains(&order) => {
                    return Err(MoqtError::violation("group order neither 1 nor 2"));
                }
                (key::DYNAMIC_GROUPS, Value::Int(2..)) => {
                    return Err(MoqtError::violation("dynamic groups neither 0 nor 1"));
                }
                (key::PRIORITY, Value::Int(256..)) => {
                    return Err(MoqtError::new(
                        CloseCode::KEY_VALUE_FORMATTING_ERROR,
                        "priority above 255",
                    ));
                }
                _ => {}
            }
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes to send on.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value of an even key, also when it stands among the immutable properties.
    pub fn int(&self, wanted: u64) -> Option<u64> {
        let find = |bytes: &[u8]| {
            pairs(bytes).flatten().find_map(|(key, value)| match value {
                Value::Int(value) if key == wanted => Some(value),
                _ => None,
            })
        };
        find(&self.0).or_else(|| {
            pairs(&self.0)
                .flatten()
                .find_map(|(key, value)| match value {
                    Value::Bytes(inner) if key == key::IMMUTABLE => find(inner),
                    _ => None,
                })
        })
    }

    /// The default publisher priority, 128 when not given (draft §12.4).
    pub fn default_priority(&self) -> u8 {
        self.int(key::PRIORITY)
            .and_then(|value| u8::try_from(value).ok())
            .unwrap_or(128)
    }

    /// A mandatory track property (draft §2.5.1); this relay understands none.
    pub fn mandatory(&self) -> Option<u64> {
        pairs(&self.0)
            .flatten()
            .map(|(key, _)| key)
            .find(|key| (0x4000..=0x7fff).contains(key))
    }
}

/// The property types of draft §12 that a relay reads.
pub mod key {
    /// OBJECT_DELIVERY_TIMEOUT, milliseconds.
    pub const OBJECT_DELIVERY_TIMEOUT: u64 = 0x02;
    /// MAX_CACHE_DURATION, milliseconds.
    pub const MAX_CACHE_DURATION: u64 = 0x04;
    /// SUBGROUP_DELIVERY_TIMEOUT, milliseconds.
    pub const SUBGROUP_DELIVERY_TIMEOUT: u64 = 0x06;
    /// IMMUTABLE_PROPERTIES, a sequence of its own.
    pub const IMMUTABLE: u64 = 0x0b;
    /// DEFAULT_PUBLISHER_PRIORITY.
    pub const PRIORITY: u64 = 0x0e;
    /// DEFAULT_PUBLISHER_GROUP_ORDER.
    pub const GROUP_ORDER: u64 = 0x22;
    /// DYNAMIC_GROUPS.
    pub const DYNAMIC_GROUPS: u64 = 0x30;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_add_up_and_parity_picks_the_shape() {
        let mut out = Vec::new();
        let mut writer = PairWriter::new(&mut out);
        writer.int(2, 5);
        writer.bytes(7, b"xy");
        writer.int(0x0e, 1);
        assert_eq!(out, [2, 5, 5, 2, b'x', b'y', 7, 1]);
        let read: Vec<_> = pairs(&out).collect::<Result<_, _>>().expect("valid");
        assert_eq!(
            read,
            [
                (2, Value::Int(5)),
                (7, Value::Bytes(b"xy")),
                (14, Value::Int(1))
            ]
        );
    }

    #[test]
    fn a_key_beyond_64_bits_and_every_truncation_are_refused() {
        let mut out = vec![0xff; 9];
        out.extend([0, 1, 0]);
        assert!(pairs(&out).any(|pair| pair.is_err()));
        let whole = [2, 5, 5, 2, b'x', b'y'];
        for len in [1, 3, 4, 5] {
            assert!(Properties::parse_all(&whole[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn immutable_properties_are_searched_too() {
        let mut inner = Vec::new();
        PairWriter::new(&mut inner).int(key::PRIORITY, 7);
        let mut out = Vec::new();
        PairWriter::new(&mut out).bytes(key::IMMUTABLE, &inner);
        let properties = Properties::parse_all(&out).expect("valid");
        assert_eq!(properties.default_priority(), 7);
        assert_eq!(Properties::default().default_priority(), 128);
    }

    #[test]
    fn mandatory_properties_are_noticed() {
        let mut out = Vec::new();
        PairWriter::new(&mut out).int(0x4000, 0);
        assert_eq!(
            Properties::parse_all(&out).expect("valid").mandatory(),
            Some(0x4000)
        );
    }

    #[test]
    fn a_priority_above_255_is_refused() {
        let mut out = Vec::new();
        PairWriter::new(&mut out).int(key::PRIORITY, 256);
        assert!(Properties::parse_all(&out).is_err());
    }
}
