//! Comparison: which model is better on the same cases, and is the difference more than chance?

mod bootstrap;
mod groups;
#[cfg(test)]
mod tests;

pub use crate::evaluation::metrics::Metric;
pub use bootstrap::Interval;
pub use groups::{Group, GroupBy};

use crate::data::{ItemVocabulary, Sessions};
use crate::evaluation::Evaluation;
use bootstrap::{Resamples, Sums, Totals};
use serde::{Deserialize, Serialize};
use upnext_kernels::CounterRng;

/// How intervals are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapOptions {
    /// Number of resamples; 2,000 give the ends of a 95 % interval to about a twentieth of its width.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { resamples: 2000, seed: 1 }
    }
}

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The figure on all sessions.
    pub value: f64,
    /// Its interval; absent where too few sessions have a case.
    #[serde(flatten)]
    pub interval: Option<Interval>,
}

/// A figure at a cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EstimateAt {
    /// The metric.
    pub metric: Metric,
    /// The cut-off.
    pub k: usize,
    /// The figure.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// The difference of two models on the same sessions, the first less the second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// Index of the first model.
    pub first: usize,
    /// Index of the second model, above that of the first.
    pub second: usize,
    /// The differences, metric by metric and cut-off by cut-off.
    pub figures: Vec<EstimateAt>,
}

/// The figures of all models by group, at the largest cut-off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Breakdown {
    /// What the cases are grouped by.
    pub by: GroupBy,
    /// The groups, ascending.
    pub groups: Vec<Group>,
    /// Per metric of [`Metric::ALL`], per model, per group.
    pub figures: Vec<Vec<Vec<Estimate>>>,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// How the intervals were made.
    pub bootstrap: BootstrapOptions,
    /// Per model its figures, metric by metric and cut-off by cut-off.
    pub models: Vec<Vec<EstimateAt>>,
    /// Every pair of models.
    pub differences: Vec<Difference>,
    /// The figures by groups of cases.
    pub breakdowns: Vec<Breakdown>,
}

impl Comparison {
    /// The difference of two models at a cut-off, `a` less `b`; `None` for a model and itself, and for a cut-off that
    /// was not compared.
    pub fn difference(&self, a: usize, b: usize, metric: Metric, k: usize) -> Option<Estimate> {
        let pair = self.differences.iter().find(|d| (d.first, d.second) == (a.min(b), a.max(b)))?;
        let found = pair.figures.iter().find(|at| at.metric == metric && at.k == k)?.estimate;
        if a < b {
            return Some(found);
        }
        // From 0, so that no difference does not become −0.
        let interval = found.interval.map(|i| Interval { low: 0.0 - i.high, high: 0.0 - i.low });
        Some(Estimate { value: 0.0 - found.value, interval })
    }
}

/// Compares models by their evaluations on the same sessions, at these cut-offs, ascending.
///
/// Each interval is the 95 % percentile interval over resamples of whole sessions; all models, groups and differences
/// are taken from the same resamples. The result does not depend on the number of threads.
///
/// # Panics
/// If the evaluations are not of the same cases of these sessions under the same tie rule, or there is no cut-off.
pub fn compare(
    evaluations: &[&Evaluation],
    sessions: &Sessions,
    items: &ItemVocabulary,
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
        let alike = other.ties == first.ties
            && other.ranked.len() == first.ranked.len()
            && other.ranked.iter().zip(&first.ranked).all(same);
        assert!(alike, "the evaluations are not of the same cases");
    }
    let columns = Columns::new(first, sessions, items, cutoffs);
    let resamples =
        Resamples { sessions: columns.sessions, count: options.resamples, seed: options.seed, threads };
    let cases = columns.cases(first);
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

/// Which sums are taken of every session.
struct Columns {
    sessions: usize,
    /// Per session its row; sessions without a case have none.
    row: Vec<usize>,
    /// The measures of all cases: the first columns of a model's sums.
    measures: Vec<(Metric, usize)>,
    groupings: Vec<Grouping>,
    /// Of all groupings; group 0 is all cases.
    groups: usize,
    largest_cutoff: usize,
}

struct Grouping {
    by: GroupBy,
    groups: Vec<Group>,
    first_group: usize,
    of_case: Vec<usize>,
}

impl Columns {
    fn new(first: &Evaluation, sessions: &Sessions, items: &ItemVocabulary, cutoffs: &[usize]) -> Self {
        let mut row = vec![usize::MAX; sessions.len()];
        let mut rows = 0;
        for case in &first.ranked {
            let row = &mut row[case.session as usize];
            if *row == usize::MAX {
                *row = rows;
                rows += 1;
            }
        }
        let mut groups = 1;
        let groupings = GroupBy::ALL.map(|by| {
            let (found, of_case) = by.groups(&first.ranked, sessions, items);
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

    /// The column of a metric, by its place in [`Metric::ALL`], and a group above 0.
    fn column(&self, metric: usize, group: usize) -> usize {
        self.measures.len() + metric * (self.groups - 1) + group - 1
    }

    /// The number of cases of every session: in all, and in each group.
    fn cases(&self, evaluation: &Evaluation) -> Sums {
        let mut sums = Sums::new(self.sessions, self.groups);
        for (i, case) in evaluation.ranked.iter().enumerate() {
            let row = self.row[case.session as usize];
            sums.add(row, 0, 1.0);
            for grouping in &self.groupings {
                sums.add(row, grouping.first_group + grouping.of_case[i], 1.0);
            }
        }
        sums
    }

    /// The gains of a model in every session.
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

/// Up to `count` sessions drawn to be shown, ascending: of at least 3 and at most 12 events, where there are such.
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
