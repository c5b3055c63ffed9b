//! What the relay uses up while media flows. No RFC.
//!
//! Processor time is that of the process, in user mode and in system calls, plus the time that the kernel
//! programs ran: they run when a packet comes in, at the cost of whoever sent it. The programs that meet
//! incoming packets count; what they set off, a copy's way out, happens within their time. System calls
//! are counted by the relay's own event loop.

use std::path::Path;
use std::time::Duration;

use super::process::Process;
use crate::control::{Request, ask};
use crate::status::Status;

/// What a relay has used by some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    process: Duration,
    kernel: Duration,
    system_calls: u64,
}

impl Usage {
    /// Up to now; what cannot be learned counts as nothing.
    pub(crate) fn of(relay: &Process, control: &Path) -> (Self, Status) {
        let process = relay.cpu_time().unwrap_or_default();
        let status =
            ask(control, Request::Status).map(|text| serde_json::from_str::<Status>(&text));
        let status = status.ok().and_then(Result::ok).unwrap_or_default();
        let incoming = status.fast_path.programs.iter();
        let incoming = incoming.filter(|program| INCOMING.contains(&program.name.as_str()));
        let usage = Self {
            process,
            kernel: incoming
                .map(|program| Duration::from_nanos(program.run_time_ns))
                .sum(),
            system_calls: status.system_calls,
        };
        (usage, status)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            process: self.process.saturating_sub(earlier.process),
            kernel: self.kernel.saturating_sub(earlier.kernel),
            system_calls: self.system_calls.saturating_sub(earlier.system_calls),
        }
    }

    /// Processor time for each of so many packets, in µs.
    pub(crate) fn cpu_us_per_packet(self, packets: u64) -> f64 {
        let used = (self.process + self.kernel).as_secs_f64() * 1e6;
        hundredths(used / packets.max(1) as f64)
    }

    /// System calls for each of so many packets.
    pub(crate) fn system_calls_per_packet(self, packets: u64) -> f64 {
        hundredths(self.system_calls as f64 / packets.max(1) as f64)
    }
}

fn hundredths(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

/// The programs that packets meet as they come in.
const INCOMING: [&str; 2] = ["qrelay_ingress", "qrelay_clients"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_the_kernel_counts_like_time_in_userspace() {
        let ms = Duration::from_millis;
        let earlier = Usage {
            process: ms(5),
            kernel: ms(1),
            system_calls: 10,
        };
        let later = Usage {
            process: ms(7),
            kernel: ms(2),
            system_calls: 25,
        };
        let used = later.since(earlier);
        assert_eq!(used.cpu_us_per_packet(1000), 3.0);
        assert_eq!(used.system_calls_per_packet(1000), 0.02);
        assert_eq!(earlier.since(later), Usage::default());
    }
}
