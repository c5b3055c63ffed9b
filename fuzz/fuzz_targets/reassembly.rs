//! RFC 9000 §2.2: see `quic_lite_fuzz::reassembly`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("reassembly", data));
#[cfg(not(fuzzing))]
fn main() {}
