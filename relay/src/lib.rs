//! The relay: MOQT draft-18 sessions, tracks, fan-out, cache.
#![warn(missing_docs)]

pub mod access;
pub mod assembly;
pub mod cache;
pub mod forward;
pub mod ivf;
pub mod keyframe;
pub mod limits;
pub mod moqt;
pub mod offload;
pub mod options;
pub mod raw;
pub mod serve;
pub mod session;
pub mod track;
pub mod url;
