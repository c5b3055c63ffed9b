//! draft-ietf-moq-transport-18 §11.4: see `quic_lite_fuzz::moqt_data`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("moqt_data", data));
#[cfg(not(fuzzing))]
fn main() {}
