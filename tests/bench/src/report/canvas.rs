//! A picture of several panels under one legend. No RFC.

use std::io;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Rectangle, Text};
use plotters::prelude::{Cartesian2d, Color, RGBColor, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, TextStyle};

use super::axis::Axis;
use super::paths::{GRID, INK};

/// What drawing may end with.
pub(super) type Fault = DrawingAreaErrorKind<io::Error>;

/// A part of a picture.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A part of a picture with axes.
pub(super) type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

/// What a colour stands for.
pub(super) type Legend = Vec<(String, RGBColor)>;

/// Panels of equal size beside and below each other, with a legend above; `draw` is told which panel it draws.
pub(super) fn picture(
    legend: &Legend,
    grid: Grid,
    draw: impl Fn(usize, &Area<'_>) -> Result<(), Fault>,
) -> Result<String, Fault> {
    let mut svg = String::new();
    let above = LEGEND_LINE * legend_lines(legend) + 4;
    let lines = grid.panels.div_ceil(grid.columns);
    {
        let size = (WIDTH, above + grid.height * lines as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let (top, below) = area.split_vertically(above);
        draw_legend(&top, legend)?;
        let panels = below.split_evenly((lines, grid.columns));
        for (index, panel) in panels.iter().take(grid.panels).enumerate() {
            draw(index, panel)?;
        }
        area.present()?;
    }
    Ok(svg)
}

/// How panels are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// In all.
    pub(super) panels: usize,
    /// Beside each other.
    pub(super) columns: usize,
    /// Of one panel, in pixels.
    pub(super) height: u32,
}

/// Axes with lines and labels in an area; `room` is what the labels of the vertical axis take.
pub(super) fn axes<'a>(
    area: &Area<'a>,
    title: &str,
    x: &Axis,
    y: &Axis,
    room: u32,
) -> Result<Chart<'a>, Fault> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(6)
        .margin_right(16)
        .x_label_area_size(40)
        .y_label_area_size(room);
    if !title.is_empty() {
        builder.margin_top(TITLE);
        area.draw(&Text::new(title, (room as i32 + 6, 4), text(14)))?;
    }
    let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .x_desc(&x.label)
        .y_desc(&y.label)
        .axis_style(INK.mix(0.6))
        .bold_line_style(GRID)
        .light_line_style(GRID)
        .label_style(text(12))
        .axis_desc_style(text(12))
        .draw()?;
    Ok(chart)
}

/// Text of a size in pixels.
pub(super) fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// Text that stands at the right of a point, at its height.
pub(super) fn beside(size: u32) -> TextStyle<'static> {
    text(size).pos(Pos::new(HPos::Left, VPos::Center))
}

fn draw_legend(area: &Area<'_>, legend: &Legend) -> Result<(), Fault> {
    for (place, (name, colour)) in legend_places(legend).into_iter().zip(legend) {
        let (x, y) = place;
        let box_ends = [(x, y - 6), (x + 12, y + 6)];
        area.draw(&Rectangle::new(box_ends, colour.filled()))?;
        area.draw(&Text::new(name.as_str(), (x + 17, y), beside(13)))?;
    }
    Ok(())
}

/// Where each entry's box begins; entries that do not fit go to the next line.
fn legend_places(legend: &Legend) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (MARGIN, LEGEND_LINE as i32 / 2 + 2);
    let mut places = Vec::new();
    for (name, _) in legend {
        let width = 38 + LETTER * name.chars().count() as i32;
        if x + width > WIDTH as i32 && x > MARGIN {
            (x, y) = (MARGIN, y + LEGEND_LINE as i32);
        }
        places.push((x, y));
        x += width;
    }
    places
}

fn legend_lines(legend: &Legend) -> u32 {
    let mut heights = legend_places(legend)
        .into_iter()
        .map(|(_, y)| y)
        .collect::<Vec<_>>();
    heights.dedup();
    heights.len() as u32
}

/// Of every picture, in pixels.
const WIDTH: u32 = 980;

/// Room above the panel.
const TITLE: u32 = 26;

const LEGEND_LINE: u32 = 24;
const MARGIN: i32 = 12;

/// About the width of a letter in the legend.
const LETTER: i32 = 7;
