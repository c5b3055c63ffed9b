//! RFC 9000 §13.2: see `quic_lite_fuzz::received_numbers`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("received_numbers", data));
#[cfg(not(fuzzing))]
fn main() {}
