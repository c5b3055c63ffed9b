//! What the sections and the aims ask of the results: figures of a path, round by round. No RFC.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::paths::{self, PLAIN, is_plain};
use crate::results::{Delay, DelayRun, Results, SaturationRun};
use crate::stats::{Quantiles, Spread, median, slope};

/// Whose delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// The first subscriber, when the kernel had the packet.
    First,
    /// The last of all subscribers, when the kernel had the packet.
    Last,
    /// The first subscriber, when the program had the message.
    Application,
}

/// A path with a number of subscribers and how messages are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) path: &'a str,
    pub(super) subscribers: u64,
    pub(super) mode: &'a str,
}

/// A figure of each round.
pub(super) type Rounds = BTreeMap<u64, f64>;

/// How messages were sent: in a run without a delay test, `datagram`.
pub(super) fn modes(results: &Results) -> Vec<&str> {
    let delay = results.delay.iter().filter(|run| !is_plain(&run.path));
    let delay = delay.map(|run| run.mode.as_str());
    let cost = results.cost.iter().filter(|run| !is_plain(&run.path));
    let modes = delay
        .chain(cost.map(|run| run.mode.as_str()))
        .collect::<BTreeSet<_>>();
    if modes.is_empty() {
        vec!["datagram"]
    } else {
        modes.into_iter().collect()
    }
}

/// Delays of a case over all rounds, in microseconds.
pub(super) fn delays(results: &Results, case: Case<'_>, receiver: Receiver) -> Vec<f64> {
    let runs = delay_runs(results, case);
    runs.flat_map(|run| microseconds(received(run, receiver)))
        .collect()
}

/// What a case adds to plain IP forwarding, in microseconds, each round of its own.
pub(super) fn added(
    results: &Results,
    case: Case<'_>,
    receiver: Receiver,
) -> BTreeMap<u64, Vec<f64>> {
    let mut rounds = BTreeMap::new();
    for run in delay_runs(results, case) {
        let Some(plain) = plain(results, run) else {
            continue;
        };
        let added = microseconds(received(run, receiver)).map(|delay| delay - plain);
        rounds
            .entry(run.round)
            .or_insert_with(Vec::new)
            .extend(added);
    }
    rounds
}

/// Quantiles of what a case adds, over all rounds.
pub(super) fn added_quantiles(
    results: &Results,
    case: Case<'_>,
    receiver: Receiver,
) -> Option<Quantiles> {
    let added = added(results, case, receiver).into_values();
    Quantiles::of(&added.flatten().collect::<Vec<_>>())
}

/// The runs of a case.
pub(super) fn delay_runs<'a>(
    results: &'a Results,
    case: Case<'a>,
) -> impl Iterator<Item = &'a DelayRun> {
    // Plain UDP knows datagrams only; it stands beside every mode.
    let of = move |run: &&DelayRun| {
        run.path == case.path
            && run.subscribers == case.subscribers
            && (run.mode == case.mode || is_plain(&run.path))
    };
    results.delay.iter().filter(of)
}

/// A figure of the cost test in each round.
pub(super) fn cost(
    results: &Results,
    case: Case<'_>,
    figure: impl Fn(&crate::results::CostRun) -> Option<f64>,
) -> Rounds {
    let runs = results.cost.iter().filter(|run| run.path == case.path);
    let runs = runs.filter(|run| run.subscribers == case.subscribers);
    let runs = runs.filter(|run| run.mode == case.mode || is_plain(&run.path));
    runs.filter_map(|run| Some((run.round, figure(run)?)))
        .collect()
}

/// Calls for each forwarded packet in a round of the cost test.
pub(super) fn calls_per_packet(run: &crate::results::CostRun) -> Option<f64> {
    (run.forwarded > 0).then_some(run.system_calls? as f64 / run.forwarded as f64)
}

/// At which step of the saturation test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// The most that came through while at most 0.1 % was lost.
    BeforeLoss,
    /// The last step: the source sends what it can.
    Overload,
}

/// A figure of the saturation test in each round.
pub(super) fn saturation(
    results: &Results,
    (path, subscribers): (&str, u64),
    load: Load,
    figure: impl Fn(&SaturationRun) -> f64,
) -> Rounds {
    let of = |run: &&SaturationRun| run.path == path && run.subscribers == subscribers;
    let mut chosen = BTreeMap::<u64, &SaturationRun>::new();
    for run in results.saturation.iter().filter(of) {
        let so_far = chosen.get(&run.round).map(|run| run.packets_per_second);
        let better = match load {
            Load::BeforeLoss => {
                run.share_lost <= LOSS && so_far.is_none_or(|most| run.packets_per_second > most)
            }
            Load::Overload => true,
        };
        if better {
            chosen.insert(run.round, run);
        }
    }
    chosen
        .into_iter()
        .map(|(round, run)| (round, figure(run)))
        .collect()
}

