//! Bursts as a film's frames are, beside messages that come one by one. No RFC.

use super::axis::plain;
use super::canvas::{Fault, Legend};
use super::measured::{Case, Receiver, delays};
use super::page::{Part, Picture, Section};
use super::paths::{self, PLAIN, colour};
use super::rows::{self, Mark, Panel, Row, axis_of_quantiles};
use super::table::Table;
use crate::results::Results;
use crate::stats::Quantiles;

/// Delay of the last message of each frame, and of paced messages.
pub(super) fn section(results: &Results) -> Result<Section, Fault> {
    let mut section = Section {
        title: "Bursts as a film's frames are",
        reading: "One-way delay to the last of ten subscribers (plain IP has one), on the left of the last message of \
                  each frame of a film at twenty times its bit rate, on the right of messages that come one each \
                  millisecond: further left is better; the dot and the figure are the median, the box holds the \
                  middle half, the line ends where 99 % are faster.",
        parts: Vec::new(),
    };
    let paths = paths::all(results);
    let bursts = rows(&paths, |path| of_film(results, path));
    if bursts.is_empty() {
        return Ok(section);
    }
    let paced = rows(&paths, |path| of_paced(results, path));
    let axis = axis_of_quantiles(bursts.iter().chain(&paced), "one-way delay, µs");
    let panel = |title: &str, rows| Panel {
        title: title.to_owned(),
        axis: axis.clone(),
        rows,
    };
    let panels = [panel("Last of a frame", bursts), panel("Paced", paced)];
    let picture = Some(Picture {
        caption: "Datagrams to ten subscribers".to_owned(),
        svg: rows::draw(&panels, 2, &Legend::new())?,
    });
    let tables = vec![table(results, &paths)];
    section.parts.push(Part { picture, tables });
    Ok(section)
}

fn rows(paths: &[&str], delays: impl Fn(&str) -> Option<Quantiles>) -> Vec<Row> {
    let row = |path: &&str| {
        Some(Row {
            name: (*path).to_owned(),
            mark: Mark::Quantiles(delays(path)?, colour(path)),
        })
    };
    paths.iter().filter_map(row).collect()
}

fn table(results: &Results, paths: &[&str]) -> Table {
    let head = [
        "path",
        "frames",
        "whole at all",
        "messages lost, %",
        "last of a frame, median",
        "p99",
        "paced, median",
        "p99",
        "frame / paced",
    ];
    let title = "One-way delay of a film's frames and of paced messages, µs";
    let mut table = Table::new(title, 1, &head);
    for path in paths {
        let Some(frames) = of_film(results, path) else {
            continue;
        };
        let runs = results.film.iter().filter(|run| run.path == **path);
        let (mut sent, mut messages, mut lost) = (0, 0, 0);
        for run in runs {
            sent += run.frames;
            messages += run.messages * run.subscribers;
            lost += run.lost;
        }
        let lost = 100.0 * lost as f64 / messages.max(1) as f64;
        let mut row = vec![
            (*path).to_owned(),
            sent.to_string(),
            frames.count.to_string(),
        ];
        row.extend([lost, frames.median, frames.p99].map(plain));
        let paced = of_paced(results, path);
        row.extend(match paced {
            Some(paced) => [paced.median, paced.p99, frames.median / paced.median].map(plain),
            None => ["–"; 3].map(str::to_owned),
        });
        table.push(row);
    }
    table
}

fn of_film(results: &Results, path: &str) -> Option<Quantiles> {
    let runs = results.film.iter().filter(|run| run.path == path);
    let delays = runs.flat_map(|run| match run.last.is_empty() {
        true => &run.first,
        false => &run.last,
    });
    let delays = delays.map(|(_, ns)| *ns as f64 / 1000.0);
    Quantiles::of(&delays.collect::<Vec<_>>())
}

fn of_paced(results: &Results, path: &str) -> Option<Quantiles> {
    let case = Case {
        path,
        subscribers: if path == PLAIN { 1 } else { 10 },
        mode: "datagram",
    };
    Quantiles::of(&delays(results, case, Receiver::Last))
}
