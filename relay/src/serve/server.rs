//! The relay on an endpoint.
