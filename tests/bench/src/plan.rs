//! What is measured, in which order, and how long it will take. No RFC.

use std::fmt;

use clap::ValueEnum;

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
    modes: &'static [Mode],
    /// How long delay is measured, and then cost.
    pub stretch: f64,
    saturations: u64,
    /// Beside a hundred, in one round.
    saturated_too: &'static [usize],
    /// How long a rate is offered, and how much higher the next one is.
    pub step: (f64, f64),
    /// How many subscribers, for cost against their number, and in how many rounds.
    many: &'static [usize],
    scales: u64,
    /// How many join late in a round, and in how many rounds.
    pub joiners: usize,
    startups: u64,
    /// How long a film is sent, and in how many rounds.
    pub film: f64,
    films: u64,
    /// Numbers of idle subscribers, upwards.
    pub idle: &'static [usize],
    /// How many connections are idle beside those that receive.
    pub crowd: usize,
    /// How long system calls are counted.
    pub system_calls: Option<f64>,
    /// How long stacks are looked at.
    pub stacks: Option<f64>,
    /// How long packets are lost.
    pub loss: Option<f64>,
    paths: &'static [Path],
    only: Vec<Section>,
    only_paths: Vec<Path>,
    only_subscribers: Vec<usize>,
}

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Delay and cost at a steady rate.
    Steady,
    /// The most that goes through.
    Saturation,
    /// Cost against the number of subscribers.
    Scale,
    /// Late joiners.
    Startup,
    /// Bursts as a film's frames are.
    Film,
    /// Memory of idle subscribers.
    Growth,
    /// Cost beside idle connections.
    Crowd,
    /// System calls by name.
    Calls,
    /// Where the time goes.
    Stacks,
    /// Losses before the relay.
    Loss,
}

/// One thing to measure on one path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Job {
    /// What.
    pub section: Section,
    /// Which turn.
    pub round: u64,
    /// Of which path.
    pub path: Path,
    /// For so many.
    pub subscribers: usize,
}

impl Plan {
    /// About ten minutes.
    pub fn full() -> Self {
        Self {
            rounds: 3,
            subscribers: &[1, 10, 100],
            modes: &[Mode::Datagram, Mode::Stream],
            stretch: 0.5,
            saturations: 2,
            saturated_too: &[1, 10, 1000],
            step: (0.4, 1.4),
            many: &[100, 2000],
            scales: 2,
            joiners: 10,
            startups: 1,
            film: 2.0,
            films: 2,
            idle: &[1000, 10_000],
            crowd: 10_000,
            system_calls: Some(2.0),
            stacks: Some(2.0),
            loss: Some(3.0),
            paths: &Path::ALL,
            only: Vec::new(),
            only_paths: Vec::new(),
            only_subscribers: Vec::new(),
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
            saturated_too: &[],
            step: (0.25, 2.0),
            many: &[],
            scales: 0,
            joiners: 5,
            startups: 1,
            film: 0.0,
            films: 0,
            idle: &[100],
            crowd: 0,
            system_calls: None,
            stacks: None,
            loss: None,
            paths: &[Path::PlainIp, Path::Kernel, Path::Userspace, Path::Quinn],
            only: Vec::new(),
            only_paths: Vec::new(),
            only_subscribers: Vec::new(),
        }
    }

    /// The same with these parts alone (none: with all), and no more than so many rounds.
    #[must_use]
    pub fn only(self, sections: &[Section], rounds: u64) -> Self {
        Self {
            rounds: self.rounds.min(rounds),
            saturations: self.saturations.min(rounds),
            scales: self.scales.min(rounds),
            startups: self.startups.min(rounds),
            films: self.films.min(rounds),
            only: sections.to_vec(),
            ..self
        }
    }

    /// The same on these paths and for so many subscribers alone (none: for all).
    #[must_use]
    pub fn with(self, paths: &[Path], subscribers: &[usize]) -> Self {
        Self {
            only_paths: paths.to_vec(),
            only_subscribers: subscribers.to_vec(),
            ..self
        }
    }

    /// The same, with system calls counted for so many seconds.
    #[must_use]
    pub fn counting_calls(self, seconds: Option<u16>) -> Self {
        Self {
            system_calls: seconds.map(f64::from).or(self.system_calls),
            ..self
        }
    }

