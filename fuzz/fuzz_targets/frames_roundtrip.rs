//! RFC 9000 §19: see `quic_lite_fuzz::frames_roundtrip`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("frames_roundtrip", data));
#[cfg(not(fuzzing))]
fn main() {}
