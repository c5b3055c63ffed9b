//! What a forwarded packet costs: processor time and system calls. No RFC.

use std::collections::BTreeSet;

use super::axis::plain;
use super::canvas::{Fault, Legend};
use super::measured::{Case, calls_per_packet, cost, modes, spread};
use super::page::{Part, Picture, Section};
use super::paths::{self, BPF, INTERRUPT, PROCESS, colour};
use super::rows::{self, Mark, Row, axis_of_bars};
use super::subscriber_counts;
use super::table::Table;
use crate::results::{CostRun, Results};

/// Something measured in a round.
type Figure = fn(&CostRun) -> f64;

/// Processor time of the relay for each packet that it forwards.
pub(super) fn processor(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "Processor time per forwarded packet",
        reading: "Shorter is cheaper: each bar is what the relay side uses for a packet that it forwards, in the \
                  process, in interrupts and in BPF programs, so that moving work into the kernel hides nothing; \
                  each panel has its own axis.",
        parts: Vec::new(),
    };
    let parts: [(&str, _, Figure); 3] = [
        ("process (user mode and system calls)", PROCESS, |run| {
            run.process_us
        }),
        ("interrupts", INTERRUPT, |run| run.interrupt_us),
        ("BPF programs", BPF, |run| run.bpf_us),
    ];
    let legend = parts
        .iter()
        .map(|(name, colour, _)| ((*name).to_owned(), *colour));
    let legend = legend.collect::<Legend>();
    for mode in modes(results) {
        let bar = |case: Case<'_>| {
            let part =
                |figure: Figure| spread(&cost(results, case, |run| Some(figure(run).max(0.0))));
            let parts = parts
                .iter()
                .map(|(_, colour, figure)| Some((part(*figure)?.median, *colour)));
            parts.collect::<Option<Vec<_>>>().map(Mark::Bar)
        };
        let picture = picture(results, mode, "µs per forwarded packet", &legend, bar)?;
        let tables = vec![processor_table(results, mode)];
        section.parts.push(Part { picture, tables });
    }
    Ok(section)
}

/// System calls of the relay's process.
pub(super) fn system_calls(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "System calls",
        reading: "Shorter is better: each bar is how often the relay's process calls the kernel for a packet that \
                  it forwards; a path that works in the kernel calls for what it has to do besides.",
        parts: Vec::new(),
    };
    for mode in modes(results) {
        let bar = |case: Case<'_>| {
            let calls = spread(&cost(results, case, calls_per_packet))?;
            Some(Mark::Bar(vec![(calls.median, colour(case.path))]))
        };
        let label = "system calls per forwarded packet";
        let picture = picture(results, mode, label, &Legend::new(), bar)?;
        let tables = vec![calls_table(results, mode)];
        section.parts.push(Part { picture, tables });
    }
    section.parts.push(Part {
        picture: None,
        tables: vec![names_table(results)],
    });
    Ok(section)
}

