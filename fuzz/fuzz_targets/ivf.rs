//! No RFC: see `quic_lite_fuzz::ivf`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("ivf", data));
#[cfg(not(fuzzing))]
fn main() {}
