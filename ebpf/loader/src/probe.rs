//! Whether the kernel programs can run here, and if not, why, in one line. No RFC.
//!
//! What is asked for: fetching atomics (x86-64 with 5.12, arm64 with 5.18), `bpf_loop` (5.17), memory-mapped
//! arrays (5.5), a just-in-time compiler, and the rights to load and attach.

use core::fmt;
use std::fs;

use aya::util::KernelVersion;
use relay_ebpf_common::schema::Stamp;

use crate::kernel::OBJECT;
use crate::kernel::attach::Hook;

/// The programs can run here, as far as can be told without loading them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    kernel: String,
    /// How programs are attached.
    pub hook: Hook,
}

/// Why they cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(String);

/// Looks around.
///
/// # Errors
///
/// Why the programs cannot run here.
pub fn probe() -> Result<Found, Unavailable> {
    let because = |why: String| Err(Unavailable(why));
    if OBJECT.is_empty() {
        return because("the kernel programs are not built into this program".into());
    }
    if !Stamp::is_in(OBJECT) {
        return Err(Unavailable::other_schema());
    }
    let Some(needed) = NEEDED else {
        return because("the kernel programs are not made for this processor".into());
    };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if !is_at_least(needed) {
        let (major, minor) = needed;
        return because(format!("kernel {release} is older than {major}.{minor}"));
    }
    let missing = missing_rights(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    if !missing.is_empty() {
        return because(format!("{} missing", missing.join(", ")));
    }
    let jit = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
    if jit.trim() == "0" {
        return because("the kernel's BPF compiler is off (net.core.bpf_jit_enable)".into());
    }
    Ok(Found {
        kernel: release.to_owned(),
        hook: Hook::best(),
    })
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}, {}", self.kernel, self.hook)
    }
}

impl Unavailable {
    /// What would misread the maps is never loaded.
    pub(crate) fn other_schema() -> Self {
        Self(
            "the kernel programs were built for another version of this program (`make ebpf`)"
                .into(),
        )
    }

    /// For this reason.
    pub(crate) fn because(why: impl fmt::Display) -> Self {
        let text = why.to_string();
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self(clean.collect())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Whether the kernel is this version, or newer.
pub(crate) fn is_at_least((major, minor): (u8, u8)) -> bool {
    KernelVersion::current().is_ok_and(|it| it >= KernelVersion::new(major, minor, 0))
}

/// Of the capabilities that are needed, those that `/proc/self/status` does not show.
fn missing_rights(status: &str) -> Vec<&'static str> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    let effective = effective.unwrap_or(0);
    let has = |bit: u32| effective & 1 << bit != 0;
    let missing = RIGHTS.into_iter().filter(|(_, bit, or)| {
        let other = or.is_some_and(has);
        !has(*bit) && !other
    });
    missing.map(|(name, ..)| name).collect()
}

/// Name, bit, and the bit of the right that includes it.
const RIGHTS: [(&str, u32, Option<u32>); 3] = [
    ("CAP_BPF", 39, Some(SYS_ADMIN)),
    ("CAP_PERFMON", 38, Some(SYS_ADMIN)),
    ("CAP_NET_ADMIN", 12, None),
];
const SYS_ADMIN: u32 = 21;

/// The oldest kernel for this processor.
const NEEDED: Option<(u8, u8)> = if cfg!(target_arch = "x86_64") {
    Some((5, 17))
} else if cfg!(target_arch = "aarch64") {
    Some((5, 18))
} else {
    None
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let status = |bits: u64| format!("Name:\trelay\nCapEff:\t{bits:016x}\n");
        assert_eq!(missing_rights(&status(0)).len(), 3);
        assert!(missing_rights(&status(u64::MAX)).is_empty());
        assert_eq!(missing_rights(&status(1 << SYS_ADMIN)), ["CAP_NET_ADMIN"]);
        assert_eq!(missing_rights(&status(1 << 39 | 1 << 12)), ["CAP_PERFMON"]);
    }

    #[test]
    fn a_reason_is_one_line() {
        let why = Unavailable::because("first\nsecond");
        assert_eq!(why.to_string(), "first second");
    }
}