/// KiB that one more idle subscriber costs.
pub(super) fn memory_per_subscriber(results: &Results, path: &str) -> Option<f64> {
    let points = results.growth.iter().filter(|point| point.path == path);
    let points = points.map(|point| (point.idle as f64, point.rss_kib as f64));
    slope(&points.collect::<Vec<_>>())
}

/// The middle of a figure's rounds and how far they are from it.
pub(super) fn spread(rounds: &Rounds) -> Option<Spread> {
    Spread::of(&rounds.values().copied().collect::<Vec<_>>())
}

/// Paths other than plain IP.
pub(super) fn relays(results: &Results) -> Vec<&str> {
    let mut paths = paths::all(results);
    paths.retain(|path| *path != PLAIN);
    paths
}

/// What a run tells of a receiver. With one subscriber the first is the last.
fn received(run: &DelayRun, receiver: Receiver) -> &[Delay] {
    match receiver {
        Receiver::First => &run.first,
        Receiver::Last if run.last.is_empty() && run.subscribers == 1 => &run.first,
        Receiver::Last => &run.last,
        Receiver::Application => &run.application,
    }
}

/// The median of plain IP forwarding that a run is compared with: of the same round if there is one, and as
/// like it as can be.
fn plain(results: &Results, run: &DelayRun) -> Option<f64> {
    let plain = results
        .delay
        .iter()
        .filter(|plain| plain.path == PLAIN && !plain.first.is_empty());
    let likeness = |plain: &&DelayRun| {
        let same = (
            plain.round == run.round,
            plain.subscribers == run.subscribers,
            plain.mode == run.mode,
        );
        (same, Reverse(plain.subscribers))
    };
    let plain = plain.max_by_key(likeness)?;
    median(&microseconds(&plain.first).collect::<Vec<_>>())
}

fn microseconds(delays: &[Delay]) -> impl Iterator<Item = f64> {
    delays.iter().map(|(_, ns)| *ns as f64 / 1000.0)
}

/// Fewer lost than this count as none.
const LOSS: f64 = 0.001;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, round: u64, ns: u64) -> DelayRun {
        let first = vec![(1, ns), (2, ns)];
        let (path, mode) = (path.to_owned(), "datagram".to_owned());
        DelayRun {
            path,
            subscribers: 1,
            mode,
            round,
            first,
            ..DelayRun::default()
        }
    }

    #[test]
    fn plain_ip_of_the_same_round_is_taken_off() {
        let delay = vec![
            run(PLAIN, 0, 5000),
            run(PLAIN, 1, 9000),
            run("kernel", 0, 15_000),
            run("kernel", 1, 15_000),
        ];
        let results = Results {
            delay,
            ..Results::default()
        };
        let case = Case {
            path: "kernel",
            subscribers: 1,
            mode: "datagram",
        };
        let added = added(&results, case, Receiver::Last);
        assert_eq!(
            added,
            BTreeMap::from([(0, vec![10.0, 10.0]), (1, vec![6.0, 6.0])])
        );
    }

    #[test]
    fn without_plain_ip_nothing_is_known_of_what_a_relay_adds() {
        let results = Results {
            delay: vec![run("kernel", 0, 15_000)],
            ..Results::default()
        };
        let case = Case {
            path: "kernel",
            subscribers: 1,
            mode: "datagram",
        };
        assert_eq!(added_quantiles(&results, case, Receiver::First), None);
        assert_eq!(delays(&results, case, Receiver::First), [15.0, 15.0]);
    }

    #[test]
    fn saturation_before_loss_is_not_the_step_with_the_most_packets() {
        let step = |packets_per_second: f64, share_lost: f64| SaturationRun {
            path: "kernel".to_owned(),
            subscribers: 100,
            packets_per_second,
            share_lost,
            ..SaturationRun::default()
        };
        let saturation_runs = vec![
            step(100.0, 0.0),
            step(200.0, 0.001),
            step(300.0, 0.01),
            step(250.0, 0.5),
        ];
        let results = Results {
            saturation: saturation_runs,
            ..Results::default()
        };
        let most = |load| {
            saturation(&results, ("kernel", 100), load, |run| {
                run.packets_per_second
            })
        };
        assert_eq!(most(Load::BeforeLoss), BTreeMap::from([(0, 200.0)]));
        assert_eq!(most(Load::Overload), BTreeMap::from([(0, 250.0)]));
        assert!(
            saturation(&results, ("quinn", 100), Load::Overload, |run| run
                .share_lost)
            .is_empty()
        );
    }
}
