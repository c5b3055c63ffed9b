//! Faults on purpose: see `planted` in `planted`. No RFC.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| planted::run("planted", data));
#[cfg(not(fuzzing))]
fn main() {}
