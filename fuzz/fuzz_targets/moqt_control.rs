//! draft-ietf-moq-transport-18 §10: see `quic_lite_fuzz::moqt_control`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("moqt_control", data));
#[cfg(not(fuzzing))]
fn main() {}
