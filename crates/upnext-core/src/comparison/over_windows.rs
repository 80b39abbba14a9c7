//! Comparison of models over several windows: the mean of each metric over the windows, with intervals.

use super::bootstrap::{Resamples, Sums, Totals};
use super::{BootstrapOptions, Comparison, Difference, Estimate, EstimateAt, Interval, Metric};
use crate::evaluation::{Evaluation, RankedCase};

/// Compares models by their evaluations on several windows ([`windows`](super::windows)). `evaluations` has a list of the
/// models' evaluations for each window; `cutoffs` must be ascending.
///
/// A figure is the mean of a metric over the windows, in which each window has the same weight. Intervals are 95 % percentile
/// intervals over bootstrap resamples of whole sessions within each window, the same resamples for all models. They say how
/// much the mean would differ with other sessions of the same windows; how much it differs between windows is seen from the
/// windows' own figures. There are no groups of cases. The result does not depend on the number of threads.
///
/// # Panics
/// If windows differ in their numbers of models, or evaluations of one window in their cases or tie rules.
pub fn compare_over_windows(
    evaluations: &[Vec<&Evaluation>],
    cutoffs: &[usize],
    options: BootstrapOptions,
    threads: usize,
) -> Comparison {
    let measures: Vec<(Metric, usize)> =
        Metric::ALL.iter().flat_map(|&metric| cutoffs.iter().map(move |&k| (metric, k))).collect();
    let number = evaluations.first().map_or(0, Vec::len);
    let of_windows: Vec<OfWindow> = evaluations
        .iter()
        .zip(0..)
        .map(|(evaluations, window)| {
            assert_eq!(evaluations.len(), number, "every window has an evaluation of every model");
            // Windows have draws of their own, since their sessions are others.
            let seed = options.seed.wrapping_add(window);
            OfWindow::new(evaluations, &measures, BootstrapOptions { seed, ..options }, threads)
        })
        .collect();

    // The figure of a model, less that of a second one, if there is one.
    let figure = |measure: usize, model: usize, less: Option<usize>| {
        let gain = |of: &dyn Fn(usize) -> f64| of(model) - less.map_or(0.0, of);
        let mean = |value: &dyn Fn(&OfWindow) -> f64| {
            of_windows.iter().map(value).sum::<f64>() / of_windows.len() as f64
        };
        let value = mean(&|window| gain(&|m| window.sums[m].total(measure)) / window.cases);
        let resample = |r: usize| {
            mean(&|window| gain(&|m| window.totals[m].at(r, measure)) / window.case_totals.at(r, 0))
        };
        let resamples: Vec<f64> = (0..options.resamples).map(resample).collect();
        let (metric, k) = measures[measure];
        EstimateAt { metric, k, estimate: Estimate { value, interval: Interval::of(resamples.into_iter()) } }
    };
    let figures = |model: usize, less: Option<usize>| -> Vec<EstimateAt> {
        (0..measures.len()).map(|measure| figure(measure, model, less)).collect()
    };
    let models = (0..number).map(|model| figures(model, None)).collect();
    let mut differences = Vec::new();
    for first in 0..number {
        for second in first + 1..number {
            differences.push(Difference { first, second, figures: figures(first, Some(second)) });
        }
    }
    Comparison { bootstrap: options, models, differences, breakdowns: Vec::new() }
}

/// The sums of a window, and those of its resamples.
struct OfWindow {
    cases: f64,
    case_totals: Totals,
    /// The gains of each model, a column per metric and cut-off.
    sums: Vec<Sums>,
    totals: Vec<Totals>,
}

