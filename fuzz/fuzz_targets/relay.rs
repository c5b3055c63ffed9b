//! draft-ietf-moq-transport-18 §9: see `quic_lite_fuzz::relay`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("relay", data));
#[cfg(not(fuzzing))]
fn main() {}
