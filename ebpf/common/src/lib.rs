//! The facts and the code that the kernel programs and userspace share. No dependencies, core only. No RFC.
//!
//! [`layout`] says what stands in the shared maps; [`word`] is the one type of which all of it is made.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    test,
    expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "in a test a panic is what is wanted"
    )
)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics, asm_experimental_arch))]
#![cfg_attr(
    target_arch = "bpf",
    allow(internal_features, reason = "atomics on BPF")
)]

pub mod aead;
pub mod carried;
pub mod chacha20;
pub mod checksum;
pub mod egress;
pub mod frames;
pub mod gate;
pub mod headers;
pub mod ingress;
pub mod integer;
pub mod layout;
pub mod log;
#[cfg(test)]
mod model;
pub mod moqt;
pub mod number;
pub mod output;
pub mod pad;
pub mod plan;
pub mod poly1305;
pub mod room;
pub mod schema;
pub mod scratch;
pub mod short_header;
pub mod tables;
pub mod text;
pub mod trial;
pub mod turn;
pub mod verdict;
pub mod word;
