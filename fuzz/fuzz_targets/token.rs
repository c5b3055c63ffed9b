//! RFC 9000 §8.1: see `quic_lite_fuzz::token`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("token", data));
#[cfg(not(fuzzing))]
fn main() {}
