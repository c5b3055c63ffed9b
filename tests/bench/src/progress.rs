//! What is being done and how long it will take, for people who wait. No RFC.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::plan::{Job, Plan};

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
