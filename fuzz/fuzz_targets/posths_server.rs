//! RFC 9000 §12 to §19: see `quic_lite_fuzz::posths_server`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("posths_server", data));
#[cfg(not(fuzzing))]
fn main() {}
