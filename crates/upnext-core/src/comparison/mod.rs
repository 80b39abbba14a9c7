//! Comparison of models on the same cases, with bootstrap confidence intervals of their metrics and differences.

mod ages;
mod bootstrap;
mod groups;
mod over_windows;
#[cfg(test)]
mod tests;
mod windows;

pub use crate::evaluation::metrics::Metric;
pub use bootstrap::Interval;
pub(crate) use bootstrap::interval_of_ratio;
pub use groups::{Group, GroupBy};
pub use over_windows::compare_over_windows;
pub use windows::{Window, WindowCut, windows};
pub(crate) use windows::{windows_of_days, windows_of_shares};

use crate::data::{Dataset, Sessions};
use crate::evaluation::Evaluation;
use ages::Ages;
use bootstrap::{Resamples, Sums, Totals};
use serde::{Deserialize, Serialize};
use upnext_kernels::CounterRng;

/// The options of the bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapOptions {
    /// Number of resamples. Default 2,000: the ends of a 95 % interval are then accurate to about a twentieth of its
    /// width.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { resamples: 2000, seed: 1 }
    }
}

/// A metric or a difference of metrics, with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The value on all sessions.
    pub value: f64,
    /// Its confidence interval; `None` if fewer than half of the resamples have a case.
    #[serde(flatten)]
    pub interval: Option<Interval>,
}

/// An estimate of a metric at a cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EstimateAt {
    /// The metric.
    pub metric: Metric,
    /// The cut-off.
    pub k: usize,
    /// The estimate.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// The differences of two models on the same sessions, the first minus the second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// Index of the first model.
    pub first: usize,
    /// Index of the second model, above that of the first.
    pub second: usize,
    /// The differences, by metric and then by cut-off.
    pub figures: Vec<EstimateAt>,
}

/// The metrics of all models by groups of cases, at the largest cut-off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Breakdown {
    /// The quantity by which cases are grouped.
    pub by: GroupBy,
    /// The groups, ascending.
    pub groups: Vec<Group>,
    /// The estimates, by metric of [`Metric::ALL`], then by model, then by group.
    pub figures: Vec<Vec<Vec<Estimate>>>,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The options of the bootstrap.
    pub bootstrap: BootstrapOptions,
    /// The estimates of each model, by metric and then by cut-off.
    pub models: Vec<Vec<EstimateAt>>,
    /// The differences of every pair of models.
    pub differences: Vec<Difference>,
    /// The metrics by groups of cases: by events seen, session length, and support and age of the target.
    pub breakdowns: Vec<Breakdown>,
}

impl Comparison {
    /// The difference `a` − `b` of two models at a cut-off; `None` if `a` equals `b`, or the cut-off was not compared.
    pub fn difference(&self, a: usize, b: usize, metric: Metric, k: usize) -> Option<Estimate> {
        let pair = self.differences.iter().find(|d| (d.first, d.second) == (a.min(b), a.max(b)))?;
        let found = pair.figures.iter().find(|at| at.metric == metric && at.k == k)?.estimate;
        if a < b {
            return Some(found);
        }
        // Subtracted from 0, so that a difference of 0 does not become −0.
        let interval = found.interval.map(|i| Interval { low: 0.0 - i.high, high: 0.0 - i.low });
        Some(Estimate { value: 0.0 - found.value, interval })
    }
}