    /// Everything, path after path and round after round.
    pub fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for round in 0..self.rounds {
            for &subscribers in self.subscribers {
                jobs.extend(self.turns(Section::Steady, round, subscribers));
            }
            if round < self.saturations {
                jobs.extend(self.turns(Section::Saturation, round, MANY));
            }
        }
        for &subscribers in self.saturated_too {
            jobs.extend(self.turns(Section::Saturation, 0, subscribers));
        }
        for round in 0..self.scales {
            for &subscribers in self.many {
                jobs.extend(self.turns(Section::Scale, round, subscribers));
            }
        }
        for round in 0..self.startups {
            jobs.extend(self.turns(Section::Startup, round, 1));
        }
        for round in 0..self.films {
            jobs.extend(self.turns(Section::Film, round, FEW));
        }
        let once = [
            (Section::Growth, !self.idle.is_empty()),
            (Section::Crowd, self.crowd > 0),
            (Section::Calls, self.system_calls.is_some()),
            (Section::Stacks, self.stacks.is_some()),
            (Section::Loss, self.loss.is_some()),
        ];
        for (section, _) in once.into_iter().filter(|(_, is_wanted)| *is_wanted) {
            let subscribers = if section == Section::Loss { 1 } else { MANY };
            jobs.extend(self.turns(section, 0, subscribers));
        }
        jobs.retain(|job| {
            is_among(&self.only, &job.section)
                && is_among(&self.only_paths, &job.path)
                && is_among(&self.only_subscribers, &job.subscribers)
        });
        jobs
    }

    /// Of delay and cost on a path. Plain UDP knows datagrams only.
    pub const fn modes(&self, path: Path) -> &'static [Mode] {
        match path.is_plain() {
            true => &[Mode::Datagram],
            false => self.modes,
        }
    }

    /// All paths that a part is measured for.
    fn turns(
        &self,
        section: Section,
        round: u64,
        subscribers: usize,
    ) -> impl Iterator<Item = Job> + use<'_> {
        let of = move |path: &&Path| match section {
            Section::Steady | Section::Film => match path {
                // One path without a relay is as good as many.
                Path::PlainIp => subscribers == 1 || section == Section::Film,
                Path::Floor | Path::KernelClear => section == Section::Steady && subscribers != FEW,
                Path::UserspaceWithoutGso | Path::QuinnWithoutGso => subscribers == MANY,
                _ if path.is_moqt() => section == Section::Steady,
                _ => true,
            },
            Section::Crowd => path.is_moqt(),
            Section::Saturation if subscribers == MANY => **path != Path::PlainIp,
            _ => Path::MAIN.contains(path),
        };
        self.paths.iter().filter(of).map(move |&path| Job {
            section,
            round,
            path,
            subscribers: if path == Path::PlainIp {
                1
            } else {
                subscribers
            },
        })
    }

    /// About how long a job takes.
    pub fn seconds(&self, job: Job) -> f64 {
        let own = match job.section {
            Section::Steady => self.modes(job.path).len() as f64 * (2.0 * self.stretch + 1.0),
            Section::Saturation => 4.0 / self.step.1.ln() * (self.step.0 + 0.3),
            Section::Scale => SCALE + 1.0,
            Section::Startup => 0.1 * self.joiners as f64,
            Section::Film => self.film + 0.5,
            Section::Growth => {
                let most = self.idle.last().copied().unwrap_or_default();
                2.0 * self.idle.len() as f64 + HANDSHAKE * most as f64
            }
            Section::Crowd => 2.0 * (SCALE + 3.0) + HANDSHAKE * self.crowd as f64,
            Section::Calls => self.system_calls.unwrap_or_default() + 2.0,
            Section::Stacks => self.stacks.unwrap_or_default() + 2.0,
            Section::Loss => self.loss.unwrap_or_default() + 1.0,
        };
        COMING_UP + job.subscribers as f64 * HANDSHAKE + own
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.section {
            Section::Steady => "delay and cost",
            Section::Saturation => "saturation",
            Section::Scale => "cost of many",
            Section::Startup => "late joiners",
            Section::Film => "a film's bursts",
            Section::Growth => "memory of idle subscribers",
            Section::Crowd => "cost beside idle connections",
            Section::Calls => "system calls",
            Section::Stacks => "where the time goes",
            Section::Loss => "losses before the relay",
        };
        let (turn, subscribers, path) = (self.round + 1, self.subscribers, self.path.name());
        write!(f, "{what}, turn {turn}, subscribers {subscribers}: {path}")
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

/// Whether it is wanted: nothing said means everything.
fn is_among<T: PartialEq>(wanted: &[T], one: &T) -> bool {
    wanted.is_empty() || wanted.contains(one)
}

/// Subscribers where there are to be many, and where there are to be some.
const MANY: usize = 100;
const FEW: usize = 10;
/// How long what many cost is measured.
pub const SCALE: f64 = 1.0;
/// Until a relay and its subscribers are there, and what each of them adds to that.
const COMING_UP: f64 = 1.5;
const HANDSHAKE: f64 = 0.002;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_take_turns() {
        for plan in [Plan::full(), Plan::quick()] {
            let jobs = plan.jobs();
            for pair in jobs.windows(2) {
                assert_ne!(pair[0].path, pair[1].path, "{pair:?}");
            }
        }
    }

    #[test]
    fn all_takes_about_ten_minutes_and_a_quick_one_takes_one() {
        for (plan, seconds) in [(Plan::full(), 600.0), (Plan::quick(), 60.0)] {
            let jobs = plan.jobs().into_iter().filter(|job| !job.path.is_moqt());
            let planned = jobs.map(|job| plan.seconds(job)).sum::<f64>();
            assert!((0.7..1.2).contains(&(planned / seconds)), "{planned}");
        }
    }

    #[test]
    fn a_part_alone_is_measured_as_within_all() {
        let all = Plan::full().jobs();
        let some = Plan::full().only(&[Section::Loss, Section::Scale], u64::MAX);
        let some = some.jobs();
        let of = |job: &&Job| matches!(job.section, Section::Loss | Section::Scale);
        assert!(some.len() < all.len() && !some.is_empty());
        assert!(all.iter().filter(of).eq(&some));
        let short = Plan::full().only(&[], 1).jobs();
        assert!(short.iter().all(|job| job.round == 0) && short.len() > some.len());
    }
}
