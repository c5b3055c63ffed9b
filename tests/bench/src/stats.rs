//! Medians, spreads and differences. No RFC.
//!
//! Functions over slices of finite figures; of nothing there is no median.

use std::collections::BTreeMap;

use crate::results::Delay;

/// How samples spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    /// Samples in all.
    pub count: usize,
    /// A quarter is below.
    pub lower: f64,
    /// A half is below.
    pub median: f64,
    /// A quarter is above.
    pub upper: f64,
    /// A hundredth is above.
    pub p99: f64,
}

impl Quantiles {
    /// Of samples in any order; `None` if there are none.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let sorted = sorted(samples);
        Some(Self {
            count: sorted.len(),
            lower: of_sorted(&sorted, 0.25)?,
            median: of_sorted(&sorted, 0.5)?,
            upper: of_sorted(&sorted, 0.75)?,
            p99: of_sorted(&sorted, 0.99)?,
        })
    }
}

/// One figure a round: the middle one, and how far the others are from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// How many.
    pub rounds: usize,
}

impl Spread {
    /// Of one figure a round; `None` if there are none.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let sorted = sorted(figures);
        Some(Self {
            median: of_sorted(&sorted, 0.5)?,
            least: *sorted.first()?,
            most: *sorted.last()?,
            rounds: sorted.len(),
        })
    }

    /// Of the ratios of two figures that the same rounds measured. A round whose `below` is not positive
    /// says nothing.
    pub fn of_ratios(above: &BTreeMap<u64, f64>, below: &BTreeMap<u64, f64>) -> Option<Self> {
        let ratio = |(round, above): (&u64, &f64)| {
            let below = below.get(round).filter(|below| **below > 0.0)?;
            Some(above / below)
        };
        Self::of(&above.iter().filter_map(ratio).collect::<Vec<_>>())
    }
}

/// The sample that `share` of all are below, between two neighbours in proportion.
pub fn quantile(samples: &[f64], share: f64) -> Option<f64> {
    of_sorted(&sorted(samples), share)
}

/// The sample in the middle.
pub fn median(samples: &[f64]) -> Option<f64> {
    quantile(samples, 0.5)
}

/// Delays of one path minus those of another, message by message, in the delays' unit. Sequence numbers
/// count from the first of each run, so the tenth message of one is compared with the tenth of the other.
pub fn paired_differences(of: &[Delay], minus: &[Delay]) -> Vec<f64> {
    let first = |run: &[Delay]| run.iter().map(|(seq, _)| *seq).min().unwrap_or_default();
    let (of_first, minus_first) = (first(of), first(minus));
    let minus = minus.iter().map(|(seq, ns)| (seq - minus_first, *ns));
    let minus = minus.collect::<BTreeMap<_, _>>();
    let difference = |(seq, ns): &Delay| {
        let other = minus.get(&(seq - of_first))?;
        Some(*ns as f64 - *other as f64)
    };
    of.iter().filter_map(difference).collect()
}

/// Slope of the line through points that misses them least (least squares).
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let along = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y));
    let square = points.iter().map(|(x, _)| (x - mean_x).powi(2));
    let (along, square) = (along.sum::<f64>(), square.sum::<f64>());
    (square > 0.0).then(|| along / square)
}

/// Share of the samples in each of `bins` equal parts of `low..high`; those outside are in no part.
pub fn histogram(samples: &[f64], low: f64, high: f64, bins: usize) -> Vec<f64> {
    let mut shares = vec![0.0; bins];
    for sample in samples.iter().filter(|sample| **sample >= low) {
        let bin = ((sample - low) / (high - low) * bins as f64) as usize;
        if let Some(share) = shares.get_mut(bin) {
            *share += 1.0 / samples.len() as f64;
        }
    }
    shares
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let finite = samples.iter().copied().filter(|sample| sample.is_finite());
    let mut sorted = finite.collect::<Vec<_>>();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let (below, above) = (sorted.get(below)?, sorted.get(above)?);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_do_not_ask_for_order() {
        let samples = (0..=100).rev().map(f64::from).collect::<Vec<_>>();
        let quantiles = Quantiles::of(&samples).unwrap();
        assert_eq!(quantiles.count, 101);
        assert_eq!((quantiles.lower, quantiles.median), (25.0, 50.0));
        assert_eq!((quantiles.upper, quantiles.p99), (75.0, 99.0));
    }

    #[test]
    fn the_median_of_two_is_between_them_and_of_none_there_is_none() {
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn messages_are_paired_by_their_place_in_the_run() {
        let slow = [(100, 50), (101, 70), (103, 90)];
        let fast = [(7, 10), (8, 80), (9, 1), (10, 20)];
        assert_eq!(paired_differences(&slow, &fast), [40.0, -10.0, 70.0]);
        assert!(paired_differences(&slow, &[]).is_empty());
    }

    #[test]
    fn ratios_come_from_rounds_that_measured_both() {
        let above = BTreeMap::from([(0, 2.0), (1, 6.0), (2, 5.0), (3, 9.0)]);
        let below = BTreeMap::from([(0, 4.0), (1, 4.0), (2, 0.0)]);
        let spread = Spread::of_ratios(&above, &below).unwrap();
        assert_eq!((spread.least, spread.median, spread.most), (0.5, 1.0, 1.5));
        assert_eq!(spread.rounds, 2);
    }

    #[test]
    fn the_slope_needs_two_places() {
        assert_eq!(
            slope(&[(0.0, 10.0), (100.0, 510.0), (50.0, 260.0)]),
            Some(5.0)
        );
        assert_eq!(slope(&[(3.0, 1.0), (3.0, 2.0)]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn a_histogram_leaves_out_what_is_outside() {
        let samples = [-1.0, 0.0, 0.5, 1.5, 2.0];
        assert_eq!(histogram(&samples, 0.0, 2.0, 2), [0.4, 0.2]);
    }
}
