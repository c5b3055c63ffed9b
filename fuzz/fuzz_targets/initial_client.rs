//! RFC 9000 §7: see `quic_lite_fuzz::initial_client`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("initial_client", data));
#[cfg(not(fuzzing))]
fn main() {}
