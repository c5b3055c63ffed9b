//! Faults on purpose: see `planted::planted`. No RFC.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| planted::planted(data));
#[cfg(not(fuzzing))]
fn main() {}
