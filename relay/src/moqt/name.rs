//! Track namespaces and full track names (draft §2.4.1, printed as in §1.5).
//!
//! A namespace is kept as its encoded fields in one shared slice: comparing, hashing and prefix
//! matching are byte operations, because each field starts with its (shortest) length.

use core::fmt;
use std::sync::Arc;

use super::varint::{prefixed, put, put_prefixed, size, vi64};
use super::{MoqtError, PResult};

/// The longest full track name (draft §2.4.1), counting field and name bytes only.
pub const MAX_NAME_LEN: usize = 4096;
/// The most fields of a namespace.
pub const MAX_FIELDS: u64 = 32;

/// A track namespace: 0 to 32 non-empty fields.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace {
    count: u8,
    fields: Arc<[u8]>,
}

impl Namespace {
    /// The namespace of no fields; as a prefix it matches all.
    pub fn empty() -> Self {
        Self {
            count: 0,
            fields: Arc::from([]),
        }
    }

    /// The namespace of these fields; `None` when the draft forbids it.
    pub fn new<F: AsRef<[u8]>>(fields: impl IntoIterator<Item = F>) -> Option<Self> {
        let mut encoded = Vec::new();
        let mut count = 0u64;
        let mut len = 0usize;
        for field in fields {
            let field = field.as_ref();
            count = count.saturating_add(1);
            len = len.saturating_add(field.len());
            if field.is_empty() || count > MAX_FIELDS || len > MAX_NAME_LEN {
                return None;
            }
            put_prefixed(&mut encoded, field);
        }
        Some(Self {
            count: u8::try_from(count).ok()?,
            fields: encoded.into(),
        })
    }

    /// The namespace whose fields are the parts of `path` between slashes; empty parts are left out.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::new(path.split('/').filter(|part| !part.is_empty()))
    }

    /// Parses a namespace.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (mut i, count) = vi64(i)?;
        if count > MAX_FIELDS {
            return MoqtError::violation("more than 32 namespace fields").fail();
        }
        let mut fields = Vec::new();
        for _ in 0..count {
            let field;
            (i, field) = prefixed(i, MAX_NAME_LEN, "namespace field too long")?;
            fields.push(field);
        }
        match Self::new(fields) {
            Some(namespace) => Ok((i, namespace)),
            None => MoqtError::violation("namespace with an empty field or too long").fail(),
        }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, u64::from(self.count));
        out.extend_from_slice(&self.fields);
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.fields;
        core::iter::from_fn(move || {
            let (after, field) = prefixed(rest, MAX_NAME_LEN, "").ok()?;
            rest = after;
            Some(field)
        })
    }

    /// How many fields it has.
    pub fn field_count(&self) -> usize {
        usize::from(self.count)
    }

    /// The sum of the field lengths.
    pub fn name_len(&self) -> usize {
        self.fields()
            .map(<[u8]>::len)
            .fold(0, usize::saturating_add)
    }

    /// Whether this is a prefix of `other`, field by field.
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        other.fields.starts_with(&self.fields)
    }

    /// This namespace and all its prefixes, longest first, the empty one included.
    pub fn prefixes(&self) -> impl Iterator<Item = Self> {
        (0..=self.count).rev().map(|count| {
            let len = self
                .fields()
                .take(usize::from(count))
                .map(|field| field.len().saturating_add(size(field.len() as u64)))
                .fold(0, usize::saturating_add);
            Self {
                count,
                fields: self.fields.get(..len).unwrap_or_default().into(),
            }
        })
    }

    /// Whether one is a prefix of the other (draft §10.16: such requests overlap).
    pub fn overlaps(&self, other: &Self) -> bool {
        self.is_prefix_of(other) || other.is_prefix_of(self)
    }

    /// What remains after `prefix`; `None` when it is not a prefix.
    pub fn suffix_after(&self, prefix: &Self) -> Option<Self> {
        let fields = self.fields.strip_prefix(&*prefix.fields)?;
        Some(Self {
            count: self.count.checked_sub(prefix.count)?,
            fields: fields.into(),
        })
    }

    /// This namespace followed by `suffix`; `None` when that is too long.
    pub fn join(&self, suffix: &Self) -> Option<Self> {
        Self::new(self.fields().chain(suffix.fields()))
    }

    /// Whether the first field starts with a period (draft §3.1.5: reserved).
    pub fn is_reserved(&self) -> bool {
        self.fields()
            .next()
            .is_some_and(|field| field.first() == Some(&b'.'))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, field) in self.fields().enumerate() {
            if n > 0 {
                f.write_str("-")?;
            }
            safe(f, field)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({self})")
    }
}

