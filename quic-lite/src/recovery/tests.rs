//! Behaviour of `Recovery` as a whole, named after the sections of RFC 9002.
