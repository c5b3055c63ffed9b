//! No fault: see `planted::sound`. No RFC.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| planted::sound(data));
#[cfg(not(fuzzing))]
fn main() {}