/// One panel for each number of subscribers, a bar for each path.
fn picture(
    results: &Results,
    mode: &str,
    label: &str,
    legend: &Legend,
    bar: impl Fn(Case<'_>) -> Option<Mark>,
) -> Result<Option<Picture>, Fault> {
    let mut panels = Vec::new();
    for subscribers in subscriber_counts(results.cost.iter().map(|run| run.subscribers)) {
        let row = |path: &str| {
            let mark = bar(Case {
                path,
                subscribers,
                mode,
            })?;
            Some(Row {
                name: path.to_owned(),
                mark,
            })
        };
        let rows = paths::all(results)
            .into_iter()
            .filter_map(row)
            .collect::<Vec<_>>();
        let title = match subscribers {
            1 => "1 subscriber".to_owned(),
            _ => format!("{subscribers} subscribers"),
        };
        if !rows.is_empty() {
            panels.push(rows::Panel {
                title,
                axis: axis_of_bars(&rows, label),
                rows,
            });
        }
    }
    if panels.is_empty() {
        return Ok(None);
    }
    let caption = format!("One {mode} each millisecond to every subscriber");
    Ok(Some(Picture {
        caption,
        svg: rows::draw(&panels, panels.len().min(3), legend)?,
    }))
}

fn processor_table(results: &Results, mode: &str) -> Table {
    let head = [
        "path",
        "subscribers",
        "process",
        "interrupts",
        "BPF",
        "relay in all",
        "from",
        "to",
        "receivers",
        "source",
        "kernel's share, %",
        "lost, %",
        "skipped",
    ];
    let mut table = Table::new(
        &format!("Processor time per forwarded packet, {mode}, µs"),
        1,
        &head,
    );
    for subscribers in subscriber_counts(results.cost.iter().map(|run| run.subscribers)) {
        for path in paths::all(results) {
            let case = Case {
                path,
                subscribers,
                mode,
            };
            let of = |figure: Figure| spread(&cost(results, case, |run| Some(figure(run))));
            let Some(all) = of(|run| run.per_packet_us) else {
                continue;
            };
            let parts = [
                of(|run| run.process_us),
                of(|run| run.interrupt_us),
                of(|run| run.bpf_us),
            ];
            let others = [of(|run| run.receivers_us), of(|run| run.source_us)];
            let mut row = vec![path.to_owned(), subscribers.to_string()];
            row.extend(parts.into_iter().flatten().map(|part| plain(part.median)));
            row.extend([all.median, all.least, all.most].map(plain));
            row.extend(
                others
                    .into_iter()
                    .flatten()
                    .map(|other| plain(other.median)),
            );
            row.extend(doubts(results, case));
            table.push(row);
        }
    }
    table
}

/// What says whether a row is what its name says: the share of the packets that the kernel's programs sent, of those that
/// did not come, and how many messages the source skipped; the worst of the rounds.
fn doubts(results: &Results, case: Case<'_>) -> [String; 3] {
    let of = |figure: &dyn Fn(&CostRun) -> Option<f64>| spread(&cost(results, case, figure));
    let kernel = of(&|run| run.share_from_kernel);
    let lost = of(&|run| {
        let all = run.forwarded + run.lost;
        (all > 0).then(|| run.lost as f64 / all as f64)
    });
    let skipped = of(&|run| Some(run.skipped as f64));
    let percent = |share: Option<f64>| share.map_or("–".to_owned(), |share| plain(share * 100.0));
    [
        percent(kernel.map(|share| share.least)),
        percent(lost.map(|share| share.most)),
        skipped.map_or("–".to_owned(), |skipped| plain(skipped.most)),
    ]
}

fn calls_table(results: &Results, mode: &str) -> Table {
    let head = ["path", "subscribers", "calls", "from", "to"];
    let mut table = Table::new(
        &format!("System calls per forwarded packet, {mode}"),
        1,
        &head,
    );
    for subscribers in subscriber_counts(results.cost.iter().map(|run| run.subscribers)) {
        for path in paths::all(results) {
            let calls = spread(&cost(
                results,
                Case {
                    path,
                    subscribers,
                    mode,
                },
                calls_per_packet,
            ));
            if let Some(calls) = calls {
                let figures =
                    [calls.median, calls.least, calls.most].map(|calls| format!("{calls:.3}"));
                let mut row = vec![path.to_owned(), subscribers.to_string()];
                row.extend(figures);
                table.push(row);
            }
        }
    }
    table
}

/// Calls by name over a stream: the names that any path calls most.
fn names_table(results: &Results) -> Table {
    let names = most_called(results);
    let head = ["path", "subscribers", "seconds", "packets", "all calls"];
    let head = head
        .into_iter()
        .chain(names.iter().copied())
        .collect::<Vec<_>>();
    let mut table = Table::new("System calls over a stream", 1, &head);
    let mut calls = results.system_calls.iter().collect::<Vec<_>>();
    calls.sort_by_key(|calls| (calls.subscribers, paths::place(&calls.path)));
    for calls in calls {
        let mut row = vec![calls.path.clone(), calls.subscribers.to_string()];
        row.extend([
            format!("{:.0}", calls.seconds),
            calls.forwarded.to_string(),
            calls.total.to_string(),
        ]);
        row.extend(names.iter().map(|name| {
            calls
                .names
                .get(*name)
                .copied()
                .unwrap_or_default()
                .to_string()
        }));
        table.push(row);
    }
    table
}

fn most_called(results: &Results) -> Vec<&str> {
    let mut names = BTreeSet::new();
    for calls in &results.system_calls {
        let mut most = calls.names.iter().collect::<Vec<_>>();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        names.extend(most.into_iter().take(TOP).map(|(name, _)| name.as_str()));
    }
    names.into_iter().collect()
}

/// So many names of each path.
const TOP: usize = 5;
