//! How much goes through, and what idle subscribers take. No RFC.

use super::axis::{Axis, plain};
use super::canvas::{Fault, Legend};
use super::measured::{Load, Rounds, memory_per_subscriber, relays, saturation, spread};
use super::page::{Part, Picture, Section};
use super::paths::colour;
use super::table::Table;
use super::{curves, gso, subscriber_counts};
use crate::results::{Results, SaturationRun};
use crate::stats::Spread;

/// Something measured in a step.
type Figure = fn(&SaturationRun) -> f64;

/// The most that each path forwards.
pub(super) fn fan_out(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "Saturation",
        reading: "Above, higher is better: packets that are forwarded each second, the most with at most 0.1 % lost, \
                  and while the source sends all it can (overload); below, lower is better: what a packet costs \
                  the relay then, and which share is lost; thin upright lines go from one round's figure to \
                  another's.",
        parts: Vec::new(),
    };
    let figures: [(&str, &str, Load, Figure); 4] = [
        (
            "Before 0.1 % loss",
            "packets per second",
            Load::BeforeLoss,
            |run| run.packets_per_second,
        ),
        ("At overload", "packets per second", Load::Overload, |run| {
            run.packets_per_second
        }),
        ("CPU at overload", PER_PACKET, Load::Overload, |run| {
            run.per_packet_us
        }),
        ("Loss at overload", "lost, %", Load::Overload, |run| {
            run.share_lost * 100.0
        }),
    ];
    let panel = |(title, label, load, figure): (&str, &str, Load, Figure)| {
        let curve = |path: &str| {
            let at = |subscribers| {
                let rounds = saturation(results, (path, subscribers), load, figure);
                Some((subscribers as f64, spread(&rounds)?))
            };
            (
                colour(path),
                counts(results).into_iter().filter_map(at).collect(),
            )
        };
        let curves = relays(results).into_iter().map(curve).collect::<Vec<_>>();
        let panel = curves::Panel::lines(title, subscribers_axis(results), label, &curves);
        if label == PER_PACKET {
            panel.with_ratios()
        } else {
            panel
        }
    };
    if !results.saturation.is_empty() {
        let panels = figures.into_iter().map(panel).collect::<Vec<_>>();
        let legend = legend(results, |path| {
            results.saturation.iter().any(|run| run.path == path)
        });
        let caption = "1200-byte datagrams".to_owned();
        let picture = Some(Picture {
            caption,
            svg: curves::draw(&panels, 2, &legend)?,
        });
        let tables = vec![saturation_table(results), gso::table(results)];
        section.parts.push(Part { picture, tables });
    }
    Ok(section)
}

/// Memory against idle subscribers.
pub(super) fn growth(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "Memory of idle subscribers",
        reading: "Resident memory of the relay's process against subscribers that receive nothing: the slope is \
                  what one more of them takes.",
        parts: Vec::new(),
    };
    if results.growth.is_empty() {
        return Ok(section);
    }
    let curve = |path: &str| {
        let points = results.growth.iter().filter(|point| point.path == path);
        let point = |point: &crate::results::GrowthPoint| {
            Some((
                point.idle as f64,
                Spread::of(&[point.rss_kib as f64 / 1024.0])?,
            ))
        };
        let mut points = points.filter_map(point).collect::<Vec<_>>();
        points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        (colour(path), points)
    };
    let curves = relays(results).into_iter().map(curve).collect::<Vec<_>>();
    let most = results
        .growth
        .iter()
        .map(|point| point.idle)
        .max()
        .unwrap_or_default();
    let x = Axis::linear(0.0, most as f64 * 1.03, "idle subscribers");
    let panel = curves::Panel::lines("", x, "resident memory, MiB", &curves);
    let legend = legend(results, |path| {
        results.growth.iter().any(|point| point.path == path)
    });
    let caption = "Resident memory of the relay's process".to_owned();
    let picture = Some(Picture {
        caption,
        svg: curves::draw(&[panel], 1, &legend)?,
    });
    section.parts.push(Part {
        picture,
        tables: vec![growth_table(results)],
    });
    Ok(section)
}

