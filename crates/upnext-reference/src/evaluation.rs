//! Ranks and metrics (`docs/algorithms.md`, section 5), by counting over all scores.

/// The rule for candidates with the target's score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// All of them rank above the target.
    Conservative,
    /// All of them rank below the target.
    Standard,
    /// The mean of the other two ranks.
    Median,
}

/// The rank of candidate `target` among all candidates' scores, from 1.
pub fn rank(scores: &[f64], target: usize, ties: Ties) -> f64 {
    let not_below = scores.iter().filter(|&&score| score >= scores[target]).count() as f64;
    let above = scores.iter().filter(|&&score| score > scores[target]).count() as f64;
    match ties {
        Ties::Conservative => not_below,
        Ties::Standard => 1.0 + above,
        Ties::Median => (not_below + 1.0 + above) / 2.0,
    }
}

/// Recall@k: the share of ranks up to k; 0 without ranks.
pub fn recall(ranks: &[f64], k: usize) -> f64 {
    mean(ranks, k, |_| 1.0)
}

/// MRR@k: the mean of 1/rank, and of 0 for ranks above k; 0 without ranks.
pub fn mrr(ranks: &[f64], k: usize) -> f64 {
    mean(ranks, k, |rank| 1.0 / rank)
}

/// NDCG@k: the mean of 1/log2(1 + rank), and of 0 for ranks above k; 0 without ranks.
pub fn ndcg(ranks: &[f64], k: usize) -> f64 {
    mean(ranks, k, |rank| 1.0 / (1.0 + rank).log2())
}

fn mean(ranks: &[f64], k: usize, gain: impl Fn(f64) -> f64) -> f64 {
    let total: f64 = ranks.iter().filter(|&&rank| rank <= k as f64).map(|&rank| gain(rank)).sum();
    total / (ranks.len() as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    //! Ranks and metrics counted by hand.

    use super::*;

    #[test]
    fn tie_rules_agree_without_ties_and_differ_with_them() {
        let scores = [0.5, 2.0, 0.5, -1.0, 0.5];
        let ranks =
            |target| [Ties::Conservative, Ties::Standard, Ties::Median].map(|t| rank(&scores, target, t));
        assert_eq!(ranks(1), [1.0, 1.0, 1.0]);
        assert_eq!(ranks(3), [5.0, 5.0, 5.0]);
        assert_eq!(ranks(2), [4.0, 2.0, 3.0]);
    }

    #[test]
    fn constant_model_scores_zero_with_conservative_ties() {
        let ranks: Vec<f64> = (0..30).map(|target| rank(&[0.7; 30], target, Ties::Conservative)).collect();
        assert_eq!([recall(&ranks, 20), mrr(&ranks, 20), ndcg(&ranks, 20)], [0.0; 3]);
    }

    #[test]
    fn metrics_count_ranks_up_to_the_cut_off() {
        let ranks = [1.0, 3.0, 4.0, 7.0];
        assert_eq!(recall(&ranks, 3), 0.5);
        assert!((mrr(&ranks, 3) - (1.0 + 1.0 / 3.0) / 4.0).abs() < 1e-15);
        assert!((ndcg(&ranks, 3) - (1.0 + 0.5) / 4.0).abs() < 1e-15);
        assert_eq!(recall(&[], 3), 0.0);
    }
}
