//! Subscription filters (draft §5.1.2) and group order (draft §10.2.9).

use super::varint::{put, vi64};
use super::{Location, MoqtError, PResult};

/// Which objects of a track a subscriber wants; no filter at all means every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// From the group after the largest.
    NextGroupStart,
    /// From the object after the largest.
    LargestObject,
    /// From this location on.
    AbsoluteStart(Location),
    /// From this location to the end of this group.
    AbsoluteRange {
        /// The first location.
        start: Location,
        /// The last group.
        end_group: u64,
    },
}

impl Filter {
    /// Parses a filter that fills the value of its parameter.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, kind) = vi64(i)?;
        match kind {
            1 => Ok((i, Self::NextGroupStart)),
            2 => Ok((i, Self::LargestObject)),
            3 => {
                let (i, start) = Location::parse(i)?;
                Ok((i, Self::AbsoluteStart(start)))
            }
            4 => {
                let (i, start) = Location::parse(i)?;
                let (i, delta) = vi64(i)?;
                match start.group.checked_add(delta) {
                    Some(end_group) => Ok((i, Self::AbsoluteRange { start, end_group })),
                    None => MoqtError::violation("end group beyond 2^64-1").fail(),
                }
            }
            _ => MoqtError::violation("unknown filter type").fail(),
        }
    }

    /// Appends it.
    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::NextGroupStart => put(out, 1),
            Self::LargestObject => put(out, 2),
            Self::AbsoluteStart(start) => {
                put(out, 3);
                start.encode(out);
            }
            Self::AbsoluteRange { start, end_group } => {
                put(out, 4);
                start.encode(out);
                put(out, end_group.saturating_sub(start.group));
            }
        }
    }
}

/// In which order the groups of one subscription are sent when they compete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupOrder {
    /// Lower group first.
    #[default]
    Ascending,
    /// Higher group first.
    Descending,
}

impl GroupOrder {
    /// The order with this number.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Ascending),
            2 => Some(Self::Descending),
            _ => None,
        }
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ascending => 1,
            Self::Descending => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_round_trips() {
        let start = Location::new(3, 1);
        for (filter, bytes) in [
            (Filter::NextGroupStart, &[1][..]),
            (Filter::LargestObject, &[2]),
            (Filter::AbsoluteStart(start), &[3, 3, 1]),
            (
                Filter::AbsoluteRange {
                    start,
                    end_group: 5,
                },
                &[4, 3, 1, 2],
            ),
        ] {
            let mut out = Vec::new();
            filter.encode(&mut out);
            assert_eq!(out, bytes);
            assert_eq!(Filter::parse(bytes), Ok((&[][..], filter)));
            for len in 0..bytes.len() {
                assert!(Filter::parse(&bytes[..len]).is_err());
            }
        }
    }

    #[test]
    fn unknown_types_and_an_overflowing_end_are_refused() {
        assert!(Filter::parse(&[5]).is_err());
        let mut out = vec![4];
        Location::new(u64::MAX, 0).encode(&mut out);
        out.push(1);
        assert!(Filter::parse(&out).is_err());
    }
}
