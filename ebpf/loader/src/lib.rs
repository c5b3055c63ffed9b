//! The kernel programs' userspace half: loads and attaches them, maps the memory they share with us, and
//! says why that is not possible here when it is not. No RFC.
//!
//! [`Memory`] is all that both sides share, either mapped from the kernel or on the heap. [`Engine`] is
//! what needs a system call. Who uses them does not see whether a kernel or a stand-in is behind.

pub mod area;
pub mod engine;
pub mod frame;
pub mod kernel;
pub mod memory;
pub mod probe;
pub mod twin;

pub use engine::Engine;
pub use kernel::Kernel;
pub use memory::{Memory, Sizes};
pub use relay_ebpf_common::{carried, layout, log, pad, verdict, word};
pub use twin::Twin;
