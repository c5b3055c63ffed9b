//! RFC 9001 §5: see `quic_lite_fuzz::packet_protection`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("packet_protection", data));
#[cfg(not(fuzzing))]
fn main() {}
