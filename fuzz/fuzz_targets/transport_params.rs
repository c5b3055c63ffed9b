//! RFC 9000 §18: see `quic_lite_fuzz::transport_params`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("transport_params", data));
#[cfg(not(fuzzing))]
fn main() {}
