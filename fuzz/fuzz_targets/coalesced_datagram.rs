//! RFC 9000 §12.2: see `quic_lite_fuzz::coalesced_datagram`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| quic_lite_fuzz::run("coalesced_datagram", data));
#[cfg(not(fuzzing))]
fn main() {}
