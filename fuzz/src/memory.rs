//! How much is held, for properties that promise a bound. No RFC.

use integration::heap::live;

/// Counts what this thread holds since it was made.
pub struct Held(isize);

impl Held {
    /// Nothing is held yet.
    pub fn new() -> Self {
        Self(live())
    }

    /// Bytes that were allocated since then and are still held.
    pub fn bytes(&self) -> usize {
        usize::try_from(live() - self.0).unwrap_or_default()
    }
}
