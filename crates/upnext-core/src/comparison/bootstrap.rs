//! Confidence intervals by the bootstrap over sessions.
//!
//! Cases of one session are not independent, so whole sessions are drawn (Efron and Tibshirani, *An introduction to the
//! bootstrap*, 1993, chapters 13 and 16). All sums use the same draws, so that differences of models are paired.

use serde::{Deserialize, Serialize};
use upnext_kernels::CounterRng;

/// Number of resamples that are summed at a time: the counts of a session in them are one vector.
const LANES: usize = 8;

/// The random stream of the draws, distinct from others of the same seed.
const STREAM: u64 = 0x626f_6f74;

/// A 95 % confidence interval: it covers the true value in about 95 of 100 logs like this one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Interval {
    /// The lower end: the 2.5th percentile of the resamples.
    pub low: f64,
    /// The upper end: the 97.5th percentile.
    pub high: f64,
}

impl Interval {
    /// The percentile interval of these values, without those that are not finite (from resamples without cases).
    /// `None` if fewer than half are finite.
    pub(super) fn of(values: impl ExactSizeIterator<Item = f64>) -> Option<Self> {
        let all = values.len();
        let mut values: Vec<f64> = values.filter(|x| x.is_finite()).collect();
        if values.is_empty() || values.len() * 2 < all {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        Some(Self { low: quantile(&values, 0.025), high: quantile(&values, 0.975) })
    }

    /// Whether the interval contains a value, its ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The quantile of ascending values, with linear interpolation.
fn quantile(values: &[f64], q: f64) -> f64 {
    let position = q * (values.len() - 1) as f64;
    let (below, part) = (position.floor() as usize, position.fract());
    let above = (below + 1).min(values.len() - 1);
    values[below] + part * (values[above] - values[below])
}

/// Sums by session: a row per session, and a column per quantity, such as the gain of a metric or the number of cases.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) columns: usize,
    /// sessions × columns.
    pub(super) values: Vec<f64>,
}

impl Sums {
    pub(super) fn new(sessions: usize, columns: usize) -> Self {
        Self { columns, values: vec![0.0; sessions * columns] }
    }

    pub(super) fn add(&mut self, session: usize, column: usize, value: f64) {
        self.values[session * self.columns + column] += value;
    }

    /// The sum of a column over all sessions.
    pub(super) fn total(&self, column: usize) -> f64 {
        self.values.iter().skip(column).step_by(self.columns).sum()
    }
}

/// The 95 % interval of a ratio: the sum of the first numbers of all rows, divided by that of the second ones. A row is a
/// session.
pub(crate) fn interval_of_ratio(
    rows: &[(f64, f64)],
    options: super::BootstrapOptions,
    threads: usize,
) -> Option<Interval> {
    let values = rows.iter().flat_map(|&(a, b)| [a, b]).collect();
    let resamples = Resamples { sessions: rows.len(), count: options.resamples, seed: options.seed, threads };
    let totals = resamples.totals(&Sums { columns: 2, values });
    Interval::of(totals.ratios(0, &totals, 1))
}

/// The resamples, which are a pure function of the seed and the number of sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resamples {
    pub(super) sessions: usize,
    pub(super) count: usize,
    pub(super) seed: u64,
    pub(super) threads: usize,
}

/// The column sums of [`Sums`] in each resample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Totals {
    columns: usize,
    /// resamples × columns.
    values: Vec<f64>,
}

impl Totals {
    /// The sums of a column in the resamples.
    pub(super) fn column(&self, column: usize) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.values.iter().skip(column).step_by(self.columns).copied()
    }

    /// The sum of a column in a resample.
    pub(super) fn at(&self, resample: usize, column: usize) -> f64 {
        self.values[resample * self.columns + column]
    }

    /// The sums of a column, divided by those of a column of `by`, in the resamples.
    pub(super) fn ratios<'t>(
        &'t self,
        column: usize,
        by: &'t Self,
        by_column: usize,
    ) -> impl ExactSizeIterator<Item = f64> + 't {
        self.column(column).zip(by.column(by_column)).map(|(sum, cases)| sum / cases)
    }
}

