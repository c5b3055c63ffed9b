//! No RFC: see `quic_lite_fuzz::range_set`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("range_set", data));
#[cfg(not(fuzzing))]
fn main() {}
