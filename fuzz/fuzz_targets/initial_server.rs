//! RFC 9000 §7, §8.1: see `quic_lite_fuzz::initial_server`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("initial_server", data));
#[cfg(not(fuzzing))]
fn main() {}
