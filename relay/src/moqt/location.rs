//! Location (draft §1.4.2): which object of which group.

use core::fmt;

use super::PResult;
use super::varint::{put, vi64};

/// A group and an object in it; ordered by group first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The group.
    pub group: u64,
    /// The object in the group.
    pub object: u64,
}

impl Location {
    /// The first location of a track.
    pub const ZERO: Self = Self::new(0, 0);

    /// The location of `object` in `group`.
    pub const fn new(group: u64, object: u64) -> Self {
        Self { group, object }
    }

    /// Parses a location.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, group) = vi64(i)?;
        let (i, object) = vi64(i)?;
        Ok((i, Self { group, object }))
    }

    /// Appends it.
    pub fn encode(self, out: &mut Vec<u8>) {
        put(out, self.group);
        put(out, self.object);
    }

    /// The location right after this one in its group.
    pub const fn next_object(self) -> Self {
        Self::new(self.group, self.object.saturating_add(1))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.group, self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_group_then_object() {
        assert!(Location::new(1, 9) < Location::new(2, 0));
        assert!(Location::new(2, 0) < Location::new(2, 1));
    }

    #[test]
    fn it_is_two_vi64() {
        let mut out = Vec::new();
        Location::new(5, 300).encode(&mut out);
        assert_eq!(out, [5, 0x81, 0x2c]);
        assert_eq!(Location::parse(&out), Ok((&[][..], Location::new(5, 300))));
        assert!(Location::parse(&out[..2]).is_err());
    }
}
