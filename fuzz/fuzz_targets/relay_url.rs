//! draft-ietf-moq-transport-18 §3.1: see `quic_lite_fuzz::relay_url`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("relay_url", data));
#[cfg(not(fuzzing))]
fn main() {}
