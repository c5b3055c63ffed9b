//! Panels of curves: histograms, and figures against a number. No RFC.

use plotters::element::{Circle, PathElement};
use plotters::prelude::{AreaSeries, Color, LineSeries, RGBColor};

use super::axis::Axis;
use super::canvas::{Area, Fault, Grid, Legend, axes, picture};
use crate::stats::{Spread, histogram, quantile};

/// Curves over the same axes.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    title: String,
    x: Axis,
    y: Axis,
    curves: Vec<Curve>,
    /// A histogram: the area under a curve is filled, its points are not marked.
    filled: bool,
}

#[derive(Clone, Debug)]
struct Curve {
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    /// From where to where the rounds of a point go.
    spreads: Vec<(f64, f64)>,
}

impl Panel {
    /// How often samples have which value. What is beyond the axis is in no bar.
    pub(super) fn histogram(title: &str, x: Axis, curves: &[(RGBColor, Vec<f64>)]) -> Self {
        let (begin, end) = x.ends();
        let width = (end - begin) / BINS as f64;
        let curve = |(colour, samples): &(RGBColor, Vec<f64>)| {
            let places = samples.iter().map(|sample| x.place(*sample));
            let shares = histogram(&places.collect::<Vec<_>>(), begin, end, BINS);
            Curve {
                colour: *colour,
                points: steps_of(&shares, begin, width),
                spreads: Vec::new(),
            }
        };
        let curves = curves.iter().map(curve).collect::<Vec<_>>();
        let y = Axis::linear(0.0, highest(&curves) * 1.05, "share of the messages, %");
        Self {
            title: title.to_owned(),
            x,
            y,
            curves,
            filled: true,
        }
    }

    /// Figures of several rounds against a number.
    pub(super) fn lines(
        title: &str,
        x: Axis,
        label: &str,
        curves: &[(RGBColor, Vec<(f64, Spread)>)],
    ) -> Self {
        let curve = |(colour, points): &(RGBColor, Vec<(f64, Spread)>)| Curve {
            colour: *colour,
            points: points
                .iter()
                .map(|(at, spread)| (x.place(*at), spread.median))
                .collect(),
            spreads: points
                .iter()
                .map(|(_, spread)| (spread.least, spread.most))
                .collect(),
        };
        let curves = curves.iter().map(curve).collect::<Vec<_>>();
        let y = Axis::linear(0.0, highest(&curves) * 1.1, label);
        Self {
            title: title.to_owned(),
            x,
            y,
            curves,
            filled: false,
        }
    }

    /// The same with a vertical axis on which equal distances are equal ratios.
    pub(super) fn with_ratios(self) -> Self {
        let positive = heights(&self.curves).filter(|height| *height > 0.0);
        let low = positive.fold(f64::INFINITY, f64::min);
        let y = Axis::logarithmic(low * 0.8, highest(&self.curves) * 1.2, &self.y.label);
        Self { y, ..self }
    }
}

/// The outline of a histogram's bars, from the first that is not empty to the last.
fn steps_of(shares: &[f64], begin: f64, width: f64) -> Vec<(f64, f64)> {
    let bars = shares.iter().enumerate().filter(|(_, share)| **share > 0.0);
    let bars = bars.map(|(bar, _)| bar).collect::<Vec<_>>();
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
        return Vec::new();
    };
    let left = |bar: usize| begin + width * bar as f64;
    let mut points = vec![(left(*first), 0.0)];
    for (bar, share) in shares.iter().enumerate().take(last + 1).skip(*first) {
        points.extend([(left(bar), share * 100.0), (left(bar + 1), share * 100.0)]);
    }
    points.push((left(last + 1), 0.0));
    points
}

/// So that no more than `share` of the samples of any curve is beyond either end.
pub(super) fn ends(curves: &[(RGBColor, Vec<f64>)], share: f64) -> (f64, f64) {
    let at = |share: f64| {
        curves
            .iter()
            .filter_map(move |(_, samples)| quantile(samples, share))
    };
    (
        at(share).fold(f64::INFINITY, f64::min),
        at(1.0 - share).fold(0.0, f64::max),
    )
}

/// Panels with curves, so many beside each other.
pub(super) fn draw(panels: &[Panel], columns: usize, legend: &Legend) -> Result<String, Fault> {
    let grid = Grid {
        panels: panels.len(),
        columns,
        height: HEIGHT,
    };
    picture(legend, grid, |index, area| draw_panel(&panels[index], area))
}

fn draw_panel(panel: &Panel, area: &Area<'_>) -> Result<(), Fault> {
    let mut chart = axes(area, &panel.title, &panel.x, &panel.y, 62)?;
    let height = |y: f64| panel.y.place(y);
    for curve in &panel.curves {
        let colour = curve.colour;
        let points = curve.points.iter().map(|(x, y)| (*x, height(*y)));
        let points = points.collect::<Vec<_>>();
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
        if panel.filled {
            chart.draw_series(AreaSeries::new(points, 0.0, colour.mix(0.18)))?;
            continue;
        }
        let spreads = points.iter().zip(&curve.spreads);
        let spreads = spreads.map(|((x, _), (least, most))| {
            PathElement::new(
                [(*x, height(*least)), (*x, height(*most))],
                colour.stroke_width(1),
            )
        });
        chart.draw_series(spreads)?;
        let circles = points
            .iter()
            .map(|point| Circle::new(*point, 4, colour.filled()));
        chart.draw_series(circles)?;
    }
    Ok(())
}

fn highest(curves: &[Curve]) -> f64 {
    heights(curves).fold(0.0, f64::max)
}

/// Of all points and of the ends of their spreads.
fn heights(curves: &[Curve]) -> impl Iterator<Item = f64> {
    let points = curves
        .iter()
        .flat_map(|curve| &curve.points)
        .map(|(_, y)| *y);
    let spreads = curves.iter().flat_map(|curve| &curve.spreads);
    points.chain(spreads.flat_map(|(least, most)| [*least, *most]))
}

/// Parts of a histogram.
const BINS: usize = 70;

/// Of a panel, in pixels.
const HEIGHT: u32 = 330;
