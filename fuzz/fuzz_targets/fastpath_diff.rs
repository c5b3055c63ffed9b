//! No RFC: see `quic_lite_fuzz::fastpath_diff`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("fastpath_diff", data));
#[cfg(not(fuzzing))]
fn main() {}
