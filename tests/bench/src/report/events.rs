//! What happens once in a while: a lost packet on the way to the relay, a subscriber that joins late. No RFC.

use super::axis::plain;
use super::canvas::{Fault, Legend};
use super::page::{Part, Picture, Section};
use super::paths::{self, colour};
use super::rows::{self, Mark, Row, axis_of_quantiles};
use super::table::Table;
use crate::results::Results;
use crate::stats::Quantiles;

/// Delay of the packets behind a hole.
pub(super) fn upstream_loss(results: &Results) -> Result<Section, Fault> {
    let samples = results.upstream_loss.iter().map(|loss| {
        let delays = loss.behind_ns.iter().map(|ns| *ns as f64 / 1e6);
        (loss.path.as_str(), delays.collect())
    });
    let words = Words {
        title: "A packet lost on the way to the relay",
        reading: "One-way delay of the messages behind a packet that was lost before the relay: further left is \
                  better, and a path that forwards packet by packet lets none wait; the dot and the figure are \
                  the median, the box holds the middle half, the line ends where 99 % are faster.",
        caption: "Messages behind the hole",
        axis: "one-way delay, ms",
    };
    section(words, samples.collect())
}

/// From a joiner's first step to its first message.
pub(super) fn startup(results: &Results) -> Result<Section, Fault> {
    let mut samples = Vec::<(&str, Vec<f64>)>::new();
    for startup in &results.startup {
        match samples.iter_mut().find(|(path, _)| *path == startup.path) {
            Some((_, samples)) => samples.extend(&startup.ms),
            None => samples.push((&startup.path, startup.ms.clone())),
        }
    }
    let words = Words {
        title: "Start-up of a late joiner",
        reading: "Time from the first packet of a subscriber that joins while messages flow to its first message, \
                  handshake and all; a message is sent each millisecond, which is what waiting for the next one \
                  takes at most: further left is better; the dot and the figure are the median, the box holds the \
                  middle half, the line ends where 99 % are faster.",
        caption: "From connecting to the first message",
        axis: "time, ms",
    };
    section(words, samples)
}

struct Words {
    title: &'static str,
    reading: &'static str,
    caption: &'static str,
    axis: &'static str,
}

fn section(words: Words, mut samples: Vec<(&str, Vec<f64>)>) -> Result<Section, Fault> {
    samples.sort_by_key(|(path, _)| paths::place(path));
    let head = [
        "path",
        "samples",
        "lower quartile",
        "median",
        "upper quartile",
        "p99",
    ];
    let mut table = Table::new(&format!("{}: {}", words.caption, words.axis), 1, &head);
    let mut rows = Vec::new();
    for (path, samples) in samples {
        let Some(quantiles) = Quantiles::of(&samples) else {
            continue;
        };
        let figures = [
            quantiles.lower,
            quantiles.median,
            quantiles.upper,
            quantiles.p99,
        ];
        let mut row = vec![path.to_owned(), quantiles.count.to_string()];
        row.extend(figures.map(plain));
        table.push(row);
        rows.push(Row {
            name: path.to_owned(),
            mark: Mark::Quantiles(quantiles, colour(path)),
        });
    }
    if rows.is_empty() {
        return Ok(Section {
            title: words.title,
            reading: words.reading,
            parts: Vec::new(),
        });
    }
    let axis = axis_of_quantiles(&rows, words.axis);
    let panel = rows::Panel {
        title: String::new(),
        axis,
        rows,
    };
    let caption = words.caption.to_owned();
    let picture = Some(Picture {
        caption,
        svg: rows::draw(&[panel], 1, &Legend::new())?,
    });
    let parts = vec![Part {
        picture,
        tables: vec![table],
    }];
    Ok(Section {
        title: words.title,
        reading: words.reading,
        parts,
    })
}
