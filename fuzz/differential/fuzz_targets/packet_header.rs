//! RFC 9000, ours and others': see `quic_lite_differential::packet_header`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(quic_lite_differential::run("packet_header", data)));
#[cfg(not(fuzzing))]
fn main() {}
