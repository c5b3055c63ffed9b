//! An array that may be shared with the kernel: mapped, never copied. No RFC.
//!
//! The only place of this crate with `unsafe`. What stands in an [`Area`] consists of
//! [`Word`]s alone, so every access is atomic and every bit pattern is a value: it does
//! not matter what the other side does with the memory at the same time.

#![expect(unsafe_code, reason = "mapping memory and looking at it")]

use core::ffi::c_void;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use std::io;
use std::os::fd::AsFd;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::layout::{Config, Member, Outlet, Pad, Publisher, Record, Slot, Track};
use crate::word::Word;

/// A type that consists of [`Word`]s alone.
///
/// # Safety
///
/// Any bit pattern must be a value, all zeros included, it must have no padding and be used by shared
/// reference alone through atomics, and its alignment must not be larger than a page.
pub unsafe trait Words: Sized {}

// SAFETY: all of these are `repr(C)` structures of words, words in arrays, and each other.
unsafe impl Words for Config {}
// SAFETY: as above.
unsafe impl Words for Slot {}
// SAFETY: as above.
unsafe impl Words for Publisher {}
// SAFETY: as above.
unsafe impl Words for Record {}
// SAFETY: as above.
unsafe impl Words for Pad {}
// SAFETY: as above.
unsafe impl Words for Outlet {}
// SAFETY: as above.
unsafe impl Words for Track {}
// SAFETY: as above.
unsafe impl Words for Member {}
// SAFETY: as above.
unsafe impl Words for Word {}

/// An array of `T` that others may read and write at the same time.
#[derive(Debug)]
pub struct Area<T> {
    start: NonNull<T>,
    len: usize,
    bytes: NonZeroUsize,
}

// SAFETY: an area owns its mapping, and what stands in it is used through atomics alone.
unsafe impl<T: Words> Send for Area<T> {}
// SAFETY: as above.
unsafe impl<T: Words> Sync for Area<T> {}

impl<T: Words> Area<T> {
    /// Memory of our own, all zeros; pages that nobody touches cost nothing.
    ///
    /// # Errors
    ///
    /// There is not so much memory.
    pub fn heap(len: usize) -> io::Result<Self> {
        let bytes = Self::bytes(len)?;
        // SAFETY: a new anonymous mapping touches no memory that exists.
        let start = unsafe { mmap_anonymous(None, bytes, PROTECTION, MapFlags::MAP_PRIVATE)? };
        Ok(Self::new(start, len, bytes))
    }

    /// The memory of an array map with values of type `T`.
    ///
    /// # Errors
    ///
    /// The map has not the flag `BPF_F_MMAPABLE`, or is smaller.
    pub fn map(map: impl AsFd, len: usize) -> io::Result<Self> {
        let bytes = Self::bytes(len)?;
        // SAFETY: a new mapping touches no memory that exists; the kernel refuses one that is longer than
        // the map, and the map lives as long as it is mapped.
        let start = unsafe { mmap(None, bytes, PROTECTION, MapFlags::MAP_SHARED, map, 0)? };
        Ok(Self::new(start, len, bytes))
    }

    fn bytes(len: usize) -> io::Result<NonZeroUsize> {
        len.checked_mul(size_of::<T>())
            .and_then(NonZeroUsize::new)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }

    const fn new(start: NonNull<c_void>, len: usize, bytes: NonZeroUsize) -> Self {
        let start = start.cast();
        Self { start, len, bytes }
    }

    /// All of it.
    pub const fn all(&self) -> &[T] {
        // SAFETY: the mapping holds `len` values from its start, is aligned to a page, lives as long as
        // `self`, and is changed through atomics alone.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// All of it, word by word.
    pub const fn words(&self) -> &[Word] {
        let len = self.bytes.get() / size_of::<Word>();
        // SAFETY: the mapping has so many bytes, and consists of words.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr().cast(), len) }
    }
}

impl<T> Drop for Area<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference outlives `self`. It cannot fail for a whole mapping.
        let _ = unsafe { munmap(self.start.cast(), self.bytes.get()) };
    }
}

const PROTECTION: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

#[cfg(test)]
mod tests {
    use super::Area;
    use crate::layout::Slot;

    #[test]
    fn an_area_starts_with_zeros_and_keeps_what_is_stored() {
        let area = Area::<Slot>::heap(100).expect("memory");
        assert_eq!(area.all().len(), 100);
        assert!(area.all().iter().all(|slot| slot.state.load() == 0));
        area.all()[99].iv[1].store(7);
        assert_eq!(area.all()[99].iv[1].load(), 7);
    }

    #[test]
    fn an_area_without_places_is_refused() {
        assert!(Area::<Slot>::heap(0).is_err());
        assert!(Area::<Slot>::heap(usize::MAX).is_err());
    }
}
