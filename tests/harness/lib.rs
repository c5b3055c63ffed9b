//! Harness for scenario tests. No RFC.
