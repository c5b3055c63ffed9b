//! Panels of named rows: bars made of parts, or quantiles. No RFC.

use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{Color, RGBColor};

use super::axis::{Axis, short};
use super::canvas::{Area, Chart, Fault, Grid, Legend, axes, beside, picture};
use crate::stats::Quantiles;

/// Rows under one title with an axis of their own.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    /// Above the rows.
    pub(super) title: String,
    /// What the values are.
    pub(super) axis: Axis,
    /// From the top.
    pub(super) rows: Vec<Row>,
}

/// What one row shows.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// At its left.
    pub(super) name: String,
    /// What is drawn.
    pub(super) mark: Mark,
}

/// A row's drawing.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// Parts one after the other; the sum is written at the end.
    Bar(Vec<(f64, RGBColor)>),
    /// A box of quartiles with the median, a line to the 99th percentile, the median as text.
    Quantiles(Quantiles, RGBColor),
}

/// Panels with rows, so many beside each other.
pub(super) fn draw(panels: &[Panel], columns: usize, legend: &Legend) -> Result<String, Fault> {
    let rows = panels
        .iter()
        .map(|panel| panel.rows.len())
        .max()
        .unwrap_or_default();
    let grid = Grid {
        panels: panels.len(),
        columns,
        height: FRAME + ROW * rows as u32,
    };
    let names = panels.iter().flat_map(|panel| &panel.rows);
    let letters = names.map(|row| row.name.chars().count()).max();
    let room = 16 + LETTER * letters.unwrap_or_default() as u32;
    picture(legend, grid, |index, area| {
        draw_panel(&panels[index], area, room)
    })
}

/// An axis that bars fit on, with room for the text behind the longest.
pub(super) fn axis_of_bars(rows: &[Row], label: &str) -> Axis {
    let length = |row: &Row| match &row.mark {
        Mark::Bar(parts) => parts.iter().map(|(part, _)| part).sum::<f64>(),
        Mark::Quantiles(quantiles, _) => quantiles.p99,
    };
    Axis::linear(
        0.0,
        rows.iter().map(length).fold(0.0, f64::max) * 1.25,
        label,
    )
}

/// An axis of powers of ten that the quantiles of all rows fit on.
pub(super) fn axis_of_quantiles<'a>(rows: impl IntoIterator<Item = &'a Row>, label: &str) -> Axis {
    let (mut low, mut high) = (f64::INFINITY, 0f64);
    for row in rows {
        if let Mark::Quantiles(quantiles, _) = &row.mark {
            low = low.min(quantiles.lower).max(LEAST);
            high = high.max(quantiles.p99);
        }
    }
    Axis::logarithmic(low * 0.8, high * 2.2, label)
}

fn draw_panel(panel: &Panel, area: &Area<'_>, room: u32) -> Result<(), Fault> {
    if panel.rows.is_empty() {
        return Ok(());
    }
    let names = panel.rows.iter().map(|row| row.name.clone());
    let y = Axis::rows(names.collect());
    let mut chart = axes(area, &panel.title, &panel.axis, &y, room)?;
    for (index, row) in panel.rows.iter().enumerate() {
        let middle = y.place(index as f64);
        match &row.mark {
            Mark::Bar(parts) => draw_bar(&mut chart, &panel.axis, parts, middle)?,
            Mark::Quantiles(quantiles, colour) => {
                draw_quantiles(&mut chart, &panel.axis, (quantiles, *colour), middle)?;
            }
        }
    }
    Ok(())
}

fn draw_bar(
    chart: &mut Chart<'_>,
    axis: &Axis,
    parts: &[(f64, RGBColor)],
    middle: f64,
) -> Result<(), Fault> {
    let mut end = 0.0;
    for (part, colour) in parts {
        let ends = [
            (axis.place(end), middle - 0.32),
            (axis.place(end + part), middle + 0.32),
        ];
        chart.draw_series([Rectangle::new(ends, colour.filled())])?;
        end += part;
    }
    write_beside(chart, axis, end, (end, middle))
}

fn draw_quantiles(
    chart: &mut Chart<'_>,
    axis: &Axis,
    (quantiles, colour): (&Quantiles, RGBColor),
    middle: f64,
) -> Result<(), Fault> {
    let at = |value: f64| axis.place(value);
    let line =
        |from: (f64, f64), to: (f64, f64)| PathElement::new([from, to], colour.stroke_width(2));
    let p99 = at(quantiles.p99);
    let lines = [
        line((at(quantiles.upper), middle), (p99, middle)),
        line((p99, middle - 0.2), (p99, middle + 0.2)),
    ];
    chart.draw_series(lines)?;
    let ends = [
        (at(quantiles.lower), middle - 0.26),
        (at(quantiles.upper), middle + 0.26),
    ];
    chart.draw_series([Rectangle::new(ends, colour.mix(0.45).filled())])?;
    let median = (at(quantiles.median), middle);
    chart.draw_series([Circle::new(median, 4, colour.filled())])?;
    write_beside(chart, axis, quantiles.median, (quantiles.p99, middle))
}

/// Writes a figure behind the end of a row's drawing.
fn write_beside(
    chart: &mut Chart<'_>,
    axis: &Axis,
    figure: f64,
    (end, middle): (f64, f64),
) -> Result<(), Fault> {
    let (begin, width) = (axis.ends().0, axis.ends().1 - axis.ends().0);
    let place = axis.place(end).max(begin) + width * 0.015;
    chart.draw_series([Text::new(short(figure), (place, middle), beside(12))])?;
    Ok(())
}

/// Height of a row, of what is around the rows, and about the width of a letter; in pixels.
const ROW: u32 = 22;
const FRAME: u32 = 84;
const LETTER: u32 = 7;

/// The least that an axis of powers of ten shows: a tenth of a microsecond.
const LEAST: f64 = 0.1;