fn subscribers_axis(results: &Results) -> Axis {
    let counts = counts(results);
    let ends = |count: Option<&u64>| count.copied().unwrap_or(1) as f64;
    Axis::logarithmic(
        ends(counts.first()) / 1.3,
        ends(counts.last()) * 1.3,
        "subscribers",
    )
}

fn counts(results: &Results) -> Vec<u64> {
    subscriber_counts(results.saturation.iter().map(|run| run.subscribers))
}

fn legend(results: &Results, measured: impl Fn(&str) -> bool) -> Legend {
    let paths = relays(results).into_iter().filter(|path| measured(path));
    paths.map(|path| (path.to_owned(), colour(path))).collect()
}

fn saturation_table(results: &Results) -> Table {
    let head = [
        "path",
        "subscribers",
        "packets/s before loss",
        "Gbit/s before loss",
        "relay before loss, µs",
        "cycles per byte",
        "kernel's share, %",
        "packets/s at overload",
        "lost at overload, %",
        "relay at overload, µs",
        "receivers at overload, µs",
        "source at overload, µs",
    ];
    let title = "Saturation: forwarded packets, and processor time for each of them";
    let mut table = Table::new(title, 1, &head);
    for subscribers in counts(results) {
        for path in relays(results) {
            let of = |load, figure: Figure| saturation(results, (path, subscribers), load, figure);
            let (before, over) = (Load::BeforeLoss, Load::Overload);
            let figures = [
                text(&of(before, |run| run.packets_per_second), plain),
                text(&of(before, |run| run.gbit_per_second), plain),
                text(&of(before, |run| run.per_packet_us), plain),
                text(&of(before, |run| run.per_packet_us), |us| {
                    cycles(results, us)
                }),
                text(
                    &of(before, |run| {
                        run.share_from_kernel
                            .map_or(f64::NAN, |share| share * 100.0)
                    }),
                    plain,
                ),
                text(&of(over, |run| run.packets_per_second), plain),
                text(&of(over, |run| run.share_lost * 100.0), plain),
                text(&of(over, |run| run.per_packet_us), plain),
                text(&of(over, |run| run.receivers_us), plain),
                text(&of(over, |run| run.source_us), plain),
            ];
            if figures.iter().any(|figure| figure != NOTHING) {
                let mut row = vec![path.to_owned(), subscribers.to_string()];
                row.extend(figures);
                table.push(row);
            }
        }
    }
    table
}

fn growth_table(results: &Results) -> Table {
    let head = [
        "path",
        "idle subscribers",
        "resident, KiB",
        "each more, KiB",
    ];
    let mut table = Table::new("Memory of the relay's process", 1, &head);
    for path in relays(results) {
        let slope = memory_per_subscriber(results, path);
        for point in results.growth.iter().filter(|point| point.path == path) {
            let slope = slope.map_or(NOTHING.to_owned(), plain);
            table.push(vec![
                path.to_owned(),
                point.idle.to_string(),
                point.rss_kib.to_string(),
                slope,
            ]);
        }
    }
    table
}

/// Of the processor for each byte of a message, from µs for each packet.
fn cycles(results: &Results, micros: f64) -> String {
    match results.machine.mhz {
        0.0 => NOTHING.to_owned(),
        mhz => plain(micros * mhz / MESSAGE),
    }
}

fn text(rounds: &Rounds, figure: impl Fn(f64) -> String) -> String {
    spread(rounds).map_or(NOTHING.to_owned(), |spread| figure(spread.median))
}

/// Differs so much that only ratios can be read.
const PER_PACKET: &str = "µs per forwarded packet";

/// Bytes of a message.
const MESSAGE: f64 = 1200.0;

const NOTHING: &str = "–";
