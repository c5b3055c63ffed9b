//! The aims: what one path is to reach beside another in the same rounds. No RFC.

use super::axis::plain;
use super::measured::{
    Case, Load, Receiver, Rounds, added, calls_per_packet, cost, memory_per_subscriber, modes,
    saturation,
};
use super::paths::{CLEAR, KERNEL, QUINN, QUINN_NO_GSO, USERSPACE};
use super::table::{NOT_MEASURED, NOT_REACHED, REACHED, Table};
use crate::results::Results;
use crate::stats::{Spread, quantile};

/// Something to reach, and what was measured.
#[derive(Clone, Debug)]
struct Aim {
    what: String,
    limit: Limit,
    measured: Option<Spread>,
}

/// A name, of how many, and which.
type Subscriber = (&'static str, u64, Receiver);

/// What counts as reached.
#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// All aims with what became of them.
pub(super) fn table(results: &Results) -> Table {
    let head = [
        "aim", "measured", "from", "to", "rounds", "wanted", "result",
    ];
    let mut table = Table::new(
        "Aims: figures of one path beside another in the same rounds; the median of the rounds, and from where to where they go",
        1,
        &head,
    );
    let aims = [
        delay(results),
        processor(results),
        calls(results),
        fan_out(results),
        memory(results),
    ];
    for aim in aims.into_iter().flatten() {
        table.push(aim.row());
    }
    table
}

impl Aim {
    fn row(self) -> Vec<String> {
        let (result, measured) = match self.measured {
            None => (NOT_MEASURED, ["–"; 4].map(str::to_owned)),
            Some(spread) => {
                let reached = self.limit.holds(spread.median);
                let result = if reached { REACHED } else { NOT_REACHED };
                let [median, least, most] = [spread.median, spread.least, spread.most].map(ratio);
                (result, [median, least, most, spread.rounds.to_string()])
            }
        };
        let wanted = match self.limit {
            Limit::AtMost(limit) => format!("≤ {}", ratio(limit)),
            Limit::AtLeast(limit) => format!("≥ {}", ratio(limit)),
        };
        let mut row = vec![self.what];
        row.extend(measured);
        row.extend([wanted, result.to_owned()]);
        row
    }
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }
}

fn delay(results: &Results) -> Vec<Aim> {
    let one = ("1 subscriber", 1, Receiver::First);
    let last = ("last of 100", 100, Receiver::Last);
    let wanted = [
        (one, QUINN, 5.0),
        (last, QUINN, 6.0),
        (one, USERSPACE, 3.0),
        (last, USERSPACE, 3.0),
    ];
    let aim = |mode: &str, (name, share): (&str, f64), wanted: (Subscriber, &str, f64)| {
        let ((whose, subscribers, receiver), peer, times) = wanted;
        let of = |path| {
            added_share(
                results,
                Case {
                    path,
                    subscribers,
                    mode,
                },
                receiver,
                share,
            )
        };
        Aim {
            what: format!("relay-added delay, {whose}, {mode}, {name}: {KERNEL} / {peer}"),
            limit: Limit::AtMost(1.0 / times),
            measured: Spread::of_ratios(&of(KERNEL), &of(peer)),
        }
    };
    let mut aims = Vec::new();
    for mode in modes(results) {
        for share in [("median", 0.5), ("p99", 0.99)] {
            aims.extend(wanted.map(|wanted| aim(mode, share, wanted)));
        }
    }
    aims
}

fn processor(results: &Results) -> Vec<Aim> {
    let wanted = [
        (KERNEL, QUINN, 10, 1.0 / 6.0),
        (KERNEL, QUINN, 100, 1.0 / 3.0),
        (CLEAR, QUINN, 100, 1.0 / 8.0),
        (USERSPACE, QUINN, 10, 1.0 / 2.0),
        (USERSPACE, QUINN, 100, 1.0 / 2.0),
    ];
    let mut aims = Vec::new();
    for mode in modes(results) {
        for (path, peer, subscribers, limit) in wanted {
            let of = |path| {
                cost(
                    results,
                    Case {
                        path,
                        subscribers,
                        mode,
                    },
                    |run| Some(run.per_packet_us),
                )
            };
            aims.push(Aim {
                what: format!("CPU per packet, {subscribers} subscribers, {mode}: {path} / {peer}"),
                limit: Limit::AtMost(limit),
                measured: Spread::of_ratios(&of(path), &of(peer)),
            });
        }
    }
    aims
}

