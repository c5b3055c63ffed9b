//! How long a packet takes through each path. No RFC.

use super::axis::{Axis, plain};
use super::canvas::{Fault, Legend};
use super::measured::{Case, Receiver, added_quantiles, delay_runs, delays, modes, relays};
use super::page::{Part, Picture, Section};
use super::paths::{self, KERNEL, colour};
use super::rows::{self, Mark, Row, axis_of_quantiles};
use super::table::Table;
use super::{curves, subscriber_counts};
use crate::results::Results;
use crate::stats::{Quantiles, paired_differences};

/// One-way delay with one subscriber, as the original drew it.
pub(super) fn one_way(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "One-way delay, one subscriber",
        reading: "Left is how many of the messages took how long from the source's program to the receiver's \
                  kernel, so that what lies between plain IP and a path is what the relay adds; right is how \
                  much later a message came than the one of the same place through the kernel path, so that \
                  beyond zero the kernel path was faster.",
        parts: Vec::new(),
    };
    for mode in modes(results) {
        let curves = curves_of(results, mode);
        if curves.is_empty() {
            continue;
        }
        section.parts.push(Part {
            picture: Some(histograms(results, mode, &curves)?),
            tables: vec![delay_table(results, mode), difference_table(results, mode)],
        });
    }
    Ok(section)
}

/// What a relay adds, for the first and the last of its subscribers.
pub(super) fn relay_added(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "Delay that the relay adds",
        reading: "Delay until a subscriber's kernel has a packet, less the median of plain IP forwarding in the \
                  same round: the dot and the figure are the median, the box holds the middle half, the line \
                  ends where 99 % are faster, and each step along the axis is a ratio; the last of many shows \
                  how long a packet's copies take together.",
        parts: Vec::new(),
    };
    for mode in modes(results) {
        let panels = added_panels(results, mode);
        if panels.iter().all(|(_, rows)| rows.is_empty()) {
            continue;
        }
        section.parts.push(Part {
            picture: Some(added_picture(mode, panels)?),
            tables: vec![added_table(results, mode)],
        });
    }
    Ok(section)
}

type Curves<'a> = Vec<(&'a str, Vec<f64>)>;

fn curves_of<'a>(results: &'a Results, mode: &'a str) -> Curves<'a> {
    let paths = paths::all(results).into_iter();
    let curves = paths.map(|path| {
        let case = Case {
            path,
            subscribers: 1,
            mode,
        };
        (path, delays(results, case, Receiver::First))
    });
    curves.filter(|(_, delays)| !delays.is_empty()).collect()
}

fn histograms(results: &Results, mode: &str, delays: &Curves<'_>) -> Result<Picture, Fault> {
    let differences = differences(results, mode);
    let legend = delays
        .iter()
        .map(|(path, _)| ((*path).to_owned(), colour(path)));
    let legend = legend.collect::<Legend>();
    let coloured = |curves: &Curves<'_>| {
        let curves = curves
            .iter()
            .map(|(path, samples)| (colour(path), samples.clone()));
        curves.collect::<Vec<_>>()
    };
    let (delays, differences) = (coloured(delays), coloured(&differences));
    let (low, high) = curves::ends(&delays, 0.01);
    let x = Axis::logarithmic(low * 0.9, high * 1.1, "one-way delay, µs");
    let mut panels = vec![curves::Panel::histogram("Delay", x, &delays)];
    if !differences.is_empty() {
        let (low, high) = curves::ends(&differences, 0.02);
        let x = Axis::linear(
            low.min(0.0) * 1.05,
            high * 1.05,
            "later than through the kernel path, µs",
        );
        panels.push(curves::Panel::histogram(
            "Difference of paired messages",
            x,
            &differences,
        ));
    }
    let caption = format!("One {mode} each millisecond, one subscriber");
    Ok(Picture {
        caption,
        svg: curves::draw(&panels, 2, &legend)?,
    })
}

/// Of each path but plain IP, what it took longer than the kernel path, in microseconds.
fn differences<'a>(results: &'a Results, mode: &'a str) -> Curves<'a> {
    let of = |path| {
        delay_runs(
            results,
            Case {
                path,
                subscribers: 1,
                mode,
            },
        )
    };
    let mut curves = Vec::new();
    for path in relays(results).into_iter().filter(|path| *path != KERNEL) {
        let mut differences = Vec::new();
        for run in of(path) {
            let kernel = of(KERNEL).find(|kernel| kernel.round == run.round);
            let kernel = kernel
                .map(|kernel| kernel.first.as_slice())
                .unwrap_or_default();
            differences.extend(
                paired_differences(&run.first, kernel)
                    .into_iter()
                    .map(|ns| ns / 1000.0),
            );
        }
        curves.push((path, differences));
    }
    curves.retain(|(_, differences)| !differences.is_empty());
    curves
}

