//! RFC 9002: see `quic_lite_fuzz::recovery`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("recovery", data));
#[cfg(not(fuzzing))]
fn main() {}