impl Resamples {
    /// Sums a table over the sessions of each resample. The result is the same to the bit for any number of threads.
    ///
    /// # Panics
    /// If the table does not have one row per session.
    pub(super) fn totals(&self, table: &Sums) -> Totals {
        let columns = table.columns;
        assert_eq!(table.values.len(), self.sessions * columns, "a row of sums for every session");
        let mut values = vec![0.0; self.count * columns];
        let size = LANES * columns;
        let blocks: Vec<(usize, &mut [f64])> = values.chunks_mut(size.max(1)).enumerate().collect();
        let share = blocks.len().div_ceil(self.threads.max(1)).max(1);
        let mut blocks = blocks.into_iter();
        std::thread::scope(|scope| {
            loop {
                let share: Vec<_> = blocks.by_ref().take(share).collect();
                if share.is_empty() {
                    break;
                }
                scope.spawn(move || {
                    let mut counts = vec![[0.0; LANES]; self.sessions];
                    for (block, out) in share {
                        self.draw(block, &mut counts);
                        weigh(table, &counts, out);
                    }
                });
            }
        });
        Totals { columns, values }
    }

    /// Counts each session in each resample of a block.
    fn draw(&self, block: usize, counts: &mut [[f64; LANES]]) {
        counts.fill([0.0; LANES]);
        let rng = CounterRng::new(self.seed, STREAM);
        for lane in 0..LANES as u64 {
            let rng = rng.substream((block * LANES) as u64 + lane);
            for i in 0..self.sessions as u64 {
                counts[rng.below(i, self.sessions as u64) as usize][lane as usize] += 1.0;
            }
        }
    }
}

