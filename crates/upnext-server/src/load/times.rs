//! A histogram of durations, and its percentiles.

use serde::Serialize;
use std::time::{Duration, Instant};

/// Percentiles of durations in milliseconds; 0 if nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Maximum.
    pub max: f64,
}

/// Binary digits of the number of buckets per power of two: durations are resolved to 1/512 of their value, and below a
/// millisecond to a microsecond.
const BITS: u32 = 9;

/// The longest duration that is resolved, in microseconds: more than an hour.
const LONGEST: u64 = (1 << 32) - 1;

/// A histogram whose buckets have widths proportional to their durations, as in HdrHistogram (`ARCHITECTURE.md` says
/// why its crate is not used).
pub(super) struct Times {
    /// Bucket `shift · 2⁹ + m` counts the microseconds with the leading bits `m`, followed by `shift` bits.
    counts: Vec<u64>,
    len: u64,
    max: u64,
}

impl Times {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; bucket(LONGEST) + 1], len: 0, max: 0 }
    }

    /// Number of durations.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Counts the duration between two times.
    pub(super) fn add(&mut self, from: Instant, until: Instant) {
        self.record(until.saturating_duration_since(from));
    }

    fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        self.counts[bucket(micros)] += 1;
        self.len += 1;
        self.max = self.max.max(micros);
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.at(0.5),
            p90: self.at(0.9),
            p95: self.at(0.95),
            p99: self.at(0.99),
            p999: self.at(0.999),
            max: self.at(1.0),
        }
    }

    /// The quantile `share`, from 0 to 1, in milliseconds.
    fn at(&self, share: f64) -> f64 {
        let rank = (share * self.len as f64).ceil() as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        reached.map_or(self.max, |bucket| longest_of(bucket).min(self.max)) as f64 / 1000.0
    }
}

fn bucket(micros: u64) -> usize {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(BITS + 1);
    ((u64::from(shift) << BITS) + (micros >> shift)) as usize
}

/// The longest duration of a bucket, in microseconds.
fn longest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> BITS).saturating_sub(1);
    ((bucket - (shift << BITS) + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_a_bucket_no_wider_than_a_512th_of_it() {
        let mut micros = 1_u64;
        while micros < LONGEST {
            let (own, longest) = (bucket(micros), longest_of(bucket(micros)));
            assert!(micros <= longest && longest - micros <= micros >> BITS, "{micros}: {own}, to {longest}");
            assert_eq!((bucket(longest), bucket(longest + 1)), (own, own + 1));
            micros += 1 + micros / 1000;
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut times = Times::new();
        assert_eq!(times.percentiles(), Percentiles::default());
        (1..=1000).rev().for_each(|micros| times.record(Duration::from_micros(micros)));
        let percentiles = times.percentiles();
        let expected = Percentiles { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99, p999: 0.999, max: 1.0 };
        assert_eq!(percentiles, expected);
        times.record(Duration::MAX);
        assert_eq!((times.len(), times.percentiles().max), (1001, LONGEST as f64 / 1000.0));
    }
}
