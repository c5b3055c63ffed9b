//! Axes: where a value stands and which values are written beside the lines. No RFC.
//!
//! All pictures are drawn in plain coordinates; an axis that counts in powers of ten, or rows with names,
//! maps its values to places there.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// An axis from `low` to `high` with what is written at it.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// What it counts, with the unit.
    pub(super) label: String,
}

#[derive(Clone, Debug)]
enum Scale {
    Linear,
    Logarithmic,
    Rows(Vec<String>),
}

impl Axis {
    /// Equal distances are equal differences.
    pub(super) fn linear(low: f64, high: f64, label: &str) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self {
            scale: Scale::Linear,
            low,
            high,
            label: label.to_owned(),
        }
    }

    /// Equal distances are equal ratios. What is not positive stands at the lower end.
    pub(super) fn logarithmic(low: f64, high: f64, label: &str) -> Self {
        let low = if low > 0.0 && low.is_finite() {
            low
        } else {
            SMALLEST
        };
        let (low, high) = if high > low * 1.5 {
            (low, high)
        } else {
            (low / 2.0, low * 2.0)
        };
        Self {
            scale: Scale::Logarithmic,
            low,
            high,
            label: label.to_owned(),
        }
    }

    /// One row for each name, the first on top.
    pub(super) fn rows(names: Vec<String>) -> Self {
        let high = names.len() as f64;
        Self {
            scale: Scale::Rows(names),
            low: 0.0,
            high,
            label: String::new(),
        }
    }

    /// Where a value stands.
    pub(super) fn place(&self, value: f64) -> f64 {
        match &self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(self.low).log10(),
            Scale::Rows(_) => self.high - value - 0.5,
        }
    }

    /// Where the axis begins and ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        match self.scale {
            Scale::Logarithmic => (self.low.log10(), self.high.log10()),
            Scale::Linear | Scale::Rows(_) => (self.low, self.high),
        }
    }

    /// The values that lines are drawn for.
    fn ticks(&self) -> Vec<f64> {
        match &self.scale {
            Scale::Linear => {
                let step = round_up((self.high - self.low) / LINES);
                let from = (self.low / step).ceil() as i64;
                let to = (self.high / step).floor() as i64;
                (from..=to).map(|tick| tick as f64 * step).collect()
            }
            Scale::Logarithmic => self.ticks_of_decades(),
            Scale::Rows(names) => (0..names.len()).map(|row| row as f64).collect(),
        }
    }

    fn ticks_of_decades(&self) -> Vec<f64> {
        let (begin, end) = self.ends();
        let steps: &[f64] = match end - begin {
            wide if wide > 2.6 => &[1.0],
            some if some > 1.6 => &[1.0, 3.0],
            _ => &[1.0, 2.0, 5.0],
        };
        let decades = (begin.floor() as i32)..=(end.ceil() as i32);
        let ticks =
            decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
        let inside = |tick: &f64| *tick >= self.low * 0.999 && *tick <= self.high * 1.001;
        ticks.filter(inside).collect()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let (begin, end) = self.ends();
        let share = ((place - begin) / (end - begin)).clamp(0.0, 1.0);
        from + (f64::from(to - from) * share).round() as i32
    }

    /// Only whole lines: those between them would be too many.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks()
            .into_iter()
            .map(|value| self.place(value))
            .collect()
    }

    fn range(&self) -> Range<f64> {
        let (begin, end) = self.ends();
        begin..end
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, place: &f64) -> String {
        match &self.scale {
            Scale::Linear => short(*place),
            Scale::Logarithmic => short(10f64.powf(*place)),
            Scale::Rows(names) => {
                let row = (self.high - place - 0.5).round() as usize;
                names.get(row).cloned().unwrap_or_default()
            }
        }
    }
}

/// A figure that takes little room, for pictures.
pub(super) fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 1e6 => plain(figure / 1e6) + "M",
        size if size >= 1e4 => plain(figure / 1e3) + "k",
        _ => plain(figure),
    }
}

/// A figure with as many digits as tell something.
pub(super) fn plain(figure: f64) -> String {
    let digits = match figure.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{figure:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// The next of 1, 2, 5, 10, 20, 50 …
fn round_up(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    let rounded = [1.0, 2.0, 5.0].map(|factor| factor * decade);
    let rounded = rounded.into_iter().find(|rounded| *rounded >= step * 0.999);
    rounded.unwrap_or(decade * 10.0)
}

/// Lower end of an axis of powers of ten that was given none.
const SMALLEST: f64 = 0.1;

/// About so many lines on a linear axis.
const LINES: f64 = 6.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_the_digits_that_tell_something() {
        let figures = [
            0.0, -0.0001, 0.016, 0.126, 5.0, 12.34, 512.4, 9999.0, 12_345.0, 2.5e6,
        ];
        let texts = [
            "0", "0", "0.016", "0.13", "5", "12.3", "512", "9999", "12.3k", "2.5M",
        ];
        assert_eq!(figures.map(short), texts);
        assert_eq!(plain(123_456.7), "123457");
    }

    #[test]
    fn lines_are_at_round_values_inside() {
        assert_eq!(Axis::linear(-3.0, 11.0, "").ticks(), [0.0, 5.0, 10.0]);
        assert_eq!(
            Axis::logarithmic(9.0, 210.0, "").ticks(),
            [10.0, 20.0, 50.0, 100.0, 200.0]
        );
        assert_eq!(
            Axis::logarithmic(1.0, 1000.0, "").ticks(),
            [1.0, 10.0, 100.0, 1000.0]
        );
    }

    #[test]
    fn rows_stand_from_the_top() {
        let rows = Axis::rows(vec!["above".to_owned(), "below".to_owned()]);
        assert_eq!((rows.place(0.0), rows.place(1.0)), (1.5, 0.5));
        assert_eq!(rows.format_ext(&1.5), "above");
    }

    #[test]
    fn an_axis_of_one_value_has_a_width() {
        assert_eq!(
            Axis::logarithmic(100.0, 100.0, "").ends(),
            (50f64.log10(), 200f64.log10())
        );
        assert_eq!(Axis::linear(0.0, 0.0, "").ends(), (0.0, 1.0));
    }
}
