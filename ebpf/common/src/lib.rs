//! The facts and the code that the kernel programs and userspace share. No dependencies, core only. No RFC.
//!
//! [`layout`] says what stands in the shared maps; [`word`] is the one type of which all of it is made.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    allow(internal_features, reason = "atomics on BPF")
)]

pub mod layout;
pub mod verdict;
pub mod word;
