//! No fault: see `sound` in `planted`. No RFC.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| planted::run("sound", data));
#[cfg(not(fuzzing))]
fn main() {}