/// A namespace and a track name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FullTrackName {
    /// The namespace.
    pub namespace: Namespace,
    name: Arc<[u8]>,
}

impl FullTrackName {
    /// The track `name` of `namespace`; `None` when longer than the draft allows.
    pub fn new(namespace: Namespace, name: &[u8]) -> Option<Self> {
        let len = namespace.name_len().saturating_add(name.len());
        (len <= MAX_NAME_LEN).then(|| Self {
            namespace,
            name: name.into(),
        })
    }

    /// Parses namespace, length and name.
    pub fn parse(i: &[u8]) -> PResult<'_, Self> {
        let (i, namespace) = Namespace::parse(i)?;
        let (i, name) = prefixed(i, MAX_NAME_LEN, "track name too long")?;
        match Self::new(namespace, name) {
            Some(name) => Ok((i, name)),
            None => MoqtError::violation("full track name too long").fail(),
        }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.namespace.encode(out);
        put_prefixed(out, &self.name);
    }

    /// The track name, which may be empty.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

impl fmt::Display for FullTrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--", self.namespace)?;
        safe(f, &self.name)
    }
}

impl fmt::Debug for FullTrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FullTrackName({self})")
    }
}

/// The file-name safe form: letters, digits and underscore as they are, the rest in hex.
fn safe(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => write!(f, "{}", char::from(*byte))?,
            other => write!(f, ".{other:02x}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(path: &str) -> Namespace {
        Namespace::from_path(path).expect("valid")
    }

    #[test]
    fn the_printed_example_of_the_draft() {
        let name =
            FullTrackName::new(namespace("example.net/team2/project_x"), b"report").expect("short");
        assert_eq!(name.to_string(), "example.2enet-team2-project_x--report");
    }

    #[test]
    fn prefixes_match_whole_fields_only() {
        assert!(namespace("foo").is_prefix_of(&namespace("foo/bar")));
        assert!(Namespace::empty().is_prefix_of(&namespace("foo")));
        assert!(!namespace("foo").is_prefix_of(&namespace("foobar")));
        assert!(!namespace("foo/bar").is_prefix_of(&namespace("foo")));
        assert_eq!(
            namespace("a/b/c").suffix_after(&namespace("a")),
            Some(namespace("b/c"))
        );
        assert_eq!(namespace("a").join(&namespace("b")), Some(namespace("a/b")));
    }

    #[test]
    fn prefixes_come_longest_first() {
        let all: Vec<_> = namespace("a/bc").prefixes().collect();
        assert_eq!(all, [namespace("a/bc"), namespace("a"), Namespace::empty()]);
    }

    #[test]
    fn bytes_and_truncation() {
        let name = FullTrackName::new(namespace("a/bc"), b"v").expect("short");
        let mut out = Vec::new();
        name.encode(&mut out);
        assert_eq!(out, [2, 1, b'a', 2, b'b', b'c', 1, b'v']);
        assert_eq!(FullTrackName::parse(&out), Ok((&[][..], name)));
        for len in 0..out.len() {
            assert!(FullTrackName::parse(&out[..len]).is_err());
        }
    }

    #[test]
    fn a_field_length_longer_than_needed_is_the_same_name() {
        let (_, long) = Namespace::parse(&[1, 0x80, 1, b'a']).expect("valid");
        assert_eq!(long, namespace("a"));
    }

    #[test]
    fn empty_fields_and_too_many_fields_are_refused() {
        assert!(Namespace::parse(&[1, 0]).is_err());
        assert!(Namespace::parse(&[33]).is_err());
        assert!(Namespace::new([vec![b'x'; 4097]]).is_none());
    }

    #[test]
    fn reserved_namespaces_start_with_a_period() {
        assert!(namespace(".session/x").is_reserved());
        assert!(!namespace("x/.session").is_reserved());
    }
}
