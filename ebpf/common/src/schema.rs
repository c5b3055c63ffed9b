//! Which layout of the shared maps somebody was built for. Programs and userspace with different ones do not work
//! together. No RFC.
//!
//! It is a digest of the files that say what stands where, so nobody can forget to raise it. The programs carry it
//! in their object, where the loader looks before it loads them, and compare it with [`Config::schema`], the first
//! word of the settings in every version, before they look at anything else.

use crate::layout::Config;
use crate::tables::Tables;
use crate::verdict::Reason;

/// Of [`crate::layout`] and [`crate::verdict`].
pub const SCHEMA: u64 = digest(
    include_bytes!("verdict.rs"),
    digest(include_bytes!("layout.rs"), 0xcbf2_9ce4_8422_2325),
);

/// What the programs' object has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Stamp {
    mark: [u8; 16],
    schema: [u8; 8],
}

impl Stamp {
    /// Ours.
    pub const OURS: Self = Self {
        mark: *b"qrelay's layout:",
        schema: SCHEMA.to_le_bytes(),
    };

    /// Whether an object was built for our layout.
    pub fn is_in(object: &[u8]) -> bool {
        let Self { mark, schema } = Self::OURS;
        let place = object.windows(mark.len()).position(|bytes| *bytes == mark);
        let behind = place.and_then(|at| object.get(at.checked_add(mark.len())?..));
        behind.is_some_and(|behind| behind.starts_with(&schema))
    }
}

/// The settings, if userspace means the same by them.
///
/// # Errors
///
/// It was built for another layout.
#[inline(always)]
pub fn settings<T: Tables>(tables: &T) -> Result<&Config, Reason> {
    let config = tables.config().ok_or(Reason::LeaseExpired)?;
    if config.schema.load() == SCHEMA {
        Ok(config)
    } else {
        Err(Reason::OtherSchema)
    }
}

/// FNV-1a, 64 bits.
const fn digest(mut bytes: &[u8], mut hash: u64) -> u64 {
    while let [first, rest @ ..] = bytes {
        hash = (hash ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        bytes = rest;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_layout_counts() {
        // The algorithm's published example.
        assert_eq!(
            digest(b"foobar", 0xcbf2_9ce4_8422_2325),
            0x8594_4171_f739_67e8
        );
        assert_ne!(digest(b"a", SCHEMA), digest(b"b", SCHEMA));
    }

    #[test]
    fn an_object_of_another_layout_is_told_apart() {
        let Stamp { mark, schema } = Stamp::OURS;
        let object = |schema: &[u8]| [b"\x7fELF", &mark[..], schema, b"..."].concat();
        assert!(Stamp::is_in(&object(&schema)));
        assert!(!Stamp::is_in(&object(&(SCHEMA ^ 1).to_le_bytes())));
        assert!(!Stamp::is_in(&object(&schema)[..24]), "cut off");
        assert!(!Stamp::is_in(b"something else"));
    }
}
