//! RFC 7519: see `quic_lite_fuzz::access_token`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("access_token", data));
#[cfg(not(fuzzing))]
fn main() {}
