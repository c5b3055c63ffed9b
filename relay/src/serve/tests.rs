//! Scenarios: peers with in-memory streams around a relay, every frame delivered at once.

mod downstream;
mod limits;
mod support;
mod upstream;
