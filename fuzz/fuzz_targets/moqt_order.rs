//! draft-ietf-moq-transport-18 §2.2: see `quic_lite_fuzz::moqt_order`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("moqt_order", data));
#[cfg(not(fuzzing))]
fn main() {}
