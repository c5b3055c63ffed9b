//! RFC 9000 §17.1: see `quic_lite_fuzz::packet_number`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("packet_number", data));
#[cfg(not(fuzzing))]
fn main() {}