fn calls(results: &Results) -> Vec<Aim> {
    let aim = |mode| {
        let of = |path| {
            cost(
                results,
                Case {
                    path,
                    subscribers: 100,
                    mode,
                },
                calls_per_packet,
            )
        };
        Aim {
            what: format!(
                "system calls per packet, 100 subscribers, {mode}: {KERNEL} / {USERSPACE}"
            ),
            limit: Limit::AtMost(1.0 / 20.0),
            measured: Spread::of_ratios(&of(KERNEL), &of(USERSPACE)),
        }
    };
    modes(results).into_iter().map(aim).collect()
}

fn fan_out(results: &Results) -> Vec<Aim> {
    let wanted = [
        (KERNEL, QUINN, 1.3),
        (KERNEL, QUINN_NO_GSO, 3.0),
        (CLEAR, QUINN, 3.0),
        (USERSPACE, QUINN, 1.3),
    ];
    let mut aims = Vec::new();
    for (path, peer, limit) in wanted {
        let packets =
            |path, load| saturation(results, (path, 100), load, |run| run.packets_per_second);
        let processor = |path| {
            saturation(results, (path, 100), Load::Overload, |run| {
                run.per_packet_us
            })
        };
        let ratios = [
            (
                "packets/s before 0.1 % loss",
                packets(path, Load::BeforeLoss),
                packets(peer, Load::BeforeLoss),
            ),
            (
                "packets/s at overload",
                packets(path, Load::Overload),
                packets(peer, Load::Overload),
            ),
        ];
        for (name, above, below) in ratios {
            aims.push(at_least(
                &format!("saturation, 100 subscribers, {name}: {path} / {peer}"),
                limit,
                &above,
                &below,
            ));
        }
        let what = format!("saturation, 100 subscribers, CPU per packet: {peer} / {path}");
        aims.push(at_least(&what, limit, &processor(peer), &processor(path)));
    }
    aims
}

fn memory(results: &Results) -> Vec<Aim> {
    let aim = |path: &str| Aim {
        what: format!("memory per idle subscriber, KiB: {path}"),
        limit: Limit::AtMost(64.0),
        measured: memory_per_subscriber(results, path).and_then(|slope| Spread::of(&[slope])),
    };
    [KERNEL, USERSPACE].map(aim).into()
}

fn at_least(what: &str, limit: f64, above: &Rounds, below: &Rounds) -> Aim {
    Aim {
        what: what.to_owned(),
        limit: Limit::AtLeast(limit),
        measured: Spread::of_ratios(above, below),
    }
}

/// A quantile of what a case adds, in each round.
fn added_share(results: &Results, case: Case<'_>, receiver: Receiver, share: f64) -> Rounds {
    let rounds = added(results, case, receiver).into_iter();
    rounds
        .filter_map(|(round, delays)| Some((round, quantile(&delays, share)?)))
        .collect()
}

/// Ratios below one need more digits.
fn ratio(figure: f64) -> String {
    match figure.abs() {
        size if size < 0.01 => format!("{figure:.5}"),
        size if size < 1.0 => format!("{figure:.3}"),
        _ => plain(figure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::CostRun;

    fn cost_run(path: &str, round: u64, per_packet_us: f64) -> CostRun {
        let (path, mode) = (path.to_owned(), "datagram".to_owned());
        CostRun {
            path,
            subscribers: 100,
            mode,
            round,
            per_packet_us,
            ..CostRun::default()
        }
    }

    fn row(results: &Results, what: &str) -> String {
        let text = table(results).to_text();
        let row = text.lines().find(|line| line.starts_with(what)).unwrap();
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_aim_is_reached_missed_or_not_measured() {
        let cost = vec![
            cost_run(KERNEL, 0, 2.0),
            cost_run(QUINN, 0, 8.0),
            cost_run(USERSPACE, 0, 5.0),
            cost_run(KERNEL, 1, 2.0),
            cost_run(QUINN, 1, 10.0),
            cost_run(USERSPACE, 1, 7.0),
        ];
        let results = Results {
            cost,
            ..Results::default()
        };
        let of = |path| {
            row(
                &results,
                &format!("CPU per packet, 100 subscribers, datagram: {path} / quinn"),
            )
        };
        assert!(
            of(KERNEL).ends_with("0.225 0.200 0.250 2 ≤ 0.333 reached"),
            "{}",
            of(KERNEL)
        );
        assert!(
            of(USERSPACE).ends_with("0.662 0.625 0.700 2 ≤ 0.500 not reached"),
            "{}",
            of(USERSPACE)
        );
        assert!(
            of(CLEAR).ends_with("– – – – ≤ 0.125 not measured"),
            "{}",
            of(CLEAR)
        );
    }

    #[test]
    fn a_run_without_data_says_so_of_every_aim() {
        let text = table(&Results::default()).to_text();
        let aims = text.lines().skip(2).collect::<Vec<_>>();
        assert!(aims.len() > 20);
        assert!(aims.iter().all(|aim| aim.ends_with(NOT_MEASURED)));
    }
}
