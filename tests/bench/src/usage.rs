//! Processor time, told apart by whose work it was. No RFC.
//!
//! A process is booked with what it used in user mode and in system calls. What arrives at an interface is taken in by a
//! thread of the kernel that is named after it ([`Network::book_interrupts`]): on the relay's interfaces that is the relay's
//! work, its BPF programs included, on the others the receivers' and the source's. Where the kernel has no such threads,
//! what the BPF programs ran for is all that is known of the relay's interrupts.
//!
//! Why threads: without them a packet is taken in by whoever is on the processor, most often the source within its system
//! call, and `/proc/stat` knows the sum only; what receivers and relay cost there cannot be told apart. Threads have a price:
//! a veth's queue of 256 packets can overflow while the one that empties it waits. So they come before all processes, as does
//! the source, which sends no bursts, and each row says which share of its packets was the kernel's.
//!
//! [`Network::book_interrupts`]: crate::network::Network::book_interrupts

use std::fs;
use std::path::{Path, PathBuf};

use crate::network::threads;

/// Which processes and threads do whose work.
#[derive(Clone, Debug, Default)]
pub struct Books {
    relay: Vec<PathBuf>,
    interrupts: Vec<PathBuf>,
    receivers: Vec<PathBuf>,
    source: Vec<PathBuf>,
}

/// Processor time in microseconds, up to some moment or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// The relay's process.
    pub process: f64,
    /// The relay's interrupts, with `bpf`.
    pub interrupts: f64,
    /// The relay's BPF programs.
    pub bpf: f64,
    /// The subscribers' process, and interrupts on their side.
    pub receivers: f64,
    /// The same for the publisher.
    pub source: f64,
    /// The relay's system calls, if it counts them.
    pub system_calls: Option<u64>,
    /// Packets with media that the relay's kernel programs have sent, and its process; if it counts them.
    pub packets: Option<(u64, u64)>,
}

/// What a relay tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// What its BPF programs ran for, in microseconds.
    pub bpf: f64,
    /// Its system calls.
    pub system_calls: Option<u64>,
    /// Packets with media to those who are connected: from its kernel programs, and from its process.
    pub packets: Option<(u64, u64)>,
}

impl Books {
    /// The kernel's threads are those that are there now.
    pub fn open(relay: Option<u32>, receivers: u32, source: u32) -> Self {
        let process = |id| PathBuf::from(format!("/proc/{id}"));
        let mut books = Self {
            relay: relay.map(process).into_iter().collect(),
            interrupts: Vec::new(),
            receivers: vec![process(receivers)],
            source: vec![process(source)],
        };
        for thread in threads() {
            let path = Path::new("/proc").join(thread.id);
            match thread.device {
                "sub0" => books.receivers.push(path),
                "pub0" => books.source.push(path),
                _ => books.interrupts.push(path),
            }
        }
        books
    }

    /// Whether the interrupts are booked at all.
    pub fn has_interrupts(&self) -> bool {
        !self.interrupts.is_empty()
    }

    /// Up to now.
    pub fn read(&self, told: Told) -> Usage {
        let sum = |paths: &[PathBuf]| paths.iter().map(|path| micros(path)).sum();
        Usage {
            process: sum(&self.relay),
            interrupts: sum(&self.interrupts),
            bpf: told.bpf,
            receivers: sum(&self.receivers),
            source: sum(&self.source),
            system_calls: told.system_calls,
            packets: told.packets,
        }
    }
}

impl Usage {
    /// What was used since `earlier`, for each of so many packets; system calls in all.
    pub fn per_packet(self, earlier: Self, packets: u64) -> Self {
        let per = |now: f64, then: f64| (now - then).max(0.0) / packets.max(1) as f64;
        let calls = self.system_calls.zip(earlier.system_calls);
        Self {
            process: per(self.process, earlier.process),
            interrupts: per(self.interrupts, earlier.interrupts),
            bpf: per(self.bpf, earlier.bpf),
            receivers: per(self.receivers, earlier.receivers),
            source: per(self.source, earlier.source),
            system_calls: calls.map(|(now, then)| now.saturating_sub(then)),
            packets: self
                .packets
                .zip(earlier.packets)
                .map(|(now, then)| (now.0.saturating_sub(then.0), now.1.saturating_sub(then.1))),
        }
    }

    /// The same with what the relay told afterwards.
    pub fn with(self, told: Told) -> Self {
        Self {
            bpf: told.bpf,
            system_calls: told.system_calls,
            packets: told.packets,
            ..self
        }
    }

    /// Which share of the packets the relay's kernel programs have sent, from 0 to 1.
    pub fn share_from_kernel(self) -> Option<f64> {
        let (kernel, process) = self.packets?;
        (kernel + process > 0).then(|| kernel as f64 / (kernel + process) as f64)
    }

    /// What the kernel spent on the relay besides its BPF programs.
    pub fn interrupts_without_bpf(self) -> f64 {
        (self.interrupts - self.bpf).max(0.0)
    }

    /// All of the relay's.
    pub fn relay(self) -> f64 {
        self.process + self.interrupts.max(self.bpf)
    }
}

/// What all threads of a process have used so far. One that has ended counts no more.
fn micros(process: &Path) -> f64 {
    let tasks = fs::read_dir(process.join("task")).into_iter().flatten();
    let nanos = tasks.flatten().filter_map(|task| {
        // The first number is nanoseconds on a processor; `stat` counts in ticks of 10 ms.
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e3
}

/// Resident memory of a process, in KiB.
pub fn resident(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the BPF programs that a process holds have run for, in microseconds: the one that ran longest, since what it set off
/// is in that.
pub fn programs_run(process: u32) -> f64 {
    let files = fs::read_dir(format!("/proc/{process}/fdinfo"))
        .into_iter()
        .flatten();
    let nanos = files.flatten().filter_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("run_time_ns:"))?;
        line.trim().parse::<f64>().ok()
    });
    nanos.fold(0.0, f64::max) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpf_programs_run_in_interrupts_and_count_once() {
        let earlier = Usage::default();
        let later = Usage {
            process: 20.0,
            interrupts: 50.0,
            bpf: 30.0,
            receivers: 7.0,
            source: 3.0,
            system_calls: Some(4),
            packets: None,
        };
        let each = later.per_packet(earlier, 10);
        assert_eq!((each.interrupts_without_bpf(), each.relay()), (2.0, 7.0));
        assert_eq!(each.system_calls, None);
        let unbooked = Usage {
            interrupts: 0.0,
            ..each
        };
        assert_eq!(
            (unbooked.interrupts_without_bpf(), unbooked.relay()),
            (0.0, 5.0)
        );
    }

    #[test]
    fn the_share_of_the_kernel_is_of_what_was_sent_meanwhile() {
        let told = |packets| Usage {
            packets,
            ..Usage::default()
        };
        let share = |earlier, later| {
            let used = told(later).per_packet(told(earlier), 1);
            used.share_from_kernel()
        };
        assert_eq!(share(Some((100, 50)), Some((130, 60))), Some(0.75));
        assert_eq!(share(Some((100, 50)), Some((100, 50))), None);
        assert_eq!(share(None, Some((100, 50))), None);
    }

    #[test]
    fn we_use_time_and_memory() {
        let path = format!("/proc/{}", std::process::id());
        assert!(micros(Path::new(&path)) > 0.0);
        assert!(resident(std::process::id()).is_some_and(|kib| kib > 100));
    }
}
