//! Connection IDs (RFC 9000 §5.1): 0 to 20 bytes in version 1, kept inline.

use super::PResult;
use super::error::{WireErrorKind, refuse};
use super::writer::{Full, Writer};
use super::{array, bytes};
use core::fmt;

/// A connection ID of version 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    bytes: [u8; Self::MAX_LEN], // zero behind `len`, so that derived equality is right
    len: u8,
}

impl ConnectionId {
    /// The longest connection ID of version 1 (RFC 9000 §17.2).
    pub const MAX_LEN: usize = 20;
    /// The connection ID of length zero.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::MAX_LEN],
        len: 0,
    };

    /// The connection ID with these bytes, unless there are more than 20.
    pub fn new(id: &[u8]) -> Option<Self> {
        let len = u8::try_from(id.len()).ok()?;
        let mut bytes = [0; Self::MAX_LEN];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { bytes, len })
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }

    /// How many bytes it has.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads one byte of length, then the connection ID.
    pub(super) fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, id) = any_length(i)?;
        match Self::new(id) {
            Some(id) => Ok((i, id)),
            // RFC 9000 §17.2: a version 1 packet with a longer ID is dropped.
            None => refuse(WireErrorKind::ConnectionIdLength),
        }
    }

    /// Writes one byte of length, then the connection ID.
    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.put_u8(self.len)?;
        out.put(self.as_slice())
    }
}

impl Default for ConnectionId {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.as_slice()).fmt(f)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

/// One byte of length and that many bytes: a connection ID of any version (RFC 8999 §5.1).
pub(super) fn any_length(i: &[u8]) -> PResult<'_, &[u8]> {
    let (i, [length]) = array(i)?;
    bytes(u64::from(length))(i)
}

/// Bytes that print as hex; `-` when there are none.
pub(super) struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn up_to_twenty_bytes_are_kept() {
        let bytes: [u8; 21] = core::array::from_fn(|at| at as u8);
        for len in 0..=20 {
            let id = ConnectionId::new(&bytes[..len]).unwrap();
            assert_eq!(id.as_slice(), &bytes[..len]);
            assert_eq!((id.len(), id.is_empty()), (len, len == 0));
        }
        assert_eq!(ConnectionId::new(&bytes), None);
        assert_eq!(ConnectionId::new(&[0; 300]), None);
    }

    #[test]
    fn trailing_zeros_make_a_different_id() {
        assert_ne!(ConnectionId::new(&[1]), ConnectionId::new(&[1, 0]));
    }

    #[test]
    fn it_prints_as_hex() {
        let id = ConnectionId::new(&[0x83, 0x94, 0x0c]).unwrap();
        assert_eq!(id.to_string(), "83940c");
        assert_eq!(alloc::format!("{id:?}"), "ConnectionId(83940c)");
        assert_eq!(ConnectionId::EMPTY.to_string(), "-");
    }

    #[test]
    fn a_longer_id_is_refused_on_the_wire() {
        let mut packet = [0; 22];
        packet[0] = 21;
        assert!(ConnectionId::parse(&packet).is_err());
        packet[0] = 20;
        assert_eq!(ConnectionId::parse(&packet).unwrap().1.len(), 20);
    }
}
