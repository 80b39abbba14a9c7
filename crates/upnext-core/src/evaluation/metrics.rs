//! Metrics as functions of the ranks of targets (`docs/algorithms.md`, section 5).
//!
//! A case has one target, with a rank from 1. A metric is the mean over all cases of a gain that is 0 beyond the
//! cut-off. It is 0 without cases.

use serde::{Deserialize, Serialize};

/// A ranking metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Recall@k; see [`recall`].
    Recall,
    /// MRR@k; see [`mrr`].
    Mrr,
    /// NDCG@k; see [`ndcg`].
    Ndcg,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 3] = [Self::Recall, Self::Mrr, Self::Ndcg];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Mrr => "mrr",
            Self::Ndcg => "ndcg",
        }
    }

    /// The gain of a case with this rank, from 1, at cut-off `k`. The metric is its mean over all cases.
    #[inline]
    pub fn gain(self, rank: f64, k: usize) -> f64 {
        if rank > k as f64 {
            return 0.0;
        }
        match self {
            Self::Recall => 1.0,
            Self::Mrr => rank.recip(),
            Self::Ndcg => (1.0 + rank).log2().recip(),
        }
    }
}

/// Recall@k, also called hit rate: the share of cases with rank ≤ k \[1, section 4\].
pub fn recall(ranks: &[f64], k: usize) -> f64 {
    mean(ranks, k, Metric::Recall)
}

/// MRR@k: the mean of 1 / rank, and of 0 for ranks above k \[1, section 4\].
pub fn mrr(ranks: &[f64], k: usize) -> f64 {
    mean(ranks, k, Metric::Mrr)
}

/// NDCG@k: the mean of 1 / log2(1 + rank), and of 0 for ranks above k. With one relevant item, the ideal gain is 1
/// (Järvelin and Kekäläinen 2002).
pub fn ndcg(ranks: &[f64], k: usize) -> f64 {
    mean(ranks, k, Metric::Ndcg)
}

fn mean(ranks: &[f64], k: usize, metric: Metric) -> f64 {
    if ranks.is_empty() {
        return 0.0;
    }
    ranks.iter().map(|&rank| metric.gain(rank, k)).sum::<f64>() / ranks.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use upnext_reference::evaluation as reference;

    proptest! {
        #[test]
        fn metrics_are_those_of_the_plain_reference(
            halves in prop::collection::vec(2u32..80, 0..50), k in 1usize..30,
        ) {
            let ranks: Vec<f64> = halves.into_iter().map(|twice| f64::from(twice) / 2.0).collect();
            prop_assert_eq!(recall(&ranks, k), reference::recall(&ranks, k));
            prop_assert!((mrr(&ranks, k) - reference::mrr(&ranks, k)).abs() < 1e-12);
            prop_assert!((ndcg(&ranks, k) - reference::ndcg(&ranks, k)).abs() < 1e-12);
        }
    }
}