/// Compares models by their evaluations on the same sessions, after a training on `train`. `cutoffs` must be ascending.
///
/// Intervals are 95 % percentile intervals over bootstrap resamples of whole sessions, the same resamples for all
/// models, groups and differences. The result does not depend on the number of threads.
///
/// `misses` has the number of next clicks that count as misses of each of `sessions`, and then of other sessions that are
/// drawn with them ([`TestSessions::misses`](crate::data::TestSessions::misses)); it is empty if there are none. Groups are
/// of the cases alone.
///
/// # Panics
/// If the evaluations differ in their cases or tie rules, their cases are not of these sessions, `misses` has fewer entries
/// than `sessions` but at least one, or `cutoffs` is empty.
pub fn compare(
    evaluations: &[&Evaluation],
    (sessions, misses): (&Sessions, &[u32]),
    train: &Dataset,
    cutoffs: &[usize],
    options: BootstrapOptions,
    threads: usize,
) -> Comparison {
    let Some(first) = evaluations.first() else {
        return Comparison { bootstrap: options, models: vec![], differences: vec![], breakdowns: vec![] };
    };
    let same = |(a, b): (&crate::evaluation::RankedCase, &crate::evaluation::RankedCase)| {
        (a.session, a.position) == (b.session, b.position)
    };
    for other in evaluations {
        let same_cases = other.ties == first.ties
            && other.ranked.len() == first.ranked.len()
            && other.ranked.iter().zip(&first.ranked).all(same);
        assert!(same_cases, "the evaluations are not of the same cases");
    }
    assert!(misses.is_empty() || misses.len() >= sessions.len(), "the misses of every session");
    let columns = Columns::new(first, (sessions, misses), train, cutoffs);
    let resamples =
        Resamples { sessions: columns.sessions, count: options.resamples, seed: options.seed, threads };
    let cases = columns.cases(first, misses);
    let case_totals = resamples.totals(&cases);
    let of_models: Vec<(Sums, Totals)> = evaluations
        .iter()
        .map(|evaluation| {
            let sums = columns.gains(evaluation);
            let totals = resamples.totals(&sums);
            (sums, totals)
        })
        .collect();

    let at = |measure: usize, estimate: Estimate| {
        let (metric, k) = columns.measures[measure];
        EstimateAt { metric, k, estimate }
    };
    let value =
        |model: &(Sums, Totals), column: usize, group: usize| model.0.total(column) / cases.total(group);
    let estimate = |model: &(Sums, Totals), column: usize, group: usize| Estimate {
        value: value(model, column, group),
        interval: Interval::of(model.1.ratios(column, &case_totals, group)),
    };
    let measures = 0..columns.measures.len();
    let models = of_models
        .iter()
        .map(|model| measures.clone().map(|m| at(m, estimate(model, m, 0))).collect())
        .collect();
    let mut differences = Vec::new();
    for first in 0..of_models.len() {
        for second in first + 1..of_models.len() {
            let (a, b) = (&of_models[first], &of_models[second]);
            let figure = |m: usize| {
                let sums = a.1.column(m).zip(b.1.column(m)).zip(case_totals.column(0));
                let interval = Interval::of(sums.map(|((a, b), cases)| (a - b) / cases));
                at(m, Estimate { value: value(a, m, 0) - value(b, m, 0), interval })
            };
            let figures = measures.clone().map(figure).collect();
            differences.push(Difference { first, second, figures });
        }
    }
    let mut breakdowns = Vec::new();
    for grouping in &columns.groupings {
        let figures = |metric: usize| {
            let of_model = |model| {
                let of_group = |g: usize| {
                    let group = grouping.first_group + g;
                    estimate(model, columns.column(metric, group), group)
                };
                (0..grouping.groups.len()).map(of_group).collect()
            };
            of_models.iter().map(of_model).collect()
        };
        breakdowns.push(Breakdown {
            by: grouping.by,
            groups: grouping.groups.clone(),
            figures: (0..Metric::ALL.len()).map(figures).collect(),
        });
    }
    Comparison { bootstrap: options, models, differences, breakdowns }
}

/// The layout of the sums of gains and of cases: a row per session, a column per metric, cut-off and group.
struct Columns {
    /// Number of sessions with a case or a miss.
    sessions: usize,
    /// The row of each session, those behind the sessions included that have only misses; `usize::MAX` for sessions without
    /// either.
    row: Vec<usize>,
    /// The metrics and cut-offs over all cases: the first columns of a model's sums.
    measures: Vec<(Metric, usize)>,
    groupings: Vec<Grouping>,
    /// Number of groups of all groupings; group 0 has all cases.
    groups: usize,
    largest_cutoff: usize,
}

