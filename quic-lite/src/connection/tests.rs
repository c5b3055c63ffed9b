//! Two connections back to back.
