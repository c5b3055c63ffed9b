//! Percentiles of delays in constant memory, however long a stream runs.
//!
//! No RFC. A logarithmic histogram: each doubling is cut into 64 equal buckets, so a percentile is
//! right to 1.6 %, and exact below 128 µs.

use crate::report::Delay;

/// A set of durations in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays {
    buckets: Vec<u64>,
    count: u64,
}

impl Delays {
    /// Adds one.
    pub(crate) fn add(&mut self, micros: u64) {
        let bucket = bucket_of(micros);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    /// The figures for a report.
    pub(crate) fn summary(&self) -> Delay {
        Delay {
            p50: self.percentile(50),
            p99: self.percentile(99),
        }
    }

    /// The smallest value that at least `percent` of all are at most; 0 when there are none.
    fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return largest_in(bucket);
            }
        }
        0
    }
}

/// Values below 64 have a bucket each; above, the 6 bits after the leading one choose it.
fn bucket_of(value: u64) -> usize {
    let magnitude = value.max(1).ilog2().saturating_sub(STEPS.ilog2());
    (u64::from(magnitude) * STEPS + (value >> magnitude)) as usize
}

fn largest_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let magnitude = (bucket / STEPS).saturating_sub(1);
    (((bucket - magnitude * STEPS + 1) as u128) << magnitude).saturating_sub(1) as u64
}

/// Buckets per doubling.
const STEPS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_close_above_it() {
        for value in (0..20_000).chain([u64::MAX / 3, u64::MAX]) {
            let top = largest_in(bucket_of(value));
            assert!(
                top >= value && top - value <= value / 64,
                "{value} -> {top}"
            );
        }
    }

    #[test]
    fn buckets_are_in_order() {
        assert!((0..100_000).all(|v| bucket_of(v) <= bucket_of(v + 1)));
    }

    #[test]
    fn percentiles_of_a_hundred_values() {
        let mut delays = Delays::default();
        assert_eq!(delays.summary(), Delay { p50: 0, p99: 0 });
        (1..=100).for_each(|v| delays.add(v));
        assert_eq!(delays.summary(), Delay { p50: 50, p99: 99 });
    }
}