/// The groups of cases by one quantity.
struct Grouping {
    by: GroupBy,
    groups: Vec<Group>,
    /// Number of the first of the groups, among those of all groupings.
    first_group: usize,
    /// The group of each case, from 0.
    of_case: Vec<usize>,
}

impl Columns {
    fn new(
        first: &Evaluation,
        (sessions, misses): (&Sessions, &[u32]),
        train: &Dataset,
        cutoffs: &[usize],
    ) -> Self {
        let mut row = vec![usize::MAX; sessions.len().max(misses.len())];
        let mut rows = 0;
        let with_misses = misses.iter().enumerate().filter(|(_, misses)| **misses > 0).map(|(s, _)| s);
        for session in first.ranked.iter().map(|case| case.session as usize).chain(with_misses) {
            let row = &mut row[session];
            if *row == usize::MAX {
                *row = rows;
                rows += 1;
            }
        }
        let mut groups = 1;
        let ages = Ages::of(train);
        let groupings = GroupBy::all(&ages).map(|by| {
            let (found, of_case) = by.groups(&first.ranked, sessions, (train, &ages));
            let first_group = groups;
            groups += found.len();
            Grouping { by, groups: found, first_group, of_case }
        });
        let largest_cutoff = *cutoffs.last().expect("the caller gives a cut-off");
        let measures = Metric::ALL.iter().flat_map(|&metric| cutoffs.iter().map(move |&k| (metric, k)));
        Self {
            sessions: rows,
            row,
            measures: measures.collect(),
            groupings: groupings.into(),
            groups,
            largest_cutoff,
        }
    }

    /// The column of a metric, by its index in [`Metric::ALL`], and a group above 0.
    fn column(&self, metric: usize, group: usize) -> usize {
        self.measures.len() + metric * (self.groups - 1) + group - 1
    }

    /// The number of cases of each session, in all and in each group; misses are in no group.
    fn cases(&self, evaluation: &Evaluation, misses: &[u32]) -> Sums {
        let mut sums = Sums::new(self.sessions, self.groups);
        for (session, &misses) in misses.iter().enumerate().filter(|(_, misses)| **misses > 0) {
            sums.add(self.row[session], 0, f64::from(misses));
        }
        for (i, case) in evaluation.ranked.iter().enumerate() {
            let row = self.row[case.session as usize];
            sums.add(row, 0, 1.0);
            for grouping in &self.groupings {
                sums.add(row, grouping.first_group + grouping.of_case[i], 1.0);
            }
        }
        sums
    }

    /// The sums of a model's gains in each session.
    fn gains(&self, evaluation: &Evaluation) -> Sums {
        let columns = self.measures.len() + Metric::ALL.len() * (self.groups - 1);
        let mut sums = Sums::new(self.sessions, columns);
        for (i, case) in evaluation.ranked.iter().enumerate() {
            let (row, rank) = (self.row[case.session as usize], case.rank(evaluation.ties));
            if rank > self.largest_cutoff as f64 {
                continue;
            }
            for (column, &(metric, k)) in self.measures.iter().enumerate() {
                sums.add(row, column, metric.gain(rank, k));
            }
            for (m, metric) in Metric::ALL.into_iter().enumerate() {
                let gain = metric.gain(rank, self.largest_cutoff);
                for grouping in &self.groupings {
                    sums.add(row, self.column(m, grouping.first_group + grouping.of_case[i]), gain);
                }
            }
        }
        sums
    }
}

/// Draws up to `count` sessions as examples for a report and returns their indices, ascending.
///
/// Sessions of 3 to 12 events are drawn, or if there are none, those of two or more. The draw is a pure function of
/// `seed`.
pub fn examples(sessions: &Sessions, count: usize, seed: u64) -> Vec<usize> {
    let readable = |&s: &usize| (3..=12).contains(&sessions.session(s).len());
    let mut from: Vec<usize> = (0..sessions.len()).filter(readable).collect();
    if from.is_empty() {
        from = (0..sessions.len()).filter(|&s| sessions.session(s).len() >= 2).collect();
    }
    CounterRng::new(seed, 0x6578).shuffle(&mut from);
    from.truncate(count);
    from.sort_unstable();
    from
}
