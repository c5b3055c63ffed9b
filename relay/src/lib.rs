//! The relay: MOQT draft-18 sessions, tracks, fan-out, cache.
#![warn(missing_docs)]

pub mod ivf;
pub mod keyframe;
pub mod moqt;
pub mod session;
pub mod url;
