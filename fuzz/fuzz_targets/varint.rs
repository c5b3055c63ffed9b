//! RFC 9000 §16: see `quic_lite_fuzz::varint`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("varint", data));
#[cfg(not(fuzzing))]
fn main() {}