fn delay_table(results: &Results, mode: &str) -> Table {
    let head = [
        "path",
        "messages",
        "lower quartile",
        "median",
        "upper quartile",
        "p99",
        "program later by",
        "lost",
    ];
    let mut table = Table::new(&format!("One-way delay, {mode}, µs"), 1, &head);
    for (path, samples) in curves_of(results, mode) {
        let case = Case {
            path,
            subscribers: 1,
            mode,
        };
        let Some(quantiles) = Quantiles::of(&samples) else {
            continue;
        };
        let application = Quantiles::of(&delays(results, case, Receiver::Application));
        let later = application.map(|application| plain(application.median - quantiles.median));
        let mut row = vec![path.to_owned(), quantiles.count.to_string()];
        row.extend(figures(quantiles));
        row.extend([later.unwrap_or_else(nothing), lost(results, case)]);
        table.push(row);
    }
    table
}

fn difference_table(results: &Results, mode: &str) -> Table {
    let head = [
        "path",
        "pairs",
        "lower quartile",
        "median",
        "upper quartile",
        "p99",
    ];
    let mut table = Table::new(
        &format!("Later than through the kernel path, {mode}, µs"),
        1,
        &head,
    );
    for (path, differences) in differences(results, mode) {
        if let Some(quantiles) = Quantiles::of(&differences) {
            let mut row = vec![path.to_owned(), quantiles.count.to_string()];
            row.extend(figures(quantiles));
            table.push(row);
        }
    }
    table
}

/// Panels in pairs, first and last of so many; of one subscriber, who is both, there is one panel.
fn added_panels(results: &Results, mode: &str) -> Vec<(String, Vec<Row>)> {
    let mut panels = Vec::new();
    for subscribers in subscriber_counts(results.delay.iter().map(|run| run.subscribers)) {
        let rows = |receiver| {
            let row = |path: &str| {
                let quantiles = added_quantiles(
                    results,
                    Case {
                        path,
                        subscribers,
                        mode,
                    },
                    receiver,
                )?;
                Some(Row {
                    name: path.to_owned(),
                    mark: Mark::Quantiles(quantiles, colour(path)),
                })
            };
            relays(results)
                .into_iter()
                .filter_map(row)
                .collect::<Vec<_>>()
        };
        if subscribers == 1 {
            panels.push(("The only subscriber".to_owned(), rows(Receiver::First)));
            panels.push((String::new(), Vec::new()));
        } else {
            panels.push((
                format!("First of {subscribers} subscribers"),
                rows(Receiver::First),
            ));
            panels.push((
                format!("Last of {subscribers} subscribers"),
                rows(Receiver::Last),
            ));
        }
    }
    panels
}

fn added_picture(mode: &str, panels: Vec<(String, Vec<Row>)>) -> Result<Picture, Fault> {
    let all = panels.iter().flat_map(|(_, rows)| rows);
    let axis = axis_of_quantiles(all, "relay-added delay, µs");
    let panel = |(title, rows)| rows::Panel {
        title,
        axis: axis.clone(),
        rows,
    };
    let panels = panels.into_iter().map(panel).collect::<Vec<_>>();
    let caption = format!("One {mode} each millisecond");
    Ok(Picture {
        caption,
        svg: rows::draw(&panels, 2, &Legend::new())?,
    })
}

fn added_table(results: &Results, mode: &str) -> Table {
    let head = [
        "path",
        "subscriber",
        "lower quartile",
        "median",
        "upper quartile",
        "p99",
        "lost, all subscribers",
    ];
    let mut table = Table::new(&format!("Relay-added delay, {mode}, µs"), 2, &head);
    for subscribers in subscriber_counts(results.delay.iter().map(|run| run.subscribers)) {
        for (name, receiver) in [("first", Receiver::First), ("last", Receiver::Last)] {
            if subscribers == 1 && receiver == Receiver::Last {
                continue;
            }
            let row = |path: &str| {
                let case = Case {
                    path,
                    subscribers,
                    mode,
                };
                let quantiles = added_quantiles(results, case, receiver)?;
                let mut row = vec![path.to_owned(), format!("{name} of {subscribers}")];
                row.extend(figures(quantiles));
                row.push(lost(results, case));
                Some(row)
            };
            relays(results)
                .into_iter()
                .filter_map(row)
                .for_each(|row| table.push(row));
        }
    }
    table
}

/// Messages that did not come, over all subscribers and rounds.
fn lost(results: &Results, case: Case<'_>) -> String {
    let lost = delay_runs(results, case).map(|run| run.lost);
    lost.sum::<u64>().to_string()
}

fn figures(quantiles: Quantiles) -> [String; 4] {
    [
        quantiles.lower,
        quantiles.median,
        quantiles.upper,
        quantiles.p99,
    ]
    .map(plain)
}

fn nothing() -> String {
    "–".to_owned()
}