impl OfWindow {
    fn new(
        evaluations: &[&Evaluation],
        measures: &[(Metric, usize)],
        options: BootstrapOptions,
        threads: usize,
    ) -> Self {
        let first: &[RankedCase] = evaluations.first().map_or(&[], |evaluation| &evaluation.ranked);
        let same = |(a, b): (&RankedCase, &RankedCase)| (a.session, a.position) == (b.session, b.position);
        for other in evaluations {
            let same_cases = other.ties == evaluations[0].ties
                && other.ranked.len() == first.len()
                && other.ranked.iter().zip(first).all(same);
            assert!(same_cases, "the evaluations of a window are not of the same cases");
        }
        let of_sessions = || first.chunk_by(|a, b| a.session == b.session);
        let sessions = of_sessions().count();
        let resamples = Resamples { sessions, count: options.resamples, seed: options.seed, threads };
        let mut cases = Sums::new(sessions, 1);
        of_sessions().enumerate().for_each(|(row, cases_of)| cases.add(row, 0, cases_of.len() as f64));
        let gains = |evaluation: &&Evaluation| {
            let mut sums = Sums::new(sessions, measures.len());
            let rows = evaluation.ranked.chunk_by(|a, b| a.session == b.session).enumerate();
            for (row, case) in rows.flat_map(|(row, cases)| cases.iter().map(move |case| (row, case))) {
                let rank = case.rank(evaluation.ties);
                for (column, &(metric, k)) in measures.iter().enumerate() {
                    sums.add(row, column, metric.gain(rank, k));
                }
            }
            sums
        };
        let sums: Vec<Sums> = evaluations.iter().map(gains).collect();
        let totals = sums.iter().map(|sums| resamples.totals(sums)).collect();
        Self { cases: cases.total(0), case_totals: resamples.totals(&cases), sums, totals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ByLastItem, vocabulary};
    use crate::data::Sessions;
    use crate::evaluation::{EvaluationConfig, evaluate};
    use std::ops::ControlFlow;

    const CUTOFFS: [usize; 2] = [1, 5];
    const OPTIONS: BootstrapOptions = BootstrapOptions { resamples: 300, seed: 5 };

    /// Sessions over 12 items in which item i is followed by item i + 1.
    fn sessions(count: u32) -> Sessions {
        let mut sessions = Sessions::new();
        (0..count).for_each(|s| sessions.push(&(s % 6..s % 6 + 2 + s % 5).collect::<Vec<u32>>(), 0));
        sessions
    }

    /// The evaluation of a model that is right after every `step`-th item.
    fn judged(step: u32, sessions: &Sessions) -> Evaluation {
        let score = move |last: u32, item: u32| {
            if last.is_multiple_of(step) && item == last + 1 {
                50.0
            } else {
                ((last * 7 + item * 5) % 12) as f32
            }
        };
        let options = EvaluationConfig { cutoffs: CUTOFFS.to_vec(), ..Default::default() };
        let go_on = |_| ControlFlow::Continue(());
        evaluate(&ByLastItem::new(12, score), &vocabulary(&[1; 12]), sessions, &options, 1, &go_on).unwrap()
    }

    fn recall(evaluation: &Evaluation, k: usize) -> f64 {
        evaluation.metrics.iter().find(|at| at.k == k).unwrap().recall
    }

    fn over(windows: &[Vec<Evaluation>], threads: usize) -> Comparison {
        let windows: Vec<Vec<&Evaluation>> = windows.iter().map(|of| of.iter().collect()).collect();
        compare_over_windows(&windows, &CUTOFFS, OPTIONS, threads)
    }

    #[test]
    fn every_window_has_the_same_weight_however_many_cases_it_has() {
        let parts = [sessions(60), sessions(7)];
        let windows: Vec<Vec<Evaluation>> =
            parts.iter().map(|part| [2, 3].map(|step| judged(step, part)).into()).collect();
        let found = over(&windows, 2);
        for (model, figures) in found.models.iter().enumerate() {
            for at in figures.iter().filter(|at| at.metric == Metric::Recall) {
                let expected =
                    f64::midpoint(recall(&windows[0][model], at.k), recall(&windows[1][model], at.k));
                assert!((at.estimate.value - expected).abs() < 1e-12, "{at:?}, not {expected}");
                assert!(at.estimate.interval.unwrap().contains(expected), "{at:?}");
            }
        }
        let difference = found.difference(0, 1, Metric::Recall, 1).unwrap();
        let of = |model: usize| found.models[model][0].estimate.value;
        assert!((difference.value - (of(0) - of(1))).abs() < 1e-12 && difference.value != 0.0);
        assert_eq!(over(&windows, 1), found, "on one thread");
    }

    #[test]
    fn the_interval_of_a_mean_of_windows_is_that_of_independent_windows() {
        // Sessions of one case, hit or missed: the variance of the mean of three shares p is Σ p (1 − p) / n / 9.
        let hits = [(300, 3), (300, 2), (60, 4)];
        let window = |&(count, step): &(u32, u32)| {
            let mut part = Sessions::new();
            (0..count).for_each(|s| {
                part.push(&[if s % step == 0 { 0 } else { 1 }, if s % step == 0 { 1 } else { 2 }], 0)
            });
            vec![judged(2, &part)]
        };
        let windows: Vec<Vec<Evaluation>> = hits.iter().map(window).collect();
        let shares: Vec<f64> = windows.iter().map(|of| recall(&of[0], 1)).collect();
        let variance: f64 =
            shares.iter().zip(hits).map(|(p, (n, _))| p * (1.0 - p) / f64::from(n)).sum::<f64>() / 9.0;
        let found = over(&windows, 1).models[0][0].estimate;
        let width = found.interval.map(|i| i.high - i.low).unwrap();
        let expected = 2.0 * 1.96 * variance.sqrt();
        assert!(shares.iter().all(|p| 0.2 < *p && *p < 0.6), "{shares:?}");
        assert!((width / expected - 1.0).abs() < 0.15, "{width}, not {expected}");
    }

    #[test]
    #[should_panic(expected = "not of the same cases")]
    fn evaluations_of_other_cases_in_a_window_are_not_compared() {
        over(&[vec![judged(2, &sessions(9)), judged(2, &sessions(8))]], 1);
    }
}