/// Sums the rows of a table, weighted by their counts in each resample. `out` may have fewer resamples than a block.
fn weigh(table: &Sums, counts: &[[f64; LANES]], out: &mut [f64]) {
    let columns = table.columns;
    let mut sums = vec![[0.0; LANES]; columns];
    for (row, counts) in table.values.chunks_exact(columns).zip(counts) {
        for (sums, &value) in sums.iter_mut().zip(row) {
            // Most sums are 0.
            if value != 0.0 {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count * value;
                }
            }
        }
    }
    for (lane, out) in out.chunks_exact_mut(columns).enumerate() {
        for (out, sums) in out.iter_mut().zip(&sums) {
            *out = sums[lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resamples(sessions: usize, count: usize, seed: u64) -> Resamples {
        Resamples { sessions, count, seed, threads: 1 }
    }

    /// Columns: hits, cases.
    fn table(rows: &[(f64, f64)]) -> Sums {
        Sums { columns: 2, values: rows.iter().flat_map(|&(hits, cases)| [hits, cases]).collect() }
    }

    fn interval(rows: &[(f64, f64)], seed: u64) -> Interval {
        let totals = resamples(rows.len(), 1000, seed).totals(&table(rows));
        Interval::of(totals.ratios(0, &totals, 1)).unwrap()
    }

    fn width(interval: Interval) -> f64 {
        interval.high - interval.low
    }

    #[test]
    fn a_share_of_independent_cases_has_the_interval_of_the_normal_approximation() {
        // One case a session, 30 % hits of 1,000: 0.3 ± 1.96 sqrt(0.3 · 0.7 / 1000).
        let rows: Vec<_> = (0..1000).map(|s| (f64::from(u8::from(s % 10 < 3)), 1.0)).collect();
        let (got, half) = (interval(&rows, 1), 1.96 * (0.3 * 0.7 / 1000.0_f64).sqrt());
        assert!((got.low - (0.3 - half)).abs() < 0.1 * half, "{got:?}, not 0.3 ± {half}");
        assert!((got.high - (0.3 + half)).abs() < 0.1 * half, "{got:?}, not 0.3 ± {half}");
    }

    #[test]
    fn sessions_of_unlike_lengths_have_the_interval_of_a_ratio() {
        // The delta method: the variance of R = Σ hits / Σ cases is Σ (hits − R cases)² / (Σ cases)².
        let rng = CounterRng::new(5, 0);
        let rows: Vec<_> = (0..800)
            .map(|s| {
                let cases = 1 + rng.below(2 * s, 9);
                (rng.below(2 * s + 1, cases + 1) as f64, cases as f64)
            })
            .collect();
        let cases: f64 = rows.iter().map(|row| row.1).sum();
        let ratio = rows.iter().map(|row| row.0).sum::<f64>() / cases;
        let squares: f64 = rows.iter().map(|row| (row.0 - ratio * row.1).powi(2)).sum();
        let expected = 2.0 * 1.96 * squares.sqrt() / cases;
        let got = width(interval(&rows, 2));
        assert!((got / expected - 1.0).abs() < 0.1, "{got}, not {expected}");
    }

    #[test]
    fn intervals_of_sessions_cover_the_truth_and_those_of_cases_do_not() {
        // Sessions are easy (0.9) or hard (0.1) to predict, with 8 cases each: the true value is 0.5.
        let (mut covered, mut covered_by_cases) = (0, 0);
        let logs = 300;
        for log in 0..logs {
            let rng = CounterRng::new(log, 7);
            let rows: Vec<(f64, f64)> = (0..60)
                .map(|s| {
                    let easy = if rng.unit_f64(9 * s) < 0.5 { 0.9 } else { 0.1 };
                    ((1..9).filter(|case| rng.unit_f64(9 * s + case) < easy).count() as f64, 8.0)
                })
                .collect();
            let cases: Vec<(f64, f64)> = rows
                .iter()
                .flat_map(|&(hits, _)| {
                    (0..8).map(move |case| (f64::from(u8::from(f64::from(case) < hits)), 1.0))
                })
                .collect();
            covered += usize::from(interval(&rows, log).contains(0.5));
            covered_by_cases += usize::from(interval(&cases, log).contains(0.5));
        }
        let share = |count: usize| count as f64 / logs as f64;
        assert!((0.91..=0.985).contains(&share(covered)), "{}", share(covered));
        assert!(share(covered_by_cases) < 0.75, "{}", share(covered_by_cases));
    }

    #[test]
    fn paired_differences_are_narrower_than_unpaired_ones() {
        // Two models with the same hits in 19 of 20 sessions.
        let rng = CounterRng::new(3, 0);
        let a: Vec<_> = (0..500).map(|s| (f64::from(u8::from(rng.unit_f64(s) < 0.5)), 1.0)).collect();
        let b: Vec<_> = (0..)
            .zip(&a)
            .map(|(s, &(hit, n))| if rng.unit_f64(1000 + s) < 0.05 { (1.0 - hit, n) } else { (hit, n) })
            .collect();
        let draws = resamples(500, 1000, 4);
        let (a_totals, b_totals) = (draws.totals(&table(&a)), draws.totals(&table(&b)));
        let ratios = |t: &Totals| t.ratios(0, t, 1).collect::<Vec<f64>>();
        let differences = ratios(&a_totals).into_iter().zip(ratios(&b_totals)).map(|(a, b)| a - b);
        let paired = width(Interval::of(differences.collect::<Vec<_>>().into_iter()).unwrap());
        let unpaired = (width(interval(&a, 4)).powi(2) + width(interval(&b, 5)).powi(2)).sqrt();
        assert!(paired < 0.5 * unpaired, "{paired} beside {unpaired}");
    }

    #[test]
    fn draws_repeat_on_any_number_of_threads_and_not_with_another_seed() {
        let rng = CounterRng::new(1, 1);
        let rows: Vec<_> = (0..77).map(|s| (rng.unit_f64(s), 1.0 + rng.below(s, 4) as f64)).collect();
        // 21 resamples: the last block is not full.
        let totals = |seed, threads| Resamples { threads, ..resamples(77, 21, seed) }.totals(&table(&rows));
        assert_eq!(totals(1, 1), totals(1, 3));
        assert_ne!(totals(1, 1), totals(2, 1));
        assert!(totals(1, 64).column(1).all(|cases| cases >= 77.0));
        assert_eq!(totals(1, 1).column(0).len(), 21);
    }

    #[test]
    fn resamples_without_a_case_are_left_out() {
        assert_eq!(Interval::of([f64::NAN, 1.0, f64::NAN].into_iter()), None);
        assert_eq!(Interval::of([f64::NAN, 1.0, 1.0].into_iter()), Some(Interval { low: 1.0, high: 1.0 }));
        assert_eq!(quantile(&[0.0, 1.0, 2.0], 0.75), 1.5);
    }
}
