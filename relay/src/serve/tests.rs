//! Scenarios: peers with in-memory streams around a relay, every frame delivered at once.

mod access;
mod bounds;
mod chaos;
mod downstream;
mod fetch;
mod limits;
mod namespaces;
mod revocation;
mod somebody;
mod support;
mod upstream;
