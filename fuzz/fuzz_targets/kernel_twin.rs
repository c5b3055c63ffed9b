//! No RFC: see `quic_lite_fuzz::kernel_twin`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("kernel_twin", data));
#[cfg(not(fuzzing))]
fn main() {}
