//! Stream IDs (RFC 9000 §2.1): the two low bits say who opened the stream and which ways it carries data.

use super::varint;
use core::fmt;

/// One of the two endpoints of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The endpoint that started the connection.
    Client,
    /// The endpoint that accepted it.
    Server,
}

impl Side {
    /// The other endpoint.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Whether this is the client.
    pub const fn is_client(self) -> bool {
        matches!(self, Self::Client)
    }
}

/// Which ways a stream carries data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dir {
    /// Both ways.
    Bi,
    /// From its initiator only.
    Uni,
}

/// The ID of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    /// How many streams of one type there are: 2^60 (RFC 9000 §4.6).
    pub const MAX_COUNT: u64 = 1 << 60;

    /// The `index`-th stream that `initiator` opens in direction `dir`; indexes beyond the last give the last.
    pub const fn new(initiator: Side, dir: Dir, index: u64) -> Self {
        let index = if index < Self::MAX_COUNT {
            index
        } else {
            Self::MAX_COUNT - 1
        };
        Self(index << 2 | (dir as u64) << 1 | initiator as u64)
    }

    /// The stream with this ID on the wire, unless it is above 2^62-1.
    pub const fn from_value(value: u64) -> Option<Self> {
        if value <= varint::MAX {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The ID on the wire.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Who opened it.
    pub const fn initiator(self) -> Side {
        if self.0 & 0b01 == 0 {
            Side::Client
        } else {
            Side::Server
        }
    }

    /// Which ways it carries data.
    pub const fn dir(self) -> Dir {
        if self.0 & 0b10 == 0 {
            Dir::Bi
        } else {
            Dir::Uni
        }
    }

    /// Its place among the streams of its type.
    pub const fn index(self) -> u64 {
        self.0 >> 2
    }

    pub(super) fn parse(i: &[u8]) -> super::PResult<'_, Self> {
        varint::parse(i).map(|(i, value)| (i, Self(value)))
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_client() { "client" } else { "server" })
    }
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Bi { "bi" } else { "uni" })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_low_bits_are_the_table_of_section_2_1() {
        let types = [
            (Side::Client, Dir::Bi),
            (Side::Server, Dir::Bi),
            (Side::Client, Dir::Uni),
            (Side::Server, Dir::Uni),
        ];
        for (value, (initiator, dir)) in types.into_iter().enumerate() {
            let id = StreamId::new(initiator, dir, 5);
            assert_eq!(id.value(), 20 + value as u64);
            assert_eq!((id.initiator(), id.dir(), id.index()), (initiator, dir, 5));
        }
    }

    #[test]
    fn the_last_stream_of_each_type_is_the_largest() {
        assert_eq!(
            StreamId::new(Side::Server, Dir::Uni, u64::MAX).value(),
            varint::MAX
        );
        assert_eq!(StreamId::from_value(varint::MAX + 1), None);
    }
}
