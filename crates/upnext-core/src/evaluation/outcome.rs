//! The result of an evaluation: its cases, and its metrics at each cut-off.

use super::metrics;
use crate::data::{ItemIndex, Sessions};
use crate::ranking::TieRule;
use serde::{Deserialize, Serialize};

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Number of cases: positions of sessions whose next item was ranked.
    pub cases: usize,
    /// Number of sessions of at least two events.
    pub sessions: usize,
    /// Number of candidates of each case, to which a target that is not among them is added.
    pub candidates: usize,
    /// The tie rule of the metrics.
    pub ties: TieRule,
    /// Number of next clicks that were not ranked and count as misses, of [`Evaluation::counting_misses`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub misses: u64,
    /// The metrics, one entry per cut-off, ascending.
    pub metrics: Vec<MetricsAt>,
    /// Duration of the evaluation in seconds.
    pub seconds: f64,
    /// All cases, by session and position; confidence intervals are computed from them. Not serialised.
    #[serde(skip)]
    pub ranked: Vec<RankedCase>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Evaluation {
    /// The same evaluation with `misses` more cases, each a miss at every cut-off: next clicks on items that the model does not
    /// know. Recall, MRR, NDCG, serendipity, precision and MAP become means over all of them; the other metrics are those of
    /// the lists, of the hits and of the last ranked events, as before.
    pub fn counting_misses(mut self, misses: u64) -> Self {
        if misses == 0 {
            return self;
        }
        let before = self.cases as f64 + self.misses as f64;
        self.misses += misses;
        let mut ranks = self.ranks(self.ties);
        ranks.extend((0..self.misses).map(|_| f64::INFINITY));
        let share = before / ranks.len() as f64;
        for at in &mut self.metrics {
            *at = at.of_ranks(&ranks).of_cases(share);
        }
        self
    }

    /// The metrics at the largest cut-off, by which models are selected. There is at least one, as
    /// [`evaluate`](super::evaluate) checks.
    pub(crate) fn at_largest(&self) -> MetricsAt {
        self.metrics[self.metrics.len() - 1]
    }

    /// The ranks of all cases under a tie rule, by session and position.
    pub fn ranks(&self, ties: TieRule) -> Vec<f64> {
        self.ranked.iter().map(|case| case.rank(ties)).collect()
    }
}

/// The metrics at one cut-off, each from 0 to 1 unless it says otherwise. The formulas and sources are in `docs/evaluation.md`.
///
/// Those of lists are computed only with [`EvaluationConfig::lists`](super::EvaluationConfig::lists). Lists are ordered by
/// score, then support, then index, and contain candidates only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricsAt {
    /// The cut-off.
    pub k: usize,
    /// Recall@k, of [`metrics::recall`].
    pub recall: f64,
    /// MRR@k, of [`metrics::mrr`].
    pub mrr: f64,
    /// NDCG@k, of [`metrics::ndcg`].
    pub ndcg: f64,
    /// Repeats@k: of the cases with rank ≤ k, the share whose target occurred earlier in its session; absent without such
    /// cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<f64>,
    /// LastHit@k: Recall@k of the last case of each session alone, as in evaluations that leave one out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_hit: Option<f64>,
    /// Coverage@k: the share of the vocabulary's items that occur in the top-k list of any case (Ludewig and Jannach,
    /// *Evaluation of session-based recommendation algorithms*, UMUAI 2018); only with lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Popularity@k: the mean popularity of the entries of all top-k lists (Ludewig and Jannach 2018), an item's
    /// popularity being its support divided by the largest support; only with lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub popularity: Option<f64>,
    /// Gini@k: the Gini index of how often each item of the vocabulary occurs in the top-k lists, 0 if all occur equally
    /// often; only with lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gini: Option<f64>,
    /// Novelty@k in bits: the mean of −log2(support / all events) over the entries of all top-k lists; only with lists. It may
    /// be above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub novelty: Option<f64>,
    /// Diversity@k: the mean, over the top-k lists of two or more items, of the mean of 1 − cosine of the vectors of two of
    /// their items, from 0 to 2; only with lists of a model with item vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diversity: Option<f64>,
    /// Serendipity@k: the share of cases whose target is in the top-k list and not among the k most popular candidates; only
    /// with lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serendipity: Option<f64>,
    /// Precision@k with all items of the rest of the session as relevant: the mean share of the k places of a list that have
    /// one; only with lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// MAP@k with all items of the rest of the session as relevant; only with lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<f64>,
}

