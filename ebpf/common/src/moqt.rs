//! To which track and group a MOQT stream or datagram belongs: the classifier
//! (draft-ietf-moq-transport-18 §11.3.1, §11.4.2).
//!
//! All else of MOQT is userspace's. What is not clearly an object is no object here.

use crate::integer::vi64;
use crate::scratch::Text;

/// A track alias ends before this offset of its stream, however long type and alias are written.
pub const ALIAS_END: u64 = 18;

/// What the beginning of a stream or a datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The track alias.
    pub alias: u64,
    /// Where it stands.
    pub alias_at: u64,
    /// Its bytes.
    pub alias_len: u64,
    /// The group.
    pub group: u64,
}

/// The SUBGROUP_HEADER that begins at `at`; `None`: another stream, or not all of it is here (before `end`).
#[inline(always)]
pub fn subgroup(text: &Text, at: u64, end: u64) -> Option<Heading> {
    let kind = vi64(text, at);
    let is_subgroup = kind.value & !0x7f == 0 && kind.value & 0x10 != 0 && kind.value & 6 != 6;
    if !is_subgroup {
        return None;
    }
    heading(text, at.wrapping_add(kind.len), end)
}

/// The OBJECT_DATAGRAM that begins at `at`; `None`: another, or not all of its heading is here.
#[inline(always)]
pub fn datagram(text: &Text, at: u64, end: u64) -> Option<Heading> {
    let kind = vi64(text, at);
    if kind.value & !0x2f != 0 || kind.value & 0x22 == 0x22 {
        return None;
    }
    heading(text, at.wrapping_add(kind.len), end)
}

/// Track alias and group.
#[inline(always)]
fn heading(text: &Text, alias_at: u64, end: u64) -> Option<Heading> {
    let alias = vi64(text, alias_at);
    let group_at = alias_at.wrapping_add(alias.len);
    let group = vi64(text, group_at);
    let heading = Heading {
        alias: alias.value,
        alias_at,
        alias_len: alias.len,
        group: group.value,
    };
    (group_at.wrapping_add(group.len) <= end).then_some(heading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::TEXT_WORDS;

    fn text(bytes: &[u8]) -> Text {
        let mut text = [0; TEXT_WORDS];
        for (at, byte) in bytes.iter().enumerate() {
            text[at / 8] |= u64::from(*byte) << (at % 8 * 8);
        }
        text
    }

    #[test]
    fn types_of_subgroups_are_those_of_the_draft() {
        for kind in 0..=0x7f {
            let is_one = kind & 0x10 != 0 && kind & 6 != 6;
            let found = subgroup(&text(&[kind, 1, 2]), 0, 3);
            assert_eq!(found.is_some(), is_one, "{kind:#x}");
        }
        // FETCH_HEADER, PADDING, SETUP.
        for bytes in [
            &[0x05, 1, 2][..],
            &[0xf0, 0x13, 0x2b, 0x3e, 0x28, 1, 2],
            &[0xaf, 0, 0, 0],
        ] {
            assert_eq!(subgroup(&text(bytes), 0, bytes.len() as u64), None);
        }
    }

    #[test]
    fn types_of_datagrams_are_those_of_the_draft() {
        for kind in 0..=0x7f {
            let is_one = kind & !0x2f == 0 && kind & 0x22 != 0x22;
            let found = datagram(&text(&[kind, 1, 2]), 0, 3);
            assert_eq!(found.is_some(), is_one, "{kind:#x}");
        }
    }

    #[test]
    fn alias_and_group_are_found_at_any_length() {
        let bytes = [9, 9, 9, 0x80, 0x58, 0xc1, 2, 3, 0x81, 0x23, 7];
        let heading = Heading {
            alias: 0x1_0203,
            alias_at: 5,
            alias_len: 3,
            group: 0x123,
        };
        assert_eq!(subgroup(&text(&bytes), 3, 10), Some(heading));
        assert_eq!(subgroup(&text(&bytes), 3, 9), None);
        let bytes = [9, 9, 9, 0x80, 0x08, 0xc1, 2, 3, 0x81, 0x23, 7];
        assert_eq!(datagram(&text(&bytes), 3, 10), Some(heading));
        assert_eq!(datagram(&text(&bytes), 3, 9), None);
    }
}
