//! What a packet costs against the number of subscribers. No RFC.

use super::axis::{Axis, plain};
use super::canvas::{Fault, Legend};
use super::measured::{relays, spread};
use super::page::{Part, Picture, Section};
use super::paths::colour;
use super::table::Table;
use super::{curves, subscriber_counts};
use crate::results::{CostRun, Results};
use crate::stats::Spread;

/// A curve for each path.
pub(super) fn scale(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "Cost against the number of subscribers",
        reading: "Lower is cheaper: what the relay side uses for a forwarded packet. One and ten subscribers get a \
                  message each millisecond; the more there are, the fewer messages are sent, so that ten thousand \
                  packets leave each second. So a message's own cost is spread over more and more copies, and \
                  what many subscribers cost besides is seen where a curve rises. Both axes are of ratios.",
        parts: Vec::new(),
    };
    if results.scale.is_empty() {
        return Ok(section);
    }
    let counts = counts(results);
    let curve = |path: &str| {
        let at = |&count: &u64| Some((count as f64, of(results, path, count, micros)?));
        (
            colour(path),
            counts.iter().filter_map(at).collect::<Vec<_>>(),
        )
    };
    let paths = relays(results);
    let curves = paths.iter().map(|path| curve(path)).collect::<Vec<_>>();
    let ends = |count: Option<&u64>| count.copied().unwrap_or(1) as f64;
    let x = Axis::logarithmic(
        ends(counts.first()) / 1.3,
        ends(counts.last()) * 1.3,
        "subscribers",
    );
    let panel = curves::Panel::lines("", x, "µs per forwarded packet", &curves).with_ratios();
    let legend = paths.iter().map(|path| ((*path).to_owned(), colour(path)));
    let picture = Some(Picture {
        caption: "1200-byte datagrams".to_owned(),
        svg: curves::draw(&[panel], 1, &legend.collect::<Legend>())?,
    });
    let tables = vec![table(results), crowd(results)];
    section.parts.push(Part { picture, tables });
    Ok(section)
}

fn table(results: &Results) -> Table {
    let head = [
        "path",
        "subscribers",
        "relay, µs",
        "from",
        "to",
        "BPF, µs",
        "receivers, µs",
        "kernel's share, %",
        "lost, %",
    ];
    let title = "Processor time per forwarded packet against the number of subscribers, datagram";
    let mut table = Table::new(title, 1, &head);
    for path in relays(results) {
        for count in counts(results) {
            let figure = |figure| of(results, path, count, figure);
            let Some(all) = figure(micros) else {
                continue;
            };
            let others: [Figure; 4] = [
                |run| Some(run.bpf_us),
                |run| Some(run.receivers_us),
                |run| Some(run.share_from_kernel? * 100.0),
                |run| {
                    let all = run.forwarded + run.lost;
                    (all > 0).then(|| 100.0 * run.lost as f64 / all as f64)
                },
            ];
            let text = |spread: Option<Spread>| {
                spread.map_or("–".to_owned(), |spread| plain(spread.median))
            };
            let mut row = vec![path.to_owned(), count.to_string()];
            row.extend([all.median, all.least, all.most].map(plain));
            row.extend(others.map(|other| text(figure(other))));
            table.push(row);
        }
    }
    table
}

/// What idle connections cost besides.
fn crowd(results: &Results) -> Table {
    let head = [
        "path",
        "idle connections",
        "subscribers",
        "relay, µs",
        "process, µs",
        "BPF, µs",
        "lost, %",
    ];
    let title = "Processor time per forwarded packet beside idle connections, datagram";
    let mut table = Table::new(title, 1, &head);
    for run in &results.crowd {
        let cost = &run.cost;
        let all = cost.forwarded + cost.lost;
        let mut row = vec![
            cost.path.clone(),
            run.idle.to_string(),
            cost.subscribers.to_string(),
        ];
        let lost = 100.0 * cost.lost as f64 / all.max(1) as f64;
        row.extend([cost.per_packet_us, cost.process_us, cost.bpf_us, lost].map(plain));
        table.push(row);
    }
    table
}

/// Something measured in a run.
type Figure = fn(&CostRun) -> Option<f64>;

const fn micros(run: &CostRun) -> Option<f64> {
    Some(run.per_packet_us)
}

fn of(results: &Results, path: &str, subscribers: u64, figure: Figure) -> Option<Spread> {
    let runs = runs(results);
    let runs = runs.filter(|run| run.path == path && run.subscribers == subscribers);
    let rounds = runs.filter_map(|run| Some((run.round, figure(run)?)));
    spread(&rounds.collect())
}

fn counts(results: &Results) -> Vec<u64> {
    subscriber_counts(runs(results).map(|run| run.subscribers))
}

/// Those of many subscribers; and the few of the cost test, which had the same to do.
fn runs(results: &Results) -> impl Iterator<Item = &CostRun> {
    let fewest = results.scale.iter().map(|run| run.subscribers).min();
    let few = results.cost.iter().filter(move |run| {
        run.mode == "datagram" && fewest.is_some_and(|fewest| run.subscribers < fewest)
    });
    few.chain(&results.scale)
}