impl MetricsAt {
    /// The mean of metrics at one cut-off, each with the same weight, as over windows; `None` of nothing. A metric that one
    /// of them lacks is absent.
    pub fn mean(of: &[Self]) -> Option<Self> {
        let first = of.first()?;
        let mean = |value: fn(&Self) -> f64| of.iter().map(value).sum::<f64>() / of.len() as f64;
        let mean_of = |value: fn(&Self) -> Option<f64>| {
            let values: Option<Vec<f64>> = of.iter().map(value).collect();
            values.map(|values| values.iter().sum::<f64>() / of.len() as f64)
        };
        Some(Self {
            k: first.k,
            recall: mean(|at| at.recall),
            mrr: mean(|at| at.mrr),
            ndcg: mean(|at| at.ndcg),
            repeats: mean_of(|at| at.repeats),
            last_hit: mean_of(|at| at.last_hit),
            coverage: mean_of(|at| at.coverage),
            popularity: mean_of(|at| at.popularity),
            gini: mean_of(|at| at.gini),
            novelty: mean_of(|at| at.novelty),
            diversity: mean_of(|at| at.diversity),
            serendipity: mean_of(|at| at.serendipity),
            precision: mean_of(|at| at.precision),
            map: mean_of(|at| at.map),
        })
    }

    /// The same with the metrics of single ranks computed from these ones.
    pub(super) fn of_ranks(self, ranks: &[f64]) -> Self {
        Self {
            recall: metrics::recall(ranks, self.k),
            mrr: metrics::mrr(ranks, self.k),
            ndcg: metrics::ndcg(ranks, self.k),
            ..self
        }
    }

    /// The same where the cases of the lists are this share of all cases, and the others are misses.
    pub(super) fn of_cases(self, share: f64) -> Self {
        let of = |mean: Option<f64>| mean.map(|mean| mean * share);
        Self { serendipity: of(self.serendipity), precision: of(self.precision), map: of(self.map), ..self }
    }

    /// The same where the items are this share of a larger vocabulary, whose other items are in no list.
    pub(super) fn of_items(self, share: f64) -> Self {
        Self {
            coverage: self.coverage.map(|coverage| coverage * share),
            gini: self.gini.map(|gini| 1.0 - share * (1.0 - gini)),
            ..self
        }
    }
}

/// The counts from which the rank of a case's target follows under any tie rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankedCase {
    /// The index of the session.
    pub session: u32,
    /// The position in the session of the last event read, from 0; the target is the event after it.
    pub position: u32,
    /// Number of candidates with a larger score than the target.
    pub larger: u32,
    /// Number of candidates with the target's score, the target included.
    pub equal: u32,
    /// Whether the model knew nothing of what follows, and ordered the items by popularity.
    pub fell_back: bool,
}

impl RankedCase {
    /// The number of larger scores of a target that the model does not know, which is behind all items.
    pub(crate) const BEHIND_ALL: u32 = u32::MAX;

    /// The target of the case, in the sessions that were evaluated.
    pub(crate) fn target(&self, sessions: &Sessions) -> ItemIndex {
        sessions.session(self.session as usize)[self.position as usize + 1]
    }

    /// The target's rank, from 1; infinite for one that the model does not know.
    pub fn rank(&self, ties: TieRule) -> f64 {
        if self.larger == Self::BEHIND_ALL { f64::INFINITY } else { ties.rank(self.larger, self.equal) }
    }
}
