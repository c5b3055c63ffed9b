//! Tests of the streams of one connection. No RFC of its own.
