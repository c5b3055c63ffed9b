//! What is measured, in which order, and how long it will take. No RFC.

use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::paths::Path;

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A DATAGRAM frame.
    Datagram,
    /// A stream of its own.
    Stream,
}

/// How much is measured. Times are in seconds.
#[derive(Clone, Debug)]
pub struct Plan {
    rounds: u64,
    /// How many subscribers, for delay and cost.
    subscribers: &'static [usize],
    /// Of delay and cost.
    pub modes: &'static [Mode],
    /// How long delay is measured, and then cost.
    pub stretch: f64,
    saturations: u64,
    /// How long a rate is offered, and how much higher the next one is.
    pub step: (f64, f64),
    /// Numbers of idle subscribers, upwards.
    pub idle: &'static [usize],
    /// How long system calls are counted.
    pub system_calls: Option<f64>,
    /// How long packets are lost.
    pub loss: Option<f64>,
    paths: &'static [Path],
}

/// One thing to measure on one path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Job {
    /// Delay and cost at a steady rate.
    Steady {
        /// Which turn.
        round: u64,
        /// Of which path.
        path: Path,
        /// For so many.
        subscribers: usize,
    },
    /// The most that goes through.
    Saturation {
        /// Which turn.
        round: u64,
        /// Of which path.
        path: Path,
    },
    /// Memory for idle subscribers.
    Growth(Path),
    /// System calls.
    SystemCalls(Path),
    /// What losses before the relay do.
    UpstreamLoss(Path),
}

impl Plan {
    /// About ten minutes.
    pub fn full() -> Self {
        Self {
            rounds: 3,
            subscribers: &[1, 10, 100],
            modes: &[Mode::Datagram, Mode::Stream],
            stretch: 1.0,
            saturations: 2,
            step: (0.7, 1.3),
            idle: &[100, 1000, 2000],
            system_calls: Some(10.0),
            loss: Some(4.0),
            paths: &Path::ALL,
        }
    }

    /// About one.
    pub fn quick() -> Self {
        Self {
            rounds: 1,
            subscribers: &[1, 100],
            modes: &[Mode::Datagram],
            stretch: 0.5,
            saturations: 1,
            step: (0.25, 2.0),
            idle: &[100],
            system_calls: None,
            loss: None,
            paths: &[Path::PlainIp, Path::Kernel, Path::Userspace, Path::Quinn],
        }
    }

    /// Everything, path after path and round after round.
    pub fn jobs(&self) -> Vec<Job> {
        let relays = || {
            self.paths
                .iter()
                .copied()
                .filter(|&path| path != Path::PlainIp)
        };
        let mut jobs = Vec::new();
        for round in 0..self.rounds {
            for &subscribers in self.subscribers {
                // One path without a relay is as good as many.
                let paths = self.paths.iter().copied();
                let paths = paths.filter(|&path| path != Path::PlainIp || subscribers == 1);
                jobs.extend(paths.map(|path| Job::Steady {
                    round,
                    path,
                    subscribers,
                }));
            }
            if round < self.saturations {
                jobs.extend(relays().map(|path| Job::Saturation { round, path }));
            }
        }
        jobs.extend(relays().map(Job::Growth));
        if self.system_calls.is_some() {
            jobs.extend(relays().map(Job::SystemCalls));
        }
        if self.loss.is_some() {
            jobs.extend(relays().map(Job::UpstreamLoss));
        }
        jobs
    }

    /// About how long a job takes.
    fn seconds(&self, job: Job) -> f64 {
        let own = match job {
            Job::Steady { .. } => self.modes.len() as f64 * (2.0 * self.stretch + 1.0),
            Job::Saturation { .. } => 4.0 / self.step.1.ln() * (self.step.0 + 0.7),
            Job::Growth(_) => 2.0 * self.idle.len() as f64,
            Job::SystemCalls(_) => self.system_calls.unwrap_or_default() + 2.0,
            Job::UpstreamLoss(_) => self.loss.unwrap_or_default() + 1.0,
        };
        COMING_UP + own
    }
}

impl Job {
    /// Of which path.
    pub const fn path(self) -> Path {
        match self {
            Self::Steady { path, .. }
            | Self::Saturation { path, .. }
            | Self::Growth(path)
            | Self::SystemCalls(path)
            | Self::UpstreamLoss(path) => path,
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().name();
        match self {
            Self::Steady {
                round, subscribers, ..
            } => {
                let turn = round + 1;
                write!(
                    f,
                    "delay and cost, turn {turn}, subscribers {subscribers}: {path}"
                )
            }
            Self::Saturation { round, .. } => write!(f, "saturation, turn {}: {path}", round + 1),
            Self::Growth(_) => write!(f, "memory of idle subscribers: {path}"),
            Self::SystemCalls(_) => write!(f, "system calls: {path}"),
            Self::UpstreamLoss(_) => write!(f, "losses before the relay: {path}"),
        }
    }
}

impl Mode {
    /// For the source, and in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datagram => "datagram",
            Self::Stream => "stream",
        }
    }
}

/// What is being done and how long all will take, on standard error.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    planned: f64,
    done: f64,
}

impl Progress {
    /// Of all these jobs.
    pub fn new(plan: &Plan, jobs: &[Job]) -> Self {
        Self {
            began: Instant::now(),
            planned: jobs.iter().map(|&job| plan.seconds(job)).sum(),
            done: 0.0,
        }
    }

    /// A job begins: on a terminal one line that changes, elsewhere a line for each.
    pub fn begin(&self, job: Job) {
        let left = Duration::from_secs_f64(self.left().max(0.0)).as_secs();
        let (minutes, seconds) = (left / 60, left % 60);
        let share = (100.0 * self.done / self.planned.max(1.0)).round();
        let line = format!("{share:3.0} %, {minutes}:{seconds:02} left  {job}");
        match stderr().is_terminal() {
            true => eprint!("\r\x1b[K{line}"),
            false => eprintln!("{line}"),
        }
        let _ = stderr().flush();
    }

    /// Something that should stay to be read.
    pub fn note(&self, line: &str) {
        let clear = if stderr().is_terminal() {
            "\r\x1b[K"
        } else {
            ""
        };
        eprintln!("{clear}bench: {line}");
    }

    /// A job is done, or left out.
    pub fn end(&mut self, plan: &Plan, job: Job) {
        self.done += plan.seconds(job);
    }

    /// All jobs are.
    pub fn finish(&self) -> Duration {
        if stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        self.began.elapsed()
    }

    /// Planned seconds that are left, at the pace so far.
    fn left(&self) -> f64 {
        let pace = match self.done > 0.0 {
            true => self.began.elapsed().as_secs_f64() / self.done,
            false => 1.0,
        };
        (self.planned - self.done) * pace
    }
}

/// Until a relay and its subscribers are there.
const COMING_UP: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_take_turns() {
        for plan in [Plan::full(), Plan::quick()] {
            let jobs = plan.jobs();
            for pair in jobs.windows(2) {
                assert_ne!(pair[0].path(), pair[1].path(), "{pair:?}");
            }
        }
    }

    #[test]
    fn all_takes_about_ten_minutes_and_a_quick_one_takes_one() {
        for (plan, seconds) in [(Plan::full(), 600.0), (Plan::quick(), 60.0)] {
            let planned = Progress::new(&plan, &plan.jobs()).planned;
            assert!((0.7..1.2).contains(&(planned / seconds)), "{planned}");
        }
    }
}
